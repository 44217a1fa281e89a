"""What the account's stream says of an order, a fill, a change of the wallet.

What belongs here: the events and their order. What does not: who is told (stream), the same in REST's form (orders,
funds).
"""

from trading_engine.domain.money import ZERO, from_e8, text
from trading_engine.venue_servers.bingx.books import Books, View, trade_id
from trading_engine.venue_servers.bingx.orders import TYPES, OrderShapes, side_word
from trading_engine.venue_servers.exchange import Happening
from trading_engine.venues.embedded.account import ExchangeOrder, ExchangePosition, Kind, Status
from trading_engine.venues.embedded.matching import IncomeRow, TradeRow

Event = dict[str, object]

_ENDS = {Status.CANCELED: "CANCELED", Status.EXPIRED: "EXPIRED"}


class AccountEvents:
    """Makes the events; the exchange must still stand where what happened has left it."""

    def __init__(self, books: Books, shapes: OrderShapes) -> None:
        self._books = books
        self._exchange = books.exchange
        self._shapes = shapes

    def of(self, happening: Happening) -> list[Event]:
        """The events that tell of it, first the order's, then the account's."""
        if isinstance(happening, ExchangeOrder):
            return self._of_order(happening)
        if isinstance(happening, TradeRow):
            return self._of_fill(happening)
        return [self._of_income(happening)] if isinstance(happening, IncomeRow) else []

    def _of_order(self, order: ExchangeOrder) -> list[Event]:
        view = next(self._books.views(order)) if order.filled else View(order)
        if view.is_child and not self._books.habits.tells_of_children:
            return []
        status = _ENDS.get(order.status, "NEW")
        return [self._order_event(order.updated_ms, self._order(view) | {"x": status, "X": status})]

    def _of_fill(self, row: TradeRow) -> list[Event]:
        view = self._shapes.view_of(row)
        account = self._account_event("ORDER", self._changed(row))
        if view is None:
            return [self._order_event(row.ts_ms, self._forced(row)), account]
        if view.is_child and not self._books.habits.tells_of_children:
            return [account]
        status = "FILLED" if not view.order.remaining else "PARTIALLY_FILLED"
        shape = self._order(view) | {"x": "TRADE", "X": status} | self._traded(row)
        return [self._order_event(row.ts_ms, shape), account]

    def _of_income(self, income: IncomeRow) -> Event:
        held = [position for position in self._exchange.positions() if position.symbol == income.symbol]
        cause = "FUNDING_FEE" if income.kind == "funding" else "DEPOSIT"
        return self._account_event(cause, [self._position(position) for position in held])

    # ── shapes ──────────────────────────────────────────────────────────────

    def _order_event(self, ts_ms: int, order: Event) -> Event:
        return {"e": "ORDER_TRADE_UPDATE", "E": self._exchange.now_ms(), "T": ts_ms, "o": order}

    def _order(self, view: View) -> Event:
        order = view.order
        instrument = self._exchange.instruments[order.symbol]
        price = instrument.ticks_to_price(order.price)
        average = self._shapes.average(view)
        return {
            "s": self._books.wire(order.symbol),
            "c": self._books.client_id(view),
            "i": view.order_id,
            "S": side_word(order.sign),
            "o": TYPES[order.kind],
            "q": text(instrument.steps_to_quantity(order.steps)),
            "p": text(average if order.kind is Kind.MARKET else price),
            "sp": text(price) if order.kind in (Kind.STOP, Kind.TARGET) else "0.0",
            "ap": text(average),
            "x": "",
            "X": "",
            "N": self._exchange.asset,
            "n": "0",
            "T": order.updated_ms,
            "wt": self._books.note(order).working_type,
            "ps": self._exchange.leg_of(order),
            "rp": "0.0",
            "z": text(instrument.steps_to_quantity(view.filled)),
            "sg": "false",
            "ti": view.origin_id,
            "ro": order.reduce_only,
            "td": 0,
            "tv": "0",
        }

    def _traded(self, row: TradeRow) -> Event:
        return {
            "n": text(-from_e8(row.fee_e8)),
            "T": row.ts_ms,
            "rp": text(from_e8(row.gross_e8)),
            "td": trade_id(row),
            "tv": text(self._books.value([row])),
        }

    def _forced(self, row: TradeRow) -> Event:
        instrument = self._exchange.instruments[row.symbol]
        price, quantity = text(instrument.ticks_to_price(row.price)), text(instrument.steps_to_quantity(row.steps))
        return {
            "s": self._books.wire(row.symbol),
            "c": "",
            "i": self._shapes.order_id(row),
            "S": side_word(row.sign),
            "o": "LIQUIDATION",
            "q": quantity,
            "p": price,
            "sp": "0.0",
            "ap": price,
            "x": "CALCULATED",
            "X": "FILLED",
            "N": self._exchange.asset,
            "wt": "MARK_PRICE",
            "ps": self._exchange.leg_of_trade(row),
            "z": quantity,
            "sg": "false",
            "ti": 0,
            "ro": True,
        } | self._traded(row)

    def _account_event(self, cause: str, positions: list[Event]) -> Event:
        used = sum((from_e8(position.margin_e8) for position in self._exchange.positions()), ZERO)
        wallet = self._exchange.wallet
        balance = {"a": self._exchange.asset, "wb": text(wallet), "cw": text(wallet - used), "bc": "0"}
        return {
            "e": "ACCOUNT_UPDATE",
            "E": self._exchange.now_ms(),
            "a": {"m": cause, "B": [balance], "P": positions},
        }

    def _changed(self, row: TradeRow) -> list[Event]:
        """The position after a fill, with the side that it has closed where that has a name of its own."""
        held = self._exchange.account.positions[row.symbol]
        if not held.sign:
            return [self._flat(row.symbol, -row.sign)]
        episode = self._books.episode(row.symbol)
        has_turned = episode.has_turned and episode.number == row.number and not self._books.is_side_both
        closed = [self._flat(row.symbol, -held.sign)] if has_turned else []
        return [*closed, self._position(held)]

    def _flat(self, symbol: str, sign: int) -> Event:
        return {
            "s": self._books.wire(symbol),
            "pa": "0",
            "ep": "0",
            "up": "0",
            "mt": "isolated",
            "iw": "0",
            "ps": self._books.side(sign),
            "cr": text(from_e8(self._books.episode(symbol).realized_e8)),
        }

    def _position(self, held: ExchangePosition) -> Event:
        return {
            "s": self._books.wire(held.symbol),
            "pa": text(self._books.amount(held)),
            "ep": text(self._books.entry(held)),
            "up": text(self._exchange.unrealized(held)),
            "mt": "isolated",
            "iw": text(from_e8(held.margin_e8)),
            "ps": self._books.side(held.sign),
            "cr": text(from_e8(self._books.episode(held.symbol).realized_e8)),
        }

    def settings(self, symbol: str) -> Event:
        """Leverage and margin mode of a contract."""
        leverage = int(self._exchange.leverage(symbol))
        return {
            "e": "ACCOUNT_CONFIG_UPDATE",
            "E": self._exchange.now_ms(),
            "ac": {"s": self._books.wire(symbol), "l": leverage, "S": leverage, "mt": "isolated"},
        }
