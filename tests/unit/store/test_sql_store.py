"""The one writer: atomicity, guards, refusals at the door."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.databases import fresh, meddle, told
from fakes.record_stories import Story

from trading_engine.core.project import apply
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.fills import PnlKind
from trading_engine.domain.records import AlertRaised, FillApplied, PositionOpened
from trading_engine.domain.severity import Severity
from trading_engine.ports import Commit
from trading_engine.store.sql_store import SqlStore, StoreFailed


class _Crash(BaseException):
    """The process would be gone."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An empty database."""
    return fresh(tmp_path)


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    """A store on it."""
    with SqlStore.open(path) as opened:
        yield opened


def _rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def _dump(path: Path) -> list[str]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def _commit_with(story: Story, kind: type) -> tuple[list[Commit], Commit]:
    """The story up to the first commit that holds a record of `kind`, and that commit."""
    before = [story.begin()]
    while True:
        commit = story.next()
        if any(isinstance(record, kind) for record in commit.records):
            return before, commit
        before.append(commit)


def test_numbers_follow_on_and_name_their_cause(store: SqlStore, path: Path) -> None:
    """The first record of a commit has no cause, the others name it."""
    (first, *between), second = _commit_with(Story(1), PositionOpened)
    assert len(first.records) == store.commit(first)
    for commit in between:
        store.commit(replace(commit, records=()))
    assert len(first.records) + len(second.records) == store.commit(second)
    causes = [row[0] for row in _rows(path, "SELECT causation FROM journal ORDER BY seq")]
    start = len(first.records) + 1
    assert [None, 1, None, *[start] * (len(second.records) - 1)] == causes


def test_the_journal_can_only_grow(store: SqlStore, path: Path) -> None:
    """The database itself refuses to change or delete a record."""
    store.commit(Story(1).begin())
    for statement in ("UPDATE journal SET payload = '{}'", "DELETE FROM journal"):
        with pytest.raises(sqlite3.IntegrityError, match="the journal is append-only"):
            meddle(path, statement)


def test_records_of_orders_are_found_by_their_position(store: SqlStore, path: Path) -> None:
    """The correlation of an order's record is the position's id."""
    before, commit = _commit_with(Story(3), PositionOpened)
    for item in [*before, commit]:
        store.commit(item)
    kinds = _rows(path, "SELECT kind FROM journal WHERE correlation = 'P000001' ORDER BY seq LIMIT 3")
    assert [("PositionOpened",), ("OrderIntended",), ("SignalSeen",)] == kinds


def test_a_fill_leaves_a_fee_and_on_closing_a_trade(store: SqlStore, path: Path) -> None:
    """The ledger's rows carry the fill's key and one asset; a fee that another wallet has paid stays with the fill."""
    for commit in Story(5).commits(80):
        store.commit(commit)
    rows = _rows(
        path,
        "SELECT p.kind, p.amount, f.fee, f.seq = p.seq, f.fee_asset, p.asset FROM pnl p JOIN fills f ON p.source_id = "
        "f.venue || ':' || f.account || ':' || f.trade_id",
    )
    assert {PnlKind.FEE, PnlKind.TRADE} <= {row[0] for row in rows}
    fees = [(amount, fee, asset) for kind, amount, fee, _, asset, _ in rows if kind == PnlKind.FEE]
    assert all(Decimal(str(amount)) == -Decimal(str(fee)) for amount, fee, asset in fees if asset == "USDT")
    others = [(amount, fee) for amount, fee, asset in fees if asset == "BNB"]
    assert any(Decimal(str(fee)) for _, fee in others)
    assert all(not Decimal(str(amount)) for amount, _ in others)
    assert {1} == {row[3] for row in rows}
    assert {"USDT"} == {row[5] for row in rows}


@pytest.mark.parametrize("table", ["journal", "positions", "orders", "fills", "pnl", "alert_outbox"])
def test_a_failure_in_the_middle_leaves_nothing(table: str, path: Path) -> None:
    """Whichever table refuses: no row of the commit is there, and the next one can follow."""
    story = Story(11)
    before, commit = _commit_with(story, FillApplied)
    alert = AlertRaised(Severity.INFO, "k", "t")
    with SqlStore.open(path) as store:
        for item in before:
            store.commit(item)
        commit = replace(commit, records=(*commit.records, alert), book=apply(commit.book, alert))
        last, dump = store.last_seq, _dump(path)
        meddle(path, *_refusing(table))
        with pytest.raises(StoreFailed, match="not today"):
            store.commit(commit)
        meddle(path, *(f"DROP TRIGGER refuse_{what}" for what in ("insert", "update")))
        assert dump == _dump(path)
        assert last == store.last_seq
        assert last + len(commit.records) == store.commit(commit)


