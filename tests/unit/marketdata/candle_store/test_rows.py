"""Rows keep every digit: from floats, through other decimals, through a merge."""

from decimal import Decimal

import numpy as np
import pytest
from candle_store_tools import candles

from trading_engine.marketdata.candle_store.rows import (
    CANDLES,
    TooFine,
    canonical,
    decimals_of,
    digest,
    from_floats,
    join,
    merge,
    no_rows,
    with_decimals,
)


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([61_234.5, 61_234.0], 1),
        ([0.1 + 0.2, 7.0], 1),
        ([1.0, 250.0], 0),
        ([0.00012345], 8),
        ([61_234.12345678], 8),
        ([0.0, 0.0], 0),
        ([-0.00375, 0.0001], 5),
    ],
)
def test_floats_become_the_decimals_they_were_written_from(values: list[float], decimals: int) -> None:
    """The fewest decimals with which every value is exact; the noise of arithmetic is none."""
    column = np.array(values)
    assert decimals == decimals_of([column])
    exact = [Decimal(repr(round(value, 12))) for value in values]
    assert exact == [Decimal(int(one)).scaleb(-decimals) for one in from_floats(column, decimals)]


def test_values_that_no_number_of_decimals_holds_are_refused() -> None:
    """A hundred thousand and a millionth of a millionth want more digits than a float has."""
    with pytest.raises(TooFine):
        decimals_of([np.array([123_456.0, 0.000_000_000_012_3])])


def test_more_decimals_change_no_value() -> None:
    """The same prices, counted in smaller units."""
    rows = candles(range(3))
    finer = with_decimals(rows, CANDLES, (4, 3))
    assert (4, 3) == finer.decimals
    assert [1_000_000, 1_001_000, 1_002_000] == finer.columns[0].tolist()
    assert rows.value(CANDLES, 0, 2) == finer.value(CANDLES, 0, 2)


def test_more_digits_than_there_are_are_refused() -> None:
    """Eighteen in all: nothing is cut off."""
    with pytest.raises(TooFine):
        with_decimals(candles(range(3)), CANDLES, (17, 3))


def test_canonical_rows_have_no_more_decimals_than_they_need() -> None:
    """What was counted more finely than necessary has the digest of what was not."""
    rows = candles(range(3))
    again = canonical(with_decimals(rows, CANDLES, (5, 9)), CANDLES)
    assert rows.decimals == again.decimals
    assert digest(rows) == digest(again)


def test_the_digest_tells_apart_what_differs() -> None:
    """Another volume, another time and other decimals are other content."""
    rows = candles(range(3))
    later = rows._replace(ts=rows.ts + 60_000)
    coarser = rows._replace(decimals=(0, 3))
    louder = rows._replace(columns=(*rows.columns[:4], rows.columns[4] + 1))
    assert 4 == len({digest(one) for one in (rows, later, coarser, louder)})


def test_a_merge_joins_what_overlaps() -> None:
    """Rows of both, each instant once, in order; equal ones are counted and no difference."""
    merged = merge(candles([0, 1, 2, 7]), candles([1, 2, 3]), CANDLES)
    assert candles([0, 1, 2, 3, 7]).ts.tolist() == merged.rows.ts.tolist()
    assert (1, 2, 0, None) == merged[1:]
    assert digest(candles([0, 1, 2, 3, 7])) == digest(merged.rows)


def test_equal_prices_of_different_decimals_are_equal() -> None:
    """100.0 is 100.000."""
    merged = merge(candles([0, 1]), with_decimals(candles([1, 2]), CANDLES, (3, 3)), CANDLES)
    assert (1, 1, 0, None) == merged[1:]


def test_a_difference_is_told_with_its_time_and_both_values() -> None:
    """The first of them, and how many there are; the new rows win."""
    merged = merge(candles(range(5)), candles([2, 3, 9], base=2_000), CANDLES)
    assert merged.difference is not None
    assert (candles([2]).ts[0], "open", Decimal("100.2"), Decimal("200.2"), 2) == merged.difference
    assert (1, 0, 2) == (merged.added, merged.same, merged.differing)
    assert [1_000, 1_001, 2_002, 2_003, 1_004, 2_009] == merged.rows.columns[0].tolist()


@pytest.mark.parametrize("column", range(5))
def test_a_difference_in_any_column_is_one(column: int) -> None:
    """Volumes too."""
    former, new = candles(range(3)), candles(range(3))
    new.columns[column][1] += 1
    merged = merge(former, new, CANDLES)
    assert (0, 2, 1) == (merged.added, merged.same, merged.differing)
    assert merged.difference is not None
    assert CANDLES.columns[column] == merged.difference.column


def test_nothing_merged_with_something_is_something() -> None:
    """From either side."""
    rows = candles(range(2))
    assert merge(no_rows(CANDLES), rows, CANDLES).rows is rows
    assert merge(rows, no_rows(CANDLES), CANDLES).rows is rows


def test_joined_rows_have_the_decimals_that_all_need() -> None:
    """The coarser ones are counted like the finer ones."""
    joined = join([candles([0]), candles([1], decimals=(2, 3))], CANDLES)
    assert (2, 3) == joined.decimals
    assert [10_000, 1_001] == joined.columns[0].tolist()
    assert 0 == join([], CANDLES).size
