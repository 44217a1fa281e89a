"""The keys of the limits that stop entries.

What belongs here: the section `risk` and its checks. What does not: the arithmetic (rules.limits).
"""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, field_validator

from trading_engine.config import fields
from trading_engine.config.fields import (
    Flag,
    Leverage,
    Money,
    Name,
    Percent,
    PercentOrZero,
    Symbol,
    TimeOfDay,
    TimesOrZero,
    mistake,
)
from trading_engine.config.section import Section
from trading_engine.domain.time import HOUR_MS, MINUTE_MS


class GroupConfig(Section):
    """Symbols that tend to fall together."""

    symbols: Annotated[tuple[Symbol, ...], Field(min_length=1, description="Which; each of the top-level symbols.")]
    max_pct: Annotated[Percent, Field(description="Notional of their positions together, percent of equity.")] = (
        Decimal(20)
    )

    @field_validator("symbols")
    @classmethod
    def _symbols_differ(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in value if value.count(name) > 1})
        if twice:
            raise mistake(f"names {', '.join(twice)} more than once")
        return value


class RiskConfig(Section):
    """Limits that stop entries; counted from realized PnL, net of fees and funding."""

    max_daily_loss_pct: Annotated[
        Percent,
        Field(description="Loss of a day, percent of its starting balance, that ends entries for that day."),
    ] = Decimal(5)
    max_daily_loss_money: Annotated[
        Money | None, Field(description="The same as an amount; null for none. The tighter one counts.")
    ] = None
    day_start: Annotated[TimeOfDay, Field(description='When a trading day begins, UTC, as "HH:MM".')] = "00:00"
    max_drawdown_pct: Annotated[
        Percent,
        Field(description="Fall of realized equity from its peak, percent, that stops until resumed."),
    ] = Decimal(10)
    drawdown_days: Annotated[
        Annotated[int, fields.count(1, 365, "days")] | None,
        Field(description="How many days that peak counts, today included; null for ever."),
    ] = None
    on_drawdown: Annotated[
        Literal["keep", "flatten"],
        Field(description="At the drawdown limit: keep positions behind their stops, or close all."),
    ] = "keep"
    max_consecutive_losses: Annotated[
        Annotated[int, fields.count(0, 1_000, "losses", " (0 for no limit)")],
        Field(description="Losses in a row that pause entries; 0 for no limit."),
    ] = 3
    streak_pause_hours: Annotated[
        Annotated[
            int, fields.count(0, 8_760, "hours", " (0 until resumed; max_consecutive_losses: 0 switches it off)")
        ],
        Field(description="Length of that pause, hours; 0 until an operator resumes."),
    ] = 12
    half_size_after_streak: Annotated[
        Flag, Field(description="After that pause make positions half as large, until the first gain.")
    ] = False
    cooldown_minutes: Annotated[
        Annotated[int, fields.count(0, 525_600, "minutes", " (0 for no cooldown)")],
        Field(description="Pause of entries after a losing position, minutes; 0 for none."),
    ] = 60
    cooldown_scope: Annotated[
        Literal["global", "symbol"], Field(description="Whether that pause holds for all symbols or its own.")
    ] = "global"
    max_portfolio_risk_pct: Annotated[
        Percent, Field(description="Open risk to all stops together, percent of equity.")
    ] = Decimal(5)
    max_positions: Annotated[
        Annotated[int, fields.count(1, 1_000, "positions")],
        Field(description="Positions at a time, pending ones included."),
    ] = 3
    max_position_pct: Annotated[
        Percent, Field(description="Notional of one position, percent of equity; an entry above is refused.")
    ] = Decimal(40)
    groups: Annotated[
        dict[Name, GroupConfig],
        Field(description="By name, symbols whose positions together are bounded; none by default."),
    ] = {}  # noqa: RUF012 - pydantic copies it
    min_balance_pct: Annotated[
        PercentOrZero,
        Field(description="Balance below which no entry is made, percent of the starting balance; 0: off."),
    ] = Decimal(10)
    max_range_pct: Annotated[
        PercentOrZero,
        Field(description="A candle with a wider range, percent of its low, pauses entries on its symbol; 0: off."),
    ] = Decimal(10)
    max_atr_ratio: Annotated[
        TimesOrZero,
        Field(
            description="So does an average true range (14 candles) above so many times its median of 24 hours; 0: off."
        ),
    ] = Decimal(0)
    volatility_pause_minutes: Annotated[
        Annotated[int, fields.count(1, 10_080, "minutes")], Field(description="Length of that pause, minutes.")
    ] = 30
    on_volatility: Annotated[
        Literal["keep", "flatten"],
        Field(description="At such a candle: keep the symbol's position behind its stop, or close it."),
    ] = "keep"
    on_outage: Annotated[
        Literal["keep", "flatten"],
        Field(
            description="When a venue is back that was out of reach for execution.outage_alert_s: keep, or close all."
        ),
    ] = "keep"
    max_errors: Annotated[
        Annotated[int, fields.count(0, 1_000, "errors", " (0 for no limit)")],
        Field(description="Questions to the venue in a row without an answer that block entries; 0 for no limit."),
    ] = 5
    errors_cool_off_s: Annotated[
        Annotated[int, fields.seconds(1, 86_400)],
        Field(description="… until it answers, after so long at the earliest, s."),
    ] = 60
    max_leverage: Annotated[Leverage, Field(description="The most that `leverage` may ask for.")] = Decimal(5)
    refuse_beyond_liquidation: Annotated[
        Flag, Field(description="Refuse an entry whose stop lies beyond its estimated liquidation price.")
    ] = True
    liquidation_alert_pct: Annotated[
        PercentOrZero,
        Field(description="Alert when the price is so near to a liquidation price, percent of it; 0: off."),
    ] = Decimal(5)

    @property
    def day_start_ms(self) -> int:
        """How long after midnight UTC a trading day begins, ms."""
        hours, minutes = self.day_start.split(":")
        return int(hours) * HOUR_MS + int(minutes) * MINUTE_MS
