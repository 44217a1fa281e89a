"""Columns of numbers out of a Parquet or CSV file, a few thousand rows at a time.

What belongs here: telling the two formats apart, finding columns by name, types and missing values,
and turning the reader's errors into one line. What does not: what the numbers mean (candle_file,
funding_file). Rows are counted from 1; the header of a CSV is not counted. A CSV
of candles may have none, as older archives of venues: its first columns are then those of _WITHOUT_HEADER.

Memory: a file of one big row group is still decoded in small batches, on one thread.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trading_engine.domain.errors import ConfigInvalid

if TYPE_CHECKING:
    from trading_engine.marketdata.block import Float64, Int64

_BATCH_ROWS = 32_768
_CSV_BLOCK_BYTES = 1 << 16
_READ_BYTES = 1 << 16
_PARQUET_MAGIC = b"PAR1"
_PARQUET_SUFFIXES = (".parquet", ".pq")
_HEADER_BYTES = 1 << 16
_LINE_END = re.compile(rb"[\r\n]")  # a lone carriage return, too: what old spreadsheets write
_EARLIEST_MS, _LATEST_MS = 10**11, 10**13  # 1973 and 2286: seconds lie below, micro- and nanoseconds above

# What venues' own archives and common tools call these columns; our name goes first where a file has both.
_OTHER_NAMES = {
    "ts": ("open_time", "timestamp", "calc_time", "funding_time", "fundingTime"),
    "rate": ("last_funding_rate", "funding_rate", "fundingRate"),
}

_WITHOUT_HEADER = ("ts", "open", "high", "low", "close", "volume")

# What pyarrow says about a CSV cell that is not a number, and about a line of the wrong width.
_CSV_CELL = re.compile(r"In CSV column #(\d+): Row #(\d+): CSV conversion error to \w+: invalid value '(.*)'")
_CSV_WIDTH = re.compile(r"CSV parse error: Row #(\d+): Expected (\d+) columns, got (\d+)")


class _Header(NamedTuple):
    """What the columns of a CSV are called, and how many lines say so: one or none."""

    names: list[str]
    lines: int


class Columns(NamedTuple):
    """Some rows of a file: `ts` as integers and the other columns, in the order asked for, as floats.

    A missing value is NaN. `first_row` is the number of the first of these rows in the file.
    """

    first_row: int
    ts: "Int64"
    values: "tuple[Float64, ...]"


def read_columns(path: Path, names: Sequence[str]) -> Iterator[Columns]:
    """Yield the columns `ts` and `names` of a Parquet or CSV file in file order, never an empty batch.

    The columns may stand in any order among others; `open_time` or `timestamp` will do for `ts`, `funding_rate` for
    `rate`, as archives of venues have them. Raises ConfigInvalid where the file cannot be read, is
    neither Parquet nor CSV, lacks a column or holds something other than numbers, has no rows, or has a
    `ts` that cannot be milliseconds.
    """
    wanted = ("ts", *names)
    first_row = 1
    for columns in _read(path, wanted, first_row):
        first_row += columns.ts.size
        yield columns
    if first_row == 1:
        raise ConfigInvalid(f"{path}: has no rows; expected at least one below the header")


def _read(path: Path, wanted: tuple[str, ...], first_row: int) -> Iterator[Columns]:
    head = _head(path)
    if head.startswith(_PARQUET_MAGIC):
        batches = _parquet_batches(path, wanted)
    elif path.suffix.lower() in _PARQUET_SUFFIXES:
        raise ConfigInvalid(f"{path}: is not a Parquet file (begins with {head[:4]!r}); expected {_expected(wanted)}")
    else:
        batches = _csv_batches(path, wanted, _csv_header(path, head, wanted))
    for batch in batches:
        if len(batch[0]):
            yield _columns(path, first_row, batch)
            first_row += len(batch[0])


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        raise ConfigInvalid(f"{path}: no such file; expected a Parquet or CSV file") from None
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be read ({error.strerror}); expected a readable file") from error
    if not head:
        raise ConfigInvalid(f"{path}: is empty; expected a Parquet or CSV file with rows")
    return head


def _expected(wanted: Sequence[str]) -> str:
    return f"a Parquet or CSV file with the columns {', '.join(wanted)}"


def _csv_header(path: Path, head: bytes, wanted: tuple[str, ...]) -> _Header:
    try:
        line = _LINE_END.split(head, maxsplit=1)[0].decode("utf-8-sig")
    except UnicodeDecodeError:
        line = "\0"
    if "\0" in line:
        raise ConfigInvalid(f"{path}: is neither Parquet nor CSV text; expected {_expected(wanted)}")
    cells = next(csv.reader([line]), [])
    first, others = cells[: len(_WITHOUT_HEADER)], cells[len(_WITHOUT_HEADER) :]
    if set(wanted) != set(_WITHOUT_HEADER) or len(first) < len(wanted) or not all(map(_is_number, first)):
        return _Header(cells, 1)
    return _Header([*_WITHOUT_HEADER, *(f"column {number}" for number, _ in enumerate(others, len(first) + 1))], 0)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _present_names(path: Path, wanted: Sequence[str], present: Sequence[str]) -> list[str]:
    """What the wanted columns are called in this file."""
    called = []
    for wish in wanted:
        name = next((other for other in (wish, *_OTHER_NAMES.get(wish, ())) if other in present), wish)
        count = present.count(name)
        if count != 1:
            problem = f'has no column "{name}"' if count == 0 else f'has the column "{name}" {count} times'
            found = ", ".join(present)[:200]
            raise ConfigInvalid(f"{path}: {problem} (it has: {found}); expected {', '.join(wanted)}")
        called.append(name)
    return called


def _parquet_batches(path: Path, wanted: tuple[str, ...]) -> Iterator[Any]:
    # Imported here: 50 MB that a run without files need not carry.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        # Buffered, since pre_buffer holds a whole row group; not mapped, since a file that somebody cuts
        # short would then end the process with SIGBUS.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_READ_BYTES) as file:
            called = _present_names(path, wanted, file.schema_arrow.names)
            for wish, name in zip(wanted, called, strict=True):
                _require_numbers(path, wish, name, file.schema_arrow.field(name).type)
            for batch in file.iter_batches(_BATCH_ROWS, columns=called, use_threads=False):
                yield [batch.column(name) for name in called]
    except (pa.ArrowException, OSError) as error:
        raise ConfigInvalid(
            f"{path}: is not a readable Parquet file ({_one_line(error)}); expected {_expected(wanted)}"
        ) from error


def _require_numbers(path: Path, wish: str, name: str, kind: Any) -> None:
    import pyarrow as pa  # noqa: PLC0415

    if wish == "ts" and not pa.types.is_integer(kind):
        raise ConfigInvalid(f'{path}: column "{name}" holds {kind}; expected integers, UTC milliseconds')
    if not pa.types.is_integer(kind) and not pa.types.is_floating(kind) and not pa.types.is_decimal(kind):
        raise ConfigInvalid(f'{path}: column "{name}" holds {kind}; expected numbers (float64)')


def _csv_batches(path: Path, wanted: tuple[str, ...], header: _Header) -> Iterator[Any]:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.csv as pc  # noqa: PLC0415

    called = _present_names(path, wanted, header.names)
    types = {name: pa.int64() if wish == "ts" else pa.float64() for wish, name in zip(wanted, called, strict=True)}
    try:
        with pc.open_csv(
            path,
            read_options=pc.ReadOptions(
                use_threads=False, block_size=_CSV_BLOCK_BYTES, column_names=None if header.lines else header.names
            ),
            convert_options=pc.ConvertOptions(include_columns=called, column_types=types, null_values=[""]),
        ) as reader:
            for batch in reader:
                yield [batch.column(name) for name in called]
    except (pa.ArrowException, OSError) as error:
        raise ConfigInvalid(f"{path}: {_csv_mistake(_one_line(error), wanted, header)}") from error


def _csv_mistake(message: str, wanted: tuple[str, ...], header: _Header) -> str:
    """Put pyarrow's message, whose rows count the header, into our words."""
    cell, width = _CSV_CELL.search(message), _CSV_WIDTH.search(message)
    if cell:
        name, row, value = header.names[int(cell[1])], int(cell[2]) - header.lines, cell[3]
        expected = "an integer, UTC milliseconds" if name in ("ts", *_OTHER_NAMES["ts"]) else "a number"
        return f'row {row}: {name} is "{value}"; expected {expected}'
    if width:
        return f"row {int(width[1]) - header.lines}: has {width[3]} values; expected {width[2]}, as in the header"
    return f"is not readable as CSV ({message}); expected {_expected(wanted)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _columns(path: Path, first_row: int, batch: Sequence[Any]) -> Columns:
    arrays = [_floats(column).to_numpy(zero_copy_only=False) for column in batch]
    ts = arrays[0]
    if np.issubdtype(ts.dtype, np.floating):  # integers with missing values come as floats with NaN
        row = first_row + int(np.isnan(ts).argmax())
        raise ConfigInvalid(f"{path}: row {row}: ts is missing; expected an integer, UTC milliseconds")
    _require_milliseconds(path, first_row, ts)
    values = tuple(array.astype(np.float64, copy=False) for array in arrays[1:])
    return Columns(first_row, ts.astype(np.int64, copy=False), values)


def _floats(column: Any) -> Any:
    """Decimals as floats, everything else as it is."""
    import pyarrow as pa  # noqa: PLC0415

    return column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column


def _require_milliseconds(path: Path, first_row: int, ts: "Int64") -> None:
    outside = np.flatnonzero((ts < _EARLIEST_MS) | (ts >= _LATEST_MS))
    if outside.size:
        at = int(outside[0])
        raise ConfigInvalid(
            f"{path}: row {first_row + at}: ts {ts[at]} {_unit_mistake(int(ts[at]))};"
            " expected UTC milliseconds, 13 digits"
        )


def _unit_mistake(ts: int) -> str:
    for unit, per_second in (("seconds", 1), ("microseconds", 10**6), ("nanoseconds", 10**9)):
        if _EARLIEST_MS * per_second <= ts * 1_000 < _LATEST_MS * per_second:
            return f"looks like {unit}"
    return "is no time between 1973 and 2286"
