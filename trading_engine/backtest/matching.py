"""One symbol's way through a stretch of price: which order trades next, and what follows from it.

What belongs here: entry, stop, exits, targets and liquidation of one position on one segment of a candle's path, in
the order of `venues.embedded.matching`, with the answers that `core` gives. What does not: when a segment is walked
(loop), prices and costs of fills (rules.fills). In the subset of Python that numba compiles.
"""

from typing import NamedTuple

from trading_engine.backtest.ledger import book, liquidation_of, note_closed
from trading_engine.backtest.tables import (
    LEG_PRICE,
    LEG_STEPS,
    LEG_TAKES,
    LEGS,
    MOST_STEPS,
    NEVER,
    TARGET_LEG,
    Account,
    Desk,
    Handover,
    Ints,
    Plan,
    Reason,
    Records,
    Settings,
    Stage,
    T,
)
from trading_engine.rules import exits, fills, margin, sizing
from trading_engine.rules.exits import Follow
from trading_engine.rules.integers import MILLI, scale_floor, share_half_even

_NOTHING, _LIQUIDATION, _ENTRY, _STOP, _EXIT, _LEG = 0, 1, 2, 3, 4, 5


class Act(NamedTuple):
    """What acts next on a segment, at which price; `leg` where it is one."""

    kind: int
    at: int
    leg: int


def walk(
    desks: Records, s: int, plans: Records, account: Account, settings: Settings, trades: Ints, end: int, now_ms: int
) -> None:
    """Move a symbol's price to `end`, trading what lies on the way, nearest first."""
    desk = desks[s]
    while account.handover == Handover.DONE:
        act = _next(desk, settings, end, now_ms)
        if act.kind == _NOTHING:
            break
        desk.last = act.at
        has_tripped = False
        if act.kind == _LIQUIDATION:
            has_tripped = _reduce(desk, account, settings, desk.steps, act.at, settings.taker_fee_e8, now_ms)
            _end_where_flat(desk, s, account, trades, Reason.LIQUIDATION)
        elif act.kind == _ENTRY:
            has_tripped = _enter(desk, plans, account, settings, act.at, now_ms)
        elif act.kind == _LEG:
            has_tripped = _take_profit(desk, account, settings, act, now_ms)
            _end_where_flat(desk, s, account, trades, Reason.TARGET)
        else:
            reason = Reason.STOP if desk.resting_stop == desk.initial_stop else Reason.TRAILING
            has_tripped = _sell_out(desk, account, settings, act, now_ms)
            _end_where_flat(desk, s, account, trades, reason)
        if has_tripped:
            stop_trading(desks, account, settings, now_ms)
    desk.last = end


def _next(desk: Desk, settings: Settings, end: int, now_ms: int) -> Act:
    """The act nearest to the present price; at one price liquidation, then stops and exits, then targets.

    A take-profit order trades at the market once it has triggered, and is older than the exit: it goes before it.
    """
    start = desk.last
    if desk.stage == Stage.PENDING and now_ms >= desk.signal_ms + settings.latency_ms:
        return Act(_ENTRY, start, 0)
    if desk.steps == 0:
        return Act(_NOTHING, 0, 0)
    sign = desk.sign
    kind = _NOTHING
    best = 0
    at_leg = 0
    far = 0
    if desk.liquidation > 0 and fills.crosses_stop(-sign, start, end, desk.liquidation):
        kind = _LIQUIDATION
        best = fills.stop_base_ticks(-sign, start, desk.liquidation)
        far = abs(best - start)
    if desk.resting_stop > 0 and fills.crosses_stop(-sign, start, end, desk.resting_stop):
        at = fills.stop_base_ticks(-sign, start, desk.resting_stop)
        if kind == _NOTHING or abs(at - start) < far:
            kind = _STOP
            best = at
            far = abs(at - start)
    if desk.exits and now_ms >= desk.exits_from_ms and (kind == _NOTHING or far > 0):
        kind = _EXIT
        best = start
        far = 0
    legs = desk.legs
    for leg in range(LEGS):
        if legs[leg, LEG_STEPS] > 0:
            at = _leg_acts_at(sign, settings, legs[leg, LEG_PRICE], legs[leg, LEG_TAKES], start, end)
            is_older = kind == _EXIT and at == start and not settings.target_is_limit
            if at > 0 and (kind == _NOTHING or abs(at - start) < far or is_older):
                kind = _LEG
                best = at
                at_leg = leg
                far = abs(at - start)
    return Act(kind, best, at_leg)


