"""What BingX's public frames say."""

import gzip
import json
from decimal import Decimal

import msgspec
import pytest
from builders import make_instrument

from trading_engine.domain.market import Candle
from trading_engine.domain.streams import (
    CandleUpdate,
    DepthChange,
    DepthSnapshot,
    MarketEvent,
    MarkPrice,
    Quote,
    Trade,
)
from trading_engine.venues.bingx.market_events import MarketDecoder
from trading_engine.venues.bingx.stream import unpacked
from trading_engine.venues.wire.topics import Broken, Refused, Reply, Said

BTC = "BTCUSDT"
T = 1_767_225_600_000
BOOK = "BTC-USDT@incrDepth"
TRADES = "BTC-USDT@trade"


@pytest.fixture
def decoder() -> MarketDecoder:
    """For one contract with a tick of 0.1 and a step of 0.01."""
    made = MarketDecoder()
    for channel in ("kline_1m", "kline_9m", "trade", "markPrice", "bookTicker", "incrDepth", "lastPrice"):
        made.expect(f"BTC-USDT@{channel}", make_instrument(BTC))
    return made


def frame(topic: str, data: object, **more: object) -> bytes:
    return json.dumps({"code": 0, "dataType": topic, **more, "data": data}).encode()


def bar(open_ms: int, close: str) -> dict[str, object]:
    return {"c": close, "o": "100.0", "h": "101.00", "l": "99.9", "v": "12.345", "T": open_ms}


def trade(ts_ms: int, price: str) -> dict[str, object]:
    return {"q": "0.20", "p": price, "T": ts_ms, "m": True, "s": "BTC-USDT"}


def book(action: str, last_id: int, bids: object, asks: object) -> bytes:
    return frame(BOOK, {"action": action, "lastUpdateId": last_id, "time": T, "bids": bids, "asks": asks})


def told(decoder: MarketDecoder, raw: bytes) -> list[MarketEvent]:
    """The events of a frame that says something."""
    heard = decoder.read(raw)
    assert isinstance(heard, Said)
    return list(heard.events)


def test_frames_come_packed_and_are_recorded_as_text() -> None:
    """What is plain stays as it is."""
    assert b'{"code":0}' == unpacked(gzip.compress(b'{"code":0}'))
    assert b'{"code":0}' == unpacked(b'{"code":0}')


def test_a_heartbeat_is_answered(decoder: MarketDecoder) -> None:
    """In plain text, or in the JSON of the venue's other sockets."""
    assert Reply("Pong") == decoder.read(b"Ping")
    assert Reply('{"pong":"abc","time":"now"}') == decoder.read(b'{"ping":"abc","time":"now"}')


def test_candles_are_put_in_order_and_never_final(decoder: MarketDecoder) -> None:
    """The open time stands for the time that the message does not have."""
    first = CandleUpdate(Candle(BTC, T, 60_000, 1000, 1010, 999, 1005, 1234), is_final=False, ts_ms=T)
    second = CandleUpdate(
        Candle(BTC, T + 60_000, 60_000, 1000, 1010, 999, 1000, 1234), is_final=False, ts_ms=T + 60_000
    )
    raw = frame("BTC-USDT@kline_1m", [bar(T + 60_000, "100.0"), bar(T, "100.5")], s="BTC-USDT")
    assert [first, second] == told(decoder, raw)


def test_quotes_and_marks_are_read(decoder: MarketDecoder) -> None:
    """A mark comes without index and funding; a quote has the time of its prices, not of its message."""
    quote = {"e": "bookTicker", "u": 7, "E": T + 9, "T": T, "s": "BTC-USDT", "b": "100.4", "B": "1.00"}
    raw = frame("BTC-USDT@bookTicker", quote | {"a": "100.5", "A": "0.01"})
    assert [Quote(BTC, 7, T, 1004, 100, 1005, 1)] == told(decoder, raw)
    mark = {"e": "markPriceUpdate", "E": T, "s": "BTC-USDT", "p": "100.123"}
    expected = MarkPrice(BTC, T, Decimal("100.123"), None, None, 0)
    assert [expected] == told(decoder, frame("BTC-USDT@markPrice", mark))


