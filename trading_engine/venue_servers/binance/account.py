"""Requests about money, positions and settings.

What belongs here: balances, accounts, positions, leverage and modes, incomes, fees. What does not: orders (orders).

The exchange has isolated margin and one settle asset; asking for anything else is refused with -1020.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.money import ZERO
from trading_engine.rules import margin
from trading_engine.venue_servers.binance import filters, shapes
from trading_engine.venue_servers.binance.desk import TRADE_IDS, Desk
from trading_engine.venue_servers.binance.errors import ApiError
from trading_engine.venue_servers.binance.params import Params
from trading_engine.venue_servers.binance.shapes import Json, fixed
from trading_engine.venues.embedded.account import ExchangePosition, Kind
from trading_engine.venues.embedded.matching import IncomeRow
from trading_engine.venues.embedded.terms import Contract

_FUNDING_IDS = 9_000_000_000_000_000_000  # ids of different income types may be equal, those of one may not
_TOTALS = (
    "initialMargin",
    "maintMargin",
    "walletBalance",
    "unrealizedProfit",
    "marginBalance",
    "positionInitialMargin",
    "openOrderInitialMargin",
    "crossWalletBalance",
    "crossUnPnl",
)


class AccountRequests:
    """Each public method answers one request; `configured` is told of a symbol whose leverage has changed."""

    def __init__(self, desk: Desk, configured: Callable[[str, int], None]) -> None:
        self._desk = desk
        self._exchange = desk.exchange
        self._configured = configured
        self._contracts = {symbol: Contract.of(one) for symbol, one in desk.exchange.instruments.items()}

    # ── balances ────────────────────────────────────────────────────────────

    def balance_v3(self, _: Params) -> list[Json]:
        """GET v3 balance."""
        available = max(self._exchange.available, ZERO)
        return [
            {
                "accountAlias": "SgsRoCmYSg",
                "asset": self._exchange.asset,
                "balance": fixed(self._exchange.wallet),
                "crossWalletBalance": fixed(shapes.cross_wallet(self._exchange)),
                "crossUnPnl": fixed(ZERO),
                "availableBalance": fixed(available),
                "maxWithdrawAmount": fixed(available),
                "marginAvailable": True,
                "updateTime": self._updated_ms(""),
            }
        ]

    balance_v2 = balance_v3

    def account_v3(self, _: Params) -> Json:
        """GET v3 account: positions that are held, without entry or leverage."""
        asset = self._asset_row()
        total = {f"total{name[0].upper()}{name[1:]}": asset[name] for name in _TOTALS}
        available = {"availableBalance": asset["availableBalance"], "maxWithdrawAmount": asset["maxWithdrawAmount"]}
        positions = [self._account_position(held) for held in self._exchange.positions()]
        return {**total, **available, "assets": [asset], "positions": positions}

    def account_v2(self, params: Params) -> Json:
        """GET v2 account: a row for every symbol, with entry and leverage."""
        flags = {
            "feeTier": 0,
            "feeBurn": self._exchange.burns_fees,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "updateTime": 0,
            "multiAssetsMargin": False,
            "tradeGroupId": -1,
        }
        positions = []
        for symbol in self._exchange.instruments:
            held = self._position(symbol)
            bid, ask = self._open_notional(symbol, 1), self._open_notional(symbol, -1)
            positions.append(
                self._account_position(held)
                | {
                    "leverage": str(self._leverage(symbol)),
                    "isolated": True,
                    "entryPrice": money.text(shapes.entry_price(self._exchange, held)),
                    "breakEvenPrice": money.text(shapes.break_even_price(self._exchange, held)),
                    "maxNotional": self._max_notional(symbol),
                    "bidNotional": money.text(bid),
                    "askNotional": money.text(ask),
                    "positionInitialMargin": fixed(money.from_e8(held.margin_e8)),
                    "openOrderInitialMargin": fixed(self._order_margin(symbol)),
                }
            )
        return flags | self.account_v3(params) | {"positions": positions}

    def _asset_row(self) -> Json:
        held = self._exchange.positions()
        unrealized = sum((shapes.unrealized(self._exchange, one) for one in held), ZERO)
        in_positions = sum((money.from_e8(one.margin_e8) for one in held), ZERO)
        in_orders = sum((self._order_margin(symbol) for symbol in self._exchange.instruments), ZERO)
        available = max(self._exchange.available, ZERO)
        return {
            "asset": self._exchange.asset,
            "walletBalance": fixed(self._exchange.wallet),
            "unrealizedProfit": fixed(unrealized),
            "marginBalance": fixed(self._exchange.wallet + unrealized),
            "maintMargin": fixed(sum((self._maintenance(one) for one in held), ZERO)),
            "initialMargin": fixed(in_positions + in_orders),
            "positionInitialMargin": fixed(in_positions),
            "openOrderInitialMargin": fixed(in_orders),
            "crossWalletBalance": fixed(shapes.cross_wallet(self._exchange)),
            "crossUnPnl": fixed(ZERO),
            "availableBalance": fixed(available),
            "maxWithdrawAmount": fixed(available),
            "marginAvailable": True,
            "updateTime": self._updated_ms(""),
        }

    def _account_position(self, held: ExchangePosition) -> Json:
        unrealized = shapes.unrealized(self._exchange, held)
        in_position = money.from_e8(held.margin_e8)
        return {
            "symbol": held.symbol,
            "positionSide": self._exchange.leg(held.sign),
            "positionAmt": money.text(shapes.amount(self._exchange, held)),
            "unrealizedProfit": fixed(unrealized),
            "isolatedMargin": fixed(in_position + unrealized),
            "notional": fixed(self._notional(held)),
            "isolatedWallet": fixed(in_position),
            "initialMargin": fixed(in_position + self._order_margin(held.symbol)),
            "maintMargin": fixed(self._maintenance(held)),
            "updateTime": self._updated_ms(held.symbol),
        }

    # ── positions ───────────────────────────────────────────────────────────

    def risk_v3(self, params: Params) -> list[Json]:
        """GET v3 positionRisk: symbols with a position or an open order."""
        open_symbols = {order.symbol for order in self._exchange.orders(only_open=True)}
        rows = [self._position(symbol) for symbol in self._symbols(params)]
        return [self._risk(held) for held in rows if held.sign or held.symbol in open_symbols]

    def risk_v2(self, params: Params) -> list[Json]:
        """GET v2 positionRisk: every symbol, with leverage and margin type."""
        return [
            self._risk(held)
            | {
                "leverage": str(self._leverage(held.symbol)),
                "maxNotionalValue": self._max_notional(held.symbol),
                "marginType": "isolated",
                "isAutoAddMargin": "false",
            }
            for held in (self._position(symbol) for symbol in self._symbols(params))
        ]

    def _risk(self, held: ExchangePosition) -> Json:
        instrument = self._exchange.instruments[held.symbol]
        unrealized = shapes.unrealized(self._exchange, held)
        in_position, in_orders = money.from_e8(held.margin_e8), self._order_margin(held.symbol)
        return {
            "symbol": held.symbol,
            "positionSide": self._exchange.leg(held.sign),
            "positionAmt": money.text(shapes.amount(self._exchange, held)),
            "entryPrice": money.text(shapes.entry_price(self._exchange, held)),
            "breakEvenPrice": money.text(shapes.break_even_price(self._exchange, held)),
            "markPrice": fixed(self._exchange.last_price(held.symbol)),
            "unRealizedProfit": fixed(unrealized),
            "liquidationPrice": money.text(instrument.ticks_to_price(held.liquidation)),
            "isolatedMargin": fixed(in_position + unrealized) if held.sign else "0",
            "notional": fixed(self._notional(held)),
            "marginAsset": self._exchange.asset,
            "isolatedWallet": fixed(in_position) if held.sign else "0",
            "initialMargin": fixed(in_position + in_orders),
            "maintMargin": fixed(self._maintenance(held)),
            "positionInitialMargin": fixed(in_position),
            "openOrderInitialMargin": fixed(in_orders),
            "adl": 1 if held.sign else 0,
            "bidNotional": money.text(self._open_notional(held.symbol, 1)),
            "askNotional": money.text(self._open_notional(held.symbol, -1)),
            "updateTime": self._updated_ms(held.symbol),
        }

    # ── settings ────────────────────────────────────────────────────────────

    def config(self, _: Params) -> Json:
        """GET accountConfig."""
        return {
            "feeTier": 0,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "dualSidePosition": self._exchange.is_hedge,
            "multiAssetsMargin": False,
            "tradeGroupId": -1,
            "updateTime": 0,
        }

    def key_facts(self, _: Params) -> Json:
        """GET sapi apiRestrictions: a key that trades futures and nothing else."""
        return {
            "ipRestrict": True,
            "createTime": 1_600_000_000_000,
            "enableReading": True,
            "enableFutures": True,
            "enableWithdrawals": False,
            "enableInternalTransfer": False,
            "enableMargin": False,
            "enableSpotAndMarginTrading": False,
            "enableVanillaOptions": False,
            "permitsUniversalTransfer": False,
        }

    def symbol_config(self, params: Params) -> list[Json]:
        """GET symbolConfig."""
        return [
            {
                "symbol": symbol,
                "marginType": "ISOLATED",
                "isAutoAddMargin": False,
                "leverage": self._leverage(symbol),
                "maxNotionalValue": self._max_notional(symbol),
            }
            for symbol in self._symbols(params)
        ]

    def set_leverage(self, params: Params) -> Json:
        """POST leverage; -4161 for any change while the symbol is held: the exchange refuses both directions."""
        symbol = filters.require_symbol(self._exchange, params).symbol
        wanted = params.need("leverage")
        leverage = params.integer("leverage")
        highest = int(self._exchange.instruments[symbol].max_leverage)
        if not 1 <= leverage <= highest:
            raise ApiError(-4028, wanted)
        before = self._leverage(symbol)
        if self._exchange.set_leverage(symbol, Decimal(leverage)) is not None:
            raise ApiError(-4161)
        if leverage != before:
            self._configured(symbol, leverage)
        return {"symbol": symbol, "leverage": leverage, "maxNotionalValue": self._max_notional(symbol)}

    def set_margin_type(self, params: Params) -> Json:
        """POST marginType: isolated it is, and cannot be otherwise."""
        symbol = filters.require_symbol(self._exchange, params).symbol
        wanted = params.need("marginType")
        if wanted not in ("ISOLATED", "CROSSED"):
            raise ApiError(-1130, "marginType")
        if wanted == "ISOLATED":
            raise ApiError(-4046)
        if self._exchange.orders(symbol, only_open=True):
            raise ApiError(-4047)
        if self._position(symbol).sign:
            raise ApiError(-4048)
        raise ApiError(-1020)

    def position_side(self, _: Params) -> Json:
        """GET positionSide/dual."""
        return {"dualSidePosition": self._exchange.is_hedge}

    def set_position_side(self, params: Params) -> Json:
        """POST positionSide/dual: refused while anything is open."""
        params.need("dualSidePosition")
        wanted = params.flag("dualSidePosition")
        if wanted == self._exchange.is_hedge:
            raise ApiError(-4059)
        refusal = self._exchange.set_hedge(wanted=wanted)
        if refusal is not None:
            raise ApiError(-4067 if refusal.code == "orders" else -4068)
        return {"code": 200, "msg": "success"}

    def multi_assets(self, _: Params) -> Json:
        """GET multiAssetsMargin."""
        return {"multiAssetsMargin": False}

    def set_multi_assets(self, params: Params) -> Json:
        """POST multiAssetsMargin: one asset it is, and cannot be otherwise."""
        params.need("multiAssetsMargin")
        raise ApiError(-1020 if params.flag("multiAssetsMargin") else -4171)

    def fee_burn(self, _: Params) -> Json:
        """GET feeBurn: whether fees are paid in BNB, of which this account has enough for ever."""
        return {"feeBurn": self._exchange.burns_fees}

    def set_fee_burn(self, params: Params) -> Json:
        """POST feeBurn: counts for what is traded from now on."""
        params.need("feeBurn")
        self._exchange.set_fee_burn(wanted=params.flag("feeBurn"))
        return {"code": 200, "msg": "success"}

    def brackets(self, params: Params) -> list[Json]:
        """GET leverageBracket."""
        rows = []
        for symbol in self._symbols(params):
            floor, brackets = 0, []
            for number, tier in enumerate(self._exchange.instruments[symbol].tiers, start=1):
                cap = int(tier.notional_cap)
                brackets.append(
                    {
                        "bracket": number,
                        "initialLeverage": int(tier.max_leverage),
                        "notionalCap": cap,
                        "notionalFloor": floor,
                        "maintMarginRatio": float(tier.maintenance_rate),
                        "cum": float(tier.deduction),
                    }
                )
                floor = cap
            rows.append({"symbol": symbol, "notionalCoef": 1.0, "brackets": brackets})
        return rows

    def commission_rate(self, params: Params) -> Json:
        """GET commissionRate."""
        terms = self._exchange.terms
        return {
            "symbol": filters.require_symbol(self._exchange, params).symbol,
            "makerCommissionRate": fixed(money.from_e8(terms.maker_fee_e8), 6),
            "takerCommissionRate": fixed(money.from_e8(terms.taker_fee_e8), 6),
            "rpiCommissionRate": "0.000050",
        }

    # ── incomes ─────────────────────────────────────────────────────────────

    def incomes(self, params: Params) -> list[Json]:
        """GET income: the oldest of what was asked for, ascending."""
        symbol, kind = params.text("symbol"), params.text("incomeType")
        limit = params.limit(100, 1_000)
        start, end = params.window(self._exchange.now_ms())
        rows = [*self._trade_incomes(), *self._other_incomes()]
        found = [
            row
            for row in sorted(rows, key=lambda row: int(row["time"]))
            if start <= row["time"] <= end and symbol in ("", row["symbol"]) and kind in ("", row["incomeType"])
        ]
        return found[:limit]

    def _trade_incomes(self) -> list[Json]:
        rows = []
        for execution in self._desk.executions:
            trade = execution.row
            trade_id = str(execution.trade_id)
            fee, fee_asset = self._desk.commission(trade)
            parts = (
                ("REALIZED_PNL", money.from_e8(trade.gross_e8), self._exchange.asset),
                ("COMMISSION", -fee, fee_asset),
            )
            for kind, amount, asset in parts:
                if amount:
                    income_id = TRADE_IDS + trade.number
                    row = self._income(kind, trade.symbol, amount, execution.ts_ms, income_id, trade_id)
                    rows.append(row | {"asset": asset})
        return rows

    def _other_incomes(self) -> list[Json]:
        incomes: Sequence[IncomeRow] = self._exchange.incomes()
        return [
            self._income(
                "FUNDING_FEE" if income.kind == "funding" else "TRANSFER",
                income.symbol,
                money.from_e8(income.amount_e8),
                income.ts_ms,
                _FUNDING_IDS + number,
                "",
            )
            for number, income in enumerate(incomes)
        ]

    def _income(self, kind: str, symbol: str, amount: Decimal, ts_ms: int, income_id: int, trade_id: str) -> Json:
        return {
            "symbol": symbol,
            "incomeType": kind,
            "income": fixed(amount),
            "asset": self._exchange.asset,
            "info": trade_id or kind,
            "time": ts_ms,
            "tranId": income_id,
            "tradeId": trade_id,
        }

    # ── figures ─────────────────────────────────────────────────────────────

    def _symbols(self, params: Params) -> list[str]:
        if params.has("symbol"):
            return [filters.require_symbol(self._exchange, params).symbol]
        return list(self._exchange.instruments)

    def _position(self, symbol: str) -> ExchangePosition:
        return self._exchange.account.positions.get(symbol) or ExchangePosition(symbol)

    def _leverage(self, symbol: str) -> int:
        return int(self._exchange.leverage(symbol))

    def _max_notional(self, symbol: str) -> str:
        """The highest notional that the present leverage allows."""
        leverage = self._exchange.leverage(symbol)
        caps = [tier.notional_cap for tier in self._exchange.instruments[symbol].tiers if tier.max_leverage >= leverage]
        return str(int(max(caps, default=ZERO)))

    def _notional(self, held: ExchangePosition) -> Decimal:
        return shapes.amount(self._exchange, held) * self._exchange.last_price(held.symbol)

    def _maintenance(self, held: ExchangePosition) -> Decimal:
        if not held.sign:
            return ZERO
        value_e8 = money.to_e8(abs(self._notional(held)))
        return money.from_e8(margin.maintenance_margin_e8(value_e8, self._contracts[held.symbol].tiers))

    def _open_notional(self, symbol: str, sign: int) -> Decimal:
        """Value of a side's open orders that could open a position."""
        instrument = self._exchange.instruments[symbol]
        return sum(
            (
                instrument.ticks_to_price(order.price) * instrument.steps_to_quantity(order.remaining)
                for order in self._exchange.orders(symbol, only_open=True)
                if order.sign == sign and not order.reduce_only and order.kind is not Kind.MARKET
            ),
            ZERO,
        )

    def _order_margin(self, symbol: str) -> Decimal:
        value_e8 = money.to_e8(self._open_notional(symbol, 1) + self._open_notional(symbol, -1))
        return money.from_e8(margin.initial_margin_e8(value_e8, int(self._exchange.leverage(symbol) * 1_000)))

    def _updated_ms(self, symbol: str) -> int:
        """The last execution, of a symbol or of all; 0 before the first."""
        times = (one.ts_ms for one in reversed(self._desk.executions) if symbol in ("", one.row.symbol))
        return next(times, 0)
