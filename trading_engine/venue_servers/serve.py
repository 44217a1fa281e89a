"""Running a local venue server: a market, a clock, one exchange, one protocol on one port.

What belongs here: putting the parts together and keeping time, also over a restart. What does not: the parts.

The clock is anchored when a server first starts: while it is down the market goes on, and what it has missed is
matched at once when it comes back, as on a venue whose matching never stopped.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from pathlib import Path

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import FundingRate
from trading_engine.domain.time import MINUTE_MS, floor_to
from trading_engine.marketdata.candle_file import open_candles
from trading_engine.marketdata.funding_file import read_funding
from trading_engine.marketdata.replay import Batch, CandleSource, Replay
from trading_engine.marketdata.synth import SyntheticMarket
from trading_engine.system import crash_points
from trading_engine.venue_servers.binance import BinanceProtocol
from trading_engine.venue_servers.bingx import BingxProtocol
from trading_engine.venue_servers.clock import PacedClock
from trading_engine.venue_servers.exchange import CANDLES_KEPT, LocalExchange, points_passed
from trading_engine.venue_servers.faults import Faults, read_faults
from trading_engine.venue_servers.web import VenueProtocol, WebServer
from trading_engine.venue_servers.zoomex import ZoomexProtocol
from trading_engine.venues.embedded.facts import known_instrument
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials

PROTOCOLS = {"binance": BinanceProtocol, "bingx": BingxProtocol, "zoomex": ZoomexProtocol}
DEFAULT_SYMBOLS = ("BTCUSDT", "ETHUSDT")
SYNTHETIC_CANDLES = 60_000
VOLUME_SHARE_PPM = 100_000


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line asks for.

    funding   settlements of symbols that have a file in `replay`
    speed     how many seconds of the market pass in a real one
    db        where the account is kept; None for a server that forgets
    """

    venue: str
    port: int
    credentials: Credentials
    replay: Mapping[str, Path] = field(default_factory=dict)
    funding: Mapping[str, Path] = field(default_factory=dict)
    symbols: tuple[str, ...] = DEFAULT_SYMBOLS
    seed: int = 7
    speed: float = 1.0
    balance: Decimal = Decimal(10_000)
    faults: Path | None = None
    db: Path | None = None


