"""What an adapter sends for an intent, beside what a public client library sends for the same.

What belongs here: the capturing server and the capturing library, and the comparison of two requests. What does not:
intents, answers and listed differences of a venue (its test module).

The adapter talks over a real socket to a server that writes everything down. The library is caught in its own call
that would send: by then it has built and signed the request. Both look at one clock.
"""

import fnmatch
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType, TimeInForce
from trading_engine.domain.orders import OrderRequest, TradeSide
from trading_engine.ports import RemoteVenue
from trading_engine.venues.wire.secrets import Credentials

BTC = "BTCUSDT"
SYMBOL = "BTC/USDT:USDT"  # the library's name of it
OURS = "teabcd000001e00001"
STOP = "teabcd000001s00001"
NAME = {"clientOrderId": OURS}  # as the library wants a client id named
STOP_NAME = {"clientOrderId": STOP}
CREDENTIALS = Credentials("test-key", "test-secret-0123456789abcdef")
NOW_MS = 1_764_000_000_000
STEP_MS = 10_000  # between two intents: no budget of an adapter is ever short
FEWEST = 25  # intents of a venue
Client = Any  # the library is not typed


class _Word:
    """A value of the tables that is not on the wire."""

    def __init__(self, told: str) -> None:
        self._told = told

    def __repr__(self) -> str:
        return self._told


ABSENT: Final = _Word("ABSENT")  # the parameter is not sent
ANY: Final = _Word("ANY")  # whatever is sent


@dataclass
class Clock:
    """One instant for both sides, moved on from intent to intent."""

    now: int = NOW_MS

    def now_ms(self) -> int:
        """The instant."""
        return self.now


