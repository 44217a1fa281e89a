"""An operator, the kill-switch file or the process itself has spoken.

What belongs here: stop, pause, close, cancel, resume, start and end of a run. What does not: how the word arrived, and
what is no sensible word (runtime).
"""

from trading_engine.core import kill, protect
from trading_engine.core.draft import Draft
from trading_engine.core.effects import TakeSnapshot
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.events import (
    CancelRequested,
    CloseRequested,
    ConfigReloaded,
    GapAccepted,
    PauseRequested,
    ResumeRequested,
    RunBegan,
    RunEnding,
    RunFinished,
    StopRequested,
    SwitchRequested,
)
from trading_engine.domain.fills import GAP_MARK
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason
from trading_engine.domain.records import (
    AdjustmentBooked,
    ConfigChanged,
    ControlChanged,
    DifferenceFound,
    EntriesPaused,
    LimitsRebased,
    RunEnded,
    RunStarted,
    StrategySwitched,
)
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import day_of, iso


def raise_level(draft: Draft, level: Level, reason: str, actor: str) -> None:
    """Raise the kill switch; a level at or below the present one changes nothing."""
    if level.rank <= draft.book.control.level.rank:
        return
    draft.record(ControlChanged(level, reason, actor, draft.ts_ms))
    draft.alert(Severity.CRITICAL, f"control:{level}", f"kill switch raised to {level}: {reason}")
    kill.enforce_level(draft)


def on_stop(draft: Draft, event: StopRequested) -> None:
    """The kill-switch file is there, or an operator wants everything closed."""
    raise_level(draft, event.level, event.reason, event.actor)


def on_resume(draft: Draft, event: ResumeRequested) -> None:
    """Back to RUN; peak and streak count anew, frozen symbols are released, a general pause ends."""
    draft.record(ControlChanged(Level.RUN, "", event.actor, draft.ts_ms))
    draft.record(LimitsRebased(draft.ts_ms, event.actor))
    draft.see(key_refused=None)
    if draft.book.paused_since():
        draft.record(EntriesPaused("", is_paused=False, actor=event.actor, ts_ms=draft.ts_ms))
    draft.alert(Severity.WARNING, "control:RUN", f"trading resumed by {event.actor}")
    draft.effect(TakeSnapshot())


def on_switch(draft: Draft, event: SwitchRequested) -> None:
    """A strategy makes entries, or none; what is so already changes nothing. Its positions are managed either way."""
    if event.is_enabled is (event.strategy not in draft.book.disabled):
        return
    draft.record(StrategySwitched(event.strategy, event.is_enabled, event.actor, event.ts_ms))
    told = "may make entries again" if event.is_enabled else "makes no entries any more"
    draft.alert(Severity.WARNING, f"strategy:{event.strategy}", f"{event.strategy} {told}, says {event.actor}")


def on_pause(draft: Draft, event: PauseRequested) -> None:
    """No entries on a symbol, or on any, and those that wait are cancelled; or entries again. Exits go on.

    Unlike a resume the end of a pause counts nothing anew: no limit forgets what it has seen.
    """
    symbol = event.symbol
    if event.is_paused is bool(draft.book.paused_since(symbol)):
        return
    draft.record(EntriesPaused(symbol, event.is_paused, event.actor, event.ts_ms))
    where = f" on {symbol}" if symbol else ""
    told = f"no entries{where}" if event.is_paused else f"entries{where} again"
    draft.alert(Severity.WARNING, f"pause:{symbol}", f"{told}, says {event.actor}")
    for position in list(draft.book.positions.values()) if event.is_paused else ():
        entry = draft.book.entry_of(position.position_id)
        if entry is not None and symbol in ("", position.symbol):
            protect.cancel(draft, entry, f"paused by {event.actor}")


