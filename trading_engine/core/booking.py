"""Fills and incomes are booked, once, to the position they belong to; what cannot be booked is kept in mind.

What belongs here: whose a fill is, what it does to its position, which fills have to be read again. What does not:
arithmetic (project, domain.position), reports about orders (on_venue), what is nobody's of ours (foreign).

A stream may tell things out of order and a history may lag behind reports: nothing is taken for foreign, late or
lost before what could explain it has had its time.
"""

from dataclasses import replace
from decimal import Decimal

from trading_engine.core import contact, fees, foreign, kill, on_venue, protect, slippage
from trading_engine.core.draft import Draft
from trading_engine.core.effects import FetchFills, SetTimer
from trading_engine.core.on_command import raise_level
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.events import TimerKind
from trading_engine.domain.fills import PART_MARK, Fill, Income, PnlKind
from trading_engine.domain.ids import (
    OrderKey,
    Purpose,
    is_emergency_order_id,
    next_epoch,
    parse_client_order_id,
    position_id,
)
from trading_engine.domain.lifecycle import CloseReason, PositionState, Trigger
from trading_engine.domain.market import Side
from trading_engine.domain.orders import (
    Order,
    TradeSide,
    closing_side,
    opening_side,
)
from trading_engine.domain.position import Position, gross_of
from trading_engine.domain.records import (
    DifferenceFound,
    EpochChanged,
    FillApplied,
    IncomeBooked,
    PositionOpened,
    SymbolFrozen,
)
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import day_of

LONGEST_LAG_MS = 60_000  # no venue shows a position for so long without the fill that made it
_LONGEST_PAUSE_MS = 30_000  # between two reads of a history that lags


def on_fills_read(draft: Draft, fills: tuple[Fill, ...]) -> None:
    """Book what was missed, in the order it happened; what a report has named and nobody shows is asked for again."""
    for fill in sorted(fills, key=lambda fill: fill.ts_ms):
        on_fill(draft, fill, is_whole_story=True)
    after_reading(draft)


