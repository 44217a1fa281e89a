"""Rows of a dataset as integers, each group of columns with a number of decimals: exact throughout.

What belongs here: exact conversion from floats, changing decimals, merging, the digest of content. What does not:
files (parts), what makes a candle sound (checking).

A price of 61,234.5 is 612345 with one decimal. Rows are canonical where no group has more decimals than it needs:
equal content then has equal digests, wherever it came from.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_engine.domain import money
from trading_engine.marketdata.block import Float64, Int64

LARGEST = 10**18 - 1  # what a decimal of 18 digits holds, the longest that Parquet keeps in 64 bits
MOST_DECIMALS = 18
EXACT = 2.0**53  # beyond it a float no longer tells neighbours apart
_NOISE = 4 * np.finfo(np.float64).eps  # what arithmetic leaves behind a decimal that was meant


class TooFine(Exception):
    """The values need more digits than there are: 18 in all."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a dataset beside `ts`; columns of one group share their decimals.

    groups   as many of the columns, one after the other, as each number says
    """

    columns: tuple[str, ...]
    groups: tuple[int, ...]

    @property
    def group_of(self) -> tuple[int, ...]:
        """The group of each column."""
        return tuple(group for group, many in enumerate(self.groups) for _ in range(many))


CANDLES = Shape(("open", "high", "low", "close", "volume"), (4, 1))
RATES = Shape(("rate",), (1,))


class Rows(NamedTuple):
    """Rows by ascending `ts` (UTC ms), each instant once.

    columns    integers, in the order of the shape
    decimals   a number a group of the shape
    """

    ts: Int64
    columns: tuple[Int64, ...]
    decimals: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of rows."""
        return int(self.ts.size)

    def part(self, start: int, stop: int) -> "Rows":
        """The rows from `start` up to but without `stop`, as views."""
        return Rows(self.ts[start:stop], tuple(column[start:stop] for column in self.columns), self.decimals)

    def between(self, from_ms: int, to_ms: int) -> "Rows":
        """The rows of [from_ms, to_ms)."""
        start, stop = np.searchsorted(self.ts, (from_ms, to_ms))
        return self.part(int(start), int(stop))

    def value(self, shape: Shape, column: int, row: int) -> Decimal:
        """One value, exactly."""
        return Decimal(int(self.columns[column][row])).scaleb(-self.decimals[shape.group_of[column]])


def no_rows(shape: Shape) -> Rows:
    """Rows of nothing."""
    none = np.empty(0, np.int64)
    return Rows(none, (none,) * len(shape.columns), (0,) * len(shape.groups))


def decimals_of(values: Sequence[Float64]) -> int:
    """The fewest decimals with which all values are exact, as the decimals that their floats were written from.

    A value that misses a decimal by no more than arithmetic leaves behind counts as that decimal. Raises TooFine
    where some value needs more digits than a float has, or is not finite.
    """
    largest = max((float(np.abs(column).max(initial=0.0)) for column in values), default=0.0)
    if not np.isfinite(largest):
        raise TooFine
    for decimals in range(MOST_DECIMALS + 1):
        factor = 10.0**decimals
        if largest * factor >= EXACT:
            break
        if all(_fits(column, factor) for column in values):
            return decimals
    raise TooFine


def _fits(values: Float64, factor: float) -> bool:
    return bool((np.abs(np.rint(values * factor) / factor - values) <= _NOISE * np.abs(values)).all())


def from_floats(values: Float64, decimals: int) -> Int64:
    """The values as integers with so many decimals, to the nearest."""
    return np.rint(values * 10.0**decimals).astype(np.int64)


def with_decimals(rows: Rows, shape: Shape, decimals: Sequence[int]) -> Rows:
    """The same rows with at least the decimals they have; TooFine where a value then has more than 18 digits."""
    if tuple(decimals) == rows.decimals:
        return rows
    more = [wanted - has for wanted, has in zip(decimals, rows.decimals, strict=True)]
    columns = []
    for column, group in zip(rows.columns, shape.group_of, strict=True):
        if column.size and int(np.abs(column).max()) > LARGEST // 10 ** more[group]:
            raise TooFine
        columns.append(column * np.int64(10 ** more[group]))
    return Rows(rows.ts, tuple(columns), tuple(decimals))


