"""A file of candles is read exactly, or refused with one line that says what to mend."""

import math
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.marketdata.candle_file import CandleFile, DataReport, Gap, open_candles

START = 1_746_316_800_000  # 2025-05-04T00:00Z
MINUTE = 60_000
TIER = MarginTier(Decimal(10**9), Decimal("0.005"), Decimal(0), Decimal(100))
BTC = Instrument(
    symbol="BTCUSDT",
    tick=Decimal("0.1"),
    step=Decimal("0.1"),
    min_quantity=Decimal("0.1"),
    max_quantity=Decimal(1000),
    min_notional=Decimal(5),
    max_leverage=Decimal(100),
    tiers=(TIER,),
)
Table = dict[str, Any]
Write = Callable[[Path, Table], Path]


def _table(rows: int = 5, step_ms: int = MINUTE) -> Table:
    return {
        "ts": [START + step_ms * row for row in range(rows)],
        "open": [100.0 + row for row in range(rows)],
        "high": [102.5 + row for row in range(rows)],
        "low": [99.7 + row for row in range(rows)],
        "close": [101.0 + row for row in range(rows)],
        "volume": [0.3] * rows,
    }


def _parquet(tmp_path: Path, table: Table) -> Path:
    path = tmp_path / "candles.parquet"
    pq.write_table(pa.table(table), path)
    return path


def _csv(tmp_path: Path, table: Table) -> Path:
    path = tmp_path / "candles.csv"
    pc.write_csv(pa.table(table), path)
    return path


def _open(path: Path) -> CandleFile:
    return open_candles("BTCUSDT", path, BTC)


def _refusal(path: Path) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        _open(path)
    message = str(caught.value)
    assert 78 == caught.value.exit_code
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("write", [_parquet, _csv])
def test_prices_become_ticks_and_volumes_become_steps(tmp_path: Path, write: Write) -> None:
    """Both formats give the same integers, and floats that are made of them."""
    file = _open(write(tmp_path, _table()))
    (block,) = file.blocks()
    assert [START + MINUTE * row for row in range(5)] == block.ts.tolist()
    assert [1000, 1010, 1020, 1030, 1040] == block.open.tolist()
    assert [1025, 1035, 1045, 1055, 1065] == block.high.tolist()
    assert [997, 1007, 1017, 1027, 1037] == block.low.tolist()
    assert [1010, 1020, 1030, 1040, 1050] == block.close.tolist()
    assert [3] * 5 == block.volume.tolist()
    assert all(np.int64 == column.dtype for column in block[:6])
    for ticks, prices in zip(block[1:5], block[6:10], strict=True):
        assert [tick * 0.1 for tick in ticks.tolist()] == prices.tolist()
    assert [3 * 0.1] * 5 == block.base_volume.tolist()


def test_opening_reports_what_the_file_holds(tmp_path: Path) -> None:
    """Rows, span and interval come from the data; the report and the attributes agree."""
    file = _open(_parquet(tmp_path, _table(step_ms=5 * MINUTE)))
    last = START + 20 * MINUTE
    assert DataReport(5, START, last, 5 * MINUTE, (), 0) == file.validate()
    assert ("BTCUSDT", 5, START, last, 5 * MINUTE) == (
        file.symbol,
        file.rows,
        file.first_ts,
        file.last_ts,
        file.interval_ms,
    )


def test_columns_may_stand_in_any_order_among_others(tmp_path: Path) -> None:
    """Only the names count."""
    table = {"trades": [1] * 5} | dict(reversed(_table().items()))
    for path in (_parquet(tmp_path, table), _csv(tmp_path, table)):
        assert [1000, 1010, 1020, 1030, 1040] == next(_open(path).blocks()).open.tolist()


@pytest.mark.parametrize("write", [_parquet, _csv])
@pytest.mark.parametrize("name", ["open_time", "timestamp"])
def test_times_may_have_the_name_they_have_in_archives_of_venues(tmp_path: Path, write: Write, name: str) -> None:
    """A close time beside them is not read; where there is a `ts` as well, that one is."""
    table = _table()
    ts = table.pop("ts")
    close = [one + MINUTE - 1 for one in ts]
    assert ts == next(_open(write(tmp_path, {**table, "close_time": close, name: ts})).blocks()).ts.tolist()
    assert ts == next(_open(write(tmp_path, {**table, name: close, "ts": ts})).blocks()).ts.tolist()


