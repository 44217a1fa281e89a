"""What the exchange knows, in this venue's terms: symbols with a hyphen, long order ids, a stop's child order.

What belongs here: the numbers and names of orders and positions, what was filled for which order, since when a position
has been open. What does not: JSON (orders, funds), what may be asked (trading).

A conditional order is shown as one order while it waits. Once it has triggered, its fills belong to a child order with
an id of its own, which names the conditional as its origin. At the exchange behind they are one order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.money import ZERO
from trading_engine.venue_servers.bingx.words import NO_SYMBOL, Params, Refused
from trading_engine.venue_servers.exchange import Happening, LocalExchange
from trading_engine.venues.embedded.account import ExchangeOrder, ExchangePosition, Kind, Status
from trading_engine.venues.embedded.matching import IncomeRow, TradeRow

UNNAMED = "~"  # begins the exchange's id of an order that came without one; no client may use it

_ORDER_BASE = 1_900_000_000_000_000_000
_FORCED_BASE = 1_950_000_000_000_000_000
_POSITION_BASE = 1_800_000_000_000_000_000
_TRADE_BASE = 500_000_000
_SPACING = 100

_QUOTES = ("USDT", "USDC")

CONDITIONAL = frozenset({Kind.STOP, Kind.TARGET})


class Shown(StrEnum):
    """Where an order stands, in the words of REST."""

    NEW = "NEW"
    PENDING = "PENDING"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Habits:
    """What the venue does where its documentation leaves it open, or where it has been seen to do both.

    duplicate_code          refusal of a client order id that was used before
    triggered_status        what the query of a conditional says after it triggered; "" if it is not found any more
    child_keeps_client_id   the child of a conditional carries its client order id
    tells_of_children       the stream tells of a child's fills, not only of the account that they change
    cancel_all_keeps_stops  cancelling all without naming a type leaves conditionals alone
    is_side_both            positions in one-way mode are shown as BOTH with a signed amount, not as LONG or SHORT
    voids_stops             conditionals of a position are cancelled once it is closed
    """

    duplicate_code: int = 101481
    triggered_status: str = "TRIGGERED"
    child_keeps_client_id: bool = False
    tells_of_children: bool = True
    cancel_all_keeps_stops: bool = True
    is_side_both: bool = False
    voids_stops: bool = True


@dataclass(frozen=True, slots=True)
class View:
    """An order as the venue shows it: itself, or the child of a conditional that has triggered."""

    order: ExchangeOrder
    is_child: bool = False

    @property
    def order_id(self) -> int:
        """Follows from the exchange's number, so that it is the same after a restart."""
        return _ORDER_BASE + self.order.number * _SPACING + self.is_child

    @property
    def origin_id(self) -> int:
        """The id of the conditional that a child comes from, 0 for none."""
        return self.order_id - 1 if self.is_child else 0

    @property
    def is_waiting(self) -> bool:
        """A conditional itself, triggered or not."""
        return self.order.kind in CONDITIONAL and not self.is_child

    @property
    def is_open(self) -> bool:
        """May still trade, or trigger."""
        return self.order.status.is_open and self.is_child == has_triggered(self.order)

    @property
    def filled(self) -> int:
        """Steps: a conditional never has any, its child has them."""
        return 0 if self.is_waiting else self.order.filled


@dataclass(slots=True)
class Note:
    """What was asked for with an order and the exchange does not keep; forgotten at a restart."""

    working_type: str = "MARK_PRICE"
    time_in_force: str = "GTC"
    closes_position: bool = False


@dataclass(slots=True)
class Episode:
    """A position from its first fill until it is flat, or the other way round.

    steps          signed
    realized_e8    profit, fees and funding since it was opened
    has_turned     the fill that opened it closed the other side
    """

    number: int = 0
    steps: int = 0
    opened_ms: int = 0
    updated_ms: int = 0
    realized_e8: int = 0
    has_turned: bool = False

    @property
    def position_id(self) -> int:
        """Follows from the number of the first trade."""
        return _POSITION_BASE + self.number


