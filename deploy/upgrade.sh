#!/usr/bin/env bash
# Goes on to the release of this folder: build, check, back up, stop, migrate, switch, start, each engine that runs.
#
#   deploy/upgrade.sh [--python PYTHON] [--wheels DIR] [--yes] [--dry-run]
#
# Nothing is stopped before the new release is built and accepts every configuration (and, for real money, its arming
# record). Positions keep their stops at the venue meanwhile. Whatever goes wrong before the switch, Ctrl-C as well, the
# old release goes on with the databases of before.
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
alone
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

# From here on nothing may end with an engine down that was up: whatever goes wrong, the trap starts the old release
# again, with the databases as it left them.
log="$opt/last-upgrade"
migrated=() is_stopped='' is_switched=''
go_on_with_the_old() {
    trap - EXIT INT TERM HUP
    set +e # also where nobody reads any more what is said
    [[ -n "$is_stopped" && -z "$is_switched" ]] || return 0
    local state
    for state in "${migrated[@]}"; do put_back "$state" || say "$state: put back the copy that $log names"; done
    point "$opt/current" "$old"
    start_all "${running[@]}" || say "not every engine has started again: systemctl --failed"
    say "the old release goes on: $(basename "$old")"
}
# The database of before the migration. Nothing has run on the migrated one: no lock, no new epoch.
put_back() {
    as_account "$old/bin/trading-engine" db check --state "$1" >/dev/null 2>&1 && return 0
    local copy
    if is_on_server "$1"; then
        say "$1: its database on the server is of the new schema; bring the dump of before back there"
        return 0
    fi
    copy="$(sed -n "s|^$1\t\([^\t]*\).*|\1|p" "$log")"
    [[ -n "$copy" ]] || return 1
    # shellcheck disable=SC2016 # the inner shell's own words
    as_account sh -c 'cp "$2" "$1.back" && sync "$1.back" && rm -f "$1-wal" "$1-shm" && mv "$1.back" "$1"' sh "$1/engine.db" "$copy" &&
        say "$1 is as it was"
}
trap go_on_with_the_old EXIT
trap 'exit 130' INT TERM HUP

is_stopped=1
stop_all "${running[@]}"
# Where the way back begins: state, copy, and whether its engine ran.
printf '# %s to %s\n' "$(basename "$old")" "$(basename "$new")" >"$log.new"
for state in "${states[@]}"; do
    copy='' up=''
    if is_on_server "$state"; then
        say "$state is on a PostgreSQL server: it is backed up there (pg_dump), not here"
    else
        # By the old release, which knows the schema, after the stop: nothing is lost on the way back.
        as_account "$old/bin/trading-engine" db backup --state "$state" || die "$state cannot be backed up"
        copy="$(newest_backup "$state")"
    fi
    [[ " ${running[*]} " == *" $state "* ]] && up=up
    printf '%s\t%s\t%s\n' "$state" "$copy" "$up" >>"$log.new"
done
mv "$log.new" "$log"
# Those on a server last: what was changed there cannot be put back from here.
mapfile -t ordered < <(
    for state in "${states[@]}"; do is_on_server "$state" || echo "$state"; done
    for state in "${states[@]}"; do ! is_on_server "$state" || echo "$state"; done
)
for state in "${ordered[@]}"; do
    as_account "$new/bin/trading-engine" db migrate --state "$state" || die "$state cannot be migrated and is as it was"
    migrated+=("$state")
done

point "$opt/previous" "$old"
point "$opt/current" "$new"
is_switched=1
install_units "$new"
start_all "${running[@]}" ||
    die "not every engine has started (systemctl --failed; journalctl -u 'trading-engine*' -n 50); deploy/rollback.sh goes back"
for state in "${running[@]}"; do as_account "$new/bin/trading-engine" status --state "$state"; done
prune_releases
say "done: $(basename "$new"); deploy/rollback.sh goes back to $(basename "$old")"