def _refusing(table: str) -> list[str]:
    return [
        f"CREATE TRIGGER refuse_{what} BEFORE {what} ON {table} BEGIN SELECT RAISE(ABORT, 'not today'); END"
        for what in ("insert", "update")
    ]


@pytest.mark.parametrize(
    ("point", "survives"),
    [("engine.commit.before", False), ("engine.commit.inside", False), ("engine.commit.after", True)],
)
def test_a_crash_leaves_all_or_nothing(point: str, survives: bool, path: Path) -> None:
    """Before COMMIT nothing is there, after it everything is."""

    def hit(name: str) -> None:
        if name == point and armed:
            raise _Crash

    armed: list[bool] = []
    first, second = Story(2).commits(2)
    with SqlStore.open(path, hit=hit) as store:
        store.commit(first)
        armed.append(True)
        with pytest.raises(_Crash):
            store.commit(second)
    with SqlStore.open(path) as store:
        expected = second.book if survives else first.book
        assert expected == store.load().book


def test_a_second_writer_cannot_commit_silently(path: Path) -> None:
    """Its first commit is refused, also one without records."""
    first, second = Story(4).commits(2)
    with SqlStore.open(path) as one, SqlStore.open(path) as other:
        one.commit(first)
        for commit in (second, replace(second, records=())):
            with pytest.raises(StoreFailed, match="another process has written"):
                other.commit(commit)
        assert first.book == one.load().book


def test_a_position_that_was_changed_behind_our_back_stops_the_engine(path: Path) -> None:
    """Its version is not the one that this process wrote."""
    story = Story(3)
    before, commit = _commit_with(story, FillApplied)
    with SqlStore.open(path) as store:
        for item in before:
            store.commit(item)
        meddle(path, "UPDATE positions SET version = version + 1")
        with pytest.raises(StoreFailed, match="a position is not as this process left it"):
            store.commit(commit)


def test_a_commit_without_records_saves_the_progress(path: Path) -> None:
    """The checkpoint moves, the journal does not."""
    story = Story(1)
    first = story.begin()
    later = replace(first, records=(), checkpoint=replace(first.checkpoint, cursor_ms=99))
    with SqlStore.open(path) as store:
        last = store.commit(first)
        assert last == store.commit(later)
        loaded = store.load()
    assert later.checkpoint == loaded.checkpoint
    assert last == loaded.last_seq


def test_money_is_kept_to_the_last_digit(path: Path) -> None:
    """27 digits through a fill, a position and the ledger."""
    exact = Decimal("123456789.123456789123456789")
    before, commit = _commit_with(Story(3), PositionOpened)
    opened = next(record for record in commit.records if isinstance(record, PositionOpened))
    book = before[-1].book
    record = PositionOpened(replace(opened.position, stop_price=exact))
    commit = replace(commit, records=(record,), book=apply(book, record))
    with SqlStore.open(path) as store:
        for item in [*before, commit]:
            store.commit(item)
        assert exact == store.load().book.positions[record.position.position_id].stop_price


def test_a_new_position_may_follow_on_its_symbol_in_the_commit_that_closes_the_old(path: Path) -> None:
    """The unique symbol is of live positions, and the old one makes room first."""
    with SqlStore.open(path) as store:
        story = Story(21, longest_pause_ms=1000)
        for commit in story.commits(250):
            store.commit(commit)
        assert story.book.next_position > 10
        assert list(story.book.positions) == list(store.load().book.positions)


def test_an_older_schema_is_refused_with_what_to_do(path: Path) -> None:
    """Nothing is written, and the command that helps is named."""
    meddle(path, "DELETE FROM alembic_version")
    before = path.read_bytes()
    with pytest.raises(ConfigInvalid, match=r"older than .*run `trading-engine db migrate`") as caught:
        SqlStore.open(path)
    assert 78 == caught.value.exit_code
    assert before == path.read_bytes()


