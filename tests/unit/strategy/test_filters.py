"""Each filter on candles made by hand: what passes, what is refused and in which words."""

from collections.abc import Mapping

import numpy as np
import pytest

from trading_engine.domain.market import Side
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from trading_engine.strategy import indicators as ta
from trading_engine.strategy.api import Series
from trading_engine.strategy.filters import (
    Entry,
    Look,
    Need,
    RewardRiskFilter,
    SessionFilter,
    TrendFilter,
    VolatilityFilter,
    VolumeFilter,
    refusals,
    widest,
)

NOON_MS = 20_000 * DAY_MS + 12 * HOUR_MS  # Friday, 2024-10-04
LONG = Entry(Side.LONG, 100.0, 1.0, 3.0, NOON_MS)
SHORT = LONG._replace(side=Side.SHORT)
QUARTER = 15 * MINUTE_MS


def _series(closes: list[float], interval_ms: int, volumes: list[float] | None = None, end_ms: int = NOON_MS) -> Series:
    """Candles of a range of 1 around each close, the last closed at `end_ms`."""
    close = np.array(closes, dtype=np.float64)
    ts = end_ms - interval_ms * np.arange(len(closes), 0, -1, dtype=np.int64)
    volume = np.ones(len(closes)) if volumes is None else np.array(volumes, dtype=np.float64)
    return Series(ts, close, close + 0.5, close - 0.5, close, volume, interval_ms)


def _look(series: Series, symbol: str = "") -> Look:
    """Only what was asked for, and never more of it than was asked for."""

    def look(need: Need) -> Series:
        assert (need.symbol, need.interval_ms) == (symbol, series.interval_ms)
        return series.tail(need.candles)

    return look


def _nothing(need: Need) -> Series:
    raise AssertionError(need)


def test_a_trend_filter_lets_longs_pass_above_its_average_and_shorts_below() -> None:
    """EMA(2) of 80, 90 and 97 is 85 and then 93: the close of 100 is above it."""
    trend, look = TrendFilter(DAY_MS, 2), _look(_series([80, 90, 97], DAY_MS))
    assert "" == trend.against(LONG, look)
    assert "short while the price 100 is not below the 1d EMA(2) of 93" == trend.against(SHORT, look)
    low = SHORT._replace(close=92.0)
    assert "" == trend.against(low, look)
    assert "long while the price 92 is not above the 1d EMA(2) of 93" == trend.against(
        low._replace(side=Side.LONG), look
    )


def test_a_price_on_the_average_is_on_neither_side() -> None:
    """Rounding noise does not decide."""
    trend, look = TrendFilter(DAY_MS, 2), _look(_series([80, 90, 97], DAY_MS))
    for side in Side:
        assert trend.against(LONG._replace(side=side, close=93 * (1 + 1e-12)), look)


def test_a_trend_that_is_not_known_yet_refuses() -> None:
    """Fewer candles than the period."""
    answer = TrendFilter(DAY_MS, 200).against(LONG, _look(_series([80, 90, 97], DAY_MS)))
    assert "1d EMA(200) is not known yet (3 of 200 candles)" == answer


def test_a_reference_is_judged_by_its_own_price() -> None:
    """The close of its last candle, 97, against its average of 93, whatever the signal's symbol costs."""
    reference = TrendFilter(DAY_MS, 2, "BTCUSDT")
    look = _look(_series([80, 90, 97], DAY_MS), "BTCUSDT")
    cheap = LONG._replace(close=0.1)
    assert "" == reference.against(cheap, look)
    answer = reference.against(cheap._replace(side=Side.SHORT), look)
    assert "short while the price 97 is not below the BTCUSDT 1d EMA(2) of 93" == answer


def test_a_reference_that_has_fallen_behind_refuses() -> None:
    """Its last day is two days old; one that is nearly two days old still counts."""
    reference = TrendFilter(DAY_MS, 2, "BTCUSDT")
    answers = [
        reference.against(LONG, _look(_series([80, 90, 97], DAY_MS, end_ms=NOON_MS - behind), "BTCUSDT"))
        for behind in (2 * DAY_MS, 2 * DAY_MS - 1)
    ]
    assert ["BTCUSDT 1d EMA(2) is too old: no candle since 2024-10-02T12:00:00.000Z", ""] == answers


def test_a_wild_market_is_refused() -> None:
    """A true range of 10 after many of 1: an ATR(2) of 5.5 is above 1.5 times its mean of four, not 4 times."""
    look = _look(_series([100] * 8 + [109.5], QUARTER))
    assert "" == VolatilityFilter(QUARTER, 2, 4, 2).against(LONG, _look(_series([100] * 9, QUARTER)))
    answer = VolatilityFilter(QUARTER, 2, 4, 1.5).against(LONG, look)
    high = 109.5 + 0.5 - 100  # true range of the last candle
    now = (1 + high) / 2
    assert f"ATR(2) of {now:.6g} is above 1.5 × its mean of {(3 + now) / 4:.6g}" == answer
    assert "" == VolatilityFilter(QUARTER, 2, 4, 4).against(LONG, look)


