#!/usr/bin/env bash
# Goes back to the release before the last upgrade.
#
#   deploy/rollback.sh [--yes] [--dry-run]
#
# Where that release knows the schema, engines go on with their databases as they are. Where the upgrade has changed the
# schema, the backup that it made is restored: what was recorded since is read from the venue again, no order id is used
# twice, and the engine makes no entries until `trading-engine-ctl resume`. Flat, it does not start before that.
set -euo pipefail
here="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
# shellcheck source=deploy/lib.sh
. "$here/lib.sh"

yes=''
while [[ $# -gt 0 ]]; do
    case "$1" in
        --yes) yes=1 ;;
        --dry-run) dry_run=1 ;;
        *) usage ;;
    esac
    shift
done

require_root
now="$(current_release)" || die "nothing is installed"
[[ -e "$opt/previous" ]] || die "there is no release to go back to"
before="$(readlink -f "$opt/previous")"
[[ "$now" != "$before" ]] || die "$(basename "$now") runs already; there is no other release to go back to"

mapfile -t states < <(all_states)
running=() older=()
for state in "${states[@]}"; do
    is_up "$(unit_of "$state")" && running+=("$state")
    as_account "$before/bin/trading-engine" db check --state "$state" >/dev/null 2>&1 || older+=("$state")
done
say "from $(basename "$now") back to $(basename "$before"); running: ${running[*]:-none}"
for state in "${older[@]}"; do
    copy="$(sed -n "s|^$state\t||p" "$opt/last-upgrade" 2>/dev/null || true)"
    [[ -n "$copy" && -e "$copy" ]] || die "$state is of a newer schema, and the backup of before the upgrade is gone"
    say "$state is of a newer schema: $copy would be restored"
done
[[ -z "$dry_run" ]] || exit 0
if [[ -z "$yes" ]]; then
    read -r -p "go back? [y/N] " answer
    [[ "$answer" == [yY]* ]] || die "nothing was done"
fi

for state in "${states[@]}"; do
    systemctl stop "$(unit_of "$state")"
done
for state in "${older[@]}"; do
    copy="$(sed -n "s|^$state\t||p" "$opt/last-upgrade")"
    as_account "$now/bin/trading-engine" db backup --state "$state" || true # for whoever wants to look at it later
    as_account "$before/bin/trading-engine" db restore "$copy" --state "$state" --force
done
point "$opt/current" "$before"
run rm -f "$opt/previous"
install_units "$before"
for state in "${running[@]}"; do
    unit="$(unit_of "$state")"
    systemctl reset-failed "$unit" 2>/dev/null || true
    systemctl start "$unit" || say "$unit does not start: $(journalctl -u "$unit" -n 1 -o cat)"
done
[[ ${#older[@]} -eq 0 ]] ||
    say "restored: compare (trading-engine-ctl reconcile --plan --config …), then trading-engine-ctl resume"
say "done: $(basename "$before")"
