"""The six kinds of error, told apart by what the caller must do.

What belongs here: a class for each reaction a caller can have. What does not: a class per place that
fails; the message carries that. Anything else that escapes is a bug and ends the process (exit 70).

    ConfigInvalid      fix the input; nothing was written            exit 78 (or 2 for arguments)
    InvariantBroken    our bug: stop before it costs money            exit 70
    VenueRejected      definitive no from the venue; do not resend
    OutcomeUnknown     the venue may have acted; ask, never resend blindly
    VenueUnavailable   nothing was learned; a read may be tried again
    RateLimited        as unavailable, but not before `retry_after_ms`
"""


class TradingEngineError(Exception):
    """Base of the six kinds, for the one place that turns errors into exit codes."""


class ConfigInvalid(TradingEngineError):
    """Bad input from the operator: configuration, arguments, data files, database of another schema.

    `exit_code` is 78 for what a restart cannot cure, 2 for a mistake on the command line, 3 for a
    refusal for safety.
    """

    def __init__(self, message: str, *, exit_code: int = 78) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class InvariantBroken(TradingEngineError):
    """Something that the design rules out has happened; trading on would trade on a lie."""


class VenueRejected(TradingEngineError):
    """The venue refused, with proof (a code on its list of definitive refusals)."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class OutcomeUnknown(TradingEngineError):
    """The request may or may not have taken effect; only a query can tell."""


class VenueUnavailable(TradingEngineError):
    """A read failed and nothing was learned; never to be read as "nothing there"."""


class RateLimited(VenueUnavailable):
    """The venue asks for patience; wait at least `retry_after_ms` before the next call."""

    def __init__(self, message: str, retry_after_ms: int) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms
