"""Copies that can be trusted, and the way back."""

import sqlite3
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest
from fakes.databases import fresh, meddle, told
from fakes.limits import file_size
from fakes.record_stories import EPOCH, without_old_keys

from trading_engine.domain.control import Level
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import DAY_MS
from trading_engine.store import backup as backups
from trading_engine.store.audit import audit
from trading_engine.store.read_models import Reader
from trading_engine.store.sql_store import SqlStore

NOW_MS = 1_746_360_000_250  # 2025-05-04T12:00:00.250Z


def test_a_backup_holds_what_is_only_in_the_log(tmp_path: Path) -> None:
    """Rows that were committed but not yet folded into the file, while the engine has it open."""
    path, story = told(tmp_path)
    with SqlStore.open(path) as store:
        story_goes_on = story.next()
        store.commit(story_goes_on)
        copy = backups.backup(path, tmp_path / "backups", NOW_MS)
        assert store.load().book == _book(copy)
    assert tmp_path / "backups" / "engine-20250504T120000.250Z.db" == copy
    assert [copy] == list(copy.parent.iterdir())
    assert 0o600 == stat.S_IMODE(copy.stat().st_mode)


def _book(path: Path) -> object:
    with SqlStore.open(path, read_only=True) as store:
        return store.load().book


def test_a_backup_overwrites_nothing(tmp_path: Path) -> None:
    """Not even one of the same millisecond."""
    path = fresh(tmp_path)
    backups.backup(path, tmp_path / "backups", NOW_MS)
    with pytest.raises(ConfigInvalid, match="exists already"):
        backups.backup(path, tmp_path / "backups", NOW_MS)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """One line, no fault."""
    path = fresh(tmp_path)
    (tmp_path / "taken").touch()
    with pytest.raises(ConfigInvalid, match=r"taken: copies cannot be put there \(File exists\)"):
        backups.backup(path, tmp_path / "taken", NOW_MS)


def test_a_damaged_database_is_not_backed_up(tmp_path: Path) -> None:
    """A copy that is not sound does not get a name."""
    path, _ = told(tmp_path)
    content = bytearray(path.read_bytes())
    content[20480:24576] = b"\xff" * 4096
    path.write_bytes(content)
    with pytest.raises(ConfigInvalid):
        backups.backup(path, tmp_path / "backups", NOW_MS)
    assert [] == list((tmp_path / "backups").iterdir())


def _other(path: Path, *rows: int) -> Path:
    """A second database that is not ours, with numbers in it."""
    meddle(path, "CREATE TABLE IF NOT EXISTS numbers (number INTEGER)")
    meddle(path, *(f"INSERT INTO numbers VALUES ({row})" for row in rows))
    return path


def _numbers(path: Path) -> list[int]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return [row[0] for row in connection.execute("SELECT number FROM numbers ORDER BY 1")]
    finally:
        connection.close()


def test_the_exchanges_memory_is_backed_up_and_restored_with_the_database(tmp_path: Path) -> None:
    """Both of one moment, under names that belong together; what they replace is kept, and only by force."""
    path, story = told(tmp_path)
    paper = _other(tmp_path / "paper.db", 1)
    with SqlStore.open(path) as store:
        copy = backups.backup(path, tmp_path / "backups", NOW_MS, paper)
        beside = backups.copy_beside(copy, path, paper)
        assert tmp_path / "backups" / "paper-20250504T120000.250Z.db" == beside
        assert {copy, beside} == set(copy.parent.iterdir())
        store.commit(story.next())
    _other(paper, 2)
    path.rename(tmp_path / "lost.db")
    with pytest.raises(ConfigInvalid, match=r"paper\.db: exists; use --force"):
        backups.restore(copy, path, NOW_MS, companion=paper)
    assert not path.exists()
    assert [1, 2] == _numbers(paper)
    backups.restore(copy, path, NOW_MS, force=True, companion=paper)
    assert [1] == _numbers(paper)
    assert [1, 2] == _numbers(tmp_path / "paper.db.replaced-20250504T120000.250Z")
    assert 0o600 == stat.S_IMODE(paper.stat().st_mode)


def test_a_copy_without_its_companion_restores_the_database_alone(tmp_path: Path) -> None:
    """The exchange's memory stays as it is: it may know more, which reconciliation books."""
    path, _ = told(tmp_path)
    paper = _other(tmp_path / "paper.db", 1)
    copy = backups.backup(path, tmp_path / "backups", NOW_MS)
    assert backups.copy_beside(copy, path, paper) is None
    backups.restore(copy, path, NOW_MS, force=True, companion=paper)
    assert [1] == _numbers(paper)
    renamed = copy.rename(copy.with_name("mine.db"))
    assert backups.copy_beside(renamed, path, paper) is None


