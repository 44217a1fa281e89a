"""What the venue's public frames say, raw and wrapped."""

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
from trading_engine.venues.binance.market import Answered, MarketDecoder, interval_of, topics_of

BTC = "BTCUSDT"
T = 1_735_689_600_123
KLINE = (
    b'{"e":"kline","E":1735689600123,"s":"BTCUSDT","st":1,"k":{"t":1735689540000,"T":1735689599999,"s":"BTCUSDT",'
    b'"i":"1m","f":1,"L":2,"o":"100.0","c":"100.5","h":"101.00","l":"99.90","v":"12.345","n":2,"x":true,"q":"1"}}'
)
FRAMES: list[tuple[bytes, MarketEvent]] = [
    (KLINE, CandleUpdate(Candle(BTC, 1_735_689_540_000, 60_000, 1000, 1010, 999, 1005, 1234), is_final=True, ts_ms=T)),
    (
        b'{"e":"aggTrade","E":1735689600200,"a":77,"s":"BTCUSDT","p":"100.5","q":"0.20","nq":"0.1","f":3,"l":5,'
        b'"T":1735689600123,"m":true}',
        Trade(BTC, 77, T, 1005, 20, is_buyer_maker=True),
    ),
    (
        b'{"e":"trade","E":1735689600200,"T":1735689600123,"s":"BTCUSDT","t":9,"p":"100.5","q":"0.20","X":"MARKET",'
        b'"m":false}',
        Trade(BTC, 9, T, 1005, 20, is_buyer_maker=False),
    ),
    (
        b'{"e":"trade","E":1735689600200,"T":1735689600123,"s":"BTCUSDT","t":9,"p":"90.5","q":"0.20",'
        b'"X":"INSURANCE_FUND","m":false}',
        Trade(BTC, 9, T, 905, 20, is_buyer_maker=False, is_matched=False),
    ),
    (
        b'{"e":"markPriceUpdate","E":1735689600123,"s":"BTCUSDT","p":"100.12345678","P":"1","i":"100.2","r":"0.0001",'
        b'"T":1735718400000}',
        MarkPrice(BTC, T, Decimal("100.12345678"), Decimal("100.2"), Decimal("0.0001"), 1_735_718_400_000),
    ),
    (
        b'{"e":"bookTicker","u":55,"s":"BTCUSDT","b":"100.4","B":"1.00","a":"100.50","A":"0.01","T":1735689600123,'
        b'"E":1735689600124}',
        Quote(BTC, 55, T, 1004, 100, 1005, 1),
    ),
    (
        b'{"e":"depthUpdate","E":1735689600124,"T":1735689600123,"s":"BTCUSDT","U":5,"u":9,"pu":3,'
        b'"b":[["100.4","0.00"],["100.3","2.50"]],"a":[]}',
        DepthChange(BTC, 5, 9, 3, T, [(1004, 0), (1003, 250)], []),
    ),
    (
        b'{"e":"forceOrder","E":1735689600124,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.10",'
        b'"p":"99.1","ap":"99.25","X":"FILLED","l":"0.10","z":"0.10","T":1735689600123}}',
        Liquidation(BTC, T, TradeSide.SELL, Decimal("99.25"), 10),
    ),
]


@pytest.fixture
def decoder() -> MarketDecoder:
    """For one contract with a tick of 0.1 and a step of 0.01."""
    return MarketDecoder([make_instrument(BTC)])


@pytest.mark.parametrize(("frame", "event"), FRAMES, ids=lambda value: type(value).__name__)
def test_a_frame_is_the_same_raw_and_wrapped(decoder: MarketDecoder, frame: bytes, event: MarketEvent) -> None:
    """Prices in ticks, quantities in steps, times of the venue; unknown keys are ignored."""
    assert event == decoder.decode(frame)
    assert event == decoder.decode(b'{"stream":"btcusdt@x","data":' + frame + b"}")
    assert event == decoder.decode(b'{"new":1,' + frame[1:])


def test_symbols_that_are_not_ours_are_skipped(decoder: MarketDecoder) -> None:
    """Streams of all symbols carry others too."""
    assert decoder.decode(KLINE.replace(b"BTCUSDT", b"BTCUSD_PERP")) is None


def test_a_contract_without_funding_has_a_rate_of_zero(decoder: MarketDecoder) -> None:
    """Contracts with a delivery date tell an empty rate."""
    event = decoder.decode(FRAMES[4][0].replace(b'"0.0001"', b'""'))
    assert isinstance(event, MarkPrice)
    assert Decimal(0) == event.funding_rate


def test_a_price_off_the_tick_is_refused(decoder: MarketDecoder) -> None:
    """The instrument has changed: nothing is rounded."""
    with pytest.raises(ValueError, match="not a multiple"):
        decoder.decode(FRAMES[2][0].replace(b'"100.5"', b'"100.55"'))


@pytest.mark.parametrize(
    "frame", [b"", b"nonsense", b"[]", b'{"e":"novelty"}', b'{"stream":"x","data":{"e":"novelty"}}', b'{"e":"kline"}']
)
def test_what_is_no_frame_is_refused(decoder: MarketDecoder, frame: bytes) -> None:
    """With an error that the caller can count."""
    with pytest.raises((msgspec.DecodeError, ValueError)):
        decoder.decode(frame)


def test_a_number_that_is_none_is_refused(decoder: MarketDecoder) -> None:
    """Text where a price should be."""
    with pytest.raises(ValueError, match="is no number"):
        decoder.decode(FRAMES[2][0].replace(b'"100.5"', b'"NaN?"'))


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b'{"result":null,"id":3}', ""),
        (b'{"code":2,"msg":"Invalid request","id":3}', "2: Invalid request"),
        (b'{"error":{"code":3,"msg":"Invalid JSON"},"id":3}', "3: Invalid JSON"),
    ],
)
def test_answers_to_subscriptions_are_told_apart(decoder: MarketDecoder, frame: bytes, error: str) -> None:
    """Agreed or refused, with the number of the request."""
    assert Answered(3, error) == decoder.decode(frame)


def test_the_depth_of_the_rest_api_is_a_snapshot(decoder: MarketDecoder) -> None:
    """Levels as in changes."""
    body = b'{"lastUpdateId":123,"E":1,"T":1735689600123,"bids":[["100.3","4.50"]],"asks":[["100.40","0.07"]]}'
    assert DepthSnapshot(BTC, 123, T, [(1003, 450)], [(1004, 7)]) == decoder.snapshot(BTC, body)


def test_intervals_and_names_of_streams() -> None:
    """Minutes, hours and days; symbols in lower case."""
    assert [60_000, 14_400_000, 86_400_000] == [interval_of(name) for name in ("1m", "4h", "1d")]
    with pytest.raises(ValueError, match="'1M' is no interval"):
        interval_of("1M")
    assert ("btcusdt@kline_1m", "btcusdt@trade") == topics_of([BTC], ["kline_1m", "trade"])
