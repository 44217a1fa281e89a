"""The error breaker: questions to the venue that are not answered, one after the other.

What belongs here: counting them, what blocks entries and what releases them. What does not: the gate (gates), outages
of a stream (contact), refusals: a refusal is an answer (on_venue counts those of entries).

A strategy that fails at work ends the run, so the venue is what there is to count.
"""

from trading_engine.core.draft import Draft
from trading_engine.core.effects import SetTimer
from trading_engine.domain.events import TimerKind
from trading_engine.domain.severity import Severity


def on_error(draft: Draft, why: str) -> None:
    """A question was not answered, or turned down before it was looked at; so many in a row block entries."""
    limit, market = draft.settings.limits, draft.market
    draft.see(errors=market.errors + 1, error_why=why)
    if not limit.errors_to_block or market.blocked_ms or market.errors + 1 < limit.errors_to_block:
        return
    draft.see(blocked_ms=draft.ts_ms)
    release_ms = draft.ts_ms + limit.errors_cool_off_ms
    draft.effect(SetTimer(release_ms, TimerKind.RECONCILE))  # an answer is needed; nobody else may ask in time
    seconds = limit.errors_cool_off_ms // 1_000
    text = f"{draft.settings.venue}: {market.errors + 1} errors in a row ({why})"
    draft.alert(
        Severity.WARNING, "errors:blocked", f"{text}; no entries until it answers, in {seconds} s at the earliest"
    )


def on_answer(draft: Draft) -> None:
    """The venue has answered: the count begins anew, and after the cool-off entries are possible again."""
    market = draft.market
    if market.errors:
        draft.see(errors=0)
    if market.blocked_ms and draft.ts_ms >= market.blocked_ms + draft.settings.limits.errors_cool_off_ms:
        draft.see(blocked_ms=0)
        text = f"{draft.settings.venue} answers again: entries are possible"
        draft.alert(Severity.INFO, "errors:released", text)
