"""Calls of Zoomex over HTTP: signed, counted, sent once, and read.

What belongs here: the signature, the limiter's bookkeeping, what becomes of an answer. What does not: what a call is
for (orders, executions, account, market).

The string that is signed is the string that is sent, byte for byte: queries are joined here and never encoded again,
cursors come encoded and go back as they came. The venue quotes the key in some refusals, so texts are cleaned.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote

import msgspec

from trading_engine.domain.errors import RateLimited, VenueUnavailable
from trading_engine.domain.reports import Rejected, Unknown
from trading_engine.venues.wire.clock import Milliseconds, VenueClock
from trading_engine.venues.wire.limiter import Limiter
from trading_engine.venues.wire.outcome import Meaning
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.settings import AccountSettings
from trading_engine.venues.wire.transport import NoReply, NotSent, Reply, Transport
from trading_engine.venues.zoomex import errors, facts, shapes
from trading_engine.venues.zoomex.errors import Told

T = TypeVar("T")
Query = Sequence[tuple[str, str | int]]
Written = Told | Rejected | Unknown

_ATTEMPTS = 2  # of a read
_LONGEST_WAIT_MS = 2_000
_MOST_PAGES = 500
_DEFAULT_PATIENCE_MS = 1_000
_LONGEST_TEXT = 200
_NO_RETRY = frozenset({Meaning.REFUSED, Meaning.KEY, Meaning.BUSY, Meaning.NOT_FOUND, Meaning.NOT_OPEN})


class Declined(VenueUnavailable):
    """The venue has read a question and said no; asking again would not help."""

    def __init__(self, message: str, code: str, meaning: Meaning) -> None:
        super().__init__(message)
        self.code = code
        self.meaning = meaning


def signature(secret: str, text: str) -> str:
    """HMAC-SHA256 in lower-case hex."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def sign(credentials: Credentials, timestamp_ms: int, recv_window_ms: int, payload: str) -> str:
    """The signature of a request; `payload` is the raw query or the body, exactly as sent."""
    return signature(credentials.secret, f"{timestamp_ms}{credentials.key}{recv_window_ms}{payload}")


def query_text(query: Query) -> str:
    """The query as it is signed and sent; a cursor is encoded already."""
    return "&".join(f"{name}={value if name == 'cursor' else quote(str(value), safe='')}" for name, value in query)


