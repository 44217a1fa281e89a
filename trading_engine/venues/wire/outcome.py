"""What a code of a venue means for a request that was sent: a table, and "unknown" for everything else.

What belongs here: the meanings and how a table is read. What does not: the codes (each venue's `errors`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from trading_engine.domain.errors import RateLimited, VenueRejected, VenueUnavailable
from trading_engine.domain.reports import KEY_CODE, Outcome, Rejected, Unknown


class Meaning(StrEnum):
    """What a code says about a request that may change something."""

    REFUSED = "refused"  # looked at and turned down, with proof
    BUSY = "busy"  # turned down before it was looked at; the same may work later
    CLOCK = "clock"  # turned down for its timestamp
    KEY = KEY_CODE  # turned down for its key, signature or permission: an operator must act
    ALREADY = "already"  # what was asked for is so already
    DUPLICATE = "duplicate"  # the id is taken: an earlier attempt was accepted, or the id was used before
    NOT_OPEN = "not_open"  # nothing to cancel or change: filled, cancelled, triggered, or never there
    NOT_FOUND = "not_found"  # a query knows no such order, yet or any more
    UNKNOWN = "unknown"  # may have taken effect


@dataclass(frozen=True, slots=True)
class CodeTable:
    """The meanings of a venue's codes. A code that is not listed is unknown: it proves nothing."""

    venue: str
    meanings: Mapping[str, Meaning]

    def meaning(self, code: str) -> Meaning:
        """What the code says."""
        return self.meanings.get(code, Meaning.UNKNOWN)

    def outcome(self, code: str, text: str) -> Outcome:
        """The verdict on a submit, cancel or setting that was answered with this code.

        ALREADY is the caller's to turn into Accepted, for it alone knows with what report.
        """
        meaning = self.meaning(code)
        told = f"{code}: {text}" if text else code
        if meaning in (Meaning.UNKNOWN, Meaning.DUPLICATE):
            return Unknown(f"{self.venue} answered {told}")
        return Rejected(meaning.value if meaning is not Meaning.REFUSED else code, told)

    def failure(self, code: str, text: str, retry_after_ms: int = 1_000) -> Exception:
        """The error to raise for a read that was answered with this code."""
        told = f"{self.venue} answered {code}: {text}" if text else f"{self.venue} answered {code}"
        if self.meaning(code) is Meaning.BUSY:
            return RateLimited(told, retry_after_ms)
        if self.meaning(code) is Meaning.KEY:
            return VenueRejected(code, text)
        return VenueUnavailable(told)
