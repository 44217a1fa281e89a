#!/usr/bin/env bash
# Checked copies of the databases of every engine on this machine, into backups/ of its state. Engines may run.
#
#   backup.sh [STATE ...]     default: the state of trading-engine.service and of every instance
#
# Copies are thinned out: all of two days, one a day of a month, one a month of a year.
set -euo pipefail
here="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
# shellcheck source=deploy/lib.sh
. "$here/lib.sh"

states=("$@")
[[ ${#states[@]} -gt 0 ]] || mapfile -t states < <(all_states)
failed=0
for state in "${states[@]}"; do
    if is_on_server "$state"; then
        say "$state is on a PostgreSQL server: it is backed up there (pg_dump), not here"
    elif ! "$here/../bin/trading-engine" db backup --state "$state" --thin-out; then
        say "<3>backup of $state failed"
        failed=1
    fi
done
exit "$failed"