def _leg_acts_at(sign: int, settings: Settings, price: int, takes: int, start: int, end: int) -> int:
    """The price on the way at which a target or partial exit acts, 0 where it does not."""
    trade_sign = -sign
    if not settings.target_is_limit:
        crossed = fills.crosses_target(trade_sign, start, end, price)
        return fills.stop_base_ticks(-trade_sign, start, price) if crossed else 0
    is_beyond = trade_sign * start < trade_sign * price
    if takes and is_beyond:
        return start
    if fills.limit_trades(trade_sign, start, end, price):
        return start if is_beyond else price
    return 0


def _enter(desk: Desk, plans: Records, account: Account, settings: Settings, at: int, now_ms: int) -> bool:
    """The entry fills: book it, put stop and targets in place; whether it has tripped the drawdown limit."""
    sign = desk.sign
    steps = desk.intended
    if not _takes_volume(desk, account, steps, now_ms):
        return False
    price = _slipped(desk, settings, sign, at, steps)
    value = sizing.notional_e8(price, steps, desk.value_e8)
    fee = fills.fee_e8(value, settings.taker_fee_e8)
    desk.stage = Stage.OPEN
    desk.opened_ms = now_ms
    desk.rejects = 0
    desk.entry = price
    desk.entry_steps = steps
    desk.steps = steps
    desk.cost_e8 = value
    desk.fees_e8 = fee
    desk.fills = 1
    desk.margin_e8 = margin.initial_margin_e8(value, settings.leverage_milli)
    _set_liquidation(desk)
    has_tripped = book(account, settings, now_ms, -fee)
    if (price - desk.initial_stop) * sign <= 0:
        begin_close(desk, settings, Reason.STOP, now_ms)
    if desk.stage == Stage.OPEN:
        _place_targets(desk, plans, account, settings)
        set_trail_level(desk, plans, settings, 0)
    place_stop(desk, settings, desk.stop, now_ms)
    return has_tripped


def _slipped(desk: Desk, settings: Settings, trade_sign: int, at: int, steps: int) -> int:
    """What a taker of `steps` pays or gets for a price of `at`."""
    impact_e8 = fills.impact_e8(settings.impact_ppm, steps, desk.volume)
    return fills.slipped(trade_sign, at, settings.slippage_ppm, desk.range, settings.slippage_range_ppm, impact_e8)


def set_trail_level(desk: Desk, plans: Records, settings: Settings, reached_milli: int) -> None:
    """Where the next move of the stop may come, after `reached_milli` thousandths of R were reached."""
    plan = plans[desk.strategy]
    at_milli = plan.trail_at_milli
    sign = desk.sign
    entry_mticks = desk.entry * MILLI
    risk_mticks = exits.initial_risk_mticks(entry_mticks, desk.initial_stop)
    following = NEVER
    for step in range(MOST_STEPS):
        if at_milli[step] > reached_milli:
            following = min(following, at_milli[step])
    level = 0
    if following < NEVER:
        level = exits.r_level(sign, entry_mticks, risk_mticks, following)
    for follow in (follow_of(plan), aged_of(desk, settings)):
        if follow.percent_ppm + follow.atr_milli + follow.risk_milli == 0:
            continue
        bound = exits.follow_bound(sign, entry_mticks, risk_mticks, desk.atr_mticks, desk.stop, follow)
        if bound > 0 and (level == 0 or sign * bound < sign * level):
            level = bound
    desk.trail_level = level


def follow_of(plan: Plan) -> Follow:
    """The following stop of a plan."""
    return Follow(plan.follow_percent_ppm, plan.follow_atr_milli, plan.follow_risk_milli, plan.follow_from_milli)


def aged_of(desk: Desk, settings: Settings) -> Follow:
    """The following stop that a position's age asks for, without a distance before it is old."""
    return Follow(0, 0, settings.tighten_milli if desk.is_aged else 0, 0)


def _takes_volume(desk: Desk, account: Account, steps: int, now_ms: int) -> bool:
    """Take the steps from the candle's volume; what does not fit is the full engine's."""
    if desk.budget < steps:
        hand_over(account, Handover.THIN_VOLUME, now_ms)
        return False
    desk.budget -= steps
    return True


