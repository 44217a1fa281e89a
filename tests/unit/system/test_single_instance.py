"""Only one engine runs on a state directory, and others can tell which."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.system.single_instance import PID_UNKNOWN, AlreadyRunning, InstanceLock, holder

HOLD = """
import sys, time
from pathlib import Path
from trading_engine.system.single_instance import InstanceLock
with InstanceLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_refused_with_the_number_of_the_first(tmp_path: Path) -> None:
    """Exit 3, and the message says what to do; pauses are short because they are injected."""
    path = tmp_path / "engine.lock"
    pauses: list[float] = []
    with InstanceLock(path):
        with pytest.raises(AlreadyRunning, match=f"held by process {os.getpid()}") as caught:
            InstanceLock(path, sleep=pauses.append).__enter__()
        assert (3, os.getpid()) == (caught.value.exit_code, caught.value.pid)
        assert os.getpid() == holder(path)
    assert 0 < sum(pauses) < 1
    with InstanceLock(path):
        assert os.getpid() == holder(path)


def test_a_glance_at_the_lock_does_not_refuse_a_start(tmp_path: Path) -> None:
    """Whoever asks holds the lock for an instant; a start waits that long."""
    path = tmp_path / "engine.lock"
    first = InstanceLock(path)
    first.__enter__()
    with InstanceLock(path, sleep=lambda _: first.__exit__(None, None, None)):
        assert os.getpid() == holder(path)


def test_nobody_holds_what_is_not_there_or_was_left(tmp_path: Path) -> None:
    """No file, and a file with the number of a process long gone."""
    path = tmp_path / "engine.lock"
    assert holder(path) is None
    assert not path.exists()
    path.write_text("4242\n", encoding="utf-8")
    assert holder(path) is None


def test_a_lock_without_a_number_is_still_held(tmp_path: Path) -> None:
    """Between taking the lock and writing the number."""
    path = tmp_path / "engine.lock"
    with InstanceLock(path):
        path.write_text("", encoding="utf-8")
        assert PID_UNKNOWN == holder(path)
        with pytest.raises(AlreadyRunning, match="held by another process"):
            InstanceLock(path, sleep=lambda _: None).__enter__()


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    """Even SIGKILL leaves nothing to clear."""
    path = tmp_path / "engine.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert "held\n" == other.stdout.readline()
        assert other.pid == holder(path)
        other.kill()
        other.wait(timeout=30)
    assert holder(path) is None
    with InstanceLock(path):
        assert os.getpid() == holder(path)


def test_a_lock_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The refusal has the path."""
    with pytest.raises(ConfigInvalid, match=f"{tmp_path}/none/engine.lock: lock file cannot be opened"):
        InstanceLock(tmp_path / "none" / "engine.lock").__enter__()


def test_an_error_inside_gives_the_lock_back(tmp_path: Path) -> None:
    """A failed start may be repeated at once."""
    path = tmp_path / "engine.lock"
    with pytest.raises(RuntimeError), InstanceLock(path):
        raise RuntimeError
    assert holder(path) is None


def test_an_emergency_takes_the_lock_without_writing(tmp_path: Path) -> None:
    """On a full or read-only disk as well: the file keeps what it says, and a running engine still refuses it."""
    path = tmp_path / "engine.lock"
    path.write_text("left behind\n")
    path.chmod(0o400)
    with InstanceLock(path, writes_nothing=True):
        assert PID_UNKNOWN == holder(path)
        with pytest.raises(AlreadyRunning):
            InstanceLock(path, sleep=lambda _: None, writes_nothing=True).__enter__()
    assert ("left behind\n", None) == (path.read_text(), holder(path))


def test_an_emergency_makes_the_lock_where_there_is_none(tmp_path: Path) -> None:
    """Nothing runs, and nothing can begin meanwhile."""
    path = tmp_path / "engine.lock"
    with InstanceLock(path, writes_nothing=True), pytest.raises(AlreadyRunning):
        InstanceLock(path, sleep=lambda _: None).__enter__()


def test_a_lock_file_that_cannot_be_used_says_what_to_look_at(tmp_path: Path) -> None:
    """A directory in its place, for one; asking and taking alike."""
    path = tmp_path / "engine.lock"
    path.mkdir()
    with pytest.raises(ConfigInvalid, match=r"cannot be opened \(.*\); check its owner and permissions"):
        InstanceLock(path).__enter__()