def on_close(draft: Draft, event: CloseRequested) -> None:
    """The position on a symbol goes at the market, its stop stays until it is flat; a waiting entry is cancelled."""
    position = draft.book.position_on(event.symbol)
    if position is None:
        return
    cause = f"closed by {event.actor}"
    entry = draft.book.entry_of(position.position_id)
    if entry is not None:
        protect.cancel(draft, entry, cause)
    protect.begin_close(draft, position.position_id, CloseReason.OPERATOR, cause)


def on_cancel(draft: Draft, event: CancelRequested) -> None:
    """An entry, partial or target goes; a stop or an exit never does: the position would be without it."""
    order = draft.book.orders.get(event.client_order_id)
    if order is not None and order.purpose not in (Purpose.STOP, Purpose.EXIT):
        protect.cancel(draft, order, f"cancelled by {event.actor}")


def on_reloaded(draft: Draft, event: ConfigReloaded) -> None:
    """What is decided from here on is decided by other settings."""
    draft.record(ConfigChanged(event.config_hash, event.keys, event.actor))
    draft.alert(Severity.INFO, "config:changed", f"configuration changed by {event.actor}: {', '.join(event.keys)}")


def on_gap_accepted(draft: Draft, event: GapAccepted) -> None:
    """What the wallet holds more or less than the ledger is booked as no result of trading; no gap, no booking."""
    ledger = draft.book.ledger
    gap = money.subtract(event.wallet, ledger.balance)
    if not gap:
        return
    settings = draft.settings
    key = f"{settings.venue}:{settings.account}{GAP_MARK}{ledger.bookings + 1}"
    day = day_of(event.ts_ms, settings.limits.day_start_ms)
    here, there = money.text(ledger.balance), money.text(event.wallet)
    draft.record(DifferenceFound("wallet", "", here, there, f"{money.text(gap)} booked as an adjustment"))
    draft.record(AdjustmentBooked(key, gap, settings.asset, "", event.ts_ms, day, event.actor, event.reason))
    draft.see(wallet_gap=money.ZERO, told_gap=money.ZERO)


def on_run_began(draft: Draft, event: RunBegan) -> None:
    """A process has taken over; nothing is trusted before a snapshot was reconciled."""
    draft.record(RunStarted(event.run_id, event.version, event.mode, event.config_hash, draft.book.epoch))
    if event.crashed_ms:
        _tell_crash(draft, event.crashed_ms)
    only = ", signals only: nothing is sent to the venue" if draft.settings.signals_only else ""
    draft.alert(Severity.INFO, "run:started", f"engine {event.version} started in {event.mode} mode{only}")
    draft.see(is_synced=False, began_ms=draft.ts_ms)
    draft.effect(TakeSnapshot())


def _tell_crash(draft: Draft, began_ms: int) -> None:
    """The run before has not said that it ends: whoever looks after the engine should know, and why it is no harm."""
    held = ", ".join(f"{item.symbol} {item.side}" for item in draft.book.positions.values())
    text = f"the run that began at {iso(began_ms)} has ended without a word (crash, kill or power loss)"
    left = f"it left {held}" if held else "it was flat"
    severity = Severity.CRITICAL if held else Severity.WARNING
    draft.alert(severity, "run:crashed", f"{text}; {left}; orders and positions are compared with the venue now")


def on_run_ending(draft: Draft, event: RunEnding) -> None:
    """Cancel what has not filled; close positions only where that was asked for."""
    for position in list(draft.book.positions.values()):
        entry = draft.book.entry_of(position.position_id)
        if entry is not None:
            protect.cancel(draft, entry, f"shutdown: {event.reason}")
        if event.flatten:
            protect.begin_close(draft, position.position_id, CloseReason.OPERATOR, f"shutdown: {event.reason}")


def on_run_finished(draft: Draft, event: RunFinished) -> None:
    """The process leaves; say what it leaves behind."""
    left = ", ".join(f"{item.symbol} {item.side}" for item in draft.book.positions.values())
    kept = f"; kept with their stops: {left}" if left else "; flat"
    draft.alert(Severity.INFO, "run:stopped", f"engine stopped ({event.reason}){kept}")
    draft.record(RunEnded(event.run_id, event.reason))
