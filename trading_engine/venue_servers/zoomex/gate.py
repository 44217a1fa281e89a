"""Who may call, and how often.

What belongs here: signatures, the time window, rate limits of keys and addresses. What does not: endpoints.
"""

import hashlib
import hmac
from collections import defaultdict, deque
from collections.abc import Mapping

from trading_engine.venue_servers.web import Call
from trading_engine.venue_servers.zoomex.words import Plain, Refused
from trading_engine.venues.wire.secrets import Credentials

KEY_WINDOW_MS = 1_000
ADDRESS_WINDOW_MS = 5_000
BAN_MS = 600_000
AHEAD_MS = 1_000
DEFAULT_RECV_WINDOW_MS = 5_000

_API_KEY = "x-bapi-api-key"
_TIMESTAMP = "x-bapi-timestamp"
_RECV_WINDOW = "x-bapi-recv-window"
_SIGNATURE = "x-bapi-sign"
_MOST_DIGITS = 15


class Gate:
    """The checks before any endpoint.

    per_second     calls of one endpoint by one key in any second
    per_address    calls of any kind by one address in any five seconds; one more shuts it out for ten minutes
    """

    def __init__(self, credentials: Credentials, per_second: int, per_address: int) -> None:
        self._credentials = credentials
        self._per_second = per_second
        self._per_address = per_address
        self._calls: defaultdict[str, deque[int]] = defaultdict(deque)
        self._addresses: defaultdict[str, deque[int]] = defaultdict(deque)
        self._banned_until: dict[str, int] = {}

    def admit_address(self, peer: str, now_ms: int) -> None:
        """Count a call; Plain 403 for an address that calls too often, and for ten minutes after it did."""
        seen = self._addresses[peer]
        _forget(seen, now_ms - ADDRESS_WINDOW_MS)
        if len(seen) >= self._per_address:
            self._banned_until[peer] = now_ms + BAN_MS
        if now_ms < self._banned_until.get(peer, 0):
            raise Plain(403, "access too frequent")
        seen.append(now_ms)

    def authenticate(self, call: Call, now_ms: int) -> None:
        """Plain 401 without the headers; Refused 10003 (key), 10002 (time) or 10004 (signature)."""
        headers = call.headers
        if not all(headers.get(name) for name in (_API_KEY, _TIMESTAMP, _SIGNATURE)):
            raise Plain(401, "Unauthorized")
        if headers[_API_KEY] != self._credentials.key:
            raise Refused(10003, "API key is invalid.")
        window = headers.get(_RECV_WINDOW, "")
        _check_time(headers[_TIMESTAMP], window, now_ms)
        payload = call.body.decode("utf-8", "replace") if call.method == "POST" else call.query
        expected = self.sign(f"{headers[_TIMESTAMP]}{self._credentials.key}{window}{payload}")
        if not hmac.compare_digest(expected.encode(), _raw(headers[_SIGNATURE])):
            raise Refused(10004, "Error sign, please check your signature generation algorithm.")

    def sign(self, text: str) -> str:
        """Lower-case hex HMAC-SHA256 with the account's secret."""
        return hmac.new(self._credentials.secret.encode(), _raw(text), hashlib.sha256).hexdigest()

    def admit_stream(self, arguments: object, now_ms: int) -> str:
        """Why the arguments of an auth message are not accepted, "" where they are."""
        if not isinstance(arguments, list) or len(arguments) != 3:
            return "Params Error"
        key, expires, signature = (str(argument) for argument in arguments)
        if key != self._credentials.key:
            return "API key is invalid."
        if _milliseconds(expires, -1) <= now_ms:
            return "Request has expired"
        expected = self.sign(f"GET/realtime{expires}")
        if not hmac.compare_digest(expected.encode(), _raw(signature)):
            return "Error sign, please check your signature generation algorithm."
        return ""

    def admit_call(self, path: str, now_ms: int) -> tuple[bool, Mapping[str, str]]:
        """Count a signed call: whether it is within the endpoint's limit, and the headers that tell how far."""
        seen = self._calls[path]
        _forget(seen, now_ms - KEY_WINDOW_MS)
        is_within = len(seen) < self._per_second
        if is_within:
            seen.append(now_ms)
        headers = {
            "X-Bapi-Limit": str(self._per_second),
            "X-Bapi-Limit-Status": str(self._per_second - len(seen)),
            "X-Bapi-Limit-Reset-Timestamp": str(now_ms if is_within else seen[0] + KEY_WINDOW_MS),
        }
        return is_within, headers


def _check_time(timestamp: str, window: str, now_ms: int) -> None:
    """Accepted iff server time − window ≤ timestamp < server time + 1 s."""
    window_ms = _milliseconds(window, DEFAULT_RECV_WINDOW_MS)
    sent_ms = _milliseconds(timestamp, -1)
    if not now_ms - window_ms <= sent_ms < now_ms + AHEAD_MS:
        raise Refused(
            10002,
            "invalid request, please check your server timestamp or recv_window param."
            f" req_timestamp[{sent_ms}],server_timestamp[{now_ms}],recv_window[{window_ms}]",
        )


def _milliseconds(text: str, otherwise: int) -> int:
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else otherwise


def _raw(text: str) -> bytes:
    """The bytes of a header, which may be no text at all."""
    return text.encode("utf-8", "surrogateescape")


def _forget(seen: deque[int], until_ms: int) -> None:
    while seen and seen[0] <= until_ms:
        seen.popleft()
