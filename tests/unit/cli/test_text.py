"""Numbers and times as a trader reads them."""

from decimal import Decimal

import pytest

from trading_engine.cli import text
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS

T = 1_735_689_600_000  # 2025-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("61240.5", "61,240.5"),
        ("61240.0", "61,240"),
        ("0.00001", "0.00001"),
        ("-1234567.25", "−1,234,567.25"),
        ("0", "0"),
        (None, "—"),
    ],
)
def test_a_price_keeps_all_its_digits(value: str | None, expected: str) -> None:
    """Thousands are grouped, trailing zeros and exponents never shown, a missing value is a dash."""
    assert expected == text.number(None if value is None else Decimal(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3149.18179104", "3,149.1818"),
        ("96329.6", "96,329.6"),
        ("0.000012345678", "0.000012345678"),
        ("0.123456789", "0.12345679"),
        ("123456789.5", "123,456,790"),
        (None, "—"),
    ],
)
def test_a_mean_price_loses_the_tail_of_the_division(value: str | None, expected: str) -> None:
    """Eight digits, so that a tick is never lost."""
    assert expected == text.price(None if value is None else Decimal(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("5.2", "+5.20"),
        ("-2.981", "−2.98"),
        ("0", "0.00"),
        ("-0.001", "0.00"),
        ("12345.678", "+12,345.68"),
        (None, "—"),
    ],
)
def test_a_result_always_carries_its_sign(value: str | None, expected: str) -> None:
    """Plus for a profit, a real minus for a loss, none where the cent shows neither."""
    assert expected == text.signed(None if value is None else Decimal(value))


@pytest.mark.parametrize(
    ("value", "expected"), [("1012.444", "1,012.44"), ("-3", "−3.00"), ("-0.001", "0.00"), (None, "—")]
)
def test_money_is_shown_to_the_cent(value: str | None, expected: str) -> None:
    """Grouped, without a plus."""
    assert expected == text.amount(None if value is None else Decimal(value))


@pytest.mark.parametrize(
    ("value", "expected", "in_prose"),
    [("45", "45.0 %", "45 %"), ("-1.26", "−1.3 %", "−1.3 %"), ("0", "0.0 %", "0 %"), ("-0.01", "0.0 %", "0 %")],
)
def test_percentages_line_up_in_columns_and_are_short_in_prose(value: str, expected: str, in_prose: str) -> None:
    """One decimal in a column, none where it is zero in a sentence."""
    assert expected == text.percent(Decimal(value))
    assert in_prose == text.short_percent(Decimal(value))


@pytest.mark.parametrize(
    ("length_ms", "expected"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59_999, "59s"),
        (37 * MINUTE_MS, "37m"),
        (2 * HOUR_MS + 14 * MINUTE_MS, "2h 14m"),
        (3 * HOUR_MS, "3h"),
        (3 * DAY_MS + 4 * HOUR_MS + 59 * MINUTE_MS, "3d 4h"),
    ],
)
def test_a_length_of_time_is_told_in_its_two_largest_units(length_ms: int, expected: str) -> None:
    """From seconds to days."""
    assert expected == text.duration(length_ms)


@pytest.mark.parametrize(
    ("ts_ms", "now_ms", "expected"),
    [
        (T, T + 3_000, "3s ago"),
        (T, T + DAY_MS, "2025-01-01 00:00:00"),
        (T + 1, T, "2025-01-01 00:00:00"),
        (0, T, "—"),
    ],
)
def test_what_is_recent_is_told_by_its_age(ts_ms: int, now_ms: int, expected: str) -> None:
    """What lies a day back, or in a replay's own time, is told by its date; never is a dash."""
    assert expected == text.ago(ts_ms, now_ms)


def test_numbers_align_at_the_decimal_point() -> None:
    """Every text gets the spaces that its fraction lacks."""
    assert ["100  ", "2.5", "—  "] == text.align_points(["100", "2.5", "—"])
    assert [] == text.align_points([])


def test_a_count_agrees_with_its_noun() -> None:
    """One trade, two trades, three entries."""
    expected = ["1 trade", "1,000 trades", "0 entries"]
    assert expected == [text.count(1, "trade"), text.count(1000, "trade"), text.count(0, "entry", "entries")]


@pytest.mark.parametrize(
    ("many", "expected"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (2_850_000, "2.9 MB"), (3_100_000_000_000, "3,100.0 GB")],
)
def test_sizes_have_one_digit_behind_the_point(many: int, expected: str) -> None:
    """In the largest unit that leaves one in front of it."""
    assert expected == text.size(many)
