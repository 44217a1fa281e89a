"""What venues tell anybody, asked without a key of servers that speak their protocols over real sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.domain.time import HOUR_MS, MINUTE_MS
from trading_engine.ports import PublicMarket
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.serve import PROTOCOLS
from trading_engine.venue_servers.web import WebServer
from trading_engine.venues.binance.public import BinancePublic
from trading_engine.venues.bingx.public import BingxPublic
from trading_engine.venues.embedded.facts import known_instrument
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.settings import AccountSettings, Hosts
from trading_engine.venues.zoomex.public import ZoomexPublic

START = 1_746_316_800_000
MINUTES = 70
PUBLIC: dict[str, Callable[..., PublicMarket]] = {
    "binance": BinancePublic,
    "bingx": BingxPublic,
    "zoomex": ZoomexPublic,
}
SETTLED = [FundingRate("BTCUSDT", START + HOUR_MS * hour // 2, Decimal(hour) / 10_000) for hour in (1, 2)]


class Standing:
    """A clock that nobody moves; a moment after the last minute has ended."""

    def now_ms(self) -> int:
        """The present instant."""
        return START + MINUTES * MINUTE_MS + 2_000

    async def sleep_until(self, at_ms: int) -> None:
        """Nobody waits."""
        raise NotImplementedError(f"the server was asked to wait until {at_ms}")


def candle(minute: int) -> Candle:
    base = 600_000 + 10 * minute
    return Candle("BTCUSDT", START + minute * MINUTE_MS, MINUTE_MS, base, base + 50, base - 50, base + 10, 5_000)


def talk(
    venue: str, folder: Path, story: Callable[[PublicMarket], Awaitable[None]], symbols: tuple[str, ...] = ("BTCUSDT",)
) -> None:
    """Tell a story between a public market and a server with an hour of history."""

    async def main() -> None:
        clock = Standing()
        instrument = known_instrument("BTCUSDT")
        assert instrument is not None
        exchange = LocalExchange(Memory(folder / "venue.db"), [instrument], Terms(), Decimal(1_000), clock)
        for minute in range(MINUTES):
            rates = [rate for rate in SETTLED if rate.ts_ms == START + minute * MINUTE_MS]
            exchange.play(START + minute * MINUTE_MS, [candle(minute)], rates)
        server = WebServer(PROTOCOLS[venue](exchange, Credentials("a-strangers-key", "a-strangers-secret")))
        port = await server.start()
        url, stream = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
        market = PUBLIC[venue](AccountSettings("paper", symbols, Hosts(url, stream, stream)), clock)
        try:
            await story(market)
        finally:
            await market.close()
            await server.stop()
            exchange.close()

    asyncio.run(main())


@pytest.mark.parametrize("venue", sorted(PUBLIC))
def test_contracts_and_candles_are_told_without_a_key(tmp_path: Path, venue: str) -> None:
    """In the venue's own tick and step; closed candles only, the bounds as the port says."""

    async def story(market: PublicMarket) -> None:
        await market.measure_clock()
        (instrument,) = await market.listed()
        known = known_instrument("BTCUSDT")
        assert known is not None
        assert (known.tick, known.step) == (instrument.tick, instrument.step)
        assert instrument.tiers
        since_ms, until_ms = START + 60 * MINUTE_MS, START + (MINUTES + 5) * MINUTE_MS
        told = await market.candles(instrument, MINUTE_MS, since_ms, until_ms)
        assert [candle(minute) for minute in range(60, MINUTES)] == list(told)

    talk(venue, tmp_path, story)


@pytest.mark.parametrize("venue", sorted(PUBLIC))
def test_settlements_are_told_oldest_first(tmp_path: Path, venue: str) -> None:
    """The first instant counts in, the last does not."""

    async def story(market: PublicMarket) -> None:
        assert SETTLED == list(await market.settlements("BTCUSDT", START, START + HOUR_MS + 1))
        assert SETTLED[:1] == list(await market.settlements("BTCUSDT", SETTLED[0].ts_ms, SETTLED[1].ts_ms))
        assert [] == list(await market.settlements("BTCUSDT", START + HOUR_MS + 1, START + 2 * HOUR_MS))

    talk(venue, tmp_path, story)


@pytest.mark.parametrize("venue", sorted(PUBLIC))
def test_a_symbol_that_is_not_traded_is_a_mistake_of_the_configuration(tmp_path: Path, venue: str) -> None:
    """Told with its name."""

    async def story(market: PublicMarket) -> None:
        with pytest.raises(ConfigInvalid, match="NOSUCHUSDT"):
            await market.listed()

    talk(venue, tmp_path, story, ("NOSUCHUSDT",))
