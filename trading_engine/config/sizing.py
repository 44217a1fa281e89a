"""The keys that say how large a position becomes.

What belongs here: the section `sizing` and its checks. What does not: the arithmetic (rules.sizing).
"""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from trading_engine.config import fields
from trading_engine.config.fields import Flag, Money, Percent, mistake, mistakes
from trading_engine.config.section import Section

_MOST_RUNGS = 10
_ALL_PERCENT = 100


class SizingConfig(Section):
    """How large a position becomes; the tightest bound wins."""

    method: Annotated[
        Literal["fixed_fraction", "fixed_money", "volatility", "kelly"],
        Field(
            description="fixed_fraction: risk_pct is lost at the stop; fixed_money: a notional of `money`; volatility: "
            "one average true range moves volatility_pct of the balance; kelly: the closed trades say what is lost "
            "at the stop. The bounds below hold for each."
        ),
    ] = "fixed_fraction"
    risk_pct: Annotated[Percent, Field(description="Share of equity lost if a position's stop is hit, percent.")] = (
        Decimal("0.5")
    )
    money: Annotated[Money | None, Field(description="Notional of a position by method fixed_money, money.")] = None
    volatility_pct: Annotated[
        Percent | None,
        Field(
            description="Share of the balance that one average true range of the strategy's candles (period "
            "exits.atr_period) moves, by method volatility, percent."
        ),
    ] = None
    kelly_share_pct: Annotated[
        Percent, Field(description="How much of what Kelly recommends is put at risk, percent.")
    ] = Decimal(25)
    kelly_max_risk_pct: Annotated[Percent, Field(description="… at most, percent of the balance.")] = Decimal(2)
    kelly_trades: Annotated[
        Annotated[int, fields.count(30, 200, "trades")],
        Field(description="How many of the last closed trades it looks at; below 30 of them risk_pct counts."),
    ] = 100
    win_streak: Annotated[
        Flag,
        Field(description="Multiply sizes by win_streak_factor for each gain in a row; a loss ends it."),
    ] = False
    win_streak_factor: Annotated[
        Annotated[Decimal, fields.Within("a factor above 1, up to 10", above=1, most=10, finest=fields.THOUSANDTH)],
        Field(description="… this much for each."),
    ] = Decimal("1.25")
    win_streak_most: Annotated[
        Annotated[Decimal, fields.Within("a factor above 1, up to 10", above=1, most=10, finest=fields.THOUSANDTH)],
        Field(description="… and so much at most."),
    ] = Decimal(2)
    max_position_pct: Annotated[
        Annotated[Decimal, fields.percent(40)],
        Field(description="Notional of one position, percent of equity; at most 40."),
    ] = Decimal(20)
    max_position_money: Annotated[
        Money | None, Field(description="Notional of one position, money; null for no such bound.")
    ] = None

    ladder_pct: Annotated[
        tuple[Percent, ...] | None,
        Field(
            description="Shares of the size, as [25, 35, 40]: of the first entry, and of what each further signal of "
            "the strategy for the same side adds; null for one entry of the whole size."
        ),
    ] = None

    @field_validator("ladder_pct")
    @classmethod
    def _rungs_make_a_ladder(cls, value: tuple[Decimal, ...] | None) -> tuple[Decimal, ...] | None:
        if value is not None and not 2 <= len(value) <= _MOST_RUNGS:
            raise mistake(f"has {len(value)} shares; give 2 to {_MOST_RUNGS}, or null for one entry")
        if value is not None and sum(value) > _ALL_PERCENT:
            raise mistake(f"adds up to {sum(value)} %; keep the sum of the shares at 100 or below")
        return value

    @field_validator("money", "volatility_pct")
    @classmethod
    def _goes_with_the_method(cls, value: Decimal | None, info: ValidationInfo) -> Decimal | None:
        """A number that its method lacks, or that no method reads, is a mistake."""
        method = info.data.get("method")
        needs = {"money": "fixed_money", "volatility_pct": "volatility"}[str(info.field_name)]
        if method == needs and value is None:
            raise mistakes([f"sizing.{info.field_name} is missing: sizing.method = {method} needs it"])
        if method not in (needs, None) and value is not None:
            raise mistake(f"has no effect with sizing.method = {method}; expected {needs}")
        return value
