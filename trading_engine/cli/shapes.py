"""The JSON of the read commands: shapes that scripts rely on.

What belongs here: from values to plain dictionaries. What does not: reading them (store), tables (text,
table). Fields may be added, never renamed or removed.

Money, prices and quantities are decimal strings, times ISO 8601 in UTC with milliseconds, what does not
exist is null.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

from trading_engine.domain import money
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.money import ZERO
from trading_engine.domain.time import SECOND_MS, iso

if TYPE_CHECKING:  # a backtest has none of them, and their classes take longer to define than all of its shapes
    from trading_engine.core.state import ForeignHolding
    from trading_engine.domain.orders import Order
    from trading_engine.domain.position import Position
    from trading_engine.ports import GateStatus, LimitStatus
    from trading_engine.store.read_models import SignalView, Trade

Row = dict[str, object]


def dump(value: object) -> str:
    """JSON as it is printed: indented, readable letters kept."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def decimal(value: Decimal | None) -> str | None:
    """A decimal string."""
    return None if value is None else money.text(value)


def cents(value: Decimal | None) -> str | None:
    """A derived figure (R, percent) to two places."""
    return None if value is None else money.text(value.quantize(Decimal("0.01"), ROUND_HALF_EVEN))


def time(ts_ms: int) -> str | None:
    """An instant, null for never (0)."""
    return iso(ts_ms) if ts_ms else None


def position(
    item: "Position", mark: Decimal | None, now_ms: int, *, stop_confirmed: bool, liquidation: Decimal | None = None
) -> Row:
    """One element of `positions --json`; `mark` is the last close, `now_ms` the engine's time."""
    open_pnl = unrealized(item, mark)
    since_ms = item.opened_ms or item.created_ms
    until_ms = item.closed_ms if item.state is PositionState.CLOSED else now_ms
    return {
        "position_id": item.position_id,
        "symbol": item.symbol,
        "side": str(item.side),
        "state": str(item.state),
        "strategy": item.strategy,
        "quantity": money.text(item.quantity),
        "entry_price": decimal(item.average_entry),
        "mark_price": decimal(mark),
        "stop_price": money.text(item.stop_price),
        "target_price": decimal(item.target_price),
        "unrealized_pnl": decimal(open_pnl),
        "realized_pnl": money.text(item.net_pnl),
        "r_multiple": cents(r_multiple(item, open_pnl)),
        "leverage": money.text(item.leverage),
        "liquidation_price": decimal(liquidation),
        "opened_at": time(item.opened_ms),
        "age_s": max(until_ms - since_ms, 0) // SECOND_MS,
        "stop_confirmed": stop_confirmed,
    }


def unrealized(item: "Position", mark: Decimal | None) -> Decimal | None:
    """Open PnL before fees; nothing open is worth 0, something without a mark is not known."""
    if not item.quantity:
        return ZERO
    return None if mark is None else money.round_money(item.unrealized(mark))


def r_multiple(item: "Position", open_pnl: Decimal | None) -> Decimal | None:
    """What was made so far, open and realized, in multiples of the money at risk at entry."""
    return None if open_pnl is None else item.r_multiple(money.add(item.net_pnl, open_pnl))


def trade(item: "Trade") -> Row:
    """One element of `trades --json`: a closed position; `fees_left_out` only where another wallet has paid fees."""
    left_out = {asset: money.text(fees) for asset, fees in item.left_out}
    row: Row = {
        "position_id": item.position_id,
        "symbol": item.symbol,
        "side": item.side,
        "strategy": item.strategy,
        "opened_at": time(item.opened_ms),
        "closed_at": time(item.closed_ms),
        "entry_price": decimal(item.entry_price),
        "exit_price": decimal(item.exit_price),
        "quantity": money.text(item.quantity),
        "gross_pnl": money.text(item.gross_pnl),
        "fees": money.text(item.fees),
        "funding": money.text(item.funding),
        "net_pnl": money.text(item.net_pnl),
        "r_multiple": cents(item.r_multiple),
        "close_reason": item.close_reason,
        "fills": item.fills,
    }
    return row | {"fees_left_out": left_out} if left_out else row


def average_price(item: "Order") -> Decimal | None:
    """Mean price of the applied fills, None before the first."""
    return money.ratio(item.filled_value, item.filled) if item.filled else None


def order(item: "Order") -> Row:
    """One element of `orders --json`."""
    return {
        "client_order_id": item.client_order_id,
        "venue_order_id": item.venue_order_id or None,
        "position_id": item.position_id,
        "symbol": item.symbol,
        "purpose": str(item.purpose),
        "type": str(item.type),
        "side": str(item.side),
        "quantity": money.text(item.quantity),
        "filled": money.text(item.filled),
        "price": decimal(item.price),
        "trigger_price": decimal(item.trigger_price),
        "average_price": decimal(average_price(item)),
        "reduce_only": item.reduce_only,
        "state": str(item.state),
        "created_at": time(item.created_ms),
        "updated_at": time(item.updated_ms or item.created_ms),
        "reason": item.reason,
    }


_ORDER = ("side", "quantity", "entry", "stop", "target")  # what a withheld entry has among its inputs


def signal(item: "SignalView") -> Row:
    """One element of `signals --json`; `would_order` is what a run with --signals-only has not sent."""
    inputs = dict(item.inputs)
    return {
        "candle": time(item.candle_ms),
        "symbol": item.symbol,
        "side": item.side,
        "exit_side": item.exit_side,
        "strategy": item.strategy,
        "confidence": item.confidence,
        "tag": item.tag,
        "fate": item.fate,
        "reason": item.reason,
        "position_id": item.position_id or None,
        "would_order": {name: inputs[name] or None for name in _ORDER} if "entry" in inputs else None,
        "inputs": {name: told for name, told in inputs.items() if name not in _ORDER},
    }


def limit(item: "LimitStatus") -> Row:
    """One element of `risk --json`."""
    return {
        "limit": item.limit,
        "scope": item.scope,
        "value": item.value,
        "threshold": item.threshold,
        "used_pct": item.used_pct,
        "tripped": item.tripped,
        "resets_at": time(item.resets_at_ms),
        "computed_from": dict(item.computed_from),
    }


def gates(items: "Iterable[GateStatus]") -> list[Row]:
    """The gates of `status --json`."""
    return [{"symbol": item.symbol, "ok": item.ok, "reasons": list(item.reasons)} for item in items]


def foreign(holdings: "Iterable[ForeignHolding]", orders: "Iterable[ForeignHolding]") -> list[Row]:
    """What is at the exchange and not the engine's; an order that only reduces adds a quantity of 0."""
    return [_stranger("position", item) for item in holdings] + [_stranger("order", item) for item in orders]


def _stranger(kind: str, item: "ForeignHolding") -> Row:
    return {
        "kind": kind,
        "symbol": item.symbol,
        "quantity": money.text(item.quantity),
        "notional": money.text(money.round_money(item.notional)),
    }


def inputs_of(limits: "Sequence[LimitStatus]", name: str) -> Mapping[str, str]:
    """What a limit was computed from; empty where it was not judged yet."""
    for item in limits:
        if item.limit == name:
            return dict(item.computed_from)
    return {}
