"""What Zoomex's public frames say."""

import json
from decimal import Decimal

import msgspec
import pytest
from builders import make_instrument

from trading_engine.domain.market import Candle
from trading_engine.domain.orders import TradeSide
from trading_engine.domain.streams import (
    CandleUpdate,
    DepthChange,
    DepthSnapshot,
    Liquidation,
    MarketEvent,
    MarkPrice,
    Quote,
    Trade,
)
from trading_engine.venues.wire.topics import Broken, Refused, Said
from trading_engine.venues.zoomex.market_events import MarketDecoder

BTC = "BTCUSDT"
T = 1_767_225_688_882
BOOK, BEST, TICKER = "orderbook.200.BTCUSDT", "orderbook.1.BTCUSDT", "tickers.BTCUSDT"
TOPICS = (BOOK, BEST, TICKER, "kline.1.BTCUSDT", "kline.M.BTCUSDT", "publicTrade.BTCUSDT", "allLiquidation.BTCUSDT")


@pytest.fixture
def decoder() -> MarketDecoder:
    """For one contract with a tick of 0.1 and a step of 0.01."""
    made = MarketDecoder()
    for topic in (*TOPICS, "priceLimit.BTCUSDT"):
        made.expect(topic, make_instrument(BTC))
    return made


def frame(topic: str, data: object, kind: str = "snapshot") -> bytes:
    return json.dumps({"topic": topic, "type": kind, "ts": T, "data": data, "cts": T - 5}).encode()


def book(kind: str, update: int, bids: object, asks: object, topic: str = BOOK) -> bytes:
    return frame(topic, {"s": "BTC2USDT", "b": bids, "a": asks, "u": update, "seq": 264_183_962_431}, kind)


def told(decoder: MarketDecoder, raw: bytes) -> list[MarketEvent]:
    """The events of a frame that says something."""
    heard = decoder.read(raw)
    assert isinstance(heard, Said)
    return list(heard.events)


def test_a_candle_is_final_when_the_venue_confirms_it(decoder: MarketDecoder) -> None:
    """Prices in ticks, the volume in whole steps."""
    open_ms = 1_767_225_600_000
    row = {"start": open_ms, "end": open_ms + 59_999, "interval": "1", "open": "100.0", "close": "100.50"}
    row |= {"high": "101", "low": "99.9", "volume": "12.345", "turnover": "1", "timestamp": T}
    candle = Candle(BTC, open_ms, 60_000, 1000, 1010, 999, 1005, 1234)
    for is_final in (False, True):
        raw = frame("kline.1.BTCUSDT", [row | {"confirm": is_final}])
        assert [CandleUpdate(candle, is_final, T)] == told(decoder, raw)


def test_trades_name_the_aggressor_and_those_beside_the_book(decoder: MarketDecoder) -> None:
    """They come oldest first and without numbers."""
    row = {"T": T, "s": BTC, "S": "Buy", "v": "0.20", "p": "100.50", "L": "PlusTick", "i": "20f43950", "BT": False}
    raw = frame("publicTrade.BTCUSDT", [row, row | {"S": "Sell", "BT": True}])
    expected = [Trade(BTC, 0, T, 1005, 20, is_buyer_maker=False), Trade(BTC, 0, T, 1005, 20, True, is_matched=False)]
    assert expected == told(decoder, raw)


def test_a_ticker_is_put_together_from_its_changes(decoder: MarketDecoder) -> None:
    """A change before the whole says nothing, one of other figures only that the topic lives."""
    assert decoder.read(frame(TICKER, {"symbol": BTC, "markPrice": "99"}, "delta")) is None
    whole = {"symbol": BTC, "markPrice": "100.1", "indexPrice": "100.2", "fundingRate": "0.0001", "lastPrice": "100"}
    raw = frame(TICKER, whole | {"nextFundingTime": "1767254400000"})
    first = MarkPrice(BTC, T, Decimal("100.1"), Decimal("100.2"), Decimal("0.0001"), 1_767_254_400_000)
    assert [first] == told(decoder, raw)
    second = first._replace(mark_price=Decimal("100.3"))
    assert [second] == told(decoder, frame(TICKER, {"symbol": BTC, "markPrice": "100.3"}, "delta"))
    assert [] == told(decoder, frame(TICKER, {"symbol": BTC, "bid1Price": "100.0"}, "delta"))
    decoder.forget(TICKER)
    assert decoder.read(frame(TICKER, {"symbol": BTC, "markPrice": "100.4"}, "delta")) is None


