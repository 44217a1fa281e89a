"""The engine and each venue's server killed on real sockets; `venue_kill_loop.py --kills 100` is the long form."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

LOOP = Path(__file__).with_name("venue_kill_loop.py")
SHORT = ["--kills", "2", "--server-kills", "1", "--symbols", "4", "--slice", "2"]


@pytest.mark.timeout(600)  # some twenty seconds on an idle machine
@pytest.mark.parametrize("venue", ["binance", "bingx", "zoomex"])
def test_killed_on_a_venue_it_loses_nothing_and_sends_nothing_twice(venue: str) -> None:
    """Both die and come back; orders, fills, stops and money agree with the venue's own, and the end adds up."""
    done = subprocess.run(
        [sys.executable, str(LOOP), "--venue", venue, *SHORT], capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr[-6_000:]
    kills = re.match(r"(\d+) kills of the engine and (\d+) of the server", done.stdout)
    assert kills is not None
    assert int(kills[1]) >= 2
    assert int(kills[2]) >= 1
    assert re.search(r"^[1-9]\d* trades, ", done.stdout, re.MULTILINE), done.stdout
    assert "= ledger" in done.stdout
