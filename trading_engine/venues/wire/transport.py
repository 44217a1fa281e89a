"""One HTTP session for a venue: bytes out, bytes back, and whether a byte has left at all.

What belongs here: the session, its time limits, and telling "never sent" from "no answer". What does not: what an
answer means (outcome, each venue), limits of the venue (limiter).

Nothing is sent twice, nothing is redirected, and URLs are sent exactly as they were signed. aiohttp on its own sends
GET, PUT and DELETE again when the connection breaks before the answer: a cancel could arrive twice, and the answer to
the second would be told as that to the first. No error carries a URL's query or a header, neither in its text nor in
its chain: both hold keys and signatures.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import aiohttp
from yarl import URL

CONNECT_TIMEOUT_MS = 2_000
ANSWER_TIMEOUT_MS = 5_000
_MOST_CONNECTIONS = 20
_KEEPALIVE_S = 45  # common front ends hang up after 60 s: a call should seldom meet a connection that is just ending
_REDIRECTS = (301, 302, 303, 307, 308)


class NotSent(Exception):
    """No byte of the request has left: no name, nobody who listened, no trusted certificate, or a closed session."""


class NoReply(Exception):
    """The request may have arrived, and nothing usable came back."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; header names in lower case. Only the status shows in a repr: bodies may hold session keys."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Transport:
    """Keeps connections open between calls. Belongs to the running loop; `close` when done."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session, made at first use; websockets share it. NotSent once it is closed."""
        if self._is_closed:
            raise NotSent("the connection to the venue is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=_MOST_CONNECTIONS, ttl_dns_cache=60, keepalive_timeout=_KEEPALIVE_S
                ),
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_MS / 1000),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
                skip_auto_headers=("Content-Type",),  # the caller says what a body is; without one there is no type
                middlewares=(_once,),
                trace_configs=[_departures()],
            )
        return self._session

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_ms: int = ANSWER_TIMEOUT_MS,
    ) -> Reply:
        """Send once. `url` is complete and already encoded. Raises NotSent or NoReply, nothing else.

        A cancelled call was perhaps sent: the cancellation passes through, and the caller knows no more than that.
        """
        session, departure = self.session, _Departure()
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                async with session.request(
                    method,
                    URL(url, encoded=True),
                    headers=headers,
                    data=body or None,
                    allow_redirects=False,
                    trace_request_ctx=departure,
                ) as answer:
                    content = await answer.read()
                    names = {name.lower(): value for name, value in answer.headers.items()}
                    return Reply(answer.status, names, content)
        except aiohttp.ConnectionTimeoutError:
            told = f"no connection within {min(timeout_ms, CONNECT_TIMEOUT_MS)} ms"
        except TimeoutError:
            told = f"no {'answer' if departure.has_begun else 'connection'} within {timeout_ms} ms"
        except Exception as error:  # noqa: BLE001 - whatever it is, what counts is whether the request has left
            told = _told(error)
        # Raised out here, the error has no context: what aiohttp raises holds the URL and the headers.
        raise NoReply(told) if departure.has_begun else NotSent(told)

    async def close(self) -> None:
        """Close every connection; calls under way end with NoReply or NotSent. Again has no effect."""
        self._is_closed = True
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


class _Departure:
    """Whether the head of one request was handed to a connection: from then on it may have arrived."""

    __slots__ = ("has_begun",)

    def __init__(self) -> None:
        self.has_begun = False


class _Broken(aiohttp.ClientConnectionError):
    """A connection that broke under a request, in a shape that aiohttp does not answer by sending again."""


def _departures() -> aiohttp.TraceConfig:
    """Marks each request in the moment before its first byte is written."""

    async def depart(
        _: aiohttp.ClientSession, context: SimpleNamespace, __: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        if isinstance(context.trace_request_ctx, _Departure):
            context.trace_request_ctx.has_begun = True

    traces = aiohttp.TraceConfig()
    traces.on_request_headers_sent.append(depart)
    return traces


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request again, and a websocket's handshake from being redirected elsewhere."""
    try:
        answer = await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Broken from error
    if answer.status in _REDIRECTS and "Sec-WebSocket-Key" in request.headers:
        answer.close()
        raise aiohttp.ClientConnectionError("the handshake was redirected")
    return answer


def _told(error: Exception) -> str:
    """What happened, without the address: it may carry a signature."""
    if isinstance(error, _Broken) and error.__cause__ is not None:
        return _kind(error.__cause__)
    return _kind(error)


def _kind(error: BaseException) -> str:
    """The class of an error, and the system's words where they are nothing but that."""
    reason = getattr(getattr(error, "os_error", error), "strerror", None)
    return f"{type(error).__name__} ({reason})" if isinstance(reason, str) and reason else type(error).__name__
