"""What Zoomex tells anybody: contracts, candles, settlements.

What belongs here: the port for who has no key. What does not: the questions themselves (market), anything of an
account (venue).
"""

from collections.abc import Sequence

from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.venues.wire.clock import Milliseconds
from trading_engine.venues.wire.secrets import NOBODY
from trading_engine.venues.wire.settings import AccountSettings
from trading_engine.venues.wire.transport import Transport
from trading_engine.venues.zoomex.market import Market
from trading_engine.venues.zoomex.rest import Rest


class ZoomexPublic:
    """The venue without a key. Passes `ports.PublicMarket`."""

    tells_tiers = True

    def __init__(self, settings: AccountSettings, clock: Milliseconds) -> None:
        self._transport = Transport()
        self._rest = Rest(NOBODY, settings, clock, self._transport)
        self._market = Market(self._rest, settings)

    async def close(self) -> None:
        """End every connection."""
        await self._transport.close()

    async def measure_clock(self) -> int:
        """What the venue's clock is ahead of ours, in ms."""
        return await self._rest.measure_clock()

    async def listed(self) -> Sequence[Instrument]:
        """Facts of the configured symbols, tiers included: they are public here."""
        return await self._market.instruments()

    async def candles(self, instrument: Instrument, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """Closed candles, oldest first."""
        return await self._market.candles(instrument, interval_ms, since_ms, until_ms)

    async def settlements(self, symbol: str, since_ms: int, until_ms: int) -> Sequence[FundingRate]:
        """Settlements in [since_ms, until_ms), oldest first."""
        return await self._market.settlements(symbol, since_ms, until_ms)
