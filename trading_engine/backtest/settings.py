"""The engine's settings as the numbers of the loop.

What belongs here: one conversion, with nothing decided. What does not: reading configuration (runtime.configured).
"""

from collections.abc import Sequence
from decimal import Decimal

from trading_engine.backtest.tables import (
    MOST_GROUPS,
    MOST_STEPS,
    MOST_TIERS,
    NEVER,
    Candles,
    Desk,
    Funding,
    Plan,
    Records,
    Settings,
    records,
)
from trading_engine.core.settings import CooldownScope, EngineSettings
from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.order_type import OrderType
from trading_engine.rules.exits import Follow
from trading_engine.rules.integers import PPM
from trading_engine.venues.embedded.terms import Contract, Terms


def loop_rules(settings: EngineSettings, terms: Terms, deposit: Decimal, interval_ms: int) -> Records:
    """Every number a decision or a fill depends on, as one record; latency is counted in candles of `interval_ms`.

    ConfigInvalid for more groups than there is room.
    """
    limits, exits, sizing = settings.limits, settings.exits, settings.sizing
    values = {
        "deposit_e8": money.to_e8(deposit),
        "leverage_milli": terms.leverage_milli,
        "taker_fee_e8": terms.taker_fee_e8,
        "maker_fee_e8": terms.maker_fee_e8,
        "slippage_ppm": terms.slippage_ppm,
        "slippage_range_ppm": terms.slippage_range_ppm,
        "impact_ppm": terms.impact_ppm,
        "latency_ms": terms.latency_candles * interval_ms,
        "volume_share_ppm": terms.volume_share_ppm,
        "risk_ppm": sizing.risk_ppm,
        "cap_ppm": sizing.cap_ppm,
        "cap_money_e8": sizing.cap_money_e8,
        "sizing_fee_e8": sizing.taker_fee_e8,
        "method": sizing.method,
        "money_e8": sizing.money_e8,
        "volatility_ppm": sizing.volatility_ppm,
        "kelly_share_ppm": sizing.kelly_share_ppm,
        "kelly_cap_ppm": sizing.kelly_cap_ppm,
        "kelly_trades": sizing.kelly_trades,
        "win_step_milli": sizing.win_step_milli,
        "win_most_milli": sizing.win_most_milli,
        "recovery_milli": sizing.recovery_milli,
        "asks_record": sizing.asks_record,
        "ladder_ppm": sizing.ladder[0] if sizing.ladder else PPM,
        "target_is_limit": exits.target_order is OrderType.LIMIT,
        "max_age_ms": exits.max_age_ms,
        "close_on_max_age": exits.close_on_max_age,
        "tighten_milli": exits.tighten_milli,
        "exit_on_opposite": exits.exit_on_opposite,
        "entry_ttl_ms": settings.execution.entry_ttl_ms,
        "rejects_to_freeze": limits.rejects_to_freeze,
        "daily_loss_ppm": limits.daily_loss_ppm,
        "daily_loss_money_e8": limits.daily_loss_money_e8,
        "day_start_ms": limits.day_start_ms,
        "drawdown_ppm": limits.drawdown_ppm,
        "flatten_on_drawdown": limits.flatten_on_drawdown,
        "consecutive_losses": limits.consecutive_losses,
        "streak_pause_ms": limits.streak_pause_ms,
        "cooldown_ms": limits.cooldown_ms,
        "cooldown_is_global": limits.cooldown_scope is CooldownScope.GLOBAL,
        "portfolio_risk_ppm": limits.portfolio_risk_ppm,
        "max_positions": limits.max_positions,
        "position_ppm": limits.position_ppm,
        "min_balance_ppm": limits.min_balance_ppm,
        "max_leverage_milli": limits.max_leverage_milli,
        "group_share_ppm": [*(group.share_ppm for group in limits.groups), *[0] * MOST_GROUPS][:MOST_GROUPS],
        "refuses_liquidation": limits.refuses_liquidation,
        "drawdown_days": limits.drawdown_days,
        "shock_range_ppm": limits.shock_range_ppm,
        "shock_atr_milli": limits.shock_atr_milli,
        "shock_pause_ms": limits.shock_pause_ms,
        "flatten_on_shock": limits.flatten_on_shock,
    }
    if len(limits.groups) > MOST_GROUPS:
        raise ConfigInvalid(f"risk.groups: at most {MOST_GROUPS} for a backtest; there are {len(limits.groups)}")
    made = records(Settings, 1)
    for name in made.dtype.names or ():
        made[name] = values[name]
    return made


def loop_desks(settings: EngineSettings, symbols: Sequence[str], candles: Candles, funding: Funding) -> Records:
    """One desk a symbol, with nothing open. ConfigInvalid for more maintenance tiers than it has room for."""
    desks = records(Desk, len(symbols))
    for s, symbol in enumerate(symbols):
        contract, desk = Contract.of(settings.instruments[symbol]), desks[s]
        if len(contract.tiers) > MOST_TIERS:
            raise ConfigInvalid(f"{symbol} has {len(contract.tiers)} maintenance tiers; at most {MOST_TIERS} are known")
        desk.value_e8, desk.min_notional_e8 = contract.value_e8, contract.min_notional_e8
        desk.min_steps, desk.max_steps = contract.min_steps, contract.max_steps
        desk.tiers[:] = [*contract.tiers, *[contract.tiers[-1]] * (MOST_TIERS - len(contract.tiers))]
        for at, group in enumerate(settings.limits.groups[:MOST_GROUPS]):
            desk.groups[at] = symbol in group.symbols
        desk.at, desk.end = candles.start[s], candles.start[s + 1]
        desk.funded, desk.funded_end = funding.start[s], funding.start[s + 1]
    return desks


def loop_plans(settings: EngineSettings, strategies: Sequence[str]) -> Records:
    """One row a strategy. ConfigInvalid for more partial exits or trailing steps than the loop has room for."""
    plans = records(Plan, max(1, len(strategies)))
    plans["trail_at_milli"] = NEVER
    for row, name in enumerate(strategies):
        plan = settings.exits.plan(name)
        if max(len(plan.partials), len(plan.trailing)) > MOST_STEPS:
            raise ConfigInvalid(f"exits: at most {MOST_STEPS} partials and {MOST_STEPS} trailing steps, for a backtest")
        for at, part in enumerate(plan.partials):
            plans["partial_at_milli"][row, at] = part.at_milli
            plans["partial_share_ppm"][row, at] = part.share_ppm
        for at, step in enumerate(plan.trailing):
            plans["trail_at_milli"][row, at] = step.at_milli
            plans["trail_to_milli"][row, at] = step.to_milli
        for field, value in zip(Follow._fields, plan.follow, strict=True):
            plans[f"follow_{field}"][row] = value
    return plans