def test_a_newer_schema_is_refused_with_what_to_do(path: Path) -> None:
    """An older program does not touch what it does not know."""
    meddle(path, "UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(ConfigInvalid, match="database is of a newer schema") as caught:
        SqlStore.open(path)
    assert 78 == caught.value.exit_code
    assert before == path.read_bytes()


def test_a_damaged_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """Torn pages are found at the door, not in the middle of trading."""
    path, _ = told(tmp_path)
    content = bytearray(path.read_bytes())
    content[8192:16384] = b"\xff" * 8192
    path.write_bytes(content)
    with pytest.raises(ConfigInvalid, match="trading-engine db restore"):
        SqlStore.open(path)


def test_a_gap_in_the_journal_is_refused(tmp_path: Path) -> None:
    """A missing record is found at the door."""
    path, _ = told(tmp_path)
    meddle(path, "DROP TRIGGER journal_no_delete", "DELETE FROM journal WHERE seq = 5")
    with pytest.raises(ConfigInvalid, match="some are missing"):
        SqlStore.open(path)


def test_a_row_without_its_parent_is_refused(tmp_path: Path) -> None:
    """A dangling reference is found at the door."""
    path, _ = told(tmp_path)
    meddle(path, "UPDATE orders SET position_id = 'P999999' WHERE rowid = 1")
    with pytest.raises(ConfigInvalid, match="refers to a missing row of positions"):
        SqlStore.open(path)


def test_the_rows_of_another_account_are_refused(path: Path) -> None:
    """A state directory belongs to one account for ever."""
    with SqlStore.open(path, venue="paper", account="main") as store:
        store.commit(Story(1).begin())
    with pytest.raises(ConfigInvalid, match="belongs to paper:main, the configuration names zoomex:main"):
        SqlStore.open(path, venue="zoomex", account="main")
    SqlStore.open(path).close()


def test_a_store_that_only_reads_is_closed_beside_the_engine(tmp_path: Path) -> None:
    """It leaves the log alone, which only the writer may fold into the file."""
    path, story = told(tmp_path)
    with SqlStore.open(path) as engine:
        engine.commit(story.next())
        log = path.with_name("engine.db-wal").read_bytes()
        with SqlStore.open(path, read_only=True) as reader:
            assert engine.last_seq == reader.load().last_seq
        assert log == path.with_name("engine.db-wal").read_bytes()
        engine.commit(story.next())


def test_read_only_loads_and_writes_nothing(tmp_path: Path) -> None:
    """For commands that look while the engine is down."""
    path, story = told(tmp_path)
    with SqlStore.open(path, read_only=True) as store:
        assert story.book.positions == store.load().book.positions
        with pytest.raises(StoreFailed, match="readonly"):
            store.commit(story.next())


def test_a_reader_works_while_the_writer_writes(store: SqlStore, path: Path) -> None:
    """Readers see the last commit, never half of one, and never block the writer."""
    story = Story(6)
    store.commit(story.begin())
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    seen = reader.execute("SELECT max(seq) FROM journal").fetchone()[0]
    for _ in range(20):
        store.commit(story.next())
    assert seen == reader.execute("SELECT max(seq) FROM journal").fetchone()[0]
    reader.execute("COMMIT")
    assert store.last_seq == reader.execute("SELECT max(seq) FROM journal").fetchone()[0]
    reader.close()


def test_closing_folds_the_log_into_the_file(path: Path) -> None:
    """After a clean end the file alone is the database."""
    store = SqlStore.open(path)
    store.commit(Story(1).begin())
    store.close()
    store.close()
    assert [path] == list(path.parent.iterdir())


def test_the_duration_of_a_commit_is_known(store: SqlStore) -> None:
    """For the alarm on a slow disk."""
    store.commit(Story(1).begin())
    assert 0 < store.last_commit_ms


@pytest.mark.parametrize("name", ["engine.db", "engine.db-wal"])
@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_commit_to_a_file_that_is_gone_fails(path: Path, name: str, is_replaced: bool) -> None:
    """The system lets a deleted file be written for as long as it is open; what is in it is lost with the process."""
    with SqlStore.open(path) as store:
        story = Story(1)
        store.commit(story.begin())
        file = path.with_name(name)
        content = file.read_bytes()
        file.rename(file.with_name("elsewhere"))
        if is_replaced:
            file.write_bytes(content)
        with pytest.raises(StoreFailed, match=r"replaced|gone"):
            store.commit(story.next())
    if file == path:
        assert [content] * is_replaced == [path.read_bytes() for _ in range(path.exists())]
