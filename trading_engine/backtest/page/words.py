"""Figures as a person reads them.

What belongs here: text of numbers, times and lengths. What does not: exact values (shape).
"""

from decimal import Decimal

from trading_engine.domain.time import DAY_MS, HOUR_MS, iso

NOTHING = "–"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def amount(value: Decimal | float | None) -> str:
    """Money to two places, `1,234.50`."""
    if value is None:
        return NOTHING
    return "0.00" if round(value, 2) == 0 else f"{value:,.2f}".replace("-", "−")


def signed(value: Decimal | float | None) -> str:
    """Money or another figure to two places with its sign, `+1,234.50`."""
    if value is None:
        return NOTHING
    return "0.00" if round(value, 2) == 0 else f"{value:+,.2f}".replace("-", "−")


def percent(value: float | None) -> str:
    """A change in percent with its sign, `+1.25 %`."""
    return NOTHING if value is None else f"{signed(value)} %"


def share(value: float | None) -> str:
    """A part in percent, `41.3 %`."""
    return NOTHING if value is None else f"{value:.1f} %"


def ratio(value: float | None) -> str:
    """A ratio to two places."""
    return amount(value)


def multiple(value: float | None) -> str:
    """A result in R with its sign."""
    return NOTHING if value is None else f"{signed(value)} R"


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 trade`, `2 trades`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def hours(value: float | None) -> str:
    """A length of time in the two largest units that matter, `3 d 4 h`."""
    if value is None:
        return NOTHING
    minutes = round(value * 60)
    days, hour, minute = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days:,} d {hour} h"
    return f"{hour} h {minute} min" if hour else f"{minute} min"


def moment(ts_ms: int) -> str:
    """`4 May 2025`, and the time of day unless it is midnight, UTC."""
    text = iso(ts_ms)
    told = f"{int(text[8:10])} {_MONTHS[int(text[5:7]) - 1]} {text[:4]}"
    return told if ts_ms % DAY_MS == 0 else f"{told} {text[11:16]}"


def span(from_ms: int, to_ms: int) -> str:
    """`51 days`, or hours where it is less than two days."""
    length = to_ms - from_ms
    return count(round(length / DAY_MS), "day") if length >= 2 * DAY_MS else hours(length / HOUR_MS)


def tone(value: Decimal | float | None) -> str:
    """The class that colours a result."""
    if value is None or round(value, 2) == 0:
        return "flat"
    return "gain" if value > 0 else "loss"
