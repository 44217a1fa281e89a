"""A recording of Binance USDⓈ-M as a venue: its streams as they were, and the REST calls a client starts with.

What belongs here: what follows from a frame of the tape: who is told, the book, the candles, the minutes of the local
exchange. What does not: reading files (tape), frames (binance_frames), sockets (binance_streams), pacing (serve).

What was not recorded is built from the trades where it can be: candles of every interval, aggregate trades, a mark
price that is the last price. Orders are matched on the recorded candles, as in paper trading.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import cycle

import msgspec

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.domain.time import HOUR_MS, MINUTE_MS, floor_to
from trading_engine.venue_servers.binance import BinanceProtocol
from trading_engine.venue_servers.binance.candles import INTERVALS, joined, kline_event, opened_at
from trading_engine.venue_servers.binance.shapes import Json, decimals, fixed
from trading_engine.venue_servers.exchange import CANDLES_KEPT, LocalExchange
from trading_engine.venue_servers.playback.binance_book import RecordedBook
from trading_engine.venue_servers.playback.binance_facts import KLINE, Contents, Facts, contents
from trading_engine.venue_servers.playback.binance_frames import SNAPSHOT, Recorded, Shift, moved, recorded
from trading_engine.venue_servers.playback.binance_streams import PlaybackStreams
from trading_engine.venue_servers.playback.tape import Tape, TapeFrame
from trading_engine.venues.embedded.matching import POINTS
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.units import Units

_KLINE_PAUSE_MS = 250  # the venue's own pace of forming candles
_MARK_PAUSE_MS = 1_000
_FUNDING_MS = 8 * HOUR_MS


class BinanceRecording:
    """A tape, what is on it, and under which names it is played.

    symbols_to  so many symbols are played: those recorded, and copies named BTC2USDT, BTC3USDT …; 0 for those recorded
    """

    def __init__(self, tape: Tape, symbols_to: int = 0) -> None:
        self.tape = tape
        self.contents = contents(tape)
        self.copies = _copies(self.contents.symbols, symbols_to)
        self.ahead_ms = self.contents.ahead_ms
        self.instruments: list[Instrument] = [
            replace(self.contents.symbols[symbol].instrument, symbol=name)
            for symbol, names in self.copies.items()
            for name in names
        ]

    @property
    def notes(self) -> list[str]:
        """What somebody who plays this should know."""
        told = []
        for name, facts in self.contents.symbols.items():
            if "depth" in facts.topics and facts.snapshot is None:
                told.append(f"{name}: no snapshot of the book was recorded; clients cannot build one")
            if not facts.candles:
                told.append(f"{name}: neither trades nor candles were recorded; there are no candles")
        return told

    def protocol(self, exchange: LocalExchange, credentials: Credentials) -> "BinancePlayback":
        """The venue, on an exchange that was made with `instruments`."""
        return BinancePlayback(self, exchange, credentials)


def _copies(symbols: Iterable[str], symbols_to: int) -> dict[str, tuple[str, ...]]:
    names = {symbol: [symbol] for symbol in symbols}
    if symbols_to and symbols_to < len(names):
        raise ConfigInvalid(
            f"--symbols-to {symbols_to}: the recording holds {len(names)} symbols; give files of fewer", exit_code=2
        )
    for symbol in cycle(names):
        if sum(map(len, names.values())) >= symbols_to:
            break
        base = symbol.removesuffix("USDT")
        names[symbol].append(f"{base}{len(names[symbol]) + 1}{symbol.removeprefix(base)}")
    return {symbol: tuple(all_names) for symbol, all_names in names.items()}


class _Played:
    """One recorded symbol as far as the tape has come; `candle` is the forming minute, None before the first trade."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.instrument = facts.instrument
        self.symbol = facts.instrument.symbol
        self.book = RecordedBook(facts)
        self.prices, self.quantities = Units(self.instrument.tick), Units(self.instrument.step)
        self.shift = Shift()
        self.candle: Candle | None = None
        self.kline_ms = 0
        self.mark_ms = 0
        self.agg_trades = 0
        self.trades_topic = "trade" if "trade" in facts.topics else "aggTrade"
        self.builds_candles = KLINE not in facts.topics
        self.builds_agg_trades = "trade" in facts.topics and "aggTrade" not in facts.topics
        self.builds_marks = "markPrice" not in facts.topics

    def minute(self, open_ms: int) -> Candle | None:
        """The candle of a minute as the whole tape has it, in any turn."""
        candles, turn_ms = self.facts.candles, self.facts.shift.time_ms
        if not candles:
            return None
        first_ms = min(candles)
        place_ms = first_ms + (open_ms - first_ms) % turn_ms if turn_ms else open_ms
        found = candles.get(place_ms)
        return None if found is None else found._replace(open_time_ms=open_ms)


