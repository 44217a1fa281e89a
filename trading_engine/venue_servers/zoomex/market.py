"""The market as clients see it: candles of every interval, the book, tickers, trades.

What belongs here: figures that follow from the price of a symbol. What does not: paths and parameters (public),
who has subscribed to what (streams).

The exchange has one price and no book of its own: the best bid and ask stand a tick beside the price, and a trade is
shown for what a candle's volume has grown by.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.venue_servers.exchange import MINUTE_MS, LocalExchange, Ticked
from trading_engine.venue_servers.zoomex.words import DAY_MS, WEEK_MS, Json, plain

INTERVALS = ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M")
FUNDING_MINUTES = 480
LAUNCHED_MS = 1_585_526_400_000
_LEVELS = 50
_TRADES_KEPT = 1_000
_MONDAY_MS = 4 * DAY_MS  # the epoch began on a Thursday
_MOST_TICKS = 20_000_000
_FUNDING_CAP = "0.0075"


@dataclass(frozen=True, slots=True)
class PublicTrade:
    """A trade of anybody."""

    number: int
    symbol: str
    sign: int
    steps: int
    ticks: int
    ts_ms: int
    move: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A candle of any interval: prices in ticks, volume in steps, turnover in the settle asset."""

    start_ms: int
    end_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    turnover: Decimal


def bar_start(interval: str, at_ms: int) -> int:
    """When the candle began that covers an instant."""
    if interval == "M":
        day = datetime.fromtimestamp(at_ms / 1000, UTC)
        return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp()) * 1_000
    if interval == "W":
        return (at_ms - _MONDAY_MS) // WEEK_MS * WEEK_MS + _MONDAY_MS
    length_ms = DAY_MS if interval == "D" else int(interval) * MINUTE_MS
    return at_ms // length_ms * length_ms


def bar_end(interval: str, start_ms: int) -> int:
    """When the next candle begins."""
    if interval == "M":
        return bar_start("M", start_ms + 31 * DAY_MS)
    lengths = {"D": DAY_MS, "W": WEEK_MS}
    return start_ms + (lengths[interval] if interval in lengths else int(interval) * MINUTE_MS)


