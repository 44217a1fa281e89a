"""The parameters of a call: where they stand, what they are signed with, and how they are read.

What belongs here: query and form, signature and time stamp, typed access with the venue's refusals. What does not:
what any parameter means (filters, orders, account, market).
"""

import hashlib
import hmac
import re
from decimal import Decimal
from urllib.parse import parse_qsl

from trading_engine.venue_servers.binance.errors import ApiError
from trading_engine.venue_servers.web import Call
from trading_engine.venues.wire.secrets import Credentials

DAY_MS = 86_400_000
_AHEAD_MS = 1_000
_RECV_WINDOW_MS = 5_000
_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_DECIMAL_RANGE = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_INTEGER = re.compile(r"[0-9]{1,20}")
_INTEGER_RANGE = "^[0-9]{1,20}$"
_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SIGNATURE = re.compile(rb"(?:^|&)signature=[^&]*")
_LAST_ASCII = 0x7F


class Params:
    """Named values of one call; a name that stands in the query and in the form counts as in the query."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    @classmethod
    def of(cls, call: Call) -> "Params":
        """Raises -1101 for a name that is sent twice in one place."""
        form = {} if call.method == "GET" else _pairs(call.body.decode("utf-8", "replace"))
        return cls(form | _pairs(call.query))

    def has(self, name: str) -> bool:
        """Whether it was sent, empty or not."""
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        """The value; -1105 where it was sent without one."""
        value = self._values.get(name, default)
        if not value and name in self._values:
            raise ApiError(-1105, name)
        return value

    def need(self, name: str) -> str:
        """The value; -1102 where it is missing."""
        value = self._values.get(name, "")
        if not value or value == "null":
            raise ApiError(-1102, name)
        return value

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number; -1100 for anything else."""
        value = self.text(name)
        if not value:
            return default
        if not _INTEGER.fullmatch(value):
            raise ApiError(-1100, name, _INTEGER_RANGE)
        return int(value)

    def decimal(self, name: str) -> Decimal:
        """A required number in plain notation; -1102 where it is missing, -1100 for anything else."""
        value = self.need(name)
        if value.startswith("-") and _DECIMAL.fullmatch(value[1:]):
            return Decimal(value)
        if not _DECIMAL.fullmatch(value):
            raise ApiError(-1100, name, _DECIMAL_RANGE)
        return Decimal(value)

    def flag(self, name: str) -> bool:
        """A switch of "true" or "false", off where it was not sent; -1130 for anything else."""
        value = self.text(name, "false").lower()
        if value not in ("true", "false"):
            raise ApiError(-1130, name)
        return value == "true"

    def limit(self, default: int, most: int) -> int:
        """How many rows are asked for; -1130 for none, or for more than there are in one answer."""
        limit = self.integer("limit", default)
        if not 1 <= limit <= most:
            raise ApiError(-1130, "limit")
        return limit

    def window(self, now_ms: int, days: int = 7) -> tuple[int, int]:
        """First and last instant of `startTime` and `endTime`, `days` where one is missing; -1127 for more."""
        span = days * DAY_MS
        start, end = self.integer("startTime"), self.integer("endTime")
        if start and end:
            if end - start > span:
                raise ApiError(-1127, days)
            return start, end
        if start:
            return start, start + span
        return (end or now_ms) - span, end or now_ms


def _pairs(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name in values:
            raise ApiError(-1101, name)
        values[name] = value
    return values


def require_key(call: Call, credentials: Credentials) -> None:
    """-2014 for something that is no key, -2015 for a strange one."""
    key = call.headers.get("x-mbx-apikey", "")
    if not _KEY.fullmatch(key):
        raise ApiError(-2014)
    if not hmac.compare_digest(key, credentials.key):
        raise ApiError(-2015)


def require_signed(call: Call, params: Params, credentials: Credentials, now_ms: int) -> None:
    """-1102 for a missing part, -1021 for a time stamp out of its window, -1022 for a wrong signature."""
    stamp_text, signature = params.need("timestamp"), params.need("signature")
    if not _INTEGER.fullmatch(stamp_text):
        raise ApiError(-1100, "timestamp", _INTEGER_RANGE)
    stamp, window = int(stamp_text), params.integer("recvWindow", _RECV_WINDOW_MS)
    if stamp >= now_ms + _AHEAD_MS:
        raise ApiError(-1021, text=f"Timestamp for this request was {_AHEAD_MS}ms ahead of the server's time.")
    if now_ms - stamp > window:
        raise ApiError(-1021)
    signed = _signed(call)
    expected = hmac.new(credentials.secret.encode(), signed, hashlib.sha256).hexdigest()
    given = signature.lower().encode("ascii", "replace")
    if any(byte > _LAST_ASCII for byte in signed) or not hmac.compare_digest(given, expected.encode()):
        raise ApiError(-1022)


def _signed(call: Call) -> bytes:
    """Query and form as they were sent, one behind the other with nothing between, without the signature."""
    query = _SIGNATURE.sub(b"", call.query.encode("utf-8", "surrogateescape"))
    return query + (b"" if call.method == "GET" else _SIGNATURE.sub(b"", call.body))