def test_volatility_that_is_not_known_yet_refuses() -> None:
    """ATR(2) of the third candle is the first; the mean of four needs three more."""
    volatility = VolatilityFilter(QUARTER, 2, 4, 2)
    few = volatility.against(LONG, _look(_series([100] * 5, QUARTER)))
    assert "the mean ATR(2) is not known yet (5 of 6 candles of 15m)" == few
    assert "" == volatility.against(LONG, _look(_series([100] * 6, QUARTER)))


def test_a_thin_market_is_refused() -> None:
    """A volume of 7 against a mean of 9 over three candles is below 0.8 times; 7.5 against 27.5 / 3 is not."""
    volume = VolumeFilter(QUARTER, 3, 0.8)
    thin = volume.against(LONG, _look(_series([100] * 3, QUARTER, [10, 10, 7])))
    assert "a volume of 7 is below 0.8 × its mean of 9" == thin
    assert "" == volume.against(LONG, _look(_series([100] * 3, QUARTER, [10, 10, 7.5])))
    dead = volume.against(LONG, _look(_series([100] * 3, QUARTER, [0, 0, 0])))
    assert "a volume of 0 is below 0.8 × its mean of 0" == dead
    few = volume.against(LONG, _look(_series([100] * 2, QUARTER)))
    assert "the mean volume is not known yet (2 of 3 candles of 15m)" == few


@pytest.mark.parametrize(
    ("hours", "minute", "passes"),
    [
        (((420, 1_200),), 420, True),
        (((420, 1_200),), 1_199, True),
        (((420, 1_200),), 1_200, False),
        (((420, 1_200),), 419, False),
        (((1_320, 120),), 1_320, True),
        (((1_320, 120),), 119, True),
        (((1_320, 120),), 120, False),
        (((0, 60), (720, 1_440)), 1_439, True),
        (((0, 60), (720, 1_440)), 60, False),
        ((), 60, True),
    ],
)
def test_hours_are_counted_in_utc_and_may_pass_midnight(
    hours: tuple[tuple[int, int], ...], minute: int, passes: bool
) -> None:
    """The end is excluded; without hours all are meant."""
    entry = LONG._replace(closed_ms=20_000 * DAY_MS + minute * MINUTE_MS)
    answer = SessionFilter(hours).against(entry, _nothing)
    assert ("" if passes else f"no entries at {minute // 60:02d}:{minute % 60:02d} UTC") == answer


def test_weekdays_are_those_of_utc() -> None:
    """2024-10-04 was a Friday, a minute after its midnight a Saturday."""
    week = SessionFilter(weekdays=frozenset(range(5)))
    assert "" == week.against(LONG, _nothing)
    saturday = LONG._replace(closed_ms=20_001 * DAY_MS)
    assert "no entries on a Saturday" == week.against(saturday, _nothing)


def test_a_reward_must_be_worth_the_risk() -> None:
    """3 for 1 passes 3 and fails 3.1; no target fails whatever is asked."""
    assert "" == RewardRiskFilter(3.0).against(LONG, _nothing)
    assert "the reward is 3 × the risk, less than 3.1" == RewardRiskFilter(3.1).against(LONG, _nothing)
    without = RewardRiskFilter(0.1).against(LONG._replace(target_distance=0.0), _nothing)
    assert "no target, and a reward of 0.1 × the risk is asked for" == without


def test_every_refusal_is_told_with_its_filter() -> None:
    """Not the first alone."""
    found = refusals([RewardRiskFilter(4), SessionFilter(((0, 60),)), RewardRiskFilter(1)], LONG, _nothing)
    assert ("reward_risk: the reward is 3 × the risk, less than 4", "session: no entries at 12:00 UTC") == found


def test_the_candles_needed_are_the_most_of_each_symbol_and_interval() -> None:
    """One's own symbol may be the reference, too."""
    filters = [TrendFilter(DAY_MS, 10), TrendFilter(DAY_MS, 20, "BTCUSDT"), VolumeFilter(QUARTER, 5), SessionFilter()]
    ten, twenty = ta.ema_window(10), ta.ema_window(20)
    expected: Mapping[str, Mapping[int, int]] = {"ETHUSDT": {DAY_MS: ten, QUARTER: 5}, "BTCUSDT": {DAY_MS: twenty}}
    assert expected == widest(filters, "ETHUSDT")
    assert {"BTCUSDT": {DAY_MS: twenty, QUARTER: 5}} == widest(filters, "BTCUSDT")


def test_a_window_of_candles_gives_the_answer_of_all_of_them() -> None:
    """The declared need is enough: numbers in the words are equal to six digits, and so is the verdict."""
    random = np.random.default_rng(2)
    closes = (100 + np.cumsum(random.normal(0, 1, 1_500))).tolist()
    for filter_ in (TrendFilter(QUARTER, 30), VolatilityFilter(QUARTER, 14, 50, 0.9), VolumeFilter(QUARTER, 20, 0.9)):
        for end in range(1_000, 1_500, 25):
            series = _series(closes[:end], QUARTER, (1 + np.sin(np.arange(end)) ** 2).tolist())
            entry = LONG._replace(close=closes[end - 1])

            def whole(need: Need, series: Series = series) -> Series:
                assert need
                return series

            assert filter_.against(entry, whole) == filter_.against(entry, _look(series))
