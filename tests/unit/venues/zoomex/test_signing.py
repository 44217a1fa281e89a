"""Signatures: the documented vectors, and that what is signed is what is sent."""

from unit.venues.zoomex.scripted import CREDENTIALS, Bench, listing, request, run

from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.zoomex import facts
from trading_engine.venues.zoomex.rest import query_text, sign
from trading_engine.venues.zoomex.stream import auth_frame

VECTOR = Credentials("zxTestKey00000001", "zxTestSecret-0123456789abcdef")
TS_MS = 1_767_225_600_000
BODY = (
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.001","price":"60000.5",'
    '"timeInForce":"PostOnly","positionIdx":0,"orderLinkId":"bot-7f3a-entry-01"}'
)


def test_a_query_is_signed_as_the_documentation_shows() -> None:
    """Time, key, window, query, without the question mark."""
    query = query_text((("category", "linear"), ("symbol", "BTCUSDT"), ("orderLinkId", "bot-7f3a-entry-01")))
    assert "category=linear&symbol=BTCUSDT&orderLinkId=bot-7f3a-entry-01" == query
    assert "83783d7fb6791b41e68d1ec26fe3afff42e6b882403515dca867a55b33a0b618" == sign(VECTOR, TS_MS, 5_000, query)


def test_a_call_without_a_query_signs_nothing_more() -> None:
    """The payload is empty."""
    assert "bb712665848fd0fe9eedba3e59f1bfd6d6b1b21f64cdc664f565bc3a1ec84565" == sign(VECTOR, TS_MS, 5_000, "")


def test_a_body_is_signed_byte_for_byte() -> None:
    """Compact JSON of 180 bytes."""
    assert 180 == len(BODY)
    assert "886725f7a9fbd1ed20b8694b28ee67437ff59af396d71309f4ea14b744a54ee5" == sign(VECTOR, TS_MS, 5_000, BODY)


def test_the_stream_signs_its_expiry() -> None:
    """GET/realtime and the instant."""
    expected = (
        '{"req_id":"auth","op":"auth","args":["zxTestKey00000001",1767225610000,'
        '"258d478cb143f43c75c6886ecc7e05e0f63a0cb51e29644366f98120cfe4720e"]}'
    )
    assert expected == auth_frame(VECTOR, 1_767_225_610_000)


def _is_signed(headers: dict[str, str], payload: str) -> bool:
    expected = sign(CREDENTIALS, int(headers["X-BAPI-TIMESTAMP"]), int(headers["X-BAPI-RECV-WINDOW"]), payload)
    return expected == headers["X-BAPI-SIGN"]


def test_what_is_sent_is_what_was_signed() -> None:
    """A body, and a query with a cursor whose escapes come back as they came."""

    async def story(bench: Bench) -> None:
        cursor = "page_args%3Dc6f0%26%2C"
        bench.server.script[facts.POSITIONS] = [listing(_flat(), cursor=cursor), listing()]
        await bench.venue.submit(request())
        await bench.venue.positions()
        (create,) = bench.server.calls(facts.CREATE)
        _, second = bench.server.calls(facts.POSITIONS)
        assert _is_signed(create.headers, create.body)
        assert "application/json" == create.headers["Content-Type"]
        assert second.query.endswith(f"&limit=200&cursor={cursor}")
        assert _is_signed(second.headers, second.query)
        assert "" == second.body
        assert ("test-key", "2") == (second.headers["X-BAPI-API-KEY"], second.headers["X-BAPI-SIGN-TYPE"])

    run(story)


def _flat() -> dict[str, object]:
    return {"symbol": "BTCUSDT", "size": "0", "side": "None", "positionIdx": 0}


def test_the_timestamp_follows_the_venues_clock_and_stays_a_little_behind() -> None:
    """A clock that is a minute wrong signs with the venue's time less the guard."""

    async def story(bench: Bench) -> None:
        offset_ms = await bench.venue.measure_clock()
        assert abs(offset_ms - 60_000) < 500
        await bench.venue.positions()
        (asked,) = bench.server.calls(facts.POSITIONS)
        behind_ms = bench.server.clock.now_ms() - int(asked.headers["X-BAPI-TIMESTAMP"])
        assert 0 < behind_ms < 1_000

    run(story, skew_ms=-60_000)


def test_public_calls_carry_no_key() -> None:
    """Market data is asked for without a header of ours."""

    async def story(bench: Bench) -> None:
        await bench.venue.instruments()
        for asked in bench.server.asked:
            assert not [name for name in asked.headers if name.upper().startswith("X-BAPI")]

    run(story)
