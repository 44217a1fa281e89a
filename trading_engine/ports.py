"""What the runtime needs from the outside, as Protocols; adapters implement them, fakes pass the same tests.

What belongs here: ports and the few values that exist only to cross them. What does not: any
implementation. The Venue port is shaped by three real venues at once (Zoomex V3, Binance USDⓈ-M, BingX):

- an acknowledgement carries no fill: fills come by stream and by `fills_since` a watermark;
- stops live in a separate order space on some venues: `open_orders` returns both spaces as one list, and
  a triggered stop keeps the client id it was given, whatever child order the venue makes of it;
- brackets attached to an entry exist on two of the three and carry no client id there, so the core always
  uses separate stops, intended in the transaction of the fill that needs them; this fits all;
- hedge mode names the position side on every order (`OrderRequest.position_side`), one-way ignores it;
- an accepted order may be invisible to queries for a while: `Capabilities.visibility_delay_ms`;
- submits are never retried by an adapter; reads may be.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from trading_engine.core.state import Book, ForeignHolding
from trading_engine.domain.events import (
    ClockMeasured,
    FillSeen,
    IncomeSeen,
    OrderReported,
    StreamLost,
    StreamRestored,
)
from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderReport, OrderRequest
from trading_engine.domain.records import Record
from trading_engine.domain.reports import Balance, Outcome, VenuePosition
from trading_engine.rules.turbulence import Turbulence

CandleSink = Callable[[Sequence[Candle]], None]


class MarketData(Protocol):
    """Closed candles as they close."""

    def subscribe(self, sink: CandleSink) -> None:
        """Give `sink` all candles that close at one instant together, each once, oldest first."""
        ...


class Clock(Protocol):
    """Event time: the system's, or virtual in replay."""

    def now_ms(self) -> int:
        """The present instant."""
        ...


@dataclass(frozen=True, slots=True)
class GateStatus:
    """Whether entries on a symbol are possible, and every reason why not."""

    symbol: str
    ok: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """One line of `risk`: a limit, what it stands at, and the numbers it was computed from."""

    limit: str
    scope: str
    value: str
    threshold: str
    used_pct: str
    tripped: bool
    resets_at_ms: int
    computed_from: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Progress and the volatile view, written with a commit so that readers see it while the engine is down.

    cursor_ms   close time of the last candles that were processed
    marks         symbol and last close, as text
    liquidations  position id and estimated liquidation price, as text, where there is one
    turbulence    symbol and how wild its market is, where that is measured
    foreign       what somebody else holds at the venue; `foreign_orders` their open orders, each with its key
    signals_only  the run that has written this sends nothing to the venue
    unbooked      key and time of fills that were seen and are not booked yet
    """

    cursor_ms: int
    marks: tuple[tuple[str, str], ...]
    decided_ms: int
    reconciled_ms: int
    gates: tuple[GateStatus, ...]
    limits: tuple[LimitStatus, ...]
    unrealized: str
    liquidations: tuple[tuple[str, str], ...] = ()
    foreign: tuple[ForeignHolding, ...] = ()
    foreign_orders: tuple[tuple[str, ForeignHolding], ...] = ()
    turbulence: tuple[tuple[str, Turbulence], ...] = ()
    signals_only: bool = False
    unbooked: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Commit:
    """One transaction: the records of a step, the book after them, and the progress."""

    ts_ms: int
    run_id: str
    records: tuple[Record, ...]
    book: Book
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the store gives at boot; `last_ts_ms` is the instant of the newest record, 0 without any."""

    book: Book
    checkpoint: Checkpoint | None
    last_seq: int
    last_ts_ms: int = 0


