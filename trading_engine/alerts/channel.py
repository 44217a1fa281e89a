"""A receiver of alerts and what it is sent.

What belongs here: the values, and the names under which a channel may be shown. What does not: sending.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from trading_engine.domain.severity import Severity

_MASK = "***"
_SHORTEST_SECRET = 4
_LONGEST_ERROR = 200


class Message(NamedTuple):
    """What a person reads."""

    title: str
    body: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class Channel:
    """An Apprise URL and the least severity it is told; the URL holds secrets and is never shown."""

    url: str = field(repr=False)
    min_severity: Severity = Severity.INFO

    @property
    def label(self) -> str:
        """The URL as it may be shown: `tgram://***`."""
        scheme, separator, _ = self.url.partition("://")
        return f"{scheme}://{_MASK}" if separator else _MASK

    def wants(self, severity: Severity) -> bool:
        """Whether an alert of this severity goes here."""
        return severity.rank >= self.min_severity.rank

    def hide(self, text: str) -> str:
        """An error text of at most 200 characters without any part of the URL, host included.

        The host goes too, because several services carry their token in its place.
        """
        scheme, _, rest = self.url.partition("://")
        parts = [self.url, rest, *re.split(r"[/?&=#@:]", rest)]
        for part in sorted(parts, key=len, reverse=True):
            if len(part) >= _SHORTEST_SECRET and part != scheme:
                text = text.replace(part, _MASK)
        return text[:_LONGEST_ERROR]


class SendFailed(Exception):
    """The channel did not accept the message; the text says why and holds no secret."""


Send = Callable[[Channel, Message], None]
"""Sends one message, blocking; raises SendFailed. Called in a thread of its own."""
