"""Positions that do not move on: an entry neither filled nor ended, an exit that does not get done.

What belongs here: noticing it at a candle's close and telling it once a position. What does not: trying again (protect,
on_timer do, all the time), an exit at the stop that does not fill (on_market).
"""

from trading_engine.core.draft import Draft
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.position import Position
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import MINUTE_MS


def watch(draft: Draft) -> None:
    """Tell of every position that has been PENDING or CLOSING for too long, and forget those that are gone."""
    limit_ms = draft.settings.tell.stuck_ms
    told = draft.market.stuck
    if told and not told <= draft.book.positions.keys():
        told &= draft.book.positions.keys()
        draft.see(stuck=told)
    if not limit_ms:
        return
    for position in draft.book.positions.values():
        since_ms = _since_ms(draft, position)
        if since_ms and position.position_id not in told and draft.ts_ms - since_ms >= limit_ms:
            told |= {position.position_id}
            draft.see(stuck=told)
            what = "its entry has neither filled nor ended" if position.state is PositionState.PENDING else "closing"
            text = f"{position.symbol} {position.side} {position.position_id} is stuck: {what}"
            minutes = (draft.ts_ms - since_ms) // MINUTE_MS
            text += f" since {minutes} min, {position.quantity.normalize():f} open"
            draft.alert(Severity.CRITICAL, f"stuck:{position.position_id}", text)


def _since_ms(draft: Draft, position: Position) -> int:
    """Since when it should have moved on: from its entry's deadline, or its first exit order; 0 for not at all."""
    if position.state is PositionState.PENDING:
        return position.created_ms + draft.settings.execution.entry_ttl_ms
    if position.state is not PositionState.CLOSING:
        return 0
    exits = draft.book.orders_of(position.position_id, Purpose.EXIT)
    return exits[0].created_ms if exits else 0