class Store(Protocol):
    """Durable memory: one writer."""

    def load(self) -> Loaded:
        """The live book and the last checkpoint."""
        ...

    def commit(self, commit: Commit) -> int:
        """Write everything or nothing, synced to disk; the sequence number of the last record."""
        ...

    def close(self) -> None:
        """Checkpoint the log and release the file."""
        ...


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a venue can do, read by the engine instead of asking which venue it is.

    order_types           what `submit` accepts
    has_hedge_mode        position side is meaningful
    has_attached_stops    an entry may carry its stop
    can_amend_stop        a resting stop's trigger and size can be changed in place
    separate_stop_space   stops are listed and cancelled apart from plain orders (the adapter hides it)
    absence_is_proof      "unknown order" is final at once: no request can be in flight (in process)
    visibility_delay_ms   how long an accepted order may be invisible to queries
    history_ms            how far back executions and incomes are told; 0 for everything there ever was
    """

    order_types: frozenset[OrderType]
    has_hedge_mode: bool
    has_attached_stops: bool
    can_amend_stop: bool
    separate_stop_space: bool
    absence_is_proof: bool
    visibility_delay_ms: int
    history_ms: int = 0
    notes: tuple[str, ...] = field(default=())


VenueEvent = FillSeen | IncomeSeen | OrderReported | StreamLost | StreamRestored
VenueSink = Callable[[VenueEvent], None]
ClockListener = Callable[[ClockMeasured], None]


class Venue(Protocol):
    """One account at one venue. Reads raise VenueUnavailable; they never answer "nothing" for "failed"."""

    @property
    def name(self) -> str:
        """Name used in rows and keys."""
        ...

    @property
    def account(self) -> str:
        """Account used in rows and keys."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this venue can do."""
        ...

    def subscribe(self, sink: VenueSink) -> None:
        """Send user-stream events to `sink` from now on; one that was opened and is not there yet is told as lost."""
        ...

    async def renew_stream(self, why: str) -> None:
        """Make the user stream anew, told as lost and restored: it is there and does not tell what happens."""
        ...

    async def submit(self, request: OrderRequest) -> Outcome:
        """Send once; classify; never raise, never retry."""
        ...

    async def cancel(self, symbol: str, client_order_id: str, venue_order_id: str) -> Outcome:
        """Ask for a cancel; Rejected means "not open any more or never was": query for the truth."""
        ...

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """The order with this client id in any state and space, None where the venue knows none."""
        ...

    async def open_orders(self) -> Sequence[OrderReport]:
        """Every open order of the account, all spaces, foreign ones included."""
        ...

    async def fills_since(self, since_ms: int) -> Sequence[Fill]:
        """Every fill at or after `since_ms`, oldest first; what is older than `history_ms` is not told any more."""
        ...

    async def incomes_since(self, since_ms: int) -> Sequence[Income]:
        """Funding, transfers and other wallet changes at or after `since_ms`, oldest first; no fills. As for fills."""
        ...

    async def positions(self) -> Sequence[VenuePosition]:
        """Every position with a quantity."""
        ...

    async def balance(self) -> Balance:
        """The wallet."""
        ...

    async def instruments(self) -> Sequence[Instrument]:
        """Facts of the configured symbols."""
        ...

    async def set_leverage(self, symbol: str, leverage: Decimal) -> Outcome:
        """Set the leverage of a symbol; "unchanged" is Accepted."""
        ...


class PublicMarket(Protocol):
    """What a venue tells anybody, without a key. Reads raise VenueUnavailable."""

    @property
    def tells_tiers(self) -> bool:
        """Leverage and maintenance tiers are among the facts; otherwise those of `listed` are assumed."""
        ...

    async def close(self) -> None:
        """End every connection; again has no effect."""
        ...

    async def measure_clock(self) -> int:
        """What the venue's clock is ahead of ours, in ms; candles are closed by the venue's."""
        ...

    async def listed(self) -> Sequence[Instrument]:
        """Facts of the configured symbols; ConfigInvalid for one that is not traded."""
        ...

    async def candles(self, instrument: Instrument, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """Closed candles that open in [since_ms, until_ms), oldest first, in the units of `instrument`."""
        ...

    async def settlements(self, symbol: str, since_ms: int, until_ms: int) -> Sequence[FundingRate]:
        """What was settled in [since_ms, until_ms), oldest first, each at its minute: venues are some ms late."""
        ...


class PositionMode(StrEnum):
    """Whether a symbol holds one net position or a long and a short apart."""

    ONE_WAY = "one_way"
    HEDGE = "hedge"


class MarginMode(StrEnum):
    """Whether a position has its own margin or shares the account's."""

    ISOLATED = "isolated"
    CROSS = "cross"


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What a start checks about an account before it trades; None where the venue does not tell.

    can_withdraw  the key may move money out: it should not
    is_demo       the account holds play money
    """

    position_mode: PositionMode | None
    can_trade: bool | None
    can_withdraw: bool | None
    is_demo: bool | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FeeRates:
    """Shares of the notional, as fractions; negative is a rebate."""

    maker: Decimal
    taker: Decimal


class RemoteVenue(Venue, Protocol):
    """A venue over a network: it is opened and closed, its clock is measured, its account is checked.

    Settings answer Accepted for "already so", like `set_leverage`.
    """

    async def connect(self) -> None:
        """Measure the clock, read limits and instruments: enough to ask and to order, without hearing anything.

        VenueUnavailable where it cannot; what wants an operator is VenueRejected (the key) or ConfigInvalid.
        """
        ...

    async def open(self) -> None:
        """Connect, then start the user stream; errors as `connect`."""
        ...

    async def close(self) -> None:
        """End streams and connections; again has no effect."""
        ...

    async def measure_clock(self) -> int:
        """Measure again; what the venue's clock is ahead of ours, in ms."""
        ...

    def watch_clock(self, listener: ClockListener) -> None:
        """Tell `listener` the last measurement, where there is one, and every one from now on.

        Those that a refused timestamp has caused are among them.
        """
        ...

    async def account_facts(self) -> AccountFacts:
        """Position mode, permissions, real or play money."""
        ...

    async def fee_rates(self, symbol: str) -> FeeRates:
        """What the account pays on a symbol."""
        ...

    async def set_position_mode(self, mode: PositionMode) -> Outcome:
        """For the whole account, or all of its symbols."""
        ...

    async def set_margin_mode(self, symbol: str, mode: MarginMode) -> Outcome:
        """For one symbol."""
        ...

    async def cancel_all(self, symbol: str) -> Sequence[OrderReport]:
        """Cancel every order of a symbol in every order space; what is still open afterwards, empty for none."""
        ...

    async def candles(self, symbol: str, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """Closed candles that open in [since_ms, until_ms), oldest first, without gaps the venue does not have."""
        ...
