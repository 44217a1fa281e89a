"""Storage under attack: what fails ends the process with a clear word, and what is left is whole and goes on.

The long form of the sweep is `python tests/e2e/storage_sweep.py`, of the kills `kill_loop.py --kills 100`.
A refused commit is in test_fault, a newer schema and a second engine in test_bad_input.
"""

import json
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from e2e_tools import (
    PATIENCE_S,
    ROOT,
    Done,
    ask,
    audit_failures,
    call,
    end_of,
    eventually,
    files_of,
    journal,
    query,
    read,
    running,
    write_config,
    write_market,
)

FAULTY_DISK = Path(__file__).with_name("faulty_disk.py")
SWEEP = Path(__file__).with_name("storage_sweep.py")
NO_FAILING_DISK = 77  # as both scripts say it
ACTS = "wlh"  # a win, a loss, and a position that is still behind its stop at the end
APPLICATION_ID = 0x54524445  # of the engine's database
WAL_HEADER, FRAME_HEADER = 32, 24
Arguments = list[str | Path]
Damage = Callable[[Path], None]


class Bench(NamedTuple):
    """States that tests copy, and what an undisturbed run comes to."""

    folder: Path
    new: Path  # migrated, never run
    flat: Path  # after the win
    held: Path  # after a win and an entry: a position behind its stop
    expected: str  # `trades --json` after ACTS

    def run(self, state: Path, acts: str = ACTS, *options: str) -> Arguments:
        """The arguments of a run; `acts` continues what the state has seen."""
        market = self.folder / f"{acts}.csv"
        if not market.exists():
            write_market(market, acts)
        base: Arguments = ["run", "--config", self.folder / "config.yaml", "--replay", f"SOLUSDT={market}"]
        return [*base, "--seed", "7", "--state", state, *options]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Made once: five starts of a process."""
    folder = tmp_path_factory.mktemp("storage")
    write_config(folder)
    made = Bench(folder, folder / "new", folder / "flat", folder / "held", "")
    assert 0 == call("db", "migrate", "--state", made.new).code
    for state, acts in ((made.flat, "w"), (made.held, "wh"), (folder / "undisturbed", ACTS)):
        shutil.copytree(made.new, state)
        assert 0 == call(*made.run(state, acts)).code
    return made._replace(expected=read("trades", "--json", "--state", folder / "undisturbed").out)


def _copy(source: Path, folder: Path) -> Path:
    """A state of one's own, without the log of earlier runs."""
    return Path(shutil.copytree(source, folder / "state", ignore=shutil.ignore_patterns("logs")))


