"""HTTP and websockets for a venue's protocol, and the faults on the way.

What belongs here: sockets, carrying out faults. What does not: any protocol (binance, bingx, zoomex).
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import WSMsgType, web

from trading_engine.venue_servers.exchange import Holdup, LocalExchange
from trading_engine.venue_servers.faults import Faults, Mishap, Rule

CLOCK_PATH = "/local-venue/clock"
_BREAKING = frozenset({Mishap.LOST_REQUEST, Mishap.LOST_REPLY, Mishap.LATE})
_CHANGED = _BREAKING | {Mishap.SLOW, Mishap.STATUS, Mishap.STATUS_AFTER}


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it arrived: `query` and `body` byte for byte, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back; `body` is sent as it is."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


class VenueProtocol(Protocol):
    """How one venue speaks."""

    name: str
    exchange: LocalExchange

    def answer(self, call: Call) -> Answer:
        """Carry a call out and answer it; never raises for what a client may send."""
        ...

    async def converse(self, connection: "Connection") -> None:
        """Serve one websocket until it is closed."""
        ...

    def expire_keys(self) -> None:
        """End what entitles to the user stream, as the venue does when it was not renewed."""
        ...


class Connection:
    """One websocket. `push` is for what the venue says by itself (faults apply), `reply` for answers."""

    def __init__(self, ws: web.WebSocketResponse, path: str, query: str, server: "WebServer") -> None:
        self._ws = ws
        self._server = server
        self._is_silent = False
        self._swapped: str | bytes | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.path = path
        self.query = query

    @property
    def is_closed(self) -> bool:
        """The other side has gone, or we have ended it."""
        return self._ws.closed

    async def receive(self) -> bytes | None:
        """The next frame of the client, None once the connection is over."""
        message = await self._ws.receive()
        if message.type is WSMsgType.TEXT:
            return str(message.data).encode()
        return bytes(message.data) if message.type is WSMsgType.BINARY else None

    async def reply(self, frame: str | bytes) -> None:
        """Answer the client; a connection that has fallen silent answers still."""
        await self._send(frame)

    def push(self, site: str, frame: str | bytes) -> None:
        """Say something unasked; `site` is "stream.user" or "stream.market"."""
        if self._is_silent or self._ws.closed:
            return
        rule = self._server.fault(site)
        fault = None if rule is None else rule.fault
        if rule is not None and fault is Mishap.DELAY:
            self._later(lambda: self._send(frame), rule.delay_ms)
        elif rule is not None and fault is Mishap.SWAP and self._swapped is None:
            self._swapped = frame
            self._later(lambda: self._catch_up(frame), rule.delay_ms)
        elif fault is Mishap.EXPIRE:
            self._server.expire_keys()
        elif fault is Mishap.SILENT:
            self.fall_silent()
        elif fault is Mishap.DISCONNECT:
            self._later(self.close, 0)
        elif fault is not Mishap.DROP:
            for _ in range(2 if fault is Mishap.DUPLICATE else 1):
                self._later(lambda: self._send(frame), 0)
            passed = self._swapped
            if passed is not None:
                self._later(lambda: self._catch_up(passed), 0)

    async def _catch_up(self, frame: str | bytes) -> None:
        """Send what another message has passed, unless that is done."""
        if self._swapped is frame:
            self._swapped = None
            await self._send(frame)

    def fall_silent(self) -> None:
        """Say nothing unasked any more."""
        self._is_silent = True

    async def close(self, code: int = 1001) -> None:
        """End it."""
        await self._ws.close(code=code)

    async def _send(self, frame: str | bytes) -> None:
        if self._ws.closed:
            return
        try:
            await (self._ws.send_str(frame) if isinstance(frame, str) else self._ws.send_bytes(frame))
        except ConnectionError:
            await self._ws.close()

    def _later(self, work: Callable[[], Coroutine[object, object, None]], delay_ms: int) -> None:
        async def do() -> None:
            if delay_ms:
                await asyncio.sleep(delay_ms / 1000)
            await work()

        task = asyncio.ensure_future(do())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class WebServer:
    """One venue on one port of this machine, REST and websockets at the venue's own paths.

    on_visit  told of every request before it is answered
    """

    def __init__(
        self,
        protocol: VenueProtocol,
        faults: Faults | None = None,
        pace: float = 1.0,
        on_visit: Callable[[], None] = lambda: None,
    ) -> None:
        self.protocol = protocol
        self._pace = pace
        self._on_visit = on_visit
        self.faults = faults or Faults()
        self._started_ms = protocol.exchange.now_ms()
        protocol.exchange.hold_up = self._hold_up
        self._is_expiring = False
        self._runner: web.AppRunner | None = None
        self._connections: set[Connection] = set()
        self.port = 0

    def expire_keys(self) -> None:
        """End the keys of the user stream; that this is told meets no other fault."""
        self._is_expiring = True
        self.protocol.expire_keys()
        self._is_expiring = False

    def fault(self, site: str, text: str = "") -> Rule | None:
        """What goes wrong at this visit."""
        if self._is_expiring:
            return None
        return self.faults.at(site, self.protocol.exchange.now_ms() - self._started_ms, text)

    def _hold_up(self, symbol: str) -> Holdup | None:
        """What becomes of an order that has triggered."""
        rule = self.fault(f"trigger {symbol}")
        if rule is None or rule.fault not in (Mishap.UNFILLED, Mishap.STUCK):
            return None
        return Holdup(self.protocol.exchange.now_ms() + rule.delay_ms, is_ended=rule.fault is Mishap.UNFILLED)

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> int:
        """Listen; the port, which is chosen where 0 was asked for. OSError where it is taken."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self.port

    async def stop(self) -> None:
        """Close every connection and stop listening."""
        for connection in tuple(self._connections):
            await connection.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def disconnect_all(self) -> None:
        """Cut every websocket, as venues do once a day."""
        for connection in tuple(self._connections):
            await connection.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self._on_visit()
        if request.headers.get("upgrade", "").lower() == "websocket":
            return await self._serve_socket(request)
        if request.path == CLOCK_PATH:  # no venue has this: for engines that run on this server's time
            rule = self.fault(f"{request.method} {CLOCK_PATH}")
            skew_ms = rule.skew_ms if rule is not None and rule.fault is Mishap.SKEW else 0
            return web.json_response({"now_ms": self.protocol.exchange.now_ms() + skew_ms, "pace": self._pace})
        call = Call(
            request.method,
            request.path,
            request.url.raw_query_string or request.query_string,
            {name.lower(): value for name, value in request.headers.items()},
            await request.read(),
            request.remote or "",
        )
        return await self._carry_out(request, call)

    async def _carry_out(self, request: web.Request, call: Call) -> web.StreamResponse:
        said = f"{call.query} {call.body.decode(errors='replace')}"
        rule = self.fault(f"{call.method} {call.path}", said)
        answer = self._act(call, rule)
        if rule is None or rule.fault not in _CHANGED:
            return _response(answer)
        if rule.fault in _BREAKING:
            return _broken(request)
        if rule.fault is Mishap.SLOW:
            await asyncio.sleep(rule.delay_ms / 1000)
            return _response(answer)
        return self._instead(rule)

    def _instead(self, rule: Rule) -> web.Response:
        body = rule.told(self.protocol.exchange.now_ms())
        return web.Response(status=rule.status, body=body, headers=dict(rule.headers))

    def _act(self, call: Call, rule: Rule | None) -> Answer:
        """Do what was asked, as often and as soon as the rule has it."""
        fault = None if rule is None else rule.fault
        if rule is not None and fault is Mishap.LATE:
            asyncio.get_running_loop().call_later(rule.delay_ms / 1000, self.protocol.answer, call)
        if fault in (Mishap.LATE, Mishap.LOST_REQUEST, Mishap.STATUS):
            return Answer(b"")
        if fault is Mishap.TWICE:
            self.protocol.answer(call)
        return self.protocol.answer(call)

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        rule = self.fault(f"CONNECT {request.path}")
        if rule is not None and rule.fault in _BREAKING:
            return _broken(request)
        if rule is not None and rule.fault is Mishap.STATUS:
            return self._instead(rule)
        ws = web.WebSocketResponse(autoping=True, compress=False)
        await ws.prepare(request)
        connection = Connection(ws, request.path, request.raw_path.partition("?")[2], self)
        if rule is not None and rule.fault is Mishap.SILENT:
            connection.fall_silent()
        self._connections.add(connection)
        try:
            await self.protocol.converse(connection)
        finally:
            self._connections.discard(connection)
            await ws.close()
        return ws


def _response(answer: Answer) -> web.Response:
    return web.Response(
        status=answer.status, body=answer.body, headers=dict(answer.headers), content_type=answer.content_type
    )


def _broken(request: web.Request) -> web.Response:
    """Break the connection; what is returned never arrives."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
