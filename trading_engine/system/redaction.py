"""Taking secrets out of whatever is about to be written down.

What belongs here: known secrets, the shapes of unknown ones, and replacing both in texts and values.
What does not: where the result goes (logging).

Two nets, because either alone leaks: values that the engine knows to be secret are found wherever they
stand; values that it does not know are found by the name they stand next to.
"""

import re
import threading
from collections.abc import Mapping
from math import isfinite
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
# Shorter texts occur in ordinary words and numbers; masking them would make a log unreadable.
SHORTEST = 4

# Repetitions are bounded, so that no text, however long, takes more than linear time.
_NAMES = (
    r"[\w.-]{0,40}?(?:api[_-]?key|listen[_-]?key|private[_-]?key|secret|signature|bapi[_-]sign|token|"
    r"passw(?:or)?d|passphrase)"
    r"[\w-]{0,40}"
)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # https://user:password@host, and tokens in the place of the user
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,30}://)[^\s/\"'<>]*@"), rf"\1{MASK}@"),
    (re.compile(r"(?i)\b(bearer|basic)(\s+)[a-z0-9._~+/=-]{8,}"), rf"\1\2{MASK}"),
    # name=value, name: value, 'name': 'value', b'name', [("name", "value")]
    (
        re.compile(rf"(?i)\b({_NAMES})(\\?[\"']?\s*(?:=>|[=:,])\s*b?\\?[\"'])((?:(?![\"'\\]).)+)"),
        rf"\1\2{MASK}",
    ),
    (
        re.compile(rf"(?i)\b({_NAMES})(\\?[\"']?\s*[=:]\s*)(?![\"'\\*\s])([^\s&,;\"'<>)\]}}]+)"),
        rf"\1\2{MASK}",
    ),
    (re.compile(r"(?i)([?&](?:key|sign|sig|auth)=)[^\s&\"'<>]+"), rf"\1{MASK}"),
    (
        re.compile(r"(?i)\b(authorization\\?[\"']?\s*[=:]\s*\\?[\"']?)(?!bearer|basic)[^\s,;\"']+"),
        rf"\1{MASK}",
    ),
    # listen keys and bot tokens that stand in a path
    (re.compile(r"(/ws/|/stream/|listenKey/)[A-Za-z0-9]{40,}"), rf"\1{MASK}"),
    (re.compile(r"(/bot)\d+:[A-Za-z0-9_-]{16,}"), rf"\1{MASK}"),
)
# Most lines hold nothing of the kind; one cheap search spares them the patterns.
_HINT = re.compile(r"(?i)://|key|secret|sign|token|pass|auth|bearer|basic|/ws/|/stream/|/bot|sig=")
_SECRET_KEY = re.compile(rf"(?i)(?:{_NAMES}|key|sign|auth|authorization|cookie)")
_DEEPEST = 6
_LONG_TOKEN = 12
_MIXED_TOKEN = 6


class Redactor:
    """The known secrets and the replacing; safe to use from several threads."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._guard = threading.Lock()

    def register_secret(self, value: str) -> None:
        """Mask this value from now on, also percent-encoded and escaped.

        Of a URL its parts are masked as well, since libraries log them one by one. Values shorter than
        four characters are not masked.
        """
        with self._guard:
            self._known |= {form for part in _parts(value) for form in _forms(part) if len(form) >= SHORTEST}
            longest_first = sorted(self._known, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        """The text with secrets replaced by ***."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        if _HINT.search(text) is None:
            return text
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def value(self, value: object, depth: int = 0) -> object:
        """The value in plain types (None, bool, int, float, str, list, dict), secrets replaced.

        Anything else becomes its redacted text; what cannot be turned into text is named by its type.
        """
        if value is None or isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value)):
            return value
        if isinstance(value, str):
            return self.text(value)
        if depth < _DEEPEST and isinstance(value, Mapping):
            return {self.text(str(key)): self._item(str(key), item, depth) for key, item in value.items()}
        if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
            return [self.value(item, depth + 1) for item in value]
        try:
            return self.text(str(value))
        except Exception:  # noqa: BLE001 - a foreign __str__ may fail in any way
            return f"<{type(value).__name__}>"

    def _item(self, key: str, item: object, depth: int) -> object:
        if _SECRET_KEY.fullmatch(key) and item is not None and not isinstance(item, bool):
            return MASK
        return self.value(item, depth + 1)


def _parts(value: str) -> list[str]:
    """The value itself and, of a URL, what lies between its separators except scheme and plain words."""
    scheme, separator, rest = value.partition("://")
    if not separator or not scheme:
        return [value]
    password = rest.rpartition("@")[0].partition(":")[2]
    tokens = re.split(r"[/?&=#@:]", rest)
    return [value, rest, password, *(token for token in tokens if _looks_secret(token))]


def _looks_secret(token: str) -> bool:
    """Longer than a word, or with digits among letters; host names and ports would blind the log."""
    if "." in token or token.isdigit():
        return False
    return len(token) >= _LONG_TOKEN or (len(token) >= _MIXED_TOKEN and not token.isalpha())


def _forms(secret: str) -> set[str]:
    escaped = repr(secret)[1:-1]
    return {secret, escaped, quote(secret, safe=""), quote_plus(secret), unquote(secret)}


_SHARED = Redactor()


def register_secret(value: str) -> None:
    """Mask this value in everything that is logged from now on; see `Redactor.register_secret`."""
    _SHARED.register_secret(value)


def redact(text: str) -> str:
    """The text as it may be written down."""
    return _SHARED.text(text)


def redact_value(value: object) -> object:
    """The value as it may be written down; see `Redactor.value`."""
    return _SHARED.value(value)
