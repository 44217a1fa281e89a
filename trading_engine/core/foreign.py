"""What is at the venue and not ours: positions, orders and fills of a person, a venue, another program.

What belongs here: the policies (ignore, freeze, adopt, flatten), the money of foreign fills, the view of what
strangers hold. What does not: noticing a difference (reconcile), booking what reduces our own position (on_venue).

A foreign order is never touched. A foreign position is touched only under `adopt` and `flatten`, through a row of
ours that exists before anything is sent. Money that others have made or lost is booked as an adjustment, so that
ledger and wallet agree and the limits do not count it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from trading_engine.core import kill, protect
from trading_engine.core.draft import Draft
from trading_engine.core.effects import TakeSnapshot
from trading_engine.core.settings import ForeignPolicy
from trading_engine.core.state import ForeignHolding, Market
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.ids import is_emergency_order_id, parse_client_order_id, position_id
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.market import Side, Signal
from trading_engine.domain.money import MONEY_QUANTUM, ZERO
from trading_engine.domain.orders import OrderReport, closing_side
from trading_engine.domain.position import Position
from trading_engine.domain.records import (
    AdjustmentBooked,
    DifferenceFound,
    PositionGrown,
    PositionOpened,
    SymbolFrozen,
)
from trading_engine.domain.reports import VenuePosition, VenueSnapshot
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import day_of
from trading_engine.rules import exits

ADOPTED = "adopted"  # strategy of a position that was taken over
FOREIGN = "foreign"  # strategy and origin of a position that is only closed
_ACTOR = "reconcile"


# ── what is known of strangers ──────────────────────────────────────────────


def expected(draft: Draft, symbol: str) -> Decimal:
    """What the venue should hold beside ours, signed: what we know of and ignore."""
    holding = draft.market.foreign.get(symbol)
    if holding is None or draft.settings.foreign_policy(symbol) is not ForeignPolicy.IGNORE:
        return ZERO
    return holding.quantity


def reasons_against(market: Market, signal: Signal) -> tuple[str, ...]:
    """Why a signal must not become an entry beside what somebody else holds."""
    holding = market.foreign.get(signal.symbol)
    if holding is None or signal.side is None or holding.quantity * signal.side.sign >= 0:
        return ()
    held = money.text(holding.quantity)
    return (f"somebody else holds {held}: the two would net, and reduce-only exits could not close ours",)


def part_of_ours(draft: Draft, fill: Fill, held: Position | None) -> Decimal:
    """How much of a foreign fill reduces our own position; what a stranger holds on our side goes first."""
    if held is None or fill.side is not closing_side(held.side):
        return ZERO
    beside = max(expected(draft, fill.symbol) * held.side.sign, ZERO)
    return min(held.quantity, max(fill.quantity - beside, ZERO))


def look(draft: Draft, snapshot: VenueSnapshot, differences: Mapping[str, Decimal]) -> None:
    """Bring the view of strangers' positions to a snapshot, but for the differences, which are judged apart."""
    shown = {item.symbol: item for item in snapshot.positions}
    view: dict[str, ForeignHolding] = {}
    for symbol, holding in draft.market.foreign.items():
        is_ignored = draft.settings.foreign_policy(symbol) is ForeignPolicy.IGNORE
        if symbol in draft.settings.instruments and (is_ignored or symbol in differences):
            seen = shown.get(symbol)
            view[symbol] = holding if seen is None else replace(holding, price=seen.mark_price)
    for item in snapshot.positions:
        if item.symbol not in draft.settings.instruments:
            view[item.symbol] = _holding(item, item.quantity * item.side.sign)
    draft.see(foreign=view)


def _holding(item: VenuePosition, quantity: Decimal) -> ForeignHolding:
    return ForeignHolding(item.symbol, quantity, item.mark_price, item.leverage)


def _remember(draft: Draft, holding: ForeignHolding) -> None:
    others = {symbol: item for symbol, item in draft.market.foreign.items() if symbol != holding.symbol}
    if holding.quantity:
        others[holding.symbol] = holding
    draft.see(foreign=others)


