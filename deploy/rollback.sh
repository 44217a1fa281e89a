#!/usr/bin/env bash
# Goes back to the release before the last upgrade.
#
#   deploy/rollback.sh [--yes] [--dry-run]
#
# Where that release knows the schema, engines go on with their databases as they are. Where the upgrade has changed the
# schema, the backup that it made is restored: what was recorded since is read from the venue again, no order id is used
# twice, and the engine makes no entries until `trading-engine-ctl resume`. Flat, it does not start before that.
# All of them are restored or none: every copy is made ready beside its state before the first one takes its place.
# What ran is started again, and what ran before the upgrade and has failed since.
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
alone
now="$(current_release)" || die "nothing is installed"
[[ -e "$opt/previous" ]] || die "there is no release to go back to"
before="$(readlink -f "$opt/previous")"
[[ "$now" != "$before" ]] || die "$(basename "$now") runs already; there is no other release to go back to"

log="$opt/last-upgrade"
# of STATE FIELD: what the upgrade wrote down about a state: 2 the copy, 3 whether its engine ran.
of() { awk -F '\t' -v state="$1" -v field="$2" '$1 == state { print $field }' "$log" 2>/dev/null || true; }
checked() { as_account "$1/bin/trading-engine" db check --state "$2"; }

mapfile -t states < <(all_states)
running=() older=()
for state in "${states[@]}"; do
    unit="$(unit_of "$state")"
    if is_up "$unit" || { [[ "$(of "$state" 3)" == up ]] && systemctl is-failed --quiet "$unit"; }; then
        running+=("$state")
    fi
    if ! why="$(checked "$before" "$state" 2>&1)"; then
        checked "$now" "$state" >/dev/null 2>&1 ||
            die "$state: its database is not well, which going back does not mend; nothing was done: $why"
        older+=("$state")
    fi
done
say "from $(basename "$now") back to $(basename "$before"); running: ${running[*]:-none}"
for state in "${older[@]}"; do
    is_on_server "$state" &&
        die "$state is on a PostgreSQL server and of a newer schema: bring the dump of before the upgrade back there first"
    copy="$(of "$state" 2)"
    [[ -n "$copy" && -e "$copy" ]] || die "$state is of a newer schema, and the backup of before the upgrade is gone"
    say "$state is of a newer schema: $copy would be restored"
done
[[ -z "$dry_run" ]] || exit 0
for state in "${running[@]}"; do
    config="$(config_of "$state")"
    in_service "$state" "$before" validate --config "$config" || die "the old release refuses $config; nothing was stopped"
    in_service "$state" "$before" arm --show --config "$config" ||
        die "arm it for the old release first: trading-engine-ctl --release $before arm --config $config; nothing was stopped"
done
if [[ -z "$yes" ]]; then
    read -r -p "go back? [y/N] " answer
    [[ "$answer" == [yY]* ]] || die "nothing was done"
fi

# Whatever goes wrong before the switch, the release of now goes on with the databases of now.
is_stopped='' is_switched='' moved=()
go_on() {
    trap - EXIT INT TERM HUP
    set +e # also where nobody reads any more what is said
    [[ -n "$is_stopped" && -z "$is_switched" ]] || return 0
    local i
    for ((i = ${#moved[@]} - 2; i >= 0; i -= 2)); do # what was written down may not have been done yet
        [[ -e "${moved[i]}" || ! -e "${moved[i + 1]}" ]] || as_account mv -T "${moved[i + 1]}" "${moved[i]}" ||
            say "${moved[i]} could not be put back: it is ${moved[i + 1]}"
    done
    clear_away
    start_all "${running[@]}" || say "not every engine has started again: systemctl --failed"
    say "$(basename "$now") goes on; run this again once the cause is gone"
}
# ready STATE: its copy as an engine would find it, in a folder of its own on the same disk.
ready() { echo "$1/.rollback"; }
clear_away() {
    local state
    for state in "${older[@]}"; do as_account rm -rf "$(ready "$state")"; done
}
rename() {
    moved+=("$1" "$2")
    as_account mv -T "$1" "$2"
}
# What is made ready takes its place; what was there is kept beside it, with its log, which must never meet another file.
swap() {
    local state="$1" name suffix stamp
    stamp="$(date -u +%Y%m%dT%H%M%S.%3NZ)"
    for name in engine.db paper.db; do
        [[ -e "$(ready "$state")/$name" ]] || continue
        for suffix in '' -wal -shm -journal; do
            [[ ! -e "$state/$name$suffix" ]] || rename "$state/$name$suffix" "$state/$name.replaced-$stamp$suffix" || return 1
        done
        rename "$(ready "$state")/$name" "$state/$name" || return 1
    done
    as_account sync "$state"
}
trap go_on EXIT
trap 'exit 130' INT TERM HUP

is_stopped=1
stop_all "${states[@]}"
clear_away
for state in "${older[@]}"; do
    as_account "$now/bin/trading-engine" db backup --state "$state" || true # for whoever wants to look at it later
    if ! as_account "$before/bin/trading-engine" db restore "$(of "$state" 2)" --state "$(ready "$state")" ||
        ! checked "$before" "$(ready "$state")" >/dev/null; then
        die "$state: its backup cannot be restored; nothing was changed"
    fi
done
for state in "${older[@]}"; do
    swap "$state" || die "$state: its backup cannot be put in its place; every database is as it was"
done
point "$opt/current" "$before"
is_switched=1
clear_away
run rm -f "$opt/previous"
install_units "$before"
start_all "${running[@]}" || for state in "${running[@]}"; do
    unit="$(unit_of "$state")"
    is_up "$unit" || say "$unit does not start: $(journalctl -u "$unit" -n 1 -o cat)"
done
[[ ${#older[@]} -eq 0 ]] ||
    say "restored: compare (trading-engine-ctl reconcile --plan --config …), then trading-engine-ctl resume"
say "done: $(basename "$before")"