def test_a_csv_of_candles_may_have_no_header(tmp_path: Path) -> None:
    """As older archives of venues: time, open, high, low, close, volume, and what does no harm."""
    lines = _csv(tmp_path, _table()).read_text().splitlines()[1:]
    path = tmp_path / "candles.csv"
    path.write_text("\n".join(f"{line},17,0" for line in lines) + "\n")
    (block,) = _open(path).blocks()
    assert [START + MINUTE * row for row in range(5)] == block.ts.tolist()
    assert ([1000, 1010, 1020, 1030, 1040], [1010, 1020, 1030, 1040, 1050]) == (
        block.open.tolist(),
        block.close.tolist(),
    )
    path.write_text("\n".join([*(f"{line},17,0" for line in lines[:-1]), f"{START + 4 * MINUTE},x,1,1,1,1,17,0"]))
    assert 'row 5: open is "x"; expected a number' == _refusal(path)
    path.write_text("\n".join([*lines[:-1], "1,2,3"]))
    assert "row 5: has 3 values; expected 6, as in the header" == _refusal(path)


def test_decimals_are_read_as_the_numbers_they_are(tmp_path: Path) -> None:
    """As the candle store keeps them."""
    table = _table()
    decimals = {name: pa.array([Decimal(str(one)) for one in column]) for name, column in table.items() if name != "ts"}
    (block,) = _open(_parquet(tmp_path, {"ts": table["ts"], **decimals})).blocks()
    (expected,) = _open(_csv(tmp_path, table)).blocks()
    assert [column.tolist() for column in expected] == [column.tolist() for column in block]


def test_a_parquet_file_is_known_by_its_content(tmp_path: Path) -> None:
    """The extension does not matter where the content is clear."""
    path = _parquet(tmp_path, _table()).rename(tmp_path / "candles.csv")
    assert 5 == _open(path).rows


def test_a_csv_may_have_windows_line_ends_a_byte_order_mark_and_blank_lines(tmp_path: Path) -> None:
    """What spreadsheets write is read."""
    path = tmp_path / "candles.csv"
    lines = _csv(tmp_path, _table()).read_text().replace('"', "").splitlines()
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join(lines).encode())
    assert 5 == _open(path).rows


@pytest.mark.parametrize("rows", [5, 5_000])
def test_a_csv_may_have_line_ends_of_carriage_returns_alone(tmp_path: Path, rows: int) -> None:
    """Also one that is longer than what is looked at for its header; and a bad row keeps its number."""
    path = _csv(tmp_path, _table(rows))
    text = path.read_text()
    path.write_bytes(text.replace("\n", "\r").encode())
    assert rows == _open(path).rows
    *lines, last = text.splitlines()
    path.write_bytes("\r".join([*lines, f"{last},1"]).encode())
    assert f"row {rows}: has 7 values" in _refusal(path)


def test_an_empty_cell_is_told_as_missing(tmp_path: Path) -> None:
    """Not by the name that the machine has for it."""
    path = tmp_path / "candles.csv"
    path.write_text(f"ts,open,high,low,close,volume\n{START},1,1,1,1,1\n{START + MINUTE},1,1,1,1,\n")
    assert "row 2: volume is missing or not a number; expected a finite number" in _refusal(path)


def test_whole_number_and_single_precision_columns_are_read(tmp_path: Path) -> None:
    """Types narrower than float64 lose nothing that the tick can show."""
    table = pa.table(_table())
    narrow = [pa.field(name, pa.float32()) for name in ("open", "high", "low", "close", "volume")]
    path = tmp_path / "candles.parquet"
    pq.write_table(table.cast(pa.schema([pa.field("ts", pa.uint64()), *narrow])), path)
    file = _open(path)
    assert [997, 1007, 1017, 1027, 1037] == next(file.blocks()).low.tolist()
    assert 0 == file.report.off_tick


