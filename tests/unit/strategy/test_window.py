"""The trailing window, candle by candle."""

import numpy as np
import pytest

from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy.api import Series
from trading_engine.strategy.window import Window

FIVE = 5 * MINUTE_MS


def _append(window: Window, minute: int) -> None:
    """A candle with open = minute, close = minute + 0.5, a wick of 1 to both sides, volume 1."""
    window.append(minute * MINUTE_MS, minute, minute + 1, minute - 1, minute + 0.5, 1)


def _minutes(window: Window, interval_ms: int, count: int) -> list[int]:
    return [ts // MINUTE_MS for ts in window.series(interval_ms, count).ts.tolist()]


def test_a_higher_candle_appears_with_the_base_candle_that_ends_it() -> None:
    """Nothing of it can be seen before, and only that append says that it closed."""
    window = Window(MINUTE_MS, {MINUTE_MS: 10, FIVE: 4})
    closed = []
    for minute in range(11):
        _append(window, minute)
        closed.append(window.closed(FIVE))
    assert [4, 9] == np.flatnonzero(closed).tolist()
    higher = window.series(FIVE, 4)
    assert [0, 5] == _minutes(window, FIVE, 4)
    assert [0.0, 5.0] == higher.open.tolist()
    assert [5.0, 10.0] == higher.high.tolist()
    assert [-1.0, 4.0] == higher.low.tolist()
    assert [4.5, 9.5] == higher.close.tolist()
    assert [5.0, 5.0] == higher.volume.tolist()


def test_a_candle_whose_end_was_missed_appears_with_the_next_bucket() -> None:
    """Minute 4 is missing: the bucket is handed over when minute 5 arrives."""
    window = Window(MINUTE_MS, {FIVE: 4})
    for minute in (0, 1, 3):
        _append(window, minute)
        assert not window.closed(FIVE)
    _append(window, 5)
    assert window.closed(FIVE)
    assert [0] == _minutes(window, FIVE, 4)


def test_one_candle_can_end_a_missed_bucket_and_its_own() -> None:
    """A jump into the last minute of a later bucket makes both visible at once."""
    window = Window(MINUTE_MS, {FIVE: 4})
    _append(window, 0)
    _append(window, 14)
    assert [0, 10] == _minutes(window, FIVE, 4)
    assert 2 == window.count(FIVE)


def test_a_bucket_that_the_history_begins_inside_is_left_out() -> None:
    """Half a candle at the start is never passed off as a whole one."""
    window = Window(MINUTE_MS, {FIVE: 4})
    for minute in range(2, 10):
        _append(window, minute)
        assert window.closed(FIVE) == (minute == 9)
    assert [5] == _minutes(window, FIVE, 4)


def test_the_base_interval_closes_with_every_candle() -> None:
    """Before the first candle nothing has closed."""
    window = Window(MINUTE_MS, {FIVE: 1})
    assert not window.closed(MINUTE_MS)
    assert -1 == window.last_close_ms
    _append(window, 7)
    assert window.closed(MINUTE_MS)
    assert 8 * MINUTE_MS == window.last_close_ms


def test_a_series_handed_out_never_changes() -> None:
    """Views stay what they were, however often the buffer behind them fills up."""
    window = Window(MINUTE_MS, {MINUTE_MS: 3})
    kept = []
    for minute in range(2_000):
        _append(window, minute)
        kept.append(window.series(MINUTE_MS, 3))
    for minute, series in enumerate(kept):
        assert list(range(max(0, minute - 2), minute + 1)) == series.open.tolist()
    assert np.shares_memory(kept[50].close, kept[51].close), "no copy is made"
    assert 2_000 == window.count(MINUTE_MS)


def test_extending_equals_appending_one_by_one() -> None:
    """A warm-up gives the same window, with the forming candle in progress."""
    one_by_one, at_once = (Window(MINUTE_MS, {MINUTE_MS: 5, FIVE: 5}) for _ in range(2))
    for minute in range(8):
        _append(one_by_one, minute)
    opens = np.arange(8.0)
    ts = np.arange(8) * MINUTE_MS
    at_once.extend(Series(ts, opens, opens + 1, opens - 1, opens + 0.5, np.ones(8), MINUTE_MS))
    for window in (one_by_one, at_once):
        _append(window, 8)
        _append(window, 9)
    for interval_ms in (MINUTE_MS, FIVE):
        first, second = (window.series(interval_ms, 5) for window in (one_by_one, at_once))
        for name in ("ts", "open", "high", "low", "close", "volume"):
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize("open_time_ms", [4 * MINUTE_MS, 3 * MINUTE_MS, 5 * MINUTE_MS + 1])
def test_a_candle_out_of_order_is_refused_and_changes_nothing(open_time_ms: int) -> None:
    """A repeated, an older and a misaligned candle leave the window as it was."""
    window = Window(MINUTE_MS, {FIVE: 2})
    _append(window, 4)
    with pytest.raises(ValueError, match=f"candle at {open_time_ms} does not follow the one at 240000"):
        window.append(open_time_ms, 1, 1, 1, 1, 1)
    assert [4] == _minutes(window, MINUTE_MS, 1)


def test_what_the_window_was_not_made_for_is_refused() -> None:
    """Intervals and counts are declared at the start; so is the base."""
    window = Window(MINUTE_MS, {FIVE: 2})
    with pytest.raises(ValueError, match="does not keep 3 candles of 300000 ms"):
        window.series(FIVE, 3)
    with pytest.raises(ValueError, match="does not keep 1 candles of 900000 ms"):
        window.series(3 * FIVE, 1)
    with pytest.raises(ValueError, match="candles of 90000 ms cannot be built"):
        Window(MINUTE_MS, {90_000: 1})
    with pytest.raises(ValueError, match="a window of 0 candles of 300000 ms holds nothing"):
        Window(MINUTE_MS, {FIVE: 0})
    with pytest.raises(ValueError, match="candles of 300000 ms, the base is 60000 ms"):
        window.extend(Series(*(np.empty(0),) * 6, interval_ms=FIVE))  # type: ignore[arg-type]


def test_a_window_can_begin_with_higher_candles_from_elsewhere() -> None:
    """Minutes 0 to 14 come as three candles; minutes 12 to 19 then add only what was not there."""
    whole, seeded = (Window(MINUTE_MS, {FIVE: 4}) for _ in range(2))
    for minute in range(20):
        _append(whole, minute)
    seeded.seed(whole.series(FIVE, 4).head(3))
    assert 3 == seeded.count(FIVE)
    for minute in range(12, 20):
        _append(seeded, minute)
    assert [0, 5, 10, 15] == _minutes(seeded, FIVE, 4)
    assert 4 == seeded.count(FIVE)
    np.testing.assert_array_equal(whole.series(FIVE, 4).high, seeded.series(FIVE, 4).high)


def test_more_higher_candles_than_are_kept_are_counted() -> None:
    """The last two are kept of four; a warm-up counts all."""
    window = Window(MINUTE_MS, {FIVE: 2})
    column = np.arange(4.0)
    window.seed(Series(np.arange(4) * FIVE, column, column, column, column, column, FIVE))
    assert [10, 15] == _minutes(window, FIVE, 2)
    assert 4 == window.count(FIVE)


def test_what_cannot_begin_a_window_is_refused() -> None:
    """The base interval, one that it was not made for, and anything once it is in use."""
    none = np.empty(0)
    for interval_ms in (MINUTE_MS, 3 * FIVE):
        with pytest.raises(ValueError, match=f"candles of {interval_ms} ms cannot begin a window"):
            Window(MINUTE_MS, {FIVE: 2}).seed(Series(np.arange(0), none, none, none, none, none, interval_ms))
    window = Window(MINUTE_MS, {FIVE: 2})
    _append(window, 0)
    with pytest.raises(ValueError, match="candles of 300000 ms cannot begin a window"):
        window.seed(Series(np.arange(0), none, none, none, none, none, FIVE))
