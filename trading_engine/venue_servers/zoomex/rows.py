"""The account's things as the venue's rows: orders, executions, positions, the wallet, closed PnL.

What belongs here: one function a kind of row, names and types as on the wire. What does not: which rows are asked
for (orders, account) or told (streams).
"""

import uuid
from dataclasses import dataclass
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.instrument import Instrument
from trading_engine.rules import margin
from trading_engine.venue_servers.exchange import NO_TAKERS, NOT_AT_ONCE, LocalExchange
from trading_engine.venue_servers.zoomex.ledger import Closing, Execution, Ledger
from trading_engine.venue_servers.zoomex.words import AccountKind, Json, execution_id, order_id, plain
from trading_engine.venues.embedded.account import ExchangeOrder, ExchangePosition, Kind, Status
from trading_engine.venues.embedded.matching import IncomeRow, TradeRow
from trading_engine.venues.embedded.terms import Contract

WOULD_TAKE = "would_take"
NO_LINK = "~"  # begins the client id of an order that was sent without one: no client may use the character
CONDITIONAL = frozenset({Kind.STOP, Kind.TARGET})
_LIQUIDATION = "position was liquidated"
_INDEXES = {"BOTH": 0, "LONG": 1, "SHORT": 2}


@dataclass(frozen=True, slots=True)
class Traits:
    """What the exchange does not keep of an order; a server that was started anew shows the defaults."""

    time_in_force: str = "GTC"
    trigger_by: str = "LastPrice"
    close_on_trigger: bool = False
    price_on_created: str = ""


def side(sign: int) -> str:
    """The venue's word for a direction."""
    return "Buy" if sign > 0 else "Sell"


def is_waiting(order: ExchangeOrder) -> bool:
    """A conditional order that has not triggered."""
    return order.kind in CONDITIONAL and order.status is Status.NEW


def status(order: ExchangeOrder) -> str:
    """The venue's word for where an order stands."""
    if order.status.is_open:
        if order.filled:
            return "PartiallyFilled"
        if order.kind in CONDITIONAL:
            return "Untriggered" if order.status is Status.NEW else "Triggered"
        return "New"
    if order.status is Status.FILLED:
        return "Filled"
    is_untouched = order.kind in CONDITIONAL and not order.filled and order.status is Status.CANCELED
    return "Deactivated" if is_untouched else "Cancelled"


def _ending(order: ExchangeOrder) -> tuple[str, str]:
    """`cancelType` and `rejectReason`."""
    if order.status is Status.CANCELED:
        if order.reason == NOT_AT_ONCE:
            return "UNKNOWN", "EC_NoImmediateQtyToFill"
        if order.reason == WOULD_TAKE:
            return "UNKNOWN", "EC_PostOnlyWillTakeLiquidity"
        return "CancelByUser", "EC_PerCancelRequest"
    if order.status is Status.EXPIRED and order.reason == NO_TAKERS:
        return "UNKNOWN", "EC_NoImmediateQtyToFill"
    if order.status is Status.EXPIRED:
        return "CancelAllBeforeLiq" if order.reason == _LIQUIDATION else "CancelByReduceOnly", "EC_NoError"
    return "UNKNOWN", "EC_NoError"


def pascal(row: Json) -> Json:
    """The row with keys that begin with a capital, as the list of open orders has them."""
    return {name[0].upper() + name[1:]: value for name, value in row.items()}


