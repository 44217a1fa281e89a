"""The endpoints of the account: wallet, positions, leverage and modes, executions, closed PnL, fees, the key.

What belongs here: their parameters, and what the venue refuses. What does not: rows (rows), orders.

/account/transaction-log and /user/query-api are not in Zoomex's public pages: they are served in the shape of the
API that Zoomex V3 is made after, and only where the server is told to.
"""

from collections.abc import Callable
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.zoomex.ledger import Ledger
from trading_engine.venue_servers.zoomex.orders import check_category
from trading_engine.venue_servers.zoomex.rows import Rows, side
from trading_engine.venue_servers.zoomex.words import (
    BAD_PARAMETER,
    AccountKind,
    Json,
    Keyed,
    Params,
    Refused,
    execution_id,
    invalid,
    page,
    plain,
)

_EXECUTION_TYPES = ("Trade", "AdlTrade", "Funding", "BustTrade", "BlockTrade")
_STEP = Decimal("0.01")
_ONE_WAY, _HEDGE = 0, 3
_CROSS, _ISOLATED = 0, 1


class AccountDesk:
    """Private endpoints of everything but orders."""

    def __init__(
        self,
        exchange: LocalExchange,
        rows: Rows,
        ledger: Ledger,
        kind: AccountKind,
        key: str,
        *,
        with_undocumented: bool,
    ) -> None:
        self._exchange = exchange
        self._rows = rows
        self._ledger = ledger
        self._kind = kind
        self._key = key
        self.endpoints: dict[tuple[str, str], Callable[[Params], Json]] = {
            ("GET", "/account/wallet-balance"): self._wallet,
            ("GET", "/account/fee-rate"): self._fee_rate,
            ("GET", "/position/list"): self._positions,
            ("GET", "/position/closed-pnl"): self._closed_pnl,
            ("POST", "/position/set-leverage"): self._set_leverage,
            ("POST", "/position/switch-mode"): self._switch_mode,
            ("POST", "/position/switch-isolated"): self._switch_isolated,
            ("GET", "/execution/list"): self._executions,
        }
        if with_undocumented:
            self.endpoints["GET", "/account/transaction-log"] = self._transactions
            self.endpoints["GET", "/user/query-api"] = self._query_key

    # ── money ───────────────────────────────────────────────────────────────

    def _wallet(self, params: Params) -> Json:
        if params.needed("accountType") != self._kind:
            raise Refused(BAD_PARAMETER, f"accountType only support {self._kind.value}")
        row = self._rows.wallet()
        coins = params.text("coin").split(",") if params.has("coin") else [self._exchange.asset]
        return {"list": [row if self._exchange.asset in coins else {**row, "coin": []}]}

    def _fee_rate(self, params: Params) -> Json:
        check_category(params)
        taker, maker = self._rows.fee_rate(is_maker=False), self._rows.fee_rate(is_maker=True)
        rows = [
            {"symbol": symbol, "takerFeeRate": taker, "makerFeeRate": maker}
            for symbol in sorted(self._exchange.instruments)
            if params.text("symbol") in ("", symbol)
        ]
        if not rows:
            raise invalid("symbol")
        return {"list": rows}

    def _transactions(self, params: Params) -> Json:
        """Everything that has changed the wallet, newest first, with the balance after it."""
        start, end = params.window(self._exchange.now_ms(), one_is_enough=True)
        kind = params.choice("type", ("TRADE", "SETTLEMENT", "TRANSFER_IN"))
        balance_e8 = 0
        rows = []
        for number, (amount_e8, row) in enumerate(self._wallet_changes(), start=1):
            balance_e8 += amount_e8
            row["cashBalance"] = money.text(money.from_e8(balance_e8))
            if start <= int(str(row["transactionTime"])) <= end and kind in ("", row["type"]):
                rows.append(Keyed(number, row))
        return page(rows[::-1], params, 20, 50)

    def _wallet_changes(self) -> list[tuple[int, Json]]:
        """Amounts and rows, oldest first; what is not a trade comes before trades of the same instant."""
        changes: list[tuple[int, int, int, Json]] = []
        for income in self._exchange.incomes():
            amount = money.text(money.from_e8(income.amount_e8))
            is_funding = income.kind == "funding"
            row = self._transaction(income.symbol, income.income_id, income.ts_ms)
            row["type"] = "SETTLEMENT" if is_funding else "TRANSFER_IN"
            row["funding"], row["cashFlow"], row["change"] = amount if is_funding else "", "0", amount
            changes.append((income.ts_ms, 0, income.amount_e8, row))
        for execution in self._ledger.executions:
            trade = execution.row
            change_e8 = trade.gross_e8 - trade.fee_e8
            shown = self._rows.execution(execution)
            row = self._transaction(trade.symbol, execution_id(trade.number), trade.ts_ms)
            row |= {
                "side": side(trade.sign),
                "orderId": shown["orderId"],
                "orderLinkId": self._rows.link_id(trade.client_order_id),
                "tradeId": shown["execId"],
                "tradePrice": shown["execPrice"],
                "qty": shown["execQty"],
                "fee": shown["execFee"],
                "feeRate": shown["feeRate"],
                "cashFlow": money.text(money.from_e8(trade.gross_e8)),
                "change": money.text(money.from_e8(change_e8)),
            }
            changes.append((trade.ts_ms, trade.number, change_e8, row))
        changes.sort(key=lambda change: change[:2])
        return [(amount_e8, row) for _, _, amount_e8, row in changes]

    def _transaction(self, symbol: str, number: str, ts_ms: int) -> Json:
        return {
            "id": number,
            "symbol": symbol,
            "category": "linear" if symbol else "",
            "currency": self._exchange.asset,
            "side": "None",
            "orderId": "",
            "orderLinkId": "",
            "tradeId": "",
            "tradePrice": "",
            "qty": "",
            "size": "",
            "fee": "",
            "feeRate": "",
            "funding": "",
            "type": "TRADE",
            "transactionTime": str(ts_ms),
            "bonusChange": "0",
        }

    # ── positions ───────────────────────────────────────────────────────────

    def _symbol(self, params: Params) -> str:
        check_category(params)
        symbol = params.needed("symbol")
        if symbol not in self._exchange.instruments:
            raise invalid("symbol")
        return symbol

    def _positions(self, params: Params) -> Json:
        """The symbol's position even when it is flat; by settle coin only what is held."""
        check_category(params)
        if params.has("symbol"):
            rows = self._rows.positions(self._symbol(params))
        elif params.has("settleCoin"):
            is_ours = params.text("settleCoin") == self._exchange.asset
            symbols = sorted(held.symbol for held in self._exchange.positions()) if is_ours else []
            rows = [self._rows.position(symbol) for symbol in symbols]
        else:
            raise Refused(BAD_PARAMETER, "Missing some parameters that must be filled in, symbol or settleCoin")
        keyed = [Keyed(len(rows) - index, row) for index, row in enumerate(rows)]
        return page(keyed, params, 20, 200)

    def _leverage(self, params: Params) -> Decimal:
        buy, sell = params.decimal("buyLeverage"), params.decimal("sellLeverage")
        if buy is None or sell is None:
            raise invalid("buyLeverage")
        if buy != sell:
            raise Refused(BAD_PARAMETER, "params error: buyLeverage and sellLeverage must be equal")
        if buy < 1 or buy % _STEP:
            raise invalid("leverage")
        return buy

    def _set_leverage(self, params: Params) -> Json:
        symbol, leverage = self._symbol(params), self._leverage(params)
        if leverage == self._exchange.leverage(symbol):
            raise Refused(110043, "Set leverage has not been modified.")
        highest = self._exchange.instruments[symbol].max_leverage
        if leverage > highest:
            raise Refused(110013, f"Cannot set leverage [{leverage}] gt maxLeverage [{highest}] by risk limit")
        if self._exchange.set_leverage(symbol, leverage) is not None:
            raise Refused(BAD_PARAMETER, "leverage of a held position cannot be changed at this local server")
        return {}

    def _switch_mode(self, params: Params) -> Json:
        """For the whole account, whichever symbol is named; refused while anything is open."""
        check_category(params)
        if not params.has("symbol") and not params.has("coin"):
            raise Refused(BAD_PARAMETER, "Missing some parameters that must be filled in, symbol or coin")
        if params.has("symbol"):
            self._symbol(params)
        mode = params.integer("mode")
        if mode not in (_ONE_WAY, _HEDGE):
            raise invalid("mode")
        if (mode == _HEDGE) == self._exchange.is_hedge:
            raise Refused(110025, "Position mode has not been modified.")
        refusal = self._exchange.set_hedge(wanted=mode == _HEDGE)
        if refusal is not None and refusal.code == "positions":
            raise Refused(110024, "You have an existing position, so the position mode cannot be switched.")
        if refusal is not None:
            raise Refused(110028, "You have existing open orders, so the position mode cannot be switched.")
        return {}

    def _switch_isolated(self, params: Params) -> Json:
        """Classic accounts only, where the margin is isolated and stays so."""
        if self._kind is AccountKind.UNIFIED:
            raise Refused(10008, "Common banned, please check your account mode")
        self._symbol(params)
        self._leverage(params)
        mode = params.integer("tradeMode")
        if mode == _ISOLATED:
            raise Refused(110026, "Cross/isolated margin mode has not been modified.")
        if mode != _CROSS:
            raise invalid("tradeMode")
        raise Refused(110073, "Set margin mode failed")

    # ── what has happened ───────────────────────────────────────────────────

    def _executions(self, params: Params) -> Json:
        """Trades and funding, newest first."""
        check_category(params)
        start, end = params.window(self._exchange.now_ms(), one_is_enough=True)
        symbol, order, kind = params.text("symbol"), params.text("orderId"), params.choice("execType", _EXECUTION_TYPES)
        rows: list[tuple[int, int, Json]] = []
        for execution in self._ledger.executions:
            number = execution.row.number
            extra: Json = {
                "createType": "CreateByUser",
                "markPrice": plain(self._at(execution.row.price, execution.row.symbol)),
            }
            rows.append((execution.row.ts_ms, number, {**self._rows.execution(execution), **extra, "seq": number}))
        for income in self._ledger.fundings:
            funding = self._rows.funding(income)
            rows.append((income.ts_ms, 0, {**funding, "createType": "", "markPrice": funding["execPrice"], "seq": 0}))
        rows.sort(key=lambda row: row[:2])
        keyed = [
            Keyed(number, row)
            for number, (ts_ms, _, row) in enumerate(rows, start=1)
            if start <= ts_ms <= end
            and symbol in ("", row["symbol"])
            and order in ("", row["orderId"])
            and kind in ("", row["execType"])
        ]
        return page(keyed[::-1], params, 50, 100)

    def _at(self, ticks: int, symbol: str) -> Decimal:
        return self._exchange.instruments[symbol].ticks_to_price(ticks)

    def _closed_pnl(self, params: Params) -> Json:
        """What orders have closed, newest first."""
        check_category(params)
        start, end = params.window(self._exchange.now_ms(), one_is_enough=True)
        keyed = [
            Keyed(closing.number, self._rows.closing(closing))
            for closing in reversed(self._ledger.closings)
            if start <= closing.updated_ms <= end and params.text("symbol") in ("", closing.row.symbol)
        ]
        return page(keyed, params, 50, 100)

    # ── the key ─────────────────────────────────────────────────────────────

    def _query_key(self, params: Params) -> Json:
        del params
        return {
            "id": "1",
            "note": "local",
            "apiKey": self._key,
            "readOnly": 0,
            "secret": "",
            "permissions": {"ContractTrade": ["Order", "Position"], "Wallet": [], "Spot": [], "Options": []},
            "ips": ["*"],
            "type": 1,
            "deadlineDay": -2,
            "expiredAt": "1970-01-01T00:00:00Z",
            "createdAt": "2020-03-28T00:00:00Z",
            "unified": 0,
            "uta": 1 if self._kind is AccountKind.UNIFIED else 0,
            "userID": 1,
            "inviterID": 0,
            "vipLevel": "No VIP",
            "isMaster": True,
            "parentUid": "0",
        }
