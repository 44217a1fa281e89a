"""What the engine knows: the book (durable) and the market view (volatile).

What belongs here: immutable state and questions about it. What does not: any change of it (project for
the book, the handlers for the market view).

The `Book` is exactly what the store can give back and what the journal rebuilds; the `Market` is what a
restart learns anew. Mappings are never changed in place: every change makes a new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from trading_engine.domain.control import Control, pause_key
from trading_engine.domain.events import FeedFault
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import Order
from trading_engine.domain.position import Position
from trading_engine.rules.turbulence import Turbulence

KEPT_TRADES = 200  # closed trades kept for the streak; a longer losing streak cannot pass the drawdown limit
KEPT_DAYS = 4
KEPT_HIGHS = 400
KEPT_KEYS_MS = 7 * 86_400_000  # how far back a venue may repeat a fill


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """What the limits need to know of a closed position."""

    position_id: str
    symbol: str
    strategy: str
    net: Decimal
    closed_ms: int


@dataclass(frozen=True, slots=True)
class DayFigures:
    """Sums of the ledger rows of one trading day; `realized` is net of fees and funding."""

    day: str
    realized: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Ledger:
    """Sums over the pnl rows, as a projection; the audit recomputes them from the rows.

    balance          sum of all rows
    transfers        sum of the rows of kind transfer and adjustment; start_balance is the first transfer
    bookings         how many fills and incomes were booked; numbers the rows
    peak             running maximum of balance − transfers since the last rebase
    made_here        how many of the bookings have no event of their own at the venue
    rebased_booking  the booking after which the peak counts anew; rebased_ms likewise for the streak
    highs            (day, most that performance was on it) since the last rebase, oldest first, only days above all
                     later ones: the peak of any span that lasts until now
    opened_ms        venue time of the first booking: what happened before is in its amount
    """

    balance: Decimal = ZERO
    transfers: Decimal = ZERO
    start_balance: Decimal = ZERO
    bookings: int = 0
    made_here: int = 0
    peak: Decimal = ZERO
    rebased_booking: int = 0
    rebased_ms: int = 0
    last_booked_ms: int = 0
    opened_ms: int = 0
    days: tuple[DayFigures, ...] = ()
    highs: tuple[tuple[str, Decimal], ...] = ()
    closed: tuple[ClosedTrade, ...] = ()

    @property
    def performance(self) -> Decimal:
        """What trading has made: the balance without deposits and withdrawals."""
        return self.balance - self.transfers

    def peak_since(self, day: str) -> Decimal:
        """The most that performance was since a day began, and is."""
        return max([self.performance, *(high for of_day, high in self.highs if of_day >= day)])

    def day(self, day: str) -> DayFigures:
        """The figures of one day, zeros where nothing was booked."""
        for figures in self.days:
            if figures.day == day:
                return figures
        return DayFigures(day)

    def balance_at_start_of(self, day: str) -> Decimal:
        """The balance with which a recent day began (transfers of the day count as there from the start)."""
        return self.balance - sum((figures.realized for figures in self.days if figures.day >= day), ZERO)


@dataclass(frozen=True, slots=True)
class Book:
    """The durable state: live positions with their orders, ledger sums, the kill switch.

    positions      by position id, not CLOSED (step prunes what has closed)
    orders         by client order id, of the positions above
    seen           dedup keys of recent fills and incomes → venue time
    signal_ms      (strategy, symbol) → open time of the last signal's candle
    frozen         symbol → why it takes no entries until an operator resumes
    rejects        symbol → entries refused in a row
    shocks         symbol → close time of the last candle that was too wild
    disabled       strategy, or name of a pause → since when there are no entries, by an operator's word
    """

    epoch: str
    next_position: int = 1
    positions: Mapping[str, Position] = field(default_factory=dict)
    orders: Mapping[str, Order] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)
    signal_ms: Mapping[tuple[str, str], int] = field(default_factory=dict)
    frozen: Mapping[str, str] = field(default_factory=dict)
    rejects: Mapping[str, int] = field(default_factory=dict)
    shocks: Mapping[str, int] = field(default_factory=dict)
    disabled: Mapping[str, int] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    control: Control = field(default_factory=Control)

    def paused_since(self, symbol: str = "") -> int:
        """Since when an operator allows no entries on a symbol, or on any; 0 where they are allowed."""
        return self.disabled.get(pause_key(symbol), 0)

    def position_on(self, symbol: str) -> Position | None:
        """The one position on a symbol that is not CLOSED."""
        for position in self.positions.values():
            if position.symbol == symbol and position.state is not PositionState.CLOSED:
                return position
        return None

    def orders_of(self, position_id: str, purpose: Purpose | None = None) -> list[Order]:
        """The orders of a position in the order they were intended, of one purpose where it is given."""
        return [
            order
            for order in self.orders.values()
            if order.position_id == position_id and (purpose is None or order.purpose is purpose)
        ]

    def rungs(self, position_id: str) -> int:
        """How many entries of a position have filled at least in part."""
        return sum(1 for order in self.orders_of(position_id, Purpose.ENTRY) if order.filled)

    def entry_of(self, position_id: str) -> Order | None:
        """The newest entry order of a position; a residual position has none."""
        entries = self.orders_of(position_id, Purpose.ENTRY)
        return entries[-1] if entries else None


@dataclass(frozen=True, slots=True)
class Doubt:
    """A position difference that was seen once: venue less ours, signed, and since when it has been the same."""

    difference: Decimal
    since_ms: int


@dataclass(frozen=True, slots=True)
class Danger:
    """Where a position of this quantity and cost is liquidated, in ticks (0: nowhere), and whether that is near."""

    quantity: Decimal
    cost: Decimal
    liquidation_ticks: int
    is_near: bool


@dataclass(frozen=True, slots=True)
class VenueErrors:
    """How many questions in a row had no answer, why the last had none, and since when that blocks entries (0: no)."""

    count: int = 0
    why: str = ""
    blocked_ms: int = 0


@dataclass(frozen=True, slots=True)
class KeyRefused:
    """The venue refuses our key since then; `by_read` where it was a question and not an order."""

    since_ms: int
    why: str
    by_read: bool


@dataclass(frozen=True, slots=True)
class Host:
    """What a person was told of the machine and of how fast the venue answers.

    disk_free_mb   where the state lies, when it was last measured; None before
    slow_calls     slow answers in a row, -1 once they were told
    """

    disk_free_mb: int | None = None
    slow_calls: int = 0


@dataclass(frozen=True, slots=True)
class ForeignHolding:
    """What somebody else holds at the venue, or may come to hold by an open order.

    quantity   signed, + long; 0 for an order that can only reduce
    price      mark when it was last seen, or the order's price
    """

    symbol: str
    quantity: Decimal
    price: Decimal
    leverage: Decimal

    @property
    def notional(self) -> Decimal:
        """Size in money, unsigned."""
        return abs(self.quantity) * self.price


@dataclass(frozen=True, slots=True)
class Market:
    """The volatile view: last closes, progress, whether the venue agrees with us.

    marks           symbol → last close
    closed_ms       close time of the latest candles
    began_ms        when this process took over, or its clock last made a step
    is_synced       a snapshot was reconciled since the last disconnect
    is_connected    the user stream tells what happens; connected_ms since when
    doubts          symbol → a difference that one snapshot showed and the next must confirm
    uncovered       position id → since when its acknowledged stops cover less than is open
    wallet_gap      wallet less ledger at the last snapshot: 0, or something nobody has explained
    told_gap        the gap that a person was last told of
    untold          a span of the past that the venue tells nothing of, until the wallet has been compared for sure
    clock_offset_ms what the venue's clock was ahead of ours when it was measured, right within clock_error_ms
    lost_ms         since when the venue is not heard or cannot be read, 0 while it is; lost_why in words
    is_outage_told  a person was told that it lasts
    unheard         key of a fill that was read → when; the stream has yet to tell it
    told            keys of fills that the stream has told and that are booked only once they were read
    lagging         ids of orders that the venue has reported to be filled further than a read of fills has shown
    unbooked        key of a fill that was seen and cannot be booked yet → its time, from which fills are read again
    quiet_until_ms  the venue, or its budget, wants no order before this instant, not even one that only reduces
    beyond          position id → the close time of the first candle that closed beyond its stop
    dangers         position id → its liquidation price, and whether a person was told that it is near
    turbulence      symbol → how wild its market is, where that is measured
    errors          questions to the venue that were not answered
    foreign         symbol → what somebody else holds, beside ours or alone
    foreign_orders  symbol:venue order id → an open order that is not ours
    feed_faults     (what is wrong with the market data, symbol) → since when
    key_refused     the venue refuses the key, None while it does not
    host            the machine, and how fast the venue answers
    stuck           positions a person was told of because they do not move on
    fee_assets      other assets than the settle asset in which fees were charged, of which a person was told
    degraded        strategies a person was told of because they fall short of their backtest
    """

    marks: Mapping[str, Decimal] = field(default_factory=dict)
    closed_ms: int = 0
    began_ms: int = 0
    decided_ms: int = 0
    reconciled_ms: int = 0
    is_synced: bool = False
    is_connected: bool = True
    connected_ms: int = 0
    doubts: Mapping[str, Doubt] = field(default_factory=dict)
    uncovered: Mapping[str, int] = field(default_factory=dict)
    wallet_gap: Decimal = ZERO
    told_gap: Decimal = ZERO
    untold: tuple[int, int] | None = None
    clock_offset_ms: int = 0
    clock_error_ms: int = 0
    lost_ms: int = 0
    lost_why: str = ""
    is_outage_told: bool = False
    unheard: Mapping[str, int] = field(default_factory=dict)
    told: frozenset[str] = frozenset()
    lagging: frozenset[str] = frozenset()
    unbooked: Mapping[str, int] = field(default_factory=dict)
    quiet_until_ms: int = 0
    beyond: Mapping[str, int] = field(default_factory=dict)
    dangers: Mapping[str, Danger] = field(default_factory=dict)
    turbulence: Mapping[str, Turbulence] = field(default_factory=dict)
    errors: VenueErrors = field(default_factory=VenueErrors)
    foreign: Mapping[str, ForeignHolding] = field(default_factory=dict)
    foreign_orders: Mapping[str, ForeignHolding] = field(default_factory=dict)
    feed_faults: Mapping[tuple[FeedFault, str], int] = field(default_factory=dict)
    key_refused: KeyRefused | None = None
    host: Host = field(default_factory=Host)
    stuck: frozenset[str] = frozenset()
    fee_assets: frozenset[str] = frozenset()
    degraded: frozenset[str] = frozenset()

    @property
    def unbooked_ms(self) -> int:
        """The time of the oldest fill that is not booked yet, 0 for none."""
        return min(self.unbooked.values(), default=0)

    @property
    def clock_off_ms(self) -> int:
        """By how much our clock and the venue's differ at the least, unsigned."""
        return max(abs(self.clock_offset_ms) - self.clock_error_ms, 0)

    @property
    def strangers(self) -> tuple[ForeignHolding, ...]:
        """Everything of somebody else's that counts as exposure of the account."""
        return tuple(item for item in (*self.foreign.values(), *self.foreign_orders.values()) if item.quantity)


@dataclass(frozen=True, slots=True)
class EngineState:
    """Everything `step` looks at."""

    book: Book
    market: Market = field(default_factory=Market)
