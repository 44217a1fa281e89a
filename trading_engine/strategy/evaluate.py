"""Strategies at work: on a trailing window candle by candle, or once over a whole history.

What belongs here: when a strategy is asked, which rows may speak, a row as a domain signal, what filters have
against it. What does not: the ranking of signals (aggregate), what becomes of them (core).

Both ways call the same `compute` and let the same rows speak: not the first `warm_up` candles, and not a
higher candle whose end passed unseen in a gap, because the past gives no signals.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from trading_engine.domain.market import Candle, Side, Signal
from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy.api import BoolArray, FloatArray, IntArray, Series, Signals, Strategy
from trading_engine.strategy.filters import Entry, Filter, Look, Need, refusals
from trading_engine.strategy.indicators import TOLERANCE, atr, wilder_window
from trading_engine.strategy.levels import NO_LEVELS, Levels, in_ticks, objections, placed
from trading_engine.strategy.window import Window


def _nowhere(need: Need) -> Series:
    raise ValueError(f"there are no candles of {need.symbol} here")


_SIDES: Mapping[int, Side | None] = {1: Side.LONG, -1: Side.SHORT, 0: None}


class Evaluator:
    """The strategies of one symbol, fed with its closed base candles.

    tick, step         price and quantity units of the instrument, which the candles count in
    base_interval_ms   interval of the candles it is fed with
    filters            by strategy, what its entries must pass
    also               interval in ms → candles that filters look at, here or with `series`
    atr_periods        strategy → period of the average true range that its entries come with; the window is made
                       long enough for it
    levels             strategy → where its stop and target are put; one that counts in ranges has a period above

    ValueError for two strategies of one name, or one that needs an interval the base cannot give.
    """

    def __init__(
        self,
        symbol: str,
        tick: float,
        step: float,
        strategies: Sequence[Strategy],
        base_interval_ms: int = MINUTE_MS,
        filters: Mapping[str, Sequence[Filter]] = MappingProxyType({}),
        also: Mapping[int, int] = MappingProxyType({}),
        atr_periods: Mapping[str, int] = MappingProxyType({}),
        levels: Mapping[str, Levels] = MappingProxyType({}),
    ) -> None:
        if len({strategy.name for strategy in strategies}) < len(strategies):
            raise ValueError(f"{symbol}: two strategies have the same name")
        self._symbol = symbol
        self._tick = tick
        self._step = step
        self._interval_ms = base_interval_ms
        self._filters = filters
        self._atr_periods = atr_periods
        self._levels = levels
        self._window = Window(base_interval_ms, _widest(strategies, also, atr_windows(strategies, atr_periods)))
        # Read once: properties that compute would cost as much as an indicator on every candle.
        self._plan = [(each, each.primary_interval_ms, each.intervals, each.warm_up) for each in strategies]

    def warm_up(self, history: Series) -> None:
        """Take in past base candles, oldest first, without a signal; ValueError as `Window.extend`."""
        self._window.extend(history)

    def seed(self, history: Series) -> None:
        """Take in past candles of a higher interval as they are, before any others; ValueError as `Window.seed`."""
        self._window.seed(history)

    def series(self, interval_ms: int, count: int) -> Series:
        """The last candles of an interval that it was made for; ValueError as `Window.series`."""
        return self._window.series(interval_ms, count)

    def on_candle(self, candle: Candle) -> list[Signal]:
        """Take in the next closed base candle; the signals on it, as `take` and `ask` do."""
        self.take(candle)
        return self.ask(candle)

    def take(self, candle: Candle) -> None:
        """Take in the next closed base candle; ValueError for another symbol, interval or time than the next one."""
        if candle.symbol != self._symbol or candle.interval_ms != self._interval_ms:
            raise ValueError(f"{self._symbol} got a candle of {candle.symbol}, {candle.interval_ms} ms")
        tick = self._tick
        self._window.append(
            candle.open_time_ms,
            candle.open * tick,
            candle.high * tick,
            candle.low * tick,
            candle.close * tick,
            candle.volume * self._step,
        )

    def ask(self, candle: Candle, elsewhere: Look = _nowhere) -> list[Signal]:
        """The signals on the candle that was taken in last, in the order of the strategies.

        elsewhere   where filters look for candles of other symbols

        A strategy is asked when a candle of its primary interval ends with this one and its warm-up is over. An
        entry whose stop or target lies where none can lie is refused like one that a filter is against. ValueError
        for a strategy that gives an entry a confidence outside of [0, 1].
        """
        found = []
        for strategy, primary_ms, intervals, warm_up in self._plan:
            if candle.close_time_ms % primary_ms or self._window.count(primary_ms) <= warm_up:
                continue
            market = {interval: self._window.series(interval, count) for interval, count in intervals.items()}
            if strategy.is_silent(market):
                continue
            signals = self._placed(strategy.name, strategy.compute(market), market[primary_ms])
            if signals.side[-1] or signals.exit_side[-1]:
                signal = self._last_row(strategy.name, signals, candle, primary_ms)
                found.append(self._filtered(signal, signals, candle.close_time_ms, elsewhere))
        return found

    def _placed(self, strategy: str, signals: Signals, candles: Series) -> Signals:
        """The signals with stop and target where levels put them."""
        if not (signals.side[-1] and (strategy in self._levels or signals.has_levels)):
            return signals
        levels, ranges = self._levels.get(strategy, NO_LEVELS), None
        if levels.asks_atr:
            ranges = np.full(len(candles), np.nan)
            ranges[-1] = self._atr(strategy, candles.interval_ms)
        return placed(signals, candles.close, ranges, levels)

    def _filtered(self, signal: Signal, signals: Signals, closed_ms: int, elsewhere: Look) -> Signal:
        """The signal with what the filters of its strategy have against its entry."""
        filters = self._filters.get(signal.strategy)
        if signal.side is None or signal.refusals or not filters:
            return signal
        stop, target = float(signals.stop_distance[-1]), float(signals.target_distance[-1])
        entry = Entry(signal.side, signal.close_ticks * self._tick, stop, target, closed_ms)

        def look(need: Need) -> Series:
            if need.symbol in ("", self._symbol):
                return self._window.series(need.interval_ms, need.candles)
            return elsewhere(need)

        return replace(signal, refusals=refusals(filters, entry, look))

    def _last_row(self, strategy: str, signals: Signals, candle: Candle, primary_ms: int) -> Signal:
        side = _SIDES[int(signals.side[-1])]
        exit_side = _SIDES[int(signals.exit_side[-1])]
        explanation = tuple((name, f"{values[-1]:.10g}") for name, values in signals.explain.items())
        closed_ms = candle.close_time_ms
        if side is None:  # what stands beside an exit means nothing
            return Signal(
                strategy=strategy,
                symbol=self._symbol,
                side=None,
                confidence=0.0,
                close_ticks=candle.close,
                stop_ticks=0,
                target_ticks=0,
                candle_ts_ms=closed_ms - primary_ms,
                tag=signals.tag,
                exit_side=exit_side,
                explanation=explanation,
            )
        stop, target = signals.stop_distance[-1:], signals.target_distance[-1:]
        require_confidence(strategy, self._symbol, signals.confidence[-1:])
        return Signal(
            strategy=strategy,
            symbol=self._symbol,
            side=side,
            confidence=float(signals.confidence[-1]),
            close_ticks=candle.close,
            stop_ticks=int(in_ticks(stop, self._tick)[0]),
            target_ticks=int(in_ticks(target, self._tick)[0]),
            candle_ts_ms=closed_ms - primary_ms,
            tag=signals.tag,
            exit_side=exit_side,
            explanation=explanation,
            refusals=tuple(objections(stop, target, self._tick).values()),
            atr_mticks=self._atr_mticks(strategy, primary_ms),
        )

    def _atr_mticks(self, strategy: str, primary_ms: int) -> int:
        if strategy not in self._atr_periods:
            return 0
        return int(in_mticks(np.array([self._atr(strategy, primary_ms)]), self._tick)[0])

    def _atr(self, strategy: str, primary_ms: int) -> float:
        """The average true range of the last candle, NaN where there are too few."""
        period = self._atr_periods[strategy]
        return float(atr(self._window.series(primary_ms, wilder_window(period)), period)[-1])


def atr_windows(strategies: Sequence[Strategy], atr_periods: Mapping[str, int]) -> dict[int, int]:
    """Interval in ms → candles that the average true ranges of these strategies' entries are counted from."""
    return _longest(
        {each.primary_interval_ms: wilder_window(atr_periods[each.name])}
        for each in strategies
        if each.name in atr_periods
    )


