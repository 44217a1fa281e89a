"""Strategies on a trailing window and over a whole history, with small strategies made for the purpose."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from fakes.whole_history import whole_history

from trading_engine.domain.market import Candle, Side, Signal
from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy.api import Series, Signals
from trading_engine.strategy.builtin.multi_timeframe_long import MultiTimeframeLong
from trading_engine.strategy.builtin.trend_vwap import TrendVwap
from trading_engine.strategy.evaluate import Evaluator, atr_windows, base_candles_needed
from trading_engine.strategy.filters import RewardRiskFilter
from trading_engine.strategy.indicators import wilder_window
from trading_engine.strategy.levels import Levels
from trading_engine.strategy.timeframes import resample

FIVE = 5 * MINUTE_MS
TICK, STEP = 0.1, 0.001


@dataclass(frozen=True)
class Always:
    """Says the same on every candle."""

    side: int = 1
    exit_side: int = 0
    confidence: float = 0.5
    stop: float = 0.75
    target: float = 2.0
    primary_interval_ms: int = MINUTE_MS
    warm_up: int = 2
    name: str = "always"

    @property
    def intervals(self) -> Mapping[int, int]:
        """Three candles of its interval."""
        return {self.primary_interval_ms: 3}

    def is_silent(self, market: Mapping[int, Series]) -> bool:
        """Never sure."""
        del market
        return False

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """The fields, on every row."""
        series = market[self.primary_interval_ms]
        count = len(series)
        return Signals(
            np.full(count, self.side, dtype=np.int8),
            np.full(count, self.confidence),
            np.full(count, self.stop),
            np.full(count, self.target),
            np.full(count, self.exit_side, dtype=np.int8),
            {"close": series.close, "volume": series.volume},
            "test",
        )


@dataclass(frozen=True)
class Never(Always):
    """Looks and says nothing."""

    name: str = "never"
    side: int = 0
    seen: ClassVar[list[dict[int, int]]] = []

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """Silence, with a note of the lengths it was shown."""
        self.seen.append({interval_ms: len(series) for interval_ms, series in market.items()})
        return super().compute(market)


def _candle(minute: int, symbol: str = "BTCUSDT", interval_ms: int = MINUTE_MS) -> Candle:
    """Close at 1000 + minute ticks, 2500 steps of volume."""
    close = 1_000 + minute
    return Candle(symbol, minute * MINUTE_MS, interval_ms, close - 1, close + 5, close - 5, close, 2_500)


def _run(strategy: Always, minutes: list[int]) -> list[Signal]:
    evaluator = Evaluator("BTCUSDT", TICK, STEP, [strategy])
    return [signal for minute in minutes for signal in evaluator.on_candle(_candle(minute))]


def _series(minutes: list[int]) -> Series:
    closes = np.array([_candle(minute).close * TICK for minute in minutes])
    ts = np.array(minutes, dtype=np.int64) * MINUTE_MS
    return Series(ts, closes, closes + 0.5, closes - 0.5, closes, np.ones(len(minutes)), MINUTE_MS)


def test_the_last_row_becomes_a_signal_in_the_units_of_the_instrument() -> None:
    """0.75 is 7 ticks of 0.1 rounded down, 2.0 is 20; the explanation is text of up to ten digits."""
    signal = _run(Always(), [0, 1, 2])[-1]
    assert (
        Signal(
            strategy="always",
            symbol="BTCUSDT",
            side=Side.LONG,
            confidence=0.5,
            close_ticks=1_002,
            stop_ticks=7,
            target_ticks=20,
            candle_ts_ms=2 * MINUTE_MS,
            tag="test",
            explanation=(("close", "100.2"), ("volume", "2.5")),
        )
        == signal
    )


def test_an_entry_comes_with_the_range_of_its_candles_where_somebody_asks() -> None:
    """Candles of ten ticks that climb by one: each true range is ten; an exit alone needs none."""
    evaluator = Evaluator("BTCUSDT", TICK, STEP, [Always(), Never()], atr_periods={"always": 2, "elsewhere": 5})
    ranges = [signal.atr_mticks for minute in range(5) for signal in evaluator.on_candle(_candle(minute))]
    assert [10_000, 10_000, 10_000] == ranges
    assert {MINUTE_MS: wilder_window(2)} == atr_windows([Always(), Never()], {"always": 2})


def test_a_configured_stop_takes_the_place_of_the_strategy_s_own() -> None:
    """Two ranges of ten ticks, once they are known; before that there is no entry."""
    levels = {"always": Levels(stop_atr=2, target_r=1.5)}
    evaluator = Evaluator("BTCUSDT", TICK, STEP, [Always()], atr_periods={"always": 4}, levels=levels)
    found = [signal for minute in range(6) for signal in evaluator.on_candle(_candle(minute))]
    assert [(20, 30), (20, 30)] == [(signal.stop_ticks, signal.target_ticks) for signal in found]


@dataclass(frozen=True)
class Named(Always):
    """Names the price of its target."""

    at: float = 110.0

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """The same everywhere."""
        signals = super().compute(market)
        return replace(signals, target_level=np.full(len(signals.side), self.at))


def test_a_strategy_may_name_the_price_of_its_target() -> None:
    """110 is 98 ticks above a close of 100.2; below it this one entry is refused, and its exit is not."""
    assert 98 == _run(Named(), [0, 1, 2])[-1].target_ticks
    signal = _run(Named(at=99.0, exit_side=-1), [0, 1, 2])[-1]
    assert ("target: it does not lie on the winning side of the close",) == signal.refusals
    assert (Side.LONG, Side.SHORT, 0) == (signal.side, signal.exit_side, signal.target_ticks)


def test_a_filter_is_not_asked_about_an_entry_that_has_no_stop() -> None:
    """What would it count the reward from?"""
    filters = {"always": (RewardRiskFilter(9.0),)}
    reasons = []
    for stop in (0.75, -0.75):
        evaluator = Evaluator("BTCUSDT", TICK, STEP, [Always(stop=stop)], filters=filters)
        reasons += [
            signal.refusals[0].partition(":")[0]
            for minute in range(3)
            for signal in evaluator.on_candle(_candle(minute))
        ]
    assert ["reward_risk", "stop"] == reasons


def test_too_few_candles_give_no_range() -> None:
    """It is 0 until the period is full, not guessed."""
    evaluator = Evaluator("BTCUSDT", TICK, STEP, [Always()], atr_periods={"always": 4})
    assert [0, 0, 10_000] == [
        signal.atr_mticks for minute in range(5) for signal in evaluator.on_candle(_candle(minute))
    ]


@pytest.mark.parametrize(("stop", "ticks"), [(0.3, 3), (0.7, 7), (0.1 + 0.2, 3), (0.799, 7), (0.01, 1), (1e-9, 1)])
def test_a_stop_is_floored_to_ticks_and_never_below_one(stop: float, ticks: int) -> None:
    """0.3 / 0.1 is 2.9999999999999996 in floats and still three ticks."""
    assert ticks == _run(Always(stop=stop), [0, 1, 2])[-1].stop_ticks


def test_no_signal_before_the_warm_up_is_over() -> None:
    """With a warm-up of two candles the third is the first to speak, live and over the history."""
    assert [2, 3] == [signal.candle_ts_ms // MINUTE_MS for signal in _run(Always(), [0, 1, 2, 3])]
    signals = whole_history(Always(), _series([0, 1, 2, 3]))
    assert [0, 0, 1, 1] == signals.side.tolist()
    assert [0.0, 0.0, 0.5, 0.5] == signals.confidence.tolist()
    assert [0.0, 0.0, 0.75, 0.75] == signals.stop_distance.tolist()
    assert [0.0, 0.0, 2.0, 2.0] == signals.target_distance.tolist()


def test_history_given_at_the_start_warms_up_without_a_signal() -> None:
    """The next live candle is the first that may speak."""
    evaluator = Evaluator("BTCUSDT", TICK, STEP, [Always()])
    evaluator.warm_up(_series([0, 1]))
    assert [2 * MINUTE_MS] == [signal.candle_ts_ms for signal in evaluator.on_candle(_candle(2))]


def test_a_strategy_is_asked_when_its_own_candle_closes() -> None:
    """5-minute signals come with minutes 14 and 19, carry the bucket's open time and the last close."""
    signals = _run(Always(primary_interval_ms=FIVE), list(range(21)))
    assert [10, 15] == [signal.candle_ts_ms // MINUTE_MS for signal in signals]
    assert [1_014, 1_019] == [signal.close_ticks for signal in signals]


def test_a_candle_that_ended_inside_a_gap_gives_no_signal() -> None:
    """Minute 14 is missing: 10–14 is known too late to act on, 15–19 in time; live and in history."""
    minutes = [*range(14), *range(15, 20)]
    strategy = Always(primary_interval_ms=FIVE)
    assert [15] == [signal.candle_ts_ms // MINUTE_MS for signal in _run(strategy, minutes)]
    assert [0, 0, 0, 1] == whole_history(strategy, _series(minutes)).side.tolist()


def test_silence_is_no_signal_and_the_window_is_as_declared() -> None:
    """Side 0 and no exit give nothing; the strategy saw its three candles and no more."""
    Never.seen.clear()
    assert [] == _run(Never(), list(range(6)))
    assert [{MINUTE_MS: 3}] * 4 == Never.seen


def test_an_exit_alone_has_no_side_and_no_distances() -> None:
    """It names the side of the position to close."""
    signal = _run(Always(side=0, exit_side=1, confidence=0.0), [0, 1, 2])[-1]
    assert signal.side is None
    assert Side.LONG is signal.exit_side
    assert (0, 0) == (signal.stop_ticks, signal.target_ticks)


def test_an_entry_and_an_exit_can_come_together() -> None:
    """Closing a short and opening a long are one signal of one candle."""
    signal = _run(Always(side=1, exit_side=-1), [0, 1, 2])[-1]
    assert Side.LONG is signal.side
    assert Side.SHORT is signal.exit_side


def test_several_strategies_share_the_candles() -> None:
    """Each is asked at its own time, in the order given."""
    fast, slow = Always(name="fast", side=-1), Always(name="slow", primary_interval_ms=FIVE, warm_up=0)
    evaluator = Evaluator("BTCUSDT", TICK, STEP, [fast, slow])
    found = [[signal.strategy for signal in evaluator.on_candle(_candle(minute))] for minute in range(5)]
    assert [[], [], ["fast"], ["fast"], ["fast", "slow"]] == found
    with pytest.raises(ValueError, match="BTCUSDT: two strategies have the same name"):
        Evaluator("BTCUSDT", TICK, STEP, [fast, fast])


@pytest.mark.parametrize(
    "strategy",
    [
        Always(confidence=1.1),
        Always(confidence=float("nan")),
    ],
)
def test_a_strategy_that_gives_nonsense_is_an_error(strategy: Always) -> None:
    """An entry with a confidence beyond 1 never leaves the evaluator."""
    with pytest.raises(ValueError, match="always on BTCUSDT: confidence"):
        _run(strategy, [0, 1, 2])


@pytest.mark.parametrize(
    ("strategy", "why"),
    [
        (Always(stop=0.0), "stop: it does not lie on the losing side of the close"),
        (Always(stop=-1.0), "stop: it does not lie on the losing side of the close"),
        (Always(stop=float("nan")), "stop: it does not lie on the losing side of the close"),
        (Always(stop=1e18), "stop: it lies more than 10,000,000,000 ticks from the close"),
        (Always(target=-1.0), "target: it does not lie on the winning side of the close"),
        (Always(target=float("nan")), "target: it does not lie on the winning side of the close"),
        (Always(target=1e18), "target: it lies more than 10,000,000,000 ticks from the close; a distance of 0 is none"),
        (
            Always(target=float("inf")),
            "target: it lies more than 10,000,000,000 ticks from the close; a distance of 0 ",
        ),
    ],
)
def test_an_entry_without_a_stop_or_a_target_that_can_be_one_is_refused(strategy: Always, why: str) -> None:
    """It is that signal's end, not the engine's; whatever cannot be a distance is 0 ticks."""
    signal = _run(strategy, [0, 1, 2])[-1]
    assert [True] == [text.startswith(why) for text in signal.refusals]
    assert signal.side is Side.LONG
    assert 0 in (signal.stop_ticks, signal.target_ticks)


@pytest.mark.parametrize("nonsense", [float("nan"), -5.0, 1.7, 1e300])
def test_what_stands_beside_an_exit_alone_means_nothing(nonsense: float) -> None:
    """Whatever it is, the exit is heard."""
    strategy = Always(side=0, exit_side=1, confidence=nonsense, stop=nonsense, target=nonsense)
    signal = _run(strategy, [0, 1, 2])[-1]
    assert (None, Side.LONG, 0.0, 0, 0, ()) == (
        signal.side,
        signal.exit_side,
        signal.confidence,
        signal.stop_ticks,
        signal.target_ticks,
        signal.refusals,
    )


@pytest.mark.parametrize("candle", [_candle(0, symbol="ETHUSDT"), _candle(0, interval_ms=FIVE)])
def test_a_candle_of_something_else_is_refused(candle: Candle) -> None:
    """One evaluator, one symbol, one base interval."""
    with pytest.raises(ValueError, match=f"BTCUSDT got a candle of {candle.symbol}, {candle.interval_ms} ms"):
        Evaluator("BTCUSDT", TICK, STEP, []).on_candle(candle)


def test_the_history_needed_covers_every_window_from_any_minute() -> None:
    """388 + 1 five-minute candles for S1, whatever minute the history begins at; less for S2."""
    assert 1_945 == base_candles_needed([TrendVwap()])
    assert 1_945 == base_candles_needed([TrendVwap(), MultiTimeframeLong()])
    assert 389 == base_candles_needed([MultiTimeframeLong()])
    assert 0 == base_candles_needed([])


@pytest.mark.parametrize("first", range(5))
def test_the_history_needed_suffices(first: int) -> None:
    """After it the very next 5-minute close speaks."""
    strategy = Always(primary_interval_ms=FIVE, warm_up=2)
    evaluator = Evaluator("BTCUSDT", TICK, STEP, [strategy])
    last = first + base_candles_needed([strategy])
    evaluator.warm_up(_series(list(range(first, last))))
    found = [signal for minute in range(last, last + 5) for signal in evaluator.on_candle(_candle(minute))]
    assert 1 == len(found)


def test_a_base_too_coarse_for_a_strategy_is_refused() -> None:
    """1-minute signals cannot come from 5-minute candles."""
    series = resample(_series([]), FIVE)
    with pytest.raises(ValueError, match="candles of 60000 ms cannot be built from candles of 300000 ms"):
        whole_history(Always(), series)
