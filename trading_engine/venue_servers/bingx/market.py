"""Public market data: contracts, candles, prices, a book.

What belongs here: what needs no key. What does not: account and orders (funds, trading).

The exchange has a last price and candles but no order book and no trades of others; those are drawn around the price.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

from trading_engine.domain import time as instants
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.domain.money import from_e8, text
from trading_engine.venue_servers.bingx.books import Books, price_digits, quantity_digits
from trading_engine.venue_servers.bingx.words import INVALID, Params, Refused

DEPTHS = (5, 10, 20, 50, 100, 500, 1000)
INTERVALS = {
    "1m": 1,
    "3m": 3,
    "5m": 5,
    "15m": 15,
    "30m": 30,
    "1h": 60,
    "2h": 120,
    "4h": 240,
    "6h": 360,
    "8h": 480,
    "12h": 720,
    "1d": 1_440,
    "3d": 4_320,
    "1w": 10_080,
    "1M": 43_200,
}

_KLINES, _MOST_KLINES = 500, 1_440
_RATES, _MOST_RATES = 100, 1_000
_TRADES, _MOST_TRADES = 500, 1_000
_FIRST_MONDAY_MS = 4 * instants.DAY_MS
_FUNDING_HOURS = 8
_LEVEL_QUANTITY = Decimal(10)


def bar_open_ms(ts_ms: int, interval: str) -> int:
    """The start of the bar that contains an instant; weeks begin on Mondays, months on their first day, in UTC."""
    if interval == "1M":
        moment = datetime.fromtimestamp(ts_ms // 1000, UTC)
        return int(datetime(moment.year, moment.month, 1, tzinfo=UTC).timestamp()) * 1000
    shift_ms = _FIRST_MONDAY_MS if interval == "1w" else 0
    return instants.floor_to(ts_ms - shift_ms, INTERVALS[interval] * instants.MINUTE_MS) + shift_ms


def bars(minutes: Iterable[Candle], interval: str) -> Iterator[Candle]:
    """Candles of a minute, oldest first, put together to bars."""
    bar: Candle | None = None
    for minute in minutes:
        open_ms = bar_open_ms(minute.open_time_ms, interval)
        if bar is not None and bar.open_time_ms == open_ms:
            bar = bar._replace(
                high=max(bar.high, minute.high),
                low=min(bar.low, minute.low),
                close=minute.close,
                volume=bar.volume + minute.volume,
            )
            continue
        if bar is not None:
            yield bar
        bar = minute._replace(open_time_ms=open_ms)
    if bar is not None:
        yield bar


class Market:
    """The answers to public calls."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._exchange = books.exchange

    # ── what other parts draw from ──────────────────────────────────────────

    def minutes(self, symbol: str) -> list[Candle]:
        """Candles of a minute with the one that is being made, oldest first."""
        terminal = self._exchange.markets[symbol]
        return [*terminal.closed, *([terminal.building] if terminal.building else [])]

    def latest_bar(self, symbol: str, interval: str) -> Candle | None:
        """The bar that is being made, or the last one."""
        terminal = self._exchange.markets[symbol]
        last = terminal.building or (terminal.closed[-1] if terminal.closed else None)
        if last is None or interval == "1m":
            return last
        begin_ms = bar_open_ms(last.open_time_ms, interval)
        count = (last.open_time_ms - begin_ms) // instants.MINUTE_MS + 1
        recent = [minute for minute in self.minutes(symbol)[-count:] if minute.open_time_ms >= begin_ms]
        return next(bars(recent, interval))

    def bar_texts(self, bar: Candle) -> tuple[str, str, str, str, str]:
        """Open, close, high, low, volume."""
        instrument = self._exchange.instruments[bar.symbol]
        open_, close, high, low = (
            self.price(instrument, instrument.ticks_to_price(ticks))
            for ticks in (bar.open, bar.close, bar.high, bar.low)
        )
        return open_, close, high, low, text(instrument.steps_to_quantity(bar.volume))

    @staticmethod
    def price(instrument: Instrument, price: Decimal) -> str:
        """With the contract's digits."""
        return f"{price:.{price_digits(instrument)}f}"

    def book(self, instrument: Instrument, levels: int) -> tuple[list[list[str]], list[list[str]]]:
        """Bids and asks around the last price, both with the highest price first: the best ask is the last."""
        last = self._exchange.last_ticks(instrument.symbol)
        if not last:
            return [], []
        quantity = text(_LEVEL_QUANTITY)
        bids = [self._level(instrument, last - away, quantity) for away in range(1, min(levels, last - 1) + 1)]
        asks = [self._level(instrument, last + away, quantity) for away in range(levels, 0, -1)]
        return bids, asks

    def _level(self, instrument: Instrument, ticks: int, quantity: str) -> list[str]:
        return [self.price(instrument, instrument.ticks_to_price(ticks)), quantity]

    def best(self, instrument: Instrument) -> tuple[Decimal, Decimal]:
        """Best bid and best ask, one tick on either side of the last price."""
        last = self._exchange.last_price(instrument.symbol)
        return max(last - instrument.tick, Decimal(0)), last + instrument.tick if last else last

    # ── endpoints ───────────────────────────────────────────────────────────

    def server_time(self, _params: Params) -> object:
        """The clock."""
        return {"serverTime": self._exchange.now_ms()}

    def contracts(self, params: Params) -> object:
        """What is listed."""
        if params.text("symbol"):
            return [self._contract(self._books.asked(params))]
        return [self._contract(instrument) for instrument in self._exchange.instruments.values()]

    def _contract(self, instrument: Instrument) -> dict[str, object]:
        wire = self._books.wire(instrument.symbol)
        terms = self._exchange.terms
        return {
            "contractId": str(100 + list(self._exchange.instruments).index(instrument.symbol)),
            "symbol": wire,
            "size": text(instrument.step),
            "quantityPrecision": quantity_digits(instrument),
            "pricePrecision": price_digits(instrument),
            "feeRate": float(from_e8(terms.taker_fee_e8)),
            "makerFeeRate": float(from_e8(terms.maker_fee_e8)),
            "takerFeeRate": float(from_e8(terms.taker_fee_e8)),
            "tradeMinLimit": 0,
            "tradeMinQuantity": float(instrument.min_quantity),
            "tradeMinUSDT": float(instrument.min_notional),
            "currency": wire.partition("-")[2],
            "asset": wire.partition("-")[0],
            "status": 1,
            "apiStateOpen": "true",
            "apiStateClose": "true",
            "ensureTrigger": True,
            "triggerFeeRate": "0.0002",
            "brokerState": False,
            "launchTime": 1586275200000,
            "maintainTime": 0,
            "offTime": 0,
            "displayName": wire,
        }

    def trading_rules(self, params: Params) -> object:
        """Minimums of a contract."""
        instrument = self._books.asked(params)
        return {
            "minSizeCoin": text(instrument.min_quantity),
            "minSizeUsd": text(instrument.min_notional),
            "maxNumOrder": "200",
            "protectionThreshold": "0.1",
            "buyMaxPrice": "10",
            "buyMinPrice": "0.01",
            "sellMaxPrice": "10",
            "sellMinPrice": "0.01",
            "marketRatio": "0.1",
        }

    def klines(self, params: Params) -> object:
        """Bars, newest first, the first of them still being made; of too many the newest are told."""
        instrument = self._books.asked(params)
        interval = params.choice("interval", tuple(INTERVALS))
        count = _limited(params, _KLINES, _MOST_KLINES)
        begin_ms, end_ms = params.integer("startTime", 0), params.integer("endTime", self._exchange.now_ms())
        rows = [
            bar for bar in bars(self.minutes(instrument.symbol), interval) if begin_ms <= bar.open_time_ms <= end_ms
        ]
        return [self._kline(bar) for bar in reversed(rows[-count:])]

    def _kline(self, bar: Candle) -> dict[str, object]:
        open_, close, high, low, volume = self.bar_texts(bar)
        return {"open": open_, "close": close, "high": high, "low": low, "volume": volume, "time": bar.open_time_ms}

    def mark_klines(self, params: Params) -> object:
        """The same: the mark price is the last price."""
        rows = self.klines(params)
        assert isinstance(rows, list)  # noqa: S101 - made above
        return [
            {name: row[name] for name in ("open", "close", "high", "low")}
            | {"volume": "0.0", "openTime": row["time"], "closeTime": row["time"]}
            for row in rows
        ]

    def premium_index(self, params: Params) -> object:
        """Mark price and funding: of one contract as an object, of all as a list."""
        if params.text("symbol"):
            return self._premium(self._books.asked(params))
        return [self._premium(instrument) for instrument in self._exchange.instruments.values()]

    def _premium(self, instrument: Instrument) -> dict[str, object]:
        terminal = self._exchange.markets[instrument.symbol]
        past, ahead = terminal.funding, terminal.next_rate
        interval_ms = _FUNDING_HOURS * instants.HOUR_MS
        if len(past) > 1:
            interval_ms = past[-1].ts_ms - past[-2].ts_ms
        now_ms = self._exchange.now_ms()
        rate = ahead.rate if ahead else past[-1].rate if past else Decimal(0)
        price = self.price(instrument, self._exchange.last_price(instrument.symbol))
        return {
            "symbol": self._books.wire(instrument.symbol),
            "markPrice": price,
            "indexPrice": price,
            "lastFundingRate": f"{rate:.8f}",
            "nextFundingTime": ahead.ts_ms if ahead else instants.floor_to(now_ms, interval_ms) + interval_ms,
            "fundingIntervalHours": interval_ms // instants.HOUR_MS,
            "updateTime": now_ms,
        }

    def funding_rates(self, params: Params) -> object:
        """Past settlements, newest first."""
        chosen = self._books.asked_symbol(params)
        begin_ms, end_ms = params.integer("startTime", 0), params.integer("endTime", self._exchange.now_ms())
        rows = [
            rate
            for symbol, terminal in self._exchange.markets.items()
            for rate in terminal.funding
            if chosen in ("", symbol) and begin_ms <= rate.ts_ms <= end_ms
        ]
        rows.sort(key=lambda rate: rate.ts_ms, reverse=True)
        return [
            {
                "symbol": self._books.wire(rate.symbol),
                "fundingRate": f"{rate.rate:.8f}",
                "fundingTime": rate.ts_ms,
            }
            for rate in rows[: _limited(params, _RATES, _MOST_RATES)]
        ]

    def ticker(self, params: Params) -> object:
        """The last 24 hours: of one contract as an object, of all as a list."""
        if params.text("symbol"):
            return self.day(self._books.asked(params))
        return [self.day(instrument) for instrument in self._exchange.instruments.values()]

    def day(self, instrument: Instrument) -> dict[str, object]:
        """The ticker of one contract."""
        now_ms = self._exchange.now_ms()
        minutes = self.minutes(instrument.symbol)[-instants.DAY_MS // instants.MINUTE_MS :]
        last, bid_ask = self._exchange.last_price(instrument.symbol), self.best(instrument)
        first = instrument.ticks_to_price(minutes[0].open) if minutes else last
        high = instrument.ticks_to_price(max((minute.high for minute in minutes), default=0))
        low = instrument.ticks_to_price(min((minute.low for minute in minutes), default=0))
        volume = instrument.steps_to_quantity(sum(minute.volume for minute in minutes))
        change = (last - first) / first * 100 if first else Decimal(0)
        return {
            "symbol": self._books.wire(instrument.symbol),
            "priceChange": self.price(instrument, last - first),
            "priceChangePercent": f"{change:.2f}",
            "lastPrice": self.price(instrument, last),
            "lastQty": text(instrument.min_quantity),
            "highPrice": self.price(instrument, high),
            "lowPrice": self.price(instrument, low),
            "volume": text(volume),
            "quoteVolume": f"{volume * last:.2f}",
            "openPrice": self.price(instrument, first),
            "openTime": minutes[0].open_time_ms if minutes else now_ms,
            "closeTime": now_ms,
            "askPrice": self.price(instrument, bid_ask[1]),
            "askQty": text(_LEVEL_QUANTITY),
            "bidPrice": self.price(instrument, bid_ask[0]),
            "bidQty": text(_LEVEL_QUANTITY),
        }

    def last_price(self, params: Params) -> object:
        """The last price: of one contract as an object, of all as a list."""
        rows = [
            {
                "symbol": self._books.wire(instrument.symbol),
                "price": self.price(instrument, self._exchange.last_price(instrument.symbol)),
                "time": self._exchange.now_ms(),
            }
            for instrument in self._exchange.instruments.values()
        ]
        if not params.text("symbol"):
            return rows
        wire = self._books.wire(self._books.asked(params).symbol)
        return next(row for row in rows if row["symbol"] == wire)

    def book_ticker(self, params: Params) -> object:
        """Best bid and ask, in words and letters that nothing else uses."""
        instrument = self._books.asked(params)
        bid, ask = self.best(instrument)
        return {
            "book_ticker": {
                "symbol": self._books.wire(instrument.symbol),
                "bid_price": float(bid),
                "bid_qty": int(_LEVEL_QUANTITY / instrument.step),
                "ask_price": float(ask),
                "ask_qty": int(_LEVEL_QUANTITY / instrument.step),
                "lastUpdateId": self._exchange.now_ms(),
                "time": self._exchange.now_ms(),
            }
        }

    def depth(self, params: Params) -> object:
        """The book; the plain arrays count contracts, the others coins."""
        instrument = self._books.asked(params)
        levels = params.integer("limit", 20)
        if levels not in DEPTHS:
            raise Refused(INVALID, f"Invalid parameters, err: limit: {levels} is not one of {DEPTHS}")
        bids, asks = self.book(instrument, levels)
        contracts = text(Decimal(int(_LEVEL_QUANTITY / instrument.step)))
        return {
            "T": self._exchange.now_ms(),
            "bids": [[price, contracts] for price, _ in bids],
            "asks": [[price, contracts] for price, _ in asks],
            "bidsCoin": bids,
            "asksCoin": asks,
        }

    def trades(self, params: Params) -> object:
        """One trade for each minute, newest first."""
        instrument = self._books.asked(params)
        count = _limited(params, _TRADES, _MOST_TRADES)
        return [self._trade(instrument, minute) for minute in reversed(self.minutes(instrument.symbol)[-count:])]

    def _trade(self, instrument: Instrument, minute: Candle) -> dict[str, object]:
        price = instrument.ticks_to_price(minute.close)
        quantity = instrument.steps_to_quantity(minute.volume)
        return {
            "time": min(minute.close_time_ms - 1, self._exchange.now_ms()),
            "isBuyerMaker": minute.close < minute.open,
            "price": self.price(instrument, price),
            "qty": text(quantity),
            "quoteQty": f"{price * quantity:.2f}",
        }

    def open_interest(self, params: Params) -> object:
        """What is held on the contract: nobody but this account is here."""
        instrument = self._books.asked(params)
        held = [position for position in self._exchange.positions() if position.symbol == instrument.symbol]
        size = instrument.steps_to_quantity(held[0].steps if held else 0)
        return {
            "openInterest": f"{size * self._exchange.last_price(instrument.symbol):.2f}",
            "symbol": self._books.wire(instrument.symbol),
            "time": self._exchange.now_ms(),
        }


def _limited(params: Params, default: int, most: int) -> int:
    count = params.integer("limit", default)
    if not 1 <= count <= most:
        raise Refused(INVALID, f"Invalid parameters, err: limit: {count} must be between 1 and {most}")
    return count
