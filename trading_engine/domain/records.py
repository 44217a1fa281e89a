"""What is written down: the journal's kinds. Each record is applied by `core.project.apply` alone.

What belongs here: immutable facts with everything needed to apply them. What does not: how they are
encoded (store.codec) or applied (core.project). Old kinds stay decodable: add fields with defaults only.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from trading_engine.domain.control import Level
from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.lifecycle import CloseReason, PositionState, Trigger
from trading_engine.domain.market import Signal
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import Order, OrderState
from trading_engine.domain.position import Position
from trading_engine.domain.severity import Severity


class Fate(StrEnum):
    """What became of a signal."""

    TAKEN = "taken"
    ADDED = "added"  # it made a position of its strategy larger
    EXITED = "exited"  # it closed a position
    OUTRANKED = "outranked"  # another signal on the symbol was more confident
    TIED = "tied"  # equal confidence in opposite directions
    FILTERED = "filtered"  # a filter of the strategy refused the entry, or its stop or target can be none
    HELD = "held"  # a position on the symbol exists; ignored
    GATED = "gated"  # an entry gate was shut
    REFUSED = "refused"  # risk or sizing said no
    NOTHING_TO_CLOSE = "nothing_to_close"  # an exit only, while no position of the strategy is open
    STALE = "stale"  # the candle is not the latest any more
    WITHHELD = "withheld"  # it would have been entered on, in a run that sends nothing


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A process took over this state."""

    run_id: str
    version: str
    mode: str
    config_hash: str
    epoch: str


@dataclass(frozen=True, slots=True)
class EpochChanged:
    """Ids of new orders carry another epoch from here on: those of the one before are taken at the venue."""

    epoch: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The process left in order."""

    run_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class SignalSeen:
    """A strategy's signal and its fate, with the reason; `inputs` are the numbers its size came from, as text."""

    signal: Signal
    fate: Fate
    reason: str
    position_id: str = ""
    inputs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PositionOpened:
    """A position was intended (PENDING), adopted (OPEN), or a residual or foreign one is to be closed (CLOSING)."""

    position: Position


@dataclass(frozen=True, slots=True)
class PositionGrown:
    """The venue holds more of a position that was taken over: `quantity` at an exact cost of `value`, without fills."""

    position_id: str
    quantity: Decimal
    value: Decimal


@dataclass(frozen=True, slots=True)
class PositionAdvanced:
    """A legal move of the life-cycle, and its cause."""

    position_id: str
    source: PositionState
    target: PositionState
    trigger: Trigger
    cause: str
    close_reason: CloseReason | None = None


@dataclass(frozen=True, slots=True)
class PositionDropped:
    """An operator has dropped what the venue does not hold any more: `quantity` is gone, and no fill tells how.

    looks   when the venue was looked at whole, twice, and held nothing of it
    """

    position_id: str
    quantity: Decimal
    actor: str
    reason: str
    ts_ms: int
    looks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class StopMoved:
    """The stop level of a position was moved towards the price."""

    position_id: str
    stop_price: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class PositionAged:
    """A position is older than its limit; said once."""

    position_id: str


@dataclass(frozen=True, slots=True)
class OrderIntended:
    """An order will be sent; nothing leaves before this row is committed."""

    order: Order


@dataclass(frozen=True, slots=True)
class OrderUpdated:
    """What was learned about an order: the merged values, not the raw report."""

    client_order_id: str
    state: OrderState
    reported_filled: Decimal
    venue_order_id: str
    reason: str
    updated_ms: int


