"""A word to the engine that runs on a state: whether there is one, its answer, and who answers in its place.

What belongs here: what every command has in common that an operator gives to an engine. What does not: the commands
(control_commands, strategy_command, flatten_command), the socket (runtime.control).
"""

from collections.abc import Callable, Mapping

from trading_engine.cli.failure import NOT_RUNNING, REFUSED, CommandFailed
from trading_engine.system.single_instance import holder
from trading_engine.system.state_dir import StateDir


def ask_engine(directory: StateDir, message: Mapping[str, object]) -> str:
    """Its answer to a command; CommandFailed where it does not answer (exit 4) or refuses (exit 3)."""
    from trading_engine.runtime.control import EngineNotRunning, request  # noqa: PLC0415 - most commands only read

    try:
        answer = request(directory.root, message)
    except EngineNotRunning as error:
        raise CommandFailed(f"{error}; it may be starting or stopping: try again", NOT_RUNNING) from error
    said = str(answer.get("message", ""))
    if not answer.get("ok"):
        raise CommandFailed(said, REFUSED)
    return said


def ask_engine_or(while_down: Callable[[], str], directory: StateDir, message: Mapping[str, object]) -> str:
    """The engine's answer, and that of `while_down` where none runs on the state."""
    return ask_engine(directory, message) if holder(directory.lock) is not None else while_down()


def require_running(directory: StateDir, instead: str) -> None:
    """CommandFailed (exit 4) where no engine runs, saying what can be done instead."""
    if holder(directory.lock) is None:
        raise CommandFailed(f"no engine runs on {directory.root}; {instead}", NOT_RUNNING)
