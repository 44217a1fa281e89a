"""The rules over arrays: candles in, trades out, in the order of things that the live engine has.

What belongs here: the order of a run, in the subset of Python that numba compiles; every decision itself is a
function of `rules`. What does not: compiling (compiled), making the arrays (market, signals, settings), fills inside
a candle (matching), the limits' sums (ledger).

The same events in the same order as `runtime.replay` with `core.step` on the embedded exchange: funding, the four
points of every candle by symbol, the end of unfilled entries, and at the close marks, exits, signals, entries. Where
that would need what is not modelled here, the loop stops and names it (`Handover`); nothing is guessed.

While nothing is open the loop goes from signal to signal; while something is, a candle that reaches no order of ours
is looked at once.
"""

from trading_engine.backtest.ledger import (
    book,
    entries_are_stopped,
    exchange_margin_free_e8,
    margin_free_e8,
    may_add,
    record_of,
    unrealized_e8,
)
from trading_engine.backtest.matching import (
    aged_of,
    begin_close,
    follow_of,
    forget,
    hand_over,
    place_stop,
    set_trail_level,
    stop_trading,
    walk,
)
from trading_engine.backtest.quiet import let_go, quiet_until, skip_to
from trading_engine.backtest.shocks import find_wild_rows, is_shaken, is_shock, until_shock
from trading_engine.backtest.tables import (
    LEG_PRICE,
    LEG_STEPS,
    LEG_TAKES,
    LEGS,
    Account,
    Bools,
    Candles,
    Desk,
    Funding,
    Handover,
    Ints,
    Reason,
    Records,
    Settings,
    Signals,
    Space,
    Stage,
)
from trading_engine.domain.time import DAY_MS, HOUR_MS
from trading_engine.rules import exits, fills, margin, sizing
from trading_engine.rules.exits import TrailStep
from trading_engine.rules.integers import MILLI, PPM
from trading_engine.rules.scaling import Scaling, no_record
from trading_engine.rules.sizing import SizingInput

POINTS = 4
_TOLERANCE = 1e-9  # confidences that differ by less are equal, as in strategy.aggregate
_LONG_AGO = -(1 << 40)
_FAR_AWAY = 1 << 60


