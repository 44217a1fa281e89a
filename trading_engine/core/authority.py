"""Whether the venue takes our key: a refusal for it is told at once, and ends entries.

What belongs here: what is remembered and told of it. What does not: which answer is such a refusal (venues), the gate
(gates).

Waiting does not cure it. What a read was refused for is over when the account was read; what an order was refused for
when an order is taken, or an operator resumes: a key that may read need not be one that may trade.
"""

from trading_engine.core.draft import Draft
from trading_engine.core.state import KeyRefused
from trading_engine.domain.severity import Severity


def on_refused(draft: Draft, why: str, *, by_read: bool) -> None:
    """The venue has turned a request down for its key; told once until that is over."""
    known = draft.market.key_refused
    if known is not None:
        if known.by_read and not by_read:
            draft.see(key_refused=KeyRefused(known.since_ms, why, by_read=False))
        return
    draft.see(key_refused=KeyRefused(draft.ts_ms, why, by_read))
    held = sum(1 for position in draft.book.positions.values() if position.quantity)
    kept = f"; {held} open position{'s' if held != 1 else ''} cannot be managed" if held else ""
    draft.alert(Severity.CRITICAL, "key:refused", f"{draft.settings.venue} refuses the key ({why}): no entries{kept}")


def on_read(draft: Draft) -> None:
    """The account was read."""
    if draft.market.key_refused is not None and draft.market.key_refused.by_read:
        _is_over(draft)


def on_accepted(draft: Draft) -> None:
    """An order, or a cancel, was taken."""
    if draft.market.key_refused is not None:
        _is_over(draft)


def _is_over(draft: Draft) -> None:
    draft.see(key_refused=None)
    draft.alert(Severity.INFO, "key:accepted", f"{draft.settings.venue} takes the key again: entries are possible")
