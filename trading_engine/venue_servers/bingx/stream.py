"""The websocket: market topics by subscription, the account by listen key, everything compressed.

What belongs here: sessions, heartbeats, listen keys, which session is told what. What does not: what an account event
looks like (events), the figures of the market (market), sockets (web).
"""

import asyncio
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from trading_engine.domain.instrument import Instrument
from trading_engine.domain.money import text
from trading_engine.venue_servers.bingx.books import Books
from trading_engine.venue_servers.bingx.events import AccountEvents
from trading_engine.venue_servers.bingx.market import INTERVALS, Market
from trading_engine.venue_servers.bingx.words import Params, Plain, Refused, encode
from trading_engine.venue_servers.exchange import Happening, Ticked
from trading_engine.venue_servers.web import Connection

PATH = "/swap-market"
PING_MS = 5_000
MISSED_PINGS = 5
KEY_LASTS_MS = 3_600_000
MOST_TOPICS = 200

_TOPIC = re.compile(
    r"([^@]+)@(trade|markPrice|lastPrice|bookTicker|ticker|incrDepth|kline_(\w+)|depth(5|10|20|50|100)(?:@[25]00ms)?)"
)
_BACKLOG = 10
_LEVELS = 100
_SKIPPING = 5  # every so many changes of a book two ids are left out, as the venue does

_Side = dict[str, str]


class ListenKeys:
    """Tickets for the account's stream, valid for an hour."""

    def __init__(self, books: Books, owner: str) -> None:
        self._exchange = books.exchange
        self._owner = owner
        self._until_ms: dict[str, int] = {}
        self._made = 0

    def create(self, _params: Params) -> object:
        """A new one; those before it go on."""
        self._made += 1
        words = f"{self._owner} {self._exchange.now_ms()} {self._made}"
        key = hashlib.sha256(words.encode()).hexdigest()
        self._until_ms[key] = self._exchange.now_ms() + KEY_LASTS_MS
        return Plain({"listenKey": key})

    def extend(self, params: Params) -> object:
        """Another hour, in HTTP's words: 204 for none named, 404 for one that is not valid any more."""
        key = params.text("listenKey")
        if not self.is_valid(key):
            return Plain(None, 404 if key else 204)
        self._until_ms[key] = self._exchange.now_ms() + KEY_LASTS_MS
        return Plain(None)

    def delete(self, params: Params) -> object:
        """The end of one; its sockets fall silent."""
        key = params.text("listenKey")
        is_known = self._until_ms.pop(key, None) is not None
        return Plain(None, 200 if is_known else 404 if key else 204)

    def is_valid(self, key: str) -> bool:
        """Whether a socket that named it may hear of the account."""
        return self._exchange.now_ms() < self._until_ms.get(key, 0)

    def expire(self) -> None:
        """End the hour of every key."""
        self._until_ms = dict.fromkeys(self._until_ms, 0)

    def expired(self) -> list[str]:
        """Those whose hour is over; each is told once."""
        over = [key for key in self._until_ms if not self.is_valid(key)]
        for key in over:
            del self._until_ms[key]
        return over


@dataclass(slots=True)
class _Book:
    """The book of a contract as the sockets know it; ids of its changes rise, by one as a rule."""

    last_id: int
    changes: int = 0
    bids: _Side = field(default_factory=dict)
    asks: _Side = field(default_factory=dict)

    def follow(self, bids: _Side, asks: _Side) -> tuple[list[list[str]], list[list[str]]]:
        """What has changed since the last time, both sides with the highest price first."""
        changed = _changed(self.bids, bids), _changed(self.asks, asks)
        self.bids, self.asks = bids, asks
        if changed[0] or changed[1]:
            self.changes += 1
            self.last_id += 1 if self.changes % _SKIPPING else 3
        return changed


@dataclass(slots=True, eq=False)
class _Session:
    """One socket; `key` is "" where it hears of the market only."""

    connection: Connection
    key: str
    topics: set[str] = field(default_factory=set)
    unanswered: int = 0


