"""From a signal to an approved entry, or to the reason why not.

What belongs here: choosing among signals, gates, sizing, approval, and the records of an entry. What does
not: the rules themselves (rules), exits (on_market, protect).
"""

from dataclasses import dataclass
from decimal import Decimal

from trading_engine.core import foreign, gates, protect, risk, units
from trading_engine.core.draft import Draft
from trading_engine.core.effects import PlaceOrder, SetTimer
from trading_engine.core.risk import Approved, Judged, Proposal
from trading_engine.core.settings import SizingSettings
from trading_engine.domain import money
from trading_engine.domain.events import TimerKind
from trading_engine.domain.ids import position_id
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.market import Signal
from trading_engine.domain.orders import Order
from trading_engine.domain.position import Position
from trading_engine.domain.records import Fate, OrderIntended, PositionOpened, SignalSeen
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import iso
from trading_engine.rules import exits, scaling, sizing
from trading_engine.rules.integers import PPM
from trading_engine.rules.scaling import Method, Record
from trading_engine.rules.sizing import Bound, Size, SizingInput
from trading_engine.strategy.aggregate import choose


def decide_entries(draft: Draft, signals: tuple[Signal, ...], *, may_enter: bool) -> None:
    """Give every entry signal its fate: by confidence, then by symbol; one position a symbol."""
    chosen: list[Signal] = []
    by_symbol: dict[str, list[Signal]] = {}
    for signal in signals:
        if signal.refusals:  # before the ranking: what may not enter outranks nothing
            draft.record(SignalSeen(signal, Fate.FILTERED, "; ".join(signal.refusals)))
        elif signal.strategy in draft.book.disabled:
            since = iso(draft.book.disabled[signal.strategy])
            draft.record(SignalSeen(signal, Fate.GATED, f"{signal.strategy} is disabled since {since}"))
        else:
            by_symbol.setdefault(signal.symbol, []).append(signal)
    for group in by_symbol.values():
        choice = choose(group)
        if choice.chosen is not None:
            chosen.append(choice.chosen)
        for dropped in choice.dropped:
            draft.record(SignalSeen(dropped.signal, dropped.fate, dropped.reason))
    for signal in sorted(chosen, key=lambda item: (-item.confidence, item.symbol)):
        _decide(draft, signal, may_enter=may_enter)


def _decide(draft: Draft, signal: Signal, *, may_enter: bool) -> None:
    held = draft.book.position_on(signal.symbol)
    if held is not None and not _climbs(draft, held, signal):
        draft.record(SignalSeen(signal, Fate.HELD, f"{held.position_id} is {held.state}", held.position_id))
        return
    if not may_enter:
        draft.record(SignalSeen(signal, Fate.STALE, "its candle is not the latest any more"))
        return
    reasons = gates.entry_gates(draft.state, draft.settings, signal.symbol, draft.ts_ms)
    reasons += foreign.reasons_against(draft.market, signal)
    if reasons:
        draft.record(SignalSeen(signal, Fate.GATED, "; ".join(reasons)))
        return
    sized = _size(draft, signal, held)
    if not sized.quantity:
        draft.record(SignalSeen(signal, Fate.REFUSED, sized.explanation, inputs=sized.inputs))
    elif held is not None:
        _add(draft, signal, sized, held)
    else:
        _enter(draft, signal, sized)


def _climbs(draft: Draft, held: Position, signal: Signal) -> bool:
    """Whether a signal may make its strategy's position larger: the same side, earlier entries done, rungs left."""
    entry = draft.book.entry_of(held.position_id)
    return (
        draft.book.rungs(held.position_id) < len(draft.settings.sizing.ladder)
        and held.state is PositionState.OPEN
        and (held.strategy, held.side) == (signal.strategy, signal.side)
        and entry is not None
        and entry.is_settled
        and _to_stop(draft, held, signal) > 0
    )


def _to_stop(draft: Draft, held: Position, signal: Signal) -> int:
    """How far the stop of a position lies from the close, in ticks; not above 0 where the price is beyond it."""
    stop_ticks = units.ticks(draft.instrument(signal.symbol), held.stop_price)
    return (signal.close_ticks - stop_ticks) * held.side.sign


