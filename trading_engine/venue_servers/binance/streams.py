"""The websockets: routes, subscriptions, market data.

What belongs here: who is connected on which route, what they asked for, which of it they get. What does not: what the
user stream says (user), the sockets themselves (web).

A stream that was asked for on the wrong route is acknowledged and stays silent, as at the venue; the address without
a route gets what `/public` has.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import msgspec

from trading_engine.venue_servers.binance.book import best
from trading_engine.venue_servers.binance.candles import INTERVALS, joined, kline_event, opened_at
from trading_engine.venue_servers.binance.market import MarketRequests
from trading_engine.venue_servers.binance.shapes import Json, decimals, fixed
from trading_engine.venue_servers.exchange import LocalExchange, Ticked
from trading_engine.venue_servers.web import Connection
from trading_engine.venues.embedded.matching import TradeRow

_LIFE_MS = 24 * 3_600_000
_MOST_STREAMS = 1_024
_MOST_MESSAGES = 10  # in a second
_PACE_MS = 1_000
_PUBLIC = re.compile(r"(?P<symbol>[^@!]+)@(?P<kind>bookTicker|trade|depth(?P<levels>5|10|20)?(@(0|100|250|500)ms)?)")
_MARKET = re.compile(r"(?P<symbol>[^@!]+)@(?P<kind>aggTrade|forceOrder|markPrice(@1s)?|kline_(?P<interval>\w+))")
_ALL_PRICES = ("!markPrice@arr", "!markPrice@arr@1s")
_ROUTES = ("public", "market", "private")


def _route_of(stream: str) -> str:
    """The route on which a stream is delivered, empty for what is none."""
    if stream == "!bookTicker" or _PUBLIC.fullmatch(stream):
        return "public"
    return "market" if stream in _ALL_PRICES or _MARKET.fullmatch(stream) else ""


@dataclass(eq=False, slots=True)
class Feed:
    """One connection and what was asked for on it; an empty route is the retired address."""

    connection: Connection
    route: str
    is_combined: bool
    opened_ms: int
    streams: dict[str, None] = field(default_factory=dict)
    events: frozenset[str] = frozenset()
    messages_ms: deque[int] = field(default_factory=deque)

    def gets(self, stream: str) -> bool:
        """Whether a market stream is delivered here."""
        return stream in self.streams and _route_of(stream) == (self.route or "public")

    def push(self, site: str, stream: str, event: object) -> None:
        """Say something, wrapped where the connection is a combined one."""
        frame = {"stream": stream, "data": event} if self.is_combined else event
        self.connection.push(site, msgspec.json.encode(frame).decode())


def _mistake(feed: Feed, method: object, names: object) -> str:
    """What is wrong with a request to change the streams of a connection, empty for nothing."""
    if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
        return f"unknown variant {method!r}"
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return "params must be an array of strings"
    if method == "SUBSCRIBE" and len(feed.streams.keys() | set(names)) > _MOST_STREAMS:
        return f"more than {_MOST_STREAMS} streams"
    return ""


class Streams:
    """All connections. `elapse` is called each second of the server's clock while there are any."""

    def __init__(self, exchange: LocalExchange, market: MarketRequests, elapse: Callable[[], None]) -> None:
        self._exchange = exchange
        self._market = market
        self._elapse = elapse
        self._feeds: set[Feed] = set()
        self._wanted: dict[str, list[Feed]] | None = None
        self._trade_ids: dict[tuple[str, str], int] = {}  # symbol and stream: trades are numbered in each by one
        self._first_id = exchange.now_ms()  # beyond those of an earlier life
        self._pacer: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # ── connections ─────────────────────────────────────────────────────────

    async def serve(self, connection: Connection) -> None:
        """Serve one websocket until it is closed; at once where its path is none of the venue's."""
        feed = self._opened(connection)
        if feed is None:
            return
        self._feeds.add(feed)
        self._wanted = None
        if self._pacer is None:
            self._pacer = asyncio.ensure_future(self._pace())
        try:
            while (frame := await connection.receive()) is not None:
                if not self._is_patient(feed):
                    return
                await connection.reply(msgspec.json.encode(self._answer(feed, frame)).decode())
        finally:
            self._feeds.discard(feed)
            self._wanted = None
            if not self._feeds and self._pacer is not None:
                self._pacer.cancel()
                self._pacer = None

    def _opened(self, connection: Connection) -> Feed | None:
        parts = connection.path.strip("/").split("/")
        route = parts.pop(0) if parts[0] in _ROUTES else ""
        if not parts or parts[0] not in ("ws", "stream"):
            return None
        query = parse_qs(connection.query)
        is_combined = parts[0] == "stream"
        names = query.get("streams", [""])[0].split("/") if is_combined else parts[1:]
        names += query.get("listenKey", [])
        events = "/".join(query.get("events", [])).split("/")
        feed = Feed(connection, route, is_combined, self._exchange.now_ms())
        feed.streams = dict.fromkeys(name for name in names if name)
        feed.events = frozenset(event for event in events if event)
        return feed

    def _is_patient(self, feed: Feed) -> bool:
        """Who says more than ten things in a second is shown out."""
        now_ms = self._exchange.now_ms()
        feed.messages_ms.append(now_ms)
        while feed.messages_ms[0] <= now_ms - 1_000:
            feed.messages_ms.popleft()
        return len(feed.messages_ms) <= _MOST_MESSAGES

    def _answer(self, feed: Feed, frame: bytes) -> Json:
        """Carry a frame out and answer it; an acknowledgement says nothing of whether the stream exists."""
        try:
            request: Any = msgspec.json.decode(frame)
        except msgspec.MsgspecError as error:
            return {"code": 3, "msg": f"Invalid JSON: {error}"}
        given = request.get("id") if isinstance(request, dict) else None
        if not isinstance(given, int) or isinstance(given, bool) or given < 0:
            return {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"}
        method, names = request.get("method"), request.get("params", [])
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": list(feed.streams), "id": given}
        if mistake := _mistake(feed, method, names):
            return {"code": 2, "msg": f"Invalid request: {mistake}", "id": given}
        for name in names:
            if method == "SUBSCRIBE":
                feed.streams[name] = None
            else:
                feed.streams.pop(name, None)
        self._wanted = None
        return {"result": None, "id": given}

    def elapse(self, now_ms: int) -> None:
        """A connection lives for a day."""
        for feed in tuple(self._feeds):
            if now_ms - feed.opened_ms >= _LIFE_MS:
                self._later(feed.connection.close())

    def _later(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ── the user stream ─────────────────────────────────────────────────────

    def send_user(self, key: str, name: str, event: Json) -> None:
        """Tell everybody who listens with this key on `/private`."""
        for feed in tuple(self._feeds):
            is_wanted = not feed.events or name in feed.events or name == "listenKeyExpired"
            if feed.route == "private" and key in feed.streams and is_wanted:
                feed.push("stream.user", key, event)

    def end_user(self, key: str) -> None:
        """Close the connections of a key that was given back."""
        for feed in tuple(self._feeds):
            if feed.route == "private" and key in feed.streams:
                self._later(feed.connection.close())

    # ── market data ─────────────────────────────────────────────────────────

    def on_tick(self, tick: Ticked) -> None:
        """The price of a symbol has moved."""
        self._quote(tick.candle.symbol)
        symbol = tick.candle.symbol
        prefix = f"{symbol.lower()}@"
        for stream, feeds in self._subscribed().items():
            if not stream.startswith(prefix):
                continue
            kind = stream.removeprefix(prefix)
            if kind in ("aggTrade", "trade"):
                self._push(feeds, stream, self._trade_event(symbol, kind))
            elif kind.startswith("kline_") and kind.removeprefix("kline_") in INTERVALS:
                self._push(feeds, stream, self._kline(tick, kind.removeprefix("kline_")))

    def on_liquidation(self, row: TradeRow) -> None:
        """A position was closed by force."""
        stream = f"{row.symbol.lower()}@forceOrder"
        instrument = self._exchange.instruments[row.symbol]
        price = fixed(instrument.ticks_to_price(row.price), decimals(instrument.tick))
        quantity = fixed(instrument.steps_to_quantity(row.steps), decimals(instrument.step))
        side = "BUY" if row.sign > 0 else "SELL"
        head: Json = {"s": row.symbol, "S": side, "o": "LIMIT", "f": "IOC", "q": quantity, "p": price, "ap": price}
        order = head | {"X": "FILLED", "l": quantity, "z": quantity, "T": row.ts_ms}
        event = {"e": "forceOrder", "E": self._exchange.now_ms(), "o": order, "ps": row.symbol, "st": 1}
        self._push(self._subscribed().get(stream, []), stream, event)

    def _subscribed(self) -> dict[str, list[Feed]]:
        """Who gets which market stream."""
        if self._wanted is None:
            self._wanted = {}
            for feed in self._feeds:
                for stream in feed.streams:
                    if feed.gets(stream):
                        self._wanted.setdefault(stream, []).append(feed)
        return self._wanted

    @staticmethod
    def _push(feeds: list[Feed], stream: str, event: object) -> None:
        for feed in feeds:
            feed.push("stream.market", stream, event)

    async def _pace(self) -> None:
        """Time passes between two prices as well; a clock that is moved by hand has nobody who waits."""
        with suppress(NotImplementedError):
            while True:
                await self._exchange.clock.sleep_until(self._exchange.now_ms() + _PACE_MS)
                self._elapse()
                for symbol in self._exchange.instruments:
                    self._quote(symbol)

    def _quote(self, symbol: str) -> None:
        """Tell what stands around the price and what the mark is: each second, and when the price moves."""
        wanted = self._subscribed()
        book = self._market.books[symbol]
        update = book.move(self._exchange.last_ticks(symbol)) if wanted or book.last_ticks else None
        prefix = f"{symbol.lower()}@"
        for stream, feeds in wanted.items():
            is_ours = stream.startswith(prefix)
            kind = stream.removeprefix(prefix)
            if is_ours and kind.startswith("markPrice"):
                self._push(feeds, stream, self._mark_event(symbol))
            elif stream in _ALL_PRICES:
                self._push(feeds, stream, [self._mark_event(symbol)])
            elif update is not None and (stream == "!bookTicker" or (is_ours and kind == "bookTicker")):
                self._push(feeds, stream, self._best_event(symbol))
            elif update is not None and is_ours and kind.startswith("depth"):
                self._push(feeds, stream, self._depth_event(symbol, stream, update))

    def _kline(self, tick: Ticked, interval: str) -> Json:
        """The candle of an interval; it is final with the last minute in it."""
        symbol, minute = tick.candle.symbol, tick.candle
        since_ms = opened_at(minute.open_time_ms, interval)
        minutes = [row for row in self._market.minutes(symbol) if since_ms <= row.open_time_ms < minute.open_time_ms]
        row = joined([*minutes, minute], interval)[-1]
        is_closed = tick.is_closed and minute.close_time_ms == row.close_time_ms
        event = kline_event(self._exchange.instruments[symbol], row, interval, is_closed=is_closed)
        return {"e": "kline", "E": self._exchange.now_ms(), "s": symbol, "k": event, "ps": symbol, "st": 1}

    def _trade_event(self, symbol: str, kind: str) -> Json:
        """A trade, by itself or as the only one of its order."""
        instrument = self._exchange.instruments[symbol]
        now_ms = self._exchange.now_ms()
        trade_id = self._trade_ids.get((symbol, kind), self._first_id) + 1
        self._trade_ids[symbol, kind] = trade_id
        quantity = fixed(instrument.min_quantity, decimals(instrument.step))
        price = fixed(self._exchange.last_price(symbol), decimals(instrument.tick))
        head = {"e": kind, "E": now_ms, "s": symbol, "p": price, "q": quantity, "T": now_ms}
        if kind == "trade":
            return head | {"t": trade_id, "X": "MARKET", "m": bool(trade_id % 2), "st": 1}
        return head | {"a": trade_id, "nq": quantity, "f": trade_id, "l": trade_id, "m": bool(trade_id % 2), "st": 1}

    def _mark_event(self, symbol: str) -> Json:
        price = fixed(self._exchange.last_price(symbol))
        upcoming = self._market.next_funding(symbol)
        return {
            "e": "markPriceUpdate",
            "E": self._exchange.now_ms(),
            "s": symbol,
            "p": price,
            "ap": price,
            "i": price,
            "P": price,
            "r": fixed(upcoming.rate),
            "T": upcoming.ts_ms,
            "st": 1,
        }

    def _best_event(self, symbol: str) -> Json:
        book, now_ms = self._market.books[symbol], self._exchange.now_ms()
        (bid, bid_quantity), (ask, ask_quantity) = best(book)
        head = {"e": "bookTicker", "u": book.update_id, "s": symbol, "ps": symbol, "st": 1}
        return head | {"b": bid, "B": bid_quantity, "a": ask, "A": ask_quantity, "T": now_ms, "E": now_ms}

    def _depth_event(self, symbol: str, stream: str, update: tuple[int, int, int, Any, Any]) -> Json:
        """What has changed, or for a partial book its top."""
        first, last, previous, bids, asks = update
        match = _PUBLIC.fullmatch(stream)
        levels = match.group("levels") if match else None
        if levels:
            bids, asks = self._market.books[symbol].top(int(levels))
        now_ms = self._exchange.now_ms()
        head = {"e": "depthUpdate", "E": now_ms, "T": now_ms, "s": symbol, "ps": symbol, "st": 1}
        return head | {"U": first, "u": last, "pu": previous, "b": bids, "a": asks}