class Rest:
    """The HTTP side of one account."""

    def __init__(
        self, credentials: Credentials, settings: AccountSettings, clock: Milliseconds, transport: Transport
    ) -> None:
        self._credentials = credentials
        self._base = settings.hosts.rest_url + facts.PREFIX
        self._recv_window_ms = settings.recv_window_ms
        self._transport = transport
        self.clock = VenueClock(clock)
        self.limiter = Limiter(facts.POOLS, clock)
        self._limits: dict[str, int] = {}
        self._is_clock_suspect = False

    # ── questions ───────────────────────────────────────────────────────────

    async def read(self, path: str, query: Query = ()) -> Told:
        """The answer to a question, asked again once where that may help.

        Raises Declined where the venue says no, RateLimited where it or our budget asks for patience, and
        VenueUnavailable for everything else.
        """
        failure: VenueUnavailable = VenueUnavailable("not asked")
        for _ in range(_ATTEMPTS):
            try:
                await self.limiter.wait(facts.costs_of(path), longest_ms=_LONGEST_WAIT_MS)
                told = await self._exchange("GET", path, query_text(query))
            except (NotSent, NoReply) as error:
                failure = VenueUnavailable(f"{facts.NAME} did not answer {path}: {error}")
                continue
            if told.is_ok:
                return told
            failure = self._failure(told)
            if told.meaning in _NO_RETRY:
                break
        raise failure

    async def pages(self, path: str, query: Query, limit: int, kind: type[T]) -> AsyncIterator[list[T]]:
        """Pages of a listing, as the venue orders them. Errors as `read`."""
        cursor, known = "", set[str]()
        for _ in range(_MOST_PAGES):
            turned = [("cursor", cursor)] if cursor else []
            told = await self.read(path, [*query, ("limit", limit), *turned])
            rows, cursor = shapes.page(told.result, kind)
            yield rows
            if not rows or not cursor:
                return
            if cursor in known:
                raise VenueUnavailable(f"{facts.NAME} turns the pages of {path} in a circle")
            known.add(cursor)
        raise VenueUnavailable(f"{facts.NAME} has more than {_MOST_PAGES} pages of {path}")

    async def rows(self, path: str, query: Query, limit: int, kind: type[T]) -> list[T]:
        """Every row of a listing. Errors as `read`."""
        return [row async for page in self.pages(path, query, limit, kind) for row in page]

    # ── orders and settings ─────────────────────────────────────────────────

    async def write(
        self, path: str, body: Mapping[str, object], *, is_protective: bool = False, patience_ms: int = 0
    ) -> Written:
        """Send once and classify. Told where the venue took it or it was so already.

        patience_ms   how long to wait for the budget first: settings have time, orders have none

        Raises nothing but a cancellation of the caller, after which the request may have been sent.
        """
        try:
            await self.limiter.wait(facts.costs_of(path), longest_ms=patience_ms, is_protective=is_protective)
        except RateLimited as error:
            return Rejected("rate_limited", str(error), error.retry_after_ms)
        try:
            told = await self._exchange("POST", path, msgspec.json.encode(body).decode())
        except NotSent as error:
            return Rejected("not_sent", str(error))
        except NoReply as error:
            return Unknown(f"{facts.NAME}: {error}")
        if told.is_ok or told.meaning is Meaning.ALREADY:
            return told
        outcome = errors.TABLE.outcome(told.code, told.text)
        assert isinstance(outcome, Rejected | Unknown)  # noqa: S101 - a table accepts nothing
        return outcome

    # ── the clock ───────────────────────────────────────────────────────────

    async def measure_clock(self, samples: int = 5) -> int:
        """What the venue's clock is ahead of ours, in ms. Errors as `read`."""
        offset_ms = await self.clock.measure(self._ask_time, samples)
        self._is_clock_suspect = False
        return offset_ms

    async def _ask_time(self) -> int:
        told = await self.read(facts.TIME)
        nanoseconds = shapes.decode(told.result, shapes.ServerTime).time_nano
        return int(shapes.needed(nanoseconds, "time")) // 1_000_000

    # ── one exchange ────────────────────────────────────────────────────────

    async def _exchange(self, method: str, path: str, payload: str) -> Told:
        """Send what is counted already; NotSent or NoReply where there is no answer."""
        is_read = method == "GET"
        headers: dict[str, str] = {}
        if path not in facts.PUBLIC_PATHS:
            if self._is_clock_suspect:
                await self._measure_quickly()
            headers = self._headers(payload)
        url = self._base + path
        if is_read:
            reply = await self._transport.request("GET", f"{url}?{payload}" if payload else url, headers)
        else:
            headers["Content-Type"] = "application/json"
            reply = await self._transport.request("POST", url, headers, payload.encode())
        told = errors.read(reply)
        self._learn(path, reply, told)
        return Told(told.code, self._cleaned(told.text), told.result, told.time_ms)

    def _headers(self, payload: str) -> dict[str, str]:
        timestamp_ms = self.clock.now_ms() - facts.CLOCK_GUARD_MS
        return {
            "X-BAPI-API-KEY": self._credentials.key,
            "X-BAPI-TIMESTAMP": str(timestamp_ms),
            "X-BAPI-RECV-WINDOW": str(self._recv_window_ms),
            "X-BAPI-SIGN": sign(self._credentials, timestamp_ms, self._recv_window_ms, payload),
            "X-BAPI-SIGN-TYPE": "2",
        }

    async def _measure_quickly(self) -> None:
        """After a refused timestamp: one look at the venue's clock; without it the present offset has to do."""
        self._is_clock_suspect = False
        try:
            await self.measure_clock(samples=1)
        except VenueUnavailable:
            self._is_clock_suspect = True

    def _learn(self, path: str, reply: Reply, told: Told) -> None:
        """Take in what an answer says about limits and the clock."""
        if told.meaning is Meaning.CLOCK:
            self._is_clock_suspect = True
        if told.code in errors.BAN_CODES:
            self.limiter.forbid(facts.BAN_MS)
        if told.code in ("429", "http_429"):
            self.limiter.forbid(_patience_ms(reply, self.clock.now_ms()))
        pool = next((name for name in facts.costs_of(path) if name != facts.IP_POOL), None)
        if pool is None:
            return
        limit, left = _count(reply, "x-bapi-limit"), _count(reply, "x-bapi-limit-status")
        if limit and limit != self._limits.get(pool, facts.POOLS[pool].limit):
            self._limits[pool] = limit
            self.limiter.learn_limit(pool, limit)
        known = self._limits.get(pool, facts.POOLS[pool].limit)
        if told.code == "10006":
            self.limiter.learn(pool, known)
        elif left is not None and left <= known:
            self.limiter.learn(pool, known - left)

    def _failure(self, told: Told) -> VenueUnavailable:
        failure = errors.TABLE.failure(told.code, told.text)
        if isinstance(failure, RateLimited):
            banned_ms = self.limiter.banned_until_ms
            wait_ms = facts.BAN_MS if told.code in errors.BAN_CODES and banned_ms else _DEFAULT_PATIENCE_MS
            return RateLimited(str(failure), wait_ms)
        message = f"{facts.NAME} answered {told.code}: {told.text}"
        if told.meaning in _NO_RETRY:
            return Declined(message, told.code, told.meaning)
        return VenueUnavailable(message)

    def _cleaned(self, text: str) -> str:
        for secret in (self._credentials.key, self._credentials.secret):
            text = text.replace(secret, "…") if secret else text
        return text[:_LONGEST_TEXT]


def _count(reply: Reply, name: str) -> int | None:
    text = reply.headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None


def _patience_ms(reply: Reply, now_ms: int) -> int:
    """How long the venue asks us to wait, a second where it does not say."""
    seconds = _count(reply, "retry-after")
    if seconds is not None:
        return seconds * 1_000
    reset_ms = _count(reply, "x-bapi-limit-reset-timestamp")
    return max((reset_ms or 0) - now_ms, _DEFAULT_PATIENCE_MS)
