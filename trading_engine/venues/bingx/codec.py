"""The shapes BingX answers in, and their translation into values of the domain.

What belongs here: structs, spellings of numbers, flags, times and states. What does not: which call brings what
(venue, history, stream).

A number may come as text, as a JSON number or as "" for none; ids have 19 digits, as numbers or text; a flag may be
a word. A field that money depends on has no default: its absence is a failed read.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation

import msgspec

from trading_engine.domain import money
from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.fills import PnlKind
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderReport, OrderState, TradeSide
from trading_engine.domain.reports import VenuePosition
from trading_engine.venues.bingx.facts import symbol_of

Number = str | float | int | None
Flag = bool | str | None
Id = int | str | None

# ── spellings ───────────────────────────────────────────────────────────────


def number(value: Number) -> Decimal | None:
    """A number in any of its spellings, None for none; VenueUnavailable where it is no number."""
    if value is None or value == "":
        return None
    try:
        found = money.from_float(value) if isinstance(value, float) else Decimal(value)
    except InvalidOperation:
        raise VenueUnavailable(f"bingx tells {value!r} where a number is expected") from None
    if not found.is_finite():
        raise VenueUnavailable(f"bingx tells {value!r} where a number is expected")
    return found


def amount(value: Number) -> Decimal:
    """As `number`, 0 for none: for fields that are empty until something has happened."""
    return number(value) or money.ZERO


def needed(value: Number, name: str) -> Decimal:
    """As `number`; VenueUnavailable for none."""
    found = number(value)
    if found is None:
        raise VenueUnavailable(f"bingx does not tell {name}")
    return found


def flag(value: Flag) -> bool:
    """A truth value in any of its spellings; false for none."""
    return value if isinstance(value, bool) else str(value or "").lower() == "true"


def id_text(value: Id) -> str:
    """An id as text; "" for none, which is also told as 0."""
    text = "" if value is None else str(value)
    return "" if text == "0" else text


def instant_ms(value: Number) -> int:
    """An instant in ms; 0 for none."""
    return int(amount(value))


def trade_side(text: str) -> TradeSide:
    """BUY or SELL in any case; VenueUnavailable for anything else."""
    try:
        return TradeSide(text.lower())
    except ValueError:
        raise VenueUnavailable(f"bingx tells the side {text!r}") from None


# ── envelope ────────────────────────────────────────────────────────────────


class Envelope(msgspec.Struct, rename="camel", frozen=True):
    """What nearly every answer is wrapped in."""

    code: int | str | None = None
    msg: str | None = None
    debug_msg: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    listen_key: str | None = None

    @property
    def code_text(self) -> str:
        """The code as text; an answer that is only a listen key has none and is a success."""
        if self.code is None:
            return "0" if self.listen_key else ""
        return str(self.code).strip()

    @property
    def text(self) -> str:
        """What the venue says about it."""
        return self.msg or self.debug_msg or ""


class ServerTime(msgspec.Struct, rename="camel", frozen=True):
    """The venue's clock."""

    server_time: int


class ListenKey(msgspec.Struct, rename="camel", frozen=True):
    """The key of a user stream."""

    listen_key: str = ""


# ── orders ──────────────────────────────────────────────────────────────────


class OrderRow(msgspec.Struct, rename="camel", frozen=True):
    """An order as a reply, a query or a list shows it; many fields are missing in some of them."""

    symbol: str
    order_id: Id
    side: str
    status: str = ""
    type: str = ""
    position_side: str = ""
    orig_qty: Number = None
    quantity: Number = None
    price: Number = None
    stop_price: Number = None
    executed_qty: Number = None
    time: Number = None
    update_time: Number = None
    client_order_id: str | None = ""
    client_order_id_old: str | None = msgspec.field(default="", name="clientOrderID")
    trigger_order_id: Id = 0
    reduce_only: Flag = None
    close_position: Flag = None

    @property
    def client_id(self) -> str:
        """The client id in lower case, "" for none."""
        return (self.client_order_id or self.client_order_id_old or "").lower()

    @property
    def venue_id(self) -> str:
        """The id that the venue gave."""
        return id_text(self.order_id)

    @property
    def parent_id(self) -> str:
        """The order that triggered this one, "" for none."""
        return id_text(self.trigger_order_id)

    @property
    def filled(self) -> Decimal:
        """What has been filled so far; the whole of a plain filled order that does not say."""
        executed = number(self.executed_qty)
        if self.status.upper() == "FILLED" and not executed and not self.is_conditional:
            return self.size
        return executed or money.ZERO

    @property
    def size(self) -> Decimal:
        """What was asked for."""
        return number(self.orig_qty) or amount(self.quantity)

    @property
    def is_conditional(self) -> bool:
        """It waits for a price, and fills as another order."""
        return _TYPES.get(self.type.upper()) in (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET)

    @property
    def may_have_triggered(self) -> bool:
        """A conditional order that does not wait any more and shows no fill: another order may have filled for it."""
        return self.is_conditional and not self.filled and self.status.upper() not in _WAITING