def test_a_damaged_companion_makes_no_backup(tmp_path: Path) -> None:
    """Neither of the two copies gets a name."""
    path, _ = told(tmp_path)
    paper = _other(tmp_path / "paper.db", *range(2_000))
    content = bytearray(paper.read_bytes())
    content[8_192:12_288] = b"\xff" * 4_096
    paper.write_bytes(content)
    with pytest.raises(ConfigInvalid):
        backups.backup(path, tmp_path / "backups", NOW_MS, paper)
    assert [] == list((tmp_path / "backups").iterdir())


def test_both_copies_are_of_one_moment_while_the_engine_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit between the two looks makes them look again."""
    path, story = told(tmp_path)
    paper = _other(tmp_path / "paper.db", 1)
    with SqlStore.open(path) as store:
        looks: list[Path] = []
        frozen = backups._frozen

        def look(source: Path, opened: ExitStack) -> sqlite3.Connection:
            looks.append(source)
            if looks == [path, paper]:  # between the two looks of the first attempt
                store.commit(story.next())
                _other(paper, 2)
            return frozen(source, opened)

        monkeypatch.setattr(backups, "_frozen", look)
        copy = backups.backup(path, tmp_path / "backups", NOW_MS, paper)
        assert [path, paper, path, paper] == looks
        assert store.load().book == _book(copy)
    beside = backups.copy_beside(copy, path, paper)
    assert beside is not None
    assert [1, 2] == _numbers(beside)


def test_verify_finds_a_dangling_reference(tmp_path: Path) -> None:
    """Pages may be sound while rows are not."""
    path, _ = told(tmp_path)
    backups.verify(path)
    meddle(path, "UPDATE orders SET position_id = 'P999999' WHERE rowid = 1")
    with pytest.raises(ConfigInvalid, match="1 rows refer to missing rows"):
        backups.verify(path)


def test_a_restored_database_is_locked_with_a_new_epoch(tmp_path: Path) -> None:
    """The journal says so, and the audit agrees; the rest is as it was."""
    path, story = told(tmp_path)
    copy = backups.backup(path, tmp_path / "backups", NOW_MS)
    target = tmp_path / "elsewhere" / "engine.db"
    target.parent.mkdir()
    assert "zz99" == backups.restore(copy, target, NOW_MS, new_epoch="zz99")
    assert [target] == list(target.parent.iterdir())
    with SqlStore.open(target) as store:
        loaded = store.load()
    assert ("zz99", Level.LOCKED, "restored backup") == (
        loaded.book.epoch,
        loaded.book.control.level,
        loaded.book.control.reason,
    )
    assert story.book.positions == loaded.book.positions
    assert without_old_keys(story.book, loaded.book).ledger == loaded.book.ledger
    assert next(check for check in audit(target) if check.name.startswith("journal rebuild")).ok
    with Reader.open(target) as reader:
        run = reader.last_run()
    assert run is not None
    assert ("restore-zz99", "paper", "restored backup") == (run.run_id, run.mode, run.how)


def test_a_restore_is_written_down_in_the_states_own_time(tmp_path: Path) -> None:
    """A replayed market and a server that runs faster are years from the machine's: none must find a later record."""
    path, _ = told(tmp_path)
    with SqlStore.open(path) as store:
        before_ms = store.load().last_ts_ms
    later_ms = NOW_MS + 365 * DAY_MS
    copy = backups.backup(path, tmp_path / "backups", later_ms)
    backups.restore(copy, path, later_ms, force=True)
    with SqlStore.open(path) as store:
        loaded = store.load()
    assert Level.LOCKED == loaded.book.control.level
    assert loaded.checkpoint is not None
    assert max(before_ms, loaded.checkpoint.cursor_ms) == loaded.last_ts_ms


def test_a_restore_draws_an_epoch_of_its_own(tmp_path: Path) -> None:
    """So that no order id is used twice."""
    path, _ = told(tmp_path)
    copy = backups.backup(path, tmp_path / "backups", NOW_MS)
    epoch = backups.restore(copy, tmp_path / "other.db", NOW_MS)
    assert EPOCH != epoch
    assert 4 == len(epoch)


