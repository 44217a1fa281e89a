"""The state directory is found, made and proven writable, or refused by name."""

import os
from pathlib import Path

import pytest

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.system.state_dir import StateDir, prepare, require_private, resolve


@pytest.mark.parametrize(
    ("argument", "environ", "expected"),
    [
        ("/a/b", {"STATE_DIRECTORY": "/c"}, "/a/b"),
        (None, {"STATE_DIRECTORY": "/c"}, "/c"),
        (None, {"STATE_DIRECTORY": "/c:/d"}, "/c"),
        (None, {"STATE_DIRECTORY": ""}, "HERE/state"),
        (None, {}, "HERE/state"),
        ("x", {}, "HERE/x"),
    ],
)
def test_the_argument_comes_before_systemd_before_the_default(
    argument: str | None, environ: dict[str, str], expected: str
) -> None:
    """The result is absolute, so that changing the directory later changes nothing."""
    state = resolve(Path(argument) if argument else None, environ)
    assert Path(expected.replace("HERE", str(Path.cwd()))) == state.root


def test_everything_has_its_place() -> None:
    """The names that scripts rely on."""
    state = StateDir(Path("/s"))
    assert [
        "engine.db",
        "paper.db",
        "engine.lock",
        "control.sock",
        "candles",
        "backups",
        "logs",
    ] == [
        path.relative_to(state.root).as_posix()
        for path in (
            state.database,
            state.paper_database,
            state.lock,
            state.control_socket,
            state.candles,
            state.backups,
            state.logs,
        )
    ]


def test_a_missing_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    """Parents too, and the proof of writing leaves no file."""
    state = prepare(StateDir(tmp_path / "a" / "state"))
    assert 0o700 == state.root.stat().st_mode & 0o777
    assert [] == list(state.root.iterdir())
    assert state == prepare(state)


def test_an_existing_directory_keeps_its_permissions(tmp_path: Path) -> None:
    """Its owner had reasons."""
    tmp_path.chmod(0o750)
    prepare(StateDir(tmp_path))
    assert 0o750 == tmp_path.stat().st_mode & 0o777


@pytest.mark.parametrize("below", ["file", "file/state"])
def test_a_file_in_the_way_is_named(tmp_path: Path, below: str) -> None:
    """Neither as the directory nor as a part of its path."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigInvalid, match="is a file, not a directory") as caught:
        prepare(StateDir(tmp_path / below))
    assert 78 == caught.value.exit_code
    assert f"state directory {tmp_path / below}: " in str(caught.value)


def test_a_place_where_nothing_can_be_made_is_named() -> None:
    """/proc refuses even root."""
    with pytest.raises(ConfigInvalid, match="state directory /proc/none/state: it cannot be made"):
        prepare(StateDir(Path("/proc/none/state")))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_of_somebody_else_is_named(tmp_path: Path) -> None:
    """Read-only is not good enough."""
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigInvalid, match="may not be read and written by this user"):
        prepare(StateDir(tmp_path))
    tmp_path.chmod(0o700)


def test_a_directory_that_takes_no_files_is_named() -> None:
    """Access may be granted and writing still fail; /proc shows it to every user."""
    with pytest.raises(ConfigInvalid, match=r"state directory /proc: it (cannot be written|may not be)"):
        prepare(StateDir(Path("/proc")))


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
def test_a_directory_that_others_may_enter_is_none_for_a_real_account(tmp_path: Path, mode: int) -> None:
    """Its socket closes positions; the remedy is told."""
    tmp_path.chmod(mode)
    with pytest.raises(ConfigInvalid, match=f"its mode {mode:04o} lets others in; .* chmod 700 {tmp_path}"):
        require_private(StateDir(tmp_path))
    tmp_path.chmod(0o700)
    require_private(StateDir(tmp_path))
