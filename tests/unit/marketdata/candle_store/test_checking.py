"""A check finds every way in which the store is not as it was written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from candle_store_tools import FUNDING, MINUTES, SOURCE, candles, rates, store

from trading_engine.marketdata.candle_store.checking import check_dataset
from trading_engine.marketdata.candle_store.manifest import read_manifest
from trading_engine.marketdata.candle_store.name import DatasetName, names_below
from trading_engine.marketdata.candle_store.parts import write_part
from trading_engine.marketdata.candle_store.rows import CANDLES
from trading_engine.marketdata.candle_store.writing import Change, open_writer

DAY = 1_440
STORED = candles([*range(29 * DAY), *range(30 * DAY, 33 * DAY)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset of two months with a day missing."""
    store(tmp_path, STORED)
    return MINUTES.folder(tmp_path)


def _problems(folder: Path) -> str:
    return "\n".join(check_dataset(folder.parents[2], MINUTES).problems)


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def _change(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_what_is_as_it_was_written_is_well(folder: Path) -> None:
    """Missing candles are no fault; funding is checked like candles."""
    root = folder.parents[2]
    store(root, rates(range(5)), FUNDING)
    verdicts = [check_dataset(root, name) for name in names_below(root)]
    assert [MINUTES, FUNDING] == [one.name for one in verdicts]
    assert [((), (), ())] * 2 == [(one.problems, one.lost, one.strays) for one in verdicts]
    assert verdicts[0].manifest is not None
    assert DAY == verdicts[0].manifest.missing


def test_a_damaged_part_is_named(folder: Path) -> None:
    """Its pages have checksums."""
    part = _parts(folder)[0]
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    assert f"{part}: is not readable" in _problems(folder)
    assert (part.name,) == check_dataset(folder.parents[2], MINUTES).lost


def test_a_lost_part_is_named(folder: Path) -> None:
    """Without it."""
    part = _parts(folder)[1]
    part.unlink()
    assert f"{part}: is missing" == _problems(folder)


def test_a_part_that_is_no_parquet_file_is_named(folder: Path) -> None:
    """Whatever it is."""
    part = _parts(folder)[1]
    part.write_text("hello")
    assert f"{part}: is not readable" in _problems(folder)


def test_rows_that_were_exchanged_are_found_by_their_digest(folder: Path) -> None:
    """A sound file, readable, with one other volume."""
    part, other = _parts(folder)[1], STORED.part(29 * DAY, STORED.size)
    rows = other.between(int(candles([31 * DAY]).ts[0]), 2**62)
    rows = rows._replace(columns=(*rows.columns[:4], rows.columns[4].copy()))
    rows.columns[4][77] += 1
    part.unlink()
    write_part(part, rows, CANDLES)
    assert f"{part}: checksum: the rows are not those that were written" == _problems(folder)


def test_unsound_rows_are_found_row_by_row(folder: Path) -> None:
    """Twice the same time, a high below the close, rows of another month."""
    part = _parts(folder)[1]
    sound = candles(range(31 * DAY, 33 * DAY))
    high = sound._replace(columns=tuple(column.copy() for column in sound.columns))
    high.columns[1][5] = 1
    twice = sound._replace(ts=sound.ts.copy())
    twice.ts[9] = twice.ts[8]
    for rows, told in (
        (high, "2025-06-01T00:05:00.000Z: high 0.1 is below open or close"),
        (twice, "2025-06-01T00:08:00.000Z: occurs twice"),
        (candles(range(31 * DAY - 1, 33 * DAY - 1)), "holds rows of another time than 2025-06"),
        (sound.part(1, sound.size), "has 2,879 rows; the manifest says 2,880"),
        (sound.part(0, 0), "has no rows"),
    ):
        part.unlink()
        write_part(part, rows, CANDLES)
        assert f"{part}: {told}" in _problems(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda told: told.update(rows=5), "says 5 rows; its parts have 46,080"),
        (lambda told: told.update(digest="0" * 64), "checksum: its digest is not that of its parts"),
        (lambda told: told.update(gaps=[]), "says that 0 rows are missing; 1,440 are"),
        (lambda told: told.update(first_ms=5), "says another span than its parts have"),
        (lambda told: told["parts"].reverse(), "before the end of the part in front of it"),
        (lambda told: told.update(symbol="ETHUSDT"), "says it is binance ETHUSDT 1m"),
    ],
)
def test_a_manifest_that_was_changed_is_found(
    folder: Path, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    """Every sum is made again."""
    _change(folder, change)
    assert told in _problems(folder)


def test_a_lost_manifest_is_found(folder: Path) -> None:
    """The dataset is still named, as lost."""
    (folder / "manifest.json").unlink()
    root = folder.parents[2]
    assert [] == list(names_below(root))
    assert [MINUTES] == list(names_below(root, with_lost=True))
    assert "has rows and no manifest.json" in _problems(folder)


def test_what_an_interrupted_change_left_is_no_fault(folder: Path) -> None:
    """And the next writer removes it, but no file of somebody else."""
    shutil.copy(_parts(folder)[0], folder / "2025-05-0123456789ab.parquet")
    (folder / ".manifest.json.77.tmp").write_text("{")
    (folder / "notes.parquet").write_text("mine")
    verdict = check_dataset(folder.parents[2], MINUTES)
    assert ((), 3) == (verdict.problems, len(verdict.strays))
    store(folder.parents[2], candles([40 * DAY]))
    assert ("notes.parquet",) == check_dataset(folder.parents[2], MINUTES).strays


def test_a_repair_gives_up_what_is_lost_and_keeps_the_rest(folder: Path) -> None:
    """What was lost is a gap that can be stored again; afterwards everything is as it was."""
    root = folder.parents[2]
    before = read_manifest(root, MINUTES)
    assert before is not None
    part = _parts(folder)[1]
    part.write_text("hello")
    with open_writer(root, MINUTES) as writer:
        assert 2 * DAY == writer.rebuild(check_dataset(root, MINUTES).lost)
    assert "" == _problems(folder)
    assert "hello" == part.with_name(f"{part.name}.damaged").read_text()
    assert Change(2 * DAY, STORED.size - 2 * DAY, 0) == store(root, STORED)
    after = read_manifest(root, MINUTES)
    assert after is not None
    assert before.digest == after.digest
    assert before.gaps == after.gaps


def test_a_repair_of_sums_makes_them_again(folder: Path) -> None:
    """No row is given up."""
    root = folder.parents[2]
    before = read_manifest(root, MINUTES)
    _change(folder, lambda told: told.update(rows=5, gaps=[]))
    with open_writer(root, MINUTES) as writer:
        writer.rebuild(())
    assert before == read_manifest(root, MINUTES)


def test_a_repair_may_leave_nothing(tmp_path: Path) -> None:
    """The dataset is gone then, and can be imported anew."""
    store(tmp_path, candles(range(5)))
    (part,) = _parts(MINUTES.folder(tmp_path))
    part.unlink()
    with open_writer(tmp_path, MINUTES) as writer:
        assert 5 == writer.rebuild([part.name])
        assert [] == list(names_below(tmp_path))
        assert Change(3, 0, 0) == writer.write(candles(range(3)), SOURCE)
    assert "" == "\n".join(check_dataset(tmp_path, MINUTES).problems)


def test_only_folders_of_datasets_are_named(tmp_path: Path) -> None:
    """Whatever else lies around."""
    store(tmp_path, candles(range(2)), DatasetName("synth-7-mixed", "ETHUSDT", 60_000))
    for stranger in ("a/b/c", "Binance/BTCUSDT/1m", "binance/btc/1m", "binance/BTCUSDT/notes"):
        (tmp_path / stranger).mkdir(parents=True)
        (tmp_path / stranger / "manifest.json").write_text("{}")
    assert ["synth-7-mixed ETHUSDT 1m"] == [str(name) for name in names_below(tmp_path)]
