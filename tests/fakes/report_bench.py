"""Runs for reports: of real engines, or with trades put together by hand."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import numpy as np
from fakes.backtest_bench import MINUTE_MS, START_MS, draw, instrument
from msgspec import structs

from trading_engine.backtest.equity import Curve, Sample
from trading_engine.backtest.market import Market, make_market
from trading_engine.backtest.report import Run, make_run
from trading_engine.backtest.result import Outcome, Trade
from trading_engine.domain.lifecycle import CloseReason
from trading_engine.domain.time import DAY_MS, HOUR_MS
from trading_engine.marketdata.block import CandleBlock, from_units
from trading_engine.venues.embedded.terms import Terms

ZERO = Decimal(0)
DEPOSIT = Decimal(1000)


def trade(number: int = 1, net: str = "1", opened: int = 0, minutes: int = 30, **changes: object) -> Trade:
    """A long of 1 coin at 100 with its stop at 90, so that R is 10; `opened` in minutes after the start."""
    base = Trade(
        position_id=f"P{number:06d}",
        symbol="AAAUSDT",
        side="long",
        strategy="alpha",
        opened_ms=START_MS + opened * MINUTE_MS,
        closed_ms=START_MS + (opened + minutes) * MINUTE_MS,
        entry_price=Decimal(100),
        quantity=Decimal(1),
        exit_value=Decimal(100) + Decimal(net),
        initial_stop=Decimal(90),
        stop_price=Decimal(90),
        target_price=Decimal(130),
        gross_pnl=Decimal(net),
        fees=ZERO,
        funding=ZERO,
        close_reason=CloseReason.TARGET if Decimal(net) > 0 else CloseReason.STOP,
        fills=2,
    )
    return structs.replace(base, **changes)  # type: ignore[arg-type]


def outcome(trades: Sequence[Trade] = (), samples: Iterable[Sample] = (), **changes: object) -> Outcome:
    """What is left after these trades, with nothing open."""
    balance = DEPOSIT + sum((one.net_pnl for one in trades), ZERO)
    made = Outcome("fast", DEPOSIT, tuple(trades), Curve.of(samples), balance, ZERO, 0)
    return structs.replace(made, **changes)  # type: ignore[arg-type]


def of_equity(values: Sequence[float | str | Decimal], start_ms: int = START_MS, step_ms: int = DAY_MS) -> Outcome:
    """An account that had these balances, one after each step; the first is the deposit."""
    exact = [Decimal(str(value)) for value in values]
    samples = [Sample(start_ms + at * step_ms, value, ZERO) for at, value in enumerate(exact) if at]
    return structs.replace(outcome(samples=samples[:-1]), deposit=exact[0], balance=exact[-1])


def hourly(prices: Sequence[int], symbol: str = "AAAUSDT") -> Market:
    """Candles of an hour that go from one of these prices (in ticks of 0.1) to the next."""
    opens, closes = np.array(prices[:-1], dtype=np.int64), np.array(prices[1:], dtype=np.int64)
    columns = (opens, np.maximum(opens, closes), np.minimum(opens, closes), closes)
    ts = START_MS + HOUR_MS * np.arange(len(opens), dtype=np.int64)
    block = from_units(instrument(symbol), ts, columns, np.full(len(ts), 10**6, dtype=np.int64))
    return make_market({symbol: block}, [], HOUR_MS)


def walk(rows: int, symbol: str = "AAAUSDT", seed: int = 1) -> CandleBlock:
    """A random walk of 1-minute candles."""
    rng = np.random.default_rng(seed)
    closes = 10_000 + np.cumsum(rng.integers(-3, 4, rows)).astype(np.int64)
    closes = np.maximum(closes, 100)
    opens = np.concatenate([[10_000], closes[:-1]]).astype(np.int64)
    highs, lows = (
        np.maximum(opens, closes) + rng.integers(0, 3, rows),
        np.minimum(opens, closes) - rng.integers(0, 3, rows),
    )
    ts = START_MS + MINUTE_MS * np.arange(rows, dtype=np.int64)
    return from_units(instrument(symbol), ts, (opens, highs, lows, closes), np.full(rows, 10**6, dtype=np.int64))


def run_of(made: Outcome, market: Market, terms: Terms | None = None, strategies: Sequence[str] = ("alpha",)) -> Run:
    """An outcome on a market, ready to be told."""
    instruments = {symbol: instrument(symbol) for symbol in market.symbols}
    return make_run(made, market, instruments, terms or Terms(), strategies, "c0ffee")


def traded(seed: int = 2, minutes: int = 600) -> Run:
    """A run of the full engine on a drawn market."""
    case = draw(seed, minutes)
    return make_run(case.full(), case.market, case.settings.instruments, case.terms, case.spoken.strategies, "c0ffee")
