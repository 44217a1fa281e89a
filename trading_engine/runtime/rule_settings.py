"""The sections of the configuration that the rules go by, in the rules' own units.

What belongs here: sizing, exits and limits as settings of the core. What does not: their keys and ranges (config),
everything else of a run (bootstrap).
"""

from decimal import Decimal

from trading_engine.config.exits import ExitsConfig
from trading_engine.config.model import Config, StrategyConfig
from trading_engine.core.settings import (
    NO_FOLLOW,
    CooldownScope,
    ExitPlan,
    ExitSettings,
    Expected,
    GroupLimit,
    LimitSettings,
    PartialStep,
    SizingSettings,
    TellSettings,
)
from trading_engine.domain import money
from trading_engine.domain.money import E8, ZERO
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.time import HOUR_MS, MINUTE_MS, SECOND_MS
from trading_engine.rules.exits import Follow, TrailStep
from trading_engine.rules.scaling import Method
from trading_engine.strategy.levels import NO_LEVELS, Levels

PARTIALS_BY_DEFAULT = frozenset({"multi_timeframe_long"})
TRAILING_BY_DEFAULT = frozenset({"multi_timeframe_long", "trend_distance_short"})
_PPM_PER_PERCENT = 10_000


def ppm(percent: Decimal) -> int:
    """Percent as parts per million, rounded down."""
    return int(percent * _PPM_PER_PERCENT)


def rate_e8(percent: Decimal) -> int:
    """A rate in percent as 1e-8, rounded down."""
    return int(percent * E8 / 100)


def sizing(config: Config) -> SizingSettings:
    """Section Z."""
    section = config.sizing
    return SizingSettings(
        risk_ppm=ppm(section.risk_pct),
        cap_ppm=ppm(section.max_position_pct),
        cap_money_e8=money.to_e8(section.max_position_money) if section.max_position_money else 0,
        taker_fee_e8=rate_e8(config.paper.taker_fee_pct),
        method=Method[section.method.upper()],
        money_e8=money.to_e8(section.money) if section.money else 0,
        volatility_ppm=ppm(section.volatility_pct or ZERO),
        kelly_share_ppm=ppm(section.kelly_share_pct),
        kelly_cap_ppm=ppm(section.kelly_max_risk_pct),
        kelly_trades=section.kelly_trades,
        win_step_milli=_milli(section.win_streak_factor) if section.win_streak else 1_000,
        win_most_milli=_milli(section.win_streak_most) if section.win_streak else 1_000,
        ladder=tuple(ppm(share) for share in section.ladder_pct or ()),
        recovery_milli=500 if config.risk.half_size_after_streak else 1_000,
    )


def exits(config: Config) -> ExitSettings:
    """Section X: the ladders by each strategy's habit or word, what follows for all that may trail at all."""
    section = config.exits
    return ExitSettings(
        plans={item.name: _plan(section, item) for item in config.strategies},
        target_order=OrderType(section.target_order),
        max_age_ms=section.max_age_hours * HOUR_MS,
        close_on_max_age=section.on_max_age == "close",
        tighten_milli=_milli(section.tighten_to_r) if section.on_max_age == "tighten" else 0,
        exit_on_opposite=section.exit_on_opposite,
    )


def _plan(section: ExitsConfig, item: StrategyConfig) -> ExitPlan:
    takes_partials = item.name in PARTIALS_BY_DEFAULT if item.partials is None else item.partials
    climbs = item.name in TRAILING_BY_DEFAULT if item.trailing is None else item.trailing
    partials = [PartialStep(_milli(step.at_r), ppm(step.share_pct)) for step in section.partials]
    trailing = [TrailStep(_milli(step.at_r), _milli(step.to_r)) for step in section.trailing if climbs]
    follow = NO_FOLLOW
    if item.trailing is not False:
        if section.break_even_at_r is not None:
            trailing.append(TrailStep(_milli(section.break_even_at_r), 0))
        follow = Follow(
            ppm(section.trail_pct or ZERO), _milli(section.trail_atr or ZERO), 0, _milli(section.trail_from_r)
        )
    return ExitPlan(tuple(partials) if takes_partials else (), tuple(trailing), follow)


