"""The account of a run over arrays: bookings, closed trades, and what the limits say.

What belongs here: sums that the limits are judged on, as `core.risk` takes them from the book. What does not: the
limits' arithmetic (rules.limits), fills (matching). In the subset of Python that numba compiles.
"""

from trading_engine.backtest.tables import (
    CLOSED_MS,
    CLOSED_NET_E8,
    CLOSED_NUMBER,
    CLOSED_SYMBOL,
    HIGH_DAY,
    HIGH_E8,
    KEPT_HIGHS,
    KEPT_TRADES,
    MOST_GROUPS,
    TIER_CAP_E8,
    TIER_DEDUCTION_E8,
    TIER_RATE_PPM,
    Account,
    Desk,
    Records,
    Settings,
    Stage,
)
from trading_engine.domain.time import DAY_MS
from trading_engine.rules import limits, margin, scaling, sizing
from trading_engine.rules.integers import ratio_floor
from trading_engine.rules.margin import Tier
from trading_engine.rules.scaling import Record


def is_in_drawdown(account: Account, settings: Settings, now_ms: int) -> bool:
    """Whether what was realised is a share below its peak, of the last days or since the beginning."""
    peak_e8 = settings.deposit_e8 + account.peak_e8
    if settings.drawdown_days > 0:
        first = (now_ms - settings.day_start_ms) // DAY_MS - settings.drawdown_days + 1
        peak_e8 = account.balance_e8
        for row in range(account.highs_count):
            if account.highs[row, HIGH_DAY] >= first:
                peak_e8 = max(peak_e8, settings.deposit_e8 + account.highs[row, HIGH_E8])
    return limits.drawdown(account.balance_e8, peak_e8, settings.drawdown_ppm).tripped


def book(account: Account, settings: Settings, ts_ms: int, net_e8: int) -> bool:
    """Book a wallet change; whether it has just tripped the drawdown limit."""
    before = is_in_drawdown(account, settings, ts_ms)
    made_e8 = account.balance_e8 - settings.deposit_e8
    account.balance_e8 += net_e8
    account.peak_e8 = max(account.peak_e8, account.balance_e8 - settings.deposit_e8)
    day = (ts_ms - settings.day_start_ms) // DAY_MS
    if settings.drawdown_days > 0:
        _note_high(account, day, max(made_e8, made_e8 + net_e8))
    if day > account.day:
        account.day = day
        account.day_realized_e8 = net_e8
    elif day == account.day:
        account.day_realized_e8 += net_e8
    return not before and is_in_drawdown(account, settings, ts_ms)


def _note_high(account: Account, day: int, high_e8: int) -> None:
    """What trading has made on a day, in place of all earlier days that it is not below."""
    highs = account.highs
    count = account.highs_count
    if count > 0 and highs[count - 1, HIGH_DAY] >= day:
        day = highs[count - 1, HIGH_DAY]
        high_e8 = max(high_e8, highs[count - 1, HIGH_E8])
        count -= 1
    while count > 0 and highs[count - 1, HIGH_E8] <= high_e8:
        count -= 1
    if count == KEPT_HIGHS:
        for row in range(1, count):
            highs[row - 1, HIGH_DAY] = highs[row, HIGH_DAY]
            highs[row - 1, HIGH_E8] = highs[row, HIGH_E8]
        count -= 1
    highs[count, HIGH_DAY] = day
    highs[count, HIGH_E8] = high_e8
    account.highs_count = count + 1


