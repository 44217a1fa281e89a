"""Named places where a test can let the process die, as if the power had gone.

What belongs here: the names, the counting and the kill. What does not: where the places are (each module
registers its own) and what must hold afterwards (tests).

    STORE_COMMITTED = crash_points.register("store.committed")
    …
    crash_points.hit(STORE_COMMITTED)

With the environment variable TRADING_ENGINE_CRASH_AT="store.committed:3" the third visit is the last
thing the process does: SIGKILL runs no `finally`, no destructor and no flush.
"""

import os
import signal

from trading_engine.domain.errors import ConfigInvalid

VARIABLE = "TRADING_ENGINE_CRASH_AT"
CRASH_POINTS: tuple[str, ...] = ()

_visits: dict[str, int] = {}
_counting = False
_target: tuple[str, int] | None = None


def register(name: str) -> str:
    """Add a name to CRASH_POINTS and return it; again has no effect."""
    global CRASH_POINTS  # noqa: PLW0603 - the list grows as modules are imported
    if name not in CRASH_POINTS:
        CRASH_POINTS = (*CRASH_POINTS, name)
    return name


def hit(name: str) -> None:
    """Say that the place `name` was reached; costs a test of one flag unless armed or counting."""
    if not _counting:
        return
    visits = _visits[name] = _visits.get(name, 0) + 1
    if _target == (name, visits):
        os.kill(os.getpid(), signal.SIGKILL)


def arm(spec: str | None) -> None:
    """Die at `NAME:COUNT`, the COUNT-th visit from now on; None disarms. Visits are counted anew.

    Raises ConfigInvalid where `spec` has another form, because a test that does not crash proves nothing.
    """
    global _counting, _target
    _visits.clear()
    if not spec:
        _counting, _target = False, None
        return
    name, _, count = spec.rpartition(":")
    if not name or not count.isdecimal() or int(count) < 1:
        raise ConfigInvalid(f"{VARIABLE} = {spec} is not NAME:COUNT with a COUNT of 1 or more")
    _counting, _target = True, (name, int(count))


def count_visits() -> None:
    """Count visits from zero without dying, for a test that asks which places a run passes."""
    global _counting, _target
    _visits.clear()
    _counting, _target = True, None


def visited() -> dict[str, int]:
    """How often each place was reached since arming or counting began."""
    return dict(_visits)


arm(os.environ.get(VARIABLE))