def test_volume_is_rounded_down_to_the_step(tmp_path: Path) -> None:
    """Noise of a float does not cost a step, a true remainder does not add one."""
    table = _table() | {"volume": [0.3, 0.39999, 0.7, 0.0, 123_456.7]}
    assert [3, 3, 7, 0, 1_234_567] == next(_open(_parquet(tmp_path, table)).blocks()).volume.tolist()


def test_prices_off_the_tick_are_counted_and_moved_to_the_nearest(tmp_path: Path) -> None:
    """A price between two ticks is no error, since venues change ticks, but the report tells."""
    table = _table() | {"open": [100.04, 101.06, 102.0, 103.0, 104.0]}
    file = _open(_parquet(tmp_path, table))
    assert 2 == file.report.off_tick
    assert [1000, 1011] == next(file.blocks()).open.tolist()[:2]


def test_missing_candles_are_reported_as_gaps(tmp_path: Path) -> None:
    """A gap names the missing opens as a half-open range and counts them."""
    kept = [0, 1, 4, 5, 7]
    table = _table() | {"ts": [START + MINUTE * row for row in kept]}
    gaps = _open(_parquet(tmp_path, table)).report.gaps
    assert (
        Gap(START + 2 * MINUTE, START + 4 * MINUTE, 2),
        Gap(START + 6 * MINUTE, START + 7 * MINUTE, 1),
    ) == gaps


@pytest.mark.parametrize("write", [_parquet, _csv])
def test_a_gap_between_two_batches_is_found(tmp_path: Path, write: Write) -> None:
    """A long file is read in pieces, and nothing is lost where they meet."""
    table = _table(70_000)
    whole = _open(write(tmp_path, table))
    blocks = list(whole.blocks())
    assert len(blocks) > 1
    assert table["ts"] == np.concatenate([block.ts for block in blocks]).tolist()
    cut = blocks[0].rows
    for name, column in table.items():
        table[name] = column[:cut] + column[cut + 2 :]
    gaps = _open(write(tmp_path, table)).report.gaps
    assert (Gap(START + cut * MINUTE, START + (cut + 2) * MINUTE, 2),) == gaps


@pytest.mark.parametrize("start", [0, 1, 32_767, 32_768, 32_769, 79_999, 80_000])
def test_reading_from_a_time_gives_the_rest_of_the_file(tmp_path: Path, start: int) -> None:
    """The first candle opens at that time or later, wherever the batches end."""
    file = _open(_parquet(tmp_path, _table(80_000)))
    from_ts = START + start * MINUTE - 1
    times = [ts for block in file.blocks(from_ts) for ts in block.ts.tolist()]
    assert [START + row * MINUTE for row in range(start, 80_000)] == times


def test_no_block_is_empty(tmp_path: Path) -> None:
    """A reader may look at the first row of every block."""
    file = _open(_parquet(tmp_path, _table(32_768 * 2)))
    assert all(block.rows > 0 for block in file.blocks(START + 32_768 * MINUTE))
    assert [] == list(file.blocks(START + 32_768 * 2 * MINUTE))


@pytest.mark.parametrize("missing", ["ts", "open", "high", "low", "close", "volume"])
def test_a_missing_column_is_named(tmp_path: Path, missing: str) -> None:
    """The line says which column is missing and which ones are there."""
    table = _table()
    del table[missing]
    for path in (_parquet(tmp_path, table), _csv(tmp_path, table)):
        assert f'has no column "{missing}" (it has: {", ".join(table)}); expected ts, open,' in _refusal(path)


