#!/usr/bin/env bash
# A backup that was never restored is a hope: restores the newest one of every engine to a scratch directory, checks
# pages, keys and schema, audits the books, and says how far it reaches.
#
#   verify-backup.sh [STATE ...]     default: the state of trading-engine.service and of every instance
set -euo pipefail
here="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
# shellcheck source=deploy/lib.sh
. "$here/lib.sh"

engine="$here/../bin/trading-engine"
scratch="$(mktemp -d "${CACHE_DIRECTORY:-${TMPDIR:-/tmp}}/verify.XXXXXX")"
trap 'rm -rf "$scratch"' EXIT

verify() {
    local state="$1" newest into="$scratch/state"
    if is_on_server "$state"; then
        say "$state is on a PostgreSQL server: its backups are there"
        return 0
    fi
    newest="$(newest_backup "$state")"
    if [[ -z "$newest" ]]; then
        say "<3>$state: there is no backup"
        return 1
    fi
    rm -rf "$into"
    "$engine" db restore "$newest" --state "$into" >/dev/null || return 1
    "$engine" db check --state "$into" >/dev/null || return 1
    "$engine" audit --state "$into" || return 1
    printf '%s: restored and audited, %s records\n' "$newest" \
        "$("$engine" status --json --state "$into" | sed -n 's/.*"journal": *\([0-9]*\).*/\1/p')"
}

states=("$@")
[[ ${#states[@]} -gt 0 ]] || mapfile -t states < <(all_states)
failed=0
for state in "${states[@]}"; do
    verify "$state" || { say "<3>the newest backup of $state cannot be relied on"; failed=1; }
done
exit "$failed"