def _on_failing_disk(file: str, error: str, at: int, arguments: Arguments, folder: Path) -> tuple[Done, int]:
    """One command on a disk that refuses writes from the `at`-th on; how it ended, and how many were refused."""
    count = folder / "count.json"
    fault = ["--file", file, "--operation", "write", "--error", error, "--at", str(at), "--count-file", str(count)]
    done = subprocess.run(
        [sys.executable, FAULTY_DISK, *fault, "--", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    if done.returncode == NO_FAILING_DISK:
        pytest.skip(done.stderr.strip())
    return Done(done.returncode, done.stdout, done.stderr), json.loads(count.read_text("utf-8"))["refused"]


def _require_clear(done: Done, codes: set[int], *named: str | Path) -> None:
    """The last line says it all; nowhere is a traceback, and one error is one line."""
    assert done.code in codes, done.err
    last = done.err.splitlines()[-1]
    assert last.startswith("error: "), done.err
    assert [] == [str(word) for word in named if str(word) not in last], last
    assert (1, False) == (done.err.count("error: "), "Traceback" in done.err), done.err


def _require_recovered(bench: Bench, state: Path) -> None:
    """The same command, now that the cause is gone, comes to the trades of a run that was never disturbed."""
    done = call(*bench.run(state))
    told = [
        line for line in done.err.splitlines() if "alert=run:crashed" not in line
    ]  # of the run before, as it should
    assert (0, []) == (done.code, [line for line in told if "error" in line.lower()]), done.err
    assert [] == audit_failures(state)
    assert bench.expected == read("trades", "--json", "--state", state).out


def _at_exchange(state: Path) -> dict[str, str]:
    """Every order that the exchange ever accepted, and its status there."""
    with closing(sqlite3.connect(f"file:{state / 'paper.db'}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT client_order_id, body FROM orders").fetchall()
    return {name: json.loads(body)["status"] for name, body in found}


def _require_whole(state: Path) -> None:
    """No gap in the journal, nothing at the exchange that was not written down, one entry a position."""
    numbers = [item.seq for item in journal(state)]
    assert list(range(1, len(numbers) + 1)) == numbers
    assert set(_at_exchange(state)) <= {name for (name,) in query(state, "SELECT client_order_id FROM orders")}
    _require_not_doubled(state)


def _require_not_doubled(state: Path) -> None:
    entries = [name[:12] for name in _at_exchange(state) if name[12] == "e"]
    assert len(set(entries)) == len(entries)


# The Nth write, the Nth sync


@pytest.mark.timeout(600)  # six failures with what follows them: some fifteen seconds on an idle machine
@pytest.mark.parametrize("file", ["engine.db", "paper.db"])
def test_whichever_write_or_sync_fails_the_trades_are_those_of_an_undisturbed_run(file: str) -> None:
    """One N for each kind of failure, lasting and not: what `storage_sweep.py` looks at for every N."""
    done = subprocess.run(
        [sys.executable, SWEEP, "--file", file, "--most", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    if done.returncode == NO_FAILING_DISK:
        pytest.skip(done.stderr.strip())
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "6 failures" in done.stdout


@pytest.mark.parametrize(
    ("file", "error", "cause"),
    [("engine.db", "enospc", "database or disk is full"), ("paper.db", "eio", "disk I/O error")],
    ids=["engine_full", "paper_broken"],
)
def test_a_disk_that_fails_in_the_middle_of_trading_ends_the_process(
    bench: Bench, tmp_path: Path, file: str, error: str, cause: str
) -> None:
    """Exit 70 with file and cause, also in the log; nothing is half written; it goes on when the disk does."""
    state = _copy(bench.flat, tmp_path)
    done, refused = _on_failing_disk(file, error, 60, bench.run(state), tmp_path)
    assert refused >= 1
    _require_clear(done, {70}, "stopped before it costs money", state / file, cause, state / "logs" / "engine.jsonl")
    assert cause in (state / "logs" / "engine.jsonl").read_text(encoding="utf-8")
    _require_whole(state)
    assert "stopped" == ask("status", state)["state"]
    _require_recovered(bench, state)


def test_a_database_that_cannot_be_made_is_not_there(bench: Bench, tmp_path: Path) -> None:
    """Exit 78 naming file and cause; nothing stands under the database's name, and later it is made."""
    state = tmp_path / "state"
    done, refused = _on_failing_disk(".engine.db.new", "enospc", 10, ["db", "migrate", "--state", state], tmp_path)
    assert refused >= 1
    _require_clear(done, {78}, state, "engine.db", "database or disk is full")
    assert not (state / "engine.db").exists()
    _require_recovered(bench, state)


# A disk that is really full, or really read-only: in a mount namespace of its own

_FULL_DISK = """
mount -t tmpfs -o size=1500k none "$STATE" && cp -r "$FROM"/. "$STATE" || exit 77
dd if=/dev/zero of="$STATE/filler" bs=4k 2>/dev/null
"$@" >/dev/null 2>"$OUT/full"; echo $? >"$OUT/full.code"
truncate -s -"$ROOM" "$STATE/filler"
"$@" >/dev/null 2>"$OUT/filling"; echo $? >"$OUT/filling.code"
rm "$STATE/filler"
cp -r "$STATE" "$OUT/left"
"""
_READ_ONLY = """
mount --bind "$TARGET" "$TARGET" && mount -o remount,bind,ro "$TARGET" || exit 77
exec "$@"
"""


def _in_namespace(script: str, arguments: Arguments, **environment: str | Path) -> Done:
    """Run a shell script that may mount; its `$@` is the engine with `arguments`. Skips where that is not possible."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace here (unshare -rm): the disk cannot really be full or read-only")
    done = subprocess.run(
        [unshare, "-rm", "sh", "-c", script, "sh", sys.executable, "-m", "trading_engine", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **{name: str(value) for name, value in environment.items()}},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    if done.returncode == NO_FAILING_DISK:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    return Done(done.returncode, done.stdout, done.stderr)


def test_a_full_disk_is_refused_and_one_that_fills_up_stops_the_engine(bench: Bench, tmp_path: Path) -> None:
    """Exit 78 before anything is written, exit 70 in the middle, log and all; room again is all the cure."""
    state, out = tmp_path / "state", tmp_path / "out"
    state.mkdir()
    out.mkdir()
    done = _in_namespace(_FULL_DISK, bench.run(state), STATE=state, FROM=bench.flat, OUT=out, ROOM="200k")
    assert 0 == done.code, done.err
    full, filling = (
        Done(int((out / f"{name}.code").read_text()), "", (out / name).read_text()) for name in ("full", "filling")
    )
    _require_clear(full, {78}, state, "No space left on device")
    _require_clear(filling, {70}, "stopped before it costs money", state, "database or disk is full")
    left = out / "left"
    _require_whole(left)
    _require_recovered(bench, left)


@pytest.mark.parametrize(("target", "codes"), [(".", {78}), ("engine.db", {70, 78}), ("paper.db", {70, 78})])
def test_what_is_read_only_is_named_and_nothing_trades(
    bench: Bench, tmp_path: Path, target: str, codes: set[int]
) -> None:
    """The state directory or one database alone; the exchange is untouched, and it goes on when it is writable."""
    state = _copy(bench.held, tmp_path)
    before = _at_exchange(state)
    done = _in_namespace(_READ_ONLY, bench.run(state, "whv"), TARGET=state / target)
    _require_clear(done, codes, state / target)
    assert "read-only" in done.err.lower().replace("readonly", "read-only")
    assert before == _at_exchange(state)
    assert 0 == call(*bench.run(state, "whv")).code
    assert ["stop", "target"] == [trade["close_reason"] for trade in ask("trades", state)]
    assert [] == audit_failures(state)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not stop root")
def test_a_directory_without_permission_is_named(bench: Bench, tmp_path: Path) -> None:
    """Exit 78 naming it, before anything is written."""
    state = _copy(bench.flat, tmp_path)
    state.chmod(0o500)
    try:
        _require_clear(call(*bench.run(state)), {78}, f"state directory {state}")
    finally:
        state.chmod(0o700)
    _require_recovered(bench, state)


# Locks of others


@contextmanager
def _transaction(path: Path, begin: str, look: str) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute(begin)
        connection.execute(look).fetchall()
        yield
        connection.execute("ROLLBACK")


def test_a_reader_that_never_lets_go_does_not_hinder_the_engine(bench: Bench, tmp_path: Path) -> None:
    """A snapshot of both databases is held from before the start to after the end: exit 0, equal trades."""
    state = _copy(bench.flat, tmp_path)
    with (
        _transaction(state / "engine.db", "BEGIN", "SELECT * FROM journal"),
        _transaction(state / "paper.db", "BEGIN", "SELECT * FROM orders"),
    ):
        _require_recovered(bench, state)
    _require_whole(state)


@pytest.mark.parametrize("file", ["engine.db", "paper.db"])
def test_somebody_else_writing_stops_the_engine_instead_of_waiting_for_ever(
    bench: Bench, tmp_path: Path, file: str
) -> None:
    """Exit 70 naming file and cause after a short patience; nothing half written; it goes on when the lock goes."""
    state = _copy(bench.flat, tmp_path)
    known = len(journal(state))
    with running(bench.run(state, ACTS, "--speed", "1200")) as engine:
        eventually(lambda: len(journal(state)) > known, engine)
        with _transaction(state / file, "BEGIN IMMEDIATE", "SELECT count(*) FROM sqlite_master"):
            done = end_of(engine)
    _require_clear(done, {70}, "stopped before it costs money", state / file, "database is locked")
    _require_whole(state)
    _require_recovered(bench, state)


def test_a_database_locked_at_the_start_is_refused(bench: Bench, tmp_path: Path) -> None:
    """Exit 78 naming file and cause, with nothing changed."""
    state = _copy(bench.flat, tmp_path)
    before = journal(state)
    with _transaction(state / "engine.db", "BEGIN IMMEDIATE", "SELECT count(*) FROM sqlite_master"):
        _require_clear(call(*bench.run(state)), {70, 78}, state / "engine.db", "database is locked")
    assert before == journal(state)
    _require_recovered(bench, state)


# Schema


def test_an_older_schema_is_refused_until_it_is_migrated(bench: Bench, tmp_path: Path) -> None:
    """Exit 78 with the command that helps; the command helps, and keeps a backup."""
    state = _copy(bench.new, tmp_path)
    (state / "engine.db").unlink()
    with closing(sqlite3.connect(state / "engine.db")) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    before = files_of(state)
    _require_clear(call(*bench.run(state)), {78}, state / "engine.db", "older", "`trading-engine db migrate`")
    assert before == files_of(state)
    assert 0 == call("db", "migrate", "--state", state).code
    assert 1 == len(list((state / "backups").glob("engine-*.db")))
    _require_recovered(bench, state)


def test_a_newer_memory_of_the_exchange_is_left_alone(bench: Bench, tmp_path: Path) -> None:
    """Exit 78 naming the file and both schemas; nothing changes in either database."""
    state = _copy(bench.flat, tmp_path)
    with closing(sqlite3.connect(state / "paper.db")) as connection:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("PRAGMA user_version = 99")
    known = journal(state)
    _require_clear(call(*bench.run(state)), {78}, state / "paper.db", "schema 99", f"'s {schema}", "newer")
    assert known == journal(state)
    with closing(sqlite3.connect(state / "paper.db")) as connection:
        connection.execute(f"PRAGMA user_version = {schema}")
    _require_recovered(bench, state)


def test_a_change_that_died_half_written_is_undone_at_the_next_start(bench: Bench, tmp_path: Path) -> None:
    """A rollback journal is left where the process died before the log was on; it must not lock everybody out."""
    state, scratch = _copy(bench.new, tmp_path), tmp_path / "scratch.db"
    shutil.copy(state / "engine.db", scratch)
    with closing(sqlite3.connect(scratch, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")  # so that half of the change is in the file already
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE half AS SELECT hex(randomblob(500000)) AS written")
        connection.execute("DELETE FROM alembic_version")
        shutil.copy(scratch, state / "engine.db")
        shutil.copy(f"{scratch}-journal", state / "engine.db-journal")
    assert 0 < (state / "engine.db-journal").stat().st_size
    _require_recovered(bench, state)


# Damage


def _page_of(table: str) -> Damage:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            (size,) = connection.execute("PRAGMA page_size").fetchone()
        content = bytearray(path.read_bytes())
        content[(page - 1) * size : page * size] = b"\xa5" * size
        path.write_bytes(content)

    return damage


def _header(path: Path) -> None:
    path.write_bytes(bytes(100) + path.read_bytes()[100:])


def _second_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _everything(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize(
    "damage",
    [_page_of("journal"), _header, _second_half, _everything],
    ids=["a_page", "the_header", "the_second_half", "everything"],
)
def test_a_damaged_database_is_refused_and_a_backup_is_the_cure(bench: Bench, tmp_path: Path, damage: Damage) -> None:
    """Exit 78 naming the cure, with the stop of the open position in place; the restored engine brings it home."""
    state = _copy(bench.held, tmp_path)
    assert 0 == call("db", "backup", "--state", state).code
    (saved,) = (state / "backups").glob("engine-*.db")
    damage(state / "engine.db")
    before = files_of(state)
    _require_clear(call(*bench.run(state, "whv")), {78}, state / "engine.db", "`trading-engine db restore`")
    assert before == files_of(state)

    assert 0 == call("db", "restore", saved, "--force", "--state", state).code
    done = call(*bench.run(state, "whv"))
    assert 0 == done.code, done.err
    assert ["stop", "target"] == [trade["close_reason"] for trade in ask("trades", state)]
    assert [] == audit_failures(state)
    assert "LOCKED" == ask("status", state)["kill_switch"]["level"]
    assert 0 == call("resume", "--state", state).code
    _require_whole(state)


def test_a_damaged_database_is_never_copied_as_a_backup(bench: Bench, tmp_path: Path) -> None:
    """Check and backup say what the start would say, name the database itself, and leave no copy."""
    state = _copy(bench.held, tmp_path)
    _page_of("journal")(state / "engine.db")
    for command in ("check", "backup"):
        done = call("db", command, "--state", state)
        _require_clear(done, {78}, f"{state / 'engine.db'}: ", "`trading-engine db restore`")
    assert [] == [path for path in state.rglob("*") if "backups" in path.parts and path.is_file()]


@pytest.mark.parametrize(
    "damage",
    [_page_of("orders"), _header, _second_half, _everything],
    ids=["a_page", "the_header", "the_second_half", "everything"],
)
def test_a_damaged_memory_of_the_exchange_is_refused(bench: Bench, tmp_path: Path, damage: Damage) -> None:
    """Refused before anything is written, naming the file and what to do; with the file back it goes on."""
    state = _copy(bench.flat, tmp_path)
    damage(state / "paper.db")
    before, paper = journal(state), (state / "paper.db").read_bytes()
    _require_clear(call(*bench.run(state)), {3, 78}, state / "paper.db", "--state")
    assert (before, paper) == (journal(state), (state / "paper.db").read_bytes())
    shutil.copy(bench.flat / "paper.db", state / "paper.db")
    _require_recovered(bench, state)


# A log that lost its end


def _commits(log: Path) -> list[int]:
    """Where each transaction of a write-ahead log ends, in bytes."""
    content = log.read_bytes()
    _, _, page_size, _, *salts, _, _ = struct.unpack_from(">8I", content)
    ends = []
    for at in range(WAL_HEADER, len(content), FRAME_HEADER + page_size):
        _, size_after, *found = struct.unpack_from(">4I", content, at)
        if found != salts:
            break  # left over from before the log began anew
        if size_after:
            ends.append(at + FRAME_HEADER + page_size)
    return ends


@pytest.mark.parametrize("lost", ["the_last", "most", "all"])
def test_commits_that_the_disk_lost_are_made_up_for_or_lock_the_engine(bench: Bench, tmp_path: Path, lost: str) -> None:
    """The exchange knows more than the engine: what can be explained is booked, the rest locks; nothing is doubled."""
    state = _copy(bench.flat, tmp_path)
    killed = call(*bench.run(state), TRADING_ENGINE_CRASH_AT="send.after:3")  # entry and stop stand, the target just so
    assert killed.code < 0
    log = state / "engine.db-wal"
    ends = _commits(log)
    assert len(ends) > 3
    left = {"the_last": len(ends) - 1, "most": len(ends) // 2, "all": 0}[lost]
    if left:
        os.truncate(log, ends[left] - 1_000)  # in the middle of a frame: torn, not cut
    else:
        log.unlink()
    (state / "engine.db-shm").unlink(missing_ok=True)
    known, sent = len(journal(state)), set(_at_exchange(state))
    stops = {name for name, status in _at_exchange(state).items() if name[12] == "s" and status == "new"}
    assert 1 == len(stops)

    done = call(*bench.run(state))
    assert 0 == done.code, done.err
    assert known < len(journal(state))
    _require_not_doubled(state)
    there = _at_exchange(state)
    assert {"filled"} == {there[name] for name in stops}  # it stood until the market came to it
    is_locked = ask("status", state)["kill_switch"]["level"] == "LOCKED"
    assert {"the_last": False, "all": True}.get(lost, is_locked) == is_locked
    if is_locked:  # an entry that stands at the exchange is unknown here: a person has to look
        assert "which this database never made" in done.err
        assert sent == set(there)
        assert 3 == call(*bench.run(state)).code
    else:
        assert [] == audit_failures(state)
        assert bench.expected == read("trades", "--json", "--state", state).out
