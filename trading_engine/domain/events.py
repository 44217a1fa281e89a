"""What has happened: the only input of the core. Past tense, immutable, stamped by the shell.

What belongs here: one class per kind of happening. What does not: what follows (core handlers) and
how it was noticed (runtime). `ts_ms` is event time: virtual in replay, the system's otherwise.

At one instant the order is a rule, not an accident: funding for positions held before it, then
fills, then reports, then candles with their decisions, then timers, then commands.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from trading_engine.domain.control import Level
from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.market import Candle, Signal
from trading_engine.domain.orders import OrderReport
from trading_engine.domain.reports import OrderLookup, Outcome, VenueSnapshot


@dataclass(frozen=True, slots=True)
class CandlesClosed:
    """All candles that closed at one instant, with the signals computed from them.

    `is_catch_up` marks candles for exits only, no entries: the exchange has already passed them (after a
    downtime), or the run plays them to end flat.
    """

    ts_ms: int
    candles: tuple[Candle, ...]
    signals: tuple[Signal, ...] = ()
    is_catch_up: bool = False


@dataclass(frozen=True, slots=True)
class SubmitAnswered:
    """The one attempt to send an order has ended, after `took_ms`."""

    ts_ms: int
    client_order_id: str
    outcome: Outcome
    took_ms: int = 0


@dataclass(frozen=True, slots=True)
class SubmitExpired:
    """The executor held an intent back because its send window was over: provably never sent."""

    ts_ms: int
    client_order_id: str


@dataclass(frozen=True, slots=True)
class CancelAnswered:
    """A cancel was answered after `took_ms`; the outcome never proves the final state by itself."""

    ts_ms: int
    client_order_id: str
    outcome: Outcome
    took_ms: int = 0


@dataclass(frozen=True, slots=True)
class OrderReported:
    """The venue told about an order unasked (user stream)."""

    ts_ms: int
    report: OrderReport


@dataclass(frozen=True, slots=True)
class OrderLookedUp:
    """A query by client order id was answered."""

    ts_ms: int
    lookup: OrderLookup


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """A query by client order id failed: nothing was learned."""

    ts_ms: int
    client_order_id: str
    why: str


@dataclass(frozen=True, slots=True)
class FillSeen:
    """An execution was reported."""

    ts_ms: int
    fill: Fill


@dataclass(frozen=True, slots=True)
class FillsRead:
    """The executions since the watermark, oldest first."""

    ts_ms: int
    fills: tuple[Fill, ...]


@dataclass(frozen=True, slots=True)
class IncomeSeen:
    """Funding or another wallet change was reported."""

    ts_ms: int
    income: Income


class FeedFault(StrEnum):
    """What can be wrong with the market data of a symbol."""

    STALE = "stale"  # nothing young has come: no entries
    LAGGING = "lagging"  # its candles are not to be had, the other symbols go on without it
    UNCHECKED = "unchecked"  # the venue's history does not answer: candles are the stream's word alone
    DIFFERENT = "different"  # stream and history disagree; history counts


@dataclass(frozen=True, slots=True)
class FeedReported:
    """Something about a symbol's market data has gone wrong, or is over; `text` says what was seen."""

    ts_ms: int
    symbol: str
    fault: FeedFault
    is_over: bool
    text: str


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The user stream is gone: what happens at the venue is not told any more."""

    ts_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class StreamRestored:
    """The user stream speaks again; what it did not tell must be read."""

    ts_ms: int


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """The account was read whole."""

    ts_ms: int
    snapshot: VenueSnapshot


@dataclass(frozen=True, slots=True)
class SnapshotFailed:
    """The account could not be read: the old view stays, the entry gate stays shut.

    `is_key` says that the venue has refused the key: waiting does not help.
    """

    ts_ms: int
    why: str
    is_key: bool = False


@dataclass(frozen=True, slots=True)
class ClockMeasured:
    """The venue was asked for its time: it is `offset_ms` ahead of ours, known within `error_ms`."""

    ts_ms: int
    offset_ms: int
    error_ms: int


@dataclass(frozen=True, slots=True)
class ClockStepped:
    """Our clock was far behind the machine's and has taken it over at once: spans that were waited for seem over."""

    ts_ms: int


