"""Somebody who trades by hand in the same account, beside the engine.

What belongs here: what such a person does at the exchange. What does not: what the engine makes of it
(core.foreign), whether that was right (oracles).
"""

import random
from collections.abc import Callable
from decimal import Decimal

from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderRequest, TradeSide
from trading_engine.simulation.exchange import SimulatedExchange

NAME = "hand"
_LARGEST = {"BTCUSDT": Decimal("0.06"), "SOLUSDT": Decimal(20)}
_NEAREST_PPM, _FARTHEST_PPM = 500, 5_000


class Stranger:
    """Buys, sells, closes what is held, leaves orders behind and takes them back; knows nothing of the engine.

    `touched` holds the symbols they have traded or may still trade: what is held there is no longer ours alone.
    """

    def __init__(self, exchange: SimulatedExchange, rng: random.Random, note: Callable[[str, str], None]) -> None:
        self._exchange = exchange
        self._rng = rng
        self._note = note
        self._orders = 0
        self._resting: list[tuple[str, str]] = []
        self.touched: set[str] = set()

    def act(self) -> None:
        """Do one thing."""
        symbol = self._rng.choice(sorted(_LARGEST))
        action = self._rng.choice((self._trade, self._trade, self._close, self._close, self._rest, self._take_back))
        action(symbol)

    def _trade(self, symbol: str) -> None:
        side = self._rng.choice((TradeSide.BUY, TradeSide.SELL))
        self._send(symbol, OrderType.MARKET, side, self._some(symbol))

    def _close(self, symbol: str) -> None:
        """Close part or all of what the account holds, whoever opened it."""
        held = self._exchange.venue.account_state.positions.get(symbol)
        if held is None or not held.steps:
            return
        instrument = self._exchange.venue.instrument(symbol)
        steps = held.steps if self._rng.random() < 0.5 else self._rng.randint(1, held.steps)
        side = TradeSide.SELL if held.sign > 0 else TradeSide.BUY
        self._send(symbol, OrderType.MARKET, side, instrument.steps_to_quantity(steps), reduce_only=True)

    def _rest(self, symbol: str) -> None:
        side = self._rng.choice((TradeSide.BUY, TradeSide.SELL))
        instrument = self._exchange.venue.instrument(symbol)
        last = self._exchange.venue.account_state.points[symbol].last
        away = last * self._rng.randint(_NEAREST_PPM, _FARTHEST_PPM) // 1_000_000
        price = instrument.ticks_to_price(last - away if side is TradeSide.BUY else last + away)
        self._send(symbol, OrderType.LIMIT, side, self._some(symbol), price)

    def _take_back(self, symbol: str) -> None:
        del symbol
        if self._resting:
            owner, order_id = self._resting.pop(self._rng.randrange(len(self._resting)))
            self._note(NAME, f"cancels {order_id}")
            self._exchange.cancel(owner, order_id)

    def _some(self, symbol: str) -> Decimal:
        instrument = self._exchange.venue.instrument(symbol)
        largest = int(_LARGEST[symbol] / instrument.step)
        return instrument.steps_to_quantity(self._rng.randint(max(largest // 10, 1), largest))

    def _send(
        self,
        symbol: str,
        kind: OrderType,
        side: TradeSide,
        quantity: Decimal,
        price: Decimal | None = None,
        *,
        reduce_only: bool = False,
    ) -> None:
        self._orders += 1
        order_id = f"web_{self._orders}"
        self.touched.add(symbol)
        at = f" at {price}" if price is not None else ""
        self._note(NAME, f"{order_id} {symbol} {kind} {side} {quantity}{at}{' reduce-only' if reduce_only else ''}")
        holder = Side.LONG if side is TradeSide.BUY else Side.SHORT
        self._exchange.submit(OrderRequest(order_id, symbol, side, kind, quantity, reduce_only, holder, price), 0)
        if kind is OrderType.LIMIT:
            self._resting.append((symbol, order_id))