def canonical(rows: Rows, shape: Shape) -> Rows:
    """The same rows with no more decimals than they need."""
    columns, decimals, at = list(rows.columns), list(rows.decimals), 0
    for group, many in enumerate(shape.groups):
        mine = slice(at, at + many)
        while decimals[group] and not any((column % 10).any() for column in columns[mine]):
            columns[mine] = [column // 10 for column in columns[mine]]
            decimals[group] -= 1
        at += many
    return Rows(rows.ts, tuple(columns), tuple(decimals))


def digest(rows: Rows) -> str:
    """SHA-256 of decimals, times and values of canonical rows, whatever file they lie in."""
    told = hashlib.sha256(" ".join(map(str, rows.decimals)).encode() + b"\n")
    for column in (rows.ts, *rows.columns):
        told.update(np.ascontiguousarray(column, dtype="<i8").tobytes())
    return told.hexdigest()


class Difference(NamedTuple):
    """Rows of one instant that are not the same: the first of `many`.

    column, former, new   the first column that differs, and its two values
    """

    ts: int
    column: str
    former: Decimal
    new: Decimal
    many: int


class Merged(NamedTuple):
    """What came of a merge.

    added, same, differing   rows of the new ones that were not there, were there, were there with other values
    difference               the first of those that differ
    """

    rows: Rows
    added: int
    same: int
    differing: int
    difference: Difference | None


def merge(former: Rows, new: Rows, shape: Shape) -> Merged:
    """Both together; where both have an instant, the new row. TooFine where they have no decimals in common."""
    if not former.size or not new.size:
        return Merged(new if new.size else former, new.size, 0, 0, None)
    wanted = [max(pair) for pair in zip(former.decimals, new.decimals, strict=True)]
    former, new = with_decimals(former, shape, wanted), with_decimals(new, shape, wanted)
    _, in_former, in_new = np.intersect1d(former.ts, new.ts, assume_unique=True, return_indices=True)
    pairs = list(zip(former.columns, new.columns, strict=True))
    differs = np.array([was[in_former] != has[in_new] for was, has in pairs])
    rows = np.flatnonzero(differs.any(axis=0))
    difference = None
    if rows.size:
        at, column = int(rows[0]), int(differs[:, rows[0]].argmax())
        values = (former.value(shape, column, int(in_former[at])), new.value(shape, column, int(in_new[at])))
        difference = Difference(int(new.ts[in_new[at]]), shape.columns[column], *values, int(rows.size))
    kept = np.ones(former.size, np.bool_)
    kept[in_former] = False
    return Merged(
        _sorted(former, kept, new), new.size - in_new.size, in_new.size - int(rows.size), int(rows.size), difference
    )


def _sorted(former: Rows, kept: NDArray[np.bool_], new: Rows) -> Rows:
    ts = np.concatenate((former.ts[kept], new.ts))
    order = np.argsort(ts, kind="stable")
    pairs = zip(former.columns, new.columns, strict=True)
    columns = tuple(np.concatenate((was[kept], has))[order] for was, has in pairs)
    return Rows(ts[order], columns, new.decimals)


def join(parts: Sequence[Rows], shape: Shape) -> Rows:
    """Rows one after the other, with the decimals that all of them need."""
    if not parts:
        return no_rows(shape)
    wanted = [max(each) for each in zip(*(part.decimals for part in parts), strict=True)]
    alike = [with_decimals(part, shape, wanted) for part in parts]
    if len(alike) == 1:
        return alike[0]
    columns = tuple(np.concatenate(each) for each in zip(*(part.columns for part in alike), strict=True))
    return Rows(np.concatenate([part.ts for part in alike]), columns, tuple(wanted))


def unit(decimals: int) -> Decimal:
    """The value of one: 0.1 for one decimal."""
    return Decimal(1).scaleb(-decimals)


def shown(value: Decimal) -> str:
    """A value as a person writes it."""
    return money.text(value)