@dataclass(frozen=True, slots=True)
class CancelIntended:
    """A cancel will be sent."""

    client_order_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class FillApplied:
    """A fill changed a position and the ledger.

    gross       gross PnL booked: the venue's figure, or ours where it gives none
    own_gross   ours, always: the cross-check
    day         trading day of the venue's time stamp
    adjustment  what the venue books beyond `gross` because a stranger's coins are in its figure: no result of ours
    asset       settle asset of the account; empty in records of versions that did not tell it from the fee's
    """

    fill: Fill
    position_id: str
    gross: Decimal
    own_gross: Decimal
    day: str
    adjustment: Decimal = ZERO
    asset: str = ""

    @property
    def settle_asset(self) -> str:
        """What `gross` and `fee` are counted in."""
        return self.asset or self.fill.fee_asset

    @property
    def fee(self) -> Decimal:
        """What the settle wallet has paid: nothing for a fee in another asset."""
        return self.fill.fee_in(self.settle_asset)


@dataclass(frozen=True, slots=True)
class IncomeBooked:
    """A wallet change that is not a fill entered the ledger."""

    income: Income
    position_id: str
    day: str


@dataclass(frozen=True, slots=True)
class AdjustmentBooked:
    """The wallet changed by something that is not this engine's trading; counts for the limits like a transfer.

    key      dedup key: that of somebody else's fill or income, or one made for an operator's word
    actor    who books it: `reconcile`, or the operator who accepts a gap, with his reason
    """

    key: str
    amount: Decimal
    asset: str
    symbol: str
    ts_ms: int
    day: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class ControlChanged:
    """The kill switch moved."""

    level: Level
    reason: str
    actor: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class StrategySwitched:
    """A strategy may make entries again, or may not any more; its exits are never switched."""

    strategy: str
    is_enabled: bool
    actor: str
    ts_ms: int


@dataclass(frozen=True, slots=True)
class EntriesPaused:
    """An operator allows no entries on a symbol (empty: on any), or allows them again."""

    symbol: str
    is_paused: bool
    actor: str
    ts_ms: int


@dataclass(frozen=True, slots=True)
class ConfigChanged:
    """The engine goes on with another configuration; `keys` are those that differ."""

    config_hash: str
    keys: tuple[str, ...]
    actor: str


@dataclass(frozen=True, slots=True)
class LimitsRebased:
    """An operator resumed: peak and losing streak count anew from here."""

    ts_ms: int
    actor: str


@dataclass(frozen=True, slots=True)
class LimitTripped:
    """A risk limit began to stop entries, with the numbers it was judged on."""

    limit: str
    scope: str
    value: str
    threshold: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class MarketShocked:
    """A candle of a symbol was too wild: no entries there for a while; `measure` says which value was above what."""

    symbol: str
    measure: str
    value: str
    threshold: str
    ts_ms: int


@dataclass(frozen=True, slots=True)
class SymbolFrozen:
    """No entries on a symbol until an operator resumes."""

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class DifferenceFound:
    """Reconciliation saw local and venue disagree, and what was done about it."""

    kind: str
    symbol: str
    local: str
    venue: str
    action: str


@dataclass(frozen=True, slots=True)
class AlertRaised:
    """A person should know; `key` identifies repeats."""

    severity: Severity
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class EquitySampled:
    """A point of the equity curve, hourly and whenever a position closes."""

    ts_ms: int
    balance: Decimal
    unrealized: Decimal


@dataclass(frozen=True, slots=True)
class DayClosed:
    """A trading day is over; its figures as the ledger had them."""

    day: str
    start_balance: Decimal
    realized: Decimal
    fees: Decimal
    funding: Decimal
    trades: int
    wins: int


Record = (
    RunStarted
    | RunEnded
    | SignalSeen
    | PositionOpened
    | PositionGrown
    | PositionAdvanced
    | PositionDropped
    | StopMoved
    | PositionAged
    | OrderIntended
    | OrderUpdated
    | CancelIntended
    | FillApplied
    | IncomeBooked
    | AdjustmentBooked
    | ControlChanged
    | EpochChanged
    | StrategySwitched
    | EntriesPaused
    | ConfigChanged
    | LimitsRebased
    | LimitTripped
    | MarketShocked
    | SymbolFrozen
    | DifferenceFound
    | AlertRaised
    | EquitySampled
    | DayClosed
)
