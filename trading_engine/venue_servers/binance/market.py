"""Requests about the market.

What belongs here: what anybody may read. What does not: the account (account), the websockets (streams), how a book
(book) and candles of longer intervals (candles) are made.
"""

from collections.abc import Callable
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.domain.money import ZERO
from trading_engine.venue_servers.binance import filters
from trading_engine.venue_servers.binance.book import Book, ShownBook, best
from trading_engine.venue_servers.binance.candles import DAY_MS, INTERVALS, joined, kline_row, value
from trading_engine.venue_servers.binance.errors import ApiError
from trading_engine.venue_servers.binance.limits import Turnstile
from trading_engine.venue_servers.binance.params import Params
from trading_engine.venue_servers.binance.shapes import Json, decimals, fixed
from trading_engine.venue_servers.exchange import LocalExchange

_FUNDING_MS = 8 * 3_600_000
_DEPTHS = (5, 10, 20, 50, 100, 500, 1_000)


class MarketRequests:
    """Each public method answers one request."""

    def __init__(self, exchange: LocalExchange, turnstile: Turnstile) -> None:
        self._exchange = exchange
        self._turnstile = turnstile
        ids_from = exchange.now_ms() * 100  # beyond those of an earlier life
        self.books: dict[str, ShownBook] = {symbol: Book(one, ids_from) for symbol, one in exchange.instruments.items()}

    def ping(self, _: Params) -> Json:
        """GET ping."""
        return {}

    def time(self, _: Params) -> Json:
        """GET time."""
        return {"serverTime": self._exchange.now_ms()}

    def order_limits(self, _: Params) -> list[Json]:
        """GET rateLimit/order."""
        return self._turnstile.listing()

    def exchange_info(self, _: Params) -> Json:
        """GET exchangeInfo."""
        weight = self._turnstile.limits.weight
        weights = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight}
        return {
            "timezone": "UTC",
            "serverTime": self._exchange.now_ms(),
            "futuresType": "U_MARGINED",
            "rateLimits": [weights, *self._turnstile.listing()],
            "exchangeFilters": [],
            "assets": [{"asset": self._exchange.asset, "marginAvailable": True, "autoAssetExchange": "-10000"}],
            "symbols": [self._listing(instrument) for instrument in self._exchange.instruments.values()],
        }

    def _listing(self, instrument: Instrument) -> Json:
        quote = instrument.settle_asset
        return {
            "symbol": instrument.symbol,
            "pair": instrument.symbol,
            "contractType": "PERPETUAL",
            "deliveryDate": 4_133_404_800_000,
            "onboardDate": 1_569_398_400_000,
            "status": "TRADING",
            "maintMarginPercent": "2.5000",
            "requiredMarginPercent": "5.0000",
            "baseAsset": instrument.symbol.removesuffix(quote),
            "quoteAsset": quote,
            "marginAsset": quote,
            "pricePrecision": filters.price_precision(instrument),
            "quantityPrecision": decimals(instrument.step),
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "underlyingType": "COIN",
            "underlyingSubType": ["PoW"],
            "settlePlan": 0,
            "triggerProtect": "0.0500",
            "liquidationFee": "0.012500",
            "marketTakeBound": "0.05",
            "maxMoveOrderLimit": 10_000,
            "filters": _filters(instrument),
            "orderTypes": [
                "LIMIT",
                "MARKET",
                "STOP",
                "STOP_MARKET",
                "TAKE_PROFIT",
                "TAKE_PROFIT_MARKET",
                "TRAILING_STOP_MARKET",
            ],
            "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
            "permissionSets": ["GRID", "COPY"],
        }

    # ── candles ─────────────────────────────────────────────────────────────

    def minutes(self, symbol: str) -> list[Candle]:
        """Candles of a minute, oldest first, that of this minute as far as it has come."""
        market = self._exchange.markets[symbol]
        return [*market.closed, *([market.building] if market.building else [])]

    def klines(self, params: Params) -> list[list[object]]:
        """GET klines: the first from `startTime`, or the newest."""
        instrument = filters.require_symbol(self._exchange, params)
        interval = params.need("interval")
        if interval not in INTERVALS:
            raise ApiError(-1120)
        limit, start, end = params.limit(500, 1_500), params.integer("startTime"), params.integer("endTime")
        rows = joined(self.minutes(instrument.symbol), interval)
        found = [row for row in rows if start <= row.open_time_ms and (not end or row.open_time_ms <= end)]
        return [kline_row(instrument, row) for row in (found[:limit] if start else found[-limit:])]

    # ── prices ──────────────────────────────────────────────────────────────

    def depth(self, params: Params) -> Json:
        """GET depth."""
        instrument = filters.require_symbol(self._exchange, params)
        limit = params.integer("limit", 500)
        if limit not in _DEPTHS:
            raise ApiError(-4021, limit)
        book = self.book(instrument.symbol)
        bids, asks = book.top(limit)
        now = self._exchange.now_ms()
        return {"lastUpdateId": book.update_id, "E": now, "T": now, "bids": bids, "asks": asks}

    def book(self, symbol: str) -> ShownBook:
        """A book that shows the present price: before its first update, it is filled here."""
        book = self.books[symbol]
        if not book.last_ticks:
            book.move(self._exchange.last_ticks(symbol))
        return book

    def book_ticker(self, params: Params) -> Json | list[Json]:
        """GET ticker/bookTicker."""
        return self._one_or_all(params, self._book_ticker)

    def _book_ticker(self, symbol: str) -> Json:
        book = self.book(symbol)
        (bid, bid_quantity), (ask, ask_quantity) = best(book)
        return {
            "symbol": symbol,
            "bidPrice": bid,
            "bidQty": bid_quantity,
            "askPrice": ask,
            "askQty": ask_quantity,
            "time": self._exchange.now_ms(),
            "lastUpdateId": book.update_id,
        }

    def price_ticker(self, params: Params) -> Json | list[Json]:
        """GET ticker/price."""
        return self._one_or_all(
            params,
            lambda symbol: {
                "symbol": symbol,
                "price": self._price(symbol),
                "time": self._exchange.now_ms(),
                "ps": symbol,
            },
        )

    def day_ticker(self, params: Params) -> Json | list[Json]:
        """GET ticker/24hr."""
        return self._one_or_all(params, self._day_ticker)

    def _day_ticker(self, symbol: str) -> Json:
        instrument = self._exchange.instruments[symbol]
        now = self._exchange.now_ms()
        rows = [row for row in self.minutes(symbol) if row.open_time_ms > now - DAY_MS]
        last = self._exchange.last_ticks(symbol)
        opened = rows[0].open if rows else last
        places = decimals(instrument.tick)
        volume = instrument.steps_to_quantity(sum(row.volume for row in rows))
        turnover = sum((value(instrument, row) for row in rows), ZERO)
        change = instrument.ticks_to_price(last - opened)

        def price(ticks: int) -> str:
            return fixed(instrument.ticks_to_price(ticks), places)

        return {
            "symbol": symbol,
            "priceChange": fixed(change, places),
            "priceChangePercent": fixed(Decimal(last - opened) * 100 / opened if opened else ZERO, 3),
            "weightedAvgPrice": fixed(turnover / volume if volume else ZERO, places),
            "lastPrice": price(last),
            "lastQty": fixed(instrument.min_quantity, decimals(instrument.step)),
            "openPrice": price(opened),
            "highPrice": price(max((row.high for row in rows), default=last)),
            "lowPrice": price(min((row.low for row in rows), default=last)),
            "volume": fixed(volume, decimals(instrument.step)),
            "quoteVolume": fixed(turnover, 2),
            "openTime": rows[0].open_time_ms if rows else now - DAY_MS,
            "closeTime": now,
            "firstId": 1,
            "lastId": len(rows),
            "count": len(rows),
        }

    def premium_index(self, params: Params) -> Json | list[Json]:
        """GET premiumIndex."""
        return self._one_or_all(params, self._premium_index)

    def _premium_index(self, symbol: str) -> Json:
        price = fixed(self._exchange.last_price(symbol))
        upcoming = self.next_funding(symbol)
        return {
            "symbol": symbol,
            "markPrice": price,
            "indexPrice": price,
            "estimatedSettlePrice": price,
            "lastFundingRate": fixed(upcoming.rate),
            "interestRate": "0.00010000",
            "nextFundingTime": upcoming.ts_ms,
            "time": self._exchange.now_ms(),
        }

    def next_funding(self, symbol: str) -> FundingRate:
        """The settlement to come; where the market has not said, at the usual hours with the last rate."""
        market, now = self._exchange.markets[symbol], self._exchange.now_ms()
        if market.next_rate is not None and market.next_rate.ts_ms > now:
            return market.next_rate
        last = market.funding[-1].rate if market.funding else Decimal("0.0001")
        return FundingRate(symbol, (now // _FUNDING_MS + 1) * _FUNDING_MS, last)

    def funding_rates(self, params: Params) -> list[Json]:
        """GET fundingRate: the first from `startTime`, or the newest."""
        limit = params.limit(100, 1_000)
        symbols = [filters.require_symbol(self._exchange, params).symbol] if params.has("symbol") else [*self.books]
        start, end = params.integer("startTime"), params.integer("endTime")
        rates = [rate for symbol in symbols for rate in self._exchange.markets[symbol].funding]
        rates = sorted(rates, key=lambda rate: rate.ts_ms)
        found = [rate for rate in rates if start <= rate.ts_ms and (not end or rate.ts_ms <= end)]
        return [
            {
                "symbol": rate.symbol,
                "fundingTime": rate.ts_ms,
                "fundingRate": fixed(rate.rate),
                "markPrice": self._price_at(rate.symbol, rate.ts_ms),
                "rateType": "Regular",
            }
            for rate in (found[:limit] if start else found[-limit:])
        ]

    def funding_info(self, _: Params) -> list[Json]:
        """GET fundingInfo: no symbol has other than the usual hours."""
        return []

    # ── helpers ─────────────────────────────────────────────────────────────

    def _price(self, symbol: str) -> str:
        return fixed(self._exchange.last_price(symbol), decimals(self._exchange.instruments[symbol].tick))

    def _price_at(self, symbol: str, ts_ms: int) -> str:
        """The price when a minute began, empty where that is not remembered."""
        for row in self.minutes(symbol):
            if row.open_time_ms == ts_ms:
                return fixed(self._exchange.instruments[symbol].ticks_to_price(row.open))
        return ""

    def _one_or_all(self, params: Params, row: Callable[[str], Json]) -> Json | list[Json]:
        if params.has("symbol"):
            return row(filters.require_symbol(self._exchange, params).symbol)
        return [row(symbol) for symbol in self._exchange.instruments]


def _filters(instrument: Instrument) -> list[Json]:
    smallest, largest = money.text(instrument.min_quantity), money.text(instrument.max_quantity)
    lot = {"minQty": smallest, "maxQty": largest, "stepSize": money.text(instrument.step)}
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": money.text(instrument.tick),
            "maxPrice": money.text(filters.highest_price(instrument)),
            "tickSize": money.text(instrument.tick),
        },
        {"filterType": "LOT_SIZE", **lot},
        {"filterType": "MARKET_LOT_SIZE", **lot},
        {"filterType": "MAX_NUM_ORDERS", "limit": filters.OPEN_ORDERS},
        {"filterType": "MIN_NOTIONAL", "notional": money.text(instrument.min_notional)},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": fixed(filters.PRICE_UP, 4),
            "multiplierDown": fixed(filters.PRICE_DOWN, 4),
            "multiplierDecimal": "4",
        },
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE", "permissionSets": []},
    ]