class OneOrder(msgspec.Struct, frozen=True):
    """A payload around one order."""

    order: OrderRow | None = None


class OrderList(msgspec.Struct, frozen=True):
    """A payload around many."""

    orders: list[OrderRow] | None = None


_STATES: Mapping[str, OrderState] = {
    "NEW": OrderState.ACKED,
    "PENDING": OrderState.ACKED,
    "WORKING": OrderState.ACKED,
    "PARTIALLY_FILLED": OrderState.PARTIAL,
    "PARTIALLYFILLED": OrderState.PARTIAL,
    "FILLED": OrderState.FILLED,
    "CANCELLED": OrderState.CANCELED,
    "CANCELED": OrderState.CANCELED,
    "FAILED": OrderState.EXPIRED,
    "EXPIRED": OrderState.EXPIRED,
}
_WAITING = frozenset({"", "NEW", "PENDING", "WORKING"})
_TYPES: Mapping[str, OrderType] = {
    "MARKET": OrderType.MARKET,
    "LIMIT": OrderType.LIMIT,
    "STOP_MARKET": OrderType.STOP_MARKET,
    "STOP": OrderType.STOP_MARKET,
    "TRIGGER_MARKET": OrderType.STOP_MARKET,
    "TRIGGER_LIMIT": OrderType.STOP_MARKET,
    "TRAILING_STOP_MARKET": OrderType.STOP_MARKET,
    "TRAILING_TP_SL": OrderType.STOP_MARKET,
    "TAKE_PROFIT_MARKET": OrderType.TAKE_PROFIT_MARKET,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT_MARKET,
}


def state_of(status: str, filled: Decimal, *, is_conditional: bool) -> OrderState:
    """The state a status means; an unknown one is open, and asked after again.

    A conditional order that is filled without a fill has triggered: what it became is told by another order.
    """
    state = _STATES.get(status.upper(), OrderState.ACKED)
    if state is OrderState.FILLED and is_conditional and not filled:
        return OrderState.ACKED
    if state is OrderState.ACKED and filled:
        return OrderState.PARTIAL
    return state


def order_type(text: str) -> OrderType:
    """The nearest of our types: only strangers' orders, and liquidations, are of others."""
    return _TYPES.get(text.upper(), OrderType.MARKET)


def is_reducing(side: TradeSide, position_side: str) -> bool:
    """In hedge mode the pair of sides says what closes."""
    return (position_side.upper(), side) in (("LONG", TradeSide.SELL), ("SHORT", TradeSide.BUY))


def report_of(row: OrderRow, client_order_id: str, *, is_hedge: bool, now_ms: int) -> OrderReport:
    """What a row says about an order; `client_order_id` as resolved by the caller."""
    side, kind = trade_side(row.side), order_type(row.type)
    is_limit, filled = kind is OrderType.LIMIT, row.filled
    status = row.status.upper()
    return OrderReport(
        client_order_id=client_order_id,
        venue_order_id=row.parent_id if client_order_id and row.parent_id else row.venue_id,
        symbol=symbol_of(row.symbol),
        state=state_of(status, filled, is_conditional=row.is_conditional),
        filled=filled,
        ts_ms=instant_ms(row.update_time) or instant_ms(row.time) or now_ms,
        side=side,
        type=kind,
        quantity=row.size,
        price=(number(row.price) or None) if is_limit else None,
        trigger_price=(number(row.stop_price) or None) if row.is_conditional else None,
        reduce_only=flag(row.reduce_only)
        or flag(row.close_position)
        or (is_hedge and is_reducing(side, row.position_side)),
        reason=status.lower() if status in ("FAILED", "EXPIRED") else "",
    )


# ── fills and incomes ───────────────────────────────────────────────────────


class FillRow(msgspec.Struct, rename="camel", frozen=True):
    """One execution. `filled_tm` exists as well and is wrong: it ends in Z and means UTC+8."""

    trade_id: Id
    order_id: Id
    symbol: str
    side: str
    price: Number
    filled_time: str
    commission: Number
    qty: Number = None
    volume: Number = None
    commission_asset: str | None = ""
    role: str | None = ""

    @property
    def key(self) -> str:
        """Unique in the account: both orders of a trade with oneself share the trade's id."""
        return f"{id_text(self.order_id)}-{id_text(self.trade_id)}"

    @property
    def ts_ms(self) -> int:
        """When it happened; VenueUnavailable where that cannot be read."""
        try:
            moment = datetime.fromisoformat(self.filled_time)
        except ValueError:
            raise VenueUnavailable(f"bingx tells the time {self.filled_time!r}") from None
        if moment.tzinfo is None:
            raise VenueUnavailable(f"bingx tells the time {self.filled_time!r} without an offset")
        return round(moment.timestamp() * 1000)