@dataclass(frozen=True)
class Sent:
    """One request: `query` and `body` are the very text that is sent; header names are in lower case."""

    method: str
    path: str
    query: str
    body: str
    headers: Mapping[str, str]

    @property
    def name(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"

    @property
    def params(self) -> dict[str, Any]:
        """The decoded parameters of query and body, in the order in which they are sent."""
        is_json = self.body.startswith("{")
        forms = [self.query] if is_json else [self.query, self.body]
        pairs: list[tuple[str, Any]] = [
            pair for form in forms if form for pair in parse_qsl(form, keep_blank_values=True, strict_parsing=True)
        ]
        pairs += json.loads(self.body).items() if is_json else ()
        assert len(dict(pairs)) == len(pairs), f"a parameter is sent twice: {self}"
        return dict(pairs)

    @property
    def fields(self) -> dict[str, Any]:
        """Everything that is compared: the parameters, and the headers that mean something to a venue."""
        told = {name: text for name, text in self.headers.items() if name.startswith(("x-", "content-type", "referer"))}
        return {**self.params, **{f"header {name}": text for name, text in sorted(told.items())}}


@dataclass(frozen=True)
class Difference:
    """A field in which the two may differ, and why.

    where  a pattern of the names of requests
    when   patterns of the names of intents
    """

    field: str
    ours: object
    theirs: object
    why: str
    where: str = "*"
    when: tuple[str, ...] = ("*",)

    def covers(self, intent: str, sent: Sent, name: str, ours: object, theirs: object) -> bool:
        """Whether it is this difference."""
        return (
            name == self.field
            and fnmatch.fnmatchcase(sent.name, self.where)
            and any(fnmatch.fnmatchcase(intent, pattern) for pattern in self.when)
            and all(listed is ANY or listed == seen for listed, seen in ((self.ours, ours), (self.theirs, theirs)))
        )


@dataclass(frozen=True)
class Spelling:
    """A parameter that the two call by different names, and why; its values are compared."""

    ours: str
    theirs: str
    why: str
    where: str = "*"

    def applied(self, sent: Sent, fields: dict[str, Any]) -> bool:
        """Give a field of the library our name, where this is one of them."""
        if self.theirs not in fields or not fnmatch.fnmatchcase(sent.name, self.where):
            return False
        fields[self.ours] = fields.pop(self.theirs)
        return True


Listed = Difference | Spelling


@dataclass(frozen=True)
class Desk:
    """The adapter twice: one-way with triggers by the last price, hedged with triggers by the mark price."""

    one_way: Any
    hedge: Any


Ours = Callable[[Desk], Awaitable[object]]
Theirs = Callable[[Client], object]


@dataclass(frozen=True)
class Intent:
    """One thing to want, in our words and the library's.

    theirs   what the library is told, one request each
    beside   requests of ours that belong to the intent and that the library does not make
    is_raw   the library has no word for it: its plain call of the endpoint is taken, with the parameters named here
    """

    name: str
    ours: Ours
    theirs: tuple[Theirs, ...]
    beside: tuple[str, ...] = ()
    is_raw: bool = False


@dataclass
class Told:
    """What an intent has sent on either side; `aside` are our requests that the library does not make."""

    intent: str
    ours: list[Sent] = field(default_factory=list)
    theirs: list[Sent] = field(default_factory=list)
    aside: list[Sent] = field(default_factory=list)


# ── our side ────────────────────────────────────────────────────────────────


@dataclass
class Answer:
    """What the server says."""

    body: Any
    status: int = 200


Script = Mapping[str, Any]  # "GET /path" to JSON, an Answer, or a function of the request that gives either


class Server:
    """Writes every request down and answers by script."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.sent: list[Sent] = []
        self.unanswered: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        """Take one request."""
        path, _, query = request.raw_path.partition("?")
        headers = {name.lower(): text for name, text in request.headers.items()}
        sent = Sent(request.method, path, query, await request.text(), headers)
        self.sent.append(sent)
        if sent.name not in self._script:
            self.unanswered.append(sent.name)
        said = self._script.get(sent.name, Answer({}, 404))
        said = said(sent) if callable(said) else said
        said = said if isinstance(said, Answer) else Answer(said)
        return web.json_response(said.body, status=said.status)


@asynccontextmanager
async def served(script: Script) -> AsyncIterator[tuple[Server, str]]:
    """A capturing server and its address."""
    server = Server(script)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield server, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# ── the library's side ──────────────────────────────────────────────────────


class _Taken(Exception):
    """The request was written down; there is no answer."""


class Capture:
    """A client of the library that sends nothing.

    remap    what the address would be at the venue
    answers  to what the library must know before it makes the request that is wanted
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        remap: Callable[[str], str] = lambda path: path,
        answers: Mapping[str, Any] | None = None,
    ) -> None:
        self.client = client
        self._remap = remap
        self._answers = answers or {}
        self._sent: list[Sent] = []
        client.fetch = self._fetch
        client.nonce = client.milliseconds = clock.now_ms

    def _fetch(self, url: str, method: str = "GET", headers: Any = None, body: str | None = None) -> Any:
        sent = self.as_sent(url, method, headers, body)
        self._sent.append(sent)
        if sent.name in self._answers:
            return self._answers[sent.name]
        raise _Taken

    def as_sent(self, url: str, method: str, headers: Any, body: str | None) -> Sent:
        """A request of the library as it would be sent to the venue."""
        parts = urlsplit(url)
        lower = {name.lower(): text for name, text in (headers or {}).items()}
        return Sent(method, self._remap(parts.path), parts.query, body or "", lower)

    def take(self, call: Theirs) -> Sent:
        """The request that a call comes to: its last one, what is answered before it is not wanted."""
        self._sent.clear()
        with suppress(_Taken):
            call(self.client)
        assert self._sent, "the library has sent nothing"
        return self._sent[-1]


# ── both ────────────────────────────────────────────────────────────────────


async def gather(
    intents: Sequence[Intent], script: Script, clock: Clock, make: Callable[[str], Desk], capture: Capture
) -> dict[str, Told]:
    """What every intent sends, on both sides; `make` gives the adapters for an address."""
    told: dict[str, Told] = {}
    async with served(script) as (server, url):
        desk = make(url)
        venues: tuple[RemoteVenue, ...] = (desk.one_way, desk.hedge)
        try:
            for venue in venues:
                await venue.instruments()
            for intent in intents:
                assert intent.name not in told, f"two intents are called {intent.name!r}"
                clock.now += STEP_MS
                server.sent.clear()
                try:
                    await intent.ours(desk)
                except VenueUnavailable as error:
                    raise AssertionError(f"{intent.name}: {error}; without an answer: {server.unanswered}") from None
                assert not server.unanswered, f"{intent.name}: no answer is written for {server.unanswered}"
                ours = list(server.sent)
                told[intent.name] = Told(
                    intent.name,
                    [sent for sent in ours if sent.name not in intent.beside],
                    [capture.take(call) for call in intent.theirs],
                    [sent for sent in ours if sent.name in intent.beside],
                )
        finally:
            for venue in venues:
                await venue.close()
    return told


