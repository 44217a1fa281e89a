"""Messages of the user stream as events.

What belongs here: shapes and translation of messages. What does not: the connection (stream), rows of REST (codec).

A fill's event comes before its order's, so that a report never names more than was told. Funding is not told from
here: the message lacks the number that makes an income count once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import msgspec
from msgspec import field

from trading_engine.domain.events import FillSeen, OrderReported
from trading_engine.domain.fills import Fill
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import OrderReport, OrderState
from trading_engine.venues.binance import codec, shapes
from trading_engine.venues.binance.facts import NAME
from trading_engine.venues.binance.history import trade_id
from trading_engine.venues.binance.names import Names, takeover
from trading_engine.venues.binance.shapes import SideWord
from trading_engine.venues.wire.settings import AccountSettings

KEY_EXPIRED = "listenKeyExpired"
_COIN_MARGINED = 2
_TRADES = frozenset({"TRADE", "CALCULATED"})
_EXPIRY_REASONS = {
    "1": "self trade prevented",
    "2": "rest of an immediate order",
    "3": "rest of an immediate order, self trade prevented",
    "4": "displaced by a reduce-only order, or it would have turned the position",
    "5": "liquidation",
    "6": "its position is gone",
    "7": "delisting",
    "8": "the original order expired after its stop triggered",
    "9": "rest of a market order that found nobody",
}


class Head(msgspec.Struct):
    """What kind of message it is; wrapped ones carry it in `data`."""

    event: str = field(default="", name="e")
    data: msgspec.Raw = field(default_factory=msgspec.Raw)


class _OrderUpdate(msgspec.Struct, kw_only=True):
    symbol: str = field(name="s")
    client_order_id: str = field(name="c")
    side: SideWord = field(name="S")
    type: str = field(default="MARKET", name="o")
    original_type: str = field(default="", name="ot")
    quantity: Decimal = field(name="q")
    price: str | None = field(default=None, name="p")
    stop_price: str | None = field(default=None, name="sp")
    execution: str = field(name="x")
    status: str = field(name="X")
    order_id: int = field(name="i")
    last_quantity: Decimal = field(default=ZERO, name="l")
    filled: Decimal = field(default=ZERO, name="z")
    last_price: Decimal = field(default=ZERO, name="L")
    fee: Decimal | None = field(default=None, name="n")
    fee_asset: str | None = field(default=None, name="N")
    time: int = field(name="T")
    trade: int = field(default=0, name="t")
    is_maker: bool = field(default=False, name="m")
    reduce_only: bool = field(default=False, name="R")
    position_side: str = field(default="BOTH", name="ps")
    close_position: bool = field(default=False, name="cp")
    realized: Decimal | None = field(default=None, name="rp")
    expiry: str | int = field(default="0", name="er")


class _OrderMessage(msgspec.Struct):
    order: _OrderUpdate = field(name="o")
    contract: int = field(default=1, name="st")


class _AlgoUpdate(msgspec.Struct, kw_only=True):
    client_algo_id: str = field(name="caid")
    algo_id: int = field(name="aid")
    type: str = field(name="o")
    symbol: str = field(name="s")
    side: SideWord = field(name="S")
    position_side: str = field(default="BOTH", name="ps")
    quantity: str | None = field(default=None, name="q")
    status: str = field(name="X")
    executed: str | None = field(default=None, name="aq")
    trigger_price: str | None = field(default=None, name="tp")
    price: str | None = field(default=None, name="p")
    reduce_only: bool = field(default=False, name="R")
    close_position: bool = field(default=False, name="cp")
    failure: str = field(default="", name="rm")


class _AlgoMessage(msgspec.Struct):
    order: _AlgoUpdate = field(name="o")
    time: int = field(name="T")
    contract: int = field(default=1, name="st")


@dataclass(frozen=True, slots=True)
class Message:
    """A message by its kind, empty where it has none, and what it tells."""

    kind: str
    events: Sequence[FillSeen | OrderReported] = ()


class Reader:
    """Reads messages; learns the names of orders as it does."""

    def __init__(self, settings: AccountSettings, names: Names) -> None:
        self._settings = settings
        self._names = names

    def read(self, frame: bytes, now_ms: int) -> Message:
        """What a frame tells; ValueError where it cannot be read."""
        try:
            head = msgspec.json.decode(frame, type=Head)
            if not head.event and bytes(head.data):
                frame = bytes(head.data)
                head = msgspec.json.decode(frame, type=Head)
            if head.event == "ORDER_TRADE_UPDATE":
                return Message(head.event, self._order(msgspec.json.decode(frame, type=_OrderMessage), now_ms))
            if head.event == "ALGO_UPDATE":
                return Message(head.event, self._algo(msgspec.json.decode(frame, type=_AlgoMessage), now_ms))
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from None
        return Message(head.event)

    def _order(self, message: _OrderMessage, now_ms: int) -> Sequence[FillSeen | OrderReported]:
        order = message.order
        if message.contract == _COIN_MARGINED:
            return ()
        self._names.learn(order.symbol, order.order_id, order.client_order_id)
        events: list[FillSeen | OrderReported] = []
        # Without a number a trade would count again when REST names it: such a notice is left to REST.
        is_trade = order.execution in _TRADES and order.trade > 0 and order.last_quantity > 0
        if is_trade and order.symbol in self._settings.symbols:
            events.append(FillSeen(now_ms, self._fill(order)))
        if order.status in codec.PLAIN_STATES:  # a new status says nothing, its fill still counts
            events.append(OrderReported(now_ms, self._report(order)))
        return events

    def _fill(self, order: _OrderUpdate) -> Fill:
        is_liquidation, is_adl = takeover(order.client_order_id)
        return Fill(
            venue=NAME,
            account=self._settings.account,
            trade_id=trade_id(order.symbol, order.trade),
            client_order_id=self._names.ours(order.client_order_id),
            venue_order_id=str(order.order_id),
            symbol=order.symbol,
            side=codec.SIDES[order.side],
            quantity=order.last_quantity,
            price=order.last_price,
            fee=order.fee or ZERO,
            fee_asset=order.fee_asset or self._settings.asset,
            ts_ms=order.time,
            realized_pnl=order.realized,
            is_maker=order.is_maker,
            is_liquidation=is_liquidation,
            is_adl=is_adl,
        )

    def _report(self, order: _OrderUpdate) -> OrderReport:
        state = codec.PLAIN_STATES[order.status]
        reason = "" if state in (OrderState.ACKED, OrderState.PARTIAL, OrderState.FILLED) else order.status.lower()
        return OrderReport(
            client_order_id=self._names.ours(order.client_order_id),
            venue_order_id=str(order.order_id),
            symbol=order.symbol,
            state=state,
            filled=order.filled,
            ts_ms=order.time,
            side=codec.SIDES[order.side],
            type=codec.order_type(order.type),
            quantity=order.quantity,
            price=codec.number(order.price) or None,
            trigger_price=codec.number(order.stop_price) or None,
            reduce_only=codec.only_reduces(
                order.side, order.position_side, is_flagged=order.reduce_only or order.close_position
            ),
            reason=_EXPIRY_REASONS.get(str(order.expiry), reason) if reason else "",
        )

    def _algo(self, message: _AlgoMessage, now_ms: int) -> Sequence[OrderReported]:
        order = message.order
        if message.contract == _COIN_MARGINED:
            return ()
        row = shapes.AlgoOrder(
            algo_id=order.algo_id,
            symbol=order.symbol,
            side=order.side,
            order_type=order.type,
            algo_status=order.status,
            client_algo_id=order.client_algo_id,
            quantity=order.quantity,
            price=order.price,
            trigger_price=order.trigger_price,
            actual_qty=order.executed,
            position_side=order.position_side,
            reduce_only=order.reduce_only,
            close_position=order.close_position,
            update_time=message.time,
        )
        report = codec.algo_report(row, self._names.ours(order.client_algo_id))
        if order.failure and report.reason:
            report = replace(report, reason=f"{report.reason}: {order.failure}")
        return (OrderReported(now_ms, report),)
