"""Calls over REST: signed, counted, sent once, and read.

What belongs here: signing, the budget, telling a success from a refusal. What does not: which calls there are and
what they cost (limits), what a refusal proves (errors), what an answer means (codec).
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from trading_engine.domain.errors import RateLimited, VenueRejected, VenueUnavailable
from trading_engine.domain.reports import Rejected, Unknown
from trading_engine.venues.binance import errors, facts, limits
from trading_engine.venues.binance.errors import Refusal
from trading_engine.venues.binance.facts import NAME
from trading_engine.venues.binance.limits import Endpoint, Security
from trading_engine.venues.binance.shapes import ServerTime
from trading_engine.venues.wire.clock import Milliseconds, VenueClock
from trading_engine.venues.wire.limiter import Limiter
from trading_engine.venues.wire.outcome import Meaning
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.settings import AccountSettings
from trading_engine.venues.wire.transport import NoReply, NotSent, Reply, Transport

T = TypeVar("T")
Params = Sequence[tuple[str, str]]

READ_WAIT_MS = 2_000  # a read waits so long for its budget; what changes something never waits
_FORM = "application/x-www-form-urlencoded"


def encoded(params: Params) -> str:
    """Parameters as they are sent and signed: UTF-8, percent-encoded, in the order given."""
    return urlencode(params, quote_via=quote, safe="")


def signature(secret: str, text: str) -> str:
    """HMAC-SHA256 of exactly the bytes that are sent, in lower-case hex."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class Rest:
    """One account's calls. `clock` becomes the venue's time as far as it is known; budgets count by ours."""

    def __init__(
        self, credentials: Credentials, settings: AccountSettings, transport: Transport, clock: Milliseconds
    ) -> None:
        self._credentials = credentials
        self._settings = settings
        self._transport = transport
        self._local = clock
        self.clock = VenueClock(clock)
        self.limiter = Limiter(limits.POOLS, clock)
        self._is_clock_suspect = False
        self.is_started = False  # until then a refused key is told as such; later it is a failed read like any other

    async def measure_clock(self) -> int:
        """Ask for the time a few times; what the venue's clock is ahead of ours, in ms."""
        offset_ms = await self.clock.measure(self._server_time)
        self._is_clock_suspect = False
        return offset_ms

    async def _server_time(self) -> int:
        return (await self.read(limits.TIME, (), ServerTime)).server_time

    async def read(self, endpoint: Endpoint, params: Params, shape: type[T], *, weight: int | None = None) -> T:
        """The answer to a question; VenueUnavailable where there is none."""
        answer = await self.ask(endpoint, params, shape, weight=weight)
        if isinstance(answer, Refusal):
            raise self._failure(answer)
        return answer

    async def find(self, endpoint: Endpoint, params: Params, shape: type[T]) -> T | None:
        """As `read`, and None where the venue says that it knows no such thing."""
        answer = await self.ask(endpoint, params, shape)
        if isinstance(answer, Refusal):
            if answer.meaning is Meaning.NOT_FOUND:
                return None
            raise self._failure(answer)
        return answer

    async def ask(
        self, endpoint: Endpoint, params: Params, shape: type[T], *, weight: int | None = None
    ) -> T | Refusal:
        """The answer or the refusal of a question; asked once more where our clock was refused."""
        answer = await self._ask_once(endpoint, params, shape, weight)
        if isinstance(answer, Refusal) and answer.meaning is Meaning.CLOCK:
            await self.measure_clock()
            answer = await self._ask_once(endpoint, params, shape, weight)
        return answer

    async def _ask_once(self, endpoint: Endpoint, params: Params, shape: type[T], weight: int | None) -> T | Refusal:
        await self.limiter.wait(_costs(endpoint, params, weight), longest_ms=READ_WAIT_MS)
        try:
            reply = await self._send(endpoint, params)
        except (NotSent, NoReply) as error:
            raise VenueUnavailable(f"{NAME} {endpoint.method} {endpoint.path}: {error}") from None
        refused = errors.refusal(reply)
        return _decoded(reply, shape, endpoint) if refused is None else refused

    async def change(
        self, endpoint: Endpoint, params: Params, *, is_protective: bool
    ) -> Reply | Refusal | Rejected | Unknown:
        """Send once what may change something. Rejected: nothing was sent; Unknown: nothing usable came back.

        Where our clock is refused, the venue's is measured before the next such call.
        """
        if self._is_clock_suspect:
            await self._measure_quickly()
        try:
            self.limiter.spend(_costs(endpoint, params, None), is_protective=is_protective)
            reply = await self._send(endpoint, params)
        except RateLimited as error:
            return Rejected("rate_limited", str(error), error.retry_after_ms)
        except NotSent as error:
            return Rejected("not_sent", str(error))
        except NoReply as error:
            return Unknown(str(error))
        refused = errors.refusal(reply)
        self._is_clock_suspect |= refused is not None and refused.meaning is Meaning.CLOCK
        return refused or reply

    async def _measure_quickly(self) -> None:
        """One look at the venue's clock; without an answer the present offset has to do, and doubt stays."""
        with suppress(VenueUnavailable, VenueRejected):
            await self.clock.measure(self._server_time, samples=1)
            self._is_clock_suspect = False

    async def _send(self, endpoint: Endpoint, params: Params) -> Reply:
        text = self._text(endpoint, params)
        headers: dict[str, str] = {}
        if endpoint.security is not Security.NONE:
            headers["X-MBX-APIKEY"] = self._credentials.key
        base = facts.wallet_url(self._settings.hosts) if endpoint.is_wallet else self._settings.hosts.rest_url
        if base is None:
            raise NotSent("no host is known for this question")
        url, body = f"{base}{endpoint.path}", b""
        if endpoint.method == "POST" and text:
            headers["Content-Type"] = _FORM
            body = text.encode()
        elif text:
            url = f"{url}?{text}"
        reply = await self._transport.request(endpoint.method, url, headers, body)
        if not endpoint.is_wallet:
            limits.learn(self.limiter, reply, self.clock.now_ms())
        return reply

    def _text(self, endpoint: Endpoint, params: Params) -> str:
        if endpoint.security is not Security.SIGNED:
            return encoded(params)
        stamp = (("recvWindow", str(self._settings.recv_window_ms)), ("timestamp", str(self.clock.now_ms())))
        text = encoded((*params, *stamp))
        return f"{text}&signature={signature(self._credentials.secret, text)}"

    def _failure(self, refused: Refusal) -> Exception:
        if refused.meaning is Meaning.BUSY:
            wait_ms = self.limiter.banned_until_ms - self._local.now_ms()
            return RateLimited(f"{NAME} answered {refused.told}", max(wait_ms, 1_000))
        if refused.meaning is Meaning.KEY and not self.is_started:
            return VenueRejected(refused.code, refused.text)
        return VenueUnavailable(f"{NAME} answered {refused.told}")


def decoded(reply: Reply, shape: type[T]) -> T:
    """The body in its shape; ValueError where it has another."""
    try:
        return msgspec.json.decode(reply.body, type=shape)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def _decoded(reply: Reply, shape: type[T], endpoint: Endpoint) -> T:
    try:
        return decoded(reply, shape)
    except ValueError as error:
        raise VenueUnavailable(f"{NAME} {endpoint.path}: an answer that cannot be read ({error})") from None


def _costs(endpoint: Endpoint, params: Params, weight: int | None) -> Mapping[str, int]:
    return endpoint.costs(has_symbol=any(name == "symbol" for name, _ in params), weight=weight)
