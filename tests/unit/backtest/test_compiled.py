"""The loop as machine code: `pytest -m slow tests/unit/backtest`; the first run on a machine compiles for a minute."""

from pathlib import Path

import pytest
from fakes.backtest_bench import DEPOSIT, draw

from trading_engine.backtest import compiled
from trading_engine.backtest.fast import NeedsFullEngine, run_fast
from trading_engine.backtest.result import compare


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


@pytest.mark.slow
def test_the_compiled_loop_does_what_the_interpreted_one_does() -> None:
    """The same function objects: a hundred markets, every field."""
    loop = compiled.compiled_loop()
    compared = 0
    for seed in range(100):
        case = draw(seed)
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
    assert compared > 300
