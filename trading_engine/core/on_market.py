"""Candles have closed: mark, sample, manage exits, then decide entries.

What belongs here: the order of work at a candle's close and the exits judged on it (trailing, age, signal).
What does not: intrabar exits, which rest at the venue, and entries' details (entry).
"""

from trading_engine.core import danger, protect, risk, stuck, summary, units
from trading_engine.core.draft import Draft
from trading_engine.core.effects import FetchFills, LookUpOrder
from trading_engine.core.entry import decide_entries
from trading_engine.core.settings import NO_FOLLOW
from trading_engine.domain import money
from trading_engine.domain.events import CandlesClosed
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.market import Candle, Signal
from trading_engine.domain.position import Position
from trading_engine.domain.records import DayClosed, EquitySampled, Fate, PositionAged, SignalSeen, StopMoved
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import HOUR_MS, day_of
from trading_engine.rules import exits, turbulence
from trading_engine.rules.exits import Follow


def on_candles(draft: Draft, event: CandlesClosed) -> None:
    """Everything that follows from candles that closed at one instant."""
    newest_ms = max((candle.close_time_ms for candle in event.candles), default=event.ts_ms)
    previous_ms = draft.market.closed_ms
    closed_ms = max(newest_ms, previous_ms)  # candles of a symbol that fell behind come after those of the others
    marks = dict(draft.market.marks)
    for candle in event.candles:
        marks[candle.symbol] = draft.instrument(candle.symbol).ticks_to_price(candle.close)
    draft.see(marks=marks, closed_ms=closed_ms)
    _sample(draft, previous_ms, closed_ms)
    limit = draft.settings.limits
    for candle in event.candles:
        if limit.shock_atr_milli or turbulence.is_wide(candle.high, candle.low, limit.shock_range_ppm):
            danger.watch_market(draft, candle)
        position = draft.book.position_on(candle.symbol)
        if position is not None and position.state is PositionState.OPEN:
            danger.watch_liquidation(draft, position, candle)
            _manage_exit(draft, position, candle)
    stuck.watch(draft)
    signals = tuple(signal for signal in event.signals if not _is_known(draft, signal))
    left = _exit_on_signals(draft, signals)
    if left:
        fresh = event.ts_ms - newest_ms <= draft.settings.execution.max_signal_age_ms
        decide_entries(draft, left, may_enter=fresh and not event.is_catch_up)
    if signals:
        draft.see(decided_ms=event.ts_ms)


def _is_known(draft: Draft, signal: Signal) -> bool:
    """A candle that is delivered again after a restart is not decided twice."""
    return signal.candle_ts_ms <= draft.book.signal_ms.get((signal.strategy, signal.symbol), -1)


def _sample(draft: Draft, previous_ms: int, closed_ms: int) -> None:
    if not previous_ms or not draft.book.ledger.bookings:
        return
    day_start_ms = draft.settings.limits.day_start_ms
    day = day_of(previous_ms, day_start_ms)
    if day != day_of(closed_ms, day_start_ms):
        figures = _day_closed(draft, day)
        draft.record(figures)
        summary.tell_day(draft, figures)
    if previous_ms // HOUR_MS != closed_ms // HOUR_MS:
        unrealized = money.round_money(risk.unrealized(draft.book, draft.marks))
        draft.record(EquitySampled(closed_ms, draft.book.ledger.balance, unrealized))
        summary.tell_hour(draft, closed_ms)


def _day_closed(draft: Draft, day: str) -> DayClosed:
    ledger = draft.book.ledger
    figures = ledger.day(day)
    trades = [t for t in ledger.closed if day_of(t.closed_ms, draft.settings.limits.day_start_ms) == day]
    return DayClosed(
        day,
        ledger.balance_at_start_of(day),
        figures.realized,
        figures.fees,
        figures.funding,
        len(trades),
        sum(1 for trade in trades if trade.net > 0),
    )


def _manage_exit(draft: Draft, position: Position, candle: Candle) -> None:
    if _is_through(draft, position, candle):
        return
    settings = draft.settings.exits
    is_due = exits.time_exit_due(position.opened_ms, candle.close_time_ms, settings.max_age_ms)
    if is_due and settings.close_on_max_age:
        protect.begin_close(draft, position.position_id, CloseReason.TIME, "older than its limit")
        return
    if is_due and not position.is_aged:
        draft.record(PositionAged(position.position_id))
        hours = settings.max_age_ms // HOUR_MS
        text = f"{position.symbol} {position.side} {position.position_id} has been open for {hours} h"
        if settings.tighten_milli:
            text += f"; its stop follows the close at {settings.tighten_milli / 1000:g} R from now on"
        draft.alert(Severity.WARNING, f"aged:{position.position_id}", text)
    _trail(draft, position, candle, Follow(0, 0, settings.tighten_milli if is_due else 0, 0))


