"""The strategies at work: closed candles in, signals out.

What belongs here: one evaluator a symbol and its warm-up. What does not: what becomes of a signal (core).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle, Signal
from trading_engine.marketdata.block import CandleBlock, from_units
from trading_engine.marketdata.replay import CandleSource
from trading_engine.strategy.api import Series, Strategy
from trading_engine.strategy.evaluate import Evaluator, atr_windows, history_needed
from trading_engine.strategy.filters import Filter, Need, widest
from trading_engine.strategy.levels import Levels

MOST_BASE_CANDLES = 5_000  # a window of more is cheaper to read in candles of its own interval


class HistoryNeed(NamedTuple):
    """What a symbol's evaluator wants to see before its first candle.

    base     base candles, the last before the first candle
    higher   interval in ms → candles of that interval, in place of many more base candles
    """

    base: int
    higher: Mapping[int, int]


class Brain:
    """Evaluators by symbol, and by strategy the filters of its entries, the period of the range they come with, and
    where their stops and targets are put.

    ValueError where a strategy or filter needs a finer interval than the candles have, KeyError where a filter
    looks at a symbol that is not among them.
    """

    def __init__(
        self,
        strategies: Mapping[str, Sequence[Strategy]],
        instruments: Mapping[str, Instrument],
        interval_ms: int,
        filters: Mapping[str, Sequence[Filter]] = MappingProxyType({}),
        atr_periods: Mapping[str, int] = MappingProxyType({}),
        levels: Mapping[str, Levels] = MappingProxyType({}),
    ) -> None:
        self._interval_ms = interval_ms
        self._strategies = strategies
        self._also = _also(strategies, filters, atr_periods)
        self._evaluators = {
            symbol: Evaluator(
                symbol,
                float(instruments[symbol].tick),
                float(instruments[symbol].step),
                chosen,
                interval_ms,
                filters,
                self._also[symbol],
                atr_periods,
                levels,
            )
            for symbol, chosen in strategies.items()
        }

    def history_needed(self, symbol: str, most_base: int = MOST_BASE_CANDLES) -> HistoryNeed:
        """How much history the windows of a symbol hold; intervals that need more base candles come as they are.

        Base candles still cover one whole candle of each of those, which is forming when the history ends.
        """
        needed = history_needed(self._strategies[symbol], self._also[symbol])
        spans = {interval_ms: count * interval_ms // self._interval_ms for interval_ms, count in needed.items()}
        far = {each for each, base in spans.items() if base > most_base and each != self._interval_ms}
        near = [base for each, base in spans.items() if each not in far]
        near += [each // self._interval_ms + 1 for each in far]
        return HistoryNeed(max(near, default=0), {each: needed[each] for each in sorted(far)})

    def warm_up(self, source: CandleSource, before_ms: int) -> None:
        """Take in the candles before `before_ms` that the strategies' windows hold; no signals."""
        for symbol in self._strategies:
            needed = history_needed(self._strategies[symbol], self._also[symbol])
            spans = (count * interval_ms for interval_ms, count in needed.items())
            count = max(spans, default=0) // self._interval_ms
            self.take_history(symbol, source.history(symbol, before_ms, count))

    def take_history(self, symbol: str, block: CandleBlock, interval_ms: int = 0) -> None:
        """Take in past candles of one symbol, oldest first; no signals.

        interval_ms   that of the candles, 0 for the base; higher ones come before all base candles
        """
        if not block.rows:
            return
        history = Series(
            block.ts,
            block.open_price,
            block.high_price,
            block.low_price,
            block.close_price,
            block.base_volume,
            interval_ms or self._interval_ms,
        )
        evaluator = self._evaluators[symbol]
        if history.interval_ms == self._interval_ms:
            evaluator.warm_up(history)
        else:
            evaluator.seed(history)

    def take_candles(self, instrument: Instrument, candles: Sequence[Candle], interval_ms: int = 0) -> None:
        """The same from candles one by one."""
        if not candles:
            return
        columns = [np.array(column, dtype=np.int64) for column in zip(*(item[3:] for item in candles), strict=True)]
        ts = np.array([candle.open_time_ms for candle in candles], dtype=np.int64)
        self.take_history(instrument.symbol, from_units(instrument, ts, columns[:4], columns[4]), interval_ms)

    def signals(self, candles: Sequence[Candle]) -> tuple[Signal, ...]:
        """The signals on the candles that closed at one instant, by symbol, then as configured.

        All candles are taken in before anybody is asked, so that filters see other symbols as of the same instant.
        """
        known = [(self._evaluators[candle.symbol], candle) for candle in candles if candle.symbol in self._evaluators]
        for evaluator, candle in known:
            evaluator.take(candle)
        found: list[Signal] = []
        for evaluator, candle in known:
            found.extend(evaluator.ask(candle, self._elsewhere))
        return tuple(found)

    def _elsewhere(self, need: Need) -> Series:
        return self._evaluators[need.symbol].series(need.interval_ms, need.candles)


def _also(
    strategies: Mapping[str, Sequence[Strategy]],
    filters: Mapping[str, Sequence[Filter]],
    atr_periods: Mapping[str, int],
) -> Mapping[str, Mapping[int, int]]:
    """By symbol, the windows that average true ranges and filters look at there, of whatever symbol's signals."""
    also = {symbol: atr_windows(chosen, atr_periods) for symbol, chosen in strategies.items()}
    for symbol, chosen in strategies.items():
        for strategy in chosen:
            for looked_at, windows in widest(filters.get(strategy.name, ()), symbol).items():
                of_symbol = also[looked_at]
                for interval_ms, count in windows.items():
                    of_symbol[interval_ms] = max(count, of_symbol.get(interval_ms, 0))
    return also
