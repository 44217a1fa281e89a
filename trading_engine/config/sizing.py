"""The keys that say how large a position becomes.

What belongs here: the section `sizing` and its checks. What does not: the arithmetic (rules.sizing).
"""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from trading_engine.config import fields
from trading_engine.config.fields import Money, Percent
from trading_engine.config.section import Section


class SizingConfig(Section):
    """How large a position becomes; the tightest bound wins."""

    risk_pct: Annotated[Percent, Field(description="Share of equity lost if a position's stop is hit, percent.")] = (
        Decimal("0.5")
    )
    max_position_pct: Annotated[
        Annotated[Decimal, fields.percent(40)],
        Field(description="Notional of one position, percent of equity; at most 40."),
    ] = Decimal(20)
    max_position_money: Annotated[
        Money | None, Field(description="Notional of one position, money; null for no such bound.")
    ] = None
