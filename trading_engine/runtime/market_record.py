"""Recording a venue's public streams: every frame as it came, and the snapshots that a local book begins from.

What belongs here: connecting a stream with files, when a snapshot is asked for, counting. What does not: venues
(recordable), the files (marketdata.recorder), what a person sees (cli).

Each symbol has files of its own, so that a snapshot, which names no symbol, needs no more than its line. One is
recorded at the first change of the book, after every hole in the sequence, and with each new hour's file.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from trading_engine.domain.errors import ConfigInvalid, VenueRejected, VenueUnavailable
from trading_engine.domain.streams import CandleUpdate, DepthChange, MarketEvent
from trading_engine.domain.time import HOUR_MS
from trading_engine.marketdata.recorder import Recorder, RecorderSettings
from trading_engine.runtime.recordable import RECORDABLE
from trading_engine.system.clock import SystemClock
from trading_engine.venues.binance.market_stream import StreamSettings
from trading_engine.venues.wire.settings import Hosts
from trading_engine.venues.wire.transport import NoReply, NotSent, Transport

_NS_PER_HOUR = HOUR_MS * 1_000_000
_SNAPSHOT_PAUSE_S = 0.2  # between two questions: twenty symbols must not use up the venue's budget
_AGAIN_S = 5.0
_OK = 200


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """What is recorded.

    topics      empty for the usual ones of the venue
    duration_s  None for until it is told to stop
    rest_url, ws_url  another host than the venue's, both or none
    """

    venue: str
    symbols: tuple[str, ...]
    folder: Path
    topics: tuple[str, ...] = ()
    duration_s: float | None = None
    rest_url: str = ""
    ws_url: str = ""


@dataclass(slots=True)
class Recorded:
    """What became of one symbol; `holes` are places where changes of the book were missed.

    kinds   events by the name of their type, as they were understood
    """

    recorder: Recorder
    kinds: Counter[str] = field(default_factory=Counter)
    snapshots: int = 0
    holes: int = 0
    last_id: int = 0
    snapshot_hour: int = -1

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(path.stat().st_size for path in self.recorder.files if path.exists())


class MarketRecording:
    """`run` once; figures may be read meanwhile and afterwards.

    on_note   told what a person should know: the disk, connections, refusals
    """

    def __init__(self, options: RecordOptions, on_note: Callable[[str], None]) -> None:
        self.options = options
        self._venue = RECORDABLE[options.venue]
        self._on_note = on_note
        self._wanted: asyncio.Queue[str] = asyncio.Queue()
        own = self._venue.hosts
        hosts = Hosts(options.rest_url, options.ws_url, options.ws_url) if options.rest_url else own
        self._hosts = hosts
        self.symbols = {
            symbol: Recorded(
                Recorder(
                    RecorderSettings(options.folder, f"{self._venue.file_name}_{symbol.lower()}"),
                    on_note,
                )
            )
            for symbol in options.symbols
        }
        self.undecoded = 0
        self.seconds = 0.0

    @property
    def frames(self) -> int:
        """Frames taken so far, snapshots included."""
        return sum(one.recorder.taken for one in self.symbols.values())

    @property
    def dropped(self) -> int:
        """Frames that found no room because the disk did not take them."""
        return sum(one.recorder.dropped for one in self.symbols.values())

    @property
    def is_failing(self) -> bool:
        """The disk does not take frames at present."""
        return any(one.recorder.is_failing for one in self.symbols.values())

    async def run(self, stop: asyncio.Event) -> None:
        """Record until `stop` is set or the time is over.

        Raises ConfigInvalid for a symbol or a folder that is none, VenueUnavailable where the venue does not answer.
        """
        options, venue, clock = self.options, self._venue, SystemClock()
        _make_folder(options.folder)
        transport = Transport()
        try:
            try:
                instruments = await venue.instruments(transport, clock, self._hosts, options.symbols)
            except VenueRejected as error:
                raise VenueUnavailable(str(error)) from None
            topics = options.topics or venue.topics
            settings = StreamSettings(self._hosts.public_ws_url, options.symbols, topics)
            stream = venue.stream(transport, clock, instruments, settings, self._on_note, self._take)
            stream.subscribe(self._on_candle, lambda _: None)
            stream.listen(self._on_event)
            work = [stream.run(), self._fetch_snapshots(transport)]
            work += [one.recorder.run() for one in self.symbols.values()]
            await self._work([asyncio.ensure_future(one) for one in work], stop)
            self.undecoded = stream.undecoded
        finally:
            await transport.close()

    async def _work(self, tasks: list["asyncio.Future[None]"], stop: asyncio.Event) -> None:
        """Until told to stop, the time is over, or something has failed that is raised here."""
        begun_s = time.monotonic()
        stopping = asyncio.ensure_future(_set(stop))
        try:
            done, _ = await asyncio.wait(
                {*tasks, stopping}, timeout=self.options.duration_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            self.seconds = time.monotonic() - begun_s
            for task in (*tasks, stopping):
                task.cancel()
            await asyncio.gather(*tasks, stopping, return_exceptions=True)
        for task in done:
            if task is not stopping:
                task.result()

    # ── what comes ──────────────────────────────────────────────────────────

    def _take(self, frame: bytes) -> None:
        """A frame; one that names no symbol (an answer, a sign of life) stands with the first symbol's."""
        symbol = self._venue.symbol_of(frame)
        one = self.symbols.get(symbol) or self.symbols[self.options.symbols[0]]
        one.recorder.take(time.time_ns(), frame)

    def _on_candle(self, update: CandleUpdate) -> None:
        self._count(update.candle.symbol, update)

    def _on_event(self, event: MarketEvent) -> None:
        one = self._count(event.symbol, event) if not isinstance(event, CandleUpdate) else None
        if one is None or not isinstance(event, DepthChange):
            return
        is_next = event.previous_id == one.last_id
        if one.last_id and not is_next:
            one.holes += 1
        hour = time.time_ns() // _NS_PER_HOUR
        if not is_next or hour != one.snapshot_hour:
            one.snapshot_hour = hour
            self._wanted.put_nowait(event.symbol)
        one.last_id = event.last_id

    def _count(self, symbol: str, event: MarketEvent) -> Recorded | None:
        one = self.symbols.get(symbol)
        if one is not None:
            one.kinds[type(event).__name__] += 1
        return one

    # ── snapshots ───────────────────────────────────────────────────────────

    async def _fetch_snapshots(self, transport: Transport) -> None:
        path = self._venue.snapshot_path
        is_told = False
        while True:
            symbol = await self._wanted.get()
            if path is None:
                continue
            why = await self._fetch(transport, symbol, self._hosts.rest_url + path(symbol))
            if why and not is_told:
                self._on_note(f"{symbol}: the book's snapshot is not to be had ({why}); asked for again")
            is_told = bool(why)
            if why:
                await asyncio.sleep(_AGAIN_S)
                self._wanted.put_nowait(symbol)
            else:
                await asyncio.sleep(_SNAPSHOT_PAUSE_S)

    async def _fetch(self, transport: Transport, symbol: str, url: str) -> str:
        """Record a snapshot; why there is none, empty where there is one."""
        try:
            reply = await transport.request("GET", url, {})
        except (NotSent, NoReply) as error:
            return str(error)
        if reply.status != _OK:
            return f"status {reply.status}"
        one = self.symbols[symbol]
        one.recorder.take(time.time_ns(), reply.body)
        one.snapshots += 1
        return ""


async def _set(event: asyncio.Event) -> None:
    await event.wait()


def _make_folder(folder: Path) -> None:
    """ConfigInvalid where nothing can be written: told before anything is recorded."""
    probe = folder / ".probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
    except OSError as error:
        raise ConfigInvalid(
            f"--out {folder}: frames cannot be recorded there ({error.strerror}); choose another folder", exit_code=2
        ) from error
    with suppress(OSError):
        probe.unlink()
