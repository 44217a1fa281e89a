"""The parity table, in short: every built-in strategy for a few days of a synthetic market, and the table's own eyes.

`python tests/parity/parity_table.py` is the long form: recorded and synthetic markets, tens of thousands of trades.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from parity import parity_table
from parity.cases import SOL, SYNTHETIC, Case, every_case

from trading_engine.backtest.result import Difference
from trading_engine.strategy.registry import names

pytestmark = pytest.mark.xdist_group("compiled")  # machine code is made once

SHORT = {
    "rsi_bollinger": (5, "range"),
    "momentum": (5, "trend"),
    "trend_vwap": (2, "gaps"),
    "multi_timeframe_long": (2, "crash"),
    "trend_distance_short": (1, "crash"),
}
LEAST = 8


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> parity_table.Bench:
    """Synthetic markets only."""
    return parity_table.Bench(Path("nowhere"), tmp_path_factory.mktemp("parity"), synthetic_days=7)


@pytest.mark.parametrize("name", names())
def test_both_engines_trade_a_built_in_strategy_alike(bench: parity_table.Bench, name: str) -> None:
    """Every field of every trade, the equity of every hour, the balance."""
    days, market = SHORT[name]
    row, told = parity_table.run_case(bench, Case(name, market, (SOL,), (name,), days, least=LEAST))
    assert ([], "", 0) == (told, row.fault, row.differences)
    assert row.trades >= LEAST


def test_every_built_in_strategy_is_compared_on_enough_markets() -> None:
    """Three recorded sets and four synthetic ones each, whatever strategies there will be."""
    plain = [case for case in every_case() if not case.is_variant and case.is_eager and len(case.strategies) == 1]
    for name in names():
        markets = {case.market for case in plain if case.strategies == (name,)}
        recorded = {case.symbols for case in plain if case.strategies == (name,) and case.market == "recorded"}
        assert {*SYNTHETIC, "recorded"} == markets, name
        assert len(recorded) >= 3, name


def test_a_case_that_shows_less_than_it_is_there_for_is_a_fault(bench: parity_table.Bench) -> None:
    """Too few trades, an end that no trade has, a change that changes nothing."""
    case = Case("short", "range", (SOL,), ("trend_vwap",), 1, least=0)
    assert "trades, fewer than 1000" in parity_table.run_case(bench, replace(case, least=1_000))[0].fault
    lonely = replace(case, reasons=frozenset({"liquidation"}))
    assert "no trade ended by liquidation" == parity_table.run_case(bench, lonely)[0].fault
    idle = replace(case, changes={"risk": {"min_balance_pct": 1}})
    assert "it trades as its plain case does" in parity_table.run_case(bench, idle)[0].fault


def test_a_difference_is_told_and_ends_in_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One field of one trade is enough."""
    one = Case("short", "range", (SOL,), ("trend_vwap",), 1, least=0)
    monkeypatch.setattr(parity_table, "every_case", lambda: (one,))
    assert 0 == parity_table.main(["--only", "short"])
    differs = [Difference("p-000000001", "net_pnl", "1", "2")]
    monkeypatch.setattr("trading_engine.backtest.job.compare", lambda _fast, _full: differs)
    assert 1 == parity_table.main(["--only", "short"])
    out, err = capsys.readouterr()
    assert "p-000000001 net_pnl: fast 1, full 2" in err
    assert "1 cases" in out


def test_what_has_no_recorded_candles_is_skipped_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table without a row proves nothing: exit 1."""
    assert 1 == parity_table.main(["--only", "filter", "--data", str(tmp_path)])
    assert f"skipped: 6 cases, for there are no recorded candles in {tmp_path}" in capsys.readouterr().out