class Rows:
    """Makes rows of one account."""

    def __init__(self, exchange: LocalExchange, ledger: Ledger, kind: AccountKind) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._kind = kind
        self.traits: dict[int, Traits] = {}

    def _instrument(self, symbol: str) -> Instrument:
        return self._exchange.instruments[symbol]

    def link_id(self, client_order_id: str) -> str:
        """The client's own id, "" where the order came without one."""
        return "" if client_order_id.startswith(NO_LINK) else client_order_id

    # ── orders and executions ───────────────────────────────────────────────

    def order(self, order: ExchangeOrder) -> Json:
        """An order as it stands, keys in camel case."""
        instrument = self._instrument(order.symbol)
        filled = self._ledger.fills[order.number]
        traits = self.traits.get(order.number) or Traits("IOC" if order.kind is not Kind.LIMIT else "GTC")
        is_conditional = order.kind in CONDITIONAL
        price = instrument.ticks_to_price(order.price)
        left = order.remaining if order.status.is_open else 0
        no_average = "" if self._kind is AccountKind.UNIFIED else "0"
        cancel_type, reject_reason = _ending(order)
        rises = (order.kind is Kind.STOP) == (order.sign > 0)
        return {
            "orderId": order_id(order.number),
            "orderLinkId": self.link_id(order.client_order_id),
            "symbol": order.symbol,
            "price": plain(price) if order.kind is Kind.LIMIT else "0",
            "qty": plain(instrument.steps_to_quantity(order.steps)),
            "side": side(order.sign),
            "positionIdx": _INDEXES[self._exchange.leg_of(order)],
            "orderStatus": status(order),
            "cancelType": cancel_type,
            "rejectReason": reject_reason,
            "avgPrice": self._average(order) or no_average,
            "leavesQty": plain(instrument.steps_to_quantity(left)),
            "leavesValue": money.text(money.multiply(price, instrument.steps_to_quantity(left))),
            "cumExecQty": plain(instrument.steps_to_quantity(order.filled)),
            "cumExecValue": money.text(money.from_e8(filled.value_e8)),
            "cumExecFee": money.text(money.from_e8(filled.fee_e8)),
            "timeInForce": traits.time_in_force,
            "orderType": "Limit" if order.kind is Kind.LIMIT else "Market",
            "stopOrderType": "Stop" if is_conditional else "UNKNOWN",
            "triggerPrice": plain(price) if is_conditional else "0.00",
            "takeProfit": "",
            "stopLoss": "",
            "tpslMode": "",
            "tpLimitPrice": "",
            "slLimitPrice": "",
            "tpTriggerBy": "UNKNOWN",
            "slTriggerBy": "UNKNOWN",
            "triggerDirection": 0 if not is_conditional else 1 if rises else 2,
            "triggerBy": traits.trigger_by if is_conditional else "UNKNOWN",
            "lastPriceOnCreated": traits.price_on_created,
            "reduceOnly": order.reduce_only,
            "closeOnTrigger": traits.close_on_trigger,
            "placeType": "",
            "createdTime": str(order.created_ms),
            "updatedTime": str(order.updated_ms),
        }

    def _average(self, order: ExchangeOrder) -> str:
        filled = self._ledger.fills[order.number]
        if not filled.steps:
            return ""
        quantity = self._instrument(order.symbol).steps_to_quantity(filled.steps)
        return money.text(money.ratio(money.from_e8(filled.value_e8), quantity))

    def execution(self, execution: Execution) -> Json:
        """An execution. The stream adds `category` and `orderLinkId`, the list `seq` and `createType`."""
        row = execution.row
        instrument = self._instrument(row.symbol)
        order = self._exchange.order(number=row.order_number)
        is_limit = order is not None and order.kind is Kind.LIMIT
        order_steps = row.steps if order is None else order.steps
        price = plain(instrument.ticks_to_price(row.price))
        is_resting = order is not None and order.kind is Kind.LIMIT
        return {
            "symbol": row.symbol,
            "orderId": self.order_id_of(row),
            "side": side(row.sign),
            "orderPrice": plain(instrument.ticks_to_price(order.price)) if order and is_resting else price,
            "orderQty": plain(instrument.steps_to_quantity(order_steps)),
            "leavesQty": plain(instrument.steps_to_quantity(execution.leaves)),
            "orderType": "Limit" if is_limit else "Market",
            "stopOrderType": "Stop" if order is not None and order.kind in CONDITIONAL else "UNKNOWN",
            "execId": execution_id(row.number),
            "execPrice": price,
            "execQty": plain(instrument.steps_to_quantity(row.steps)),
            "execValue": money.text(money.from_e8(execution.value_e8)),
            "execFee": money.text(money.from_e8(row.fee_e8)),
            "feeRate": self.fee_rate(is_maker=row.is_maker),
            "execType": "BustTrade" if row.is_liquidation else "Trade",
            "execTime": str(row.ts_ms),
            "isMaker": row.is_maker,
            "closedSize": plain(instrument.steps_to_quantity(execution.closed)),
        }

    def order_id_of(self, row: TradeRow) -> str:
        """The order of an execution; a liquidation has one that nobody has sent."""
        return order_id(row.order_number) if row.order_number else str(uuid.UUID(int=row.number))

    def fee_rate(self, *, is_maker: bool) -> str:
        """The rate of one side of the book, as a fraction."""
        terms = self._exchange.terms
        return money.text(money.from_e8(terms.maker_fee_e8 if is_maker else terms.taker_fee_e8))

    def funding(self, income: IncomeRow) -> Json:
        """A funding payment among the executions: its fee is what was paid, negative what was received."""
        price = plain(self._exchange.last_price(income.symbol))
        return {
            "symbol": income.symbol,
            "orderId": str(uuid.uuid5(uuid.NAMESPACE_OID, f"order {income.income_id}")),
            "side": side(-1 if income.amount_e8 > 0 else 1),
            "orderPrice": "0",
            "orderQty": "0",
            "leavesQty": "0",
            "orderType": "UNKNOWN",
            "stopOrderType": "UNKNOWN",
            "execId": str(uuid.uuid5(uuid.NAMESPACE_OID, income.income_id)),
            "execPrice": price,
            "execQty": "0",
            "execValue": "0",
            "execFee": money.text(money.from_e8(-income.amount_e8)),
            "feeRate": "0",
            "execType": "Funding",
            "execTime": str(income.ts_ms),
            "isMaker": False,
            "closedSize": "0",
        }

    def closing(self, closing: Closing) -> Json:
        """What one order closed, after the fees of both sides."""
        row = closing.row
        instrument = self._instrument(row.symbol)
        order = self._exchange.order(number=row.order_number)
        quantity = instrument.steps_to_quantity(closing.steps)
        entry, leaving = money.from_e8(closing.entry_e8), money.from_e8(closing.exit_e8)
        is_limit = order is not None and order.kind is Kind.LIMIT
        return {
            "symbol": row.symbol,
            "orderId": self.order_id_of(row),
            "side": side(row.sign),
            "qty": plain(quantity if order is None else instrument.steps_to_quantity(order.steps)),
            "orderPrice": plain(instrument.ticks_to_price(order.price if order and is_limit else row.price)),
            "orderType": "Limit" if is_limit else "Market",
            "execType": "BustTrade" if row.is_liquidation else "Trade",
            "closedSize": plain(quantity),
            "cumEntryValue": money.text(entry),
            "avgEntryPrice": money.text(money.ratio(entry, quantity)),
            "cumExitValue": money.text(leaving),
            "avgExitPrice": money.text(money.ratio(leaving, quantity)),
            "closedPnl": money.text(money.from_e8(closing.pnl_e8)),
            "fillCount": str(closing.fills),
            "leverage": money.text(self._exchange.leverage(row.symbol)),
            "createdTime": str(row.ts_ms * 1_000_000),  # nanoseconds, as the venue's own sample has it
            "updatedTime": str(closing.updated_ms),
        }

    # ── positions and the wallet ────────────────────────────────────────────

    def positions(self, symbol: str) -> list[Json]:
        """The position in a symbol, flat or not; in hedge mode both sides of it."""
        if not self._exchange.is_hedge:
            return [self.position(symbol)]
        return [self.position(symbol, sign) for sign in (1, -1)]

    def position(self, symbol: str, sign: int = 0) -> Json:
        """The position in a symbol, flat or not; with a sign, the side of it in hedge mode."""
        held = self._exchange.account.positions.get(symbol) or ExchangePosition(symbol)
        if sign and held.sign != sign:
            held = ExchangePosition(symbol)
        instrument = self._instrument(symbol)
        holding = self._ledger.holdings[symbol]
        quantity = instrument.steps_to_quantity(held.steps)
        value = money.from_e8(held.cost_e8)
        flat = "" if self._kind is AccountKind.UNIFIED else "None"
        posted = money.text(money.from_e8(held.margin_e8))
        return {
            "positionIdx": _INDEXES[self._exchange.leg(sign or held.sign)],
            "riskId": 1,
            "riskLimitValue": money.text(instrument.tiers[0].notional_cap),
            "symbol": symbol,
            "side": side(held.sign) if held.sign else flat,
            "size": plain(quantity) if held.sign else "0",
            "avgPrice": money.text(money.ratio(value, quantity)) if quantity else "0",
            "positionValue": money.text(value),
            "tradeMode": 0 if self._kind is AccountKind.UNIFIED else 1,
            "positionStatus": "Normal",
            "autoAddMargin": 0,
            "adlRankIndicator": 2 if held.sign else 0,
            "leverage": money.text(self._exchange.leverage(symbol)),
            "positionBalance": posted,
            "markPrice": plain(self._exchange.last_price(symbol)),
            "liqPrice": plain(instrument.ticks_to_price(held.liquidation)) if held.liquidation else "",
            "bustPrice": "",
            "positionMM": money.text(money.from_e8(self._maintenance_e8(held))),
            "positionIM": posted,
            "tpslMode": "Full",
            "takeProfit": "",
            "stopLoss": "",
            "trailingStop": "0",
            "unrealisedPnl": money.text(self._exchange.unrealized(held)) if held.sign else "0",
            "cumRealisedPnl": money.text(money.from_e8(self._ledger.realised_e8[symbol])),
            "isReduceOnly": False,
            "mmrSysUpdatedTime": "",
            "leverageSysUpdatedTime": "",
            "createdTime": str(holding.opened_ms),
            "updatedTime": str(holding.updated_ms),
        }

    def _maintenance_e8(self, held: ExchangePosition) -> int:
        contract = Contract.of(self._instrument(held.symbol))
        return margin.maintenance_margin_e8(held.cost_e8, contract.tiers) if held.sign else 0

    def wallet(self) -> Json:
        """The account with its one coin. Totals in USD are known for a unified account only."""
        exchange = self._exchange
        held = exchange.positions()
        unrealised = sum((exchange.unrealized(one) for one in held), money.ZERO)
        losses = sum((min(exchange.unrealized(one), money.ZERO) for one in held), money.ZERO)
        posted = money.from_e8(sum(one.margin_e8 for one in held))
        maintenance = money.from_e8(sum(self._maintenance_e8(one) for one in held))
        wallet, available = exchange.wallet, exchange.available
        ordered = wallet - posted + losses - available
        equity = wallet + unrealised
        is_unified = self._kind is AccountKind.UNIFIED
        coin = {
            "coin": exchange.asset,
            "equity": money.text(equity),
            "usdValue": money.text(equity),
            "walletBalance": money.text(wallet),
            "availableToWithdraw": "" if is_unified else money.text(available),
            "totalOrderIM": money.text(ordered),
            "totalPositionIM": money.text(posted),
            "totalPositionMM": money.text(maintenance),
            "unrealisedPnl": money.text(unrealised),
            "cumRealisedPnl": money.text(money.from_e8(sum(self._ledger.realised_e8.values()))),
            "bonus": "0",
            "locked": "0",
        }
        totals = {
            "accountIMRate": _rate(posted + ordered, equity),
            "accountMMRate": _rate(maintenance, equity),
            "totalEquity": money.text(equity),
            "totalWalletBalance": money.text(wallet),
            "totalMarginBalance": money.text(equity),
            "totalAvailableBalance": money.text(available),
            "totalPerpUPL": money.text(unrealised),
            "totalInitialMargin": money.text(posted + ordered),
            "totalMaintenanceMargin": money.text(maintenance),
        }
        shown: Json = {name: value if is_unified else "" for name, value in totals.items()}
        return {"accountType": self._kind.value, **shown, "coin": [coin]}


def _rate(part: Decimal, whole: Decimal) -> str:
    return money.text(money.ratio(part, whole)) if whole > 0 else "0"
