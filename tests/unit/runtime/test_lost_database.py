"""A start where a database was, and is gone."""

from pathlib import Path

import pytest

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
