"""A local venue server and the adapter that talks to it over real sockets, on one bench.

What belongs here: starting both, moving the market, waiting for the stream. What does not: cases (venue_contract),
any protocol.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from contract.venue_bench import DEPOSIT, INSTRUMENTS, LEVERAGE, PRICES, VOLUME_SHARE, Bar, Traits, bar

from trading_engine.domain.market import Candle, FundingRate
from trading_engine.ports import RemoteVenue, VenueEvent
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.faults import Faults
from trading_engine.venue_servers.web import VenueProtocol, WebServer
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials

T = TypeVar("T")

START = 1_746_316_800_000
MINUTE = 60_000
TERMS = Terms(leverage_milli=int(LEVERAGE * 1_000), volume_share_ppm=int(VOLUME_SHARE * 1_000_000))
KEYS = Credentials("test-key-0123456789abcdef", "test-secret-0123456789abcdef")
PACE = 10  # limits count in the venue's time: waiting for a second of it takes a tenth of one here
QUIET_S = 0.03  # a stream on this machine that says nothing for so long has said everything
MakeProtocol = Callable[[LocalExchange, Credentials], VenueProtocol]
MakeVenue = Callable[[int, "BenchClock"], RemoteVenue]


class BenchClock:
    """Runs `PACE` times as fast as the machine, and is moved forward by a bench."""

    def __init__(self, now_ms: int) -> None:
        self._moved_ms = now_ms
        self._begun_s = time.monotonic()

    def now_ms(self) -> int:
        """Where it was moved to, and what has passed since."""
        return self._moved_ms + int((time.monotonic() - self._begun_s) * 1000 * PACE)

    def move_to(self, now_ms: int) -> None:
        """Stand there now; earlier instants change nothing."""
        if now_ms > self.now_ms():
            self._moved_ms, self._begun_s = now_ms, time.monotonic()

    async def sleep_until(self, at_ms: int) -> None:
        """Nobody waits for this clock: the test moves it."""
        raise NotImplementedError(f"the bench was asked to wait until {at_ms}")


class SocketBench:
    """One venue on one port, one adapter, one loop that runs only while the test asks something."""

    def __init__(self, folder: Path, make_protocol: MakeProtocol, make_venue: MakeVenue, traits: Traits) -> None:
        self.traits = traits
        self._runner = asyncio.Runner()
        self.clock = BenchClock(START)
        self.exchange = LocalExchange(Memory(folder / "venue.db"), INSTRUMENTS, TERMS, DEPOSIT, self.clock)
        self.faults = Faults()
        self._events: list[VenueEvent] = []
        self._next_ms = START
        self.server = WebServer(make_protocol(self.exchange, KEYS), self.faults)
        self.move({symbol: bar(int(price)) for symbol, price in PRICES.items()})
        port = self._runner.run(self.server.start())
        self._venue = make_venue(port, self.clock)
        self._venue.subscribe(self._events.append)
        self._runner.run(self._venue.open())
        self._runner.run(self._quiet())
        self._events.clear()

    @property
    def venue(self) -> RemoteVenue:
        """The adapter under test."""
        return self._venue

    def call(self, question: Coroutine[Any, Any, T]) -> T:
        """Run one call of the venue to its answer."""
        return self._runner.run(question)

    def move(self, bars: Mapping[str, Bar], funding: Mapping[str, Decimal] | None = None) -> None:
        """Settle funding, then let one minute pass; returns when the stream has told it."""
        candles = [_candle(symbol, self._next_ms, shape) for symbol, shape in sorted(bars.items())]
        rates = [FundingRate(symbol, self._next_ms, rate) for symbol, rate in sorted((funding or {}).items())]
        self._runner.run(self._play(candles, rates))
        self._next_ms += MINUTE
        self.clock.move_to(self._next_ms)

    async def _play(self, candles: list[Candle], rates: list[FundingRate]) -> None:
        self.exchange.play(self._next_ms, candles, rates)
        await self._quiet()

    async def _quiet(self) -> None:
        """Until the stream has been silent for a moment."""
        before = -1
        while before != len(self._events):
            before = len(self._events)
            await asyncio.sleep(QUIET_S)

    def drain(self) -> list[VenueEvent]:
        """What was sent to the subscriber."""
        self._runner.run(self._quiet())
        taken = list(self._events)
        self._events.clear()
        return taken

    def close(self) -> None:
        """Release sockets, file and loop."""
        self._runner.run(self._venue.close())
        self._runner.run(self.server.stop())
        self.exchange.close()
        self._runner.close()


def _candle(symbol: str, open_ms: int, shape: Bar) -> Candle:
    (instrument,) = (one for one in INSTRUMENTS if one.symbol == symbol)
    prices = [instrument.price_to_ticks(price) for price in (shape.open, shape.high, shape.low, shape.close)]
    return Candle(symbol, open_ms, MINUTE, *prices, instrument.quantity_to_steps(shape.volume))
