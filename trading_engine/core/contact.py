"""Whether the venue can be heard: outages, and a stream that is open and says nothing.

What belongs here: what is remembered and told of both. What does not: the entry gate (reconcile shuts and opens it),
reading the account, connections (venues).

An open socket proves nothing. The proof that a stream is deaf or dumb is a fill that was read and that the stream,
which claimed to be there when it happened, has not told within ten seconds.
"""

from trading_engine.core import protect
from trading_engine.core.draft import Draft
from trading_engine.core.effects import RenewStream, SetTimer
from trading_engine.domain.events import TimerKind
from trading_engine.domain.fills import Fill
from trading_engine.domain.lifecycle import CloseReason
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import MINUTE_MS

_SETTLED_MS = 5_000  # the stream of a fill that is older than this when it began was not expected to tell it


def on_lost(draft: Draft, why: str) -> None:
    """The venue does not tell what happens, or cannot be read. Said at once for the log, loudly when it lasts."""
    if draft.market.lost_ms:
        return
    draft.see(lost_ms=draft.ts_ms, lost_why=why, unheard={}, told=frozenset())
    draft.alert(Severity.INFO, "venue:lost", f"{draft.settings.venue}: {why}; no entries until it was read again")
    draft.effect(SetTimer(draft.ts_ms + draft.settings.execution.outage_alert_ms, TimerKind.OUTAGE))


def on_found(draft: Draft) -> None:
    """The account was read whole and the stream is there."""
    if draft.market.is_outage_told:
        minutes = _minutes(draft)
        text = f"{draft.settings.venue} is back after {minutes}; the account was read and compared"
        draft.alert(Severity.WARNING, "venue:up", text)
        if draft.settings.limits.flatten_after_outage:
            for position_id in list(draft.book.positions):
                protect.begin_close(draft, position_id, CloseReason.RISK, "the venue was out of reach for too long")
    if draft.market.lost_ms:
        draft.see(lost_ms=0, lost_why="", is_outage_told=False)


def on_outage_timer(draft: Draft) -> None:
    """An outage that lasts is told once."""
    market = draft.market
    if not market.lost_ms or market.is_outage_told:
        return
    due_ms = market.lost_ms + draft.settings.execution.outage_alert_ms
    if draft.ts_ms < due_ms:
        draft.effect(SetTimer(due_ms, TimerKind.OUTAGE))
        return
    held = sum(1 for position in draft.book.positions.values() if position.quantity)
    kept = f"{held} position{'s' if held != 1 else ''} behind what rests there" if held else "flat"
    severity = Severity.CRITICAL if held else Severity.WARNING
    text = f"{draft.settings.venue} has been out of reach for {_minutes(draft)} ({market.lost_why}); no entries, {kept}"
    draft.alert(severity, "venue:down", text)
    draft.see(is_outage_told=True)


def _minutes(draft: Draft) -> str:
    return f"{round((draft.ts_ms - draft.market.lost_ms) / MINUTE_MS)} min"


def on_fill_read(draft: Draft, fill: Fill) -> None:
    """A fill was learned by reading: the stream that was there when it happened is to tell it as well."""
    market = draft.market
    if fill.key in market.told:
        return
    heard_from_ms = max(market.connected_ms, market.began_ms) + _SETTLED_MS
    if draft.settings.absence_is_proof or not market.is_connected or fill.ts_ms <= heard_from_ms:
        return
    draft.see(unheard={**market.unheard, fill.key: draft.ts_ms})
    draft.effect(SetTimer(draft.ts_ms + draft.settings.execution.stream_lag_ms, TimerKind.STREAM))


def on_fill_told(draft: Draft, fill: Fill) -> None:
    """The stream has told a fill, before it was read or after; some are booked only once they were read."""
    market = draft.market
    if fill.key in market.unheard:
        draft.see(unheard={key: at_ms for key, at_ms in market.unheard.items() if key != fill.key})
    elif fill.key not in draft.book.seen:
        draft.see(told=(market.told - draft.book.seen.keys()) | {fill.key})


def on_stream_timer(draft: Draft) -> None:
    """A stream that has not told what was read is made anew; what else it has kept to itself is read then."""
    unheard = draft.market.unheard
    if not unheard:
        return
    due_ms = min(unheard.values()) + draft.settings.execution.stream_lag_ms
    if draft.ts_ms < due_ms:
        draft.effect(SetTimer(due_ms, TimerKind.STREAM))
        return
    seconds = draft.settings.execution.stream_lag_ms // 1_000
    text = (
        f"{draft.settings.venue}: the user stream is open and has not told {len(unheard)}"
        f" fill{'s' if len(unheard) != 1 else ''} that {'were' if len(unheard) != 1 else 'was'} read {seconds} s ago;"
        " it is made anew"
    )
    draft.alert(Severity.WARNING, "stream:silent", text)
    draft.see(unheard={})
    draft.effect(RenewStream("it does not tell what happens"))
