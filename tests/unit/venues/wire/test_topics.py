"""Topics over real sockets to a server in this process, in a language made up for the purpose."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from aiohttp import web

from trading_engine.domain.streams import CandleUpdate, DepthLost, MarketEvent, MarkPrice
from trading_engine.system.clock import SystemClock
from trading_engine.venues.wire.market_stream import StreamSettings, TopicStream, kind_of
from trading_engine.venues.wire.socket import Patience
from trading_engine.venues.wire.topics import Broken, Heard, Kind, Line, Refused, Reply, Request, Said, Topic
from trading_engine.venues.wire.transport import Transport

BTC, ETH = "BTCUSDT", "ETHUSDT"
TOPICS = (Topic("candles", BTC, Kind.CANDLES), Topic("book", BTC, Kind.DEPTH), Topic("marks", ETH, Kind.OTHER))
FAST = Patience(silence_ms=5_000, connect_ms=5_000, first_ms=10, longest_ms=50)
WAIT_S = 30


class Language:
    """Two words a frame: what it is, and of which topic."""

    pause_s = 0.0
    ping = "ping"
    ping_ms = 20

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def unpacked(self, frame: bytes) -> bytes:
        """As it came."""
        return frame.strip()

    def read(self, frame: bytes) -> Heard:
        """What a frame says."""
        verb, _, topic = frame.decode().partition(" ")
        match verb:
            case "data":
                return Said(topic, (MarkPrice(BTC, 1, Decimal(1), None, None, 0),))
            case "no":
                return Refused("unknown", topic)
            case "hole":
                return Broken(topic, "3 after 1")
            case "ask":
                return Reply("answer")
            case "zero":
                Decimal("x")
            case "junk":
                raise ValueError("junk")
        return None

    def subscribe(self, topics: Sequence[str]) -> Iterator[Request]:
        """A frame for each."""
        return ((f"sub {topic}", (topic,)) for topic in topics)

    def unsubscribe(self, topics: Sequence[str]) -> Iterator[Request]:
        """A frame for each."""
        return ((f"unsub {topic}", (topic,)) for topic in topics)

    def forget(self, topic: str) -> None:
        """Noted."""
        self.forgotten.append(topic)


class MovedClock(SystemClock):
    """The machine's clock, ahead by what a test wants."""

    ahead_ms = 0

    def now_ms(self) -> int:
        """The present, and more."""
        return super().now_ms() + self.ahead_ms


