"""Candles on their way into the page: which of them, and that none changes."""

import base64
from typing import Any

import numpy as np
import pytest
from fakes.backtest_bench import MINUTE_MS, START_MS
from fakes.report_bench import outcome, run_of, trade, walk
from hypothesis import given
from hypothesis import strategies as st

from trading_engine.backtest.market import make_market
from trading_engine.backtest.page.candles import Ohlc, aggregate, around, coarse_interval, leb128, pack, stream
from trading_engine.domain.time import DAY_MS, HOUR_MS

YEAR = 525_600
DAY = make_market({"AAAUSDT": walk(1440)}, [], MINUTE_MS)


def numbers(packed: bytes) -> list[int]:
    """The integers of a stream, as the page reads them."""
    found, value, weight = [], 0, 1
    for byte in packed:
        value += (byte & 127) * weight
        weight *= 128
        if byte < 128:
            found.append(value)
            value, weight = 0, 1
    return found


def unpack(packed: dict[str, Any], interval_ms: int) -> list[tuple[int, ...]]:
    """The candles of a stream as rows, as the page makes them."""
    values = numbers(base64.b64decode(packed["data"]))
    rows, ts, previous = [], packed["first"], 0
    for at in range(0, len(values), 5):
        steps, gap, body, above, under = values[at : at + 5]
        ts += steps * interval_ms
        opened = previous + _unzig(gap)
        closed = opened + _unzig(body)
        rows.append((ts, opened, max(opened, closed) + above, min(opened, closed) - under, closed))
        previous = closed
    return rows


def _unzig(value: int) -> int:
    return -(value + 1) // 2 if value % 2 else value // 2


def rows_of(found: Ohlc) -> list[tuple[int, ...]]:
    """Columns as rows."""
    return list(zip(*(column.tolist() for column in found), strict=True))


@given(st.lists(st.integers(0, 2**60), max_size=20))
def test_numbers_survive_their_packing(values: list[int]) -> None:
    """Any number of zero or more, in any company."""
    assert values == numbers(leb128(np.array(values, dtype=np.int64)))


@pytest.mark.parametrize("kept", [1.0, 0.6])
def test_candles_survive_their_packing(kept: float) -> None:
    """Every price and time, also across missing candles."""
    block = walk(500)
    rows = np.flatnonzero(np.random.default_rng(3).random(500) < kept)
    found = Ohlc(block.ts[rows], block.open[rows], block.high[rows], block.low[rows], block.close[rows])
    packed = stream(found, MINUTE_MS)
    assert (len(rows), int(found.ts[0])) == (packed["count"], packed["first"])
    assert rows_of(found) == unpack(packed, MINUTE_MS)


def test_no_candles_are_an_empty_stream() -> None:
    """Around no trade there is nothing."""
    none = around(walk(100), [], 30 * MINUTE_MS, 5 * MINUTE_MS)
    assert {"count": 0, "first": 0, "data": ""} == stream(none, MINUTE_MS)


def test_longer_candles_are_what_their_minutes_were() -> None:
    """First open, highest high, lowest low, last close of each five minutes that has any candle."""
    block = walk(333)
    expected = []
    for start in range(int(block.ts[0]), int(block.ts[-1]) + 1, 5 * MINUTE_MS):
        rows = [at for at in range(block.rows) if start <= block.ts[at] < start + 5 * MINUTE_MS]
        highest, lowest = max(block.high[at] for at in rows), min(block.low[at] for at in rows)
        expected.append((start, block.open[rows[0]], highest, lowest, block.close[rows[-1]]))
    assert expected == rows_of(aggregate(block, 5 * MINUTE_MS))


def test_fine_candles_fill_whole_coarse_ones_around_entry_and_exit() -> None:
    """Ten minutes on either side of 01:00 and 02:00, widened to full quarters of an hour, in 1-minute candles."""
    made = around(walk(300), [trade(1, "1", 60, 60)], 10 * MINUTE_MS, 15 * MINUTE_MS)
    minutes = [(ts - START_MS) // MINUTE_MS for ts in made.ts.tolist()]
    assert [*range(45, 75), *range(105, 135)] == minutes


def test_the_whole_span_gets_the_finest_candles_that_are_few_enough() -> None:
    """Seven weeks of minutes as they are, a year of one symbol by 5 minutes, of six by half an hour."""
    week = walk(2)

    def lasting(minutes: int) -> Any:
        return week._replace(ts=np.array([START_MS, START_MS + (minutes - 1) * MINUTE_MS], dtype=np.int64))

    assert MINUTE_MS == coarse_interval([lasting(7 * 7 * 1440)], MINUTE_MS)
    assert 5 * MINUTE_MS == coarse_interval([lasting(YEAR)], MINUTE_MS)
    assert 30 * MINUTE_MS == coarse_interval([lasting(YEAR)] * 6, MINUTE_MS)
    assert HOUR_MS == coarse_interval([lasting(YEAR)], HOUR_MS)
    assert DAY_MS == coarse_interval([lasting(300 * YEAR)] * 50, MINUTE_MS)


def test_a_short_run_has_every_candle() -> None:
    """Where all fit nothing is left out, and the page says so."""
    whole = pack(run_of(outcome([trade(1, "1", 600, 30)]), DAY))
    assert "Every candle of 1m is here" in whole.told
    assert (1440, 0) == (whole.shape["symbols"][0]["coarse"]["count"], whole.shape["symbols"][0]["fine"]["count"])  # type: ignore[index]


@pytest.mark.parametrize(
    ("most_fine", "expected"),
    [
        (1000, "those of 1m, which were traded on, within 120 candles of every entry and exit"),
        (100, "those of 1m, which were traded on, within 30 candles of every entry and exit"),
        (10, "the run was traded on candles of 1m."),
    ],
)
def test_a_long_run_says_what_it_shows(most_fine: int, expected: str) -> None:
    """Candles of 5 minutes over the whole, and as many fine ones around trades as there is room for."""
    some = pack(run_of(outcome([trade(1, "1", 600, 30)]), DAY), most_coarse=300, most_fine=most_fine)
    assert (5 * MINUTE_MS, MINUTE_MS) == (some.shape["coarse_ms"], some.shape["fine_ms"])
    assert "candles of 5m over the whole span" in some.told
    assert expected in some.told
    assert (some.shape["symbols"][0]["fine"]["count"] <= most_fine) is True  # type: ignore[index]
