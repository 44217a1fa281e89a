"""The public endpoints below /market.

What belongs here: their parameters and their rows. What does not: the figures themselves (market).
"""

from collections.abc import Callable, Mapping
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.zoomex.market import INTERVALS, Market, instrument_row
from trading_engine.venue_servers.zoomex.words import (
    BAD_PARAMETER,
    Json,
    Keyed,
    Params,
    Plain,
    Refused,
    invalid,
    page,
    plain,
)

CATEGORIES = ("linear", "inverse", "spot")
_STATUSES = ("PreLaunch", "Trading", "Settling", "Closed")
_VOLUME_COLUMNS = 2


class Public:
    """Public endpoints by their path below the prefix."""

    def __init__(self, exchange: LocalExchange, market: Market) -> None:
        self._exchange = exchange
        self._market = market
        self.endpoints: Mapping[str, Callable[[Params], Json]] = {
            "/market/time": self._time,
            "/market/instruments-info": self._instruments,
            "/market/kline": self._kline,
            "/market/mark-price-kline": self._price_kline,
            "/market/index-price-kline": self._price_kline,
            "/market/tickers": self._tickers,
            "/market/orderbook": self._orderbook,
            "/market/funding/history": self._funding,
            "/market/recent-trade": self._trades,
            "/market/risk-limit": self._risk_limits,
        }

    def _time(self, params: Params) -> Json:
        del params
        now_ms = self._exchange.now_ms()
        return {"timeSecond": str(now_ms // 1_000), "timeNano": str(now_ms * 1_000_000)}

    def _is_linear(self, params: Params) -> bool:
        """False for the markets that have no symbols here; Plain 400 for what is no category."""
        category = params.text("category")
        if category not in CATEGORIES:
            raise Plain(400, "invalid category")
        return category == "linear"

    def _symbols(self, params: Params) -> list[str]:
        """The symbol that was asked for, or all; none for one that is not listed."""
        if not self._is_linear(params):
            return []
        symbol = params.text("symbol")
        return [one for one in sorted(self._exchange.instruments) if symbol in ("", one)]

    def _symbol(self, params: Params) -> str:
        """The one symbol of an endpoint that needs one; Refused 10001 without one or for an unknown one."""
        self._is_linear(params)
        symbol = params.needed("symbol")
        if symbol not in self._exchange.instruments:
            raise Refused(BAD_PARAMETER, "Not supported symbols")
        return symbol

    def _instruments(self, params: Params) -> Json:
        status, base = params.choice("status", _STATUSES, "Trading"), params.text("baseCoin")
        rows = [instrument_row(self._exchange.instruments[symbol]) for symbol in self._symbols(params)]
        rows = [row for row in rows if base in ("", row["baseCoin"]) and row["status"] == status]
        keyed = [Keyed(len(rows) - index, row) for index, row in enumerate(rows)]
        return {**page(keyed, params, 500, 1_000), "category": params.text("category")}

    def _kline(self, params: Params) -> Json:
        """Newest first. With an end: the last candles up to it; with a start alone: the first from it."""
        symbol = self._symbol(params)
        if params.needed("interval") not in INTERVALS:
            raise invalid("interval")
        start, end = params.integer("start", -1), params.integer("end", -1)
        limit = params.limit(200, 1_000)
        instrument = self._exchange.instruments[symbol]
        bars = self._market.bars(symbol, params.text("interval"), max(start, 0))
        if end >= 0:
            bars = [bar for bar in bars if bar.start_ms <= end]
        bars = bars[:limit] if start >= 0 and end < 0 else bars[-limit:]
        rows = [
            [
                str(bar.start_ms),
                *(plain(instrument.ticks_to_price(ticks)) for ticks in (bar.open, bar.high, bar.low, bar.close)),
                plain(instrument.steps_to_quantity(bar.volume)),
                plain(bar.turnover),
            ]
            for bar in reversed(bars)
        ]
        return {"symbol": symbol, "category": "linear", "list": rows}

    def _price_kline(self, params: Params) -> Json:
        """Of the mark and the index price, which are the last price here: no volume."""
        answer = self._kline(params)
        rows = answer["list"]
        assert isinstance(rows, list)  # noqa: S101 - what _kline makes
        return {**answer, "list": [row[:-_VOLUME_COLUMNS] for row in rows]}

    def _tickers(self, params: Params) -> Json:
        symbols = self._symbols(params)
        if params.has("symbol") and not symbols:
            raise Plain(400, "invalid symbol")
        return {"category": params.text("category"), "list": [self._market.ticker(symbol) for symbol in symbols]}

    def _orderbook(self, params: Params) -> Json:
        self._is_linear(params)
        symbol = params.needed("symbol")
        if symbol not in self._exchange.instruments:
            raise Plain(400, "invalid symbol")
        bids, asks = self._market.book(symbol, params.limit(25, 500))
        now_ms, update = self._exchange.now_ms(), self._market.updates[symbol]
        return {"s": symbol, "b": bids, "a": asks, "ts": now_ms, "u": update, "seq": update, "cts": now_ms}

    def _funding(self, params: Params) -> Json:
        symbol = self._symbol(params)
        start, end = params.integer("startTime", -1), params.integer("endTime", -1)
        if start >= 0 and end < 0:
            raise Refused(BAD_PARAMETER, "params error: time invalid")
        rates = self._exchange.markets[symbol].funding
        rates = [rate for rate in rates if rate.ts_ms >= start and (end < 0 or rate.ts_ms <= end)]
        rows = [
            {"symbol": symbol, "fundingRate": plain(rate.rate), "fundingRateTimestamp": str(rate.ts_ms)}
            for rate in reversed(rates)
        ]
        return {"category": "linear", "list": rows[: params.limit(200, 200)]}

    def _trades(self, params: Params) -> Json:
        symbol = self._symbol(params)
        instrument = self._exchange.instruments[symbol]
        rows = [
            {
                "execId": str(trade.number),
                "symbol": symbol,
                "price": plain(instrument.ticks_to_price(trade.ticks)),
                "size": plain(instrument.steps_to_quantity(trade.steps)),
                "side": "Buy" if trade.sign > 0 else "Sell",
                "time": str(trade.ts_ms),
            }
            for trade in reversed(self._market.trades(symbol))
        ]
        return {"category": "linear", "list": rows[: params.limit(500, 1_000)]}

    def _risk_limits(self, params: Params) -> Json:
        rows = [
            {
                "id": number,
                "symbol": symbol,
                "riskLimitValue": money.text(tier.notional_cap),
                "maintenanceMargin": money.text(tier.maintenance_rate),
                "initialMargin": money.text(money.ratio(Decimal(1), tier.max_leverage)),
                "isLowestRisk": 1 if number == 1 else 0,
                "maxLeverage": f"{tier.max_leverage:.2f}",
            }
            for symbol in self._symbols(params)
            for number, tier in enumerate(self._exchange.instruments[symbol].tiers, start=1)
        ]
        return {"category": params.text("category"), "list": rows}
