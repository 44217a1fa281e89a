#!/usr/bin/env bash
# The front door: sets up on first use, then runs the demo, the tests, or any command.
#
#   ./run.sh                    the demo: synthetic markets, no keys, no network
#   ./run.sh test [arguments]   the tests (arguments go to pytest)
#   ./run.sh COMMAND …          the same as `trading-engine COMMAND …`
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
venv="$root/.venv"
python="$venv/bin/python"

say() { printf '%s\n' "$*" >&2; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        if [[ -n "$candidate" ]] && "$candidate" -c \
            'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    say "run.sh: Python 3.11, 3.12 or 3.13 is needed and none was found (set PYTHON=/path/to/python3)"
    exit 2
}

# Installs a lock once; a changed lock is installed again. Hashes are checked.
install() {
    local lock="$1" stamp
    stamp="$venv/.installed-$(basename "$lock")"
    if [[ ! -x "$python" ]]; then
        say "setting up $venv …"
        "$(find_python)" -m venv "$venv"
    fi
    if ! cmp -s "$lock" "$stamp"; then
        say "installing $(basename "$lock") (hashes checked) …"
        "$python" -m pip --disable-pip-version-check --quiet install --require-hashes --requirement "$lock"
        cp "$lock" "$stamp"
    fi
}

export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"

if [[ "${1:-}" == test ]]; then
    shift
    install "$root/requirements-test.lock"
    cd "$root"
    unset PYTHONDONTWRITEBYTECODE  # hundreds of starts: each would compile every module anew
    if [[ $# -eq 0 ]]; then
        # The tests of the pure core also prove that every branch of it is tested; measuring that beside the others
        # would slow them down to no use.
        core=(tests/unit/domain tests/unit/rules tests/unit/core tests/property/test_core.py tests/property/test_domain.py
              tests/property/test_marketdata.py)
        # Compiled once and beside them: the workers of the next tests would each do it for themselves.
        "$python" -c 'from trading_engine.backtest.compiled import ready_loop; ready_loop()' &
        compiling=$!
        "$python" -m pytest "${core[@]}" \
            --cov=trading_engine.domain --cov=trading_engine.rules --cov=trading_engine.core \
            --cov-branch --cov-fail-under=100 --cov-report=term:skip-covered
        wait "$compiling"
        "$python" -m pytest -n 4 "${core[@]/#/--ignore=}" --ignore=tests/sim --ignore=tests/e2e
        set -- -n 3 tests/sim tests/e2e
    fi
    exec "$python" -m pytest "$@"
fi

install "$root/requirements.lock"
if [[ $# -eq 0 ]]; then
    cd "$root"
    state="$(mktemp -d "${TMPDIR:-/tmp}/trading-engine-demo.XXXXXX")"
    say "demo: three synthetic markets on a fresh state in $state"
    exec "$python" -m trading_engine run --config configs/demo.yaml --speed max --seed 7 --state "$state"
fi
exec "$python" -m trading_engine "$@"