class Rig:
    """A server that says what a test wants, a stream on it, and what both have heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.connections: list[web.WebSocketResponse] = []
        self.speaking: list[str] = []  # said again and again
        self.notes: list[str] = []
        self.events: list[MarketEvent | CandleUpdate] = []
        self.breaks: list[str] = []
        self.raw: list[bytes] = []
        self.clock = MovedClock()
        self.language = Language()
        self.stream: TopicStream

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, until it ends."""
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.connections.append(ws)
        talking = asyncio.create_task(self._talk(ws))
        try:
            async for message in ws:
                self.heard.append(message.data)
        finally:
            talking.cancel()
            await asyncio.wait({talking})
        return ws

    async def _talk(self, ws: web.WebSocketResponse) -> None:
        while True:
            for text in tuple(self.speaking):
                await ws.send_str(text)
            await asyncio.sleep(0.01)

    async def say(self, text: str) -> None:
        """Say something once, on the latest connection."""
        await self.connections[-1].send_str(text)

    def asked(self, topic: str) -> int:
        """How often a topic was subscribed to."""
        return self.heard.count(f"sub {topic}")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what a test expects, or fail."""
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110 - any condition, told by nobody
                await asyncio.sleep(0.005)

    async def until_everything_speaks(self) -> None:
        """All topics have been asked for and have said something."""
        self.speaking = [f"data {topic.name}" for topic in TOPICS]
        await self.until(lambda: all(self.asked(topic.name) for topic in TOPICS))
        await self.until(lambda: all(self.stream.stream_age_ms(topic.name) < 10**9 for topic in TOPICS))


@asynccontextmanager
async def running(silence_ms: int = 60_000, topics: Sequence[Topic] = TOPICS) -> AsyncIterator[Rig]:
    rig = Rig()
    app = web.Application()
    app.router.add_get("/", rig.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    transport = Transport()
    settings = StreamSettings(url, (BTC, ETH), (), silence_ms, FAST)
    rig.stream = TopicStream(
        transport,
        rig.clock,
        settings,
        [Line(url, topics, rig.language)],
        rig.notes.append,
        rig.raw.append,
        sleep=lambda seconds: asyncio.sleep(min(seconds, 0.02)),
        lacking=["forceOrder"],
    )
    rig.stream.subscribe(rig.events.append, rig.breaks.append)
    rig.stream.listen(rig.events.append)
    task = asyncio.create_task(rig.stream.run())
    try:
        yield rig
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait({task})
        await transport.close()
        await runner.cleanup()


def test_each_topic_is_asked_for_and_speaks_with_its_own_data() -> None:
    """The venue is pinged meanwhile and answered; what it lacks is told; frames are recorded before they are read."""

    async def main() -> None:
        async with running() as rig:
            rig.speaking = ["data candles", "data stranger", "ask", "junk"]
            await rig.until(lambda: rig.stream.is_speaking(BTC) and {"ping", "answer"} <= set(rig.heard))
            await rig.until(lambda: rig.asked("marks") == 1)
            assert ["candles", "book", "marks"] == rig.language.forgotten
            assert not rig.stream.is_speaking(ETH)
            assert rig.stream.stream_age_ms("book") > 10**12
            assert "the venue has no stream for forceOrder" in rig.notes
            assert {b"data candles", b"ask", b"junk"} <= set(rig.raw)

    asyncio.run(main())


def test_a_connection_that_is_kept_open_by_heartbeats_alone_is_cut() -> None:
    """Again and again, and told once, until there is data."""

    async def main() -> None:
        async with running(silence_ms=150) as rig:
            rig.speaking = ["heartbeat", "data stranger"]
            await rig.until(lambda: len(rig.connections) >= 4)
            assert 1 == sum("no data of any subscription" in note for note in rig.notes)
            await rig.until_everything_speaks()

    asyncio.run(main())


def test_a_refused_topic_is_asked_for_again_without_disturbing_the_others() -> None:
    """Data that slips out after the refusal proves nothing."""

    async def main() -> None:
        async with running(silence_ms=500) as rig:  # a busy machine must not be taken for a silent server
            rig.speaking = ["no book", "data candles", "data marks", "data book"]
            await rig.until(lambda: rig.asked("book") >= 3)
            assert 1 == len(rig.connections)
            assert 1 == rig.asked("candles")
            assert any("refused a subscription to book: unknown" in note for note in rig.notes)
            await rig.until_everything_speaks()

    asyncio.run(main())


def test_a_book_that_does_not_join_is_subscribed_again() -> None:
    """Its loss is told before anything else of it; the others go on."""

    async def main() -> None:
        async with running() as rig:
            await rig.until_everything_speaks()
            rig.clock.ahead_ms = 6_000
            rig.events.clear()
            await rig.say("hole book")
            await rig.until(lambda: rig.asked("book") == 2)
            assert DepthLost(BTC) in rig.events
            assert rig.heard.index("unsub book") < len(rig.heard) - rig.heard[::-1].index("sub book")
            assert (1, 1) == (rig.asked("candles"), len(rig.connections))

    asyncio.run(main())


def test_a_book_that_never_joins_is_not_subscribed_at_every_moment() -> None:
    """It was asked for just now: the next attempt waits some seconds."""

    async def main() -> None:
        async with running() as rig:
            await rig.until_everything_speaks()
            rig.speaking = ["hole book", "data candles", "data marks"]
            await rig.until(lambda: any("does not join" in note for note in rig.notes))
            await asyncio.sleep(0.2)
            assert 1 == rig.asked("book")
            rig.clock.ahead_ms = 6_000
            await rig.until(lambda: rig.asked("book") == 2)

    asyncio.run(main())


def test_who_builds_a_book_may_ask_for_a_new_beginning() -> None:
    """Of its own topic, whatever that is called."""

    async def main() -> None:
        async with running() as rig:
            await rig.until_everything_speaks()
            rig.clock.ahead_ms = 6_000
            rig.stream.renew_book(BTC)
            rig.stream.renew_book(ETH)
            await rig.until(lambda: rig.asked("book") == 2)
            assert any("book does not join what came before (the book is impossible)" in note for note in rig.notes)
            assert 1 == rig.asked("marks")

    asyncio.run(main())


def test_nothing_that_a_venue_says_ends_the_stream() -> None:
    """Not even what is no number."""

    async def main() -> None:
        async with running() as rig:
            rig.speaking = ["zero", "junk", "data candles"]
            await rig.until(lambda: rig.stream.undecoded >= 4)
            assert rig.stream.is_speaking(BTC)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("kline_5m", Kind.CANDLES),
        ("depth@100ms", Kind.DEPTH),
        ("depth", Kind.DEPTH),
        ("depth5", Kind.OTHER),
        ("forceOrder", Kind.RARE),
        ("bookTicker", Kind.OTHER),
    ],
)
def test_names_tell_what_follows_from_silence(topic: str, kind: Kind) -> None:
    """A partial book is none that changes are applied to."""
    assert kind is kind_of(topic)
