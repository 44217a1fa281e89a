"""Every built-in strategy passes its check on a synthetic market, and cheats of each kind are caught."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pytest

from trading_engine.domain.time import MINUTE_MS
from trading_engine.marketdata.synth import SyntheticMarket
from trading_engine.strategy import check, registry
from trading_engine.strategy import indicators as ta
from trading_engine.strategy.api import FloatArray, Series, Signals
from trading_engine.strategy.check import Fault
from trading_engine.strategy.shape import shape_mistake
from trading_engine.venues.embedded.facts import known_instrument

START_MS = 1_735_689_600_000


@cache
def _market(symbol: str, candles: int = 60_000) -> Series:
    instrument = known_instrument(symbol)
    assert instrument is not None
    block = SyntheticMarket(11, {symbol: instrument}, START_MS, candles).history(symbol, 2**60, candles)
    prices = (block.open_price, block.high_price, block.low_price, block.close_price)
    return Series(block.ts, *prices, block.base_volume, MINUTE_MS)


def _with_gaps(series: Series) -> Series:
    kept = np.random.default_rng(1).random(len(series)) > 0.003
    columns = (series.ts, series.open, series.high, series.low, series.close, series.volume)
    return Series(*(column[kept] for column in columns), series.interval_ms)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", registry.names())
def test_every_built_in_strategy_is_the_same_live_and_in_history(name: str) -> None:
    """Prefixes and windows of a market with gaps agree with all of it, signals included."""
    found = check.check(registry.create(name, {}), _with_gaps(_market("SOLUSDT")), prefixes=20, windows=200)
    assert found.difference is None
    assert found.signals > 5
    assert (found.prefixes, found.windows) > (15, 150)


@pytest.mark.parametrize("name", ["trend_distance_short", "rsi_bollinger", "multi_timeframe_long"])
def test_a_cheap_look_is_cheap_because_it_is_mostly_silent(name: str) -> None:
    """On at least four fifths of the candles, and never on one with a signal."""
    strategy, market = registry.create(name, {}), _market("SOLUSDT", 12_000)
    series = {interval_ms: check.resample(market, interval_ms) for interval_ms in strategy.intervals}
    primary = series[strategy.primary_interval_ms]
    side = strategy.compute(series).side
    silent = np.array(
        [
            strategy.is_silent({strategy.primary_interval_ms: primary.head(row + 1)})
            for row in range(strategy.warm_up, len(primary))
        ]
    )
    assert silent.mean() > 0.8
    assert not side[strategy.warm_up :][silent].any()


@dataclass(frozen=True)
class Rises:
    """Long when a candle closes above its average; honest unless a field says otherwise."""

    name: str = "rises"
    primary_interval_ms: int = 5 * MINUTE_MS
    period: int = 10
    window: int = 11
    ahead: int = 0
    is_deaf: bool = False

    @property
    def intervals(self) -> Mapping[int, int]:
        """As declared."""
        return {self.primary_interval_ms: self.window}

    @property
    def warm_up(self) -> int:
        """As the window."""
        return self.window

    def is_silent(self, market: Mapping[int, Series]) -> bool:
        """Whether it refuses to listen."""
        del market
        return self.is_deaf

    def _average(self, closes: FloatArray) -> FloatArray:
        return ta.sma(closes, self.period)

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """A cross of close and average, seen `ahead` candles early."""
        closes = market[self.primary_interval_ms].close
        crossed = ta.crosses_above(closes, self._average(closes))
        side = np.zeros(len(closes), dtype=np.int8)
        side[: len(closes) - self.ahead] = crossed[self.ahead :]
        ones = np.ones(len(closes))
        return Signals(side, 0.5 * side, ones * side, 0 * ones, np.zeros_like(side), {"close": closes}, "rise")


@dataclass(frozen=True)
class Scaled(Rises):
    """Explains itself with a value that the mean of all candles, later ones too, has scaled."""

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """The value is all that is wrong."""
        closes = market[self.primary_interval_ms].close
        return replace(super().compute(market), explain={"scaled": closes / closes.mean()})


@dataclass(frozen=True)
class Counting(Rises):
    """Speaks every second time that it is asked."""

    asked: list[int] = field(default_factory=list)

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """What it remembers is all that is wrong."""
        self.asked.append(1)
        signals = super().compute(market)
        return signals if len(self.asked) % 2 else replace(signals, side=np.zeros_like(signals.side))


@dataclass(frozen=True)
class Forgetful(Rises):
    """Smooths exponentially, and declares a window as if it did not."""

    def _average(self, closes: FloatArray) -> FloatArray:
        return ta.ema(closes, self.period)


def test_an_honest_strategy_is_found_honest() -> None:
    """The cheats below differ from it by one thing each."""
    assert check.check(Rises(), _market("BTCUSDT", 4_000)).difference is None


@pytest.mark.parametrize("ahead", [1, 3])
def test_a_look_ahead_is_caught_and_its_first_candle_named(ahead: int) -> None:
    """The earliest signal that a candle of the future has caused."""
    strategy, market = Rises(ahead=ahead), _market("BTCUSDT", 4_000)
    found = check.check(strategy, market).difference
    assert found is not None
    assert (Fault.LOOKS_AHEAD, "side", 1.0, 0.0) == (found.fault, found.field, found.whole, found.other)
    whole = strategy.compute({strategy.primary_interval_ms: check.resample(market, strategy.primary_interval_ms)})
    primary = check.resample(market, strategy.primary_interval_ms)
    spoken = np.flatnonzero(whole.side[strategy.warm_up :]) + strategy.warm_up
    assert primary.ts[spoken[0]] == found.ts


def test_a_value_that_knows_the_future_is_caught_without_a_signal_of_it() -> None:
    """The signals agree; the explanation gives it away."""
    found = check.check(Scaled(), _market("BTCUSDT", 4_000)).difference
    assert found is not None
    assert (Fault.LOOKS_AHEAD, "scaled") == (found.fault, found.field)


@dataclass(frozen=True)
class Levelled(Rises):
    """Names prices; the highest of the candles to come is its target, or the row in the window moves its stop."""

    knows_future: bool = False
    counts_rows: bool = False

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """The prices are all that is wrong."""
        series, signals = market[self.primary_interval_ms], super().compute(market)
        high, rows = series.high.copy(), np.zeros(len(series))
        if self.knows_future:
            high[:-1] = np.maximum(high[:-1], high[1:])
        if self.counts_rows:
            rows += np.arange(len(series)) % 7
        stop = np.where(signals.side != 0, series.low - 1 - rows, np.nan)
        return replace(signals, stop_level=stop, target_level=high + 1)


@pytest.mark.parametrize(
    ("strategy", "fault", "name"),
    [
        (Levelled(knows_future=True), Fault.LOOKS_AHEAD, "target_level"),
        (Levelled(counts_rows=True), Fault.WINDOW_TOO_SHORT, "stop_level"),
    ],
)
def test_a_level_is_compared_as_a_side_is(strategy: Levelled, fault: Fault, name: str) -> None:
    """A price that knows the future is one, and so is one that the window moves."""
    assert check.check(Levelled(), _market("BTCUSDT", 4_000)).difference is None
    found = check.check(strategy, _market("BTCUSDT", 4_000)).difference
    assert found is not None
    assert (fault, name) == (found.fault, found.field)


@dataclass(frozen=True)
class Untidy(Rises):
    """Leaves anything beside its signals."""

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """What no entry has is the count of candles that it was shown."""
        signals = super().compute(market)
        waste = np.full(len(signals.side), float(len(signals.side)))
        kept = {
            name: np.where(signals.side != 0, getattr(signals, name), waste) for name in ("confidence", "stop_distance")
        }
        return replace(signals, **kept)


def test_what_stands_beside_no_entry_is_not_compared() -> None:
    """Neither the live engine nor a backtest looks at it."""
    assert check.check(Untidy(), _market("BTCUSDT", 4_000)).difference is None


def test_what_changes_its_mind_is_not_called_a_look_ahead() -> None:
    """One that counts how often it was asked; nothing else is compared then."""
    checked = check.check(Counting(), _market("BTCUSDT", 4_000))
    assert checked.difference is not None
    assert (Fault.CHANGES_ITS_MIND, "side") == (checked.difference.fault, checked.difference.field)
    assert (0, 0) == (checked.prefixes, checked.windows)


def test_a_window_too_short_is_caught() -> None:
    """An exponential average needs more than its period."""
    found = check.check(Forgetful(), _market("BTCUSDT", 4_000)).difference
    assert found is not None
    assert Fault.WINDOW_TOO_SHORT is found.fault
    assert check.check(Forgetful(window=ta.ema_window(10) + 1), _market("BTCUSDT", 4_000)).difference is None


def test_a_cheap_look_that_misses_signals_is_caught() -> None:
    """The first candle that speaks is named."""
    found = check.check(Rises(is_deaf=True), _market("BTCUSDT", 4_000)).difference
    assert found is not None
    assert (Fault.SILENT_BY_MISTAKE, "side") == (found.fault, found.field)


def test_a_history_shorter_than_the_warm_up_checks_nothing() -> None:
    """No candle may speak, so none is compared."""
    found = check.check(Rises(), _market("BTCUSDT", 4_000).head(30))
    assert (0, 0, 0, 0, None) == (found.candles, found.signals, found.prefixes, found.windows, found.difference)


def _signals(**changes: object) -> Signals:
    zeros, side = np.zeros(3), np.array([0, 1, 0], dtype=np.int8)
    fine = Signals(side, zeros + 0.5, zeros + 1, zeros, np.zeros(3, dtype=np.int8), {"x": zeros}, "t")
    return replace(fine, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({}, ""),
        ({"side": np.array([0, 1], dtype=np.int8)}, "side has the shape (2,), expected one value for each of 3"),
        ({"confidence": 0.5}, "confidence has the shape float"),
        ({"explain": {"x": np.zeros((3, 2))}}, "explain['x'] has the shape (3, 2)"),
        ({"side": np.array([0, 2, 0], dtype=np.int8)}, "other than −1, 0 and 1"),
        ({"confidence": np.array([9, 1.1, 9])}, "confidence leaves [0, 1]"),
        ({"confidence": np.array([0, np.nan, 0])}, "confidence leaves [0, 1]"),
        ({"stop_distance": np.array([1.0, 0.0, 1.0])}, "stop_distance is not above 0"),
        ({"target_distance": np.array([0, np.inf, 0])}, "target_distance is not a number from 0"),
        ({"confidence": np.array([np.nan, 0.5, 1.7]), "stop_distance": np.array([np.nan, 1.0, -5.0])}, ""),
        ({"stop_level": np.array([np.nan, 7.0, np.nan]), "target_level": np.array([-1.0, 8.0, np.nan])}, ""),
        ({"stop_level": np.array([np.nan, 7.0, np.nan]), "stop_distance": np.zeros(3)}, ""),
        ({"stop_level": np.full(3, np.nan), "stop_distance": np.zeros(3)}, "stop_distance is not above 0"),
        ({"target_level": np.full(3, 7.0), "target_distance": np.full(3, -1.0)}, ""),
        ({"stop_level": np.zeros(2)}, "stop_level has the shape (2,), expected one value for each of 3"),
        ({"target_level": 5.0}, "target_level has the shape float"),
        ({"stop_level": np.array(["7", "7", "7"])}, "stop_level holds <U1, expected numbers"),
        ({"side": np.array([0, 1, 0], dtype=object)}, "side holds object, expected numbers"),
        ({"side": np.array([False, True, False])}, "side holds bool, expected numbers (`.astype(np.int8)` for sides"),
        ({"confidence": np.array([0, 0.5j, 0])}, "confidence holds complex128"),
        (
            {"stop_distance": np.ma.masked_equal([0.0, 1.0, 0.0], 0.0)},
            "stop_distance is a MaskedArray, expected a plain",
        ),
        ({"explain": {"x": np.array(["a", "b", "c"])}}, "explain['x'] holds <U1, expected numbers"),
        ({"explain": {"x": np.zeros(3, dtype=object)}}, "explain['x'] holds object"),
        ({"explain": {"x": np.zeros(3, dtype=bool)}}, "explain['x'] holds bool"),
        ({"explain": {"x": None}}, "explain['x'] has the shape NoneType"),
        ({"explain": {7: np.zeros(3)}}, "explain has the name 7, expected a short text"),
        ({"explain": None}, "explain is NoneType, expected a mapping of names to arrays"),
        ({"tag": None}, "tag is None, expected a short text"),
        ({"tag": "two\nlines"}, "tag is 'two\\nlines', expected a short text"),
    ],
)
def test_arrays_that_are_no_signals_are_told(changes: Mapping[str, object], part: str) -> None:
    """Lengths, kinds, texts, sides and, on candles with an entry, ranges; what stands beside them does not matter."""
    mistake = shape_mistake(_signals(**changes), 3)
    assert (part in mistake) if part else not mistake
