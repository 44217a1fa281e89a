"""How much worse than meant a fill was.

What belongs here: the measure, and telling what is abnormal. What does not: slippage of the embedded exchange (venues),
statistics of many fills (store.read_models).

An entry is measured against the close that it was decided on, a stop against its trigger, a limit order fills at its
price or better.
"""

from decimal import Decimal

from trading_engine.core.draft import Draft
from trading_engine.domain import money
from trading_engine.domain.fills import Fill
from trading_engine.domain.ids import Purpose
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import Order, TradeSide
from trading_engine.domain.position import Position
from trading_engine.domain.severity import Severity
from trading_engine.rules.integers import PPM


def meant_price(position: Position, order: Order) -> Decimal | None:
    """The price that an order's fills are measured against; None where there is none to expect."""
    if order.purpose is Purpose.ENTRY:
        return position.reference_price if order.generation == 1 else None  # a later rung had another close
    return order.trigger_price if order.type is OrderType.STOP_MARKET else None


def cost_ppm(meant: Decimal, price: Decimal, side: TradeSide) -> int:
    """How much worse than meant, in parts per million of the meant price; negative for better."""
    worse = price - meant if side is TradeSide.BUY else meant - price
    return int(worse * PPM / meant)


def judge(draft: Draft, position: Position, fill: Fill, order: Order | None) -> None:
    """Tell of a fill that cost far more than it was meant to."""
    limit_ppm = draft.settings.tell.slippage_ppm
    meant = None if order is None else meant_price(position, order)
    if not limit_ppm or not meant or order is None:
        return
    cost = cost_ppm(meant, fill.price, fill.side)
    if cost <= limit_ppm:
        return
    text = (
        f"{fill.symbol}: {order.purpose} of {position.position_id} filled at {money.text(fill.price)},"
        f" {cost / 10_000:.2f} % worse than {money.text(meant)} (told above {limit_ppm / 10_000:g} %)"
    )
    draft.alert(Severity.WARNING, f"slippage:{order.client_order_id}", text)
