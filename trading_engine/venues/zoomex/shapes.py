"""Rows of Zoomex as they come: their shapes, and reading texts as numbers and times.

What belongs here: shapes and primitive readings. What does not: what a row means (codec).

Every number is text on the wire, "no value" is `""`, `"0"`, `"0.00"`, `null` or `UNKNOWN` depending on the field and
the account, and one listing spells its keys with a capital. What cannot be read raises Unreadable.
"""

from decimal import Decimal, InvalidOperation
from typing import TypeVar

import msgspec

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.venues.zoomex import facts

Number = str | int | float | None
T = TypeVar("T")

_NANOSECONDS = 10**16  # a 19-digit time is in nanoseconds


class Unreadable(VenueUnavailable):
    """The venue has answered something that is not in the documented shape: nothing was learned."""


class OrderRow(msgspec.Struct, rename="camel"):
    """An order of a listing or the stream."""

    order_id: str
    symbol: str
    side: str
    order_status: str
    order_link_id: str | None = None
    category: str | None = None
    order_type: str | None = None
    price: Number = None
    qty: Number = None
    cum_exec_qty: Number = None
    trigger_price: Number = None
    trigger_direction: Number = None
    stop_order_type: str | None = None
    last_price_on_created: Number = None
    reduce_only: bool | None = None
    reject_reason: str | None = None
    cancel_type: str | None = None
    created_time: Number = None
    updated_time: Number = None


class ExecutionRow(msgspec.Struct, rename="camel"):
    """An execution or a funding payment."""

    symbol: str
    exec_id: str
    exec_time: Number
    order_id: str | None = None
    order_link_id: str | None = None
    category: str | None = None
    side: str | None = None
    exec_type: str | None = None
    exec_price: Number = None
    exec_qty: Number = None
    exec_value: Number = None
    exec_fee: Number = None
    fee_currency: str | None = None
    is_maker: bool | None = None
    seq: Number = None

    @property
    def is_funding(self) -> bool:
        """It moved money and no position."""
        return (self.exec_type or "").lower() == "funding"

    @property
    def is_made_by_venue(self) -> bool:
        """A liquidation or a deleveraging: no order of ours, whatever it is called."""
        return (self.exec_type or "").lower() in ("busttrade", "adltrade")

    @property
    def ts_ms(self) -> int:
        """Time of the venue."""
        return instant_ms(self.exec_time)


class PositionRow(msgspec.Struct, rename="camel"):
    """One side of a position."""

    symbol: str
    size: Number
    side: str | None = None
    position_idx: Number = 0
    avg_price: Number = None
    entry_price: Number = None
    mark_price: Number = None
    liq_price: Number = None
    leverage: Number = None
    trade_mode: Number = None


class CoinRow(msgspec.Struct, rename={"total_order_im": "totalOrderIM", "total_position_im": "totalPositionIM",
                                      "wallet_balance": "walletBalance",
                                      "available_to_withdraw": "availableToWithdraw"}):  # fmt: skip
    """One coin of a wallet."""

    coin: str
    wallet_balance: Number = None
    available_to_withdraw: Number = None
    total_order_im: Number = None
    total_position_im: Number = None
    locked: Number = None
    bonus: Number = None


class AccountRow(msgspec.Struct, rename="camel"):
    """A wallet."""

    account_type: str | None = None
    total_available_balance: Number = None
    coin: list[CoinRow] | None = None


class _LeverageFilter(msgspec.Struct, rename="camel"):
    max_leverage: Number


class _PriceFilter(msgspec.Struct, rename="camel"):
    tick_size: Number


class _LotFilter(msgspec.Struct, rename="camel"):
    min_order_qty: Number
    max_order_qty: Number
    qty_step: Number
    max_mkt_order_qty: Number = None
    min_notional_value: Number = None


class InstrumentRow(msgspec.Struct, rename="camel"):
    """A listed contract."""

    symbol: str
    leverage_filter: _LeverageFilter
    price_filter: _PriceFilter
    lot_size_filter: _LotFilter
    contract_type: str | None = None
    settle_coin: str | None = None
    tags: list[str] | None = None

    @property
    def is_innovation(self) -> bool:
        """It is traded at higher fees."""
        return any(tag.lower() == facts.INNOVATION_TAG for tag in self.tags or ())


class RiskRow(msgspec.Struct, rename="camel"):
    """One tier of maintenance margin."""

    symbol: str
    risk_limit_value: Number
    maintenance_margin: Number
    max_leverage: Number
    mm_deduction: Number = None


class FeeRow(msgspec.Struct, rename="camel"):
    """Fee rates of a symbol."""

    symbol: str
    maker_fee_rate: Number
    taker_fee_rate: Number


class KeyFacts(msgspec.Struct, rename="camel"):
    """What a key may do."""

    read_only: int | bool | None = None
    permissions: dict[str, list[str] | None] | None = None


class Ids(msgspec.Struct, rename="camel"):
    """The answer to an order or a cancel: names, no state."""

    order_id: str
    order_link_id: str | None = None


class ServerTime(msgspec.Struct, rename="camel"):
    """The venue's clock."""

    time_nano: str


class FundingRow(msgspec.Struct, rename="camel"):
    """A past settlement."""

    funding_rate: Number
    funding_rate_timestamp: Number


class Klines(msgspec.Struct):
    """Candles, newest first."""

    list: list[list[Number]]


# ── decoding ────────────────────────────────────────────────────────────────


def decode(raw: bytes, kind: type[T]) -> T:
    """`raw` as a value of a shape."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"zoomex answered in another shape than documented: {error}") from None


def rows_of(found: object, kind: type[T]) -> list[T]:
    """Rows of a listing, whatever the case of the first letter of their keys; None is an empty listing."""
    if not isinstance(found, list | None):
        raise Unreadable("zoomex answered a listing that is no list")
    try:
        named = [{name[:1].lower() + name[1:]: value for name, value in row.items()} for row in found or ()]
        return msgspec.convert(named, list[kind])  # type: ignore[valid-type]
    except (msgspec.MsgspecError, AttributeError) as error:
        raise Unreadable(f"zoomex answered rows in another shape than documented: {error}") from None


def page(raw: bytes, kind: type[T]) -> tuple[list[T], str]:
    """Rows of one page, and the cursor of the next, empty for the last."""
    found = decode(raw, dict[str, object])
    cursor = found.get("nextPageCursor")
    return rows_of(found.get("list"), kind), cursor if isinstance(cursor, str) else ""


def number(value: Number) -> Decimal | None:
    """The number, None for `""` and null."""
    if value is None or value == "":
        return None
    try:
        made = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise Unreadable("zoomex answered a text where a number is documented") from None
    if not made.is_finite():
        raise Unreadable("zoomex answered a number that is not finite")
    return made


def needed(value: Number, what: str) -> Decimal:
    """The number; Unreadable where there is none."""
    made = number(value)
    if made is None:
        raise Unreadable(f"zoomex answered no {what}")
    return made


def instant_ms(value: Number) -> int:
    """A time in ms, 0 where it is not told; some fields are in nanoseconds although documented in ms."""
    made = int(number(value) or 0)
    return made // 1_000_000 if made > _NANOSECONDS else made
