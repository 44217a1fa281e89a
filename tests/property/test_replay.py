"""Whatever symbols begin, pause and end when: the merge is the sorted union, from any time on."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.marketdata.block import CandleBlock, from_units
from trading_engine.marketdata.replay import Replay

START = 1_746_316_800_000
MINUTE = 60_000
INSTRUMENT = Instrument(
    symbol="any",
    tick=Decimal("0.5"),
    step=Decimal("0.25"),
    min_quantity=Decimal("0.25"),
    max_quantity=Decimal(1000),
    min_notional=Decimal(5),
    max_leverage=Decimal(100),
    tiers=(MarginTier(Decimal(10**9), Decimal("0.005"), Decimal(0), Decimal(100)),),
)


@dataclass(frozen=True)
class Series:
    """Candles at these minutes, given in blocks of this size; the open says which candle of which symbol."""

    symbol: str
    minutes: tuple[int, ...]
    block_rows: int
    interval_ms: int = MINUTE

    @property
    def first_ts(self) -> int:
        """Open time of the first candle."""
        return START + self.minutes[0] * MINUTE

    @property
    def last_ts(self) -> int:
        """Open time of the last candle."""
        return START + self.minutes[-1] * MINUTE

    def price(self, minute: int) -> int:
        """The open of a candle, in ticks."""
        return 1_000 + minute * 10 + ord(self.symbol)

    def blocks(self, from_ts: int = 0) -> Iterator[CandleBlock]:
        """The candles from a time on."""
        kept = [minute for minute in self.minutes if START + minute * MINUTE >= from_ts]
        for start in range(0, len(kept), self.block_rows):
            minutes = np.array(kept[start : start + self.block_rows], np.int64)
            ticks = 1_000 + minutes * 10 + ord(self.symbol)
            yield from_units(
                INSTRUMENT, START + minutes * MINUTE, (ticks, ticks + 2, ticks - 2, ticks + 1), minutes + 1
            )


# Dense runs (nobody misses a candle), sparse ones, and ones far apart; longer than a window of the merge.
RUNS = st.builds(range, st.integers(0, 3_000), st.integers(0, 6_000), st.sampled_from([1, 1, 1, 2, 7, 500]))
MINUTES = st.lists(RUNS, min_size=1, max_size=3).map(
    lambda runs: tuple(sorted({0} | {minute for run in runs for minute in run}))
)
MARKETS = st.lists(
    st.builds(Series, st.sampled_from("ABCD"), MINUTES, st.sampled_from([1_000, 4_096, 333])),
    min_size=1,
    max_size=4,
    unique_by=lambda series: series.symbol,
)


def _expected(market: list[Series]) -> list[tuple[int, str, int]]:
    return sorted(
        (START + minute * MINUTE, series.symbol, series.price(minute)) for series in market for minute in series.minutes
    )


@settings(max_examples=40, deadline=None)
@given(MARKETS)
def test_the_merge_is_the_sorted_union(market: list[Series]) -> None:
    """Every candle once, by time, then by symbol, under its own time, with its own floats."""
    batches = list(Replay(market).batches())
    candles = [(batch.open_time_ms, candle) for batch in batches for candle in batch.candles]
    assert _expected(market) == [(ts, candle.symbol, candle.open) for ts, candle in candles]
    assert all(ts == candle.open_time_ms for ts, candle in candles)
    times = [batch.open_time_ms for batch in batches]
    assert sorted(set(times)) == times
    floats = [values for batch in batches for values in batch.floats]
    assert [(c.open * 0.5, c.high * 0.5, c.low * 0.5, c.close * 0.5, c.volume * 0.25) for _, c in candles] == floats


@settings(max_examples=40, deadline=None)
@given(MARKETS, st.integers(-10, 6_010), st.integers(0, MINUTE - 1))
def test_a_restart_gives_the_tail_of_the_full_run(market: list[Series], minute: int, offset_ms: int) -> None:
    """Where a run begins changes nothing about the batches from there on."""
    replay = Replay(market)
    from_ts = START + minute * MINUTE + offset_ms
    tail = [batch for batch in replay.batches() if batch.open_time_ms >= from_ts]
    assert tail == list(replay.batches(from_ts))


@settings(max_examples=40, deadline=None)
@given(MARKETS, st.integers(-10, 20_000), st.integers(0, 3_000))
def test_history_is_the_end_of_what_came_before(market: list[Series], minute: int, count: int) -> None:
    """The last candles before a time, however many are missing in between."""
    series = market[0]
    before = [START + one * MINUTE for one in series.minutes if one < minute]
    block = Replay(market).history(series.symbol, START + minute * MINUTE, count)
    assert before[max(0, len(before) - count) :] == block.ts.tolist()