def _place_targets(desk: Desk, plans: Records, account: Account, settings: Settings) -> None:
    """The resting exits of a filled entry: partials at their multiples of R, the rest at the target."""
    plan = plans[desk.strategy]
    legs = desk.legs
    entry_mticks = desk.entry * MILLI
    risk_mticks = exits.initial_risk_mticks(entry_mticks, desk.initial_stop)
    shares = account.shares
    kept = 0
    for step in range(MOST_STEPS):
        shares[step] = 0
    for step in range(MOST_STEPS):
        share = plan.partial_share_ppm[step]
        if share > 0 and risk_mticks > 0:
            level = exits.r_level(desk.sign, entry_mticks, risk_mticks, plan.partial_at_milli[step])
            if not exits.folds_into_target(desk.sign, level, desk.target):
                legs[kept, LEG_PRICE] = level
                shares[kept] = share
                kept += 1
    wanted = (shares[0], shares[1], shares[2], shares[3], shares[4], shares[5], shares[6], shares[7])
    for leg in range(kept):
        _place_leg(desk, account, settings, leg, exits.part_steps(leg, desk.steps, wanted, desk.min_steps))
    if desk.target > 0:
        legs[TARGET_LEG, LEG_PRICE] = desk.target
        rest = exits.part_steps(MOST_STEPS, desk.steps, wanted, desk.min_steps)
        _place_leg(desk, account, settings, TARGET_LEG, rest)


def _place_leg(desk: Desk, account: Account, settings: Settings, leg: int, steps: int) -> None:
    trade_sign = -desk.sign
    legs = desk.legs
    price = legs[leg, LEG_PRICE]
    legs[leg, LEG_STEPS] = steps
    legs[leg, LEG_TAKES] = 0
    if settings.target_is_limit:
        if trade_sign * desk.last < trade_sign * price:
            legs[leg, LEG_TAKES] = 1
    elif steps > 0 and trade_sign * desk.last <= trade_sign * price:
        hand_over(account, Handover.TARGET_REFUSED, desk.opened_ms)


def place_stop(desk: Desk, settings: Settings, stop: int, now_ms: int) -> None:
    """Let the stop rest at `stop`; the exchange refuses one that the price has passed, then the position is closed."""
    if desk.sign * desk.last > desk.sign * stop:
        desk.resting_stop = stop
    else:
        begin_close(desk, settings, Reason.RISK, now_ms)


def begin_close(desk: Desk, settings: Settings, reason: int, now_ms: int) -> None:
    """A full exit at the market, at the next price that there is once it has arrived."""
    if desk.stage == Stage.OPEN:
        desk.stage = Stage.CLOSING
        desk.reason = reason
        desk.exits = 1
        desk.exits_from_ms = now_ms + settings.latency_ms


def _take_profit(desk: Desk, account: Account, settings: Settings, act: Act, now_ms: int) -> bool:
    trade_sign = -desk.sign
    legs = desk.legs
    limit = legs[act.leg, LEG_PRICE]
    steps = min(legs[act.leg, LEG_STEPS], desk.steps)
    if not _takes_volume(desk, account, steps, now_ms):
        return False
    price = limit
    rate_e8 = settings.maker_fee_e8
    is_taker = legs[act.leg, LEG_TAKES] and trade_sign * act.at < trade_sign * limit
    if is_taker or not settings.target_is_limit:
        price = _slipped(desk, settings, trade_sign, act.at, steps)
        rate_e8 = settings.taker_fee_e8
    if settings.target_is_limit and trade_sign * price > trade_sign * limit:
        price = limit  # slippage never carries a limit order beyond its limit
    legs[act.leg, LEG_STEPS] = 0
    if act.leg == TARGET_LEG and steps < desk.steps:
        hand_over(account, Handover.LEFT_OVER, now_ms)
        return False
    return _reduce(desk, account, settings, steps, price, rate_e8, now_ms)


def _sell_out(desk: Desk, account: Account, settings: Settings, act: Act, now_ms: int) -> bool:
    """A stop has triggered, or a market exit trades: the whole position goes."""
    steps = desk.steps
    if not _takes_volume(desk, account, steps, now_ms):
        return False
    price = _slipped(desk, settings, -desk.sign, act.at, steps)
    return _reduce(desk, account, settings, steps, price, settings.taker_fee_e8, now_ms)


