"""Calls to BingX over HTTP: signing, limits, pauses, and what an answer amounts to.

What belongs here: everything between "ask this endpoint with these parameters" and a decoded envelope. What does
not: which parameters (venue, history), what the data means (codec).

The signature is made over the raw values and the URL carries the encoded ones; every parameter goes into the query,
for every method, with an empty body. A read may be asked twice, each time stamped and signed anew; what may change
something is sent once.
"""

import asyncio
import hashlib
import hmac
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

import msgspec

from trading_engine.domain.errors import RateLimited, VenueUnavailable
from trading_engine.domain.reports import Accepted, Rejected, Unknown
from trading_engine.venues.bingx import errors, facts
from trading_engine.venues.bingx.codec import Envelope, ServerTime
from trading_engine.venues.bingx.facts import Endpoint
from trading_engine.venues.wire.clock import VenueClock
from trading_engine.venues.wire.limiter import Limiter
from trading_engine.venues.wire.outcome import Meaning
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.transport import NoReply, NotSent, Reply, Transport

T = TypeVar("T")

READ_WAIT_MS = 3_000  # how long a read waits for its turn
ACT_WAIT_MS = 1_200  # one window: several orders of one moment all leave
LONGEST_WINDOW_MS = 60_000  # a longer one in the venue's headers is not believed
BREAKER_WINDOW_MS = 480_000  # the venue counts equal refusals so long, and bans at 20
BREAKER_REFUSALS = 10  # from here on only protective calls leave

HTTP_OK = 200
_HTTP_NOT_FOUND = 404
_HTTP_TOO_MANY = 429
_HTTP_SERVER_ERROR = 500


def signature(raw_query: str, secret: str) -> str:
    """The lower-case hexadecimal HMAC-SHA256 of a query with raw values."""
    return hmac.new(secret.encode(), raw_query.encode(), hashlib.sha256).hexdigest()


def encoded(params: Mapping[str, str]) -> str:
    """A query with encoded values, sorted by name, as it goes behind the question mark."""
    return "&".join(f"{name}={quote(params[name], safe='')}" for name in sorted(params))


