"""The history that strategies want to see before their first live candle.

What belongs here: reading long windows from a venue, and teaching a brain all of it in the right order. What does not:
how much is wanted (brain), the minutes before the first live candle, which the feed joins on (feeding).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.domain.time import MINUTE_MS, floor_to
from trading_engine.marketdata.feed import CandleHistory
from trading_engine.runtime.brain import Brain


@dataclass(frozen=True, slots=True)
class Past:
    """What was read in candles longer than a minute, and how many minutes are still wanted of each symbol."""

    higher: Mapping[str, Sequence[tuple[int, Sequence[Candle]]]]
    base_counts: Mapping[str, int]

    def teach(self, brain: Brain, instruments: Mapping[str, Instrument], base: Mapping[str, Sequence[Candle]]) -> None:
        """Let a brain take in everything, the longest candles first and the minutes last; no signals."""
        for symbol, instrument in instruments.items():
            for interval_ms, candles in self.higher.get(symbol, ()):
                brain.take_candles(instrument, candles, interval_ms)
            brain.take_candles(instrument, base.get(symbol, ()))


async def read_higher(history: CandleHistory, brain: Brain, symbols: Collection[str], until_ms: int) -> Past:
    """Read the windows that are too long for minutes: 200 days are 288,000 of them.

    Candles that had closed by `until_ms` (a whole minute) count. Raises what the venue raises where it cannot be read.
    """
    higher: dict[str, list[tuple[int, Sequence[Candle]]]] = {}
    counts: dict[str, int] = {}
    for symbol in symbols:
        needed = brain.history_needed(symbol)
        counts[symbol] = needed.base
        for interval_ms, count in needed.higher.items():
            since_ms = max(floor_to(until_ms, interval_ms) - count * interval_ms, 0)
            try:
                told = await history.candles(symbol, interval_ms, since_ms, until_ms)
            except ConfigInvalid:  # an interval that the venue does not have is made of minutes
                counts[symbol] = max(counts[symbol], count * interval_ms // MINUTE_MS)
                continue
            closed = [candle for candle in told if candle.close_time_ms <= until_ms]
            higher.setdefault(symbol, []).append((interval_ms, closed))
    return Past(higher, counts)
