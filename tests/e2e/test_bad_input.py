"""Bad input, as a person meets it: one clear line, the right exit code, and nothing written."""

import math
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from e2e_tools import (
    START_MS,
    Done,
    call,
    eventually,
    files_of,
    journal,
    running,
    write_config,
    write_market,
)

from trading_engine.domain.time import MINUTE_MS
from trading_engine.store.schema_version import HEAD

ROWS = 50
Columns = dict[str, list[int] | list[float]]
Arguments = list[str | Path]


def _columns() -> Columns:
    prices: list[float] = [100.0] * ROWS
    ts = [START_MS + row * MINUTE_MS for row in range(ROWS)]
    return {"ts": ts, "open": prices, "high": prices, "low": prices, "close": prices, "volume": [1_000.0] * ROWS}


def _parquet(folder: Path, columns: Columns) -> Path:
    path = folder / "candles.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def _changed(folder: Path, column: str, row: int, value: float) -> Path:
    columns = _columns()
    columns[column] = [*columns[column][:row], value, *columns[column][row + 1 :]]
    return _parquet(folder, columns)


def _without_volume(folder: Path) -> Path:
    columns = _columns()
    del columns["volume"]
    return _parquet(folder, columns)


def _run(folder: Path, *options: str | Path, data: Path | None = None, config: Path | None = None) -> Arguments:
    replay = data or write_market(folder / "market.csv", "w")
    base: Arguments = ["run", "--config", config or write_config(folder), "--state", folder / "state"]
    return [*base, "--replay", f"SOLUSDT={replay}", *options]


def _below_a_file(folder: Path) -> Arguments:
    (folder / "file").write_text("in the way", encoding="utf-8")
    return [*_run(folder), "--state", folder / "file" / "state"]


class Case(NamedTuple):
    """A mistake: the arguments that make it, the exit code, and what the one line must name."""

    name: str
    arguments: Callable[[Path], Arguments]
    code: int
    named: tuple[str, ...]


CASES = [
    Case(
        "an unknown key",
        lambda folder: _run(folder, config=write_config(folder, rsik={"max_positions": 3})),
        78,
        ("config.yaml", "rsik", "risk"),
    ),
    Case(
        "a percentage above 100",
        lambda folder: _run(folder, config=write_config(folder, risk={"max_daily_loss_pct": 150})),
        78,
        ("config.yaml", "risk.max_daily_loss_pct = 150", "between 0 and 100"),
    ),
    Case(
        "a missing configuration",
        lambda folder: _run(folder, config=folder / "nowhere.yaml"),
        78,
        ("nowhere.yaml", "no such file"),
    ),
    Case(
        "missing data",
        lambda folder: _run(folder, data=folder / "nowhere.parquet"),
        78,
        ("nowhere.parquet", "no such file", "Parquet or CSV"),
    ),
    Case(
        "no volume",
        lambda folder: _run(folder, data=_without_volume(folder)),
        78,
        ("candles.parquet", 'no column "volume"'),
    ),
    Case(
        "times out of order",
        lambda folder: _run(folder, data=_changed(folder, "ts", 30, START_MS + 7 * MINUTE_MS)),
        78,
        ("candles.parquet", "row 31", str(START_MS + 7 * MINUTE_MS), "ascending"),
    ),
    Case(
        "a time twice",
        lambda folder: _run(folder, data=_changed(folder, "ts", 30, START_MS + 29 * MINUTE_MS)),
        78,
        ("candles.parquet", "row 31", str(START_MS + 29 * MINUTE_MS), "occurs twice"),
    ),
    Case(
        "a price that is no number",
        lambda folder: _run(folder, data=_changed(folder, "close", 30, math.nan)),
        78,
        ("candles.parquet", "row 31", "close is missing or not a number", "finite"),
    ),
    Case(
        "a pair without its sign",
        lambda folder: _run(folder, "--replay", "market.csv"),
        2,
        ("--replay market.csv", "SYMBOL=FILE"),
    ),
    Case(
        "a symbol that is not configured",
        lambda folder: _run(folder, "--replay", f"DOGEUSDT={folder / 'market.csv'}"),
        2,
        ("--replay DOGEUSDT", "config.yaml", "SOLUSDT"),
    ),
    Case(
        "an option out of range", lambda folder: _run(folder, "--leverage", "0"), 2, ("leverage = 0", "from 1 to 125")
    ),
    Case("no speed", lambda folder: _run(folder, "--speed", "0"), 2, ("--speed 0", "max", "above 0")),
    Case("real money", lambda folder: _run(folder, "--mode", "live"), 78, ("venue = embedded", "mode = live")),
    Case("no such mode", lambda folder: _run(folder, "--mode", "real"), 2, ("--mode real", "known: paper")),
    Case("a state directory below a file", _below_a_file, 78, ("state directory", "file/state", "--state DIR")),
]


def _require_clear(done: Done, code: int, named: tuple[str, ...]) -> None:
    """One line that says it all, and no traceback."""
    assert (code, "") == (done.code, done.out), done.err
    assert done.err.startswith("error: ")
    assert (1, False) == (done.err.count("\n"), "Traceback" in done.err), done.err
    assert [] == [word for word in named if word not in done.err], done.err


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
def test_a_mistake_is_named_in_one_line_before_anything_is_written(tmp_path: Path, case: Case) -> None:
    """File, key or argument, the value and what was expected; the folder is as it was."""
    arguments = case.arguments(tmp_path)
    before = files_of(tmp_path)
    _require_clear(call(*arguments), case.code, case.named)
    assert before == files_of(tmp_path)
    assert not (tmp_path / "state").exists()


def test_debug_adds_the_traceback(tmp_path: Path) -> None:
    """Asked for with --debug, in any place; the line and the code stay."""
    done = call(*_run(tmp_path, data=tmp_path / "nowhere.csv"), "--debug")
    assert 78 == done.code
    assert "Traceback (most recent call last)" in done.err
    assert done.err.splitlines()[-1].startswith(f"error: {tmp_path / 'nowhere.csv'}: no such file")


def test_a_database_of_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    """Exit 78, naming both schemas and what to do; not a byte of the state changes."""
    arguments, state = _run(tmp_path), tmp_path / "state"
    assert 0 == call(*arguments).code
    with closing(sqlite3.connect(state / "engine.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    shutil.rmtree(state / "logs")
    before = files_of(state)
    status: Arguments = ["status", "--state", state]
    for command in (arguments, status):
        _require_clear(call(*command), 78, ("engine.db", "newer schema", "9999", HEAD))
    assert before == files_of(state)


def test_a_second_engine_on_the_same_state_is_refused(tmp_path: Path) -> None:
    """Exit 3, naming the process that holds it; the first goes on."""
    arguments, state = _run(tmp_path), tmp_path / "state"
    with running([*arguments, "--speed", "60"]) as engine:
        eventually(lambda: journal(state, "RunStarted"), engine)
        _require_clear(call(*arguments), 3, ("engine.lock", f"process {engine.pid}", "--state DIR"))
        assert engine.poll() is None
        assert 1 == len(journal(state, "RunStarted"))
