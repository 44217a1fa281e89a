"""Rows in Parquet files: a month of candles, or a year of funding rates, in each.

What belongs here: the format of a part, what it is called, cutting rows into parts. What does not: which parts make a
dataset (manifest), when one is written (writing).

`ts` is int64 (UTC ms), everything else DECIMAL in 64 bits, so that whoever opens a part with another tool sees the
prices. A part is never changed: its name ends in the beginning of its digest, and other content is another part.
Pages carry checksums of their own, which reading verifies.
"""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.marketdata.block import Int64
from trading_engine.marketdata.candle_store.rows import MOST_DECIMALS, Rows, Shape

SUFFIX = ".parquet"
_NAME_DIGITS = 12
_BYTES = 16  # of a decimal in Arrow's memory: two little-endian integers, the lower one first


class Damaged(Exception):
    """A part that cannot be read or is not one: one line, without its path."""


def month_of(ts: Int64) -> Int64:
    """The month of each instant, counted from January 1970."""
    return ts.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)


def cut(rows: Rows, *, by_year: bool) -> Iterator[tuple[str, Rows]]:
    """The rows month by month, or year by year, each with its name: `2025-05`, `2025`."""
    periods = month_of(rows.ts) // (12 if by_year else 1)
    starts = [0, *(np.flatnonzero(np.diff(periods)) + 1).tolist(), rows.size]
    for start, stop in pairwise(starts):
        if start < stop:
            yield _period(int(periods[start]), by_year=by_year), rows.part(start, stop)


def _period(number: int, *, by_year: bool) -> str:
    return f"{1970 + number}" if by_year else f"{1970 + number // 12}-{number % 12 + 1:02d}"


def file_name(period: str, digest: str) -> str:
    """What a part is called."""
    return f"{period}-{digest[:_NAME_DIGITS]}{SUFFIX}"


def write_part(path: Path, rows: Rows, shape: Shape) -> None:
    """Write and fsync a new file; OSError where the disk does not take it."""
    import pyarrow as pa  # noqa: PLC0415 - 50 MB that only research needs
    import pyarrow.parquet as pq  # noqa: PLC0415

    names = ["ts", *shape.columns]
    scales = [rows.decimals[group] for group in shape.group_of]
    pairs = zip(rows.columns, scales, strict=True)
    arrays = [pa.array(rows.ts), *(_decimals(column, scale) for column, scale in pairs)]
    fields = [pa.field(name, array.type, nullable=False) for name, array in zip(names, arrays, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
    with path.open("xb") as file:
        pq.write_table(
            table,
            file,
            compression="zstd",
            use_dictionary=False,
            column_encoding=dict.fromkeys(names, "DELTA_BINARY_PACKED"),
            store_decimal_as_integer=True,
            write_page_checksum=True,
        )
        file.flush()
        os.fsync(file.fileno())


def _decimals(values: Int64, scale: int) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    wide = np.empty((values.size, 2), "<i8")
    wide[:, 0], wide[:, 1] = values, values >> 63
    return pa.Array.from_buffers(pa.decimal128(MOST_DECIMALS, scale), values.size, [None, pa.py_buffer(wide)])


def read_part(path: Path, shape: Shape) -> Rows:
    """All rows of a part, as they lie there. Raises Damaged."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            table = file.read(["ts", *shape.columns], use_threads=False).combine_chunks()
    except FileNotFoundError:
        raise Damaged("is missing") from None
    except (pa.ArrowException, OSError) as error:
        raise Damaged(f"is not readable ({' '.join(str(error).split())[:200]})") from error
    if table.column_names != ["ts", *shape.columns] or not pa.types.is_int64(table.schema.field("ts").type):
        raise Damaged(f"has the columns {', '.join(table.column_names)}; expected ts, {', '.join(shape.columns)}")
    fields = [table.schema.field(name) for name in shape.columns]
    if not all(pa.types.is_decimal128(field.type) for field in fields) or any(one.null_count for one in table.columns):
        raise Damaged("holds something other than whole decimals")
    scales = [field.type.scale for field in fields]
    decimals = tuple(scales[sum(shape.groups[:group])] for group in range(len(shape.groups)))
    if scales != [decimals[group] for group in shape.group_of]:
        raise Damaged("has prices of several precisions")
    ts = table.column("ts").to_numpy()
    return Rows(ts, tuple(_integers(table.column(name)) for name in shape.columns), decimals)


def _integers(column: Any) -> Int64:
    chunk = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    wide = np.frombuffer(chunk.buffers()[1], "<i8", count=2 * chunk.__len__(), offset=_BYTES * chunk.offset)
    return np.ascontiguousarray(wide.reshape(-1, 2)[:, 0]).astype(np.int64, copy=False)


def damaged(path: Path, error: Damaged) -> ConfigInvalid:
    """The one line for a person."""
    return ConfigInvalid(
        f"{path}: {error}; run `trading-engine data check --repair`, then import or download what is missing again"
    )
