"""Time and size of a backtest's report: `python benchmarks/report_size.py [--days 365] [--trades 1000] [--symbols 1]`.

Random walks of 1-minute candles with that many trades on them, of a few hours at most; it prints what each kind of
file takes to write (the best of three) and how large it is.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np

from trading_engine.backtest.equity import Curve, Sample
from trading_engine.backtest.market import Market, make_market
from trading_engine.backtest.report import Run, make_run, write_csv, write_json, write_report
from trading_engine.backtest.result import Outcome, Trade
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.lifecycle import CloseReason
from trading_engine.domain.time import HOUR_MS, MINUTE_MS, parse_iso
from trading_engine.marketdata.block import CandleBlock, from_units
from trading_engine.venues.embedded.terms import Terms

START_MS = parse_iso("2025-01-01")
DEPOSIT = Decimal(1000)
TICK = Decimal("0.1")


def _instrument(symbol: str) -> Instrument:
    tiers = (MarginTier(Decimal(10**9), Decimal("0.01"), Decimal(0), Decimal(50)),)
    units = (TICK, Decimal("0.001"), Decimal("0.001"), Decimal(1000), Decimal(5))
    return Instrument(symbol, *units, Decimal(50), tiers)


def _walk(symbol: str, rows: int, rng: np.random.Generator) -> CandleBlock:
    steps = np.rint(rng.normal(0, 400, rows)).astype(np.int64)
    closes = np.maximum(600_000 + np.cumsum(steps), 10_000)
    opens = np.concatenate([[600_000], closes[:-1]])
    wicks = rng.integers(0, 300, (2, rows))
    columns = (opens, np.maximum(opens, closes) + wicks[0], np.minimum(opens, closes) - wicks[1], closes)
    ts = START_MS + MINUTE_MS * np.arange(rows, dtype=np.int64)
    return from_units(_instrument(symbol), ts, columns, np.full(rows, 10**6, dtype=np.int64))


def _trades(market: Market, number: int, rng: np.random.Generator) -> list[Trade]:
    made = []
    for at in range(number):
        which = at % len(market.symbols)
        block = market.blocks[which]
        first = int(rng.integers(0, block.rows - 500))
        last = first + int(rng.integers(1, 480))
        entry, leaves = int(block.open[first]) * TICK, int(block.close[last]) * TICK
        quantity, gross = Decimal("0.003"), (leaves - entry) * Decimal("0.003")
        reason = CloseReason.TARGET if gross > 0 else CloseReason.STOP
        times = (int(block.ts[first]), int(block.ts[last]))
        levels = (entry * Decimal("0.99"), entry * Decimal("0.99"), entry * Decimal("1.03"))
        stop, now, target = (one.quantize(TICK) for one in levels)
        made.append(
            Trade(f"P{at:06d}", market.symbols[which], "long", "trend_vwap", *times, entry, quantity, leaves * quantity,
                  stop, now, target, gross, Decimal("0.2161"), Decimal("-0.0131"), reason, 2)
        )  # fmt: skip
    return sorted(made, key=lambda one: one.closed_ms)


def _run(days: int, trades: int, symbols: int) -> Run:
    rng = np.random.default_rng(1)
    names = [f"C{number:02d}USDT" for number in range(symbols)]
    market = make_market({name: _walk(name, days * 1440, rng) for name in names}, [], MINUTE_MS)
    made = _trades(market, trades, rng)
    hours = np.cumsum(rng.normal(0, 1, days * 24))
    samples = [
        Sample(START_MS + at * HOUR_MS, DEPOSIT + Decimal(f"{value:.8f}"), Decimal(0))
        for at, value in enumerate(hours.tolist())
        if at
    ]
    balance = DEPOSIT + sum((one.net_pnl for one in made), Decimal(0))
    outcome = Outcome("fast", DEPOSIT, tuple(made), Curve.of(samples), balance, Decimal(0), 0)
    instruments = {name: _instrument(name) for name in names}
    told: list[Run] = []
    print(f"measured in   {_best(lambda: told.append(_made(outcome, market, instruments))):8.3f} s")
    return told[-1]


def _made(outcome: Outcome, market: Market, instruments: dict[str, Instrument]) -> Run:
    return make_run(outcome, market, instruments, Terms(), ["trend_vwap"], "0" * 16)


def _best(act: Callable[[], object]) -> float:
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return min(taken)


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__)
    for name, usual in (("days", 365), ("trades", 1000), ("symbols", 1)):
        asked.add_argument(f"--{name}", type=int, default=usual)
    given = asked.parse_args()
    run = _run(given.days, given.trades, given.symbols)
    print(f"{run.market.rows:,} candles, {len(run.outcome.trades):,} trades")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, write in (
            ("report.html", lambda: write_report(place / "report.html", run)),
            ("result.json", lambda: write_json(place / "result.json", run)),
            ("trades.csv and equity.csv", lambda: write_csv(place, run)),
        ):
            taken = _best(write)
            size = sum((place / one).stat().st_size for one in name.split(" and "))
            print(f"{name:26} {taken:6.3f} s {size / 1e6:8.2f} MB")


if __name__ == "__main__":
    main()
