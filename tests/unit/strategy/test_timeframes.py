"""Resampling to higher intervals and looking at them without seeing the future."""

import numpy as np
import pytest

from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy.api import Series
from trading_engine.strategy.timeframes import as_of, pick, resample

FIVE = 5 * MINUTE_MS


def _series(minutes: list[int]) -> Series:
    """Candles at the given minutes: open = minute, close = minute + 0.5, wicks of 1, volume 1."""
    opens = np.array(minutes, dtype=np.float64)
    return Series(
        np.array(minutes, dtype=np.int64) * MINUTE_MS,
        opens,
        opens + 1,
        opens - 1,
        opens + 0.5,
        np.ones(len(minutes)),
        MINUTE_MS,
    )


def _minutes(series: Series) -> list[int]:
    return [ts // MINUTE_MS for ts in series.ts.tolist()]


def test_a_higher_candle_is_made_of_its_base_candles() -> None:
    """First open, highest high, lowest low, last close, sum of volumes."""
    higher = resample(_series(list(range(5, 15))), FIVE)
    assert [5, 10] == _minutes(higher)
    assert [5.0, 10.0] == higher.open.tolist()
    assert [10.0, 15.0] == higher.high.tolist()
    assert [4.0, 9.0] == higher.low.tolist()
    assert [9.5, 14.5] == higher.close.tolist()
    assert [5.0, 5.0] == higher.volume.tolist()
    assert FIVE == higher.interval_ms


def test_a_candle_that_has_not_ended_is_not_there() -> None:
    """Four of five minutes make no candle; the fifth does."""
    assert [0] == _minutes(resample(_series(list(range(9))), FIVE))
    assert [0, 5] == _minutes(resample(_series(list(range(10))), FIVE))


def test_a_bucket_with_missing_candles_counts_once_its_end_has_passed() -> None:
    """Missing inside, missing at the end (seen with the next bucket) and a bucket without any candle."""
    assert [0] == _minutes(resample(_series([0, 1, 4]), FIVE))
    assert [] == _minutes(resample(_series([0, 1, 3]), FIVE))
    assert [0] == _minutes(resample(_series([0, 1, 3, 5]), FIVE))
    assert [0, 10] == _minutes(resample(_series([0, 14]), FIVE))


def test_a_bucket_that_the_history_begins_inside_is_left_out() -> None:
    """What came before the first candle is unknown, so its bucket is not passed off as a candle."""
    assert [5] == _minutes(resample(_series(list(range(2, 10))), FIVE))
    assert [] == _minutes(resample(_series([2, 3]), FIVE))


def test_the_same_interval_and_an_empty_history_change_nothing() -> None:
    """Resampling to the own interval gives the same candles, resampling nothing gives nothing."""
    assert [1, 2] == _minutes(resample(_series([1, 2]), MINUTE_MS))
    empty = resample(_series([]), FIVE)
    assert 0 == len(empty)
    assert FIVE == empty.interval_ms


@pytest.mark.parametrize("interval_ms", [MINUTE_MS // 2, MINUTE_MS + 1, 0])
def test_an_interval_that_is_no_multiple_is_refused(interval_ms: int) -> None:
    """Higher candles can only be built from whole lower ones."""
    with pytest.raises(ValueError, match=f"candles of {interval_ms} ms cannot be built"):
        resample(_series([0]), interval_ms)


def test_a_higher_candle_is_seen_from_its_close_on() -> None:
    """A candle of minutes 0–4 is unknown at the close of minute 3 and known at that of minute 4."""
    base = _series(list(range(12)))
    index = as_of(resample(base, FIVE), base.close_times)
    assert [-1, -1, -1, -1, 0, 0, 0, 0, 0, 1, 1, 1] == index.tolist()


def test_picked_values_are_nan_where_there_is_no_candle_yet() -> None:
    """Index −1 is not the last candle but none."""
    picked = pick(np.array([7.0, 8.0]), np.array([-1, 0, 1]))
    np.testing.assert_array_equal([np.nan, 7.0, 8.0], picked)
    assert np.isnan(pick(np.array([]), np.array([-1, -1]))).all()


@pytest.mark.parametrize("first", [0, 3, 5])
@pytest.mark.parametrize("count", [1, 4, 5, 9, 10, 23, 60])
def test_a_history_without_a_gap_gives_the_candles_of_one_with_a_gap_far_away(first: int, count: int) -> None:
    """Both ways of making higher candles, the quick one and the general one, agree to the last bit."""
    minutes = list(range(first, first + count))
    whole, broken = resample(_series(minutes), FIVE), resample(_series([*minutes, minutes[-1] + 500]), FIVE)
    kept = broken.head(len(whole))
    assert [] == [name for name in ("ts", "open", "high", "low", "close", "volume") if _differ(whole, kept, name)]


def _differ(one: Series, other: Series, column: str) -> bool:
    return getattr(one, column).tolist() != getattr(other, column).tolist()
