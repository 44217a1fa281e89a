"""The loop as machine code: `pytest -m slow tests/unit/backtest`; the first run on a machine compiles for a minute."""

import subprocess
import sys
from pathlib import Path

import pytest
from fakes.backtest_bench import DEPOSIT, MINUTE_MS, START_MS, delay, draw, moved

from trading_engine.backtest import compiled, machine
from trading_engine.backtest.assembler import object_code
from trading_engine.backtest.fast import NeedsFullEngine, run_fast
from trading_engine.backtest.result import compare
from trading_engine.domain.errors import InvariantBroken
from trading_engine.domain.time import DAY_MS

CODE = object_code(f"define void @{machine.SYMBOL}() {{ ret void }}", machine.SYMBOL, ())
ALONE = """
import platform, sys
from trading_engine.backtest import compiled
compiled.ready_loop()
assert "numba" not in sys.modules
assert platform.machine() != "x86_64" or "llvmlite.binding" not in sys.modules
"""


def test_sources_that_are_replaced_while_a_process_runs_keep_its_machine_code_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The folder is named after what was loaded, not after what lies on the disk by now."""
    folder = compiled.cache_folder()
    newer = tmp_path / "matching.py"
    newer.write_text("# another version\n", encoding="utf-8")
    monkeypatch.setattr(compiled._MODULES[-4], "__file__", str(newer))
    assert folder == compiled.cache_folder()
    assert not folder.name.endswith(compiled._digest())


def test_a_cache_that_cannot_be_read_is_an_empty_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Somebody else's folder, or a file in its place, means compiling, not failing."""
    (tmp_path / "trading-engine").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled.kept_loop() is None


@pytest.mark.slow
def test_the_compiled_loop_does_what_the_interpreted_one_does() -> None:
    """The same function objects: a hundred markets, every field; each with fills that are late or dearer as well.

    Some lack the minutes before a midnight.
    """
    loop = compiled.ready_loop()
    compared = 0
    drawn = [(seed, draw(seed)) for seed in range(100)]
    hole = range(START_MS + DAY_MS - 7 * MINUTE_MS, START_MS + DAY_MS)
    holed = [(seed, moved(case, DAY_MS - 120 * MINUTE_MS, hole)) for seed, case in drawn[:30]]
    for seed, case in [*drawn, *((seed, delay(case, seed)) for seed, case in drawn), *holed]:
        try:
            interpreted = case.fast()
        except NeedsFullEngine as error:
            with pytest.raises(NeedsFullEngine, match=str(error)):
                run_fast(case.market, case.spoken, case.settings, case.terms, DEPOSIT, loop)
            continue
        fast = run_fast(case.market, case.spoken, case.settings, case.terms, DEPOSIT, loop)
        assert [] == compare(fast, interpreted), seed
        assert fast.samples == interpreted.samples, seed
        compared += len(fast.trades)
    assert compared > 500


def test_a_kept_file_that_was_damaged_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Machine code is called, whatever it says: each bit of it is looked at before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiled, "_compile", lambda: CODE)
    compiled.ready_loop()
    (kept,) = compiled.cache_folder().iterdir()
    assert compiled.kept_loop() is not None
    whole = kept.read_bytes()
    for damaged in (whole[:-1], whole[:-9] + b"\1" + whole[-8:], b""):
        kept.write_bytes(damaged)
        assert compiled.kept_loop() is None


@pytest.mark.slow
def test_llvm_loads_the_same_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where object code cannot be placed as it is."""
    compiled.ready_loop()
    loops = [compiled.kept_loop()]
    monkeypatch.setattr(machine, "place", lambda *_: None)
    loops.append(compiled.kept_loop())
    for seed in range(10):
        case = draw(seed)
        placed, linked = (
            run_fast(case.market, case.spoken, case.settings, case.terms, DEPOSIT, loop) for loop in loops if loop
        )
        assert [] == compare(placed, linked), seed


@pytest.mark.slow
def test_machine_code_that_is_at_hand_needs_no_compiler() -> None:
    """A process that only loads it imports no numba, and where code is placed as it is no LLVM."""
    compiled.ready_loop()
    assert compiled.kept_loop() is not None
    subprocess.run([sys.executable, "-c", ALONE], check=True, timeout=120)


def test_a_loop_that_does_not_come_to_its_end_is_noticed() -> None:
    """Machine code cannot raise here: what it leaves behind is not taken for a result."""
    loop = machine.Loaded(CODE)
    case = draw(1)
    with pytest.raises(InvariantBroken, match="the compiled loop has failed"):
        run_fast(case.market, case.spoken, case.settings, case.terms, DEPOSIT, loop)
