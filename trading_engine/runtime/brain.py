"""The strategies at work: closed candles in, signals out.

What belongs here: one evaluator a symbol and its warm-up. What does not: what becomes of a signal (core).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle, Signal
from trading_engine.marketdata.block import CandleBlock, from_units
from trading_engine.marketdata.replay import CandleSource
from trading_engine.strategy.api import Series, Strategy
from trading_engine.strategy.evaluate import Evaluator, base_candles_needed


class Brain:
    """Evaluators by symbol; ValueError where a strategy needs a finer interval than the candles have."""

    def __init__(
        self,
        strategies: Mapping[str, Sequence[Strategy]],
        instruments: Mapping[str, Instrument],
        interval_ms: int,
    ) -> None:
        self._strategies = strategies
        self._interval_ms = interval_ms
        self._evaluators = {
            symbol: Evaluator(
                symbol,
                float(instruments[symbol].tick),
                float(instruments[symbol].step),
                chosen,
                interval_ms,
            )
            for symbol, chosen in strategies.items()
        }

    def warm_up(self, source: CandleSource, before_ms: int) -> None:
        """Take in the candles before `before_ms` that the strategies' windows hold; no signals."""
        for symbol, chosen in self._strategies.items():
            count = base_candles_needed(chosen, self._interval_ms)
            self.take_history(symbol, source.history(symbol, before_ms, count))

    def take_history(self, symbol: str, block: CandleBlock) -> None:
        """Take in past candles of one symbol, oldest first; no signals."""
        if block.rows:
            self._evaluators[symbol].warm_up(
                Series(
                    block.ts,
                    block.open_price,
                    block.high_price,
                    block.low_price,
                    block.close_price,
                    block.base_volume,
                    self._interval_ms,
                )
            )

    def take_candles(self, instrument: Instrument, candles: Sequence[Candle]) -> None:
        """The same from candles one by one."""
        if not candles:
            return
        columns = [np.array(column, dtype=np.int64) for column in zip(*(item[3:] for item in candles), strict=True)]
        ts = np.array([candle.open_time_ms for candle in candles], dtype=np.int64)
        self.take_history(instrument.symbol, from_units(instrument, ts, columns[:4], columns[4]))

    def candles_needed(self) -> Mapping[str, int]:
        """How many past candles of each symbol fill its strategies' windows."""
        return {symbol: base_candles_needed(chosen, self._interval_ms) for symbol, chosen in self._strategies.items()}

    def signals(self, candles: Sequence[Candle]) -> tuple[Signal, ...]:
        """The signals on the candles that closed at one instant, by symbol, then as configured."""
        found: list[Signal] = []
        for candle in candles:
            evaluator = self._evaluators.get(candle.symbol)
            if evaluator is not None:
                found.extend(evaluator.on_candle(candle))
        return tuple(found)