@dataclass(frozen=True, slots=True)
class DiskMeasured:
    """So much is free where the state lies, MB."""

    ts_ms: int
    free_mb: int


@dataclass(frozen=True, slots=True)
class ComponentFailed:
    """A part of the process beside the core has failed by itself.

    restarts    how often it was begun anew within the budget's time, this one included
    is_over     the budget is used up: it is not begun anew
    """

    ts_ms: int
    component: str
    why: str
    restarts: int
    is_over: bool


class TimerKind(StrEnum):
    """What a timer is for."""

    ENTRY_DEADLINE = "entry_deadline"  # key: client order id
    STOP_CONFIRMATION = "stop_confirmation"  # key: position id
    RETRY_EXIT = "retry_exit"  # key: position id
    LOOKUP = "lookup"  # key: client order id
    CANCEL = "cancel"  # key: client order id
    PROTECT = "protect"  # key: position id
    FILLS = "fills"  # key: empty
    RECONCILE = "reconcile"  # key: empty
    OUTAGE = "outage"  # key: empty
    STREAM = "stream"  # key: empty


@dataclass(frozen=True, slots=True)
class TimerFired:
    """Time has come; the handler checks whether the reason still stands."""

    ts_ms: int
    kind: TimerKind
    key: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The kill-switch file was seen, or an operator wants what it would do; `level` is NO_ENTRY or FLATTEN."""

    ts_ms: int
    level: Level
    reason: str
    actor: str = "stop file"


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """An operator lowers the kill switch and rebases peak and streak."""

    ts_ms: int
    actor: str


@dataclass(frozen=True, slots=True)
class SwitchRequested:
    """An operator lets a strategy make entries, or keeps it from them."""

    ts_ms: int
    strategy: str
    is_enabled: bool
    actor: str


@dataclass(frozen=True, slots=True)
class PauseRequested:
    """An operator wants no entries on a symbol (empty: on any) until he says otherwise, or says otherwise."""

    ts_ms: int
    symbol: str
    is_paused: bool
    actor: str


@dataclass(frozen=True, slots=True)
class CloseRequested:
    """An operator wants the position on a symbol closed at the market."""

    ts_ms: int
    symbol: str
    actor: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """An operator wants an entry or a target cancelled."""

    ts_ms: int
    client_order_id: str
    actor: str


@dataclass(frozen=True, slots=True)
class ConfigReloaded:
    """The settings are those of another configuration from here on."""

    ts_ms: int
    config_hash: str
    keys: tuple[str, ...]
    actor: str


@dataclass(frozen=True, slots=True)
class GapAccepted:
    """An operator accepts that the wallet holds `wallet` whatever the ledger says, and why."""

    ts_ms: int
    wallet: Decimal
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class DropRequested:
    """An operator drops the position on a symbol, which the venue does not hold: `looks` show it, oldest first."""

    ts_ms: int
    symbol: str
    looks: tuple[VenueSnapshot, ...]
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunBegan:
    """A process has started on this state; the one before began at `crashed_ms` and never ended (0: it did)."""

    ts_ms: int
    run_id: str
    version: str
    mode: str
    config_hash: str
    crashed_ms: int = 0


@dataclass(frozen=True, slots=True)
class RunEnding:
    """The process is about to leave; `flatten` closes positions first."""

    ts_ms: int
    reason: str
    flatten: bool


@dataclass(frozen=True, slots=True)
class RunFinished:
    """Nothing is in flight any more; the last event of a process."""

    ts_ms: int
    run_id: str
    reason: str


Word = (
    StopRequested
    | ResumeRequested
    | SwitchRequested
    | PauseRequested
    | CloseRequested
    | CancelRequested
    | ConfigReloaded
    | GapAccepted
    | DropRequested
    | RunBegan
    | RunEnding
    | RunFinished
)
"""What an operator or a process says of the run, as against what happens to it."""

Event = (
    CandlesClosed
    | SubmitAnswered
    | SubmitExpired
    | CancelAnswered
    | OrderReported
    | OrderLookedUp
    | LookupFailed
    | FillSeen
    | FillsRead
    | IncomeSeen
    | FeedReported
    | StreamLost
    | StreamRestored
    | SnapshotTaken
    | SnapshotFailed
    | ClockMeasured
    | ClockStepped
    | DiskMeasured
    | ComponentFailed
    | TimerFired
    | Word
)