@dataclass(frozen=True, slots=True)
class _Sized:
    """An entry with its quantity (0 for none) and levels, what set it, and the numbers that led there."""

    quantity: Decimal
    price: Decimal
    stop_price: Decimal
    target_price: Decimal | None
    explanation: str
    inputs: tuple[tuple[str, str], ...]


def _size(draft: Draft, signal: Signal, held: Position | None) -> _Sized:
    assert signal.side is not None  # noqa: S101 - decide_entries passes entry signals only
    instrument = draft.instrument(signal.symbol)
    sign = signal.side.sign
    stop_ticks = exits.stop_level(sign, signal.close_ticks, signal.stop_ticks)
    target_ticks = exits.target_level(sign, signal.close_ticks, signal.target_ticks) if signal.target_ticks else 0
    record = risk.record_of(draft.book.ledger, draft.settings)
    distance_ticks = signal.stop_ticks if held is None else _to_stop(draft, held, signal)
    inputs = _sizing_input(draft, instrument, signal, distance_ticks, record)
    rung = draft.book.rungs(held.position_id) if held else 0
    size = sizing.share_of(sizing.fixed_fraction(inputs), _share_ppm(draft.settings.sizing, rung), inputs)
    balance = money.text(money.from_e8(inputs.balance_e8))
    explanation = f"{Bound(size.binding).name.lower()} binds; balance {balance}, stop {distance_ticks} ticks away"
    if not size.steps:
        explanation = f"below the venue's minimum (balance {balance})"
        if not inputs.risk_ppm:
            explanation = f"kelly: the last {record.trades} trades have no edge"
        elif not inputs.method_steps and not signal.atr_mticks:
            explanation = "volatility: there is no average true range to size by yet"
    if held is not None:
        stop_ticks = units.ticks(instrument, held.stop_price)
    return _Sized(
        instrument.steps_to_quantity(size.steps),
        instrument.ticks_to_price(signal.close_ticks),
        instrument.ticks_to_price(stop_ticks),
        instrument.ticks_to_price(target_ticks) if target_ticks else None,
        explanation,
        _told(draft.settings.sizing, inputs, record, size),
    )


def _share_ppm(settings: SizingSettings, rung: int) -> int:
    return settings.ladder[rung] if settings.ladder else PPM


def _told(settings: SizingSettings, inputs: SizingInput, record: Record, size: Size) -> tuple[tuple[str, str], ...]:
    """What a size came from and what it became, as (name, text) pairs: money as money, all else as it is counted."""
    pairs = [
        (name.removesuffix("_e8"), money.text(money.from_e8(value))) if name.endswith("_e8") else (name, str(value))
        for name, value in zip(SizingInput._fields, inputs, strict=True)
    ]
    scale = scaling.scale_milli(settings.scaling, record)
    how = [("method", Method(settings.method).name.lower()), ("scale_milli", str(scale))]
    if settings.method is Method.KELLY:
        how += [("trades", str(record.trades)), ("wins", str(record.wins))]
        how += [(name, money.text(money.from_e8(getattr(record, f"{name}_e8")))) for name in ("won", "lost")]
    return (*how, *pairs, ("steps", str(size.steps)), ("binding", Bound(size.binding).name.lower()))


def _sizing_input(
    draft: Draft, instrument: Instrument, signal: Signal, distance_ticks: int, record: Record
) -> SizingInput:
    settings = draft.settings.sizing
    available = risk.available_margin(draft.book, draft.marks, draft.market.strangers)
    bounds = SizingInput(
        balance_e8=max(units.e8_down(draft.book.ledger.balance), 0),
        risk_ppm=settings.risk_ppm,
        cap_ppm=settings.cap_ppm,
        cap_money_e8=settings.cap_money_e8,
        available_margin_e8=max(units.e8_down(available), 0),
        leverage_milli=units.milli(draft.settings.leverage),
        fee_rate_e8=settings.taker_fee_e8,
        entry_ticks=signal.close_ticks,
        stop_distance_ticks=distance_ticks,
        value_per_tick_step_e8=units.value_e8(instrument),
        max_steps=units.steps(instrument, instrument.max_quantity),
        min_steps=units.steps(instrument, instrument.min_quantity),
        min_notional_e8=units.e8_up(instrument.min_notional),
    )
    return sizing.by_method(bounds, settings.scaling, record, signal.atr_mticks)