def test_a_database_is_replaced_only_by_force_and_kept(tmp_path: Path) -> None:
    """With its log, which must not meet the restored file."""
    path, story = told(tmp_path)
    copy = backups.backup(path, tmp_path / "backups", NOW_MS)
    store = SqlStore.open(path)
    store.commit(story.next())
    newest = store.last_seq
    with pytest.raises(ConfigInvalid, match="exists; use --force"):
        backups.restore(copy, path, NOW_MS)
    assert path.with_name("engine.db-wal").exists()
    backups.restore(copy, path, NOW_MS, force=True)
    kept = tmp_path / "engine.db.replaced-20250504T120000.250Z"
    connection = sqlite3.connect(kept)
    assert newest == connection.execute("SELECT max(seq) FROM journal").fetchone()[0]
    connection.close()
    assert not path.with_name("engine.db-wal").exists()
    with SqlStore.open(path) as restored:
        assert Level.LOCKED is restored.load().book.control.level
    store._connection.invalidate()


def test_what_is_no_backup_is_not_restored(tmp_path: Path) -> None:
    """The database stays as it was."""
    path, _ = told(tmp_path)
    before = path.read_bytes()
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    for origin in (text, tmp_path / "missing.db"):
        with pytest.raises(ConfigInvalid):
            backups.restore(origin, path, NOW_MS, force=True)
    assert before == path.read_bytes()


def test_an_empty_backup_is_not_restored(tmp_path: Path) -> None:
    """There is nothing to go back to, and no draft is left behind."""
    empty = fresh(tmp_path, "empty.db")
    with pytest.raises(ConfigInvalid, match="nothing has run on this backup"):
        backups.restore(empty, tmp_path / "engine.db", NOW_MS)
    assert [empty] == list(tmp_path.iterdir())


# ── a disk that takes no more ───────────────────────────────────────────────

_ROOM = 40_000  # enough for the index of a log, and too little for a database


def test_a_backup_that_finds_no_room_says_where(tmp_path: Path) -> None:
    """The database is as sound as it was, and no half copy stays."""
    path, _ = told(tmp_path)
    said = r"backups/engine-20250504T120000\.250Z\.db: cannot be written \(disk I/O error\); .* make room in .*/backups"
    with file_size(_ROOM), pytest.raises(ConfigInvalid, match=said) as caught:
        backups.backup(path, tmp_path / "backups", NOW_MS)
    assert "restore" not in str(caught.value)
    assert [] == list((tmp_path / "backups").iterdir())


@pytest.mark.parametrize("step", ["_copy", "_lock"])
def test_a_restore_that_finds_no_room_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Not the backup is at fault; the database stays as it was, without a draft beside it."""
    path, _ = told(tmp_path)
    copy = backups.backup(path, tmp_path / "backups", NOW_MS)
    before, names = path.read_bytes(), set(tmp_path.iterdir())
    work = getattr(backups, step)

    def limited(*arguments: object) -> None:
        with file_size(_ROOM):
            work(*arguments)

    monkeypatch.setattr(backups, step, limited)
    with pytest.raises(ConfigInvalid, match=rf"^{path}: cannot be written .* make room in {tmp_path},") as caught:
        backups.restore(copy, path, NOW_MS, force=True)
    assert str(copy) not in str(caught.value)
    assert (before, names) == (path.read_bytes(), set(tmp_path.iterdir()))


# ── a kill between the names ────────────────────────────────────────────────


def test_a_database_without_a_log_is_never_without_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is set aside under a second name, and keeps the first until the restored one takes it."""
    path, _ = told(tmp_path)
    copy = backups.backup(path, tmp_path / "backups", NOW_MS)
    before, kept = path.read_bytes(), tmp_path / "engine.db.replaced-20250504T120000.250Z"
    publish, looks = backups.publish, []

    def look(draft: Path, replaced: Path) -> None:
        looks.append(replaced.samefile(kept))
        publish(draft, replaced)

    monkeypatch.setattr(backups, "publish", look)
    backups.restore(copy, path, NOW_MS, force=True)
    assert [True] == looks
    assert before == kept.read_bytes()
    assert not path.samefile(kept)


def test_where_there_are_no_second_names_the_old_one_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on some file systems of other systems."""
    path, _ = told(tmp_path)
    copy = backups.backup(path, tmp_path / "backups", NOW_MS)
    before = path.read_bytes()

    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(self), str(target))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    backups.restore(copy, path, NOW_MS, force=True)
    assert before == (tmp_path / "engine.db.replaced-20250504T120000.250Z").read_bytes()
    backups.verify(path)
