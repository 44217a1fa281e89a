"""One connection for many topics of a venue's public streams, each kept alive by what it says.

What belongs here: subscribing at the pace that a venue allows, noticing topics that say nothing or do not join,
renewing them. What does not: what frames mean (each venue's `Dialect`), the life of a connection (socket), who is
told (market_stream).

An acknowledgement proves nothing: venues acknowledge subscriptions on connections that never say a word. So a topic
counts as speaking only once its data has come over the present connection.

    no topic says anything      the connection is cut and made anew
    one of many says nothing    it is subscribed again, then the connection is renewed, then again with pauses that
                                double: some symbols simply do not trade
    the venue refused it        it is subscribed again with the same pauses; the others are left alone
    its data does not join      it is subscribed again at once, but not every moment
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

from trading_engine.domain.streams import MarketEvent
from trading_engine.venues.wire.clock import Milliseconds
from trading_engine.venues.wire.socket import Patience, Send, Socket
from trading_engine.venues.wire.transport import Transport

_LONGEST_PAUSE_MS = 3_600_000
_MOST_ATTEMPTS = 16
_JOIN_AGAIN_MS = 5_000  # a topic that does not join again and again is not subscribed more often
_MOST_NAMED = 5


class Kind(Enum):
    """What follows when a topic breaks or is silent."""

    CANDLES = auto()
    DEPTH = auto()
    RARE = auto()  # silence is no news
    OTHER = auto()


class Topic(NamedTuple):
    """Something to subscribe to: its name as the venue writes it, and the symbol in our spelling."""

    name: str
    symbol: str
    kind: Kind


class Said(NamedTuple):
    """Data of a topic: proof that it lives, even where it holds nothing for us."""

    topic: str
    events: Sequence[MarketEvent] = ()


class Refused(NamedTuple):
    """The venue does not deliver a topic; empty where it does not say which."""

    why: str
    topic: str = ""


class Broken(NamedTuple):
    """Data of a topic that does not join what came before, or cannot be read where nothing may be missed."""

    topic: str
    why: str


class Reply(NamedTuple):
    """What the venue wants to hear back."""

    text: str


Heard: TypeAlias = Said | Refused | Broken | Reply | None
Request: TypeAlias = tuple[str, Sequence[str]]


class Dialect(Protocol):
    """How a venue speaks on one connection; each connection has a dialect of its own.

    pause_s  between two frames of ours
    ping     what is said every `ping_ms`; empty where the venue wants nothing
    """

    pause_s: float
    ping: str
    ping_ms: int

    def unpacked(self, frame: bytes) -> bytes:
        """A frame as text, the way it is recorded."""
        ...

    def read(self, frame: bytes) -> Heard:
        """What an unpacked frame says, None for nothing of interest. ValueError and the like: it is not understood."""
        ...

    def subscribe(self, topics: Sequence[str]) -> Iterable[Request]:
        """Frames that ask for topics, each with those that it names."""
        ...

    def unsubscribe(self, topics: Sequence[str]) -> Iterable[Request]:
        """Frames that give topics back."""
        ...

    def forget(self, topic: str) -> None:
        """A topic begins anew: what is remembered of it does not count, and what needs a beginning waits for it."""
        ...


class Ears(Protocol):
    """Who is told."""

    def raw(self, frame: bytes) -> None:
        """Every frame, unpacked, before it is read."""
        ...

    def told(self, events: Sequence[MarketEvent]) -> None:
        """What a frame says."""
        ...

    def garbled(self, error: Exception) -> None:
        """A frame was not understood and is skipped."""
        ...

    def broken(self, topic: Topic) -> None:
        """A topic may miss something from here."""
        ...

    def note(self, text: str) -> None:
        """Something for an operator."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """One connection: where to, for which topics, in whose words."""

    url: str
    topics: Sequence[Topic]
    dialect: Dialect


@dataclass(slots=True)
class _State:
    """One topic: since when it is waited for, and how often something was tried in vain."""

    topic: Topic
    heard_ms: int = 0
    has_spoken: bool = False
    is_refused: bool = False
    does_not_join: bool = False
    asked_ms: int = 0
    attempts: int = 0


class TopicSocket:
    """The topics of one line; `run` lives until cancelled.

    silence_ms  a topic that has said nothing for so long is subscribed again
    """

    def __init__(
        self,
        transport: Transport,
        clock: Milliseconds,
        line: Line,
        ears: Ears,
        silence_ms: int,
        patience: Patience,
        sleep: Callable[[float], Awaitable[None]],
        rng: random.Random | None,
    ) -> None:
        self._clock = clock
        self._url = line.url
        self._dialect = line.dialect
        self._ears = ears
        self._silence_ms = silence_ms
        self._sleep = sleep
        self._states = {topic.name: _State(topic) for topic in line.topics}
        self._requests: deque[tuple[str, Sequence[str], bool]] = deque()
        self._has_requests = asyncio.Event()
        self._opened_ms = 0
        self._is_mute_told = False
        self._socket = Socket(
            transport,
            clock,
            self._address,
            self._on_open,
            self._on_message,
            self._on_lost,
            self._on_restored,
            patience,
            rng,
        )

    async def run(self) -> None:
        """Live until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._socket.run())
            tasks.create_task(self._speak())
            tasks.create_task(self._watch())
            if self._dialect.ping:
                tasks.create_task(self._ping())

    def has_spoken(self, name: str) -> bool:
        """Data of a topic has come over the present connection."""
        state = self._states.get(name)
        return state is not None and state.has_spoken

    def heard_ms(self, name: str) -> int:
        """When data of a topic last came, 0 for never and for topics of other lines."""
        state = self._states.get(name)
        return 0 if state is None else state.heard_ms

    def renew(self, name: str, why: str) -> None:
        """Subscribe to a topic again: what it says does not fit. Topics of other lines are left alone."""
        state = self._states.get(name)
        if state is not None:
            self._break(state, why)

    # ── what we say ─────────────────────────────────────────────────────────

    async def _address(self) -> str:
        return self._url

    async def _on_open(self, send: Send) -> None:
        """Ask for everything, at the venue's pace and while listening."""
        del send
        self._requests.clear()
        self._opened_ms = self._clock.now_ms()
        for state in self._states.values():
            state.has_spoken = state.is_refused = state.does_not_join = False
            state.asked_ms = self._opened_ms
        self._ask_for(list(self._states))

    def _ask_for(self, names: Sequence[str]) -> None:
        self._requests.extend((text, named, True) for text, named in self._dialect.subscribe(names))
        self._has_requests.set()

    def _ask_again_for(self, names: Sequence[str]) -> None:
        self._requests.extend((text, named, False) for text, named in self._dialect.unsubscribe(names))
        self._ask_for(names)

    async def _speak(self) -> None:
        while True:
            await self._has_requests.wait()
            if not self._requests:
                self._has_requests.clear()
                continue
            text, names, is_wanted = self._requests.popleft()
            if is_wanted:
                self._begin(names)
            await self._socket.send(text)
            await self._sleep(self._dialect.pause_s)

    def _begin(self, names: Sequence[str]) -> None:
        now_ms = self._clock.now_ms()
        for name in names:
            self._dialect.forget(name)
            state = self._states[name]
            state.asked_ms = now_ms
            state.is_refused = state.does_not_join = False

    async def _ping(self) -> None:
        while True:
            await self._sleep(self._dialect.ping_ms / 1000)
            await self._socket.send(self._dialect.ping)

    # ── what we hear ────────────────────────────────────────────────────────

    async def _on_message(self, frame: bytes, send: Send) -> bool:
        frame = self._dialect.unpacked(frame)
        self._ears.raw(frame)
        try:
            heard = self._dialect.read(frame)
        except (msgspec.DecodeError, ValueError, ArithmeticError, LookupError) as error:  # no number, no known word
            self._ears.garbled(error)
            return False
        match heard:
            case Said(name, events):
                return self._said(name, events)
            case Refused(why, name):
                self._refused(why, name)
            case Broken(name, why):
                self.renew(name, why)
            case Reply(text):
                await send(text)
            case None:
                pass
        return False

    def _said(self, name: str, events: Sequence[MarketEvent]) -> bool:
        state = self._states.get(name)
        if state is None or state.is_refused:  # a refused topic may say one thing that is never followed by another
            return False
        state.heard_ms = self._socket.heard_ms
        state.has_spoken = True
        state.does_not_join = False
        state.attempts = 0
        self._ears.told(events)
        return True

    def _refused(self, why: str, name: str) -> None:
        if name in self._states:
            self._states[name].is_refused = True
        self._ears.note(f"the venue refused a subscription{f' to {name}' if name else ''}: {why}")

    def _break(self, state: _State, why: str) -> None:
        """What a topic says does not join: told once, then a new beginning, and not at every moment."""
        if state.does_not_join:
            return
        state.does_not_join = True
        self._dialect.forget(state.topic.name)
        self._ears.broken(state.topic)
        self._ears.note(f"{state.topic.name} does not join what came before ({why}): it is subscribed again")
        if self._clock.now_ms() - state.asked_ms >= _JOIN_AGAIN_MS:
            self._ask_again_for([state.topic.name])

    def _on_lost(self, why: str) -> None:
        self._ears.note(f"{self._url}: {why}")
        for state in self._states.values():
            if state.has_spoken:
                state.has_spoken = False
                self._ears.broken(state.topic)

    def _on_restored(self) -> None:
        self._is_mute_told = False
        self._ears.note(f"{self._url}: speaks")

    # ── who says nothing ────────────────────────────────────────────────────

    async def _watch(self) -> None:
        """Look after topics that say nothing, until cancelled."""
        while True:
            await self._sleep(self._silence_ms / 4_000)
            if self._requests:  # who has not been asked yet is not silent
                continue
            if self._socket.is_speaking:
                await self._wake_silent(self._clock.now_ms())
            elif self._socket.is_open:
                await self._cut_mute(self._clock.now_ms())

    async def _cut_mute(self, now_ms: int) -> None:
        """A connection on which nothing at all was said: the venue's heartbeats keep it open for nothing."""
        is_waited_for = any(
            not state.is_refused and state.topic.kind is not Kind.RARE for state in self._states.values()
        )
        if not is_waited_for or now_ms - self._opened_ms < self._silence_ms:
            return
        why = f"no data of any subscription in {self._silence_ms} ms"
        if not self._is_mute_told:
            self._is_mute_told = True
            self._ears.note(f"{self._url}: {why}; connecting anew until there is some")
        await self._socket.reconnect(why)

    async def _wake_silent(self, now_ms: int) -> None:
        self._join_again(now_ms)
        silent = [state for state in self._states.values() if self._is_silent(state, now_ms)]
        if not silent:
            return
        attempts = min((state.attempts for state in silent if not state.is_refused), default=0)
        for state in silent:
            state.attempts = min(state.attempts + 1, _MOST_ATTEMPTS)
            state.asked_ms = now_ms
            state.has_spoken = False
            self._ears.broken(state.topic)
        names = [state.topic.name for state in silent]
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        told = f"{', '.join(names[:_MOST_NAMED])}{more} said nothing for {self._silence_ms} ms"
        if attempts % 2 == 1:
            await self._socket.reconnect(told)
            return
        self._ears.note(f"{told}: subscribed again")
        self._ask_again_for(names)

    def _join_again(self, now_ms: int) -> None:
        """What did not join soon after it was asked for is asked for now."""
        names = [
            name
            for name, state in self._states.items()
            if state.does_not_join and now_ms - state.asked_ms >= _JOIN_AGAIN_MS
        ]
        if names:
            self._ask_again_for(names)

    def _is_silent(self, state: _State, now_ms: int) -> bool:
        if state.topic.kind is Kind.RARE and not state.is_refused:
            return False
        patience_ms = min(self._silence_ms << state.attempts, max(_LONGEST_PAUSE_MS, self._silence_ms))
        return now_ms - max(state.heard_ms, state.asked_ms) >= patience_ms
