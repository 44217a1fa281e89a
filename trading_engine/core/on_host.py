"""The machine and the process around the core: the disk, answers that take long, parts that fail.

What belongs here: what is told of them, once when it begins and once when it ends. What does not: measuring (runtime),
what it forbids (gates), answers that do not come at all (breaker).
"""

from dataclasses import replace

from trading_engine.core.draft import Draft
from trading_engine.core.settings import TellSettings
from trading_engine.domain.events import ComponentFailed, DiskMeasured
from trading_engine.domain.severity import Severity

_TOLD = -1
_FINE, _LOW, _SHUT = range(3)


def on_disk(draft: Draft, event: DiskMeasured) -> None:
    """Take the measurement over; what it changes is told."""
    before = _shortage(draft.settings.tell, draft.market.host.disk_free_mb)
    after = _shortage(draft.settings.tell, event.free_mb)
    draft.see(host=replace(draft.market.host, disk_free_mb=event.free_mb))
    if after == before:
        return
    told = f"{event.free_mb} MB are free on the disk of the state"
    if after == _SHUT:
        draft.alert(Severity.CRITICAL, "disk:full", f"{told}: no entries below {draft.settings.tell.disk_shut_mb} MB")
    elif after == _LOW:
        draft.alert(Severity.WARNING, "disk:low", f"{told}, less than {draft.settings.tell.disk_low_mb} MB")
    else:
        draft.alert(Severity.INFO, "disk:fine", f"{told}: enough again")


def _shortage(tell: TellSettings, free_mb: int | None) -> int:
    if free_mb is None or free_mb >= tell.disk_low_mb:
        return _FINE
    return _SHUT if free_mb < tell.disk_shut_mb else _LOW


def on_call(draft: Draft, took_ms: int) -> None:
    """A request to the venue was answered after `took_ms`; slow ones in a row are told once, and their end."""
    tell, host = draft.settings.tell, draft.market.host
    if not tell.slow_call_ms:
        return
    if took_ms < tell.slow_call_ms:
        if host.slow_calls == _TOLD:
            draft.alert(Severity.INFO, "slow:over", f"{draft.settings.venue} answers in time again ({took_ms} ms)")
        if host.slow_calls:
            draft.see(host=replace(host, slow_calls=0))
        return
    if host.slow_calls == _TOLD:
        return
    count = host.slow_calls + 1
    if count >= tell.slow_calls:
        text = f"{draft.settings.venue} answers slowly: {count} in a row above {tell.slow_call_ms} ms, now {took_ms} ms"
        draft.alert(Severity.WARNING, "slow:calls", text)
        count = _TOLD
    draft.see(host=replace(host, slow_calls=count))


def on_component(draft: Draft, event: ComponentFailed) -> None:
    """A part of the process has failed: told each time, loudly once it is not begun anew."""
    told = f"{event.component} has failed ({event.why})"
    if event.is_over:
        text = f"{told}; begun anew {event.restarts} times in vain, it stays down"
        draft.alert(Severity.CRITICAL, f"component:{event.component}", text)
    else:
        text = f"{told}; begun anew, for the {event.restarts}. time"
        draft.alert(Severity.WARNING, f"component:{event.component}", text)
