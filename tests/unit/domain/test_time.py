"""Instants, days and their names."""

import pytest

from trading_engine.domain import time

T0 = 1_735_689_600_000  # 2025-01-01T00:00:00Z
HOUR = time.HOUR_MS


@pytest.mark.parametrize(
    ("ts_ms", "day_start_ms", "day", "next_day_ms"),
    [
        (T0, 0, "2025-01-01", T0 + 24 * HOUR),
        (T0 - 1, 0, "2024-12-31", T0),
        (T0 + 24 * HOUR - 1, 0, "2025-01-01", T0 + 24 * HOUR),
        (T0 + HOUR, 2 * HOUR, "2024-12-31", T0 + 2 * HOUR),
        (T0 + 2 * HOUR, 2 * HOUR, "2025-01-01", T0 + 26 * HOUR),
    ],
)
def test_an_instant_belongs_to_one_trading_day(ts_ms: int, day_start_ms: int, day: str, next_day_ms: int) -> None:
    """The boundary itself begins the new day, wherever it lies."""
    assert day == time.day_of(ts_ms, day_start_ms)
    assert next_day_ms == time.next_day_ms(ts_ms, day_start_ms)


def test_an_interval_starts_at_or_before_the_instant() -> None:
    """Aligned to UTC."""
    assert T0 == time.floor_to(T0 + HOUR - 1, HOUR)
    assert T0 == time.floor_to(T0, HOUR)


def test_a_late_stamp_is_rounded_to_its_minute() -> None:
    """Half a minute goes up."""
    assert T0 == time.round_to_minute(T0 + 29_999)
    assert T0 + 60_000 == time.round_to_minute(T0 + 30_000)


def test_an_instant_has_a_text_that_reads_back() -> None:
    """ISO 8601 in UTC with milliseconds."""
    assert "2025-01-01T00:00:00.007Z" == time.iso(T0 + 7)
    assert T0 + 7 == time.parse_iso(time.iso(T0 + 7))


@pytest.mark.parametrize("text", ["2025-01-01", "2025-01-01T00:00:00", "2025-01-01T02:00:00+02:00"])
def test_a_time_without_an_offset_is_utc(text: str) -> None:
    """A date, a naive time and an offset name the same instant."""
    assert T0 == time.parse_iso(text)


def test_a_text_that_is_no_time_is_refused() -> None:
    """ValueError, as promised."""
    with pytest.raises(ValueError, match="yesterday"):
        time.parse_iso("yesterday")


@pytest.mark.parametrize(
    ("interval_ms", "name"),
    [
        (60_000, "1m"),
        (900_000, "15m"),
        (3_600_000, "1h"),
        (86_400_000, "1d"),
        (5_000, "5s"),
        (250, "250ms"),
        (90_000, "90s"),
    ],
)
def test_an_interval_is_named_by_its_largest_unit(interval_ms: int, name: str) -> None:
    """The names that exchanges use."""
    assert name == time.interval_name(interval_ms)
