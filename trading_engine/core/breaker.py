"""The error breaker: questions to the venue that are not answered, one after the other.

What belongs here: counting them, what blocks entries and what releases them. What does not: the gate (gates), outages,
which shut it by themselves (contact), refusals: a refusal is an answer (on_venue counts those of entries).

A strategy that fails at work ends the run, so the venue is what there is to count.
"""

from trading_engine.core.draft import Draft
from trading_engine.core.effects import SetTimer
from trading_engine.core.state import VenueErrors
from trading_engine.domain.events import TimerKind
from trading_engine.domain.severity import Severity


def on_error(draft: Draft, why: str) -> None:
    """A question was not answered, or turned down before it was looked at; so many in a row block entries.

    Those of an outage are not counted: it is known already that the venue is away, and told once.
    """
    if draft.market.lost_ms:
        return
    limit, count, blocked_ms = draft.settings.limits, draft.market.errors.count + 1, draft.market.errors.blocked_ms
    if not limit.errors_to_block or blocked_ms or count < limit.errors_to_block:
        draft.see(errors=VenueErrors(count, why, blocked_ms))
        return
    draft.see(errors=VenueErrors(count, why, draft.ts_ms))
    release_ms = draft.ts_ms + limit.errors_cool_off_ms
    draft.effect(SetTimer(release_ms, TimerKind.RECONCILE))  # an answer is needed; nobody else may ask in time
    told = f"{draft.settings.venue}: {count} errors in a row ({why})"
    text = f"{told}; no entries until it answers, in {limit.errors_cool_off_ms // 1_000} s at the earliest"
    draft.alert(Severity.WARNING, "errors:blocked", text)


def on_answer(draft: Draft) -> None:
    """The venue has answered: the count begins anew, and after the cool-off entries are possible again."""
    seen = draft.market.errors
    is_over = seen.blocked_ms and draft.ts_ms >= seen.blocked_ms + draft.settings.limits.errors_cool_off_ms
    if is_over:
        draft.alert(Severity.INFO, "errors:released", f"{draft.settings.venue} answers again: entries are possible")
    if is_over or seen.count:
        draft.see(errors=VenueErrors(0, seen.why, 0 if is_over else seen.blocked_ms))