def run(
    candles: Candles,
    funding: Funding,
    signals: Signals,
    desks: Records,
    plans: Records,
    accounts: Records,
    rules: Records,
    space: Space,
) -> None:
    """Trade the whole of the candles on new desks, with one account under one set of rules; `space_for` makes space."""
    account = accounts[0]
    settings = rules[0]
    interval_ms = candles.interval_ms
    account.balance_e8 = settings.deposit_e8
    account.next_number = 1
    account.day = _LONG_AGO
    wild = space.wild
    find_wild_rows(candles, settings, wild)
    signal = 0
    previous_ms = 0
    while account.handover == Handover.DONE:
        if signal == len(signals.closed_ms) and _is_idle(desks):
            break
        previous_ms = _let_pass(candles, wild, funding, desks, settings, _next_signal_ms(signals, signal), previous_ms)
        open_ms = _next_open_ms(candles.ts, desks)
        if open_ms < 0:
            break
        if previous_ms > 0 and (previous_ms // DAY_MS + 1) * DAY_MS < open_ms + interval_ms:
            _sample(space.samples, desks, account, previous_ms)  # no candle closes at the midnight between them
        _play(candles, funding, desks, plans, account, settings, space.trades, open_ms)
        closed_ms = open_ms + interval_ms
        if previous_ms > 0 and previous_ms // HOUR_MS != closed_ms // HOUR_MS:
            _sample(space.samples, desks, account, closed_ms)
        previous_ms = closed_ms
        _manage_exits(candles, wild, desks, plans, settings, open_ms)
        first = signal
        while signal < len(signals.closed_ms) and signals.closed_ms[signal] == closed_ms:
            signal += 1
        if signal > first:
            _decide(candles, signals, desks, account, settings, space, first, signal, closed_ms)


def _next_signal_ms(signals: Signals, signal: int) -> int:
    return signals.closed_ms[signal] if signal < len(signals.closed_ms) else _FAR_AWAY


def _let_pass(
    candles: Candles,
    wild: Bools,
    funding: Funding,
    desks: Records,
    settings: Settings,
    signal_ms: int,
    previous_ms: int,
) -> int:
    """Pass over candles in which nothing can happen, at most up to the next signal; the close of the last one."""
    interval_ms = candles.interval_ms
    until_ms = signal_ms - interval_ms
    if _is_idle(desks):
        return skip_to(candles.ts, candles.close, funding.ts, desks, until_ms, interval_ms)
    if previous_ms > 0:  # a sample is due at every full hour
        until_ms = min(until_ms, (previous_ms // HOUR_MS + 1) * HOUR_MS - interval_ms)
        until_ms = quiet_until(candles.ts, candles.high, candles.low, funding.ts, desks, settings, until_ms)
        if settings.flatten_on_shock:
            until_ms = until_shock(candles, wild, desks, settings, until_ms)
        if until_ms > previous_ms:
            return let_go(candles.ts, candles.close, desks, until_ms, previous_ms, interval_ms)
    return previous_ms


def _play(
    candles: Candles,
    funding: Funding,
    desks: Records,
    plans: Records,
    account: Account,
    settings: Settings,
    trades: Ints,
    open_ms: int,
) -> None:
    """The candles that open at one instant, from their settlements to their close."""
    _cancel_overdue(desks, open_ms)
    _fund(funding.ts, funding.rate_e8, desks, account, settings, open_ms)
    if _begin_candles(candles, desks, settings, open_ms):
        _walk_all(candles, desks, plans, account, settings, trades, open_ms)
    _cancel_overdue(desks, open_ms + candles.interval_ms - 1)
    _end_candles(candles, desks, open_ms)


def _sample(samples: Ints, desks: Records, account: Account, closed_ms: int) -> None:
    row = account.samples
    account.samples = row + 1
    samples[row, 0] = closed_ms
    samples[row, 1] = account.balance_e8
    samples[row, 2] = unrealized_e8(desks)


def _is_idle(desks: Records) -> bool:
    is_idle = True
    for s in range(len(desks)):
        if desks[s].stage != Stage.FLAT:
            is_idle = False
    return is_idle


def _has_candle(ts: Ints, desk: Desk, open_ms: int) -> bool:
    return desk.at < desk.end and ts[desk.at] == open_ms


def _next_open_ms(ts: Ints, desks: Records) -> int:
    """When the next candle of any symbol opens, −1 after the last."""
    found = -1
    for s in range(len(desks)):
        desk = desks[s]
        if desk.at < desk.end and (found < 0 or ts[desk.at] < found):
            found = ts[desk.at]
    return found


def _begin_candles(candles: Candles, desks: Records, settings: Settings, open_ms: int) -> bool:
    """New volume, no path yet; whether any order may trade, so that the candles must be walked."""
    is_busy = False
    for s in range(len(desks)):
        desk = desks[s]
        if _has_candle(candles.ts, desk, open_ms):
            desk.path_sign = 0
            before = desk.at - 1
            has_before = before >= candles.start[s]
            desk.range = candles.high[before] - candles.low[before] if has_before else 0
            desk.volume = candles.volume[before] if has_before else 0
            desk.budget = fills.available_steps(candles.volume[desk.at], settings.volume_share_ppm)
            if _may_act(desk, candles.high[desk.at], candles.low[desk.at]):
                is_busy = True
    return is_busy


def _end_candles(candles: Candles, desks: Records, open_ms: int) -> None:
    """The close is where prices stand now."""
    for s in range(len(desks)):
        desk = desks[s]
        if _has_candle(candles.ts, desk, open_ms):
            desk.last = candles.close[desk.at]
            desk.at += 1


def _may_act(desk: Desk, high: int, low: int) -> bool:
    """Whether any order of a symbol may trade inside a candle; a candle that cannot reach one needs no walk."""
    if desk.stage == Stage.FLAT:
        return False
    if desk.stage != Stage.OPEN:
        return True
    sign = desk.sign
    worst = low if sign > 0 else high
    best = high if sign > 0 else low
    if sign * worst <= sign * desk.resting_stop:
        return True
    if desk.liquidation > 0 and sign * worst <= sign * desk.liquidation:
        return True
    legs = desk.legs
    for leg in range(LEGS):
        if legs[leg, LEG_STEPS] > 0 and (legs[leg, LEG_TAKES] or sign * best >= sign * legs[leg, LEG_PRICE]):
            return True
    return False


def _walk_all(
    candles: Candles,
    desks: Records,
    plans: Records,
    account: Account,
    settings: Settings,
    trades: Ints,
    open_ms: int,
) -> None:
    """The candles' paths, point by point and in each by symbol: what ends one symbol's trading may concern all."""
    for point in range(POINTS):
        now_ms = open_ms + point * candles.interval_ms // POINTS
        for s in range(len(desks)):
            desk = desks[s]
            if account.handover == Handover.DONE and _has_candle(candles.ts, desk, open_ms):
                row = desk.at
                end = candles.open[row]
                if point == 0:
                    desk.last = end
                else:
                    if desk.path_sign == 0:
                        desk.path_sign = desk.sign if desk.stage != Stage.FLAT else 1
                    path = fills.adverse_path(
                        desk.path_sign, candles.open[row], candles.high[row], candles.low[row], candles.close[row]
                    )
                    end = path[point]
                walk(desks, s, plans, account, settings, trades, end, now_ms)


def _cancel_overdue(desks: Records, until_ms: int) -> None:
    """Cancel the entries whose time is over."""
    for s in range(len(desks)):
        if desks[s].stage == Stage.PENDING and desks[s].deadline_ms <= until_ms:
            forget(desks[s])


def _fund(ts: Ints, rate_e8: Ints, desks: Records, account: Account, settings: Settings, open_ms: int) -> None:
    """Settle what became due before these candles, by time and symbol."""
    while True:
        due = -1
        for s in range(len(desks)):
            row = desks[s].funded
            is_due = row < desks[s].funded_end and ts[row] <= open_ms
            if is_due and (due < 0 or ts[row] < ts[desks[due].funded]):
                due = s
        if due < 0:
            return
        desk = desks[due]
        row = desk.funded
        desk.funded = row + 1
        if desk.steps > 0:
            value = sizing.notional_e8(desk.last, desk.steps, desk.value_e8)
            amount = fills.funding_e8(value, rate_e8[row], desk.sign)
            desk.funding_e8 += amount
            if book(account, settings, ts[row], amount):
                stop_trading(desks, account, settings, ts[row])


def _manage_exits(
    candles: Candles, wild: Bools, desks: Records, plans: Records, settings: Settings, open_ms: int
) -> None:
    """What the close of these candles does to the positions on their symbols."""
    closed_ms = open_ms + candles.interval_ms
    for s in range(len(desks)):
        desk = desks[s]
        if desk.stage == Stage.OPEN and candles.ts[desk.at - 1] == open_ms:
            row = desk.at - 1
            if settings.flatten_on_shock and is_shock(candles.high, candles.low, wild, row, settings.shock_range_ppm):
                begin_close(desk, settings, Reason.RISK, closed_ms)
            else:
                _manage_exit(desk, plans, settings, closed_ms)


def _manage_exit(desk: Desk, plans: Records, settings: Settings, closed_ms: int) -> None:
    """Age and trailing, judged on the close."""
    is_new = False
    if exits.time_exit_due(desk.opened_ms, closed_ms, settings.max_age_ms):
        is_new = not desk.is_aged
        desk.is_aged = 1
        if settings.close_on_max_age:
            begin_close(desk, settings, Reason.TIME, closed_ms)
            return
    if not is_new and (desk.trail_level == 0 or desk.sign * desk.last < desk.sign * desk.trail_level):
        return
    plan = plans[desk.strategy]
    at = plan.trail_at_milli
    to = plan.trail_to_milli
    follow = follow_of(plan)
    aged = aged_of(desk, settings)
    steps = (
        TrailStep(at[0], to[0]),
        TrailStep(at[1], to[1]),
        TrailStep(at[2], to[2]),
        TrailStep(at[3], to[3]),
        TrailStep(at[4], to[4]),
        TrailStep(at[5], to[5]),
        TrailStep(at[6], to[6]),
        TrailStep(at[7], to[7]),
    )
    entry_mticks = desk.entry * MILLI
    risk_mticks = exits.initial_risk_mticks(entry_mticks, desk.initial_stop)
    moved = exits.moved_stop(
        desk.sign, entry_mticks, risk_mticks, desk.atr_mticks, desk.last, desk.stop, steps, follow, aged
    )
    is_moved = moved != desk.stop
    desk.stop = moved
    set_trail_level(desk, plans, settings, exits.r_reached_milli(desk.sign, entry_mticks, risk_mticks, desk.last))
    if is_moved:
        place_stop(desk, settings, moved, closed_ms)


def _decide(
    candles: Candles,
    signals: Signals,
    desks: Records,
    account: Account,
    settings: Settings,
    space: Space,
    first: int,
    last: int,
    now_ms: int,
) -> None:
    """Give the signals of one instant their fate: exits first, then entries by confidence and symbol."""
    is_left = space.is_left[: last - first]
    is_left[:] = False
    for row in range(first, last):
        desk = desks[signals.symbol[row]]
        side = signals.side[row]
        if _closes(desk, signals.strategy[row], side, signals.exit_side[row], settings):
            begin_close(desk, settings, Reason.SIGNAL, now_ms)
        elif side != 0:
            is_left[row - first] = True
    _choose(signals, first, is_left)
    while True:
        best = -1
        for row in range(first, last):
            if is_left[row - first] and (best < 0 or signals.confidence[row] > signals.confidence[best]):
                best = row
        if best < 0:
            break
        is_left[best - first] = False
        s = signals.symbol[best]
        strategy, side, begin = signals.strategy[best], signals.side[best], candles.start[s]
        if _may_enter(desks[s], s, strategy, side, account, settings, now_ms) and not is_shaken(
            candles.ts, candles.high, candles.low, space.wild, begin, desks[s].at, candles.interval_ms, settings, now_ms
        ):
            _consider(signals, best, desks, account, settings, now_ms)
    _submit(desks, account, settings)


def _closes(desk: Desk, strategy: int, side: int, exit_side: int, settings: Settings) -> bool:
    """Only the position's own strategy closes it; an opposite signal does if configured, never reversing."""
    if desk.stage != Stage.OPEN or desk.strategy != strategy:
        return False
    return exit_side == desk.sign or (settings.exit_on_opposite != 0 and side == -desk.sign)


def _choose(signals: Signals, first: int, is_left: Bools) -> None:
    """Leave one signal a symbol: the most confident one; none where equal ones ask for both sides.

    Signals of one symbol lie side by side, in order of their strategies' names: the first of equal ones is taken.
    """
    count = len(is_left)
    begin = 0
    while begin < count:
        end = begin
        while end < count and signals.symbol[first + end] == signals.symbol[first + begin]:
            end += 1
        best = -1.0
        for at in range(begin, end):
            if is_left[at]:
                best = max(best, signals.confidence[first + at])
        chosen = -1
        is_tie = False
        for at in range(begin, end):
            if is_left[at] and best - signals.confidence[first + at] <= _TOLERANCE * best:
                if chosen < 0:
                    chosen = at
                elif signals.side[first + at] != signals.side[first + chosen]:
                    is_tie = True
        for at in range(begin, end):
            is_left[at] = at == chosen and not is_tie
        begin = end


def _may_enter(desk: Desk, s: int, strategy: int, side: int, account: Account, settings: Settings, now_ms: int) -> bool:
    """The gates of an entry; a signal that might make its strategy's position larger is the full engine's."""
    is_same = desk.stage == Stage.OPEN and desk.strategy == strategy and desk.sign == side
    if is_same and settings.ladder_ppm < PPM:
        hand_over(account, Handover.LADDER, now_ms)
    if desk.stage != Stage.FLAT or desk.is_frozen or account.is_stopped:
        return False
    return not entries_are_stopped(account, settings, s, now_ms)


def _consider(signals: Signals, row: int, desks: Records, account: Account, settings: Settings, now_ms: int) -> None:
    """Size an entry and make it, where every limit allows it."""
    desk = desks[signals.symbol[row]]
    sign, stop_ticks, target_ticks = signals.side[row], signals.stop_ticks[row], signals.target_ticks[row]
    inputs = SizingInput(
        max(account.balance_e8, 0),
        settings.risk_ppm,
        settings.cap_ppm,
        settings.cap_money_e8,
        max(margin_free_e8(desks, account, settings), 0),
        settings.leverage_milli,
        settings.sizing_fee_e8,
        desk.last,
        stop_ticks,
        desk.value_e8,
        desk.max_steps,
        desk.min_steps,
        desk.min_notional_e8,
        sizing.NO_BOUND,
    )
    rule = Scaling(
        settings.method,
        settings.risk_ppm,
        settings.money_e8,
        settings.volatility_ppm,
        settings.kelly_share_ppm,
        settings.kelly_cap_ppm,
        settings.win_step_milli,
        settings.win_most_milli,
        settings.recovery_milli,
    )
    record = record_of(account, settings) if settings.asks_record else no_record()
    inputs = sizing.by_method(inputs, rule, record, signals.atr_mticks[row])
    size = sizing.share_of(sizing.fixed_fraction(inputs), settings.ladder_ppm, inputs)
    stop = exits.stop_level(sign, desk.last, stop_ticks)
    if size.steps == 0 or not may_add(desks, account, settings, desk, size.steps, stop):
        return
    desk.stage = Stage.PENDING
    desk.strategy = signals.strategy[row]
    desk.atr_mticks = signals.atr_mticks[row]
    desk.sign = sign
    desk.number = account.next_number
    account.next_number += 1
    desk.intended = size.steps
    desk.reference = desk.last
    desk.initial_stop = stop
    desk.stop = stop
    desk.target = exits.target_level(sign, desk.last, target_ticks) if target_ticks > 0 else 0
    desk.signal_ms = now_ms
    desk.deadline_ms = now_ms + settings.entry_ttl_ms


def _submit(desks: Records, account: Account, settings: Settings) -> None:
    """The entries reach the exchange in the order they were decided; it refuses what it has no margin for."""
    while True:
        s = -1
        for other in range(len(desks)):
            is_new = desks[other].stage == Stage.PENDING and not desks[other].is_at_exchange
            if is_new and (s < 0 or desks[other].number < desks[s].number):
                s = other
        if s < 0:
            return
        desk = desks[s]
        value = sizing.notional_e8(desk.last, desk.intended, desk.value_e8)
        required = margin.initial_margin_e8(value, settings.leverage_milli)
        required += fills.fee_e8(value, settings.taker_fee_e8)
        if required <= exchange_margin_free_e8(desks, account, settings):
            desk.is_at_exchange = 1
        else:
            forget(desk)
            desk.rejects += 1
            if 0 < settings.rejects_to_freeze <= desk.rejects:
                desk.is_frozen = 1
