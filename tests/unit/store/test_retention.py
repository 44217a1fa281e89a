"""Old backups are thinned out, and never so that a span is without one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from trading_engine.store.retention import thin_out

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


def name(at: datetime, stem: str = "engine") -> str:
    return f"{stem}-{at:%Y%m%dT%H%M%S}.000Z.db"


def test_all_of_two_days_one_a_day_of_a_month_one_a_month_of_a_year(tmp_path: Path) -> None:
    """Two years of hourly copies with their companions; a second time there is nothing to do."""
    hours = [NOW - timedelta(hours=count) for count in range(2 * 365 * 24)]
    for at in hours:
        (tmp_path / name(at)).touch()
        (tmp_path / name(at, "paper")).touch()
    gone = thin_out(tmp_path, NOW_MS)
    left = sorted(path.name for path in tmp_path.iterdir())
    engines = [item for item in left if item.startswith("engine")]
    assert len(left) == 2 * len(engines)
    assert 2 * len(hours) - len(left) == len(gone)
    assert {name(at) for at in hours[:49]} <= set(engines)
    assert 49 + 29 + 12 == len(engines)
    assert name(NOW - timedelta(days=366)) == engines[0]
    assert [] == thin_out(tmp_path, NOW_MS)


def test_the_newest_copy_stays_however_old_and_strangers_are_left_alone(tmp_path: Path) -> None:
    """A machine that was off for years has something to come back to."""
    old, older = NOW - timedelta(days=900), NOW - timedelta(days=901)
    for item in (name(old), name(older), "notes.txt", "engine-99999999T999999.000Z.db", "engine-x.db"):
        (tmp_path / item).touch()
    assert [tmp_path / name(older)] == thin_out(tmp_path, NOW_MS)
    assert 4 == len(list(tmp_path.iterdir()))