# ── orders ──────────────────────────────────────────────────────────────────


def on_orders(draft: Draft, reports: Iterable[OrderReport]) -> None:
    """All open orders that are not ours: told once, counted as exposure, never touched."""
    known = draft.market.foreign_orders
    seen = {_name(report): report for report in reports}
    draft.see(foreign_orders={key: _pending(draft, report) for key, report in seen.items()})
    for key, report in seen.items():
        if is_emergency_order_id(report.client_order_id):
            if key not in known:
                _note(draft, "emergency_order", report.symbol, "", report.client_order_id, "left to close the position")
        elif draft.settings.foreign_policy(report.symbol) is ForeignPolicy.FREEZE:
            freeze(draft, report.symbol, "foreign_order", f"order {_venue_id(report)} is not ours")
        elif key not in known:
            order = f"order {_venue_id(report)}"
            _note(draft, "foreign_order", report.symbol, "", order, "left alone: counted as exposure")
            is_traded = report.symbol in draft.settings.instruments
            text = f"{report.symbol}: {order} is not ours; it is left alone and counted as exposure"
            draft.alert(Severity.WARNING if is_traded else Severity.INFO, f"foreign_order:{key}", text)


def _venue_id(report: OrderReport) -> str:
    return report.venue_order_id or report.client_order_id


def _name(report: OrderReport) -> str:
    """Some venues number the orders of each symbol apart."""
    return f"{report.symbol}:{_venue_id(report)}"


def _pending(draft: Draft, report: OrderReport) -> ForeignHolding:
    """What an open order may still add: nothing where it only reduces."""
    left = ZERO if report.reduce_only else (report.quantity - report.filled) * report.side.sign
    price = report.price or report.trigger_price or draft.marks.get(report.symbol, ZERO)
    return ForeignHolding(report.symbol, left, price, draft.settings.leverage)


# ── fills and other money ───────────────────────────────────────────────────


def on_fill(draft: Draft, fill: Fill) -> None:
    """Somebody else has traded: their money is booked, and what they hold now follows the symbol's policy."""
    amount = money.subtract(fill.realized_pnl or ZERO, fill.fee_in(draft.settings.asset))
    traded = f"{fill.side} {money.text(fill.quantity)} at {money.text(fill.price)}"
    day = day_of(fill.ts_ms, draft.settings.limits.day_start_ms)
    is_own_order = parse_client_order_id(fill.client_order_id) is not None
    what = f"of {fill.client_order_id} goes beyond what is ours" if is_own_order else "is not ours"
    reason = f"fill {fill.trade_id} {what}: {traded}"
    draft.record(AdjustmentBooked(fill.key, amount, draft.settings.asset, fill.symbol, fill.ts_ms, day, _ACTOR, reason))
    if fill.symbol not in draft.settings.instruments:
        return
    policy = draft.settings.foreign_policy(fill.symbol)
    if policy is ForeignPolicy.FREEZE:
        if fill.symbol not in draft.book.frozen:
            draft.record(SymbolFrozen(fill.symbol, f"fill {fill.trade_id} is not ours"))
            text = f"{fill.symbol}: a fill that is not ours; no entries until `trading-engine resume`"
            draft.alert(Severity.CRITICAL, f"frozen:{fill.symbol}", text)
        return
    if policy is ForeignPolicy.IGNORE:
        quantity = expected(draft, fill.symbol) + fill.quantity * fill.side.sign
        _remember(draft, ForeignHolding(fill.symbol, quantity, fill.price, draft.settings.leverage))
        what = "it is left alone and counted as exposure"
    else:
        draft.effect(TakeSnapshot())
        what = f"what it opened will be {_DONE[policy]}"
    text = f"{fill.symbol}: a fill that is not ours ({traded}); {what}"
    draft.alert(Severity.WARNING, f"foreign:{fill.symbol}", text)


_DONE = {ForeignPolicy.ADOPT: "adopted", ForeignPolicy.FLATTEN: "closed"}
_TAKEN_AS = {ForeignPolicy.ADOPT: ADOPTED, ForeignPolicy.FLATTEN: FOREIGN}