def _is_through(draft: Draft, position: Position, candle: Candle) -> bool:
    """Whether two candles in a row closed beyond the stop and the position is still there: it is closed at market.

    After the first the venue is asked what became of the stop: its fill may not have been told.
    """
    beyond = draft.market.beyond
    close = draft.instrument(candle.symbol).ticks_to_price(candle.close)
    is_beyond = (close - position.stop_price) * position.side.sign < 0
    if draft.settings.absence_is_proof or not is_beyond:
        if position.position_id in beyond:
            draft.see(beyond={name: at_ms for name, at_ms in beyond.items() if name != position.position_id})
        return False
    first_ms = beyond.get(position.position_id, candle.close_time_ms)
    if first_ms == candle.close_time_ms:
        kept = {name: at_ms for name, at_ms in beyond.items() if name in draft.book.positions}
        draft.see(beyond={**kept, position.position_id: first_ms})
        for stop in draft.book.orders_of(position.position_id, Purpose.STOP):
            if stop.is_live:
                draft.effect(LookUpOrder(stop.symbol, stop.client_order_id))
        draft.effect(FetchFills())
        return False
    name = position.position_id
    text = f"{position.symbol}: the price is beyond the stop of {name} and nothing fills; closing at market"
    draft.alert(Severity.CRITICAL, f"unfilled:{position.position_id}", text)
    protect.begin_close(draft, position.position_id, CloseReason.STOP, "the stop did not fill")
    return True


def _trail(draft: Draft, position: Position, candle: Candle, aged: Follow) -> None:
    """Move the stop where ladder, following stop or age ask for it."""
    plan = draft.settings.exits.plan(position.strategy)
    entry = position.average_entry
    if entry is None or not (plan.trailing or aged.risk_milli or plan.follow != NO_FOLLOW):
        return
    instrument, sign = draft.instrument(position.symbol), position.side.sign
    current_ticks = units.ticks(instrument, position.stop_price)
    entry_mticks = units.mticks(instrument, entry)
    risk_mticks = exits.initial_risk_mticks(entry_mticks, units.ticks(instrument, position.initial_stop))
    atr_mticks = units.mticks(instrument, position.atr)
    moved_ticks = exits.moved_stop(
        sign, entry_mticks, risk_mticks, atr_mticks, candle.close, current_ticks, plan.trailing, plan.follow, aged
    )
    if moved_ticks != current_ticks:
        reached = exits.r_reached_milli(sign, entry_mticks, risk_mticks, candle.close)
        price = instrument.ticks_to_price(moved_ticks)
        draft.record(StopMoved(position.position_id, price, f"close at {reached / 1000:.2f} R"))
        protect.tend(draft, position.position_id)


def _exit_on_signals(draft: Draft, signals: tuple[Signal, ...]) -> tuple[Signal, ...]:
    """Close what a signal closes; the signals that may still become entries are returned."""
    left: list[Signal] = []
    for signal in signals:
        position = draft.book.position_on(signal.symbol)
        is_open = position is not None and position.state is PositionState.OPEN
        if position is not None and is_open and _closes(draft, signal, position):
            protect.begin_close(draft, position.position_id, CloseReason.SIGNAL, f"{signal.strategy}: {signal.tag}")
            draft.record(SignalSeen(signal, Fate.EXITED, "closed the position", position.position_id))
        elif signal.side is None:
            draft.record(SignalSeen(signal, Fate.NOTHING_TO_CLOSE, "no position of this strategy to close"))
        else:
            left.append(signal)
    return tuple(left)


def _closes(draft: Draft, signal: Signal, position: Position) -> bool:
    """Only the position's own strategy closes it; an opposite signal does if configured, never reversing.

    A signal that a filter refuses asks for its exit alone.
    """
    if signal.strategy != position.strategy:
        return False
    is_opposite = signal.side is not None and signal.side is not position.side and not signal.refusals
    return signal.exit_side is position.side or (is_opposite and draft.settings.exits.exit_on_opposite)