class Streams:
    """All sockets of the server."""

    def __init__(self, books: Books, market: Market, events: AccountEvents, keys: ListenKeys, ping_ms: int) -> None:
        self._books = books
        self._exchange = books.exchange
        self._market = market
        self._events = events
        self._keys = keys
        self._ping_ms = ping_ms
        self._sessions: set[_Session] = set()
        self._traded: dict[str, tuple[int, int]] = {}
        first_id = self._exchange.now_ms()  # beyond those of an earlier life
        self._depths = {symbol: _Book(first_id) for symbol in self._exchange.instruments}

    # ── one socket ──────────────────────────────────────────────────────────

    async def converse(self, connection: Connection) -> None:
        """Serve a socket until it is closed."""
        key = parse_qs(connection.query).get("listenKey", [""])[0]
        if connection.path != PATH:
            return
        if key and not self._keys.is_valid(key):
            await connection.reply(_packed({"code": 100401, "msg": "listenKey is invalid or has expired"}))
            return
        session = _Session(connection, key)
        self._sessions.add(session)
        self._tell_settings(session)
        beat = asyncio.ensure_future(self._beat(session))
        try:
            while (frame := await connection.receive()) is not None:
                await self._hear(session, frame)
        finally:
            beat.cancel()
            self._sessions.discard(session)

    async def _beat(self, session: _Session) -> None:
        while session.unanswered < MISSED_PINGS:
            session.connection.push("stream.ping", gzip.compress(b"Ping", mtime=0))
            session.unanswered += 1
            await asyncio.sleep(self._ping_ms / 1000)
            self.tell_expiry()
            self._tell_settings(session)
        await session.connection.close()

    async def _hear(self, session: _Session, frame: bytes) -> None:
        if frame == b"Pong":
            session.unanswered = 0
            return
        request = _object(frame)
        name = str(request.get("id", ""))
        try:
            topic = self._subscribed(session, request)
        except Refused as refusal:
            await session.connection.reply(_answered(name, refusal.code, refusal.text))
            return
        await session.connection.reply(_answered(name, 0, ""))
        if topic:
            self._send_topic(session, topic, self._frame(topic, is_first=True))

    def _subscribed(self, session: _Session, request: Mapping[str, object]) -> str:
        """Carry a request out; the topic that was added, "" for one that was taken away."""
        wanted, topic = request.get("reqType"), str(request.get("dataType", ""))
        if session.key or wanted not in ("sub", "unsub"):
            raise Refused(80014, "request is invalid")
        if wanted == "unsub":
            session.topics.discard(topic)
            return ""
        self._read(topic)
        if len(session.topics) >= MOST_TOPICS:
            raise Refused(80403, f"more than {MOST_TOPICS} topics are not allowed on one connection")
        session.topics.add(topic)
        return topic

    def _read(self, topic: str) -> tuple[Instrument, str, str]:
        """The contract, the kind, and the interval or the number of levels; Refused for what is not offered."""
        match = _TOPIC.fullmatch(topic)
        if match is None or (match[3] and match[3] not in INTERVALS):
            raise Refused(80015, f"dataType is invalid: {topic}")
        try:
            instrument = self._books.listed(match[1])
        except Refused as refusal:
            raise Refused(80015, f"symbol is invalid: {match[1]}") from refusal
        if match[3]:
            return instrument, "kline", match[3]
        return (instrument, "depth", match[4]) if match[4] else (instrument, match[2], "")

    # ── the account ─────────────────────────────────────────────────────────

    def tell(self, happening: Happening) -> None:
        """Tell the sockets that it concerns."""
        self.tell_expiry()
        if isinstance(happening, Ticked):
            self._tell_market(happening)
            return
        if any(session.key for session in self._sessions):
            for event in self._events.of(happening):
                self._tell_account("stream.user", event)

    def _tell_account(self, site: str, event: object) -> None:
        for session in tuple(self._sessions):
            if session.key and self._keys.is_valid(session.key):
                session.connection.push(site, _packed(event))

    def tell_expiry(self) -> None:
        """The last that a listen key is told."""
        for key in self._keys.expired():
            event = {"e": "listenKeyExpired", "E": self._exchange.now_ms(), "listenKey": key}
            for session in tuple(self._sessions):
                if session.key == key:
                    session.connection.push("stream.user", _packed(event))

    def _tell_settings(self, session: _Session) -> None:
        if session.key and self._keys.is_valid(session.key):
            for symbol in self._exchange.instruments:
                session.connection.push("stream.config", _packed(self._events.settings(symbol)))

    # ── the market ──────────────────────────────────────────────────────────

    def _tell_market(self, tick: Ticked) -> None:
        symbol = tick.candle.symbol
        beginning = f"{self._books.wire(symbol)}@"
        frames: dict[str, bytes | None] = {}
        depth = f"{beginning}incrDepth"
        if any(depth in session.topics for session in self._sessions):
            frames[depth] = self._change(symbol)
        for session in tuple(self._sessions):
            for topic in sorted(topic for topic in session.topics if topic.startswith(beginning)):
                if topic not in frames:
                    frames[topic] = self._frame(topic, tick=tick)
                self._send_topic(session, topic, frames[topic])
        self._traded[symbol] = (tick.candle.open_time_ms, tick.candle.volume)

    @staticmethod
    def _send_topic(session: _Session, topic: str, frame: bytes | None) -> None:
        if frame is not None and topic in session.topics:
            session.connection.push("stream.market", frame)

    def _frame(self, topic: str, tick: Ticked | None = None, *, is_first: bool = False) -> bytes | None:
        """What a topic says now, None for nothing yet."""
        instrument, kind, detail = self._read(topic)
        if not self._exchange.last_ticks(instrument.symbol):
            return None
        wire = self._books.wire(instrument.symbol)
        message: dict[str, object] = {"code": 0, "dataType": topic}
        match kind:
            case "kline":
                message |= {"s": wire, "data": self._kline(instrument, detail, tick)}
            case "incrDepth":
                message["data"] = self._whole_book(instrument)
            case "depth":
                bids, asks = self._market.book(instrument, int(detail))
                message |= {"ts": self._exchange.now_ms(), "data": {"bids": bids, "asks": asks}}
            case "trade":
                message["data"] = self._backlog(instrument) if is_first else self._trade(instrument, tick)
            case _:
                message["data"] = self._price(instrument, kind)
        return _packed(message) if message["data"] else None

    def _change(self, symbol: str) -> bytes | None:
        """How the book has followed the price, None where nothing has changed."""
        book = self._depths[symbol]
        bids, asks = book.follow(*self._sides(self._exchange.instruments[symbol]))
        if not bids and not asks:
            return None
        data = {"action": "update", "lastUpdateId": book.last_id, "time": self._exchange.now_ms()}
        topic = f"{self._books.wire(symbol)}@incrDepth"
        return _packed({"code": 0, "dataType": topic, "data": data | {"bids": bids, "asks": asks}})

    def _whole_book(self, instrument: Instrument) -> dict[str, object]:
        """The book that the next change follows. One that nobody listened to has not moved with the price."""
        book = self._depths[instrument.symbol]
        book.follow(*self._sides(instrument))
        head = {"action": "all", "lastUpdateId": book.last_id, "time": self._exchange.now_ms()}
        return head | {"bids": list(book.bids.items()), "asks": list(book.asks.items())}

    def _sides(self, instrument: Instrument) -> tuple[_Side, _Side]:
        bids, asks = self._market.book(instrument, _LEVELS)
        return dict(bids), dict(asks)

    def _kline(self, instrument: Instrument, interval: str, tick: Ticked | None) -> list[dict[str, object]]:
        bar = self._market.latest_bar(instrument.symbol, interval)
        if tick is not None and interval == "1m":
            bar = tick.candle
        if bar is None:
            return []
        open_, close, high, low, volume = self._market.bar_texts(bar)
        return [{"c": close, "o": open_, "h": high, "l": low, "v": volume, "T": bar.open_time_ms}]

    def _trade(self, instrument: Instrument, tick: Ticked | None) -> list[dict[str, object]]:
        """What has been traded since the last price, as one trade."""
        if tick is None:
            return []
        open_ms, volume = self._traded.get(instrument.symbol, (0, 0))
        steps = tick.candle.volume - (volume if open_ms == tick.candle.open_time_ms else 0)
        if steps <= 0:
            return []
        return [
            {
                "q": text(instrument.steps_to_quantity(steps)),
                "p": self._market.price(instrument, instrument.ticks_to_price(tick.candle.close)),
                "T": self._exchange.now_ms(),
                "m": tick.candle.close < tick.candle.open,
                "s": self._books.wire(instrument.symbol),
            }
        ]

    def _backlog(self, instrument: Instrument) -> list[dict[str, object]]:
        """Recent trades, newest first."""
        return [
            {
                "q": text(instrument.steps_to_quantity(minute.volume)),
                "p": self._market.price(instrument, instrument.ticks_to_price(minute.close)),
                "T": min(minute.close_time_ms - 1, self._exchange.now_ms()),
                "m": minute.close < minute.open,
                "s": self._books.wire(instrument.symbol),
            }
            for minute in reversed(self._market.minutes(instrument.symbol)[-_BACKLOG:])
        ]

    def _price(self, instrument: Instrument, kind: str) -> dict[str, object]:
        now_ms, wire = self._exchange.now_ms(), self._books.wire(instrument.symbol)
        price = self._market.price(instrument, self._exchange.last_price(instrument.symbol))
        if kind == "markPrice":
            return {"e": "markPriceUpdate", "E": now_ms, "s": wire, "p": price}
        if kind == "lastPrice":
            return {"e": "lastPriceUpdate", "E": now_ms, "s": wire, "c": price}
        day = self._market.day(instrument)
        if kind == "bookTicker":
            return {
                "e": "bookTicker",
                "u": now_ms,
                "E": now_ms,
                "T": now_ms,
                "s": wire,
                "b": day["bidPrice"],
                "B": day["bidQty"],
                "a": day["askPrice"],
                "A": day["askQty"],
            }
        return {  # the letters of bid and ask mean the reverse of what they mean in bookTicker
            "e": "24hTicker",
            "E": now_ms,
            "s": wire,
            "p": day["priceChange"],
            "P": day["priceChangePercent"],
            "c": day["lastPrice"],
            "L": day["lastQty"],
            "h": day["highPrice"],
            "l": day["lowPrice"],
            "v": day["volume"],
            "q": day["quoteVolume"],
            "o": day["openPrice"],
            "O": day["openTime"],
            "C": day["closeTime"],
            "A": day["askPrice"],
            "a": day["askQty"],
            "B": day["bidPrice"],
            "b": day["bidQty"],
        }


def _changed(before: _Side, now: _Side) -> list[list[str]]:
    """Levels that are new or hold something else, and those that are gone, the highest price first."""
    gone = dict.fromkeys(before.keys() - now.keys(), "0.0000")
    new = {price: quantity for price, quantity in now.items() if before.get(price) != quantity}
    return [[price, quantity] for price, quantity in sorted((gone | new).items(), key=lambda level: -float(level[0]))]


def _packed(message: object) -> bytes:
    return gzip.compress(encode(message), mtime=0)


def _answered(name: str, code: int, words: str) -> bytes:
    return _packed({"id": name, "code": code, "msg": words, "dataType": "", "data": None})


def _object(frame: bytes) -> Mapping[str, object]:
    """What a client has sent, {} for what is no JSON object."""
    try:
        content: object = json.loads(frame)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