def keeps_own_figures(draft: Draft, position: Position) -> bool:
    """The venue's PnL of this position counts a stranger's part as well: ours is booked, the rest adjusted."""
    is_mixed = draft.settings.foreign_policy(position.symbol) is ForeignPolicy.IGNORE
    return is_mixed or position.residual_of == FOREIGN


def strangers_part(fill: Fill, gross: Decimal) -> Decimal:
    """What the venue books for a fill beyond `gross`, which is ours; nothing where it does not say."""
    return ZERO if fill.realized_pnl is None else money.subtract(fill.realized_pnl, gross)


def is_rounding(position: Position, difference: Decimal) -> bool:
    """The venue names an entry price to 1e-8: what was adopted at it is no more exact than that."""
    if not position.adopted_quantity:
        return False
    return abs(difference) <= money.multiply(position.adopted_quantity + 1, MONEY_QUANTUM)


def on_income(draft: Draft, income: Income) -> None:
    """Funding of a symbol we do not trade."""
    day = day_of(income.ts_ms, draft.settings.limits.day_start_ms)
    reason = f"{income.kind} of {income.symbol}, which is not traded here"
    draft.record(
        AdjustmentBooked(income.key, income.amount, income.asset, income.symbol, income.ts_ms, day, _ACTOR, reason)
    )


# ── positions ───────────────────────────────────────────────────────────────


def on_difference(draft: Draft, symbol: str, difference: Decimal, shown: Iterable[VenuePosition]) -> None:
    """The venue provably holds `difference` (signed) more than we and known strangers do: follow the policy."""
    position = draft.book.position_on(symbol)
    ours = ZERO if position is None else position.quantity * position.side.sign
    theirs = expected(draft, symbol) + difference
    held = ours + theirs
    legs = [item for item in shown if item.symbol == symbol]  # two in hedge mode: the one that theirs makes counts
    seen = max(legs, key=lambda item: item.side.sign * theirs > 0, default=None)
    policy = draft.settings.foreign_policy(symbol)
    is_beside = ours * theirs >= 0  # what nets against ours cannot be somebody else's: ours would be gone
    holding = ForeignHolding(symbol, ZERO, ZERO, draft.settings.leverage) if seen is None else _holding(seen, theirs)
    _remember(draft, holding if is_beside else replace(holding, quantity=ZERO))
    if policy is ForeignPolicy.IGNORE and is_beside:
        _note(draft, "position", symbol, money.text(ours), money.text(held), "ignored: counted as exposure")
        text = f"{symbol}: {money.text(theirs)} at the venue is not ours; it is left alone and counted as exposure"
        draft.alert(Severity.WARNING, f"foreign:{symbol}", text if theirs else f"{symbol}: all at the venue is ours")
        return
    taken_as = _TAKEN_AS.get(policy)
    may_act = taken_as is not None and draft.book.control.level is not Level.LOCKED
    if may_act and seen is not None and position is None:
        _adopt(draft, seen) if policy is ForeignPolicy.ADOPT else _flatten(draft, seen)
    elif may_act and seen is not None and position is not None and position.strategy == taken_as and ours * theirs > 0:
        _grow(draft, position, seen)
    else:
        freeze(draft, symbol, "position", f"venue holds {money.text(held)}, we hold {money.text(ours)}")


def _adopt(draft: Draft, seen: VenuePosition) -> None:
    """Take a position over at the venue's entry price, with its stop in the same transaction."""
    stop = adopted_stop(
        draft.instrument(seen.symbol), seen.side, seen.mark_price, draft.settings.foreign.adopt_stop_ppm
    )
    row = _row(draft, seen, seen.entry_price, stop)
    adopted = replace(row, strategy=ADOPTED, state=PositionState.OPEN)
    quantity, price = money.text(seen.quantity), money.text(seen.entry_price)
    _take_over(draft, adopted, "adopted", f"{seen.side} {quantity} from {price} is adopted, stop {money.text(stop)}")