def test_trades_are_told_oldest_first_and_a_backlog_only_once(decoder: MarketDecoder) -> None:
    """A new subscription repeats what was told, and fills what was missed."""
    first = told(decoder, frame(TRADES, [trade(T + 2, "100.2"), trade(T + 1, "100.1")]))
    assert [Trade(BTC, 0, T + 1, 1001, 20, is_buyer_maker=True), Trade(BTC, 0, T + 2, 1002, 20, True)] == first
    assert 1 == len(told(decoder, frame(TRADES, [trade(T + 2, "100.3")])))
    decoder.forget(TRADES)
    again = told(decoder, frame(TRADES, [trade(T + 5, "100.5"), trade(T + 2, "100.3"), trade(T + 1, "100.1")]))
    assert [T + 5] == [one.ts_ms for one in again if isinstance(one, Trade)]


def test_a_book_begins_with_its_snapshot_and_every_rising_id_joins(decoder: MarketDecoder) -> None:
    """Asks come with the worst first; ids are skipped by the venue itself."""
    assert decoder.read(book("update", 6, [["100.0", "1.00"]], [])) is None
    raw = book("all", 7, [["100.0", "1.00"]], [["100.2", "3.00"], ["100.1", "2.00"]])
    assert [DepthSnapshot(BTC, 7, T, [(1000, 100)], [(1002, 300), (1001, 200)])] == told(decoder, raw)
    assert [DepthChange(BTC, 8, 8, 7, T, [(1000, 0)], [])] == told(decoder, book("update", 8, [["100.0", "0.00"]], []))
    assert [DepthChange(BTC, 9, 12, 8, T, [], [(1001, 1)])] == told(
        decoder, book("update", 12, [], [["100.1", "0.01"]])
    )


def test_an_id_that_does_not_rise_ends_the_book(decoder: MarketDecoder) -> None:
    """So does a change that cannot be read: what follows would be built on a hole."""
    told(decoder, book("all", 7, [["100.0", "1.00"]], [["100.1", "2.00"]]))
    assert Broken(BOOK, "change 7 after 7") == decoder.read(book("update", 7, [], []))
    heard = decoder.read(book("update", 8, [["100.05", "1.00"]], []))
    assert isinstance(heard, Broken)
    assert "100.05" in heard.why
    decoder.forget(BOOK)
    assert decoder.read(book("update", 9, [], [])) is None


def test_a_refusal_names_the_topic_that_was_asked_for(decoder: MarketDecoder) -> None:
    """An acknowledgement says nothing."""
    decoder.asked["id-1"] = "BTC-USDT@nope"
    assert decoder.read(b'{"id":"id-2","code":0,"msg":"","dataType":"","data":null}') is None
    raw = b'{"id":"id-1","code":80015,"msg":"dataType not support","dataType":"","data":null}'
    assert Refused("80015: dataType not support", "BTC-USDT@nope") == decoder.read(raw)
    assert {} == decoder.asked


def test_what_is_of_no_use_proves_that_its_topic_lives(decoder: MarketDecoder) -> None:
    """Topics that nobody asked for prove nothing."""
    assert Said("BTC-USDT@lastPrice") == decoder.read(frame("BTC-USDT@lastPrice", {"c": "100.0"}))
    assert decoder.read(frame("ETH-USDT@markPrice", {"E": T, "p": "1"})) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense",
        frame("BTC-USDT@kline_1m", [bar(T, "100.05")]),
        frame("BTC-USDT@kline_9m", [bar(T, "100.0")]),
        frame("BTC-USDT@markPrice", {"E": T}),
        frame(TRADES, [trade(T, "x")]),
    ],
)
def test_what_is_not_understood_is_refused(decoder: MarketDecoder, raw: bytes) -> None:
    """Prices off the tick too: the contract has changed, and trading on would be on wrong numbers."""
    with pytest.raises((ValueError, msgspec.DecodeError)):
        decoder.read(raw)