def _reduce(
    desk: Desk, account: Account, settings: Settings, steps: int, price: int, rate_e8: int, now_ms: int
) -> bool:
    """Book a fill that closes `steps`; whether it has tripped the drawdown limit."""
    held = desk.steps
    value = sizing.notional_e8(price, steps, desk.value_e8)
    fee = fills.fee_e8(value, rate_e8)
    released = share_half_even(desk.cost_e8, steps, held)
    gross = desk.sign * (value - released)
    desk.margin_e8 -= scale_floor(desk.margin_e8, steps, held)
    desk.cost_e8 -= released
    desk.steps -= steps
    desk.exit_value_e8 += value
    desk.gross_e8 += gross
    desk.fees_e8 += fee
    desk.fills += 1
    desk.closed_ms = now_ms
    if desk.steps > 0:
        _set_liquidation(desk)
    return book(account, settings, now_ms, gross - fee)


def _set_liquidation(desk: Desk) -> None:
    """The price at which the exchange takes the position over, from its cost, its margin and its tier."""
    desk.liquidation = liquidation_of(desk, desk.sign, desk.cost_e8, desk.steps, desk.margin_e8)


def _end_where_flat(desk: Desk, s: int, account: Account, trades: Ints, reason: int) -> None:
    """With its last fill a position ends: write the trade down, forget the position."""
    if desk.steps > 0:
        return
    if desk.reason == Reason.NONE:
        desk.reason = reason
    row = account.trades
    account.trades = row + 1
    trades[row, T.NUMBER] = desk.number
    trades[row, T.SYMBOL] = s
    trades[row, T.STRATEGY] = desk.strategy
    trades[row, T.SIGN] = desk.sign
    trades[row, T.SIGNAL_MS] = desk.signal_ms
    trades[row, T.OPENED_MS] = desk.opened_ms
    trades[row, T.CLOSED_MS] = desk.closed_ms
    trades[row, T.ENTRY] = desk.entry
    trades[row, T.STEPS] = desk.entry_steps
    trades[row, T.INITIAL_STOP] = desk.initial_stop
    trades[row, T.STOP] = desk.stop
    trades[row, T.TARGET] = desk.target
    trades[row, T.EXIT_VALUE_E8] = desk.exit_value_e8
    trades[row, T.GROSS_E8] = desk.gross_e8
    trades[row, T.FEES_E8] = desk.fees_e8
    trades[row, T.FUNDING_E8] = desk.funding_e8
    trades[row, T.FILLS] = desk.fills
    trades[row, T.REASON] = desk.reason
    note_closed(account, desk.closed_ms, desk.number, desk.gross_e8 - desk.fees_e8 + desk.funding_e8, s)
    forget(desk)


def forget(desk: Desk) -> None:
    """No position on the symbol any more; where its price stands, and refusals, stay."""
    desk.stage = Stage.FLAT
    desk.sign = 0
    desk.target = 0
    desk.resting_stop = 0
    desk.exits = 0
    desk.is_aged = 0
    desk.is_at_exchange = 0
    desk.steps = 0
    desk.cost_e8 = 0
    desk.margin_e8 = 0
    desk.liquidation = 0
    desk.exit_value_e8 = 0
    desk.gross_e8 = 0
    desk.fees_e8 = 0
    desk.funding_e8 = 0
    desk.reason = Reason.NONE
    legs = desk.legs
    for leg in range(LEGS):
        legs[leg, LEG_STEPS] = 0


def stop_trading(desks: Records, account: Account, settings: Settings, now_ms: int) -> None:
    """The drawdown limit has tripped: no entries any more, and where so configured everything is closed."""
    if not account.is_stopped:
        account.stopped_ms = now_ms
    account.is_stopped = 1
    for s in range(len(desks)):
        if desks[s].stage == Stage.PENDING:
            forget(desks[s])
        elif settings.flatten_on_drawdown:
            begin_close(desks[s], settings, Reason.RISK, now_ms)


def hand_over(account: Account, why: int, now_ms: int) -> None:
    """Stop: the full engine has to go on from the beginning."""
    account.handover = why
    account.handover_ms = now_ms
