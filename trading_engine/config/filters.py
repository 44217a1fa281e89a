"""The keys of the filters that stand between a strategy's signal and an entry.

What belongs here: these sections and their checks. What does not: what a filter does (strategy.filters), which
candles it needs (runtime).

Each filter is off until its section stands there; `{}` switches it on with its defaults.
"""

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.functional_validators import AfterValidator

from trading_engine.config import fields
from trading_engine.config.fields import Multiple, Symbol, mistake
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS

_INTERVAL = re.compile(r"([1-9][0-9]{0,3})([mhd])")
_UNITS_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
_MOST_INTERVAL_MS = 7 * DAY_MS
_HOURS = re.compile(r"([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})")
_DAY_MINUTES = 24 * 60
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def interval_ms(text: str) -> int:
    """`15m`, `4h` or `1d` as milliseconds; 0 for any other text."""
    found = _INTERVAL.fullmatch(text)
    return int(found[1]) * _UNITS_MS[found[2]] if found else 0


def minutes_of(text: str) -> tuple[int, int] | None:
    """`07:00-20:30` as minutes of the day, None where it is not that; `24:00` ends a day."""
    found = _HOURS.fullmatch(text)
    if not found:
        return None
    parts = [int(part) for part in found.groups()]
    start, end = parts[0] * 60 + parts[1], parts[2] * 60 + parts[3]
    is_clock = parts[1] < 60 and parts[3] < 60 and start < _DAY_MINUTES and end <= _DAY_MINUTES and start != end
    return (start, end) if is_clock else None


def _interval(text: str) -> str:
    if not 0 < interval_ms(text) <= _MOST_INTERVAL_MS:
        raise mistake("is not an interval of candles (write 15m, 4h or 1d; at most 7d)")
    return text


def _hours(text: str) -> str:
    if minutes_of(text) is None:
        raise mistake('are not hours of a day (write them as "07:00-20:30", UTC; "22:00-02:00" passes midnight)')
    return text


Interval = Annotated[str, AfterValidator(_interval)]
Hours = Annotated[str, AfterValidator(_hours)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_Count = Annotated[int, fields.count(2, 1_000, "candles")]


class FilterSection(BaseModel):
    """Frozen, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        defer_build=True,  # only the outermost model validates
    )


class TrendFilterConfig(FilterSection):
    """Longs only above, shorts only below an average of higher candles."""

    interval: Annotated[Interval, Field(description="Candles of the trend, as 1d or 4h.")] = "1d"
    period: Annotated[_Count, Field(description="Period of their EMA; so many closed ones must be known.")] = 200


class ReferenceFilterConfig(TrendFilterConfig):
    """The same, asked of another symbol."""

    symbol: Annotated[Symbol, Field(description="The symbol whose trend counts; one of the top-level symbols.")] = (
        "BTCUSDT"
    )


class VolatilityFilterConfig(FilterSection):
    """No entries while the market is wilder than usual."""

    interval: Annotated[Interval | None, Field(description="Candles it looks at; null for the strategy's own.")] = None
    period: Annotated[_Count, Field(description="Period of ATR.")] = 14
    mean_period: Annotated[_Count, Field(description="Candles whose mean ATR is the usual one.")] = 100
    most: Annotated[Multiple, Field(description="No entry while ATR is above so many times its mean.")] = Decimal(2)


class VolumeFilterConfig(FilterSection):
    """No entries while hardly anybody trades."""

    interval: Annotated[Interval | None, Field(description="Candles it looks at; null for the strategy's own.")] = None
    period: Annotated[_Count, Field(description="Candles whose mean volume is the usual one, the last included.")] = 20
    least: Annotated[Multiple, Field(description="No entry below so many times the mean volume.")] = Decimal("0.8")


class SessionFilterConfig(FilterSection):
    """Entries at certain times only, UTC."""

    hours: Annotated[
        tuple[Hours, ...],
        Field(description='When entries may be made, as ["07:00-20:30"], UTC, the end excluded; [] for all day.'),
    ] = ()
    weekdays: Annotated[
        tuple[Weekday, ...], Field(description="On which days, as [mon, tue, wed, thu, fri]; [] for every day.")
    ] = ()

    @field_validator("weekdays")
    @classmethod
    def _days_differ(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({day for day in value if value.count(day) > 1})
        if twice:
            raise mistake(f"names {', '.join(twice)} more than once")
        return value


class RewardRiskFilterConfig(FilterSection):
    """No entries whose target is not worth their stop."""

    least: Annotated[
        Multiple, Field(description="Least distance to the target, in distances to the stop; no target is refused.")
    ] = Decimal("1.5")


class FiltersConfig(FilterSection):
    """What keeps signals of a strategy from becoming entries; exits are never filtered."""

    trend: Annotated[
        TrendFilterConfig | None, Field(description="Only with the trend of higher candles; null for off.")
    ] = None
    reference: Annotated[
        ReferenceFilterConfig | None, Field(description="Only with the trend of another symbol; null for off.")
    ] = None
    volatility: Annotated[
        VolatilityFilterConfig | None, Field(description="Not while ATR is far above its mean; null for off.")
    ] = None
    volume: Annotated[
        VolumeFilterConfig | None, Field(description="Not while volume is far below its mean; null for off.")
    ] = None
    session: Annotated[
        SessionFilterConfig | None, Field(description="Only in certain hours and on certain days; null for off.")
    ] = None
    reward_risk: Annotated[
        RewardRiskFilterConfig | None, Field(description="Only with a target worth the stop; null for off.")
    ] = None

    @field_validator("session")
    @classmethod
    def _session_filters_something(cls, value: SessionFilterConfig | None) -> SessionFilterConfig | None:
        if value is not None and not value.hours and not value.weekdays:
            raise mistake("has neither hours nor weekdays; give one of them, or leave it out")
        return value