class BinancePlayback(BinanceProtocol):
    """The venue of a recording. `play` for each frame of the tape, `turn` before it begins again."""

    def __init__(self, recording: BinanceRecording, exchange: LocalExchange, credentials: Credentials) -> None:
        super().__init__(exchange, credentials, streams=PlaybackStreams)
        assert isinstance(self._streams, PlaybackStreams)  # noqa: S101 - asked for in the line above
        self.streams: PlaybackStreams = self._streams
        self.streams.copies = self._copies = recording.copies
        self._contents: Contents = recording.contents
        self._played = {name: _Played(facts) for name, facts in recording.contents.symbols.items()}
        for symbol, names in recording.copies.items():
            for name in names:
                self._market.books[name] = self._played[symbol].book
        now_ms = exchange.now_ms()
        self._minute_ms = floor_to(now_ms, MINUTE_MS)
        self._points = 0
        self._due_ms = now_ms
        if recording.tape.turn_ms:
            self._remember(self._minute_ms - CANDLES_KEPT * MINUTE_MS, self._minute_ms)

    # ── the tape ────────────────────────────────────────────────────────────

    def turn(self, number: int) -> None:
        """The tape begins again, for the `number`-th time."""
        for played in self._played.values():
            once = played.facts.shift
            played.shift = Shift(*(number * amount for amount in once))
            played.book.turn(number)

    def play(self, frame: TapeFrame, now_ms: int) -> None:
        """A frame has come, `now_ms` by the venue's clock."""
        if now_ms >= self._due_ms:
            self._pass_time(now_ms)
        event = recorded(frame.raw)
        if event is None:
            if frame.raw.startswith(SNAPSHOT):
                self._played[self._contents.symbol_of_file[frame.file]].book.restore(frame.raw)
            return
        played = self._played[event.symbol]
        if event.kind == "depthUpdate":
            is_told, bridge = played.book.apply(frame.raw, now_ms)
            if bridge is not None:
                self._tell(played, "depth", bridge)
            if not is_told:
                return
        if self.streams.wants(event.symbol, event.topic):
            self.streams.tell(event.symbol, event.topic, moved(event, played.shift))
        if event.topic == played.trades_topic:
            self._trade(played, event, now_ms)

    def _tell(self, played: _Played, topic: str, event: Json) -> None:
        self.streams.tell(played.symbol, topic, msgspec.json.encode(event).decode())

    # ── what is built from trades ───────────────────────────────────────────

    def _trade(self, played: _Played, event: Recorded, now_ms: int) -> None:
        price, quantity = played.prices[event.text("p")], played.quantities[event.text("q")]
        if not quantity or event.text("X") not in ("", "MARKET"):
            return
        ts_ms = event.number("T") + played.shift.time_ms
        if played.builds_agg_trades and self.streams.wants(played.symbol, "aggTrade"):
            played.agg_trades += 1
            self._tell(played, "aggTrade", _agg_trade(event, played, ts_ms, now_ms))
        open_ms = floor_to(ts_ms, MINUTE_MS)
        forming = played.candle
        if forming is None or open_ms > forming.open_time_ms:
            if forming is not None and played.builds_candles:
                self._tell_closed(played, forming.open_time_ms, open_ms, now_ms)
            played.candle = Candle(played.symbol, open_ms, MINUTE_MS, price, price, price, price, quantity)
        elif open_ms == forming.open_time_ms:
            high, low = max(forming.high, price), min(forming.low, price)
            volume = forming.volume + quantity
            played.candle = forming._replace(high=high, low=low, close=price, volume=volume)
        if played.candle is not None and played.builds_candles and now_ms - played.kline_ms >= _KLINE_PAUSE_MS:
            played.kline_ms = now_ms
            self._tell_candle(played, played.candle, now_ms, is_closed=False)

    def _tell_closed(self, played: _Played, from_ms: int, until_ms: int, now_ms: int) -> None:
        """The last word on the minutes that open in [from_ms, until_ms)."""
        for open_ms in range(from_ms, until_ms, MINUTE_MS):
            candle = played.minute(open_ms)
            if candle is not None:
                self._tell_candle(played, candle, now_ms, is_closed=True)

    def _tell_candle(self, played: _Played, minute: Candle, now_ms: int, *, is_closed: bool) -> None:
        for interval in self.streams.intervals(played.symbol):
            if interval not in INTERVALS:
                continue
            since_ms = opened_at(minute.open_time_ms, interval)
            count = (minute.open_time_ms - since_ms) // MINUTE_MS
            older = self.exchange.markets[played.symbol].closed[-count - 1 :]
            parts = [one for one in older if since_ms <= one.open_time_ms < minute.open_time_ms]
            row = joined([*parts, minute], interval)[-1]
            is_final = is_closed and minute.close_time_ms == row.close_time_ms
            kline = kline_event(played.instrument, row, interval, is_closed=is_final)
            event = {"e": "kline", "E": now_ms, "s": played.symbol, "k": kline}
            self._tell(played, f"kline_{interval}", event)

    def _tell_mark(self, played: _Played, now_ms: int) -> None:
        if played.candle is None or not self.streams.wants(played.symbol, "markPrice"):
            return
        instrument = played.instrument
        price = fixed(instrument.ticks_to_price(played.candle.close), decimals(instrument.tick))
        settles_ms = (now_ms // _FUNDING_MS + 1) * _FUNDING_MS
        prices = dict.fromkeys(("p", "ap", "i", "P"), price)
        head = {"e": "markPriceUpdate", "E": now_ms, "s": played.symbol}
        self._tell(played, "markPrice", {**head, **prices, "r": "0.00000000", "T": settles_ms})

    # ── the local exchange ──────────────────────────────────────────────────

    def _pass_time(self, now_ms: int) -> None:
        """Let the exchange's minutes pass, and say what is said each second."""
        while now_ms >= self._minute_ms + MINUTE_MS:
            self._play_minute(POINTS)
            self._minute_ms += MINUTE_MS
            self._points = 0
        points = min((now_ms - self._minute_ms) * POINTS // MINUTE_MS + 1, POINTS - 1)
        if points > self._points:
            self._points = points
            self._play_minute(points)
        for played in self._played.values():
            if played.builds_marks and now_ms - played.mark_ms >= _MARK_PAUSE_MS:
                played.mark_ms = now_ms
                self._tell_mark(played, now_ms)
        self._due_ms = now_ms + _KLINE_PAUSE_MS

    def _play_minute(self, points: int) -> None:
        candles = self._candles(self._minute_ms)
        if candles:
            self.exchange.play(self._minute_ms, candles, (), points)

    def _remember(self, from_ms: int, until_ms: int) -> None:
        """The turns that an endless tape had before it began, for those who ask for history."""
        for open_ms in range(from_ms, until_ms, MINUTE_MS):
            for candle in self._candles(open_ms):
                self.exchange.markets[candle.symbol].closed.append(candle)

    def _candles(self, open_ms: int) -> list[Candle]:
        found: list[Candle] = []
        for symbol, names in self._copies.items():
            candle = self._played[symbol].minute(open_ms)
            if candle is not None:
                found.extend(candle._replace(symbol=name) for name in names)
        return found


def _agg_trade(event: Recorded, played: _Played, ts_ms: int, now_ms: int) -> Json:
    """A trade as an aggregate of one."""
    number = event.number("t") + played.shift.trades
    quantity = event.text("q")
    return {
        "e": "aggTrade",
        "E": now_ms,
        "s": played.symbol,
        "a": played.agg_trades,
        "p": event.text("p"),
        "q": quantity,
        "nq": quantity,
        "f": number,
        "l": number,
        "T": ts_ms,
        "m": event.text("m") == "true",
    }


PlaybackTable = Mapping[str, type[BinanceRecording]]
PLAYBACKS: PlaybackTable = {"binance": BinanceRecording}
