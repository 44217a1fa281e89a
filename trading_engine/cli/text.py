"""Numbers and times as a trader reads them.

What belongs here: pure formatting for people. What does not: the JSON a script reads (shapes), tables and
colours (table).

A missing value is a dash, a loss carries a real minus sign, so that columns line up.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from trading_engine.domain import money
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, iso

DASH = "—"
_MINUS = "\N{MINUS SIGN}"
_CENT = Decimal("0.01")
_AGES = ((DAY_MS, "d", HOUR_MS, "h"), (HOUR_MS, "h", MINUTE_MS, "m"), (MINUTE_MS, "m", 0, ""))


def number(value: Decimal | None) -> str:
    """A price or quantity with all its digits: `61,240.5`."""
    if value is None:
        return DASH
    plain = money.text(abs(value))
    whole, point, fraction = plain.partition(".")
    return f"{_MINUS if value < 0 else ''}{int(whole):,}{point}{fraction}"


def price(value: Decimal | None) -> str:
    """A mean price to eight digits: a tick is never lost, the tail of a division is."""
    if value is None:
        return DASH
    return number(value.quantize(Decimal(1).scaleb(min(value.adjusted() - 7, 0)), ROUND_HALF_EVEN))


def amount(value: Decimal | None) -> str:
    """Money to the cent, without a plus: `1,012.44`."""
    if value is None:
        return DASH
    rounded = value.quantize(_CENT, ROUND_HALF_EVEN)
    return f"{_MINUS if rounded < 0 else ''}{abs(rounded):,}"


def signed(value: Decimal | None) -> str:
    """Money or R to the cent, always with its sign: `+5.20`; nothing made is `0.00`."""
    if value is None:
        return DASH
    rounded = value.quantize(_CENT, ROUND_HALF_EVEN)
    sign = "+" if rounded > 0 else _MINUS if rounded < 0 else ""
    return f"{sign}{abs(rounded):,}"


def percent(value: Decimal, places: int = 1) -> str:
    """A percentage for a column: `45.0 %`."""
    rounded = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    return f"{_MINUS if rounded < 0 else ''}{abs(rounded):,f} %"


def short_percent(value: Decimal) -> str:
    """A percentage for a sentence: `1.1 %`, `5 %`."""
    return percent(value).replace(".0 %", " %")


def duration(length_ms: int) -> str:
    """A length of time in its two largest units: `2h 14m`."""
    for unit_ms, unit, rest_ms, rest in _AGES:
        if length_ms >= unit_ms:
            left = length_ms % unit_ms // rest_ms if rest_ms else 0
            return f"{length_ms // unit_ms}{unit}" + (f" {left}{rest}" if left else "")
    return f"{max(length_ms, 0) // SECOND_MS}s"


def size(many: int) -> str:
    """Bytes in the largest unit that leaves a digit in front of the point: `1.2 MB`."""
    amount = float(many)
    for unit in ("B", "kB", "MB"):
        if amount < 1_000:
            return f"{amount:.1f} {unit}" if unit != "B" else f"{many} B"
        amount /= 1_000
    return f"{amount:,.1f} GB"


def moment(ts_ms: int) -> str:
    """An instant to the second, UTC: `2025-05-04 13:30:00`; never (0) is a dash."""
    return iso(ts_ms)[:19].replace("T", " ") if ts_ms else DASH


def ago(ts_ms: int, now_ms: int) -> str:
    """`3s ago` for what happened within a day, otherwise (another day, another market) the instant."""
    if ts_ms and 0 <= now_ms - ts_ms < DAY_MS:
        return f"{duration(now_ms - ts_ms)} ago"
    return moment(ts_ms)


def align_points(texts: Sequence[str]) -> list[str]:
    """The texts with spaces on the right, so that their decimal points stand below each other."""
    tails = [len(text) - text.index(".") if "." in text else 0 for text in texts]
    widest = max(tails, default=0)
    return [text + " " * (widest - tail) for text, tail in zip(texts, tails, strict=True)]


def count(many: int, one: str, several: str = "") -> str:
    """`1 trade`, `2 trades`."""
    return f"{many:,} {one if many == 1 else several or one + 's'}"
