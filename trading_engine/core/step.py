"""`step(state, event)`: the one door into the core.

What belongs here: dispatch, the checks after it, and the result's shape. What does not: any decision.

A step is a pure function. The shell commits its records first, adopts its state second and performs its
effects third; a step whose commit failed is simply dropped.
"""

from dataclasses import dataclass
from typing import assert_never

from trading_engine.core import (
    booking,
    contact,
    drop,
    invariants,
    on_clock,
    on_command,
    on_feed,
    on_host,
    on_market,
    on_timer,
    on_venue,
    reconcile,
    trips,
)
from trading_engine.core.draft import Draft
from trading_engine.core.effects import Effect
from trading_engine.core.project import prune
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import Book, EngineState
from trading_engine.domain.events import (
    CancelAnswered,
    CancelRequested,
    CandlesClosed,
    ClockMeasured,
    ClockStepped,
    CloseRequested,
    ComponentFailed,
    ConfigReloaded,
    DiskMeasured,
    DropRequested,
    Event,
    FeedReported,
    FillSeen,
    FillsRead,
    GapAccepted,
    IncomeSeen,
    LookupFailed,
    OrderLookedUp,
    OrderReported,
    PauseRequested,
    ResumeRequested,
    RunBegan,
    RunEnding,
    RunFinished,
    SnapshotFailed,
    SnapshotTaken,
    StopRequested,
    StreamLost,
    StreamRestored,
    SubmitAnswered,
    SubmitExpired,
    SwitchRequested,
    TimerFired,
    Word,
)
from trading_engine.domain.records import (
    AdjustmentBooked,
    FillApplied,
    IncomeBooked,
    MarketShocked,
    PositionAdvanced,
    Record,
)

_TOUCHES_LIMITS = FillApplied | IncomeBooked | AdjustmentBooked | MarketShocked | PositionAdvanced


@dataclass(frozen=True, slots=True)
class StepResult:
    """What follows from one event.

    state    to adopt after the commit; closed positions are gone from it
    book     the same book with what this step closed still in it: what the store writes
    records  to commit, in order; empty when nothing durable changed
    effects  to perform after the commit
    """

    state: EngineState
    book: Book
    records: tuple[Record, ...]
    effects: tuple[Effect, ...]


def step(state: EngineState, event: Event, settings: EngineSettings) -> StepResult:
    """What follows from one event; raises InvariantBroken where the result would contradict itself."""
    draft = Draft(state, settings, event.ts_ms)
    _dispatch(draft, event)
    if draft.records:
        if any(isinstance(record, _TOUCHES_LIMITS) for record in draft.records):
            trips.announce_trips(draft, state.book)
        invariants.check(draft.book)
    after = EngineState(prune(draft.book), draft.market)
    return StepResult(after, draft.book, tuple(draft.records), tuple(draft.effects))


def _dispatch(draft: Draft, event: Event) -> None:  # noqa: C901, PLR0912 - a line an event kind
    match event:
        case CandlesClosed():
            on_market.on_candles(draft, event)
        case FillSeen():
            booking.on_fill(draft, event.fill)
            contact.on_fill_told(draft, event.fill)
        case FillsRead():
            booking.on_fills_read(draft, event.fills)
        case IncomeSeen():
            booking.on_income(draft, event.income)
        case OrderReported():
            on_venue.merge_report(draft, event.report)
        case SubmitAnswered():
            on_host.on_call(draft, event.took_ms)
            on_venue.on_submit_answered(draft, event.client_order_id, event.outcome)
        case SubmitExpired():
            on_venue.on_submit_expired(draft, event.client_order_id)
        case CancelAnswered():
            on_host.on_call(draft, event.took_ms)
            on_venue.on_cancel_answered(draft, event.client_order_id, event.outcome)
        case OrderLookedUp():
            on_venue.on_looked_up(draft, event.lookup)
        case LookupFailed():
            on_venue.on_lookup_failed(draft, event.client_order_id, event.why)
        case FeedReported():
            on_feed.on_report(draft, event)
        case StreamLost():
            reconcile.on_stream_lost(draft, event.why)
        case StreamRestored():
            reconcile.on_stream_restored(draft)
        case SnapshotTaken():
            reconcile.on_snapshot(draft, event.snapshot)
        case SnapshotFailed():
            reconcile.on_snapshot_failed(draft, event.why, is_key=event.is_key)
        case ClockStepped():
            on_clock.on_clock_stepped(draft)
        case ClockMeasured():
            on_clock.on_clock_measured(draft, event)
        case DiskMeasured():
            on_host.on_disk(draft, event)
        case ComponentFailed():
            on_host.on_component(draft, event)
        case TimerFired():
            on_timer.on_timer(draft, event)
        case _:
            _obey(draft, event)


def _obey(draft: Draft, event: Word) -> None:  # noqa: C901, PLR0912 - as above
    """What an operator, the kill-switch file or the process itself has said."""
    match event:
        case StopRequested():
            on_command.on_stop(draft, event)
        case ResumeRequested():
            on_command.on_resume(draft, event)
        case SwitchRequested():
            on_command.on_switch(draft, event)
        case PauseRequested():
            on_command.on_pause(draft, event)
        case CloseRequested():
            on_command.on_close(draft, event)
        case CancelRequested():
            on_command.on_cancel(draft, event)
        case ConfigReloaded():
            on_command.on_reloaded(draft, event)
        case GapAccepted():
            on_command.on_gap_accepted(draft, event)
        case DropRequested():
            drop.on_drop(draft, event)
        case RunBegan():
            on_command.on_run_began(draft, event)
        case RunEnding():
            on_command.on_run_ending(draft, event)
        case RunFinished():
            on_command.on_run_finished(draft, event)
        case _:
            assert_never(event)
