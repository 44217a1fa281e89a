"""The websockets: public (/v5/public/linear) and private (/v3/private).

What belongs here: operations, topics, what each topic says when something happens. What does not: figures and rows.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from trading_engine.domain.market import Candle
from trading_engine.venue_servers.exchange import LocalExchange, Ticked
from trading_engine.venue_servers.web import Connection
from trading_engine.venue_servers.zoomex.gate import Gate
from trading_engine.venue_servers.zoomex.market import INTERVALS, Bar, Market, PublicTrade
from trading_engine.venue_servers.zoomex.words import Json, execution_id, plain
from trading_engine.venues.embedded.matching import TradeRow

PUBLIC_PATH = "/v5/public/linear"
PRIVATE_PATH = "/v3/private"
DEPTHS = ("1", "50", "200", "1000")
MOST_ARGUMENT_LETTERS = 21_000
_PLAIN_TOPICS = ("publicTrade", "tickers", "allLiquidation")

_PRIVATE_TOPICS = frozenset({"order", "execution", "position", "wallet"})
_CATEGORISED = frozenset({"order.linear", "execution.linear", "position.linear"})


class Session:
    """What both sockets do alike: read operations, answer ping, subscribe and unsubscribe."""

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self._said_at = asyncio.get_running_loop().time()
        self.conn_id = f"local-{number:08d}"
        self.topics: set[str] = set()

    async def serve(self) -> None:
        """Until the connection is over."""
        while (frame := await self._connection.receive()) is not None:
            await self._obey(frame)

    async def _obey(self, frame: bytes) -> None:
        try:
            message = msgspec.json.decode(frame)
        except msgspec.DecodeError:
            message = None
        if not isinstance(message, dict):
            await self._answer("", {}, "error:request is not JSON")
        elif message.get("op") == "ping":
            await self._reply(self._pong(message))
        elif message.get("op") in ("subscribe", "unsubscribe"):
            await self._subscribe(message)
        else:
            await self._operate(message)

    async def _operate(self, message: Json) -> None:
        """Any other operation."""
        await self._answer(str(message.get("op", "")), message, "error:op is not supported")

    async def _subscribe(self, message: Json) -> None:
        """All topics of a frame, or none."""
        operation = str(message["op"])
        given = message.get("args")
        topics = [str(topic) for topic in given] if isinstance(given, list) else []
        error = self._error_of(topics, is_new=operation == "subscribe")
        if not error and operation == "subscribe":
            self.topics.update(topics)
        elif not error:
            self.topics.difference_update(topics)
        await self._answer(operation, message, error)
        if not error and operation == "subscribe":
            self._welcome(topics)

    def _error_of(self, topics: Sequence[str], *, is_new: bool) -> str:
        if not topics or sum(len(topic) for topic in topics) > MOST_ARGUMENT_LETTERS:
            return "error:args are empty or too long"
        for topic in topics:
            if not self._is_topic(topic):
                return f"error:handler not found,topic:{topic}"
            if is_new and topic in self.topics:
                return f"error:already subscribed,topic:{topic}"
        return ""

    async def _answer(self, operation: str, message: Json, error: str) -> None:
        answer: Json = {"success": not error, "ret_msg": error, "conn_id": self.conn_id, "op": operation}
        await self._reply(answer | {"req_id": str(message.get("req_id", ""))})

    async def _reply(self, answer: Json) -> None:
        self._said_at = asyncio.get_running_loop().time()
        await self._connection.reply(msgspec.json.encode(answer).decode())

    def _push(self, site: str, frame: Json) -> None:
        self._said_at = asyncio.get_running_loop().time()
        self._connection.push(site, msgspec.json.encode(frame).decode())

    def _pong(self, message: Json) -> Json:
        raise NotImplementedError

    def _is_topic(self, topic: str) -> bool:
        raise NotImplementedError

    def _welcome(self, topics: Sequence[str]) -> None:
        """Say what a new subscriber gets to know at once."""
        raise NotImplementedError


class PublicSession(Session):
    """Market data. Closed where the server has said nothing for `idle_s` seconds, 0 for never."""

    def __init__(
        self, connection: Connection, number: int, exchange: LocalExchange, market: Market, idle_s: float
    ) -> None:
        super().__init__(connection, number)
        self._exchange = exchange
        self._market = market
        self._idle_s = idle_s
        self._books: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
        self._tickers: dict[str, Json] = {}

    async def serve(self) -> None:
        """Until the connection is over, or was silent for too long."""
        watch = asyncio.ensure_future(self._watch()) if self._idle_s else None
        try:
            await super().serve()
        finally:
            if watch is not None:
                watch.cancel()

    async def _watch(self) -> None:
        left_s = self._idle_s
        while left_s > 0:
            await asyncio.sleep(left_s)
            left_s = self._said_at + self._idle_s - asyncio.get_running_loop().time()
        await self._connection.close()

    def _pong(self, message: Json) -> Json:
        request = str(message.get("req_id", ""))
        return {"success": True, "ret_msg": "pong", "conn_id": self.conn_id, "req_id": request, "op": "ping"}

    def _is_topic(self, topic: str) -> bool:
        name, _, rest = topic.partition(".")
        option, _, symbol = rest.rpartition(".")
        if symbol not in self._exchange.instruments:
            return False
        if name == "kline":
            return option in INTERVALS
        return option in DEPTHS if name == "orderbook" else not option and name in _PLAIN_TOPICS

    def _welcome(self, topics: Sequence[str]) -> None:
        for topic in topics:
            symbol = topic.rpartition(".")[2]
            if topic.startswith("orderbook."):
                self._show_book(topic, symbol, is_first=True)
            elif topic.startswith("tickers."):
                self._show_ticker(topic, symbol, is_first=True)

    def hear(self, ticked: Ticked, trade: PublicTrade | None) -> None:
        """Tell what a move of a price changes."""
        symbol = ticked.candle.symbol
        for topic in sorted(topic for topic in self.topics if topic.endswith(f".{symbol}")):
            name = topic.partition(".")[0]
            if name == "kline":
                self._show_kline(topic, ticked)
            elif name == "orderbook":
                self._show_book(topic, symbol, is_first=topic.startswith("orderbook.1."))
            elif name == "tickers":
                self._show_ticker(topic, symbol, is_first=False)
            elif name == "publicTrade" and trade is not None:
                self._show_trade(topic, trade)

    def hear_liquidation(self, row: TradeRow) -> None:
        """Tell of a position that was closed by force: its side, not that of the order which did it."""
        topic = f"allLiquidation.{row.symbol}"
        if topic not in self.topics:
            return
        instrument = self._exchange.instruments[row.symbol]
        size, price = instrument.steps_to_quantity(row.steps), instrument.ticks_to_price(row.price)
        side = "Sell" if row.sign > 0 else "Buy"
        self._show(
            topic, "snapshot", [{"T": row.ts_ms, "s": row.symbol, "S": side, "v": plain(size), "p": plain(price)}]
        )

    def _show(self, topic: str, kind: str, data: object, **extra: int) -> None:
        frame: Json = {"topic": topic, "type": kind, "ts": self._exchange.now_ms(), "data": data, **extra}
        self._push("stream.market", frame)

    def _show_book(self, topic: str, symbol: str, *, is_first: bool) -> None:
        bids, asks = (dict(levels) for levels in self._market.book(symbol, int(topic.split(".")[1])))
        before = ({}, {}) if is_first else self._books.get(topic, ({}, {}))
        self._books[topic] = (bids, asks)
        update = self._market.updates[symbol]
        data = {"s": symbol, "b": _changes(before[0], bids), "a": _changes(before[1], asks), "u": update, "seq": update}
        self._show(topic, "snapshot" if is_first else "delta", data, cts=self._exchange.now_ms())

    def _show_ticker(self, topic: str, symbol: str, *, is_first: bool) -> None:
        ticker = self._market.ticker(symbol)
        before = {} if is_first else self._tickers.get(symbol, {})
        self._tickers[symbol] = ticker
        changed = {name: value for name, value in ticker.items() if before.get(name) != value}
        kind = "snapshot" if is_first else "delta"
        self._show(topic, kind, {"symbol": symbol, **changed}, cs=self._market.updates[symbol])

    def _show_kline(self, topic: str, ticked: Ticked) -> None:
        interval = topic.split(".")[1]
        candle = ticked.candle
        bars = self._market.bars(candle.symbol, interval, candle.open_time_ms - 32 * 86_400_000)
        covering = [bar for bar in bars if bar.start_ms <= candle.open_time_ms < bar.end_ms]
        if covering:
            is_over = ticked.is_closed and candle.close_time_ms == covering[-1].end_ms
            self._show(topic, "snapshot", [self._kline(candle, covering[-1], interval, is_over=is_over)])

    def _kline(self, candle: Candle, bar: Bar, interval: str, *, is_over: bool) -> Json:
        instrument = self._exchange.instruments[candle.symbol]
        return {
            "start": bar.start_ms,
            "end": bar.end_ms - 1,
            "interval": interval,
            "open": plain(instrument.ticks_to_price(bar.open)),
            "close": plain(instrument.ticks_to_price(bar.close)),
            "high": plain(instrument.ticks_to_price(bar.high)),
            "low": plain(instrument.ticks_to_price(bar.low)),
            "volume": plain(instrument.steps_to_quantity(bar.volume)),
            "turnover": plain(bar.turnover),
            "confirm": is_over,
            "timestamp": self._exchange.now_ms(),
        }

    def _show_trade(self, topic: str, trade: PublicTrade) -> None:
        instrument = self._exchange.instruments[trade.symbol]
        row = {
            "T": trade.ts_ms,
            "s": trade.symbol,
            "S": "Buy" if trade.sign > 0 else "Sell",
            "v": plain(instrument.steps_to_quantity(trade.steps)),
            "p": plain(instrument.ticks_to_price(trade.ticks)),
            "L": trade.move,
            "i": execution_id(trade.number),
            "BT": False,
        }
        self._show(topic, "snapshot", [row])


class PrivateSession(Session):
    """The account's own events, after an auth operation. Nothing is told of what was before."""

    def __init__(self, connection: Connection, number: int, gate: Gate, now_ms: Callable[[], int]) -> None:
        super().__init__(connection, number)
        self._gate = gate
        self._now_ms = now_ms
        self._is_known = False
        self._told = 0
        self._leaving: asyncio.Task[None] | None = None

    def leave(self) -> None:
        """Show the client out."""
        self._is_known = False
        self._leaving = asyncio.ensure_future(self._connection.close())

    def _pong(self, message: Json) -> Json:
        request = str(message.get("req_id", ""))
        return {"req_id": request, "op": "pong", "args": [str(self._now_ms())], "conn_id": self.conn_id}

    async def _operate(self, message: Json) -> None:
        if message.get("op") != "auth":
            await super()._operate(message)
            return
        error = self._gate.admit_stream(message.get("args"), self._now_ms())
        await self._answer("auth", message, error)
        if error:
            await self._connection.close()
        self._is_known = not error

    def _error_of(self, topics: Sequence[str], *, is_new: bool) -> str:
        if not self._is_known:
            return "Request not authorized"
        if is_new and any(topic.partition(".")[0] in topics for topic in topics if "." in topic):
            return "error:all-in-one and categorised topics in one request"
        return super()._error_of(topics, is_new=is_new)

    def _is_topic(self, topic: str) -> bool:
        return topic in _PRIVATE_TOPICS or topic in _CATEGORISED

    def _welcome(self, topics: Sequence[str]) -> None:
        """Nothing: there is no first snapshot."""

    def tell(self, name: str, row: Json) -> None:
        """Say that something of the account has changed, to whoever has subscribed to it."""
        for topic in (name, f"{name}.linear"):
            if topic in self.topics:
                self._told += 1
                identity = f"{self.conn_id}-{self._told}"
                frame: Json = {"id": identity, "topic": topic, "creationTime": self._now_ms(), "data": [row]}
                self._push("stream.user", frame)


def _changes(before: dict[str, str], now: dict[str, str]) -> list[list[str]]:
    """Levels that are new or another size, and those that are gone with a size of 0."""
    gone = [[price, "0"] for price in before if price not in now]
    return gone + [[price, size] for price, size in now.items() if before.get(price) != size]