def unlisted(intent: Intent, told: Told, table: Sequence[Listed]) -> list[str]:
    """In what the two requests differ beyond the table, one line each."""
    names = [[sent.name for sent in side] for side in (told.ours, told.theirs)]
    if names[0] != names[1]:
        return [f"{intent.name}: we send {names[0]}, the library {names[1]}"]
    aside = sorted({sent.name for sent in told.aside})
    if aside != sorted(intent.beside):
        return [f"{intent.name}: {intent.beside} should be sent as well, and {aside} are"]
    found, _ = _differences(told, table)
    return [
        f"{one[0]}: {one[1].name}: {one[2]} is {one[3]!r} here and {one[4]!r} there"
        for one in found
        if not any(isinstance(listed, Difference) and listed.covers(*one) for listed in table)
    ]


def idle(every: Iterable[Told], table: Sequence[Listed]) -> list[Listed]:
    """Listed differences that show nowhere."""
    found: list[Found] = []
    used: set[Listed] = set()
    for told in every:
        differences, spellings = _differences(told, table)
        found += differences
        used |= spellings
    used |= {listed for listed in table if isinstance(listed, Difference) and any(listed.covers(*one) for one in found)}
    return [listed for listed in table if listed not in used]


def loose(every: Iterable[Told], table: Sequence[Listed]) -> list[str]:
    """Fields that are equal and could be lost or changed without anybody noticing: the table would cover it."""
    found = []
    for told in every:
        for ours, theirs in zip(told.ours, told.theirs, strict=False):
            here, there = ours.fields, theirs.fields
            spoilt = [(ours, name, lost, there[name]) for name in here for lost in (ABSENT, ANY) if name in there]
            found += [
                f"{told.intent}: {ours.name}: {one[1]}"
                for one in spoilt
                if here[one[1]] == there[one[1]]
                and any(isinstance(listed, Difference) and listed.covers(told.intent, *one) for listed in table)
            ]
    return found


Found = tuple[str, Sent, str, object, object]  # intent, our request, field, its value here and there


def _differences(told: Told, table: Sequence[Listed]) -> tuple[list[Found], set[Listed]]:
    """Every field in which two requests differ, with their values, and the spellings that were evened out."""
    found: list[Found] = []
    used: set[Listed] = set()
    for ours, theirs in zip(told.ours, told.theirs, strict=False):
        here, there = ours.fields, theirs.fields
        used |= {listed for listed in table if isinstance(listed, Spelling) and listed.applied(theirs, there)}
        for name in {**here, **there}:
            pair = here.get(name, ABSENT), there.get(name, ABSENT)
            # 5 and "5" are not the same to a venue that is told in JSON.
            if pair[0] != pair[1] or type(pair[0]) is not type(pair[1]):
                found.append((told.intent, ours, name, *pair))
    return found, used


# ── words of the intents ────────────────────────────────────────────────────


def order(side: TradeSide, kind: OrderType = OrderType.MARKET, **changes: Any) -> OrderRequest:
    """An order for 0.01 BTC on the position of its own side; with `reduce_only` on that of the other."""
    reduces = bool(changes.get("reduce_only"))
    values: dict[str, Any] = {
        "client_order_id": OURS,
        "symbol": BTC,
        "side": side,
        "type": kind,
        "quantity": Decimal("0.01"),
        "reduce_only": False,
        "position_side": Side.LONG if (side is TradeSide.BUY) is not reduces else Side.SHORT,
        **changes,
    }
    return OrderRequest(**values)


def limit(side: TradeSide, price: str = "60000.5", **changes: Any) -> OrderRequest:
    """A limit order."""
    return order(side, OrderType.LIMIT, price=Decimal(price), **changes)


def post_only(side: TradeSide) -> OrderRequest:
    """A limit order that must not take."""
    return limit(side, time_in_force=TimeInForce.POST_ONLY)


def stop(side: TradeSide, trigger: str, **changes: Any) -> OrderRequest:
    """A reduce-only stop."""
    values = {"client_order_id": STOP, "reduce_only": True, "trigger_price": Decimal(trigger), **changes}
    return order(side, OrderType.STOP_MARKET, **values)


def target(side: TradeSide, trigger: str, **changes: Any) -> OrderRequest:
    """A reduce-only take-profit."""
    values = {"client_order_id": STOP, "reduce_only": True, "trigger_price": Decimal(trigger), **changes}
    return order(side, OrderType.TAKE_PROFIT_MARKET, **values)
