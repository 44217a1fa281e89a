"""Playing recordings on a port of this machine.

What belongs here: putting tape, exchange, protocol and port together, and when which frame is sent. What does not:
what follows from a frame (binance).

The market stands still until the first visitor comes, so that nobody misses its begin; as fast as it goes, it waits
for a subscription. Played once it ends with the tape; played again and again it ends when it is told to.
"""

import asyncio
import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.playback.binance import PLAYBACKS, BinancePlayback
from trading_engine.venue_servers.playback.clock import PlaybackClock
from trading_engine.venue_servers.playback.tape import Tape
from trading_engine.venue_servers.web import WebServer
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials

_FRAMES_A_TURN = 64  # of the event loop
_MOST_AHEAD = 4_000  # frames that wait for a client when there is no other pace
_SETTLE_S = 0.5  # from a first subscription until the others of the same client are there
_DRAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class PlaybackOptions:
    """What the command line asks for.

    speed        recorded seconds in a real one; None for as fast as the clients take it
    symbols_to   how many symbols are played; 0 for those recorded
    """

    venue: str
    files: Sequence[Path]
    port: int
    credentials: Credentials
    speed: float | None = 1.0
    symbols_to: int = 0
    is_endless: bool = False
    balance: Decimal = Decimal(10_000)


class PlaybackServer:
    """One recording on one port. ConfigInvalid for what cannot be played; reading may take seconds.

    played    frames of the tape, all turns together
    turn      how often the tape has begun again
    """

    def __init__(self, options: PlaybackOptions) -> None:
        self.options = options
        self.tape = Tape(options.files, is_endless=options.is_endless)
        self.recording = PLAYBACKS[options.venue](self.tape, options.symbols_to)
        self.played = 0
        self.turn = 0
        self.port = 0
        self._clock: PlaybackClock | None = None
        self._protocol: BinancePlayback | None = None

    @property
    def connections(self) -> int:
        """Websockets that listen."""
        return self._protocol.streams.connections if self._protocol is not None else 0

    @property
    def position_ms(self) -> int:
        """How far the market has come since the tape first began."""
        return self._clock.now_ms() - self._start_ms if self._clock is not None else 0

    @property
    def _start_ms(self) -> int:
        return self.tape.first_ms + self.recording.ahead_ms

    async def run(self, on_ready: asyncio.Event | None = None) -> None:
        """Serve until the tape is over or the task is cancelled; `on_ready` is set once the port listens."""
        clock = self._clock = PlaybackClock(self._start_ms, self.options.speed)
        with tempfile.TemporaryDirectory(prefix="playback-") as folder:
            memory = Memory(Path(folder) / "venue.db")
            exchange = LocalExchange(memory, self.recording.instruments, Terms(), self.options.balance, clock)
            protocol = self._protocol = self.recording.protocol(exchange, self.options.credentials)
            visited = asyncio.Event()
            server = WebServer(protocol, pace=self.options.speed or 1.0, on_visit=visited.set)
            try:
                self.port = await self._listen(server)
                if on_ready is not None:
                    on_ready.set()
                await visited.wait()
                await self._play(protocol, clock)
            finally:
                await server.stop()
                exchange.close()

    async def _listen(self, server: WebServer) -> int:
        try:
            return await server.start(self.options.port)
        except OSError as error:
            raise ConfigInvalid(f"--port {self.options.port}: {error.strerror}; choose another", exit_code=2) from error

    async def _play(self, protocol: BinancePlayback, clock: PlaybackClock) -> None:
        if self.options.speed is None:
            await protocol.streams.subscribed.wait()
            await asyncio.sleep(_SETTLE_S)
        clock.start()
        for number in itertools.count() if self.options.is_endless else (0,):
            self.turn = number
            if number:
                protocol.turn(number)
            await self._play_turn(protocol, clock, self.recording.ahead_ms + number * self.tape.turn_ms)
        async with asyncio.timeout(_DRAIN_S):
            await protocol.streams.drain(0)

    async def _play_turn(self, protocol: BinancePlayback, clock: PlaybackClock, later_ms: int) -> None:
        is_paced = self.options.speed is not None
        now_ms = clock.now_ms()
        for frame in self.tape.frames():
            at_ms = frame.receive_ms + later_ms
            if is_paced:
                if at_ms > now_ms:
                    now_ms = clock.now_ms()
                    if at_ms > now_ms:
                        await clock.sleep_until(at_ms)
                        now_ms = clock.now_ms()
            else:
                clock.move_to(at_ms)
            protocol.play(frame, at_ms)
            self.played += 1
            if self.played % _FRAMES_A_TURN == 0:
                if not is_paced:
                    await protocol.streams.drain(_MOST_AHEAD)
                await asyncio.sleep(0)