def _flatten(draft: Draft, seen: VenuePosition) -> None:
    """Close a position that is not ours. It counts from the mark: what it made before was not our doing."""
    row = _row(draft, seen, seen.mark_price, seen.mark_price)
    closing = replace(
        row,
        strategy=FOREIGN,
        state=PositionState.CLOSING,
        residual_of=FOREIGN,
        close_reason=CloseReason.EXTERNAL,
    )
    quantity = money.text(seen.quantity)
    _take_over(draft, closing, "closed", f"{seen.side} {quantity} that is not ours is closed at the market")


def _grow(draft: Draft, position: Position, seen: VenuePosition) -> None:
    """More of what was taken over has come: an order of theirs that fills in parts."""
    more = seen.quantity - position.quantity
    value = money.multiply(more, seen.mark_price)
    if position.strategy == ADOPTED:  # the venue's entry price is that of the whole
        value = money.multiply(seen.quantity, seen.entry_price) - position.cost
    quantity = money.text(more)
    _note(draft, "position", position.symbol, money.text(position.quantity), money.text(seen.quantity), "taken over")
    draft.record(PositionGrown(position.position_id, more, money.round_money(value)))
    text = f"{position.symbol}: {quantity} more at the venue are taken over as well"
    draft.alert(Severity.WARNING, f"taken_over:{position.position_id}:{position.version}", text)
    _remember(draft, ForeignHolding(position.symbol, ZERO, ZERO, position.leverage))
    protect.tend(draft, position.position_id)


def _take_over(draft: Draft, position: Position, action: str, text: str) -> None:
    _note(draft, "position", position.symbol, "0", f"{position.side} {money.text(position.quantity)}", action)
    draft.record(PositionOpened(position))
    draft.alert(Severity.WARNING, f"taken_over:{position.position_id}", f"{position.symbol}: {text}")
    _remember(draft, ForeignHolding(position.symbol, ZERO, ZERO, position.leverage))
    protect.tend(draft, position.position_id)
    kill.enforce_level(draft)


def _row(draft: Draft, seen: VenuePosition, price: Decimal, stop: Decimal) -> Position:
    """A row for what the venue shows, as if it had been opened at `price`; no fill of ours made it."""
    number = draft.book.next_position
    value = money.round_money(money.multiply(seen.quantity, price))
    return Position(
        position_id=position_id(number),
        number=number,
        symbol=seen.symbol,
        side=seen.side,
        strategy="",
        state=PositionState.PENDING,
        intended_quantity=seen.quantity,
        reference_price=seen.mark_price,
        initial_stop=stop,
        stop_price=stop,
        target_price=None,
        leverage=seen.leverage,
        signal_ms=draft.ts_ms,
        created_ms=draft.ts_ms,
        quantity=seen.quantity,
        cost=value,
        entry_quantity=seen.quantity,
        entry_value=value,
        opened_ms=draft.ts_ms,
        adopted_quantity=seen.quantity,
    )


def adopted_stop(instrument: Instrument, side: Side, mark: Decimal, ppm: int) -> Decimal:
    """A price `ppm` against the position from `mark`, on the tick and at least one tick away."""
    down = money.floor_units(mark, instrument.tick)
    mark_ticks = down if side is Side.LONG else money.ceil_units(mark, instrument.tick)
    distance = exits.distance_from_percent(mark_ticks, ppm)
    return instrument.ticks_to_price(exits.stop_level(side.sign, mark_ticks, distance))


def freeze(draft: Draft, symbol: str, kind: str, reason: str) -> None:
    """No entries on a symbol until an operator resumes; said once."""
    if symbol in draft.book.frozen or symbol not in draft.settings.instruments:
        return
    _note(draft, kind, symbol, "", reason, "frozen")
    draft.record(SymbolFrozen(symbol, reason))
    text = f"{symbol}: {reason}; no entries until `trading-engine resume`"
    draft.alert(Severity.CRITICAL, f"frozen:{symbol}", text)


def _note(draft: Draft, kind: str, symbol: str, local: str, venue: str, action: str) -> None:
    draft.record(DifferenceFound(kind, symbol, local, venue, action))
