"""Signatures: the vectors, and that what is sent is what was signed."""

import json

import pytest
from unit.venues.bingx.bingx_server import BALANCE, CANCEL, KEY, NOW_MS, SECRET, Bench, play

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.reports import Unknown
from trading_engine.venues.bingx.rest import signature, signed_query

_ATTACHED = {
    "stopLoss": {"type": "STOP_MARKET", "stopPrice": 58000.5, "price": 58000.5, "workingType": "MARK_PRICE"},
    "takeProfit": {"type": "TAKE_PROFIT_MARKET", "stopPrice": 65000, "price": 65000, "workingType": "MARK_PRICE"},
}


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


VECTORS = [
    (
        SECRET,
        {"recvWindow": "5000", "timestamp": "1767225600000"},
        "2e91e892bd00c690f47b31c705b835abc88639e262e318db2117c638ccd6787b",
    ),
    (
        SECRET,
        {
            "clientOrderId": "e7c1a40b92d54f3e8a6655aa01bb02cc",
            "positionSide": "LONG",
            "price": "60000.1",
            "quantity": "0.0012",
            "recvWindow": "5000",
            "side": "BUY",
            "stopLoss": _compact(_ATTACHED["stopLoss"]),
            "symbol": "BTC-USDT",
            "takeProfit": _compact(_ATTACHED["takeProfit"]),
            "timeInForce": "GTC",
            "timestamp": "1767225600123",
            "type": "LIMIT",
        },
        "2ea22db9ad91b6b6b601969f11f6357b75f34c419087f4df8bb13186e4231bc0",
    ),
    (
        SECRET,
        {"clientOrderIdList": '["aa01","bb02"]', "symbol": "BTC-USDT", "timestamp": "1767225600456"},
        "13e0d9f65735b2977bb4efa38cafe4bbcd28e4f8748338e0b755b5f2c7c61c5b",
    ),
    (
        SECRET,
        {
            "batchOrders": '[{"symbol":"ETH-USDT","type":"LIMIT","side":"SELL","positionSide":"SHORT",'
            '"price":4000.25,"quantity":0.02,"clientOrderId":"cc03"}]',
            "timestamp": "1767225600789",
        },
        "ee6555e8de362670f798f4cd18027e891fd6b1dd77ff33247a9f549547fea8fb",
    ),
    (
        "UuGuyEGt6ZEkpUObCYCmIfh0elYsZVh80jlYwpJuRZEw70t6vomMH7Sjmf94ztSI",
        {
            "quoteOrderQty": "20",
            "side": "BUY",
            "symbol": "ETHUSDT",
            "timestamp": "1649404670162",
            "type": "MARKET",
        },
        "428a3c383bde514baff0d10d3c20e5adfaacaf799e324546dafe5ccc480dd827",
    ),
    (
        "mheO6dR8ovSsxZQCOYEFCtelpuxcWGTfHw7te326y6jOwq5WpvFQ9JNljoTwBXZGv5It07m9RXSPpDQEK2w",
        {"recvWindow": "0", "symbol": "BTC-USDT", "timestamp": "1696751141337"},
        "f8d883609dfd31c824feb4de865b071008dedb1d461451fa70847875c8e7a7a2",
    ),
]
QUERY_2 = (
    "clientOrderId=e7c1a40b92d54f3e8a6655aa01bb02cc&positionSide=LONG&price=60000.1&quantity=0.0012&recvWindow=5000"
    "&side=BUY&stopLoss=%7B%22type%22%3A%22STOP_MARKET%22%2C%22stopPrice%22%3A58000.5%2C%22price%22%3A58000.5%2C"
    "%22workingType%22%3A%22MARK_PRICE%22%7D&symbol=BTC-USDT&takeProfit=%7B%22type%22%3A%22TAKE_PROFIT_MARKET%22%2C"
    "%22stopPrice%22%3A65000%2C%22price%22%3A65000%2C%22workingType%22%3A%22MARK_PRICE%22%7D&timeInForce=GTC"
    "&timestamp=1767225600123&type=LIMIT"
    "&signature=2ea22db9ad91b6b6b601969f11f6357b75f34c419087f4df8bb13186e4231bc0"
)
WRONG_2 = "d243fc60d8325fc91107fd8dd48e69be95e52c39b00e4fef3de3578560517ee5"


@pytest.mark.parametrize(("secret", "params", "expected"), VECTORS)
def test_a_query_is_signed_over_its_raw_values(secret: str, params: dict[str, str], expected: str) -> None:
    """Each known vector comes out, whatever the order the parameters were given in."""
    backwards = dict(reversed(params.items()))
    assert expected == signed_query(backwards, secret).rsplit("signature=", 1)[1]


def test_the_address_carries_encoded_values() -> None:
    """The second vector's whole query, byte for byte."""
    assert QUERY_2 == signed_query(VECTORS[1][1], SECRET)


def test_a_signature_over_encoded_values_is_another_one() -> None:
    """The mistake that works until a value needs encoding."""
    encoded = QUERY_2.rsplit("&signature=", 1)[0]
    assert WRONG_2 == signature(encoded, SECRET)
    assert WRONG_2 not in QUERY_2


def test_what_arrives_is_what_was_signed() -> None:
    """A private read carries key, time, window and the signature of the first vector; nothing in the body."""

    async def story(bench: Bench) -> None:
        await bench.venue.balance()

    server = play(story)
    (asked,) = server.calls(BALANCE)
    assert (KEY, b"") == (asked.key, asked.body)
    assert f"recvWindow=5000&timestamp={NOW_MS}&signature={VECTORS[0][2]}" == asked.query


def test_no_secret_is_told_when_a_call_fails() -> None:
    """Neither key nor secret nor signature are in the text of an error or of an outcome in doubt."""

    async def story(bench: Bench) -> None:
        with pytest.raises(VenueUnavailable) as failed:
            await bench.venue.balance()
        outcome = await bench.venue.cancel("BTCUSDT", "teabcd000001e00000", "")
        assert isinstance(outcome, Unknown)
        for told in (str(failed.value), outcome.why):
            assert "/openApi/swap" in told
            assert not any(word in told for word in (KEY, SECRET, "signature", "timestamp"))

    play(story, {BALANCE: None, CANCEL: None})
