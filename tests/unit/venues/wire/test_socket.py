"""A stream that comes back by itself, is believed only when it speaks, and hides no bug."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from trading_engine.domain.errors import RateLimited, VenueRejected, VenueUnavailable
from trading_engine.venues.wire.socket import Patience, Send, Socket
from trading_engine.venues.wire.transport import NoReply, NotSent, Transport

SECRET = "5ec4e7"
QUICK = Patience(silence_ms=2_000, connect_ms=1_000, first_ms=5, longest_ms=40, life_ms=0)

Speak = Callable[[int, web.WebSocketResponse], Awaitable[None]]


class HandClock:
    """Shows what it was set to."""

    def __init__(self, now_ms: int = 1_000_000) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        """The instant that was set."""
        return self.ms


class Rig:
    """A server whose n-th connection, counted from 1, is `speak`'s, and a socket that tells what happens to it."""

    def __init__(self, speak: Speak, patience: Patience = QUICK) -> None:
        self._speak = speak
        self.patience = patience
        self.clock = HandClock()
        self.told: list[str] = []
        self.frames: list[bytes] = []
        self.paths: list[str] = []
        self.open_now = 0
        self.base = ""
        self.transport = Transport()
        self.socket = self.make()

    def make(self, **changed: object) -> Socket:
        """A socket with some callbacks replaced."""
        parts: dict[str, object] = {
            "address": self.address,
            "on_open": self.on_open,
            "on_message": self.on_message,
            "rng": random.Random(7),
        } | changed
        self.socket = Socket(
            self.transport,
            self.clock,
            on_lost=lambda why: self.told.append(f"lost: {why}"),
            on_restored=lambda: self.told.append("restored"),
            patience=self.patience,
            **parts,  # type: ignore[arg-type]
        )
        return self.socket

    async def address(self) -> str:
        """One that holds a key, with percent signs that must stay."""
        return f"{self.base}/ws/{SECRET}?streams=a%40b%2Fc&z=1&a=2"

    async def on_open(self, send: Send) -> None:
        """Subscribes."""
        await send("subscribe")

    async def on_message(self, frame: bytes, _: Send) -> bool:
        """Understands all but acknowledgements."""
        self.frames.append(frame)
        return frame != b"ack"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The server's side."""
        self.paths.append(request.raw_path)
        ws = web.WebSocketResponse(timeout=0.05)
        await ws.prepare(request)
        self.open_now += 1
        try:
            await self._speak(len(self.paths), ws)
        except ConnectionError:
            pass
        finally:
            self.open_now -= 1
        return ws

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for it."""
        async with asyncio.timeout(10):
            while not is_so():  # noqa: ASYNC110 - a server's side, or a field
                await asyncio.sleep(0.002)


@asynccontextmanager
async def serving(rig: Rig) -> AsyncIterator[Rig]:
    app = web.Application()
    app.router.add_get("/{any:.*}", rig.handle)
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0.1)
    rig.base = str(server.make_url("/")).rstrip("/").replace("http", "ws", 1)
    try:
        yield rig
    finally:
        await rig.transport.close()
        await server.close()


@asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[Rig]:
    """The rig with its socket alive; cancelled at the end."""
    async with serving(rig):
        task = asyncio.create_task(rig.socket.run())
        try:
            yield rig
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def stay(_: int, ws: web.WebSocketResponse) -> None:
    """Speak once and stay."""
    await ws.send_str("data")
    async for _message in ws:
        pass


async def speak_and_go(_: int, ws: web.WebSocketResponse) -> None:
    """Speak once and end."""
    await ws.send_str("data")
    await ws.close()


async def acknowledge(_: int, ws: web.WebSocketResponse) -> None:
    """Acknowledge what is said, and nothing else."""
    async for _message in ws:
        await ws.send_str("ack")


async def flood(_: int, ws: web.WebSocketResponse) -> None:
    await ws.receive()
    for number in range(3_000):
        await ws.send_str(f"{number} " + "x" * 60)
    await asyncio.sleep(30)


async def speak_not(_: int, __: web.WebSocketResponse) -> None:
    """End without a word."""


# what is believed


def test_a_stream_is_restored_by_the_first_message_that_proves_it() -> None:
    """Open is nothing; the first frame that is understood counts, once."""

    async def speak(_: int, ws: web.WebSocketResponse) -> None:
        message = await ws.receive()
        await ws.send_str("ack")
        await ws.send_bytes(message.data.encode() + b"!")
        await ws.send_str("€")
        await ws.receive()

    async def run() -> None:
        async with running(Rig(speak)) as rig:
            await rig.until(lambda: len(rig.frames) == 3)
            assert [b"ack", b"subscribe!", "€".encode()] == rig.frames
            assert ["restored"] == rig.told
            assert rig.socket.is_speaking
            rig.clock.ms += 1_234
            assert 1_234 == rig.socket.data_age_ms()

    asyncio.run(run())


def test_a_route_that_only_acknowledges_is_never_restored() -> None:
    """However often it is connected, nobody is told that it speaks, and nobody that it is lost."""

    async def run() -> None:
        patience = Patience(silence_ms=30, first_ms=2, longest_ms=4, life_ms=0)
        async with running(Rig(acknowledge, patience)) as rig:
            await rig.until(lambda: rig.socket.connections >= 3)
            assert b"ack" in rig.frames
            assert not rig.socket.is_speaking
            assert [] == rig.told
            assert "nothing was heard for 30 ms" == rig.socket.ended_why

    asyncio.run(run())


def test_lost_and_restored_alternate() -> None:
    """Over many connections of every sort: those that speak, those that do not, those that break."""

    async def speak(nth: int, ws: web.WebSocketResponse) -> None:
        if nth % 3 == 0:
            await ws.close()
            return
        await ws.send_str("data")
        await ws.send_str("data")
        if nth % 3 == 1 and ws._req is not None and ws._req.transport is not None:
            ws._req.transport.abort()
        else:
            await ws.close(code=1012)

    async def run() -> None:
        async with running(Rig(speak, Patience(first_ms=1, longest_ms=2, life_ms=0))) as rig:
            await rig.until(lambda: len(rig.told) >= 12)
        assert {"restored"} == set(rig.told[::2])
        assert all(each.startswith("lost: closed by the venue") for each in rig.told[1::2])

    asyncio.run(run())


def test_a_burst_of_frames_does_not_hold_up_everybody_else() -> None:
    """However many have come at once, the loop gets a turn after a few: an order may be waiting to be sent."""
    at_once: list[int] = []

    async def talk() -> None:
        async with serving(Rig(flood)) as rig, running(rig):
            while len(rig.frames) < 3_000:
                before = len(rig.frames)
                await asyncio.sleep(0)
                at_once.append(len(rig.frames) - before)

    asyncio.run(talk())
    assert 3_000 == sum(at_once)
    assert 0 < max(at_once) <= 32


def test_silence_cuts_a_stream_that_has_spoken() -> None:
    """It is told as lost, and the next connection is made."""

    async def speak(_: int, ws: web.WebSocketResponse) -> None:
        await ws.send_str("data")
        await asyncio.sleep(5)

    async def run() -> None:
        async with running(Rig(speak, Patience(silence_ms=40, first_ms=2, longest_ms=4, life_ms=0))) as rig:
            await rig.until(lambda: len(rig.told) >= 3)
            assert ["restored", "lost: nothing was heard for 40 ms", "restored"] == rig.told[:3]

    asyncio.run(run())


def test_a_ping_of_the_venue_is_a_sign_of_life() -> None:
    """Account streams have nothing to say for hours; they ping, and are answered."""
    answered: list[WSMsgType] = []

    async def speak(_: int, ws: web.WebSocketResponse) -> None:
        await ws.send_str("data")
        await ws.receive()
        for _beat in range(8):
            await ws.ping(b"beat")
            answered.append((await ws.receive()).type)
            await asyncio.sleep(0.02)
        await ws.receive()

    async def run() -> None:
        rig = Rig(speak, Patience(silence_ms=60, first_ms=2, longest_ms=4, life_ms=0))
        app = web.Application()

        async def handle(request: web.Request) -> web.StreamResponse:
            ws = web.WebSocketResponse(autoping=False, timeout=0.05)
            await ws.prepare(request)
            await speak(1, ws)
            return ws

        app.router.add_get("/{any:.*}", handle)
        async with TestServer(app) as server:
            rig.base = str(server.make_url("/")).rstrip("/").replace("http", "ws", 1)
            task = asyncio.create_task(rig.socket.run())
            await rig.until(lambda: len(answered) == 8)
            assert ["restored"] == rig.told
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await rig.transport.close()

    asyncio.run(run())
    assert [WSMsgType.PONG] * 8 == answered


def test_a_frame_that_breaks_the_protocol_ends_the_connection() -> None:
    """Text that is no UTF-8 is not handed on; the stream is lost and comes back."""

    async def speak(nth: int, ws: web.WebSocketResponse) -> None:
        await ws.send_str("data")
        if nth == 1:
            await ws.send_frame(b"\xff\xfe", WSMsgType.TEXT)
        await ws.receive()
        await ws.receive()

    async def run() -> None:
        async with running(Rig(speak)) as rig:
            await rig.until(lambda: len(rig.told) == 3)
            assert ["restored", "lost: a frame that makes no sense (WebSocketError)", "restored"] == rig.told
            assert [b"data", b"data"] == rig.frames

    asyncio.run(run())


# waits


def waits(patience: Patience, attempts: int, fail: Callable[[], str]) -> list[float]:
    """Seconds between the attempts of a socket whose address cannot be had."""
    at_s: list[float] = []

    async def run() -> None:
        rig = Rig(stay, patience)

        async def address() -> str:
            at_s.append(asyncio.get_running_loop().time())
            return fail()

        async with serving(rig):
            rig.make(address=address)
            task = asyncio.create_task(rig.socket.run())
            await rig.until(lambda: len(at_s) >= attempts)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert [] == rig.told

    asyncio.run(run())
    return [after - before for before, after in pairwise(at_s[:attempts])]


def refuse() -> str:
    raise VenueUnavailable("no key for the stream")


def test_waits_double_up_to_a_bound_each_with_jitter() -> None:
    """10, 20, 40, 60, 60 ms, each between its half and its whole, as the seed says."""
    seconds = waits(Patience(first_ms=10, longest_ms=60, life_ms=0), 6, refuse)
    rng = random.Random(7)
    planned = [rng.uniform(bound / 2, bound) / 1000 for bound in (10, 20, 40, 60, 60)]
    assert len(set(planned)) == len(planned)
    for plan, second in zip(planned, seconds, strict=True):
        assert plan - 0.002 <= second < plan + 0.2


def test_the_waits_of_a_seed_are_those_of_the_seed() -> None:
    """Without a connection in between they depend on nothing else, and even after many failures they are bounded."""
    rig = Rig(stay, Patience(first_ms=250, longest_ms=30_000))
    first = [rig.make(rng=random.Random(1))._pause_s(failures) for failures in range(100)]
    second = [rig.make(rng=random.Random(1))._pause_s(failures) for failures in range(100)]
    assert first == second
    assert all(0.125 <= pause <= 30 for pause in first)
    assert all(15 <= pause for pause in first[8:])


@pytest.mark.parametrize(
    "error",
    [NoReply("x"), NotSent("x"), VenueUnavailable("x"), VenueRejected("-1", "x"), OSError("x"), TimeoutError()],
    ids=lambda error: type(error).__name__,
)
def test_an_address_that_cannot_be_had_is_a_failed_connection(error: Exception) -> None:
    """The key of a stream is asked for over the same network: its failures end nothing."""

    def fail() -> str:
        raise error

    assert 2 == len(waits(Patience(first_ms=1, longest_ms=2), 3, fail))


def test_a_venue_that_asks_for_patience_gets_it() -> None:
    """RateLimited names a wait, and the next attempt is not before it."""

    def fail() -> str:
        raise RateLimited("busy", 80)

    (second,) = waits(Patience(first_ms=1, longest_ms=2), 2, fail)
    assert 0.078 <= second


def test_a_bug_in_the_address_surfaces() -> None:
    """What is no failure of the network is raised from run."""

    def fail() -> str:
        return {}["listenKey"]  # type: ignore[no-any-return]

    async def run() -> None:
        rig = Rig(stay)

        async def address() -> str:
            return fail()

        await rig.make(address=address).run()

    with pytest.raises(KeyError, match="listenKey"):
        asyncio.run(run())


@pytest.mark.parametrize("address", [f"ws://[::1/{SECRET}", f"ws://host:port/{SECRET}", SECRET, f"ftp://host/{SECRET}"])
def test_an_address_that_is_none_is_a_failure_that_tells_no_key(address: str) -> None:
    """It may hold the key of the stream."""

    async def run() -> str:
        rig = Rig(stay)

        async def give() -> str:
            return address

        task = asyncio.create_task(rig.make(address=give).run())
        await rig.until(lambda: rig.socket.ended_why != "")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await rig.transport.close()
        return rig.socket.ended_why

    why = asyncio.run(run())
    assert why.startswith("no connection (")
    assert SECRET not in why


def test_a_stream_that_speaks_and_falls_over_waits_ever_longer() -> None:
    """A word on each connection does not set the waits back: the venue bans who connects too often."""

    async def run() -> None:
        async with running(Rig(speak_and_go, Patience(first_ms=20, longest_ms=10_000, life_ms=0))) as rig:
            begun = asyncio.get_running_loop().time()
            await rig.until(lambda: rig.socket.connections == 6)
            assert (20 + 40 + 80 + 160 + 320) / 2 / 1000 - 0.01 <= asyncio.get_running_loop().time() - begun

    asyncio.run(run())


def test_a_stream_that_has_lasted_comes_back_at_once() -> None:
    """After many failures and a good connection the wait is the first again."""
    ends: list[float] = []

    async def speak(nth: int, ws: web.WebSocketResponse) -> None:
        if nth < 6:
            return
        await ws.send_str("data")
        await asyncio.sleep(0.2)
        await ws.close()
        ends.append(asyncio.get_running_loop().time())

    async def run() -> None:
        async with running(Rig(speak, Patience(first_ms=5, longest_ms=100, life_ms=0))) as rig:
            await rig.until(lambda: rig.socket.connections == 7)
            assert asyncio.get_running_loop().time() - ends[0] < 0.05

    asyncio.run(run())


def test_a_handshake_that_hangs_is_given_up() -> None:
    """A server that accepts and says nothing costs `connect_ms`."""

    async def run() -> None:
        rig = Rig(stay, Patience(connect_ms=40, first_ms=1, longest_ms=2, life_ms=0))
        held: list[asyncio.StreamWriter] = []

        async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            held.append(writer)

        server = await asyncio.start_server(hold, "127.0.0.1", 0)
        async with server:
            rig.base = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            task = asyncio.create_task(rig.socket.run())
            await rig.until(lambda: len(held) == 3)
            assert "no connection (TimeoutError)" == rig.socket.ended_why
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await rig.transport.close()
            for writer in held:
                writer.close()
        assert 0 == rig.socket.connections

    asyncio.run(run())


# addresses


def test_each_connection_asks_for_its_address_and_keeps_it_byte_for_byte() -> None:
    """Fresh keys are fetched, and percent signs and order stay."""

    async def run() -> None:
        async with running(Rig(speak_and_go)) as rig:
            await rig.until(lambda: len(rig.paths) == 2)
        assert [f"/ws/{SECRET}?streams=a%40b%2Fc&z=1&a=2"] * 2 == rig.paths[:2]

    asyncio.run(run())


def test_a_handshake_that_is_redirected_is_refused() -> None:
    """The key in the address goes to nobody else."""
    seen: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        raise web.HTTPFound("/elsewhere")

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/{any:.*}", handle)
        rig = Rig(stay)
        async with TestServer(app) as server:
            rig.base = str(server.make_url("/")).rstrip("/").replace("http", "ws", 1)
            task = asyncio.create_task(rig.socket.run())
            await rig.until(lambda: len(seen) == 2)
            assert "no connection (ClientConnectionError)" == rig.socket.ended_why
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await rig.transport.close()

    asyncio.run(run())
    assert {f"/ws/{SECRET}"} == set(seen)


# cut, renewed, cancelled


def test_a_connection_is_renewed_before_its_life_ends() -> None:
    """At the first frame after `life_ms`, told as lost and restored."""

    async def speak(_: int, ws: web.WebSocketResponse) -> None:
        while True:
            await ws.send_str("data")
            await asyncio.sleep(0.005)

    async def run() -> None:
        async with running(Rig(speak, Patience(first_ms=2, longest_ms=4, life_ms=60_000))) as rig:
            await rig.until(lambda: len(rig.frames) > 3)
            rig.clock.ms += 59_999
            told = len(rig.frames)
            await rig.until(lambda: len(rig.frames) > told + 3)
            assert ["restored"] == rig.told
            rig.clock.ms += 1
            begun = asyncio.get_running_loop().time()
            await rig.until(lambda: len(rig.told) == 3)
            assert ["restored", "lost: renewed before the venue ends it", "restored"] == rig.told
            assert 2 == rig.socket.connections
            # This server streams on and never says goodbye: waiting for that is bounded.
            assert asyncio.get_running_loop().time() - begun < 2

    asyncio.run(run())


def test_reconnect_cuts_the_present_connection_and_gives_the_reason() -> None:
    """From outside and from within a callback; the next loss has its own reason."""

    async def run() -> None:
        async with running(Rig(stay)) as rig:
            await rig.until(lambda: len(rig.told) == 1)
            await rig.socket.reconnect("the key has run out")
            await rig.until(lambda: len(rig.told) == 3)
            assert ["restored", "lost: the key has run out", "restored"] == rig.told
            await rig.socket.reconnect("again")
            await rig.until(lambda: len(rig.told) == 5)
            assert ["lost: again", "restored"] == rig.told[3:]
            assert 3 == rig.socket.connections
            await rig.until(lambda: rig.open_now == 1)

    asyncio.run(run())


def test_reconnect_from_within_a_message_ends_that_connection() -> None:
    """The venue says that the key has expired, and the handler asks for a new connection."""

    async def speak(nth: int, ws: web.WebSocketResponse) -> None:
        await ws.send_str("data")
        await ws.send_str("expired" if nth == 1 else "data")
        async for _message in ws:
            pass

    async def run() -> None:
        rig = Rig(speak)

        async def on_message(frame: bytes, _: Send) -> bool:
            if frame == b"expired":
                await rig.socket.reconnect("the key has run out")
            return True

        rig.make(on_message=on_message)
        async with running(rig):
            await rig.until(lambda: len(rig.told) == 3)
            assert ["restored", "lost: the key has run out", "restored"] == rig.told

    asyncio.run(run())


def test_reconnect_while_connecting_makes_a_new_connection_with_a_new_address() -> None:
    """The one that was being made has an address of before: it is dropped before a word is said on it."""

    async def run() -> None:
        rig = Rig(stay)
        asked, go = asyncio.Event(), asyncio.Event()
        opened: list[int] = []

        async def address() -> str:
            asked.set()
            await go.wait()
            return await rig.address()

        async def on_open(_: Send) -> None:
            opened.append(rig.socket.connections)

        rig.make(address=address, on_open=on_open)
        async with running(rig):
            await asked.wait()
            await rig.socket.reconnect("a new key")
            go.set()
            await rig.until(lambda: rig.socket.is_speaking)
            assert [2] == opened
            assert ["restored"] == rig.told
            if rig.socket._ws is not None:
                await rig.socket._ws.close()  # ends by itself: the reason of before is not told again
            await rig.until(lambda: len(rig.told) == 3)
            assert "a new key" not in rig.told[1]

    asyncio.run(run())


def test_reconnect_between_two_connections_changes_nothing() -> None:
    """The next is a new one anyway, and its end has its own reason."""

    async def run() -> None:
        async with serving(Rig(speak_and_go, Patience(first_ms=100, longest_ms=100, life_ms=0))) as rig:
            task = asyncio.create_task(rig.socket.run())
            await rig.until(lambda: len(rig.told) == 2)
            await rig.socket.reconnect("too late")
            await rig.until(lambda: len(rig.told) == 4)
            assert "restored" == rig.told[2]
            assert rig.told[3].startswith("lost: closed by the venue")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


class Hanging(Rig):
    """A rig that hangs in one of its callbacks."""

    def __init__(self, moment: str) -> None:
        super().__init__(speak_not if moment == "waiting" else stay, Patience(first_ms=60_000, longest_ms=60_000))
        self.moment = moment
        self.reached = asyncio.Event()

    async def _pass(self, moment: str) -> None:
        if moment == self.moment:
            self.reached.set()
            await asyncio.sleep(60)

    async def address(self) -> str:
        """Hangs where it is the moment, like the others."""
        await self._pass("address")
        return await super().address()

    async def on_open(self, send: Send) -> None:
        """As above."""
        await self._pass("on_open")
        await super().on_open(send)

    async def on_message(self, frame: bytes, send: Send) -> bool:
        """As above."""
        await self._pass("on_message")
        return await super().on_message(frame, send)

    async def until_reached(self) -> None:
        """The socket is where it shall be cancelled."""
        ready = {"listening": lambda: self.socket.is_speaking, "waiting": lambda: self.socket.ended_why != ""}
        await self.until(ready.get(self.moment, self.reached.is_set))


@pytest.mark.parametrize("moment", ["address", "handshake", "on_open", "on_message", "listening", "waiting"])
def test_a_cancelled_socket_leaves_nothing_behind(moment: str) -> None:
    """Whatever it was doing: no task, no connection, nobody told, and it does not speak any more."""

    async def run() -> None:
        rig = Hanging(moment)
        held: list[asyncio.StreamWriter] = []

        async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            rig.reached.set()
            held.append(writer)

        silent = await asyncio.start_server(hold, "127.0.0.1", 0)
        async with silent, serving(rig):
            if moment == "handshake":
                rig.base = f"ws://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
            before = asyncio.all_tasks()
            task = asyncio.create_task(rig.socket.run())
            await rig.until_reached()
            told, begun = list(rig.told), asyncio.get_running_loop().time()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert asyncio.get_running_loop().time() - begun < 2
            await rig.until(lambda: rig.open_now == 0)
            for writer in held:
                writer.close()
            connector = rig.transport.session.connector
            assert connector is not None
            assert not connector._acquired
            await rig.until(lambda: asyncio.all_tasks() <= before)
            assert told == rig.told
            assert not rig.socket.is_speaking
            assert rig.socket._ws is None

    asyncio.run(run())


# bugs and speaking


@pytest.mark.parametrize(
    "error", [ValueError("no number"), OSError("a file"), TimeoutError("a wait"), NoReply("a call")]
)
def test_a_bug_in_the_handling_of_a_message_surfaces(error: Exception) -> None:
    """It ends run, whatever its class: nothing is swallowed; the loss is told, and the connection is closed."""

    async def speak(_: int, ws: web.WebSocketResponse) -> None:
        await ws.send_str("data")
        await ws.send_str("strange")
        async for _message in ws:
            pass

    async def run() -> None:
        rig = Rig(speak)

        async def on_message(frame: bytes, _: Send) -> bool:
            if frame == b"strange":
                raise error
            return True

        async with serving(rig):
            with pytest.raises(type(error)) as caught:
                await asyncio.wait_for(rig.make(on_message=on_message).run(), 10)
            assert error is caught.value
            assert ["restored", f"lost: the handling of the stream failed ({type(error).__name__})"] == rig.told
            assert not rig.socket.is_speaking
            await rig.until(lambda: rig.open_now == 0)

    asyncio.run(run())


def test_a_bug_in_opening_surfaces_and_a_failure_is_a_failed_connection() -> None:
    """A subscription that finds no venue is tried again; one that is wrong is raised."""

    async def run() -> None:
        rig = Rig(stay)
        errors: list[Exception] = [VenueUnavailable("x"), NotSent("x"), OSError("x"), ZeroDivisionError()]

        async def on_open(_: Send) -> None:
            raise errors[rig.socket.connections - 1]

        async with serving(rig):
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(rig.make(on_open=on_open).run(), 10)
            assert 4 == rig.socket.connections
            assert [] == rig.told

    asyncio.run(run())


def test_opening_that_hangs_is_cut_like_silence() -> None:
    """A subscription is given `silence_ms`."""

    async def run() -> None:
        rig = Rig(stay, Patience(silence_ms=30, first_ms=1, longest_ms=2, life_ms=0))

        async def on_open(_: Send) -> None:
            await asyncio.sleep(60)

        rig.make(on_open=on_open)
        async with running(rig):
            await rig.until(lambda: rig.socket.connections == 2)
            assert "the stream could not be opened (TimeoutError)" == rig.socket.ended_why

    asyncio.run(run())


def test_what_is_said_without_a_connection_is_dropped() -> None:
    """Before the first, after it has broken, and after the end: no error."""
    heard: list[str] = []

    async def speak(_: int, ws: web.WebSocketResponse) -> None:
        await ws.send_str("data")
        async for message in ws:
            heard.append(message.data)
            if message.data == "break" and ws._req is not None and ws._req.transport is not None:
                ws._req.transport.abort()

    async def run() -> None:
        rig = Rig(speak)
        await rig.socket.send("too early")
        async with running(rig):
            await rig.until(lambda: rig.socket.is_speaking)
            await rig.socket.send("break")
            while len(rig.told) < 2:
                await rig.socket.send("into the break")
                await asyncio.sleep(0)
            await rig.until(lambda: rig.socket.is_speaking)
        await rig.socket.send("too late")
        assert ["restored", "lost", "restored"] == [each.split(":")[0] for each in rig.told]

    asyncio.run(run())
    assert {"too early", "too late"}.isdisjoint(heard)


def test_a_venue_that_takes_nothing_is_cut() -> None:
    """A frame that does not leave within `connect_ms` ends the connection instead of holding up its sender."""

    async def speak(nth: int, ws: web.WebSocketResponse) -> None:
        await ws.send_str("data")
        if nth > 1:
            await stay(nth, ws)
        await asyncio.sleep(5)  # without reading

    async def run() -> None:
        async with running(Rig(speak, Patience(connect_ms=100, first_ms=2, longest_ms=4, life_ms=0))) as rig:
            await rig.until(lambda: rig.socket.is_speaking)
            begun = asyncio.get_running_loop().time()
            await rig.socket.send("x" * (64 << 20))
            assert asyncio.get_running_loop().time() - begun < 4
            await rig.until(lambda: len(rig.told) == 3)
            assert ["restored", "lost: the venue took nothing for 100 ms", "restored"] == rig.told

    asyncio.run(run())
