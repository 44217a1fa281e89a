"""The keys that say how positions are left other than by stop and target.

What belongs here: the section `exits` and its checks. What does not: the levels themselves (rules.exits).
"""

from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from trading_engine.config import fields
from trading_engine.config.fields import Flag, Percent, Times, TimesOrZero, mistake
from trading_engine.config.section import Section

_ALL_PERCENT = 100


def _not_ascending(levels: list[Decimal]) -> list[str]:
    if any(later <= earlier for earlier, later in pairwise(levels)):
        return ["does not climb in at_r (each must be above the one before)"]
    return []


def _one_of(section: Section) -> None:
    given = [name for name in type(section).model_fields if getattr(section, name) is not None]
    if len(given) != 1:
        names = ", ".join(type(section).model_fields)
        raise mistake(f"has {' and '.join(given) or 'nothing'}; give exactly one of {names}")


class StopConfig(Section):
    """Where a strategy's stop is put, in place of its own word."""

    percent: Annotated[
        Annotated[Decimal, fields.percent(50)] | None, Field(description="Distance from the close, percent of it.")
    ] = None
    atr: Annotated[
        Times | None,
        Field(description="… average true ranges of the strategy's candles (period exits.atr_period)."),
    ] = None

    @model_validator(mode="after")
    def _is_one(self) -> "StopConfig":
        _one_of(self)
        return self


class TargetConfig(Section):
    """Where a strategy's target is put, in place of its own word."""

    percent: Annotated[
        Annotated[Decimal, fields.percent(1_000)] | None, Field(description="Distance from the close, percent of it.")
    ] = None
    atr: Annotated[
        Times | None,
        Field(description="… average true ranges of the strategy's candles (period exits.atr_period)."),
    ] = None
    r: Annotated[Times | None, Field(description="… distances to the stop.")] = None

    @model_validator(mode="after")
    def _is_one(self) -> "TargetConfig":
        _one_of(self)
        return self


class PartialConfig(Section):
    """One step of the ladder of partial profits."""

    at_r: Annotated[Times, Field(description="Distance from entry, in multiples of the initial risk (R).")]
    share_pct: Annotated[Percent, Field(description="Share of the position's full size to close, percent.")]


class TrailingConfig(Section):
    """One step of the ladder of stop moves."""

    at_r: Annotated[Times, Field(description="Once the price has gone this far in favour, multiples of R.")]
    to_r: Annotated[
        Annotated[
            Decimal,
            fields.Within(
                "a number from 0 (break-even) to below its at_r", least=0, most=1_000, finest=fields.THOUSANDTH
            ),
        ],
        Field(description="… the stop moves here, multiples of R from entry; 0 is break-even."),
    ]

    @field_validator("to_r")
    @classmethod
    def _behind_the_price(cls, value: Decimal, info: ValidationInfo) -> Decimal:
        at_r = info.data.get("at_r")
        if at_r is not None and value >= at_r:
            raise mistake(f"is not below its at_r = {at_r}; the stop would be at or beyond the price")
        return value


class ExitsConfig(Section):
    """How positions are left other than by stop and target."""

    partials: Annotated[
        tuple[PartialConfig, ...],
        Field(description="Partial profits, by ascending at_r; the rest leaves at the target."),
    ] = (
        PartialConfig(at_r=Decimal(2), share_pct=Decimal(30)),
        PartialConfig(at_r=Decimal(4), share_pct=Decimal(40)),
    )
    trailing: Annotated[
        tuple[TrailingConfig, ...],
        Field(description="Moves of the stop, by ascending at_r; it never moves away from the price."),
    ] = (
        TrailingConfig(at_r=Decimal(3), to_r=Decimal(1)),
        TrailingConfig(at_r=Decimal(5), to_r=Decimal(3)),
    )
    break_even_at_r: Annotated[
        Times | None,
        Field(description="Once the price has gone this far in favour the stop moves to the entry; null for off."),
    ] = None
    trail_pct: Annotated[
        Annotated[Decimal, fields.percent(50)] | None,
        Field(description="The stop follows each close at this distance, percent of it; null for off."),
    ] = None
    trail_atr: Annotated[
        Times | None,
        Field(
            description="The stop follows each close at so many average true ranges, as they were at the signal; "
            "null for off. With trail_pct as well the nearer one counts."
        ),
    ] = None
    trail_from_r: Annotated[
        TimesOrZero,
        Field(description="… only for closes this far in favour, multiples of R; 0 for all."),
    ] = Decimal(0)
    atr_period: Annotated[
        Annotated[int, fields.count(2, 500, "candles")],
        Field(description="Period of that average true range, candles of the strategy."),
    ] = 14
    target_order: Annotated[
        Literal["limit", "take_profit_market"],
        Field(description="Order that rests at the target: limit (maker fee) or take_profit_market."),
    ] = "limit"
    max_age_hours: Annotated[
        Annotated[int, fields.count(0, 8_760, "hours", " (0 for no limit)")],
        Field(description="Age at which a position is treated by on_max_age, hours; 0 for no limit."),
    ] = 24
    on_max_age: Annotated[
        Literal["alert", "tighten", "close"],
        Field(
            description="What happens to a position older than max_age_hours: alert, tighten (its stop follows each "
            "close at tighten_to_r) or close."
        ),
    ] = "alert"
    tighten_to_r: Annotated[
        Times, Field(description="Distance at which the stop of such a position follows, multiples of R.")
    ] = Decimal("0.5")
    exit_on_opposite: Annotated[
        Flag,
        Field(description="Close a position on a signal for the other side; it is never reversed."),
    ] = False

    @field_validator("trail_from_r")
    @classmethod
    def _something_trails(cls, value: Decimal, info: ValidationInfo) -> Decimal:
        keys = ("trail_pct", "trail_atr")
        if value and all(key in info.data and info.data[key] is None for key in keys):
            raise mistake("has no effect without trail_pct or trail_atr; set one of them, or leave it out")
        return value

    @field_validator("partials")
    @classmethod
    def _partials_climb(cls, value: tuple[PartialConfig, ...]) -> tuple[PartialConfig, ...]:
        wrong = _not_ascending([step.at_r for step in value])
        total = sum(step.share_pct for step in value)
        if total >= _ALL_PERCENT:
            wrong.append(f"closes {total} % in all (keep the sum of share_pct below 100, the rest is the target's)")
        if wrong:
            raise mistake(" and ".join(wrong))
        return value

    @field_validator("trailing")
    @classmethod
    def _trailing_climbs(cls, value: tuple[TrailingConfig, ...]) -> tuple[TrailingConfig, ...]:
        wrong = _not_ascending([step.at_r for step in value])
        if any(later.to_r <= earlier.to_r for earlier, later in pairwise(value)):
            wrong.append("does not climb in to_r (each must be above the one before)")
        if wrong:
            raise mistake(" and ".join(wrong))
        return value
