"""Three SIGKILLs on a small market; `kill_loop.py --kills 100` is the long form."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from e2e_tools import NO_LIMITS, write_config, write_market

KILLS = 3
MARKETS = {"SOLUSDT": "wlhv" * 5, "ETHUSDT": "lwvh" * 5}  # dense with trades, so that kills meet them


@pytest.fixture(scope="module")
def kill_loop() -> ModuleType:
    """The script as a module; it lies beside this file and is no package."""
    path = Path(__file__).with_name("kill_loop.py")
    spec = importlib.util.spec_from_file_location("kill_loop", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


@pytest.mark.timeout(900)  # some ten starts of a process: less than a minute on an idle machine
def test_killed_anywhere_it_ends_with_the_trades_of_a_run_that_was_not(kill_loop: ModuleType, tmp_path: Path) -> None:
    """Random moments and named points; stops stand after every boot, audit is ok, trades are equal byte for byte."""
    config = write_config(tmp_path, symbols=list(MARKETS), risk={**NO_LIMITS, "max_positions": len(MARKETS)})
    base = ["run", "--config", str(config), "--speed", "max", "--seed", "7"]
    for symbol, acts in MARKETS.items():
        base += ["--replay", f"{symbol}={write_market(tmp_path / symbol, acts)}"]
    report = kill_loop.loop(base, KILLS, 1, tmp_path)
    kills = dict(report.kills)
    assert (KILLS, KILLS) == (report.rounds, kills.pop(kill_loop.RECOVERED))
    assert KILLS == sum(kills.values())
    assert set(kills) <= {"random", *kill_loop.POINTS}
    assert len(kills) > 1
    assert report.cycles >= 1
