"""How a command ends when it does not end well.

What belongs here: the exit codes people rely on, and the exception of a command that could not do what was
asked although nothing is broken. What does not: turning exceptions into codes (main).
"""

from trading_engine.domain.errors import TradingEngineError

DONE = 0
FINDINGS = 1  # the command worked and what it found is not well
USAGE = 2
REFUSED = 3
NOT_RUNNING = 4
INTERNAL = 70
INTERRUPTED = 130
READER_GONE = 141  # as a shell has it of what dies of a closed pipe: what was printed was not read to its end


class CommandFailed(TradingEngineError):
    """The command was understood and did not succeed; the message says why and what to do."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def usage(message: str) -> CommandFailed:
    """A mistake on the command line."""
    return CommandFailed(message, USAGE)
