"""The market data of a symbol has become worse or better: what a person is told, what gates remember.

What belongs here: which faults there are at the moment, told once when they begin and once when they end. What does
not: how they are noticed (marketdata), what they forbid (gates).

One alert key a kind of fault, and each text names all symbols that have it: a message that replaces many is whole.
"""

from collections.abc import Mapping

from trading_engine.core.draft import Draft
from trading_engine.domain.events import FeedFault, FeedReported
from trading_engine.domain.severity import Severity

_SEVERITIES: Mapping[FeedFault, Severity] = {
    FeedFault.STALE: Severity.WARNING,
    FeedFault.LAGGING: Severity.WARNING,
    FeedFault.UNCHECKED: Severity.WARNING,
    FeedFault.DIFFERENT: Severity.INFO,  # history counts, so nothing is decided on what was wrong
}
_BEGINS: Mapping[FeedFault, str] = {
    FeedFault.STALE: "market data is stale, no entries on",
    FeedFault.LAGGING: "candles are late on",
    FeedFault.UNCHECKED: "candles cannot be checked against the venue's history on",
    FeedFault.DIFFERENT: "stream and history of the venue disagree on",
}
_ENDS: Mapping[FeedFault, str] = {
    FeedFault.STALE: "market data is fresh again on",
    FeedFault.LAGGING: "candles have caught up on",
    FeedFault.UNCHECKED: "the venue's history answers again on",
    FeedFault.DIFFERENT: "stream and history agree again on",
}


def on_report(draft: Draft, event: FeedReported) -> None:
    """Remember and tell what is new; what is known already, and what is not traded, changes nothing."""
    faults = dict(draft.market.feed_faults)
    key = (event.fault, event.symbol)
    if event.symbol not in draft.settings.instruments or event.is_over == (key not in faults):
        return
    if event.is_over:
        del faults[key]
    else:
        faults[key] = event.ts_ms
    draft.see(feed_faults=faults)
    names = ", ".join(sorted(symbol for fault, symbol in faults if fault is event.fault))
    severity, text = _SEVERITIES[event.fault], f"{_BEGINS[event.fault]} {names} ({event.symbol}: {event.text})"
    if event.is_over:
        severity, text = (
            Severity.INFO,
            f"{_ENDS[event.fault]} {event.symbol}" + (f"; not yet on {names}" if names else ""),
        )
    draft.alert(severity, f"feed:{event.fault}", text)
