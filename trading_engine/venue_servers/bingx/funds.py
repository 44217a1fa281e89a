"""The account: balance, positions, income, fees and settings.

What belongs here: what is signed and is no order. What does not: orders and fills (orders, trading), the stream's form
of the same (stream).

The exchange behind is in one-way mode with isolated margin, and stays so: other modes are refused.
"""

from decimal import Decimal

from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.money import ZERO, from_e8, text
from trading_engine.domain.time import DAY_MS
from trading_engine.venue_servers.bingx.books import Books, trade_id
from trading_engine.venue_servers.bingx.words import INVALID, Params, Plain, Refused
from trading_engine.venues.embedded.account import ExchangePosition
from trading_engine.venues.embedded.matching import IncomeRow, TradeRow

_INCOMES, _MOST_INCOMES = 100, 1_000
_INCOME_WINDOW_MS = 7 * DAY_MS
_INCOME_KEPT_MS = 90 * DAY_MS
_KINDS = {"funding": ("FUNDING_FEE", "Funding Fee"), "transfer": ("TRANSFER", "Transfer")}
_USER = "1"


class Funds:
    """The answers about the account."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._exchange = books.exchange

    # ── balance and positions ───────────────────────────────────────────────

    def balance(self, _params: Params) -> object:
        """One row for each asset, the empty one first."""
        rows = [self._balance()]
        if self._exchange.asset == "USDT":
            nothing = {name: "0.0000" for name, value in rows[0].items() if "." in value}
            rows.insert(0, rows[0] | nothing | {"asset": "USDC"})
        return rows

    def _balance(self) -> dict[str, str]:
        held = self._exchange.positions()
        unrealized = [self._exchange.unrealized(position) for position in held]
        used = sum((from_e8(position.margin_e8) for position in held), ZERO)
        losses = sum((min(one, ZERO) for one in unrealized), ZERO)
        wallet, available = self._exchange.wallet, self._exchange.available
        transfers = sum(row.amount_e8 for row in self._exchange.incomes() if row.kind == "transfer")
        return {
            "userId": _USER,
            "asset": self._exchange.asset,
            "balance": f"{wallet:.8f}",
            "equity": f"{wallet + sum(unrealized, ZERO):.8f}",
            "unrealizedProfit": f"{sum(unrealized, ZERO):.8f}",
            "realisedProfit": f"{wallet - from_e8(transfers):.8f}",
            "availableMargin": f"{max(available, ZERO):.8f}",
            "usedMargin": f"{used:.8f}",
            "freezedMargin": f"{wallet - used + losses - available:.8f}",
            "shortUid": "2",
        }

    def positions(self, params: Params) -> object:
        """What is held; a closed position has no row."""
        symbol = self._books.asked_symbol(params)
        return [self._position(held) for held in self._exchange.positions() if symbol in ("", held.symbol)]

    def _position(self, held: ExchangePosition) -> dict[str, object]:
        instrument = self._exchange.instruments[held.symbol]
        episode = self._books.episode(held.symbol)
        unrealized, margin = self._exchange.unrealized(held), from_e8(held.margin_e8)
        size, mark = instrument.steps_to_quantity(held.steps), self._exchange.last_price(held.symbol)
        value, amount = size * mark, self._books.amount(held)
        free = max(size - self._closing(held), ZERO)
        tier = _tier(instrument, value)
        equity = margin + unrealized
        risk = (value * tier.maintenance_rate - tier.deduction) / equity if equity > 0 else Decimal(1)
        return {
            "positionId": str(episode.position_id),
            "symbol": self._books.wire(held.symbol),
            "currency": self._exchange.asset,
            "positionAmt": text(amount),
            "availableAmt": text(free.copy_sign(amount)),
            "positionSide": self._books.side(held.sign),
            "isolated": True,
            "onlyOnePosition": not self._exchange.is_hedge,
            "avgPrice": text(self._books.entry(held)),
            "initialMargin": f"{margin:.4f}",
            "margin": f"{equity:.4f}",
            "leverage": int(self._exchange.leverage(held.symbol)),
            "unrealizedProfit": f"{unrealized:.4f}",
            "realisedProfit": f"{from_e8(episode.realized_e8):.4f}",
            "liquidationPrice": float(instrument.ticks_to_price(held.liquidation)),
            "markPrice": text(mark),
            "positionValue": f"{value:.4f}",
            "riskRate": f"{risk:.4f}",
            "pnlRatio": f"{unrealized / margin:.4f}" if margin else "0.0000",
            "maxMarginReduction": "0.0000",
            "minIncreaseMargin": "0.0000",
            "createTime": episode.opened_ms,
            "updateTime": episode.updated_ms,
        }

    def _closing(self, held: ExchangePosition) -> Decimal:
        """What pending orders that close have reserved."""
        orders = self._exchange.orders(held.symbol, only_open=True)
        steps = sum(order.remaining for order in orders if order.reduce_only and order.sign == -held.sign)
        return self._exchange.instruments[held.symbol].steps_to_quantity(steps)

    # ── income ──────────────────────────────────────────────────────────────

    def income(self, params: Params) -> object:
        """Wallet changes, newest first; null where there are none."""
        now_ms = self._exchange.now_ms()
        count = params.integer("limit", _INCOMES)
        if not 1 <= count <= _MOST_INCOMES:
            raise Refused(INVALID, f"Invalid parameters, err: limit: {count} must be between 1 and {_MOST_INCOMES}")
        end_ms = params.integer("endTime", now_ms)
        begin_ms = max(params.integer("startTime", end_ms - _INCOME_WINDOW_MS), now_ms - _INCOME_KEPT_MS)
        symbol, kind = self._books.asked_symbol(params), params.text("incomeType")
        rows = [row for income in self._exchange.incomes(begin_ms) for row in self._of_income(income)]
        rows += [row for trade in self._exchange.trades(begin_ms) for row in self._of_trade(trade)]
        wire = self._books.wire(symbol) if symbol else ""
        chosen = [
            (ts_ms, row)
            for ts_ms, row in rows
            if ts_ms <= end_ms and wire in ("", row["symbol"]) and kind in ("", row["incomeType"])
        ]
        chosen.sort(key=lambda dated: dated[0], reverse=True)
        return [row for _, row in chosen[:count]] or None

    def _of_income(self, income: IncomeRow) -> list[tuple[int, dict[str, object]]]:
        kind, info = _KINDS[income.kind]
        symbol = self._books.wire(income.symbol) if income.symbol else ""
        return [(income.ts_ms, self._income(symbol, kind, info, income.amount_e8, income.ts_ms, income.income_id, ""))]

    def _of_trade(self, row: TradeRow) -> list[tuple[int, dict[str, object]]]:
        symbol, number = self._books.wire(row.symbol), str(trade_id(row))
        kind = "INSURANCE_CLEAR" if row.is_liquidation else "REALIZED_PNL"
        fee = self._income(symbol, "TRADING_FEE", "Position fee", -row.fee_e8, row.ts_ms, f"{number}0", number)
        profit = self._income(symbol, kind, "Realized PnL", row.gross_e8, row.ts_ms, f"{number}1", number)
        return [(row.ts_ms, fee)] + ([(row.ts_ms, profit)] if row.gross_e8 else [])

    def _income(
        self, symbol: str, kind: str, info: str, amount_e8: int, ts_ms: int, number: str, trade: str
    ) -> dict[str, object]:
        return {
            "symbol": symbol,
            "incomeType": kind,
            "income": text(from_e8(amount_e8)),
            "asset": self._exchange.asset,
            "info": info,
            "time": ts_ms,
            "tranId": number,
            "tradeId": trade,
        }

    # ── fees and tiers ──────────────────────────────────────────────────────

    def commission(self, _params: Params) -> object:
        """What this account pays."""
        terms = self._exchange.terms
        return {
            "commission": {
                "takerCommissionRate": float(from_e8(terms.taker_fee_e8)),
                "makerCommissionRate": float(from_e8(terms.maker_fee_e8)),
            }
        }

    def tiers(self, params: Params) -> object:
        """Maintenance margin by the position's value."""
        instrument = self._books.asked(params)
        floors = [ZERO, *(tier.notional_cap for tier in instrument.tiers)]
        return [
            {
                "tier": f"Tier {number}",
                "symbol": self._books.wire(instrument.symbol),
                "minPositionVal": text(floors[number - 1]),
                "maxPositionVal": text(tier.notional_cap),
                "maintMarginRatio": f"{tier.maintenance_rate:.6f}",
                "maintAmount": f"{tier.deduction:.6f}",
            }
            for number, tier in enumerate(instrument.tiers, 1)
        ]

    # ── settings ────────────────────────────────────────────────────────────

    def position_mode(self, _params: Params) -> object:
        """A text, not a boolean."""
        return {"dualSidePosition": str(self._exchange.is_hedge).lower()}

    def set_position_mode(self, params: Params) -> object:
        """Either may be asked for as often as one likes while nothing is open."""
        wants_hedge = params.switch("dualSidePosition", default=None)
        if self._exchange.positions() or self._exchange.orders(only_open=True):
            raise Refused(109401, "position mode cannot be changed while there are positions or pending orders")
        self._exchange.set_hedge(wanted=wants_hedge)
        return {"dualSidePosition": str(self._exchange.is_hedge).lower()}

    def leverage(self, params: Params) -> object:
        """Leverage of a contract, and what could be opened with it."""
        instrument = self._books.asked(params)
        leverage, price = self._exchange.leverage(instrument.symbol), self._exchange.last_price(instrument.symbol)
        value = max(self._exchange.available, ZERO) * leverage
        volume = f"{value / price:.4f}" if price else "0"
        highest, cap = int(instrument.max_leverage), text(instrument.tiers[-1].notional_cap)
        return {
            "longLeverage": int(leverage),
            "shortLeverage": int(leverage),
            "maxLongLeverage": highest,
            "maxShortLeverage": highest,
            "availableLongVol": volume,
            "availableShortVol": volume,
            "availableLongVal": f"{value:.4f}",
            "availableShortVal": f"{value:.4f}",
            "maxPositionLongVal": cap,
            "maxPositionShortVal": cap,
        }

    def set_leverage(self, params: Params) -> object:
        """The same value again is as good as another."""
        instrument = self._books.asked(params)
        side = params.choice("side", ("BOTH", "LONG", "SHORT"))
        if side != "BOTH" and not self._exchange.is_hedge:
            raise Refused(INVALID, "In the One-way mode, the 'Side' field can only be set to BOTH.")
        if side == "BOTH" and self._exchange.is_hedge:
            raise Refused(INVALID, "In the Hedge mode, the 'Side' field can only be set to LONG or SHORT.")
        leverage = params.integer("leverage")
        if leverage < 1:
            raise Refused(INVALID, f"Invalid parameters, err: leverage: {leverage} must be at least 1")
        if leverage > instrument.max_leverage:
            raise Refused(101414, f"the maximum leverage of {params.text('symbol')} is {instrument.max_leverage}")
        refusal = self._exchange.set_leverage(instrument.symbol, Decimal(leverage))
        if refusal is not None:
            raise Refused(INVALID, f"leverage cannot be changed: {refusal.reason}")
        return {"leverage": leverage, "symbol": params.text("symbol")}

    def margin_type(self, params: Params) -> object:
        """Isolated, always."""
        self._books.asked(params)
        return {"marginType": "ISOLATED"}

    def set_margin_type(self, params: Params) -> object:
        """Isolated may be asked for while nothing is open on the contract."""
        instrument = self._books.asked(params)
        wanted = params.choice("marginType", ("ISOLATED", "CROSSED", "SEPARATE_ISOLATED"))
        held = [position for position in self._exchange.positions() if position.symbol == instrument.symbol]
        if held or self._exchange.orders(instrument.symbol, only_open=True):
            raise Refused(INVALID, "the account has positions or pending orders")
        if wanted == "SEPARATE_ISOLATED":
            raise Refused(104108, "one-way mode has no separate isolated margin")
        if wanted == "CROSSED":
            raise Refused(INVALID, "cross margin is not available for this account")
        return {"symbol": params.text("symbol"), "marginType": wanted}

    def asset_mode(self, _params: Params) -> object:
        """One asset, always."""
        return {"assetMode": "singleAssetMode"}

    def restrictions(self, _params: Params) -> object:
        """What the key may do; not under `data`."""
        return Plain(
            {
                "code": 0,
                "msg": "",
                "ipRestrict": False,
                "createTime": 1586275200000,
                "enableReading": True,
                "enableFutures": True,
                "enableWithdrawals": False,
                "permitsUniversalTransfer": False,
            }
        )


def _tier(instrument: Instrument, value: Decimal) -> MarginTier:
    return next((tier for tier in instrument.tiers if value <= tier.notional_cap), instrument.tiers[-1])
