"""History for the first live candle: what is asked of the venue, and that it is enough."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, floor_to
from trading_engine.runtime.brain import Brain
from trading_engine.runtime.warm_up import read_higher
from trading_engine.strategy.builtin.momentum import Momentum
from trading_engine.strategy.builtin.rsi_bollinger import RsiBollinger
from trading_engine.strategy.filters import TrendFilter

NOW_MS = 20_000 * DAY_MS + 7 * HOUR_MS + 23 * MINUTE_MS
INSTRUMENT = Instrument(
    symbol="A",
    tick=Decimal("0.5"),
    step=Decimal("0.1"),
    min_quantity=Decimal("0.1"),
    max_quantity=Decimal(100),
    min_notional=Decimal(5),
    max_leverage=Decimal(50),
    tiers=(MarginTier(Decimal(10**9), Decimal("0.005"), Decimal(0), Decimal(50)),),
)


class History:
    """A venue whose candles move a little; it tells what was asked, and has no candles of `missing`."""

    def __init__(self, missing: int = 0) -> None:
        self.missing = missing
        self.asked: list[tuple[int, int]] = []

    async def candles(self, symbol: str, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """Every candle that opens in the span, the one that still forms included."""
        if interval_ms == self.missing:
            raise ConfigInvalid("no such interval")
        assert 0 == since_ms % interval_ms
        times = range(since_ms, until_ms, interval_ms)
        self.asked.append((interval_ms, len(times)))
        return [Candle(symbol, ts, interval_ms, 100, 103, 97, 100 + ts // interval_ms % 3, 5) for ts in times]


def _warm(history: History, *strategies: Momentum | RsiBollinger, trend: TrendFilter | None = None) -> Brain:
    filters = {each.name: (trend,) for each in strategies} if trend else {}
    brain = Brain({"A": strategies}, {"A": INSTRUMENT}, MINUTE_MS, filters)
    asyncio.run(_read(history, brain))
    return brain


async def _read(history: History, brain: Brain) -> None:
    """What a run does: long windows first, and then the feed's minutes, of which it takes one more."""
    past = await read_higher(history, brain, ["A"], NOW_MS)
    since_ms = NOW_MS - (past.base_counts["A"] + 1) * MINUTE_MS
    past.teach(brain, {"A": INSTRUMENT}, {"A": await history.candles("A", MINUTE_MS, since_ms, NOW_MS)})


def _counts(brain: Brain, *intervals: int) -> list[int]:
    return [brain._evaluators["A"]._window.count(interval_ms) for interval_ms in intervals]


def test_long_windows_come_as_they_are_and_minutes_cover_what_forms() -> None:
    """2,965 quarters, 200 closed days and more, and the minutes of today so far, some to spare."""
    history = History()
    brain = _warm(history, Momentum(), trend=TrendFilter(DAY_MS, 200))
    assert {15 * MINUTE_MS: 2_966, DAY_MS: 2_966, MINUTE_MS: 1_442} == dict(history.asked)
    assert [2_965, 2_965] == _counts(brain, 15 * MINUTE_MS, DAY_MS)
    forming = [NOW_MS + minute * MINUTE_MS for minute in range(2 * 1_440)]
    for ts in forming:
        brain.signals((Candle("A", ts, MINUTE_MS, 100, 103, 97, 100, 5),))
    end_ms = forming[-1] + MINUTE_MS
    last = brain._evaluators["A"].series(DAY_MS, 2)
    assert [floor_to(end_ms, DAY_MS) - 2 * DAY_MS, floor_to(end_ms, DAY_MS) - DAY_MS] == last.ts.tolist()


def test_short_windows_come_in_minutes() -> None:
    """Nothing but minutes is asked for 100 quarters."""
    history = History()
    rules = RsiBollinger(rsi_period=2, atr_period=2)
    brain = _warm(history, rules)
    assert [(MINUTE_MS, (rules.warm_up + 1) * 15 + 1)] == history.asked
    assert rules.warm_up <= _counts(brain, 15 * MINUTE_MS)[0]


def test_an_interval_that_the_venue_lacks_is_made_of_minutes() -> None:
    """390 quarters are 5,850 minutes."""
    history = History(missing=15 * MINUTE_MS)
    brain = _warm(history, RsiBollinger())
    assert [(MINUTE_MS, 390 * 15 + 1)] == history.asked
    assert [389] == _counts(brain, 15 * MINUTE_MS)


def test_a_symbol_without_strategies_asks_for_a_minute() -> None:
    """And one whose venue has none for nothing more."""
    history = History()
    _warm(history)
    assert [(MINUTE_MS, 1)] == history.asked
