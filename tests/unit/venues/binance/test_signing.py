"""What is signed is what is sent."""

import pytest
from unit.venues.binance.scripted import KEY, NOW_MS, SECRET, Answer, Server, play

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.venues.binance.rest import encoded, signature
from trading_engine.venues.binance.venue import BinanceVenue

# The secret and the texts of the venue's public documentation, and signatures computed from them independently.
DOC_SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
STAMP = "recvWindow=5000&timestamp=1591702613943"
VECTORS = [
    (
        f"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&{STAMP}",
        "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
    ),
    (
        f"symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTCquantity=1&price=9000&{STAMP}",
        "30baaf0fab549bbeda7f5ef201898b34122da25fd23c646cac2c529aebe670a4",
    ),
    ("timestamp=1591702613943", "84901bbeed96ffa9adf9995c40fcadcb0a9ddad37c2605ce82491f2c771077a6"),
    (
        f"symbol=%E6%B5%8B%E8%AF%95USDT&side=BUY&type=MARKET&quantity=1&newClientOrderId=eng%3A1%2Fa.B_c-9&{STAMP}",
        "1afadedc240dade20ba1d88e4e1ae3ca82e91bc0a7d4318bb6675b0b7cc45b67",
    ),
    (
        "algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.002&triggerPrice=58000"
        f"&reduceOnly=true&workingType=MARK_PRICE&clientAlgoId=eng-7&{STAMP}",
        "46cf4db9c4d3938e896898b3db324c39311fe1186a0d93d3a1e033793736ae27",
    ),
]


@pytest.mark.parametrize(("text", "expected"), VECTORS)
def test_signatures_equal_the_known_ones(text: str, expected: str) -> None:
    """Documented and independently computed vectors."""
    assert expected == signature(DOC_SECRET, text)


def test_the_documented_mixed_example_signs_a_space_that_it_does_not_send() -> None:
    """The documentation's own mistake: its signature is of a text with a blank, not of the request it shows."""
    documented = "f9d0ae5e813ef6ccf15c2b5a434047a0181cb5a342b903b367ca6d27a66e36f2"
    sent = f"symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTCquantity=1&price=9000&{STAMP}"
    assert documented == signature(DOC_SECRET, sent.replace("timestamp=", "timestamp= "))
    assert documented != signature(DOC_SECRET, sent)


def test_parameters_are_percent_encoded_before_they_are_signed() -> None:
    """Non-ASCII symbols and reserved characters become the fourth vector's text."""
    params = [("symbol", "测试USDT"), ("newClientOrderId", "eng:1/a.B_c-9"), ("note", "a b+c")]
    assert "symbol=%E6%B5%8B%E8%AF%95USDT&newClientOrderId=eng%3A1%2Fa.B_c-9&note=a%20b%2Bc" == encoded(params)


def test_the_signature_comes_last_and_fits_the_bytes_that_arrived() -> None:
    """The server signs what it received and finds the same."""

    async def scene(server: Server, venue: BinanceVenue) -> str:
        server.say("GET /fapi/v3/balance", [{"asset": "USDT", "balance": "1", "availableBalance": "1"}])
        await venue.balance()
        (call,) = server.calls
        assert KEY == call.key
        return call.raw

    text, _, told = play(scene).rpartition("&signature=")
    assert f"recvWindow=5000&timestamp={NOW_MS}" == text
    assert signature(SECRET, text) == told


def test_no_secret_is_told_when_a_call_fails() -> None:
    """Neither key nor signature are in the text of an error."""

    async def scene(server: Server, venue: BinanceVenue) -> str:
        server.say("GET /fapi/v3/balance", Answer(cut=True))
        with pytest.raises(VenueUnavailable) as failed:
            await venue.balance()
        return str(failed.value)

    told = play(scene)
    assert "/fapi/v3/balance" in told
    assert not any(word in told for word in (KEY, SECRET, "signature", "timestamp"))