def _enter(draft: Draft, signal: Signal, sized: _Sized) -> None:
    assert signal.side is not None  # noqa: S101 - as above
    number = draft.book.next_position
    position = Position(
        position_id=position_id(number),
        number=number,
        symbol=signal.symbol,
        side=signal.side,
        strategy=signal.strategy,
        state=PositionState.PENDING,
        intended_quantity=sized.quantity,
        reference_price=sized.price,
        initial_stop=sized.stop_price,
        stop_price=sized.stop_price,
        target_price=sized.target_price,
        leverage=draft.settings.leverage,
        signal_ms=signal.candle_ts_ms,
        created_ms=draft.ts_ms,
        tag=signal.tag,
        atr=units.price_of_mticks(draft.instrument(signal.symbol), signal.atr_mticks),
    )
    order = protect.entry_order(draft, position, position.intended_quantity)
    proposal = Proposal(signal.symbol, sized.quantity, sized.price, sized.stop_price)
    approval = risk.approve_entry(
        draft.book, draft.marks, draft.settings, proposal, order.client_order_id, draft.market.strangers
    )
    if isinstance(approval, Judged):
        draft.record(SignalSeen(signal, Fate.REFUSED, approval.reason, inputs=sized.inputs))
        return
    if draft.settings.signals_only:
        _withhold(draft, signal, sized)
        return
    draft.record(SignalSeen(signal, Fate.TAKEN, sized.explanation, position.position_id, sized.inputs))
    draft.record(PositionOpened(position))
    draft.record(OrderIntended(order))
    draft.alert(
        Severity.INFO,
        f"entry:{position.position_id}",
        f"{signal.symbol} {signal.side} entry of {money.text(sized.quantity)} near {money.text(sized.price)}"
        f" by {signal.strategy}, stop {money.text(sized.stop_price)}",
    )
    _send(draft, order, approval)


def _add(draft: Draft, signal: Signal, sized: _Sized, held: Position) -> None:
    """One more entry into a position; its stop stays where it is, its targets follow when the entry is done."""
    order = protect.entry_order(draft, held, sized.quantity)
    proposal = Proposal(signal.symbol, sized.quantity, sized.price, held.stop_price, held)
    approval = risk.approve_entry(
        draft.book, draft.marks, draft.settings, proposal, order.client_order_id, draft.market.strangers
    )
    if isinstance(approval, Judged):
        draft.record(SignalSeen(signal, Fate.REFUSED, approval.reason, inputs=sized.inputs))
        return
    if draft.settings.signals_only:
        _withhold(draft, signal, sized)
        return
    draft.record(SignalSeen(signal, Fate.ADDED, sized.explanation, held.position_id, sized.inputs))
    draft.record(OrderIntended(order))
    text = f"{signal.symbol} {signal.side}: {money.text(sized.quantity)} more near {money.text(sized.price)}"
    draft.alert(Severity.INFO, f"entry:{order.client_order_id}", f"{text} for {held.position_id} by {signal.strategy}")
    _send(draft, order, approval)


def _withhold(draft: Draft, signal: Signal, sized: _Sized) -> None:
    """The last gate, where nothing is sent: what would have been ordered is written down and told instead."""
    target = "" if sized.target_price is None else money.text(sized.target_price)
    quantity, price, stop = (money.text(value) for value in (sized.quantity, sized.price, sized.stop_price))
    levels = f"stop {stop}, {f'target {target}' if target else 'no target'}"
    would = f"{signal.side} entry of {quantity} near {price}, {levels}"
    order = (("side", str(signal.side)), ("quantity", quantity), ("entry", price), ("stop", stop), ("target", target))
    reason = f"signals only: {would}; {sized.explanation}"
    draft.record(SignalSeen(signal, Fate.WITHHELD, reason, inputs=(*sized.inputs, *order)))
    text = f"signals only, nothing is sent: {signal.symbol} {would} by {signal.strategy}"
    draft.alert(Severity.INFO, f"withheld:{signal.symbol}:{signal.candle_ts_ms}", text)


def _send(draft: Draft, order: Order, approval: Approved) -> None:
    draft.effect(PlaceOrder(approval, order.to_request(), order.not_after_ms))
    deadline = draft.ts_ms + draft.settings.execution.entry_ttl_ms
    draft.effect(SetTimer(deadline, TimerKind.ENTRY_DEADLINE, order.client_order_id))
