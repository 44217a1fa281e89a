"""What must hold for all candles: live equals history, nothing looks ahead, both ways of resampling agree."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from fakes.whole_history import whole_history
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_engine.domain.market import Candle, Side
from trading_engine.domain.time import DAY_MS, MINUTE_MS
from trading_engine.strategy import indicators as ta
from trading_engine.strategy.api import FloatArray, Series
from trading_engine.strategy.builtin.multi_timeframe_long import MultiTimeframeLong
from trading_engine.strategy.builtin.trend_vwap import TrendVwap
from trading_engine.strategy.evaluate import Evaluator
from trading_engine.strategy.registry import create
from trading_engine.strategy.timeframes import as_of, resample
from trading_engine.strategy.window import Window

TICK, STEP = 0.01, 0.001
COUNT = 9_000
COLUMNS = ("ts", "open", "high", "low", "close", "volume")
BOTH_SIDES = {"shorts": True, "early_exit_on_cross": True}
LOOSE_VWAP = {**BOTH_SIDES, "volume_filter": False, "rsi_low": 20, "rsi_high": 80}
CASES = [
    ("trend_vwap", {}),
    ("trend_vwap", LOOSE_VWAP),
    ("multi_timeframe_long", {}),
    ("multi_timeframe_long", {"volume_ratio": 1.2, "range_atr": 1.0, "target_atr": 0}),
    ("trend_distance_short", {"distance_pct": 0.1, "volume_ratio": 1.0, "range_atr": 1.0}),
    ("rsi_bollinger", {"rsi_low": 45, "rsi_high": 55}),
    ("momentum", {"fast": 3, "slow": 6, "signal": 3, "adx_period": 5, "adx_least": 5, "trend_period": 10}),
]


Row = tuple[int, int, int, float]  # open time, side, side of the exit, confidence


@cache
def _walk(seed: int) -> tuple[Candle, ...]:
    """A random walk in ticks with bursts of volatility and volume, trends, and a few gaps."""
    random = np.random.default_rng(seed)
    burst = random.exponential(1.0, COUNT) ** 2
    drift = np.repeat(random.normal(0, 2.0, COUNT // 100), 100)
    closes = 500_000 + np.cumsum(random.normal(0, 30, COUNT) * burst + drift).astype(np.int64)
    opens = np.concatenate(([500_000], closes[:-1]))
    wick = random.integers(0, 15, (2, COUNT))
    highs, lows = np.maximum(opens, closes) + wick[0], np.minimum(opens, closes) - wick[1]
    volumes = (random.lognormal(8, 1, COUNT) * (1 + burst)).astype(np.int64)
    volumes[random.random(COUNT) < 0.01] = 0
    start = int(random.integers(0, 2_000))
    minutes = (start + np.flatnonzero(random.random(COUNT + 200) > 0.002)[:COUNT]).tolist()
    columns = (column.tolist() for column in (opens, highs, lows, closes, volumes))
    rows = zip(minutes, *columns, strict=True)
    return tuple(Candle("BTCUSDT", minute * MINUTE_MS, MINUTE_MS, *values) for minute, *values in rows)


def _series(candles: tuple[Candle, ...]) -> Series:
    table = np.array([candle[1:2] + candle[3:] for candle in candles], dtype=np.int64).T
    prices = [table[row] * TICK for row in range(1, 5)]
    return Series(table[0], prices[0], prices[1], prices[2], prices[3], table[5] * STEP, MINUTE_MS)


def _sign(side: Side | None) -> int:
    return side.sign if side else 0


def _spoken(name: str, options: dict[str, object], candles: tuple[Candle, ...]) -> list[Row]:
    """Every row of the whole history that says something."""
    strategy = create(name, options)
    signals = whole_history(strategy, _series(candles))
    ts = resample(_series(candles), strategy.primary_interval_ms).ts
    rows = np.flatnonzero((signals.side != 0) | (signals.exit_side != 0))
    return [
        (int(ts[row]), int(signals.side[row]), int(signals.exit_side[row]), float(signals.confidence[row]))
        for row in rows
    ]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_live_equals_the_whole_history(name: str, options: dict[str, object], seed: int) -> None:
    """Candle by candle on the trailing window: the same rows, sides, exits and confidence."""
    evaluator = Evaluator("BTCUSDT", TICK, STEP, [create(name, options)])
    live = [
        (signal.candle_ts_ms, _sign(signal.side), _sign(signal.exit_side), signal.confidence)
        for candle in _walk(seed)
        for signal in evaluator.on_candle(candle)
    ]
    expected = _spoken(name, options, _walk(seed))
    assert expected, "a test without signals proves nothing"
    assert [row[:3] for row in expected] == [row[:3] for row in live]
    np.testing.assert_allclose([row[3] for row in expected], [row[3] for row in live], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_prefix_of_the_history_gives_the_same_signals(name: str, options: dict[str, object]) -> None:
    """What is said on a candle does not depend on any later one."""
    candles = _walk(3)
    whole = _spoken(name, options, candles)
    primary_ms = create(name, options).primary_interval_ms
    assert whole, "a test without signals proves nothing"
    # Cut right after the closes of signals too, where a look ahead would show.
    closes = [row[0] + primary_ms for row in whole[:: max(1, len(whole) // 8)]]
    times = [candle.close_time_ms for candle in candles]
    cuts = [times.index(close) + 1 for close in closes] + [2_500, 5_001, 7_777]
    for cut in cuts:
        expected = [row for row in whole if row[0] + primary_ms <= times[cut - 1]]
        assert expected == _spoken(name, options, candles[:cut])


@pytest.mark.parametrize("strategy", [TrendVwap(), MultiTimeframeLong()])
def test_values_of_the_window_equal_those_of_the_history(strategy: TrendVwap | MultiTimeframeLong) -> None:
    """Every value that explains the last row differs by less than a part in 1e11."""
    base = _series(_walk(4))
    whole = {interval_ms: resample(base, interval_ms) for interval_ms in strategy.intervals}
    trailing = {interval: whole[interval].tail(count) for interval, count in strategy.intervals.items()}
    expected, windowed = strategy.compute(whole).explain, strategy.compute(trailing).explain
    for name, values in expected.items():
        assert values[-1] == pytest.approx(windowed[name][-1], rel=1e-11), name


minutes_lists = st.lists(st.integers(1, 9), min_size=1, max_size=120).map(
    lambda gaps: np.cumsum([gap if gap > 7 else 1 for gap in gaps]).tolist()
)
finite = st.floats(-1e6, 1e6, allow_nan=False)


@given(minutes_lists, st.integers(0, 1_440))
@settings(deadline=None)
def test_the_window_equals_resampling_everything(minutes: list[int], start: int) -> None:
    """After every candle, with gaps and any starting minute, for several intervals at once."""
    keeps = {MINUTE_MS: 7, 3 * MINUTE_MS: 4, 5 * MINUTE_MS: 3, 15 * MINUTE_MS: 2, DAY_MS: 1}
    window = Window(MINUTE_MS, keeps)
    generator = np.random.default_rng(start)
    rows = [(minute + start, *generator.uniform(1, 2, 5).tolist()) for minute in minutes]
    for count, (minute, *values) in enumerate(rows, 1):
        window.append(minute * MINUTE_MS, *values)
        history = _from_rows(rows[:count])
        for interval_ms, keep in keeps.items():
            expected = resample(history, interval_ms)
            assert len(expected) == window.count(interval_ms)
            built = window.series(interval_ms, keep)
            last = expected.tail(keep)
            for name in COLUMNS:
                np.testing.assert_allclose(getattr(last, name), getattr(built, name), rtol=1e-13)


def _from_rows(rows: list[tuple[float, ...]]) -> Series:
    table = np.array(rows).T
    ts = table[0].astype(np.int64) * MINUTE_MS
    return Series(ts, table[1], table[2], table[3], table[4], table[5], MINUTE_MS)


@given(minutes_lists, st.integers(0, 60))
def test_as_of_shows_the_latest_closed_candle_and_no_other(minutes: list[int], start: int) -> None:
    """What it points at has closed by then, and the one after it has not."""
    base = _from_rows([(minute + start, 1, 1, 1, 1, 1) for minute in minutes])
    higher = resample(base, 5 * MINUTE_MS)
    for index, now in zip(as_of(higher, base.close_times).tolist(), base.close_times.tolist(), strict=True):
        assert index < 0 or higher.close_times[index] <= now
        assert index + 1 >= len(higher) or higher.close_times[index + 1] > now


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=50))
def test_comparisons_exclude_each_other(pairs: list[tuple[float, float]]) -> None:
    """Never both greater and less; at least is the opposite of less; sides swap with the arguments."""
    left, right = _columns(pairs)
    greater, less = ta.greater(left, right), ta.less(left, right)
    assert not (greater & less).any()
    assert (ta.at_least(left, right) == ~less).all()
    assert (ta.greater(right, left) == less).all()


@given(st.lists(st.tuples(st.integers(0, 3).map(float), st.integers(0, 3).map(float)), max_size=50))
def test_between_two_crosses_lies_a_candle_that_is_not_above(pairs: list[tuple[float, float]]) -> None:
    """One move through gives one cross, however long it lasts."""
    left, right = _columns(pairs)
    above = np.flatnonzero(ta.crosses_above(left, right)).tolist()
    greater = ta.greater(left, right)
    assert all(greater[row] and not greater[row - 1] for row in above)
    assert all(not greater[first:second].all() for first, second in pairwise(above))
    assert not (ta.crosses_above(left, right) & ta.crosses_below(left, right)).any()


@given(st.integers(1, 6), st.integers(0, 1_000))
def test_session_vwap_lies_between_the_extremes_of_its_day(days: int, seed: int) -> None:
    """A mean stays within the day's range so far, and a window of that day gives the same bits."""
    generator = np.random.default_rng(seed)
    count = days * 20
    prices = generator.uniform(90, 110, count)
    ts = np.arange(count, dtype=np.int64) * (DAY_MS // 20)
    series = Series(ts, prices, prices, prices, prices, generator.uniform(0.1, 9, count), DAY_MS // 20)
    vwap = ta.session_vwap(series)
    by_day = prices.reshape(days, 20)
    assert (vwap.reshape(days, 20) <= np.maximum.accumulate(by_day, axis=1) + 1e-9).all()
    assert (vwap.reshape(days, 20) >= np.minimum.accumulate(by_day, axis=1) - 1e-9).all()
    assert vwap[-1] == ta.session_vwap(series.tail(20))[-1]


def _columns(pairs: list[tuple[float, float]]) -> tuple[FloatArray, FloatArray]:
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return table[:, 0].copy(), table[:, 1].copy()
