"""A start where a database was, and is gone."""

from pathlib import Path

import pytest
from fakes.limits import file_size

from trading_engine.cli.main import main
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.runtime.process import ensure_database
from trading_engine.system.state_dir import StateDir


def test_no_new_database_is_made_beside_the_log_of_one_that_is_gone(tmp_path: Path) -> None:
    """It would begin with no position, no limit and no kill switch; the log stays where it is."""
    log = tmp_path / "engine.db-wal"
    log.write_bytes(b"commits")
    with pytest.raises(ConfigInvalid, match=r"engine\.db: is gone while its log engine\.db-wal is there"):
        ensure_database(StateDir(tmp_path))
    assert [log] == list(tmp_path.iterdir())
    assert b"commits" == log.read_bytes()


@pytest.mark.parametrize("left", ["engine.db.replaced-20250504T120000.250Z", ".engine.db.restored"])
def test_no_new_database_is_made_beside_what_a_restore_left(tmp_path: Path, left: str) -> None:
    """A flat account would begin with an empty ledger; the leftover stays where it is."""
    leftover = tmp_path / left
    leftover.write_bytes(b"rows")
    with pytest.raises(ConfigInvalid, match=rf"engine\.db: is gone while {left}.*`trading-engine db restore`"):
        ensure_database(StateDir(tmp_path))
    assert [leftover] == list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["status", "resume", "run", "migrate", "doctor"])
def test_every_command_tells_of_a_restore_that_was_cut_short(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """With a configuration for an account as well: there is no paper account here that would tell of it."""
    (tmp_path / "engine.db.replaced-20250504T120000.250Z").write_bytes(b"rows")
    (tmp_path / ".engine.db.restored").write_bytes(b"rows")
    arguments = {
        "run": ["run", "--config", "configs/demo.yaml", "--speed", "max", "--seed", "7"],
        "migrate": ["db", "migrate"],
    }
    code = main([*arguments.get(command, [command]), "--state", str(tmp_path)])
    assert code != 0
    said = " ".join("".join(capsys.readouterr()).split())
    assert "so a `db restore` was cut short: restore the backup again" in said
    assert not (tmp_path / "engine.db").exists()


def test_a_database_that_finds_no_room_is_told_in_a_line_and_leaves_no_draft(tmp_path: Path) -> None:
    """The last words of the process that makes it, under the name that it was to have."""
    said = (
        rf"^{tmp_path}/engine\.db: no database could be made: the migration failed \(.*\); .* make room in {tmp_path},"
    )
    with file_size(20_000), pytest.raises(ConfigInvalid, match=said):
        ensure_database(StateDir(tmp_path))
    assert [] == list(tmp_path.iterdir())
