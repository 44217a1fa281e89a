"""How wild a market is: one candle's range, and the average range against that of its day."""

import pytest

from trading_engine.rules import turbulence
from trading_engine.rules.turbulence import Turbulence

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


def after(ranges: list[int], spacing_ms: int = MINUTE_MS) -> Turbulence:
    """Candles around 100 with these ranges, one after the other."""
    seen = turbulence.calm()
    for at, width in enumerate(ranges, start=1):
        seen = turbulence.measured(seen, at * spacing_ms, 100 + width, 100, 100)
    return seen


@pytest.mark.parametrize(("before", "expected"), [(0, 5), (100, 5), (110, 10), (90, 15)])
def test_the_true_range_holds_the_gap_before_the_candle(before: int, expected: int) -> None:
    """A candle from 100 to 105; before the first there is no gap."""
    assert expected == turbulence.true_range(before, 105, 100)


def test_the_average_range_is_wilder_s() -> None:
    """Begun with the first range, each one after it weighs a fourteenth."""
    assert (14_000, 15_000, 13_928) == tuple(after(ranges).atr_mticks for ranges in ([14], [14, 28], [14, 28, 0]))


def test_an_hour_ends_with_its_last_candle() -> None:
    """A candle that closes at the full hour belongs to the hour before; the mean is kept when the next one comes."""
    assert (0,) * 24 == after([6] * 60).means_mticks
    assert (*(0,) * 23, 6_000) == after([6] * 61).means_mticks
    assert 1 == after([6] * 61).samples


def test_the_usual_range_is_known_after_a_whole_day() -> None:
    """The lower median of 24 hours."""
    assert 0 == after([6] * 24, HOUR_MS).usual_mticks
    assert 6_000 == after([6] * 25, HOUR_MS).usual_mticks


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        (tuple(range(1, 25)), 12),
        (tuple(range(24, 0, -1)), 12),
        ((5,) * 11 + (9,) * 13, 9),
        ((5,) * 12 + (9,) * 12, 5),
        ((0,) + (9,) * 23, 0),
    ],
)
def test_the_median_is_the_twelfth_of_twenty_four(means: tuple[int, ...], expected: int) -> None:
    """In whatever order they come; unknown while the oldest is."""
    assert expected == turbulence.median_mticks(means)


@pytest.mark.parametrize(
    ("high", "limit", "expected"), [(1_100, 100_000, False), (1_101, 100_000, True), (9_999, 0, False)]
)
def test_a_candle_is_wide_above_a_share_of_its_low(high: int, limit: int, expected: bool) -> None:
    """Ten per cent of 1,000; so a crash that recovers counts."""
    assert expected is turbulence.is_wide(high, 1_000, limit)


@pytest.mark.parametrize(
    ("atr", "usual", "limit", "expected"),
    [(3_000, 1_000, 3_000, False), (3_001, 1_000, 3_000, True), (9_000, 0, 3_000, False), (9_000, 1_000, 0, False)],
)
def test_a_market_is_wild_above_a_multiple_of_its_usual_range(atr: int, usual: int, limit: int, expected: bool) -> None:
    """Three times; unknown is not wild."""
    seen = turbulence.calm()._replace(atr_mticks=atr, usual_mticks=usual)
    assert expected is turbulence.is_wild(seen, limit)
