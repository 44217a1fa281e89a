"""A process can be made to die at a named place, and pays nothing where it is not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.system import crash_points

PROGRAM = """
from trading_engine.system import crash_points
for number in range(5):
    crash_points.hit("other")
    print(number, flush=True)
    crash_points.hit("store.committed")
"""


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    crash_points.arm(None)
    yield
    crash_points.arm(None)


def _run(spec: str) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, crash_points.VARIABLE: spec}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_process_dies_at_the_named_visit() -> None:
    """SIGKILL at the third visit: the third line is printed, the fourth is not."""
    result = _run("store.committed:3")
    assert -signal.SIGKILL == result.returncode
    assert "0\n1\n2\n" == result.stdout


def test_a_process_that_never_gets_there_lives() -> None:
    """Too few visits change nothing."""
    result = _run("store.committed:6")
    assert (0, "0\n1\n2\n3\n4\n") == (result.returncode, result.stdout)


@pytest.mark.parametrize("spec", ["name", "name:", ":3", "name:0", "name:x", "name:-1"])
def test_a_crash_that_could_never_happen_is_refused(spec: str) -> None:
    """A test that does not crash proves nothing."""
    with pytest.raises(ConfigInvalid, match=f"TRADING_ENGINE_CRASH_AT = {spec} is not NAME:COUNT"):
        crash_points.arm(spec)


def test_visits_are_counted_when_asked() -> None:
    """A test learns which places a run passes."""
    crash_points.hit("before")
    crash_points.count_visits()
    for name in ("a", "b", "a"):
        crash_points.hit(name)
    assert {"a": 2, "b": 1} == crash_points.visited()
    crash_points.arm("a:9")
    assert {} == crash_points.visited()


def test_names_are_registered_once() -> None:
    """The list of places grows as modules are imported."""
    before = crash_points.CRASH_POINTS
    assert "test.place" == crash_points.register("test.place")
    crash_points.register("test.place")
    assert (*before, "test.place") == crash_points.CRASH_POINTS
