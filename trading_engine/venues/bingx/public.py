"""What BingX tells anybody: contracts, candles, settlements.

What belongs here: the port for who has no key. What does not: the questions themselves (market), anything of an
account (venue).
"""

from collections.abc import Sequence

from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.venues.bingx import facts, market
from trading_engine.venues.bingx.rest import Rest
from trading_engine.venues.wire.clock import Milliseconds, VenueClock
from trading_engine.venues.wire.limiter import Limiter
from trading_engine.venues.wire.secrets import NOBODY
from trading_engine.venues.wire.settings import AccountSettings
from trading_engine.venues.wire.transport import Transport


class BingxPublic:
    """The venue without a key. Passes `ports.PublicMarket`."""

    tells_tiers = False

    def __init__(self, settings: AccountSettings, clock: Milliseconds) -> None:
        self._settings = settings
        self._transport = Transport()
        self._clock = VenueClock(clock)
        limiter = Limiter(facts.pools(), clock)
        url, window_ms = settings.hosts.rest_url, settings.recv_window_ms
        self._rest = Rest(self._transport, url, NOBODY, limiter, self._clock, window_ms)

    async def close(self) -> None:
        """End every connection."""
        await self._transport.close()

    async def measure_clock(self) -> int:
        """What the venue's clock is ahead of ours, in ms."""
        return await self._rest.measure_clock()

    async def listed(self) -> Sequence[Instrument]:
        """Facts of the configured symbols; leverage and tiers are assumed, they are told with a key only."""
        return await market.read_listed(self._rest, self._settings)

    async def candles(self, instrument: Instrument, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """Closed candles, oldest first."""
        until_ms = min(until_ms, self._clock.now_ms() - interval_ms + 1)
        return await market.read_candles(self._rest, instrument, interval_ms, since_ms, until_ms)

    async def settlements(self, symbol: str, since_ms: int, until_ms: int) -> Sequence[FundingRate]:
        """Settlements in [since_ms, until_ms), oldest first."""
        return await market.read_settlements(self._rest, symbol, since_ms, until_ms)
