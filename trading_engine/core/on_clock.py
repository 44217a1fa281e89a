"""Our clock was compared with the venue's: told where they differ, and the entry gate follows.

What belongs here: what a difference means. What does not: measuring it (venues), when (runtime), the gate (gates).

Requests are stamped with the measured offset, so a difference by itself refuses nothing. It says that the machine's
clock is not kept right: what it shows at the next moment is anybody's guess, and so is what a stamp is worth.
"""

from trading_engine.core.draft import Draft
from trading_engine.core.effects import TakeSnapshot
from trading_engine.domain.events import ClockMeasured
from trading_engine.domain.severity import Severity

_FINE, _OFF, _SHUT = range(3)


def on_clock_measured(draft: Draft, event: ClockMeasured) -> None:
    """Take the measurement over; what it changes is told once."""
    before = _how_far(draft)
    draft.see(clock_offset_ms=event.offset_ms, clock_error_ms=event.error_ms)
    after = _how_far(draft)
    if after == before:
        return
    limit_ms = draft.settings.execution.clock_limit_ms
    where = "behind" if event.offset_ms > 0 else "ahead of"
    told = f"the machine's clock is {draft.market.clock_off_ms} ms {where} the venue's"
    if after == _SHUT:
        text = f"{told}: no entries above {limit_ms} ms; set it right (timedatectl)"
        draft.alert(Severity.CRITICAL, "clock:blocked", text)
    elif before == _SHUT:
        draft.alert(Severity.INFO, "clock:released", f"{told}, no more than {limit_ms} ms: entries are possible again")
    elif after == _OFF:
        draft.alert(Severity.WARNING, "clock:off", f"{told}; have it kept right (timedatectl)")
    else:
        draft.alert(Severity.INFO, "clock:fine", f"{told}: it is right again")


def on_clock_stepped(draft: Draft) -> None:
    """Nothing that waits for a span to pass may take the step for it: such spans begin anew, as with a new process."""
    uncovered = dict.fromkeys(draft.market.uncovered, draft.ts_ms)
    draft.see(began_ms=draft.ts_ms, uncovered=uncovered, doubts={}, unheard={})
    draft.effect(TakeSnapshot())


def _how_far(draft: Draft) -> int:
    off_ms, execution = draft.market.clock_off_ms, draft.settings.execution
    if off_ms > execution.clock_limit_ms:
        return _SHUT
    return _OFF if off_ms > execution.clock_warning_ms else _FINE
