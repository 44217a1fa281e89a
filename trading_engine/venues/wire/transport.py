"""One HTTP session for a venue: bytes out, bytes back, and whether a byte has left at all.

What belongs here: the session, its time limits, and telling "never sent" from "no answer". What does not: what an
answer means (outcome, each venue), limits of the venue (limiter).

Nothing is retried here, and URLs are sent exactly as they were signed. No message carries a URL's query or a header:
both hold keys and signatures.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

CONNECT_TIMEOUT_MS = 2_000
ANSWER_TIMEOUT_MS = 5_000
_MOST_CONNECTIONS = 20


class NotSent(Exception):
    """No byte has left: the name did not resolve, nobody listened, or the session is closed."""


class NoReply(Exception):
    """The request may have arrived, and nothing usable came back."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


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
                connector=aiohttp.TCPConnector(limit=_MOST_CONNECTIONS, ttl_dns_cache=60, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_MS / 1000),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
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
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                async with self.session.request(
                    method, URL(url, encoded=True), headers=headers, data=body or None, allow_redirects=False
                ) as answer:
                    content = await answer.read()
                    names = {name.lower(): value for name, value in answer.headers.items()}
                    return Reply(answer.status, names, content)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise NotSent(_told(error)) from None
        except TimeoutError:
            raise NoReply(f"no answer within {timeout_ms} ms") from None
        except (aiohttp.ClientError, OSError) as error:
            raise NoReply(_told(error)) from None

    async def close(self) -> None:
        """Close every connection; again has no effect."""
        self._is_closed = True
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


def _told(error: Exception) -> str:
    """What happened, without the address: it may carry a signature."""
    cause = getattr(error, "os_error", None)
    reason = getattr(cause, "strerror", None)
    return f"{type(error).__name__}{f' ({reason})' if reason else ''}"
