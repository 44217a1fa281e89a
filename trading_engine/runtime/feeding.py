"""Live candles for a run: the venue's market stream, checked against its history.

What belongs here: putting stream, history and feed together, and what a feed's notices mean for the engine. What does
not: which stream a venue has (remote), how candles are made (marketdata), what follows from a fault (core).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from loguru import logger

from trading_engine.config.model import Config
from trading_engine.domain.events import FeedFault, FeedReported
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.domain.streams import MarketSink
from trading_engine.marketdata.feed import CandleHistory, FeedSettings, LiveFeed, Notice, NoticeKind
from trading_engine.ports import CandleSink, Clock
from trading_engine.runtime import remote
from trading_engine.venues.wire.transport import Transport

# What a notice says of a fault, and whether that is over; the others are for the log alone.
_FAULTS: Mapping[NoticeKind, tuple[FeedFault, bool]] = {
    NoticeKind.STALE: (FeedFault.STALE, False),
    NoticeKind.FRESH: (FeedFault.STALE, True),
    NoticeKind.LAGGING: (FeedFault.LAGGING, False),
    NoticeKind.CAUGHT_UP: (FeedFault.LAGGING, True),
    NoticeKind.HISTORY_DOWN: (FeedFault.UNCHECKED, False),
    NoticeKind.HISTORY_UP: (FeedFault.UNCHECKED, True),
    NoticeKind.DIFFERENT: (FeedFault.DIFFERENT, False),
    NoticeKind.ALIKE: (FeedFault.DIFFERENT, True),
}

OnReport = Callable[[FeedReported], None]


class Feeding:
    """`open`, then `run` until cancelled, then `close`. Passes ports.MarketData.

    clock       the venue's time as this run has it, which runs `pace` times as fast as ours
    on_report   told what changes about a symbol's data; set before `run`, reports before that are logged only
    """

    def __init__(
        self, config: Config, history: CandleHistory, instruments: Sequence[Instrument], clock: Clock, pace: float = 1.0
    ) -> None:
        self._clock = clock
        self._pace = pace
        self._transport = Transport()
        self._stream = remote.make_stream(config, instruments, clock, self._transport, _note, self._sleep)
        self.on_report: OnReport | None = None
        symbols = tuple(instrument.symbol for instrument in instruments)
        self._feed = LiveFeed(self._stream, history, clock, FeedSettings(symbols), self._on_notice, self._sleep)

    async def open(self, counts: Mapping[str, int]) -> Mapping[str, Sequence[Candle]]:
        """The last closed candles for the warm-up; what is handed on later begins right after them.

        VenueUnavailable where history does not answer; may be asked again.
        """
        # One more: history may lack the minute that has just ended, and then begins a minute earlier.
        return await self._feed.open({symbol: count + 1 for symbol, count in counts.items()})

    def subscribe(self, sink: CandleSink) -> None:
        """Give `sink` all candles that close at one instant together."""
        self._feed.subscribe(sink)

    def listen(self, sink: MarketSink) -> None:
        """Give `sink` what else the stream says."""
        self._stream.listen(sink)

    async def run(self) -> None:
        """Hand candles on until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._feed.run(), name="candles")
            tasks.create_task(self._stream.run(), name="market stream")

    async def close(self) -> None:
        """End every connection; again has no effect."""
        await self._transport.close()

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._pace)

    def _on_notice(self, notice: Notice) -> None:
        told = _FAULTS.get(notice.kind)
        text = f"{notice.symbol}: {notice.kind} ({notice.text})"
        if told is None or self.on_report is None:
            logger.info(text)
            return
        logger.debug(text)  # its alert is logged too, once
        fault, is_over = told
        self.on_report(FeedReported(self._clock.now_ms(), notice.symbol, fault, is_over, notice.text))


def _note(text: str) -> None:
    logger.info("market stream: {}", text)