BAD_ROWS = [
    ("open", 0.0, "row 3: open 0.0 is not a price"),
    ("close", -1.0, "row 3: close -1.0 is not a price"),
    ("high", math.inf, "row 3: high inf is not a price"),
    ("low", math.nan, "row 3: low is missing or not a number"),
    ("volume", -0.1, "row 3: volume -0.1 is not a volume"),
    ("volume", math.nan, "row 3: volume is missing or not a number"),
    ("volume", math.inf, "row 3: volume inf is not a volume"),
    ("volume", 1e300, "or volume 1e+300 is out of range"),
    ("high", 1e300, "row 3: high 1e+300 or volume"),
    ("high", 102.9, "row 3: high 102.9 is below the open or close 103.0"),
    ("low", 102.1, "row 3: low 102.1 is above the open or close 102.0"),
    ("low", 0.04, "row 3: low 0.04 is less than half a tick"),
    ("ts", START // 1_000, "row 3: ts 1746316800 looks like seconds"),
    ("ts", START * 1_000, "row 3: ts 1746316800000000 looks like microseconds"),
    ("ts", START * 1_000_000, "row 3: ts 1746316800000000000 looks like nanoseconds"),
    ("ts", 3, "row 3: ts 3 is no time between 1973 and 2286"),
    ("ts", START + MINUTE, "row 3: ts 1746316860000 (2025-05-04T00:01:00.000Z) occurs twice"),
    ("ts", START, "row 3: ts 1746316800000 (2025-05-04T00:00:00.000Z) lies before 1746316860000"),
]


@pytest.mark.parametrize(("column", "value", "message"), BAD_ROWS)
def test_a_bad_row_is_refused_with_its_number_and_value(
    tmp_path: Path, column: str, value: float, message: str
) -> None:
    """Each kind of bad value gives one line that names the row, the value and what was expected."""
    table = _table()
    table[column] = [value if row == 2 else good for row, good in enumerate(table[column])]
    for path in (_parquet(tmp_path, table), _csv(tmp_path, table)):
        refusal = _refusal(path)
        assert message in refusal
        assert "; expected " in refusal


def test_a_bad_row_behind_the_first_batch_has_its_number_in_the_file(tmp_path: Path) -> None:
    """Rows are counted over the whole file."""
    table = _table(80_000)
    table["volume"][60_000] = -1.0
    for path in (_parquet(tmp_path, table), _csv(tmp_path, table)):
        assert "row 60001: volume -1.0" in _refusal(path)


def test_times_out_of_step_with_the_interval_are_refused(tmp_path: Path) -> None:
    """A 5-minute file with a stray minute holds two intervals."""
    times = [START + offset * MINUTE for offset in (0, 5, 10, 17, 22)]
    refusal = _refusal(_parquet(tmp_path, _table() | {"ts": times}))
    assert "row 4: ts 1746317820000 is 420,000 ms after the row above; expected a multiple of 5m" in refusal


def test_gaps_that_are_all_alike_are_candles_of_another_interval(tmp_path: Path) -> None:
    """Eleven in a row may be a thin market, twelve are a file of two intervals."""
    steps = np.concatenate((np.full(20, MINUTE), np.full(12, 5 * MINUTE)))
    table = _table(33)
    ts = np.asarray(table["ts"])
    table["ts"] = ts[0] + np.concatenate(([0], np.cumsum(steps)))
    assert "from row 22 on candles are 300,000 ms apart, those of the first rows 60,000 ms" in _refusal(
        _parquet(tmp_path, table)
    )
    table["ts"][-1] += MINUTE
    assert 33 == _open(_parquet(tmp_path, table)).report.rows


def test_an_interval_that_is_not_whole_minutes_is_refused(tmp_path: Path) -> None:
    """Candles of seconds are not supported, and said so."""
    refusal = _refusal(_parquet(tmp_path, _table(step_ms=1_000)))
    assert "row 2: ts 1746316801000 is 1,000 ms after the row above; expected candles of whole minutes" in refusal


def test_close_times_in_place_of_open_times_are_refused(tmp_path: Path) -> None:
    """Times that end in 59.999 s are a common mix-up."""
    refusal = _refusal(_parquet(tmp_path, _table() | {"ts": [START + MINUTE * row - 1 for row in range(5)]}))
    assert "row 1: ts 1746316799999 (2025-05-03T23:59:59.999Z) is not the open time of a 1m candle" in refusal


def test_weekly_candles_may_begin_on_a_monday(tmp_path: Path) -> None:
    """Days divide evenly from 1970 on, weeks do not."""
    week = 7 * 24 * 60 * MINUTE
    monday = START + 24 * 60 * MINUTE
    file = _open(_parquet(tmp_path, _table() | {"ts": [monday + week * row for row in range(5)]}))
    assert week == file.interval_ms


def test_a_single_row_has_no_interval(tmp_path: Path) -> None:
    """Two candles are the least that shows how long one is."""
    assert "has one row; expected at least two" in _refusal(_parquet(tmp_path, _table(1)))


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    """A header alone is no data."""
    table = {"ts": pa.array([], pa.int64())} | {name: pa.array([], pa.float64()) for name in list(_table())[1:]}
    for path in (_parquet(tmp_path, table), _csv(tmp_path, table)):
        assert "has no rows; expected at least one" in _refusal(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The line names the file that is not there."""
    assert "no such file; expected a Parquet or CSV file" == _refusal(tmp_path / "absent.parquet")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """A folder cannot be read as a file."""
    assert "cannot be read (Is a directory)" in _refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "is empty; expected a Parquet or CSV file with rows"),
        ("text.parquet", b"ts,open\n1,2\n", "is not a Parquet file (begins with b'ts,o')"),
        ("cut.parquet", b"PAR1" + bytes(100), "is not a readable Parquet file"),
        ("zip.csv", b"PK\x03\x04\x00\x00", "is neither Parquet nor CSV text"),
        ("latin.csv", b"ts,\xff\xfe\n", "is neither Parquet nor CSV text"),
        ("semicolon.csv", b"ts;open;high\n1;2;3\n", 'has no column "ts" (it has: ts;open;high)'),
    ],
)
def test_other_content_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """What is no table of candles is told apart from one that lacks something."""
    path = tmp_path / name
    path.write_bytes(content)
    assert message in _refusal(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x,1746316920000,1,1,1,1,one", 'row 2: volume is "one"; expected a number'),
        ("x,2025-05-04,1,1,1,1,1", 'row 2: ts is "2025-05-04"; expected an integer, UTC milliseconds'),
        ("x,,1,1,1,1,1", "row 2: ts is missing; expected an integer"),
        ("x,1746316920000,1,1,,1,1", "row 2: low is missing or not a number"),
        ("x,1746316920000,1,1", "row 2: has 4 values; expected 7, as in the header"),
    ],
)
def test_a_bad_line_of_a_csv_is_refused_by_row_and_column(tmp_path: Path, line: str, message: str) -> None:
    """The header is not counted, and the column has its own name whatever its place."""
    path = tmp_path / "candles.csv"
    path.write_text(f"venue,ts,open,high,low,close,volume\nx,1746316860000,1,1,1,1,1\n{line}\n")
    assert message in _refusal(path)


def test_columns_of_another_type_are_refused(tmp_path: Path) -> None:
    """Timestamps and text are not guessed at."""
    times = _table() | {"ts": pa.array(_table()["ts"], pa.timestamp("ms"))}
    assert 'column "ts" holds timestamp[ms]; expected integers' in _refusal(_parquet(tmp_path, times))
    words = _table() | {"close": ["1"] * 5}
    assert 'column "close" holds string; expected numbers' in _refusal(_parquet(tmp_path, words))


def test_a_missing_time_in_a_parquet_file_is_refused(tmp_path: Path) -> None:
    """A null is not read as some number."""
    table = _table() | {"ts": [START, START + MINUTE, None, START + 3 * MINUTE, START + 4 * MINUTE]}
    assert "row 3: ts is missing" in _refusal(_parquet(tmp_path, table))


def test_a_file_that_goes_bad_after_opening_is_refused_while_reading(tmp_path: Path) -> None:
    """Every read checks what it reads."""
    path = _parquet(tmp_path, _table())
    file = _open(path)
    _parquet(tmp_path, _table() | {"volume": [-1.0] * 5})
    with pytest.raises(ConfigInvalid, match="row 1: volume -1"):
        next(file.blocks())


def test_a_file_is_closed_when_reading_stops_early(tmp_path: Path) -> None:
    """A reader that looks at one block leaves no open file behind."""
    file = _open(_parquet(tmp_path, _table(80_000)))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (counts, names do not matter)
    blocks = file.blocks()
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    assert before >= len(os.listdir("/proc/self/fd"))  # noqa: PTH208
