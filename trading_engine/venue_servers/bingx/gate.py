"""Who may ask: the key, the signature, the time stamp.

What belongs here: taking a request apart and checking that its sender holds the secret. What does not: how often
somebody may ask (pace), what a parameter means (words and what uses them).

The signature covers the values as they are meant, not as they are escaped in the address; only a form in the body is
signed as it was sent.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from urllib.parse import unquote_plus

from trading_engine.venue_servers.bingx.words import INVALID, Params, Refused
from trading_engine.venue_servers.web import Call
from trading_engine.venues.wire.secrets import Credentials

RECV_WINDOW_MS = 5_000
LONGEST_WINDOW_MS = 60_000
AHEAD_MS = 1_000

_SIGNATURE = "signature"
_STAMP = re.compile(r"\d{1,16}", re.ASCII)
Pairs = list[tuple[str, str]]


def split(text: str) -> Pairs:
    """`a=1&b=%20` as pairs with the values unescaped, in their order."""
    pairs = [part.partition("=") for part in text.split("&") if part]
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def read(call: Call) -> tuple[Params, str]:
    """The parameters, and the text that their signature must cover; Refused for a body that is not readable."""
    if call.body and "json" in call.headers.get("content-type", ""):
        try:
            content = json.loads(call.body)
        except (ValueError, RecursionError) as error:
            raise Refused(INVALID, "Invalid parameters, err: the body is not JSON") from error
        if not isinstance(content, dict):
            raise Refused(INVALID, "Invalid parameters, err: the body is no object")
        pairs = sorted((str(name), _meant(value)) for name, value in content.items())
        return Params(dict(split(call.query)) | dict(pairs)), _joined(pairs)
    form = call.body.decode(errors="replace")
    query = split(call.query)
    params = Params(dict(split(form)) | dict(query))
    if form and not any(name == _SIGNATURE for name, _ in query):
        return params, "&".join(part for part in form.split("&") if not part.startswith(f"{_SIGNATURE}="))
    return params, _joined(query)


def _meant(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _joined(pairs: Sequence[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in pairs if name != _SIGNATURE)


def _bytes(text: str) -> bytes:
    """Also of what is no proper text."""
    return text.encode(errors="surrogatepass")


def require_key(call: Call, credentials: Credentials) -> None:
    """Refused unless the header names our key."""
    if not hmac.compare_digest(_bytes(call.headers.get("x-bx-apikey", "")), credentials.key.encode()):
        raise Refused(100413, "Incorrect apiKey")


def require_signature(params: Params, covered: str, credentials: Credentials, now_ms: int) -> None:
    """Refused unless the request is signed with our secret and stamped with about this instant."""
    given = params.text(_SIGNATURE)
    if not given:
        raise Refused(100412, "Null signature")
    stamp = params.text("timestamp")
    if not _STAMP.fullmatch(stamp):
        raise Refused(100421, "Null timestamp or timestamp mismatch")
    right = hmac.new(credentials.secret.encode(), _bytes(covered), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(_bytes(given), right.encode()):
        raise Refused(100001, "Signature verification failed due to signature mismatch")
    window_ms = params.integer("recvWindow", RECV_WINDOW_MS)
    if not 0 <= window_ms <= LONGEST_WINDOW_MS:
        raise Refused(INVALID, f"recvWindow is invalid, it must be at most {LONGEST_WINDOW_MS}")
    if now_ms - int(stamp) > (window_ms or RECV_WINDOW_MS):
        raise Refused(INVALID, f"timestamp is invalid, the server's time is {now_ms}")
    if int(stamp) - now_ms > AHEAD_MS:
        raise Refused(100421, "Null timestamp or timestamp mismatch")
