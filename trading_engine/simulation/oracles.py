"""What must hold, watched from outside the engine; numbered as in docs/invariants.md.

What belongs here: judgements on exchange, rows and time. What does not: causing anything.

Time bounds count undisturbed time only: every injected fault, death, outage or start puts the clock back.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from trading_engine.core.settings import LimitSettings
from trading_engine.core.state import Book
from trading_engine.domain.control import Level
from trading_engine.domain.ids import Purpose, parse_client_order_id
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.money import from_e8
from trading_engine.domain.orders import OrderRequest, OrderState
from trading_engine.simulation.exchange import SimulatedExchange
from trading_engine.venues.embedded.account import ExchangeOrder, ExchangePosition, Kind, Status

REFUSALS_TO_FREEZE = LimitSettings().rejects_to_freeze
COVER_MS = 6_000  # five seconds and the latency of a round trip
EXACT_MS = 75_000  # a reconciliation period, and the above
STOPS_PER_MINUTE = 60
OVERDUE_MS = 300_000  # candles may be missing for some minutes


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken."""

    invariant: str
    text: str
    at_ms: int


@dataclass(slots=True)
class Oracles:
    """Watches one world. `violations` holds the first breach of each invariant.

    book    as it was last committed
    shared  symbols on which somebody else trades as well: only our part of what is held is judged there
    refused how many entries on a symbol were refused
    rungs   how many entries a position may have
    max_age_ms  how old a position may become
    """

    exchange: SimulatedExchange
    now_ms: Callable[[], int]
    rungs: int = 1
    max_age_ms: int = 0
    violations: list[Violation] = field(default_factory=list)
    calm_ms: int = 0
    stop_committed_ms: int | None = None
    rows: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    must_be_flat: bool = False
    book: Book | None = None
    shared: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    _entries: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    _unflattened: dict[str, int] = field(default_factory=dict)
    _uncovered: dict[str, int] = field(default_factory=dict)
    _inexact: dict[str, int] = field(default_factory=dict)
    _stops_ms: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def breach(self, invariant: str, text: str) -> None:
        """Note a violation, once an invariant."""
        if not any(found.invariant == invariant for found in self.violations):
            self.violations.append(Violation(invariant, text, self.now_ms()))

    def disturb(self, lasts_ms: int = 0) -> None:
        """Something was done to the engine: judge up to now, and give it time anew."""
        self.look()
        self.calm_ms = max(self.calm_ms, self.now_ms() + lasts_ms)

    # ── at the moment a request leaves ──────────────────────────────────────

    def on_sent(self, request: OrderRequest) -> None:
        """I1 a committed row before each byte; I2 one id once; I3 no entry after a stop; I11 stops a minute."""
        order_id = request.client_order_id
        if order_id not in self.rows:
            self.breach("I1", f"{order_id} was sent without a committed row")
        key = parse_client_order_id(order_id)
        if key is None:
            self.breach("I1", f"{order_id} is not one of our ids")
            return
        if key.purpose is not Purpose.ENTRY and not request.reduce_only:
            self.breach("I2", f"{order_id} could open a position")
        if order_id in self.sent:
            self.breach("I2", f"{order_id} was sent twice")
        self.sent.add(order_id)
        if key.purpose is Purpose.ENTRY and self.stop_committed_ms is not None:
            self.breach("I3", f"entry {order_id} was sent after the kill switch was raised")
        if key.purpose is Purpose.STOP:
            recent = [at for at in self._stops_ms[request.symbol] if at > self.now_ms() - 60_000]
            self._stops_ms[request.symbol] = [*recent, self.now_ms()]
            if len(recent) >= STOPS_PER_MINUTE:
                self.breach("I11", f"{len(recent) + 1} stop orders on {request.symbol} within a minute")

    def on_committed(self, book: Book) -> None:
        """What is ours has changed: where others trade too, that changes what must be covered."""
        self.book = book
        if self.shared:
            self.look()

    # ── whenever something has changed ──────────────────────────────────────

    def look(self) -> None:
        """I5 every position covered in time; I6 exactly, and by one stop, soon after."""
        account = self.exchange.venue.account_state
        for since in (self._uncovered, self._inexact, self._unflattened):
            for symbol in [symbol for symbol in since if symbol not in account.positions]:
                del since[symbol]
        for symbol, held in account.positions.items():
            orders = [order for order in account.orders.values() if order.symbol == symbol]
            if symbol in self.shared:
                self._look_at_ours(symbol, held, orders)
                continue
            stops = [order for order in orders if order.kind is Kind.STOP and order.sign == -held.sign]
            cover = sum(order.remaining for order in stops)
            is_closing = any(
                order.kind is Kind.MARKET or order.status is Status.WORKING
                for order in orders
                if order.reduce_only and order.sign == -held.sign
            )
            self._time(self._uncovered, symbol, held.steps and cover < held.steps and not is_closing, COVER_MS, "I5")
            is_inexact = cover != held.steps or len(stops) > 1
            self._time(self._inexact, symbol, held.steps and is_inexact and not is_closing, EXACT_MS, "I6")
            is_kept = held.steps and self.must_be_flat and not is_closing
            self._time(self._unflattened, symbol, is_kept, COVER_MS, "I3")

    def _look_at_ours(self, symbol: str, held: ExchangePosition, orders: list[ExchangeOrder]) -> None:
        """I5 where somebody else trades too: what we know to be ours, as far as it is still there, is covered."""
        position = None if self.book is None else self.book.position_on(symbol)
        mine = [order for order in orders if parse_client_order_id(order.client_order_id) is not None]
        closing = [order for order in mine if order.reduce_only and order.sign == -held.sign]
        cover = sum(order.remaining for order in closing if order.kind is Kind.STOP)
        is_closing = any(order.kind is Kind.MARKET or order.status is Status.WORKING for order in closing)
        wanted = 0
        is_netted = position is not None and position.state is PositionState.CLOSING and symbol in self._frozen()
        if position is not None and position.side.sign == held.sign and not is_netted:  # a person decides then
            wanted = min(self.exchange.venue.instrument(symbol).quantity_to_steps(position.quantity), held.steps)
        self._time(self._uncovered, symbol, cover < wanted and not is_closing, COVER_MS, "I5")

    def on_accepted(self, client_order_id: str) -> None:
        """I4 one accepted entry a position, or one a rung of its ladder."""
        key = parse_client_order_id(client_order_id)
        if key is None or key.purpose is not Purpose.ENTRY:
            return
        accepted = self._entries[key.epoch, key.position_number]
        accepted.add(client_order_id)
        if len(accepted) > self.rungs:
            self.breach("I4", f"position {key.position_number} has the entries {', '.join(sorted(accepted))}")

    def on_canceled(self, symbol: str, client_order_id: str) -> None:
        """I5: a cancel of ours never takes a position's last cover away."""
        key = parse_client_order_id(client_order_id)
        account = self.exchange.venue.account_state
        held = account.positions.get(symbol)
        if key is None or key.purpose is not Purpose.STOP or held is None or not held.steps or symbol in self.shared:
            return
        others = [order for order in account.orders.values() if order.symbol == symbol and order.sign == -held.sign]
        is_covered = any(order.kind in (Kind.STOP, Kind.MARKET) or order.status is Status.WORKING for order in others)
        if not is_covered and not self._believes_in_another_stop(client_order_id):
            self.breach("I5", f"{symbol} was left without a stop when {client_order_id} was cancelled")

    def _believes_in_another_stop(self, client_order_id: str) -> bool:
        """The rows hold an acknowledged one: somebody took it away and the engine has not heard of it yet.

        Or has heard of it just now, when the cancel of the one that it replaced was on its way already.
        """
        rows = {} if self.book is None else self.book.orders
        canceled = rows.get(client_order_id)
        on_its_way_ms = self.now_ms() - 2 * COVER_MS  # rows are dated by a clock that may be wrong
        return canceled is not None and any(
            not row.cancel_requested
            and (row.is_confirmed or (row.state is OrderState.CANCELED and row.updated_ms >= on_its_way_ms))
            for row in rows.values()
            if row.position_id == canceled.position_id and row.purpose is Purpose.STOP and row is not canceled
        )

    def _may_be_frozen(self, symbol: str, why: str) -> bool:
        """Somebody else trades there, or so many entries were refused that a person has to look."""
        return symbol in self.shared or ("refused in a row" in why and self.refused[symbol] >= REFUSALS_TO_FREEZE)

    def _frozen(self) -> Mapping[str, str]:
        return {} if self.book is None else self.book.frozen

    def _time(self, since: dict[str, int], symbol: str, is_bad: object, most_ms: int, invariant: str) -> None:
        now_ms = self.now_ms()
        begun_ms = since.get(symbol)
        if begun_ms is not None:
            lasted_ms = now_ms - max(begun_ms, self.calm_ms)
            if lasted_ms > most_ms:
                self.breach(invariant, f"{symbol} has not been {_LACKS[invariant]} for {lasted_ms} undisturbed ms")
        if not is_bad:
            since.pop(symbol, None)
        elif begun_ms is None:
            since[symbol] = now_ms

    # ── when everything is quiet ────────────────────────────────────────────

    def settle(
        self, book: Book, foreign: Mapping[str, Decimal], *, frozen_expected: bool, level_expected: bool
    ) -> None:
        """I7 nothing undecided; I8 local = venue; I9 flat means no order left; I10 ledger = wallet.

        `foreign` is what the engine believes that others hold, signed, by symbol.
        """
        self._undecided(book, frozen_expected=frozen_expected, level_expected=level_expected)
        self._compare(book, foreign)
        wallet = from_e8(self.exchange.venue.progress.wallet_e8)
        if book.ledger.balance != wallet:
            self.breach("I10", f"ledger {book.ledger.balance}, wallet {wallet}")

    def _undecided(self, book: Book, *, frozen_expected: bool, level_expected: bool) -> None:
        for order in book.orders.values():
            if order.state.is_unresolved:
                self.breach("I7", f"{order.client_order_id} is still {order.state}")
            elif order.is_live and order.cancel_requested:
                self.breach("I7", f"{order.client_order_id} is to be cancelled and still {order.state}")
        for position in book.positions.values():
            if position.state is PositionState.PENDING:
                self.breach("I7", f"{position.position_id} is still PENDING")
            older_ms = self.now_ms() - position.opened_ms - self.max_age_ms
            if position.state is PositionState.OPEN and self.max_age_ms and older_ms > OVERDUE_MS:
                self.breach("I21", f"{position.position_id} is OPEN {older_ms} ms beyond its time")
        causeless = {symbol: why for symbol, why in book.frozen.items() if not self._may_be_frozen(symbol, why)}
        if causeless and not frozen_expected:
            self.breach("I7", f"frozen without cause: {causeless}")
        if book.control.level is not Level.RUN and not level_expected:
            self.breach("I7", f"at {book.control.level} without cause: {book.control.reason}")

    def _compare(self, book: Book, foreign: Mapping[str, Decimal]) -> None:
        account = self.exchange.venue.account_state
        for symbol, held in account.positions.items():
            position = book.position_on(symbol)
            ours = Decimal(0) if position is None else position.quantity * position.side.sign
            instrument = self.exchange.venue.instrument(symbol)
            theirs = instrument.steps_to_quantity(held.steps) * held.sign
            others = foreign.get(symbol, Decimal(0))
            is_at_work = position is not None and position.state is PositionState.CLOSING and symbol in self.shared
            if ours + others != theirs and symbol not in book.frozen and not is_at_work:
                self.breach("I8", f"{symbol}: we hold {ours}, others {others}, the venue {theirs}")
        local = {order.client_order_id: order for order in book.orders.values()}
        for order_id, order in account.orders.items():
            row = local.get(order_id)
            owner = account.positions.get(order.symbol)
            if parse_client_order_id(order_id) is None and order.symbol in self.shared:
                continue
            if order_id not in self.rows:
                self.breach("I1", f"{order_id} rests without a row")
            elif owner is None or not owner.steps or book.position_on(order.symbol) is None:
                self.breach("I9", f"{order_id} rests on {order.symbol}, which is flat")
            elif row is None or not row.is_live:
                self.breach("I8", f"{order_id} rests, we have it as {row.state if row else 'gone'}")
        for order_id, row in local.items():
            if row.state in (OrderState.ACKED, OrderState.PARTIAL) and order_id not in account.orders:
                self.breach("I8", f"{order_id} is {row.state} with us, not open at the venue")


_LACKS = {"I3": "flattened", "I5": "covered by its stops", "I6": "covered exactly, by one stop,"}
