"""The venue does not tell or answer: since when, and when that must be told.

What belongs here: the span of an outage. What does not: the gate that shuts at its first moment (reconcile), market
data (on_feed).

Entries stop at once; a person is told when it lasts. Positions keep their stops at the venue meanwhile.
"""

from trading_engine.core.draft import Draft
from trading_engine.core.effects import SetTimer
from trading_engine.domain.events import TimerKind
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import SECOND_MS, iso

_KEY = "venue:reach"


def begin(draft: Draft) -> None:
    """It does not tell or answer; again before it is over changes nothing."""
    if not draft.market.lost_ms:
        draft.see(lost_ms=draft.ts_ms)
        draft.effect(SetTimer(draft.ts_ms + draft.settings.execution.outage_ms, TimerKind.OUTAGE))


def on_timer(draft: Draft) -> None:
    """Tell an outage that has lasted, once."""
    market, limit_ms = draft.market, draft.settings.execution.outage_ms
    if not market.lost_ms or market.is_outage:
        return
    if draft.ts_ms < market.lost_ms + limit_ms:  # of an outage that is over, while another has begun
        draft.effect(SetTimer(market.lost_ms + limit_ms, TimerKind.OUTAGE))
        return
    draft.see(is_outage=True)
    held = sorted(position.symbol for position in draft.book.positions.values())
    kept = f"; positions keep the stops that rest there: {', '.join(held)}" if held else ""
    text = f"{draft.settings.venue} is out of reach since {iso(market.lost_ms)}: no entries{kept}"
    draft.alert(Severity.CRITICAL, _KEY, text)


def over(draft: Draft) -> None:
    """The account was read whole and the stream tells again."""
    market = draft.market
    if market.is_outage:
        lasted_s = (draft.ts_ms - market.lost_ms) // SECOND_MS
        draft.alert(Severity.INFO, _KEY, f"{draft.settings.venue} answers again after {lasted_s} s; reconciled")
    if market.lost_ms:
        draft.see(lost_ms=0, is_outage=False)
