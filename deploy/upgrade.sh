#!/usr/bin/env bash
# Goes on to the release of this folder: build, check, back up, stop, migrate, switch, start, each engine that runs.
#
#   deploy/upgrade.sh [--python PYTHON] [--wheels DIR] [--yes] [--dry-run]
#
# Nothing is stopped before the new release is built and accepts every configuration (and, for real money, its arming
# record). Positions keep their stops at the venue meanwhile. Where a migration fails, the old release goes on.
set -euo pipefail
here="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
# shellcheck source=deploy/lib.sh
. "$here/lib.sh"

source_dir="$(dirname "$here")"
python=python3 wheels='' yes=''
while [[ $# -gt 0 ]]; do
    case "$1" in
        --python) python="${2:?--python needs an interpreter}"; shift ;;
        --wheels) wheels="${2:?--wheels needs a folder}"; shift ;;
        --yes) yes=1 ;;
        --dry-run) dry_run=1 ;;
        *) usage ;;
    esac
    shift
done

require_root
old="$(current_release)" || die "nothing is installed yet: deploy/install.sh"
new="$(build_release "$source_dir" "$python" "$wheels")"
if [[ "$old" == "$(readlink -f "$new")" ]]; then
    say "$(basename "$old") is what runs already"
    exit 0
fi

mapfile -t states < <(all_states)
running=()
for state in "${states[@]}"; do
    is_up "$(unit_of "$state")" && running+=("$state")
done
say "from $(basename "$old") to $(basename "$new"); running: ${running[*]:-none}"
if [[ -n "$dry_run" ]]; then
    for state in "${states[@]}"; do say "would check, back up and migrate $state"; done
    exit 0
fi

systemd-analyze verify "$new/trading-engine.service" "$new"/deploy/*.service "$new"/deploy/*.timer ||
    die "the new units are not well; nothing was stopped"
for state in "${running[@]}"; do
    config="$(config_of "$state")"
    in_service "$state" "$new" validate --config "$config" || die "the new release refuses $config; nothing was stopped"
    in_service "$state" "$new" arm --show --config "$config" ||
        die "arm it for the new release first: trading-engine-ctl --release $new arm --config $config; nothing was stopped"
done
if [[ -z "$yes" ]]; then
    read -r -p "stop ${running[*]:-nothing}, migrate and start again? [y/N] " answer
    [[ "$answer" == [yY]* ]] || die "nothing was stopped"
fi

# Where the way back begins.
log="$opt/last-upgrade"
printf '# %s to %s\n' "$(basename "$old")" "$(basename "$new")" >"$log.new"
for state in "${running[@]}"; do
    say "stopping $(unit_of "$state") …"
    systemctl stop "$(unit_of "$state")"
done
start_all() {
    local state
    for state in "${running[@]}"; do
        systemctl reset-failed "$(unit_of "$state")" 2>/dev/null || true
        say "starting $(unit_of "$state") …"
        systemctl start "$(unit_of "$state")" || return 1
    done
}
for state in "${states[@]}"; do
    # By the old release, which knows the schema, after the stop: nothing is lost on the way back.
    as_account "$old/bin/trading-engine" db backup --state "$state" ||
        { start_all; die "$state cannot be backed up; the old release goes on"; }
    printf '%s\t%s\n' "$state" "$(newest_backup "$state")" >>"$log.new"
done
mv "$log.new" "$log"
for state in "${states[@]}"; do
    as_account "$new/bin/trading-engine" db migrate --state "$state" ||
        { start_all; die "$state cannot be migrated and is as it was; the old release goes on"; }
done

point "$opt/previous" "$old"
point "$opt/current" "$new"
install_units "$new"
start_all || die "it does not start (journalctl -u 'trading-engine*' -n 50); deploy/rollback.sh goes back"
for state in "${running[@]}"; do as_account "$new/bin/trading-engine" status --state "$state"; done
prune_releases
say "done: $(basename "$new"); deploy/rollback.sh goes back to $(basename "$old")"