def atr_periods(config: Config) -> dict[str, int]:
    """The strategies whose entries come with an average true range, because something counts in it."""
    return {
        item.name: config.exits.atr_period
        for item in config.strategies
        if config.sizing.method == "volatility"
        or (config.exits.trail_atr is not None and item.trailing is not False)
        or levels_of(item).asks_atr
    }


def levels(config: Config) -> dict[str, Levels]:
    """The strategies whose stop or target is put somewhere else than they say."""
    found = {item.name: levels_of(item) for item in config.strategies}
    return {name: one for name, one in found.items() if one != NO_LEVELS}


def levels_of(item: StrategyConfig) -> Levels:
    """Where a strategy's stop and target are put; NO_LEVELS for its own word."""
    stop, target = item.stop, item.target
    return Levels(
        stop_percent=float(stop.percent or 0) if stop else 0.0,
        stop_atr=float(stop.atr or 0) if stop else 0.0,
        target_percent=float(target.percent or 0) if target else 0.0,
        target_atr=float(target.atr or 0) if target else 0.0,
        target_r=float(target.r or 0) if target else 0.0,
    )


def _milli(number: Decimal) -> int:
    return int(number * 1000)


def limits(config: Config) -> LimitSettings:
    """Section R."""
    risk = config.risk
    return LimitSettings(
        daily_loss_ppm=ppm(risk.max_daily_loss_pct),
        daily_loss_money_e8=money.to_e8(risk.max_daily_loss_money) if risk.max_daily_loss_money else 0,
        day_start_ms=risk.day_start_ms,
        drawdown_ppm=ppm(risk.max_drawdown_pct),
        flatten_on_drawdown=risk.on_drawdown == "flatten",
        consecutive_losses=risk.max_consecutive_losses,
        streak_pause_ms=risk.streak_pause_hours * HOUR_MS,
        cooldown_ms=risk.cooldown_minutes * MINUTE_MS,
        cooldown_scope=CooldownScope(risk.cooldown_scope),
        portfolio_risk_ppm=ppm(risk.max_portfolio_risk_pct),
        max_positions=risk.max_positions,
        position_ppm=ppm(risk.max_position_pct),
        min_balance_ppm=ppm(risk.min_balance_pct),
        groups=tuple(
            GroupLimit(name, frozenset(group.symbols), ppm(group.max_pct)) for name, group in risk.groups.items()
        ),
        max_leverage_milli=int(risk.max_leverage * 1000),
        refuses_liquidation=risk.refuse_beyond_liquidation,
        liquidation_near_ppm=ppm(risk.liquidation_alert_pct),
        drawdown_days=risk.drawdown_days or 0,
        shock_range_ppm=ppm(risk.max_range_pct),
        shock_atr_milli=_milli(risk.max_atr_ratio),
        shock_pause_ms=risk.volatility_pause_minutes * MINUTE_MS,
        flatten_on_shock=risk.on_volatility == "flatten",
        errors_to_block=risk.max_errors,
        errors_cool_off_ms=risk.errors_cool_off_s * SECOND_MS,
        flatten_after_outage=risk.on_outage == "flatten",
    )


def tell(config: Config, latency_ms: int = 0) -> TellSettings:
    """Section A: what is worth an alert beyond orders and limits; an order that is under way so long is not stuck."""
    alerts = config.alerts
    return TellSettings(
        daily=alerts.daily_summary,
        hourly=alerts.hourly_summary,
        slippage_ppm=ppm(alerts.slippage_pct),
        slow_call_ms=alerts.slow_call_ms,
        slow_calls=alerts.slow_calls,
        stuck_ms=alerts.stuck_minutes * MINUTE_MS + latency_ms if alerts.stuck_minutes else 0,
        disk_low_mb=alerts.disk_free_mb,
        least_trades=alerts.expected_after_trades,
        expected={
            item.name: Expected(ppm(item.expected.win_rate_pct), _milli(item.expected.profit_factor))
            for item in config.strategies
            if item.expected is not None
        },
    )