class FillList(msgspec.Struct, frozen=True):
    """A page of executions; `total` counts all pages."""

    fill_history_orders: list[FillRow] | None = None
    total: Number = None


class IncomeRow(msgspec.Struct, rename="camel", frozen=True):
    """A change of the wallet."""

    income_type: str
    income: Number
    time: int
    symbol: str | None = ""
    asset: str | None = ""
    tran_id: Id = ""
    trade_id: Id = ""
    info: str | None = ""

    @property
    def key(self) -> str:
        """As unique as its fields; equal ones of one instant are told apart by the reader."""
        parts = (self.income_type, self.time, symbol_of(self.symbol or ""), id_text(self.tran_id))
        return "-".join(str(part) for part in (*parts, money.text(amount(self.income))))


_KINDS: Mapping[str, PnlKind | None] = {
    "FUNDING_FEE": PnlKind.FUNDING,
    "TRANSFER": PnlKind.TRANSFER,
    "INSURANCE_CLEAR": PnlKind.LIQUIDATION,
    "REALIZED_PNL": None,  # follows from the executions
    "TRADING_FEE": None,
}


def income_kind(income_type: str) -> PnlKind | None:
    """Why the wallet changed; None for what the executions tell already."""
    return _KINDS.get(income_type.upper(), PnlKind.ADJUSTMENT)


# ── account ─────────────────────────────────────────────────────────────────


class BalanceRow(msgspec.Struct, rename="camel", frozen=True):
    """One asset of the wallet; those of other assets may lack anything."""

    asset: str | None = ""
    balance: Number = None
    available_margin: Number = None


class PositionRow(msgspec.Struct, rename="camel", frozen=True):
    """One open position; the quantity of a short is positive."""

    symbol: str
    position_side: str
    position_amt: Number
    avg_price: Number
    leverage: Number
    mark_price: Number = None
    liquidation_price: Number = None


def position_of(row: PositionRow) -> VenuePosition | None:
    """A position, None for a row without a quantity; VenueUnavailable where side and sign contradict each other."""
    quantity, side = needed(row.position_amt, "a position's quantity"), row.position_side.upper()
    if not quantity:
        return None
    if side == "BOTH":
        side = "LONG" if quantity > 0 else "SHORT"
    elif side not in ("LONG", "SHORT") or (side == "LONG" and quantity < 0):
        raise VenueUnavailable(f"bingx tells a position of {quantity} on the side {row.position_side!r}")
    return VenuePosition(
        symbol=symbol_of(row.symbol),
        side=Side(side.lower()),
        quantity=abs(quantity),
        entry_price=needed(row.avg_price, "a position's entry price"),
        mark_price=amount(row.mark_price),
        liquidation_price=number(row.liquidation_price) or None,
        leverage=needed(row.leverage, "a position's leverage"),
    )


class DualSide(msgspec.Struct, rename="camel", frozen=True):
    """The position mode of the account."""

    dual_side_position: bool | str


class AssetMode(msgspec.Struct, rename="camel", frozen=True):
    """Whether other assets count as margin."""

    asset_mode: str = ""


class MarginType(msgspec.Struct, rename="camel", frozen=True):
    """The margin mode of a symbol."""

    margin_type: str


class LeverageRow(msgspec.Struct, rename="camel", frozen=True):
    """The highest leverage of a symbol."""

    max_long_leverage: Number
    max_short_leverage: Number


class LeverageEcho(msgspec.Struct, rename="camel", frozen=True):
    """What the leverage was set to."""

    leverage: Number


class CommissionRates(msgspec.Struct, rename="camel", frozen=True):
    """What the account pays."""

    taker_commission_rate: Number
    maker_commission_rate: Number


class Commission(msgspec.Struct, frozen=True):
    """A payload around the rates."""

    commission: CommissionRates


# ── market ──────────────────────────────────────────────────────────────────


class Listed(msgspec.Struct, frozen=True):
    """The name of a listed contract, whatever else is told of it."""

    symbol: str = ""


class ContractRow(msgspec.Struct, rename="camel", frozen=True):
    """One listed contract; the precisions are numbers of decimals."""

    symbol: str
    quantity_precision: int
    price_precision: int
    trade_min_quantity: Number
    trade_min_usdt: Number = msgspec.field(name="tradeMinUSDT")
    currency: str
    status: int


class TierRow(msgspec.Struct, rename="camel", frozen=True):
    """One maintenance tier."""

    max_position_val: Number
    maint_margin_ratio: Number
    maint_amount: Number = None


class FundingRow(msgspec.Struct, frozen=True):
    """A past settlement."""

    rate: Number = msgspec.field(name="fundingRate")
    time_ms: int = msgspec.field(name="fundingTime")


class CandleRow(msgspec.Struct, frozen=True):
    """One candle by its open time; nothing says whether it is closed."""

    time: int
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number
