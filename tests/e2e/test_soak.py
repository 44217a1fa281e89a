"""The soak in its short form: a day of a market, three lives, and a moment on a venue whose connections break."""

import json
from pathlib import Path

import pytest
from e2e_tools import call

from trading_engine.simulation.soak import Life, _judge_wire, _line


@pytest.mark.slow
def test_a_short_soak_is_well(tmp_path: Path) -> None:
    """Killed once, asked to stop once, then to the end of the data; reconnects on the wire. pytest -m slow."""
    options = ["--days", "1", "--symbols", "2", "--restarts", "2", "--wire-minutes", "1"]
    done = call("soak", *options, "--folder", tmp_path / "soak", "--json")
    shown = json.loads(done.out)
    assert (0, True, []) == (done.code, shown["ok"], shown["failures"])
    assert ["killed", "asked to stop", "end of data"] == [life["ended"] for life in shown["lives"]]
    assert shown["wire"]["ended"] == "asked to stop"
    assert shown["reconnects"] > 0
    again = call("soak", *options, "--folder", tmp_path / "soak")
    assert 2 == again.code
    assert "is there already" in again.err


def test_growth_is_the_line_through_all_lives() -> None:
    """From the first to the last; what lies beside it is noise."""
    assert (0.0, 0.0) == _line([100, 120])
    slope, noise = _line([100, 102, 104, 106])
    assert (6, 0) == (round(slope, 9), round(noise, 9))
    slope, noise = _line([100, 110, 100, 110, 100, 110])
    assert noise > 4
    assert slope < 3 * noise


def test_a_process_that_grows_on_the_wire_is_told() -> None:
    """The second half against the first, without the start."""
    steady, growing = Life("asked to stop"), Life("asked to stop")
    steady.samples_mb = [50.0] * 30 + [100.0] * 90
    growing.samples_mb = [50.0] * 30 + [100.0] * 45 + [120.0] * 45
    assert [] == _judge_wire(steady)
    assert ["on the wire: memory grew by 20.0 MB in the second half"] == _judge_wire(growing)
    assert ["on the wire: failed with exit 70"] == _judge_wire(Life("failed with exit 70"))