def signed_query(params: Mapping[str, str], secret: str) -> str:
    """The query with its signature; the caller has put in the timestamp."""
    raw = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return f"{encoded(params)}&signature={signature(raw, secret)}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An envelope that could be read.

    key    "" for success, otherwise what the table of codes lists the answer under
    data   the payload, still JSON; `body` the whole answer, for the calls that put it beside the envelope
    """

    key: str
    text: str
    data: bytes
    body: bytes
    status: int

    @property
    def is_success(self) -> bool:
        """The venue did what was asked."""
        return not self.key

    @property
    def meaning(self) -> Meaning:
        """What a failure says."""
        return errors.TABLE.meaning(self.key)


class Rest:
    """The signed and unsigned calls of one account."""

    def __init__(
        self,
        transport: Transport,
        base_url: str,
        credentials: Credentials,
        limiter: Limiter,
        clock: VenueClock,
        recv_window_ms: int,
    ) -> None:
        self._transport = transport
        self._base_url = base_url
        self._credentials = credentials
        self._limiter = limiter
        self._clock = clock
        self._recv_window_ms = recv_window_ms
        self._paused_until_ms: dict[str, int] = {}
        self._refusals: dict[tuple[str, str], deque[int]] = {}
        self.is_clock_doubtful = False

    # ── the three ways to call ──────────────────────────────────────────────

    async def read(self, endpoint: Endpoint, params: Mapping[str, str], kind: type[T]) -> T:
        """The decoded payload of a read. VenueUnavailable, RateLimited or VenueRejected (the key) where it failed."""
        answer = await self.ask(endpoint, params)
        if not answer.is_success:
            raise errors.TABLE.failure(answer.key, answer.text)
        return decoded(answer.data, kind)

    async def ask(self, endpoint: Endpoint, params: Mapping[str, str]) -> Answer:
        """The answer to a read, whatever its code; asked once more where nothing came or the timestamp was refused.

        VenueUnavailable and RateLimited where there is no answer that could be read.
        """
        try:
            answer = await self._send(endpoint, params, READ_WAIT_MS)
        except (NotSent, NoReply):
            answer = None
        if answer is not None and answer.meaning is Meaning.CLOCK:
            await self.measure_clock()
            answer = None
        try:
            return answer or await self._send(endpoint, params, READ_WAIT_MS)
        except (NotSent, NoReply) as error:
            raise VenueUnavailable(f"bingx {endpoint.path}: {error}") from None

    async def act(
        self, endpoint: Endpoint, params: Mapping[str, str], *, is_protective: bool = False
    ) -> Answer | Rejected | Unknown:
        """Send what may change something, once: its successful answer, or the verdict on anything else."""
        try:
            answer = await self._send(endpoint, params, ACT_WAIT_MS, is_protective=is_protective)
        except RateLimited as error:
            return Rejected("rate_limited", f"not sent: {error}", error.retry_after_ms)
        except NotSent as error:
            return Rejected("not_sent", str(error))
        except VenueUnavailable as error:
            return Unknown(str(error))
        except NoReply as error:
            return Unknown(f"bingx {endpoint.path}: {error}")
        if answer.is_success:
            return answer
        if answer.meaning is Meaning.CLOCK:
            self.is_clock_doubtful = True
        return self._verdict(endpoint, answer)

    async def status(self, endpoint: Endpoint, params: Mapping[str, str]) -> int | None:
        """The HTTP status, for the calls that answer with nothing else; None where that is not known or may pass.

        A code that is told in spite of a good status counts as not found.
        """
        try:
            reply = await self._request(endpoint, params, READ_WAIT_MS, is_protective=True)
        except (RateLimited, NotSent, NoReply):
            return None
        envelope = _envelope(reply.body)
        code = "" if envelope is None else envelope.code_text
        self._heed(endpoint, reply, f"HTTP {reply.status}", "" if envelope is None else envelope.text)
        if reply.status in (_HTTP_TOO_MANY, 418, 403) or reply.status >= _HTTP_SERVER_ERROR:
            return None
        return reply.status if code in ("", "0") else _HTTP_NOT_FOUND

    async def measure_clock(self) -> int:
        """Measure the venue's clock again; what it is ahead of ours, in ms."""
        offset_ms = await self._clock.measure(self._server_time_ms)
        self.is_clock_doubtful = False
        return offset_ms

    async def _server_time_ms(self) -> int:
        try:
            answer = await self._send(facts.SERVER_TIME, {}, READ_WAIT_MS)
        except (NotSent, NoReply) as error:
            raise VenueUnavailable(f"bingx does not tell its time: {error}") from None
        if not answer.is_success:
            raise errors.TABLE.failure(answer.key, answer.text)
        return decoded(answer.data, ServerTime).server_time

    # ── one request ─────────────────────────────────────────────────────────

    async def _send(
        self, endpoint: Endpoint, params: Mapping[str, str], wait_ms: int, *, is_protective: bool = False
    ) -> Answer:
        """NotSent, NoReply, RateLimited; VenueUnavailable where an answer came that says nothing."""
        return self._understood(endpoint, await self._request(endpoint, params, wait_ms, is_protective=is_protective))

    async def _request(
        self, endpoint: Endpoint, params: Mapping[str, str], wait_ms: int, *, is_protective: bool
    ) -> Reply:
        await self._wait_out(endpoint, wait_ms)
        self._check_pauses(endpoint, is_protective=is_protective)
        await self._limiter.wait(endpoint.costs, longest_ms=wait_ms, is_protective=is_protective)
        url, headers = f"{self._base_url}{endpoint.path}", {}
        if endpoint.is_signed:
            stamped = dict(params) | {
                "timestamp": str(self._clock.now_ms()),
                "recvWindow": str(self._recv_window_ms),
            }
            query = signed_query(stamped, self._credentials.secret)
            headers = {"X-BX-APIKEY": self._credentials.key}
        else:
            query = encoded(params)
        return await self._transport.request(endpoint.method, f"{url}?{query}" if query else url, headers)

    def _understood(self, endpoint: Endpoint, reply: Reply) -> Answer:
        envelope = _envelope(reply.body)
        code = "" if envelope is None else envelope.code_text
        text = "" if envelope is None else envelope.text
        if reply.status in (_HTTP_TOO_MANY, 418, 403):
            code, text = f"HTTP {reply.status}", text or reply.body[:200].decode(errors="replace")
        self._heed(endpoint, reply, code, text)
        if reply.status >= _HTTP_SERVER_ERROR or not code:
            raise VenueUnavailable(f"bingx {endpoint.path}: HTTP {reply.status} without a usable answer")
        data = b"null" if envelope is None else bytes(envelope.data)
        key = "" if code == "0" else errors.key_of(code, text)
        return Answer(key, text[:300], data, reply.body, reply.status)

    # ── patience ────────────────────────────────────────────────────────────

    async def _wait_out(self, endpoint: Endpoint, wait_ms: int) -> None:
        """A pause no longer than a call waits for its turn is waited for: each full window of a second makes one."""
        pause_ms = self._paused_until_ms.get(endpoint.pool, 0) - self._clock.now_ms()
        if 0 < pause_ms <= wait_ms:
            await asyncio.sleep((pause_ms + 1) / 1000)

    def _check_pauses(self, endpoint: Endpoint, *, is_protective: bool) -> None:
        now_ms = self._clock.now_ms()
        wait_ms = self._paused_until_ms.get(endpoint.pool, 0) - now_ms
        if wait_ms > 0:
            raise RateLimited(f"bingx has paused {endpoint.pool} for another {wait_ms} ms", wait_ms)
        if is_protective:
            return
        for (pool, code), times in self._refusals.items():
            while times and times[0] <= now_ms - BREAKER_WINDOW_MS:
                times.popleft()
            if pool == endpoint.pool and len(times) >= BREAKER_REFUSALS:
                wait_ms = times[0] + BREAKER_WINDOW_MS - now_ms
                raise RateLimited(f"{len(times)} refusals with {code}: bingx would ban {endpoint.pool}", wait_ms)

    def _verdict(self, endpoint: Endpoint, answer: Answer) -> Rejected | Unknown:
        outcome = errors.TABLE.outcome(answer.key, answer.text)
        assert not isinstance(outcome, Accepted)  # noqa: S101 - no code of a failure is an acceptance
        if isinstance(outcome, Rejected) and answer.meaning is Meaning.REFUSED:
            times = self._refusals.setdefault((endpoint.pool, answer.key), deque(maxlen=BREAKER_REFUSALS))
            times.append(self._clock.now_ms())
        return outcome

    def _heed(self, endpoint: Endpoint, reply: Reply, code: str, text: str) -> None:
        """Keep silent as long as the venue asks: on this endpoint, or altogether after a ban."""
        now_ms = self._clock.now_ms()
        expires_ms = _header_ms(reply, "x-ratelimit-requests-expire")
        if code in errors.LIMITED or code in errors.BANNED:
            named_ms = errors.named_instant_ms(text)
            for_ms = errors.BAN_MS if named_ms is None else max(named_ms - now_ms, 1_000)
            if code in errors.BANNED:
                self._limiter.forbid(for_ms)
                return
            if named_ms is None and expires_ms is not None:
                for_ms = expires_ms
            self._pause(endpoint, now_ms + for_ms)
        elif reply.headers.get("x-ratelimit-requests-remain") == "0" and expires_ms is not None:
            self._pause(endpoint, now_ms + expires_ms)

    def _pause(self, endpoint: Endpoint, until_ms: int) -> None:
        self._paused_until_ms[endpoint.pool] = max(until_ms, self._paused_until_ms.get(endpoint.pool, 0))


def decoded(data: bytes, kind: type[T]) -> T:
    """A payload as a struct; VenueUnavailable where it has another shape."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise VenueUnavailable(f"bingx answered in a shape that is not known ({kind.__name__}: {error})") from None


def _envelope(body: bytes) -> Envelope | None:
    try:
        return msgspec.json.decode(body, type=Envelope)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def _header_ms(reply: Reply, name: str) -> int | None:
    text = reply.headers.get(name, "")
    if not text.isdecimal() or not 0 < int(text) <= LONGEST_WINDOW_MS:
        return None
    return int(text)