class Market:
    """Everything public about the exchange's symbols."""

    def __init__(self, exchange: LocalExchange) -> None:
        self._exchange = exchange
        self._trades: defaultdict[str, deque[PublicTrade]] = defaultdict(lambda: deque(maxlen=_TRADES_KEPT))
        self._shown: dict[str, Candle] = {}
        self._numbers = 0
        self.updates: defaultdict[str, int] = defaultdict(lambda: 1)

    def hear(self, ticked: Ticked) -> PublicTrade | None:
        """Take a move of a price; the trade that made it, None where no volume came with it."""
        candle = ticked.candle
        self.updates[candle.symbol] += 1
        before = self._shown.get(candle.symbol)
        self._shown[candle.symbol] = candle
        is_same = before is not None and before.open_time_ms == candle.open_time_ms
        grown = candle.volume - (before.volume if before is not None and is_same else 0)
        if grown <= 0:
            return None
        moved = candle.close - (before.close if before is not None else candle.open)
        self._numbers += 1
        move = "ZeroPlusTick" if not moved else "PlusTick" if moved > 0 else "MinusTick"
        sign = -1 if moved < 0 else 1
        now_ms = self._exchange.now_ms()
        trade = PublicTrade(self._numbers, candle.symbol, sign, grown, candle.close, now_ms, move)
        self._trades[candle.symbol].append(trade)
        return trade

    def trades(self, symbol: str) -> Sequence[PublicTrade]:
        """The last ones, oldest first."""
        return tuple(self._trades[symbol])

    # ── candles ─────────────────────────────────────────────────────────────

    def bars(self, symbol: str, interval: str, since_ms: int = 0) -> list[Bar]:
        """Candles that begin at or after an instant, oldest first; the last may be unfinished."""
        market = self._exchange.markets[symbol]
        first_ms = bar_start(interval, min(since_ms, self._exchange.now_ms()))
        minutes = [candle for candle in market.closed if candle.open_time_ms >= first_ms]
        if market.building is not None and market.building.open_time_ms >= first_ms:
            minutes.append(market.building)
        bars: list[Bar] = []
        for candle in minutes:
            bar = self._bar(candle, interval)
            if bars and bars[-1].start_ms == bar.start_ms:
                bars[-1] = _joined(bars[-1], bar)
            else:
                bars.append(bar)
        return [bar for bar in bars if bar.start_ms >= since_ms]

    def _bar(self, candle: Candle, interval: str) -> Bar:
        instrument = self._exchange.instruments[candle.symbol]
        start_ms = bar_start(interval, candle.open_time_ms)
        value = money.multiply(instrument.ticks_to_price(candle.close), instrument.steps_to_quantity(candle.volume))
        end_ms = bar_end(interval, start_ms)
        return Bar(start_ms, end_ms, candle.open, candle.high, candle.low, candle.close, candle.volume, value)

    # ── tickers and the book ────────────────────────────────────────────────

    def book(self, symbol: str, depth: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Bids falling and asks rising, as (price, size)."""
        instrument = self._exchange.instruments[symbol]
        last = self._exchange.last_ticks(symbol)
        size = plain(instrument.steps_to_quantity(max(1, instrument.quantity_to_steps(instrument.max_quantity) // 100)))
        levels = range(1, min(depth, _LEVELS) + 1) if last else ()
        bids = [(plain(instrument.ticks_to_price(last - level)), size) for level in levels if last > level]
        return bids, [(plain(instrument.ticks_to_price(last + level)), size) for level in levels]

    def ticker(self, symbol: str) -> Json:
        """All figures of one symbol."""
        instrument = self._exchange.instruments[symbol]
        now_ms = self._exchange.now_ms()
        day = self.bars(symbol, "1", now_ms - DAY_MS)
        hour = [bar for bar in day if bar.start_ms >= now_ms - DAY_MS // 24]
        last = self._exchange.last_ticks(symbol)
        price = plain(instrument.ticks_to_price(last))
        before = day[0].open if day else last
        bids, asks = self.book(symbol, 1)
        bid, ask = (bids or [("", "")])[0], (asks or [("", "")])[0]
        change = money.ratio(Decimal(last - before), Decimal(before)) if before else money.ZERO
        rate, next_ms = self._funding(symbol, now_ms)
        return {
            "symbol": symbol,
            "lastPrice": price,
            "indexPrice": price,
            "markPrice": price,
            "prevPrice24h": plain(instrument.ticks_to_price(before)),
            "price24hPcnt": plain(change.quantize(Decimal("0.000001"))),
            "highPrice24h": plain(instrument.ticks_to_price(max([bar.high for bar in day], default=last))),
            "lowPrice24h": plain(instrument.ticks_to_price(min([bar.low for bar in day], default=last))),
            "prevPrice1h": plain(instrument.ticks_to_price(hour[0].open if hour else last)),
            "openInterest": "0",
            "openInterestValue": "0",
            "turnover24h": plain(sum((bar.turnover for bar in day), money.ZERO)),
            "volume24h": plain(instrument.steps_to_quantity(sum(bar.volume for bar in day))),
            "fundingRate": plain(rate),
            "nextFundingTime": str(next_ms),
            "fundingIntervalHour": str(FUNDING_MINUTES // 60),
            "fundingCap": _FUNDING_CAP,
            "bid1Price": bid[0],
            "bid1Size": bid[1],
            "ask1Price": ask[0],
            "ask1Size": ask[1],
        }

    def _funding(self, symbol: str, now_ms: int) -> tuple[Decimal, int]:
        market = self._exchange.markets[symbol]
        if market.next_rate is not None:
            return market.next_rate.rate, market.next_rate.ts_ms
        interval_ms = FUNDING_MINUTES * MINUTE_MS
        rate = market.funding[-1].rate if market.funding else money.ZERO
        return rate, (now_ms // interval_ms + 1) * interval_ms


def instrument_row(instrument: Instrument) -> Json:
    """What the venue lists about a symbol."""
    base = instrument.symbol.removesuffix(instrument.settle_asset)
    step, tick = plain(instrument.step), plain(instrument.tick)
    return {
        "symbol": instrument.symbol,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": base,
        "quoteCoin": instrument.settle_asset,
        "settleCoin": instrument.settle_asset,
        "launchTime": str(LAUNCHED_MS),
        "priceScale": str(len(tick.partition(".")[2])),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": f"{instrument.max_leverage:.2f}", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": tick, "maxPrice": plain(highest_price(instrument)), "tickSize": tick},
        "lotSizeFilter": {
            "maxOrderQty": plain(instrument.max_quantity),
            "minOrderQty": plain(instrument.min_quantity),
            "qtyStep": step,
            "maxMktOrderQty": plain(instrument.max_quantity),
            "minNotionalValue": money.text(instrument.min_notional),
        },
        "fundingInterval": FUNDING_MINUTES,
        "offlineTime": "",
        "tags": [],
    }


def highest_price(instrument: Instrument) -> Decimal:
    """Above which no order may be."""
    return instrument.ticks_to_price(_MOST_TICKS)


def _joined(left: Bar, right: Bar) -> Bar:
    return Bar(
        left.start_ms,
        left.end_ms,
        left.open,
        max(left.high, right.high),
        min(left.low, right.low),
        right.close,
        left.volume + right.volume,
        left.turnover + right.turnover,
    )