def require_confidence(strategy: str, symbol: str, confidence: FloatArray) -> None:
    """ValueError where the confidence of an entry is outside of [0, 1], or no number."""
    wrong = confidence[~((confidence >= 0) & (confidence <= 1))]
    if wrong.size:
        raise ValueError(f"{strategy} on {symbol}: confidence {wrong[0]} of an entry is outside of [0, 1]")


def in_mticks(ranges: FloatArray, tick: float) -> IntArray:
    """Ranges in price units as thousandths of a tick, rounded down; 0 where there are too few candles for one."""
    known = np.where(np.isfinite(ranges), ranges, 0.0)
    # A hair more than the quotient, as for distances: the window and the whole history must agree.
    return np.floor(known / tick * 1_000 * (1 + TOLERANCE)).astype(np.int64)


def asked_rows(strategy: Strategy, base: Series, primary: Series) -> BoolArray:
    """The rows of a strategy's own candles on which the live engine asks it: warm, and seen as they closed."""
    asked: BoolArray = np.ones(len(primary), np.bool_)
    if primary.interval_ms != base.interval_ms:  # else they are the same candles
        closes, ends = base.close_times, primary.close_times
        asked = closes[closes.searchsorted(ends)] == ends
    asked[: strategy.warm_up] = False
    return asked


def history_needed(strategies: Sequence[Strategy], also: Mapping[int, int] = MappingProxyType({})) -> dict[int, int]:
    """By interval, the past candles after which all of the strategies may speak on their next closed candle.

    One candle more of each interval than its window has, because the history may begin inside one. `also` are
    windows that filters need.
    """
    needed = {interval_ms: count + 1 for interval_ms, count in _widest(strategies, also).items()}
    for strategy in strategies:
        primary_ms = strategy.primary_interval_ms
        needed[primary_ms] = max(needed[primary_ms], strategy.warm_up + 1)
    return needed


def base_candles_needed(strategies: Sequence[Strategy], base_interval_ms: int = MINUTE_MS) -> int:
    """Past base candles from which `history_needed` can be made."""
    needed = history_needed(strategies).items()
    return max((count * interval_ms for interval_ms, count in needed), default=0) // base_interval_ms


def _widest(strategies: Sequence[Strategy], *also: Mapping[int, int]) -> dict[int, int]:
    """The longest window that any of the strategies needs of each interval, or anybody else."""
    return _longest([*(strategy.intervals for strategy in strategies), *also])


def _longest(several: Iterable[Mapping[int, int]]) -> dict[int, int]:
    found: dict[int, int] = {}
    for windows in several:
        for interval_ms, count in windows.items():
            found[interval_ms] = max(count, found.get(interval_ms, 0))
    return found