class VenueServer:
    """One server from its options; `run` until cancelled. ConfigInvalid for what cannot be served."""

    def __init__(self, options: ServeOptions) -> None:
        self.options = options
        names = tuple(options.replay) or options.symbols
        self.instruments = {name: _instrument(name) for name in names}
        self.rules = read_faults(options.faults) if options.faults else []
        self._source = _source(options, self.instruments)
        self._folder = None if options.db else tempfile.TemporaryDirectory(prefix="venue-server-")
        self._db = options.db or Path(self._folder.name if self._folder else "") / "venue.db"
        self.exchange: LocalExchange | None = None
        self.server: WebServer | None = None

    async def run(self, on_ready: asyncio.Event | None = None) -> None:
        """Serve; `on_ready` is set once the port listens."""
        start_ms, wall_ms = self._anchor()
        factor = self.options.speed
        clock = PacedClock(start_ms + int((time.time() * 1000 - wall_ms) * factor), factor)
        terms = Terms(volume_share_ppm=VOLUME_SHARE_PPM)
        memory = Memory(self._db, crash_points.hit)
        exchange = LocalExchange(memory, list(self.instruments.values()), terms, self.options.balance, clock)
        self.exchange = exchange
        try:
            self._remember(exchange, start_ms)
            protocol: VenueProtocol = PROTOCOLS[self.options.venue](exchange, self.options.credentials)
            self.server = WebServer(protocol, Faults(self.rules, self.options.seed), pace=factor)
            coming = self._catch_up(exchange, start_ms)
            await self._start(self.server)
            if on_ready is not None:
                on_ready.set()
            await self._live(exchange, coming)
        finally:
            if self.server is not None:
                await self.server.stop()
            exchange.close()
            if self._folder is not None:
                self._folder.cleanup()

    async def _start(self, server: WebServer) -> None:
        try:
            await server.start(self.options.port)
        except OSError as error:
            raise ConfigInvalid(f"--port {self.options.port}: {error.strerror}; choose another", exit_code=2) from error

    def _anchor(self) -> tuple[int, int]:
        """Which instant of the market was which of the wall clock; written down when a database is first served."""
        path = self._db.with_suffix(".clock.json")
        if self.options.db is not None and path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            return int(kept["market_ms"]), int(kept["wall_ms"])
        wall_ms = int(time.time() * 1000)
        first_ms = self._source.first_ts + min(CANDLES_KEPT, self._length() // 2) * MINUTE_MS
        if self.options.db is not None:
            path.touch(mode=0o600)
            path.write_text(json.dumps({"market_ms": first_ms, "wall_ms": wall_ms}), encoding="utf-8")
        return first_ms, wall_ms

    def _length(self) -> int:
        return (self._source.last_ts - self._source.first_ts) // MINUTE_MS + 1

    def _remember(self, exchange: LocalExchange, start_ms: int) -> None:
        """The candles and settlements before the start, for those who ask for history."""
        for rate in self._source.funding_between(start_ms - CANDLES_KEPT * MINUTE_MS - 1, start_ms - 1):
            exchange.markets[rate.symbol].funding.append(rate)
        for batch in self._source.batches(start_ms - CANDLES_KEPT * MINUTE_MS):
            if batch.open_time_ms >= start_ms:
                return
            for candle in batch.candles:
                exchange.markets[candle.symbol].closed.append(candle)

    def _catch_up(self, exchange: LocalExchange, start_ms: int) -> Iterator[Batch]:
        """Match what was missed before anybody is heard, for an order of now knows nothing of it; the minutes to come.

        The minute that is passing is the first of them: it was matched as far as it has come.
        """
        batches = self._source.batches(start_ms)
        for batch in batches:
            passed_ms = exchange.now_ms() - batch.open_time_ms
            if passed_ms >= MINUTE_MS:
                exchange.play(batch.open_time_ms, batch.candles, self._funding(batch))
                continue
            if passed_ms >= 0:
                exchange.play(batch.open_time_ms, batch.candles, self._funding(batch), points_passed(passed_ms))
            return chain([batch], batches)
        return batches

    async def _live(self, exchange: LocalExchange, coming: Iterator[Batch]) -> None:
        for batch in coming:
            funding = self._funding(batch)
            if batch.open_time_ms + MINUTE_MS <= exchange.now_ms():
                exchange.play(batch.open_time_ms, batch.candles, funding)
                await asyncio.sleep(0)
                continue
            await exchange.clock.sleep_until(batch.open_time_ms)
            await exchange.live(batch.open_time_ms, batch.candles, funding)

    def _funding(self, batch: Batch) -> Sequence[FundingRate]:
        return self._source.funding_between(batch.open_time_ms - 1, batch.open_time_ms)


def _instrument(symbol: str) -> Instrument:
    found = known_instrument(symbol)
    if found is None:
        raise ConfigInvalid(f"{symbol}: there are no built-in facts of this symbol", exit_code=2)
    return found


def _source(options: ServeOptions, instruments: Mapping[str, Instrument]) -> CandleSource:
    if options.replay:
        files = [open_candles(symbol, path, instruments[symbol]) for symbol, path in options.replay.items()]
        for file in files:
            if file.interval_ms != MINUTE_MS:
                raise ConfigInvalid(f"{file.path}: a server needs candles of one minute", exit_code=2)
        rates = [
            rate
            for file in files
            if file.symbol in options.funding
            for rate in read_funding(
                file.symbol, options.funding[file.symbol], file.first_ts, file.last_ts + file.interval_ms
            )
        ]
        return Replay(files, rates)
    start_ms = floor_to(int(time.time() * 1000), MINUTE_MS) - CANDLES_KEPT * MINUTE_MS
    anchor = options.db.with_suffix(".clock.json") if options.db else None
    if anchor is not None and anchor.exists():  # the same market as before
        start_ms = int(json.loads(anchor.read_text(encoding="utf-8"))["market_ms"]) - CANDLES_KEPT * MINUTE_MS
    return SyntheticMarket(options.seed, instruments, start_ms, SYNTHETIC_CANDLES)