def test_the_best_of_the_book_is_a_quote_by_its_topic(decoder: MarketDecoder) -> None:
    """Whatever the symbol inside says; half a book is no quote."""
    raw = book("snapshot", 5, [["100.4", "1.00"]], [["100.5", "0.01"]], BEST)
    assert [Quote(BTC, 5, T, 1004, 100, 1005, 1)] == told(decoder, raw)
    assert [] == told(decoder, book("snapshot", 6, [], [["100.5", "0.01"]], BEST))


def test_a_book_goes_on_by_one_and_begins_anew_with_each_snapshot(decoder: MarketDecoder) -> None:
    """Also where the numbers begin again at 1."""
    assert decoder.read(book("delta", 6, [], [])) is None
    whole = book("snapshot", 7, [["100.0", "1.00"]], [["100.1", "2.00"]])
    assert [DepthSnapshot(BTC, 7, T, [(1000, 100)], [(1001, 200)])] == told(decoder, whole)
    assert [DepthChange(BTC, 8, 8, 7, T, [(1000, 0)], [])] == told(decoder, book("delta", 8, [["100.0", "0"]], []))
    assert [DepthSnapshot(BTC, 1, T, [], [])] == told(decoder, book("snapshot", 1, [], []))
    assert [DepthChange(BTC, 2, 2, 1, T, [], [])] == told(decoder, book("delta", 2, [], []))


@pytest.mark.parametrize("update", [7, 9])
def test_a_number_that_is_not_the_next_ends_the_book(decoder: MarketDecoder, update: int) -> None:
    """A repetition as well as a gap."""
    told(decoder, book("snapshot", 7, [], []))
    assert Broken(BOOK, f"update {update} after 7") == decoder.read(book("delta", update, [], []))


def test_a_change_that_cannot_be_read_ends_the_book(decoder: MarketDecoder) -> None:
    """What follows would be built on a hole."""
    told(decoder, book("snapshot", 7, [], []))
    assert isinstance(decoder.read(book("delta", 8, [["100.05", "1"]], [])), Broken)


def test_a_liquidation_has_the_side_of_the_order_that_did_it(decoder: MarketDecoder) -> None:
    """The venue names the side of the position: a long one is sold."""
    raw = frame("allLiquidation.BTCUSDT", [{"T": T, "s": BTC, "S": "Buy", "v": "0.10", "p": "99.25"}])
    assert [Liquidation(BTC, T, TradeSide.SELL, Decimal("99.25"), 10)] == told(decoder, raw)


def test_answers_are_no_news_and_a_refusal_names_its_topic(decoder: MarketDecoder) -> None:
    """A topic that goes on already is no refusal."""
    good = b'{"success":true,"ret_msg":"pong","conn_id":"c","req_id":"1","op":"ping"}'
    twice = b'{"success":false,"ret_msg":"error:already subscribed,topic:kline.1.BTCUSDT","op":"subscribe"}'
    assert decoder.read(good) is decoder.read(twice) is None
    raw = b'{"success":false,"ret_msg":"error:handler not found,topic:nope.BTCUSDT","op":"subscribe"}'
    assert Refused("error:handler not found,topic:nope.BTCUSDT", "nope.BTCUSDT") == decoder.read(raw)


def test_what_is_of_no_use_proves_that_its_topic_lives(decoder: MarketDecoder) -> None:
    """Topics that nobody asked for prove nothing."""
    assert Said("priceLimit.BTCUSDT") == decoder.read(frame("priceLimit.BTCUSDT", {}))
    assert decoder.read(frame("tickers.ETHUSDT", {})) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense",
        frame("kline.1.BTCUSDT", [{"start": 1}]),
        frame("kline.M.BTCUSDT", []),
        frame("publicTrade.BTCUSDT", [{"T": T, "S": "Buy", "v": "0.2", "p": "100.05"}]),
        frame(TICKER, {"symbol": BTC}),
    ],
)
def test_what_is_not_understood_is_refused(decoder: MarketDecoder, raw: bytes) -> None:
    """Prices off the tick too: the contract has changed, and trading on would be on wrong numbers."""
    with pytest.raises((ValueError, msgspec.DecodeError)):
        decoder.read(raw)