def after_reading(draft: Draft) -> None:
    """What reports have named and a read of fills did not show: the venue's history lags, and is read again.

    What an entry has taken meanwhile is protected by the report's word.
    """
    behind = [order for order in draft.book.orders.values() if order.reported_filled > order.filled]
    lagging = frozenset(order.client_order_id for order in behind)
    if lagging != draft.market.lagging:
        draft.see(lagging=lagging)
        for name in {order.position_id: None for order in behind if order.purpose is Purpose.ENTRY}:
            protect.tend(draft, name)
        kill.enforce_level(draft)  # what is reported as open has to be closed as well
    if behind:
        age_ms = draft.ts_ms - max(order.updated_ms for order in behind)
        pause_ms = max(draft.settings.execution.poll_ms, min(age_ms // 2, _LONGEST_PAUSE_MS))
        draft.effect(SetTimer(draft.ts_ms + pause_ms, TimerKind.FILLS))
    unbooked = {key: at_ms for key, at_ms in draft.market.unbooked.items() if key not in draft.book.seen}
    if len(unbooked) != len(draft.market.unbooked):
        draft.see(unbooked=unbooked)


def on_fill(draft: Draft, fill: Fill, *, is_whole_story: bool = False) -> None:
    """Book an execution, once, to the position it belongs to.

    `is_whole_story` says that every earlier fill was shown as well (a snapshot). A stream may tell an exit
    before the entry: what reduces more than is open waits for a snapshot, where the order of things is known.
    """
    if fill.key in draft.book.seen or fill.ts_ms < draft.book.ledger.opened_ms:
        return
    if is_whole_story:
        contact.on_fill_read(draft, fill)
    order = draft.book.orders.get(fill.client_order_id)
    position = draft.book.positions.get(order.position_id) if order else None
    if position is not None and position.state is PositionState.CLOSED:
        position = None  # closed earlier in this very step: as late as after it
    is_told = is_whole_story or draft.settings.absence_is_proof
    if position is None:
        _without_position(draft, fill, is_told=is_told)
        return
    if order is not None and fill.quantity > order.quantity - order.filled:
        _leave_unbooked(draft, fill, f"fill {fill.trade_id} is more than order {order.client_order_id} has left")
        return
    if fill.side is closing_side(position.side) and fill.quantity > position.quantity:
        if not is_told:
            draft.effect(FetchFills())
            return
        if _is_entry_behind(draft, position, fill):
            return
        excess = fill
        if position.quantity:
            fill, excess = split_fill(fill, position.quantity)
            _book(draft, position, fill, order)
        foreign.on_fill(draft, excess)  # an order that only reduces opens nothing: it closed a stranger's coins
        return
    _book(draft, position, fill, order)


def _is_entry_behind(draft: Draft, position: Position | None, fill: Fill) -> bool:
    """Fills of the position's own entry may be yet to come: what closes more than we know of waits for them.

    For as long as histories lag at the most; it is read again until then.
    """
    is_late = draft.ts_ms - fill.ts_ms >= LONGEST_LAG_MS
    if position is None or is_late or draft.settings.absence_is_proof or fill.side is not closing_side(position.side):
        return False
    if all(entry.is_settled for entry in draft.book.orders_of(position.position_id, Purpose.ENTRY)):
        return False
    draft.effect(SetTimer(draft.ts_ms + draft.settings.execution.poll_ms, TimerKind.FILLS))
    return True


def _leave_unbooked(draft: Draft, fill: Fill, reason: str) -> None:
    """What this fill is cannot be said without a person: it is kept in mind, read again, and nothing is entered."""
    draft.see(unbooked={**draft.market.unbooked, fill.key: fill.ts_ms})
    if draft.book.control.level is Level.LOCKED:
        return
    draft.record(DifferenceFound("unknown_origin", fill.symbol, "", fill.client_order_id, "locked"))
    raise_level(draft, Level.LOCKED, reason, "reconcile")


def _without_position(draft: Draft, fill: Fill, *, is_told: bool) -> None:
    """A fill that belongs to no open position of ours: a stranger's, a late one, or one of a lost database."""
    key = parse_client_order_id(fill.client_order_id)
    if key is None or fill.is_liquidation:
        _from_outside(draft, fill, is_told=is_told)
    elif key.epoch == draft.book.epoch and key.position_number < draft.book.next_position:
        if key.purpose is Purpose.ENTRY:
            _late_fill(draft, fill, position_id(key.position_number))
        else:  # it only reduces, so it has closed what is there now
            _from_outside(draft, fill, is_told=is_told)
    elif _closes_what_a_backup_holds(draft, fill, key):
        _from_outside(draft, fill, is_told=is_told)
    elif fill.ts_ms > draft.book.ledger.rebased_ms:
        _lock_on_unknown_origin(draft, fill)
    else:  # an operator has resumed since: the past of a lost database is a stranger's
        _from_outside(draft, fill, is_told=is_told)


def _closes_what_a_backup_holds(draft: Draft, fill: Fill, key: OrderKey) -> bool:
    """An exit that was made after the backup, of a position that is in it: the epoch before this one sent its orders.

    Until it is booked the position seems open, and stops and exits would be sent for nothing.
    """
    held = draft.book.position_on(fill.symbol)
    if held is None or key.purpose is Purpose.ENTRY or held.number != key.position_number:
        return False
    ids = (parse_client_order_id(order.client_order_id) for order in draft.book.orders_of(held.position_id))
    return any(known is not None and known.epoch == key.epoch for known in ids)


def _lock_on_unknown_origin(draft: Draft, fill: Fill) -> None:
    """A fill of an order that this database never made: a restored backup, a lost file, a second instance."""
    leave_epoch(draft, fill.client_order_id)
    reason = f"fill {fill.trade_id} is of order {fill.client_order_id}, which this database never made"
    _leave_unbooked(draft, fill, reason)


def leave_epoch(draft: Draft, client_order_id: str) -> None:
    """Rows of this very database were lost: ids that it would give next are taken at the venue, so others begin."""
    key = parse_client_order_id(client_order_id)
    if key is not None and key.epoch == draft.book.epoch:
        draft.record(EpochChanged(next_epoch(key.epoch, draft.ts_ms), f"{client_order_id} is no row of it"))


def split_fill(fill: Fill, quantity: Decimal) -> tuple[Fill, Fill]:
    """A fill cut at `quantity`: fee and PnL by share, the second part takes the remainder and a key of its own."""
    fee = money.share(fill.fee, quantity, fill.quantity)
    first = replace(fill, quantity=quantity, fee=fee)
    second = replace(
        fill,
        quantity=fill.quantity - quantity,
        fee=money.subtract(fill.fee, fee),
        trade_id=f"{fill.trade_id}{PART_MARK}" if quantity else fill.trade_id,
        realized_pnl=None,
    )
    return first, second


def _book(draft: Draft, position: Position, fill: Fill, order: Order | None) -> None:
    own_gross = gross_of(position, fill)
    is_opening = fill.side is opening_side(position.side)
    keeps_own = foreign.keeps_own_figures(draft, position)
    is_ours = keeps_own or fill.realized_pnl is None
    gross = money.ZERO if is_opening else own_gross if is_ours else fill.realized_pnl or money.ZERO
    day = day_of(fill.ts_ms, draft.settings.limits.day_start_ms)
    # An opening of ours realises nothing: what the venue books for it closed a stranger's coins.
    adjustment = foreign.strangers_part(fill, gross) if keeps_own or is_opening else money.ZERO
    draft.record(FillApplied(fill, position.position_id, gross, own_gross, day, adjustment, draft.settings.asset))
    fees.tell_left_out(draft, fill)
    if gross != own_gross and not foreign.is_rounding(position, gross - own_gross):
        ours, theirs = money.text(own_gross), money.text(gross)
        text = f"{fill.symbol}: the venue books {theirs} for trade {fill.trade_id}, our arithmetic gives {ours}"
        draft.record(DifferenceFound("pnl", fill.symbol, ours, theirs, "the venue's figure is booked"))
        draft.alert(Severity.WARNING, f"pnl:{fill.key}", text)
    slippage.judge(draft, position, fill, order)
    _tell_part(draft, position, order)
    if order is not None and order.purpose is Purpose.STOP and not order.filled and order.is_live:
        on_venue.ask_again(draft, draft.book.orders[order.client_order_id])
    _move_on(draft, position, fill, order)
    protect.tend(draft, position.position_id)


def _tell_part(draft: Draft, before: Position, order: Order | None) -> None:
    """A partial profit that is taken whole, while the rest goes on."""
    if order is None or order.purpose is not Purpose.PARTIAL:
        return
    after, part = draft.position(before.position_id), draft.book.orders[order.client_order_id]
    if part.remaining or not after.quantity:
        return
    r_multiple = after.r_multiple(after.net_pnl)
    in_r = f", {r_multiple:+.2f} R" if r_multiple is not None else ""
    made = f"{after.net_pnl:+.2f} {draft.settings.asset}{in_r} so far"
    text = (
        f"{after.symbol} {after.side}: {money.text(part.filled)} closed for a part of the profit, {made};"
        f" {money.text(after.quantity)} left, stop {money.text(after.stop_price)}"
    )
    draft.alert(Severity.INFO, f"partial:{order.client_order_id}", text)


def _move_on(draft: Draft, position: Position, fill: Fill, order: Order | None) -> None:
    """The life-cycle moves that one fill causes."""
    if position.state is PositionState.PENDING:
        draft.advance(position.position_id, Trigger.FIRST_FILL, f"fill {fill.trade_id}")
        _announce_open(draft, position, fill)
        if (fill.price - position.initial_stop) * position.side.sign <= 0:
            cause = "filled beyond its own stop"
            protect.begin_close(draft, position.position_id, CloseReason.STOP, cause)
        kill.enforce_level(draft)  # the entry may have filled while its cancel was on the way
    elif position.state is PositionState.OPEN:
        reason = _close_reason(position, fill, order)
        if reason is not None:
            draft.advance(position.position_id, Trigger.BEGIN_CLOSE, f"fill {fill.trade_id}", reason)


def _close_reason(position: Position, fill: Fill, order: Order | None) -> CloseReason | None:
    if order is None:
        if fill.quantity < position.quantity:
            return None  # what is left goes on, behind a smaller stop
        if fill.is_liquidation:
            return CloseReason.LIQUIDATION
        return CloseReason.ADL if fill.is_adl else CloseReason.EXTERNAL
    if order.purpose is Purpose.STOP:
        return CloseReason.STOP if order.trigger_price == position.initial_stop else CloseReason.TRAILING
    if order.purpose is Purpose.TARGET and fill.quantity >= position.quantity:
        return CloseReason.TARGET
    return None  # a target that rests may wait for the price with its remainder: until then the position is open


def _announce_open(draft: Draft, position: Position, fill: Fill) -> None:
    text = (
        f"{position.symbol} {position.side} opened at {money.text(fill.price)}, stop {money.text(position.stop_price)}"
    )
    draft.alert(Severity.INFO, f"opened:{position.position_id}", text)


def _from_outside(draft: Draft, fill: Fill, *, is_told: bool) -> None:
    """A liquidation or a person's order: what of it closes our position is booked there, the rest is not ours.

    A stream may tell it before the entry that it closes, so without the whole story nothing is taken for foreign.
    """
    position = draft.book.position_on(fill.symbol)
    ours = foreign.part_of_ours(draft, fill, position)
    if ours < fill.quantity and not is_told:
        draft.effect(FetchFills())
        return
    if ours < fill.quantity and _is_entry_behind(draft, position, fill):
        return
    if position is None or not ours:
        foreign.on_fill(draft, fill)
        return
    mine, rest = (fill, None) if ours == fill.quantity else split_fill(fill, ours)
    text = f"{fill.symbol}: {_cause(fill)} of {money.text(ours)} at {money.text(fill.price)} reduced the position"
    draft.alert(Severity.CRITICAL, f"outside:{fill.key}", text)
    if is_emergency_order_id(fill.client_order_id):
        raise_level(draft, Level.NO_ENTRY, "somebody closed positions with `flatten --direct`", "operator")
    _book(draft, position, mine, None)
    if rest is not None:
        foreign.on_fill(draft, rest)


def _cause(fill: Fill) -> str:
    if fill.is_liquidation:
        return "liquidation"
    if fill.is_adl:
        return "auto-deleveraging"
    if is_emergency_order_id(fill.client_order_id):
        return "the emergency close"
    is_late = parse_client_order_id(fill.client_order_id) is not None
    return "a late fill of an order of ours" if is_late else "a fill that is not ours"


def _late_fill(draft: Draft, fill: Fill, origin: str) -> None:
    """A fill of ours after its position closed never reopens it: what it left is closed at once."""
    text = f"{fill.symbol}: late fill {fill.trade_id} of {origin}; closing what it opened"
    held = draft.book.position_on(fill.symbol)
    if held is not None:
        draft.see(unbooked={**draft.market.unbooked, fill.key: fill.ts_ms})
        if fill.symbol not in draft.book.frozen:
            draft.record(SymbolFrozen(fill.symbol, f"late fill {fill.trade_id} beside an open position"))
            draft.alert(Severity.CRITICAL, f"late:{fill.key}", f"{text} once the open position is closed")
        if fill.side is opening_side(held.side):  # nothing covers what it added
            protect.begin_close(draft, held.position_id, CloseReason.RISK, "a late fill stands beside it")
        return
    number = draft.book.next_position
    side = Side.LONG if fill.side is TradeSide.BUY else Side.SHORT
    residual = Position(
        position_id=position_id(number),
        number=number,
        symbol=fill.symbol,
        side=side,
        strategy="residual",
        state=PositionState.CLOSING,
        intended_quantity=fill.quantity,
        reference_price=fill.price,
        initial_stop=fill.price,
        stop_price=fill.price,
        target_price=None,
        leverage=draft.settings.leverage,
        signal_ms=fill.ts_ms,
        created_ms=draft.ts_ms,
        close_reason=CloseReason.EXTERNAL,
        residual_of=origin,
    )
    draft.record(PositionOpened(residual))
    draft.alert(Severity.CRITICAL, f"late:{fill.key}", text)
    _book(draft, residual, fill, None)


def on_income(draft: Draft, income: Income) -> None:
    """Book funding or another wallet change, once, to the position it belongs to; another asset is another wallet."""
    if income.asset != draft.settings.asset:
        return
    if income.key in draft.book.seen or income.ts_ms < draft.book.ledger.opened_ms:
        return
    owner = ""
    if income.kind is not PnlKind.TRANSFER:
        held = draft.book.position_on(income.symbol)
        if held is not None and held.opened_ms and held.opened_ms < income.ts_ms:
            owner = held.position_id
        else:
            owner = _last_closed(draft, income)
        is_traded = not income.symbol or income.symbol in draft.settings.instruments
        if not owner and not is_traded:
            foreign.on_income(draft, income)
            return
    day = day_of(income.ts_ms, draft.settings.limits.day_start_ms)
    draft.record(IncomeBooked(income, owner, day))


def _last_closed(draft: Draft, income: Income) -> str:
    """The position on the symbol that closed at or after the settlement, where one did."""
    for trade in reversed(draft.book.ledger.closed):
        if trade.symbol == income.symbol:
            return trade.position_id if trade.closed_ms >= income.ts_ms else ""
    return ""
