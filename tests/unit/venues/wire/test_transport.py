"""One request, sent once, exactly as given; "never left" told from "no answer"; no secret in what is told."""

import asyncio
import gzip
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from trading_engine.venues.wire.transport import NoReply, NotSent, Reply, Transport

SECRET = "5ec4e7"
SIGNED = f"/order?symbol=BTCUSDT&listenKey={SECRET}&signature={SECRET}"
HEADERS = {"X-API-KEY": f"test-key-{SECRET}"}
METHODS = ("GET", "POST", "PUT", "DELETE")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Act = Callable[[int, asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """Reads whole requests, keeps their bytes, and lets `act` answer the n-th of them, counted from 1."""

    def __init__(self, act: Act) -> None:
        self._act = act
        self.requests: list[bytes] = []
        self.connections = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def url(self, path: str = "/") -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
                self.requests.append(head + await reader.readexactly(size))
                await self._act(len(self.requests), writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def raw_server(act: Act) -> AsyncIterator[RawServer]:
    raw = RawServer(act)
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        for task in raw.tasks:
            task.cancel()
        await asyncio.gather(*raw.tasks)
        await server.wait_closed()


@asynccontextmanager
async def transport() -> AsyncIterator[Transport]:
    made = Transport()
    try:
        yield made
    finally:
        await made.close()


async def never(_: int, __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def answer(_: int, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


async def reset(_: int, writer: asyncio.StreamWriter) -> None:
    """End with RST instead of FIN."""
    plain = writer.get_extra_info("socket")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang_up(_: int, writer: asyncio.StreamWriter) -> None:
    writer.close()


def saying(text: bytes) -> Act:
    async def act(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()
        writer.close()

    return act


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and each not in seen:
            seen.append(each)
            yield each
            waiting += [each.__cause__, each.__context__]


def assert_nothing_is_told(error: BaseException) -> None:
    for each in chain(error):
        told = f"{each} {each!r} {each.args} {vars(each)}"
        assert SECRET not in told
        assert "/order" not in told
        assert "signature" not in told


async def failure(url: str, method: str = "POST", timeout_ms: int = 5_000, body: bytes = b"") -> NotSent | NoReply:
    """How the call failed; nothing may be told by it, ever."""
    async with transport() as made:
        with pytest.raises((NotSent, NoReply)) as caught:
            await made.request(method, url, HEADERS, body, timeout_ms)
    assert_nothing_is_told(caught.value)
    return caught.value


# never sent


def test_nobody_listens_and_nothing_was_sent() -> None:
    """Connection refused proves that no byte has left."""
    error = asyncio.run(failure(f"http://127.0.0.1:{free_port()}{SIGNED}"))
    assert isinstance(error, NotSent)
    assert "ClientConnectorError" in str(error)


def test_a_name_that_does_not_resolve_and_nothing_was_sent() -> None:
    """Whether the resolver says no or cannot be asked at all."""
    error = asyncio.run(failure(f"http://venue.invalid{SIGNED}", timeout_ms=2_000))
    assert isinstance(error, NotSent)


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "http://host:port", "no url at all", "", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999"],
)
def test_what_is_no_address_is_never_sent(url: str) -> None:
    """A mangled URL is told as NotSent, without the URL."""
    assert isinstance(asyncio.run(failure(url + SIGNED)), NotSent)


@pytest.mark.parametrize(("connect_ms", "timeout_ms"), [(2_000, 150), (150, 2_000)])
def test_a_tls_handshake_that_hangs_has_sent_nothing(
    connect_ms: int, timeout_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server takes the connection and says nothing: the request is still here, whichever limit ends the wait."""
    monkeypatch.setattr("trading_engine.venues.wire.transport.CONNECT_TIMEOUT_MS", connect_ms)

    async def run() -> None:
        accepted = asyncio.Event()

        async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set()
            await asyncio.sleep(0.4)
            writer.close()

        server = await asyncio.start_server(hold, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            error = await failure(f"https://127.0.0.1:{port}{SIGNED}", timeout_ms=timeout_ms)
            assert accepted.is_set()
            assert isinstance(error, NotSent)
            assert "no connection within 150 ms" == str(error)
            await asyncio.sleep(0.3)

    asyncio.run(run())


def test_a_call_that_waited_in_vain_for_a_free_connection_was_not_sent() -> None:
    """With every connection busy the time limit ends the wait, and the server has not seen the call."""

    async def run() -> None:
        async with raw_server(never) as server, transport() as made:
            busy = [
                asyncio.create_task(made.request("POST", server.url("/busy"), {}, timeout_ms=60_000)) for _ in range(20)
            ]
            while len(server.requests) < 20:  # noqa: ASYNC110 - the server's side of it
                await asyncio.sleep(0.001)
            with pytest.raises(NotSent, match="no connection within 100 ms"):
                await made.request("POST", server.url("/late"), {}, timeout_ms=100)
            assert not any(b"/late" in request for request in server.requests)
            for task in busy:
                task.cancel()
            await asyncio.gather(*busy, return_exceptions=True)

    asyncio.run(run())


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """TLS is verified by default: the request does not leave for a stranger."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate, and it is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2 -nodes -subj /CN=127.0.0.1"
    made_by = [
        *command.split(),
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run(made_by, check=True, capture_output=True)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate, key)
    seen: list[str] = []

    async def take(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(text="ok")

    async def run() -> None:
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", take)
        server = TestServer(app, scheme="https")
        await server.start_server(ssl=theirs)
        error = await failure(str(server.make_url(SIGNED)))
        assert isinstance(error, NotSent)
        assert [] == seen
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(certificate)))
        trusting = aiohttp.ClientSession(connector=connector)
        async with trusting, trusting.get(server.make_url("/known")) as reply:  # the server itself is well
            assert 200 == reply.status
        await server.close()

    asyncio.run(run())
    assert ["/known"] == seen


# perhaps sent


def test_a_server_that_never_answers_costs_the_time_limit_and_no_more() -> None:
    """NoReply, within the limit."""

    async def run() -> None:
        async with raw_server(never) as server:
            begun = asyncio.get_running_loop().time()
            error = await failure(server.url(SIGNED), timeout_ms=200)
            assert 0.19 < asyncio.get_running_loop().time() - begun < 1.5
            assert isinstance(error, NoReply)
            assert "no answer within 200 ms" == str(error)
            assert 1 == len(server.requests)

    asyncio.run(run())


@pytest.mark.parametrize("end", [reset, hang_up])
@pytest.mark.parametrize("method", METHODS)
def test_a_request_whose_connection_breaks_is_sent_once(method: str, end: Act) -> None:
    """The server reads it and ends the connection: NoReply, and no method is sent a second time."""

    async def run() -> None:
        async with raw_server(end) as server:
            error = await failure(server.url(SIGNED), method, body=b"{}" if method == "POST" else b"")
            assert isinstance(error, NoReply)
            await asyncio.sleep(0.02)
            assert 1 == len(server.requests)
            assert 1 == server.connections

    asyncio.run(run())


@pytest.mark.parametrize("end", [reset, hang_up])
@pytest.mark.parametrize("method", METHODS)
def test_a_kept_connection_that_ends_under_a_request_is_not_replaced(method: str, end: Act) -> None:
    """The second call goes out on a connection that is just ending: it may have arrived, so it is not sent again."""

    async def act(nth: int, writer: asyncio.StreamWriter) -> None:
        await (answer if nth == 1 else end)(nth, writer)

    async def run() -> None:
        async with raw_server(act) as server, transport() as made:
            assert 200 == (await made.request(method, server.url("/first"), {})).status
            with pytest.raises(NoReply) as caught:
                await made.request(method, server.url(SIGNED), HEADERS)
            assert_nothing_is_told(caught.value)
            await asyncio.sleep(0.02)
            assert 2 == len(server.requests)
            assert 1 == server.connections

    asyncio.run(run())


@pytest.mark.parametrize("method", METHODS)
def test_a_connection_that_ended_between_two_calls_costs_nothing(method: str) -> None:
    """The end was noticed before the second call: it goes out on a new connection, once."""

    async def act(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        writer.close()

    async def run() -> None:
        async with raw_server(act) as server, transport() as made:
            await made.request(method, server.url("/first"), {})
            await asyncio.sleep(0.02)
            assert 200 == (await made.request(method, server.url("/second"), {})).status
            assert 2 == len(server.requests) == server.connections

    asyncio.run(run())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", id="half a body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", id="half a chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", id="no last chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", id="half a header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n{}", id="a length that is none"),
        pytest.param(b"SSH-2.0-something\r\n\r\n", id="another protocol"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", id="not what it says it is"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n"
            + gzip.compress(b"{}")[:4],
            id="half an archive",
        ),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_half_an_answer_is_no_answer(method: str, text: bytes) -> None:
    """What cannot be read whole proves nothing, and the request is not sent again for it."""

    async def run() -> None:
        async with raw_server(saying(text)) as server:
            assert isinstance(await failure(server.url(SIGNED), method, timeout_ms=1_000), NoReply)
            assert 1 == len(server.requests)

    asyncio.run(run())


def test_an_answer_that_comes_too_late_is_never_taken_for_the_next() -> None:
    """The connection of a call that timed out is not used again."""

    async def act(nth: int, writer: asyncio.StreamWriter) -> None:
        if nth == 1:
            await asyncio.sleep(0.15)
        body = f"answer {nth}".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    async def run() -> None:
        async with raw_server(act) as server, transport() as made:
            with pytest.raises(NoReply):
                await made.request("POST", server.url("/one"), {}, timeout_ms=50)
            assert b"answer 2" == (await made.request("POST", server.url("/two"), {})).body
            await asyncio.sleep(0.15)
            assert b"answer 3" == (await made.request("POST", server.url("/three"), {})).body

    asyncio.run(run())


def test_a_header_that_cannot_be_sent_raises_no_third_kind_of_error() -> None:
    """A line break in a key is told by the two errors there are, and nothing arrives."""

    async def run() -> None:
        async with raw_server(answer) as server, transport() as made:
            with pytest.raises((NotSent, NoReply)) as caught:
                await made.request("GET", server.url(SIGNED), {"X-API-KEY": f"{SECRET}\r\nX-More: 1"})
            assert_nothing_is_told(caught.value)
            assert [] == server.requests

    asyncio.run(run())


# exactly as given


@pytest.mark.parametrize(
    "path",
    [
        "/a?z=1&a=2&z=3",
        "/a?time=2024-01-01T00%3A00%3A00%2B00%3A00&x=%7e%7E%2f/+%20",
        "/a%2Fb/./c/../d?q=%E5%B8%81&empty=&bare",
        "/a?list=[%22BTCUSDT%22,%22ETHUSDT%22]&json={%22a%22:1}",
        "/a?signature=abc%3D%3D",
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_a_url_arrives_byte_for_byte(method: str, path: str) -> None:
    """Percent signs, their case, and the order of parameters are what was signed."""

    async def run() -> None:
        async with raw_server(answer) as server, transport() as made:
            await made.request(method, server.url(path), {})
            assert f"{method} {path} HTTP/1.1".encode() == server.requests[0].split(b"\r\n")[0]

    asyncio.run(run())


def test_headers_and_body_are_those_of_the_caller() -> None:
    """The body as it is, its type as the caller names it, and no type where there is no body."""

    async def run() -> None:
        async with raw_server(answer) as server, transport() as made:
            headers = {"Content-Type": "application/json", "X-API-KEY": "test-key"}
            await made.request("POST", server.url(), headers, b'{"b":1,"a":2}')
            await made.request("POST", server.url(), {"X-API-KEY": "test-key"})
            first, second = server.requests
            assert first.endswith(b'\r\n\r\n{"b":1,"a":2}')
            assert b"\r\nContent-Type: application/json\r\n" in first
            assert b"\r\nX-API-KEY: test-key\r\n" in first
            assert b"content-type" not in second.lower()
            assert 1 == server.connections

    asyncio.run(run())


def test_a_reply_is_status_lower_case_headers_and_body() -> None:
    """Errors of the venue are replies too, and compressed ones are unpacked."""
    packed = gzip.compress(b'{"code":-1003}')
    text = b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nX-Used: 5\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"

    async def run() -> Reply:
        async with raw_server(saying(text % (len(packed), packed))) as server, transport() as made:
            return await made.request("GET", server.url(), {})

    reply = asyncio.run(run())
    assert (429, b'{"code":-1003}') == (reply.status, reply.body)
    assert ("7", "5") == (reply.headers["retry-after"], reply.headers["x-used"])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_reply_and_is_not_followed(status: int) -> None:
    """Whoever redirects gets no second request, and nobody else gets the first."""
    text = b"HTTP/1.1 %d Elsewhere\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" % status

    async def run() -> None:
        async with raw_server(saying(text)) as server, transport() as made:
            assert status == (await made.request("GET", server.url(), HEADERS)).status
            assert 1 == len(server.requests)

    asyncio.run(run())


def test_cookies_are_not_kept() -> None:
    """What the venue sets does not come back to it."""
    text = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"

    async def act(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(text)

    async def run() -> None:
        async with raw_server(act) as server, transport() as made:
            await made.request("GET", server.url(), {})
            await made.request("GET", server.url(), {})
            assert 2 == len(server.requests)
            assert not any(b"cookie" in request.lower() for request in server.requests)

    asyncio.run(run())


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed requests go to the venue itself."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    async def run() -> None:
        async with raw_server(answer) as server, transport() as made:
            assert 200 == (await made.request("GET", server.url(), {})).status

    asyncio.run(run())


# what is told, and the end


def test_a_reply_shows_nothing_but_its_status() -> None:
    """Bodies hold listen keys, headers may hold cookies."""
    assert "Reply(status=200)" == repr(Reply(200, {"set-cookie": SECRET}, SECRET.encode()))


def test_a_transport_shows_no_address() -> None:
    """Its repr names nothing that was called."""

    async def run() -> None:
        async with raw_server(answer) as server, transport() as made:
            await made.request("GET", server.url(SIGNED), HEADERS)
            assert SECRET not in repr(made)
            assert SECRET not in repr(made.session)

    asyncio.run(run())


def test_a_closed_transport_sends_nothing() -> None:
    """Before first use and after it; closing again has no effect."""

    async def run() -> None:
        async with raw_server(answer) as server:
            for uses in (0, 1):
                made = Transport()
                for _ in range(uses):
                    await made.request("GET", server.url(), {})
                await made.close()
                await made.close()
                with pytest.raises(NotSent, match="closed"):
                    await made.request("GET", server.url(SIGNED), HEADERS)
                with pytest.raises(NotSent, match="closed"):
                    _ = made.session
            assert 1 == len(server.requests)

    asyncio.run(run())


def test_closing_ends_a_call_under_way() -> None:
    """At once, as NoReply: it may have arrived."""

    async def run() -> None:
        async with raw_server(never) as server:
            made = Transport()
            call = asyncio.create_task(made.request("POST", server.url(SIGNED), HEADERS))
            while not server.requests:  # noqa: ASYNC110 - the server's side of it
                await asyncio.sleep(0.001)
            await made.close()
            with pytest.raises(NoReply) as caught:
                await asyncio.wait_for(call, 1)
            assert_nothing_is_told(caught.value)

    asyncio.run(run())


def test_a_cancelled_call_passes_the_cancellation_on() -> None:
    """Not as an answer of any kind; the connection it used is not used again."""

    async def act(nth: int, writer: asyncio.StreamWriter) -> None:
        await (never if nth == 1 else answer)(nth, writer)

    async def run() -> None:
        async with raw_server(act) as server, transport() as made:
            call = asyncio.create_task(made.request("POST", server.url(SIGNED), HEADERS))
            while not server.requests:  # noqa: ASYNC110 - the server's side of it
                await asyncio.sleep(0.001)
            call.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await call
            assert_nothing_is_told(caught.value)
            assert 200 == (await made.request("POST", server.url(), {})).status
            assert 2 == server.connections

    asyncio.run(run())