def note_closed(account: Account, closed_ms: int, number: int, net_e8: int, symbol: int) -> None:
    """Remember a closed trade, in order of closing; the oldest goes where there are too many."""
    closed = account.closed
    count = account.closed_count
    if count == KEPT_TRADES:
        for row in range(1, count):
            for column in range(4):
                closed[row - 1, column] = closed[row, column]
        count -= 1
    at = count
    while at > 0 and (
        closed[at - 1, CLOSED_MS] > closed_ms
        or (closed[at - 1, CLOSED_MS] == closed_ms and closed[at - 1, CLOSED_NUMBER] > number)
    ):
        for column in range(4):
            closed[at, column] = closed[at - 1, column]
        at -= 1
    closed[at, CLOSED_MS] = closed_ms
    closed[at, CLOSED_NUMBER] = number
    closed[at, CLOSED_NET_E8] = net_e8
    closed[at, CLOSED_SYMBOL] = symbol
    account.closed_count = count + 1


def entries_are_stopped(account: Account, settings: Settings, symbol: int, now_ms: int) -> bool:
    """R1 to R4 and the minimum balance: whether one of them forbids an entry on a symbol now."""
    balance_e8 = account.balance_e8
    day = (now_ms - settings.day_start_ms) // DAY_MS
    realized_e8 = account.day_realized_e8 if day == account.day else 0
    start_e8 = max(balance_e8 - realized_e8, 0)
    if limits.daily_loss(realized_e8, start_e8, settings.daily_loss_ppm, settings.daily_loss_money_e8, 0).tripped:
        return True
    if is_in_drawdown(account, settings, now_ms):
        return True
    if limits.minimum_balance(balance_e8, settings.deposit_e8, settings.min_balance_ppm).tripped:
        return True
    return _is_pausing(account, settings, symbol, now_ms)


def record_of(account: Account, settings: Settings) -> Record:
    """What the closed trades add up to; Kelly counts the newest of them only."""
    closed = account.closed
    record = scaling.no_record()
    for row in range(account.closed_count):
        counted = 1 if row >= account.closed_count - settings.kelly_trades else 0
        net_e8, closed_ms = closed[row, CLOSED_NET_E8], closed[row, CLOSED_MS]
        record = scaling.recorded(record, net_e8, closed_ms, settings.consecutive_losses, counted)
    return record


def _is_pausing(account: Account, settings: Settings, symbol: int, now_ms: int) -> bool:
    closed = account.closed
    losses = 0
    completed_ms = 0
    last_loss_ms = 0
    limit = settings.consecutive_losses
    for row in range(account.closed_count):
        net_e8 = closed[row, CLOSED_NET_E8]
        if net_e8 == 0:
            continue
        losses = limits.losses_after(losses, net_e8)
        if limit > 0 and losses == limit:
            completed_ms = closed[row, CLOSED_MS]
            losses = 0
        if net_e8 < 0 and (settings.cooldown_is_global or closed[row, CLOSED_SYMBOL] == symbol):
            last_loss_ms = max(last_loss_ms, closed[row, CLOSED_MS])
    if completed_ms > 0 and limits.losing_streak(limit, limit, completed_ms, settings.streak_pause_ms, now_ms).tripped:
        return True
    return limits.cooldown(last_loss_ms, settings.cooldown_ms, now_ms).tripped


def unrealized_e8(desks: Records) -> int:
    """Open PnL of all positions at their last prices."""
    total = 0
    for s in range(len(desks)):
        desk = desks[s]
        if desk.steps > 0:
            value = sizing.notional_e8(desk.last, desk.steps, desk.value_e8)
            total += desk.sign * (value - desk.cost_e8)
    return total


def margin_free_e8(desks: Records, account: Account, settings: Settings) -> int:
    """Balance less margin in use and open loss, as the risk manager counts it."""
    in_use = 0
    for s in range(len(desks)):
        desk = desks[s]
        if desk.stage != Stage.FLAT:
            value = sizing.notional_e8(_entry_of(desk), _exposed_steps(desk), desk.value_e8)
            in_use += margin.initial_margin_e8(value, settings.leverage_milli)
    return account.balance_e8 - in_use + min(unrealized_e8(desks), 0)