def has_triggered(order: ExchangeOrder) -> bool:
    """Whether a conditional has become a market order."""
    return order.kind in CONDITIONAL and (order.status is Status.WORKING or order.filled > 0)


def forced_id(row: TradeRow) -> int:
    """The order id of a liquidation."""
    return _FORCED_BASE + row.number


def trade_id(row: TradeRow) -> int:
    """The id of an execution."""
    return _TRADE_BASE + row.number


class Books:
    """The exchange seen from the venue's side. `add` must be told everything that happens."""

    def __init__(self, exchange: LocalExchange, habits: Habits) -> None:
        self.exchange = exchange
        self.habits = habits
        self.notes: dict[int, Note] = {}
        self._wire = {symbol: _hyphenated(symbol) for symbol in exchange.instruments}
        self._ours = {wire: symbol for symbol, wire in self._wire.items()}
        self._fills: dict[int, list[TradeRow]] = {}
        self._episodes: dict[str, Episode] = {}
        for instrument in exchange.instruments.values():
            price_digits(instrument)
            quantity_digits(instrument)
        for row in exchange.trades():
            self.add(row)
        for income in exchange.incomes():
            self.add(income)

    # ── symbols ─────────────────────────────────────────────────────────────

    def wire(self, symbol: str) -> str:
        """BTCUSDT as BTC-USDT."""
        return self._wire[symbol]

    def listed(self, wire: str) -> Instrument:
        """The contract behind BTC-USDT; Refused for what is not listed."""
        if wire not in self._ours:
            raise Refused(NO_SYMBOL, f"symbol not exist: {wire}")
        return self.exchange.instruments[self._ours[wire]]

    def asked(self, params: Params) -> Instrument:
        """The contract a request names; Refused where it names none."""
        return self.listed(params.needed("symbol"))

    def asked_symbol(self, params: Params) -> str:
        """The exchange's spelling of the symbol a request names, "" for all."""
        return self.asked(params).symbol if params.text("symbol") else ""

    # ── what has happened ───────────────────────────────────────────────────

    def add(self, happening: Happening) -> None:
        """Take note of a fill or of funding."""
        if isinstance(happening, IncomeRow) and happening.symbol:
            episode = self.episode(happening.symbol)
            if episode.steps and happening.ts_ms >= episode.opened_ms:
                episode.realized_e8 += happening.amount_e8
        elif isinstance(happening, TradeRow):
            self._fills.setdefault(happening.order_number, []).append(happening)
            self._carry_on(happening)

    def _carry_on(self, row: TradeRow) -> None:
        episode = self.episode(row.symbol)
        before, after = episode.steps, episode.steps + row.sign * row.steps
        if not before or before * after < 0:
            episode = self._episodes[row.symbol] = Episode(row.number, 0, row.ts_ms, has_turned=bool(before))
        episode.steps, episode.updated_ms = after, row.ts_ms
        episode.realized_e8 += row.gross_e8 - row.fee_e8

    def episode(self, symbol: str) -> Episode:
        """The present position of a symbol, or the last one."""
        return self._episodes.setdefault(symbol, Episode())

    def fills(self, order: ExchangeOrder) -> list[TradeRow]:
        """What an order has traded, oldest first."""
        return self._fills.get(order.number, [])

    def value(self, rows: list[TradeRow]) -> Decimal:
        """Sum of price × quantity."""
        total = ZERO
        for row in rows:
            instrument = self.exchange.instruments[row.symbol]
            total += instrument.ticks_to_price(row.price) * instrument.steps_to_quantity(row.steps)
        return total

    # ── orders ──────────────────────────────────────────────────────────────

    def views(self, order: ExchangeOrder) -> Iterator[View]:
        """An order as the venue shows it: once, or with its child."""
        if has_triggered(order):
            yield View(order, is_child=True)
            if not self.habits.triggered_status:
                return
        yield View(order)

    def client_id(self, view: View) -> str:
        """The id its sender gave it, "" for none."""
        name = view.order.client_order_id
        if name.startswith(UNNAMED) or (view.is_child and not self.habits.child_keeps_client_id):
            return ""
        return name

    def find(self, params: Params) -> View | None:
        """The order that `orderId`, or else `clientOrderId`, names; Refused where neither is given."""
        if params.text("orderId"):
            number, part = divmod(params.integer("orderId") - _ORDER_BASE, _SPACING)
            order = self.exchange.order(number=number)
            views = [] if order is None else list(self.views(order))
            return next((view for view in views if view.is_child == part and part in (0, 1)), None)
        name = params.text("clientOrderId", "clientOrderID").lower()
        if not name:
            params.needed("orderId")
        order = self.exchange.order(client_order_id=name)
        if order is None:
            return None
        return next((view for view in self.views(order) if self.client_id(view)), None)

    def note(self, order: ExchangeOrder) -> Note:
        """What else was said when it was placed."""
        return self.notes.get(order.number, Note())

    def shown(self, view: View) -> str:
        """The status of an order in REST's words."""
        order = view.order
        if view.is_waiting and has_triggered(order):
            return self.habits.triggered_status
        match order.status:
            case Status.FILLED:
                return Shown.FILLED
            case Status.CANCELED:
                return Shown.CANCELLED
            case Status.EXPIRED:
                return Shown.EXPIRED
            case _ if order.filled:
                return Shown.PARTIALLY_FILLED
            case _:
                return Shown.PENDING if order.kind is Kind.LIMIT else Shown.NEW

    def placed_ms(self, view: View) -> int:
        """When it came to be: a child, when its conditional triggered."""
        fills = self.fills(view.order)
        if view.is_child:
            return fills[0].ts_ms if fills else view.order.updated_ms
        return view.order.created_ms

    # ── positions ───────────────────────────────────────────────────────────

    @property
    def is_side_both(self) -> bool:
        """Positions have no side of their own: a habit of one-way mode."""
        return self.habits.is_side_both and not self.exchange.is_hedge

    def side(self, sign: int) -> str:
        """What a position's side is called."""
        if self.is_side_both:
            return "BOTH"
        return "LONG" if sign > 0 else "SHORT"

    def amount(self, position: ExchangePosition) -> Decimal:
        """A position's size, signed where its side does not tell the direction."""
        size = self.exchange.instruments[position.symbol].steps_to_quantity(position.steps)
        return size * position.sign if self.is_side_both else size

    def entry(self, position: ExchangePosition) -> Decimal:
        """The average price of a position, rounded to the contract's digits; 0 for a flat one."""
        if not position.steps:
            return ZERO
        instrument = self.exchange.instruments[position.symbol]
        exact = money.from_e8(position.cost_e8) / instrument.steps_to_quantity(position.steps)
        return round(exact, price_digits(instrument))


def price_digits(instrument: Instrument) -> int:
    """Decimals of a price; ConfigInvalid for a tick that this venue has no way to name."""
    return _digits(instrument.tick, f"{instrument.symbol}: tick")


def quantity_digits(instrument: Instrument) -> int:
    """Decimals of a quantity; ConfigInvalid for a step that this venue has no way to name."""
    return _digits(instrument.step, f"{instrument.symbol}: step")


def _digits(unit: Decimal, what: str) -> int:
    sign, digits, exponent = unit.normalize().as_tuple()
    if sign or digits != (1,) or not isinstance(exponent, int) or exponent > 0:
        raise ConfigInvalid(f"{what} {unit}: bingx names decimals only; use 1, 0.1, 0.01 and so on")
    return -exponent


def _hyphenated(symbol: str) -> str:
    if "-" in symbol:
        return symbol
    for quote in _QUOTES:
        if symbol.endswith(quote):
            return f"{symbol.removesuffix(quote)}-{quote}"
    raise ConfigInvalid(f"symbol {symbol}: bingx lists contracts in {' and '.join(_QUOTES)} only")