def exchange_margin_free_e8(desks: Records, account: Account, settings: Settings) -> int:
    """Wallet less margin of positions and open entries, less open losses, as the exchange counts it."""
    free = account.balance_e8
    for s in range(len(desks)):
        desk = desks[s]
        if desk.steps > 0:
            value = sizing.notional_e8(desk.last, desk.steps, desk.value_e8)
            free += min(0, desk.sign * (value - desk.cost_e8)) - desk.margin_e8
        if desk.is_at_exchange and desk.stage == Stage.PENDING:
            value = sizing.notional_e8(desk.last, desk.intended, desk.value_e8)
            free -= margin.initial_margin_e8(value, settings.leverage_milli)
    return free


def may_add(desks: Records, account: Account, settings: Settings, desk: Desk, steps: int, stop: int) -> bool:
    """R5: whether an entry of `steps` at the last price with its stop is within every limit of exposure."""
    notional = 0
    risk = 0
    positions = 0
    for s in range(len(desks)):
        other = desks[s]
        if other.stage != Stage.FLAT:
            exposed = _exposed_steps(other)
            at_stop = (_entry_of(other) - other.stop) * other.sign
            notional += sizing.notional_e8(other.last, exposed, other.value_e8)
            risk += max(sizing.notional_e8(at_stop, exposed, other.value_e8), 0)
            positions += 1
    new_notional = sizing.notional_e8(desk.last, steps, desk.value_e8)
    new_risk = sizing.notional_e8(abs(desk.last - stop), steps, desk.value_e8)
    equity = account.balance_e8 + unrealized_e8(desks)
    required = sizing.reserved_margin_e8(new_notional, settings.leverage_milli, settings.sizing_fee_e8)
    available = max(margin_free_e8(desks, account, settings), 0)
    if settings.refuses_liquidation:
        sign = 1 if stop < desk.last else -1
        bound_e8 = margin.initial_margin_e8(new_notional, settings.leverage_milli)
        liquidation = liquidation_of(desk, sign, new_notional, steps, bound_e8)
        if limits.liquidation(sign, desk.last, stop, liquidation).tripped:
            return False
    for group in range(MOST_GROUPS):
        share_ppm = settings.group_share_ppm[group]
        if share_ppm > 0 and desk.groups[group]:
            worth = new_notional + _worth_of_group(desks, group)
            if limits.group_exposure(worth, equity, share_ppm).tripped:
                return False
    return not (
        limits.portfolio_risk(risk, new_risk, equity, settings.portfolio_risk_ppm).tripped
        or limits.position_count(positions + 1, settings.max_positions).tripped
        or limits.leverage(notional + new_notional, max(equity, 1), settings.max_leverage_milli).tripped
        or limits.position_size(new_notional, equity, settings.position_ppm).tripped
        or limits.margin(required, available).tripped
    )


def _worth_of_group(desks: Records, group: int) -> int:
    total = 0
    for s in range(len(desks)):
        desk = desks[s]
        if desk.groups[group] and desk.stage != Stage.FLAT:
            total += sizing.notional_e8(desk.last, _exposed_steps(desk), desk.value_e8)
    return total


def liquidation_of(desk: Desk, sign: int, cost_e8: int, steps: int, margin_e8: int) -> int:
    """The price at which the exchange takes a position over, from its cost, its margin and its tier; 0 for none."""
    tiers = desk.tiers
    at = margin.tier_index(cost_e8, tiers[:, TIER_CAP_E8])
    return margin.liquidation_ticks(
        sign,
        ratio_floor(cost_e8, steps * desk.value_e8, 3),
        steps,
        desk.value_e8,
        margin_e8,
        Tier(tiers[at, TIER_CAP_E8], tiers[at, TIER_RATE_PPM], tiers[at, TIER_DEDUCTION_E8]),
    )


def _exposed_steps(desk: Desk) -> int:
    return desk.intended if desk.stage == Stage.PENDING else desk.steps


def _entry_of(desk: Desk) -> int:
    return desk.reference if desk.stage == Stage.PENDING else desk.entry
