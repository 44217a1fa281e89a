"""Every code of the table and every way of failing without one, to its verdict."""

import json
from decimal import Decimal

import pytest
from unit.venues.binance.scripted import OURS, Answer, Server, SetClock, plain, play

from trading_engine.domain.errors import RateLimited, VenueRejected, VenueUnavailable
from trading_engine.domain.events import ClockMeasured
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderRequest, TradeSide
from trading_engine.domain.reports import Outcome, Rejected, Unknown
from trading_engine.venues.binance import errors, limits
from trading_engine.venues.binance.venue import BinanceVenue
from trading_engine.venues.wire.transport import Reply

ENTRY = OrderRequest(OURS, "BTCUSDT", TradeSide.BUY, OrderType.MARKET, Decimal("0.01"), False, Side.LONG)
EXIT = OrderRequest(OURS, "BTCUSDT", TradeSide.SELL, OrderType.MARKET, Decimal("0.01"), True, Side.LONG)

# What a submit must answer, written down apart from the table: a code of Rejected, or None for Unknown.
VERDICTS: dict[str | None, tuple[int, ...]] = {
    None: (-1000, -1001, -1006, -1007, -4116),
    "busy": (-1003, -1008, -1015, -1016, -4117, -5043),
    "clock": (-1021, -5028),
    "key": (-1002, -1011, -1022, -1099, -2014, -2015, -2017, -4056, -4057, -4109, -4192, -4402, -4403),
    "already": (-4046, -4059, -4171, -5027),
    "not_open": (-2011,),
    "not_found": (-2013, -1125),
}
_SPECIAL = {code for codes in VERDICTS.values() for code in codes}
REFUSED = [int(code) for code in errors.TABLE.meanings if int(code) not in _SPECIAL]
CASES = [(code, verdict) for verdict, codes in VERDICTS.items() for code in codes]
CASES += [(code, str(code)) for code in REFUSED]
MUST_REFUSE = (-2010, -2018, -2019, -2021, -2022, -2025, -2027, -4003, -4014, -4023, -4045, -4120, -4131, -4164, -5022)


def reply(status: int, body: object) -> Reply:
    return Reply(status, {}, (body if isinstance(body, str) else json.dumps(body)).encode())


def verdict(status: int, body: object) -> Outcome:
    refused = errors.refusal(reply(status, body))
    assert refused is not None
    return refused.outcome


@pytest.mark.parametrize(("code", "expected"), CASES)
def test_a_listed_code_has_its_verdict(code: int, expected: str | None) -> None:
    """With the usual status 400 and some text."""
    outcome = verdict(400, {"code": code, "msg": "said by the venue"})
    if expected is None:
        assert isinstance(outcome, Unknown)
    else:
        assert isinstance(outcome, Rejected)
        assert (expected, f"{code}: said by the venue") == (outcome.code, outcome.reason)


def test_the_refusals_that_matter_most_are_listed() -> None:
    """The money, grid, stop and post-only refusals are proofs."""
    assert set(MUST_REFUSE) <= set(REFUSED)


@pytest.mark.parametrize("code", [-1, -9999, -1109, 239999, -42])
def test_an_unlisted_code_proves_nothing(code: int) -> None:
    """What is not in the table may have been executed."""
    assert isinstance(verdict(400, {"code": code, "msg": "new"}), Unknown)


UNKNOWN_SEND = "Unknown error, please check your request or try again later."
INTERNAL = "Internal error; unable to process your request. Please try again."
HTTP = [
    (503, {"code": -1000, "msg": UNKNOWN_SEND}, None),
    (503, {"msg": UNKNOWN_SEND}, None),
    (503, {"msg": "Service Unavailable."}, "busy"),
    (503, {"code": 0, "msg": "Service Unavailable."}, "busy"),
    (503, "Service Unavailable.", "busy"),
    (503, "<html>503 Service Unavailable</html>", None),
    (503, {"code": -1001, "msg": INTERNAL}, None),
    (503, {"code": -1008, "msg": "Request throttled by system-level protection."}, "busy"),
    (500, {"code": -2019, "msg": "Margin is insufficient."}, None),
    (502, "<html>bad gateway</html>", None),
    (504, "", None),
    (408, {"code": -1007, "msg": "Timeout"}, None),
    (408, {"code": -2019, "msg": "Margin is insufficient."}, None),
    (403, "<html>WAF</html>", None),
    (400, "not json", None),
    (400, {"msg": "no code"}, None),
    (301, "", None),
    (429, {"code": -1003, "msg": "Too many requests"}, "busy"),
    (418, "", "busy"),
    (200, {"code": -2019, "msg": "Margin is insufficient."}, "-2019"),
    (400, {"code": -2010, "msg": "Duplicate order sent."}, None),
]


@pytest.mark.parametrize(("status", "body", "expected"), HTTP)
def test_status_and_text_decide_where_the_code_does_not(status: int, body: object, expected: str | None) -> None:
    """The variants of 503, time-outs, bans and bodies that are not JSON."""
    outcome = verdict(status, body)
    assert expected == (outcome.code if isinstance(outcome, Rejected) else None)


@pytest.mark.parametrize("body", [{"code": 200, "msg": "success"}, {"code": "200", "msg": "x"}, {"orderId": 1}, []])
def test_a_success_is_no_refusal(body: object) -> None:
    """Some calls answer a success with a code, as number or as text."""
    assert errors.refusal(reply(200, body)) is None


def submit(*answers: Answer, request: OrderRequest = ENTRY) -> tuple[Outcome, int]:
    async def scene(server: Server, venue: BinanceVenue) -> tuple[Outcome, int]:
        server.say("POST /fapi/v1/order", *answers)
        return await venue.submit(request), len(server.calls)

    return play(scene)


def test_every_code_comes_to_the_same_verdict_over_the_wire() -> None:
    """Submit answers as the table says, once for each call, and sends nothing again."""

    async def scene(server: Server, venue: BinanceVenue) -> list[str | None]:
        seen: list[str | None] = []
        for code, _ in CASES:
            server.say("POST /fapi/v1/order", Answer({"code": code, "msg": "x"}, 400))
            outcome = await venue.submit(EXIT)
            seen.append(outcome.code if isinstance(outcome, Rejected) else None)
        assert len(CASES) == len(server.told("order"))
        return seen

    assert [expected for _, expected in CASES] == play(scene)


def test_a_connection_that_breaks_after_sending_leaves_the_outcome_unknown() -> None:
    """The request may have arrived; it is not sent again."""
    outcome, calls = submit(Answer(cut=True))
    assert isinstance(outcome, Unknown)
    assert 1 == calls


@pytest.mark.parametrize("body", ["", "{}", "[1]", '{"orderId": "x"}', '{"orderId":1,"symbol":"BTCUSDT"}', "<html>"])
def test_a_success_that_cannot_be_read_leaves_the_outcome_unknown(body: str) -> None:
    """Status 200 with another body than an order."""
    assert isinstance(submit(Answer(body))[0], Unknown)


def test_a_new_order_status_leaves_the_outcome_unknown() -> None:
    """A status that is not known is not guessed."""
    body = {"orderId": 1, "symbol": "BTCUSDT", "status": "PONDERING", "side": "BUY", "type": "MARKET"}
    assert isinstance(submit(Answer(body | {"executedQty": "0"}))[0], Unknown)


def test_nobody_listening_means_not_sent() -> None:
    """Where no connection comes about no byte has left."""

    async def scene(server: Server, venue: BinanceVenue) -> Outcome:
        await venue.close()
        return await venue.submit(ENTRY)

    outcome = play(scene)
    assert isinstance(outcome, Rejected)
    assert "not_sent" == outcome.code


BANS = [
    (Answer({"code": -1003, "msg": "x"}, 429, {"Retry-After": "7"}), 7_000),
    (Answer({"code": -1003, "msg": "IP(1.2.3.4) banned until 1764000009000. x"}, 418), 9_000),
    (Answer({"code": -1003, "msg": "x"}, 429), 60_000),
    (Answer("", 418, {"Retry-After": "0"}), 60_000),
]


@pytest.mark.parametrize(("answer", "for_ms"), BANS)
def test_a_ban_is_kept_for_as_long_as_the_venue_says(answer: Answer, for_ms: int) -> None:
    """Nothing is sent until the end of the ban, not even what protects; then it goes on."""
    clock = SetClock()

    async def scene(server: Server, venue: BinanceVenue) -> None:
        server.say("POST /fapi/v1/order", answer)
        outcome = await venue.submit(ENTRY)
        assert isinstance(outcome, Rejected)
        assert "busy" == outcome.code
        clock.now += for_ms - 1
        outcome = await venue.submit(EXIT)
        assert isinstance(outcome, Rejected)
        assert "rate_limited" == outcome.code
        with pytest.raises(RateLimited):
            venue._rest.limiter.spend({})
        assert 1 == len(server.calls)
        clock.now += 1
        await venue.submit(EXIT)
        assert 2 == len(server.calls)

    play(scene, clock=clock)


def test_entries_leave_a_reserve_of_orders_for_what_reduces() -> None:
    """240 of 300 orders in 10 s are anybody's; the rest is for orders that reduce."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        refused = Answer({"code": -2019, "msg": "x"}, 400)
        server.say("POST /fapi/v1/order", Answer(refused.body, 400, {"X-MBX-ORDER-COUNT-10S": "240"}), refused)
        await venue.submit(ENTRY)
        outcome = await venue.submit(ENTRY)
        assert isinstance(outcome, Rejected)
        assert "rate_limited" == outcome.code
        assert 1 == len(server.calls)
        outcome = await venue.submit(EXIT)
        assert isinstance(outcome, Rejected)
        assert "-2019" == outcome.code

    play(scene)


def test_the_used_weight_and_the_limits_are_learned_from_the_venue() -> None:
    """The header counts everybody on this address; exchangeInfo names the limits."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        named = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 1000}
        info = {"symbols": [], "rateLimits": [named]}
        server.standing["GET /fapi/v1/exchangeInfo"] = Answer(
            info | {"symbols": server.standing["GET /fapi/v1/exchangeInfo"].body["symbols"]},  # type: ignore[union-attr]
            headers={"X-MBX-USED-WEIGHT-1M": "790"},
        )
        await venue.instruments()
        assert 790 + 1 == venue._rest.limiter.used(limits.WEIGHT)
        with pytest.raises(RateLimited, match="800 in 60000 ms"):
            venue._rest.limiter.spend({limits.WEIGHT: 10})
        venue._rest.limiter.spend({limits.WEIGHT: 200}, is_protective=True)

    play(scene)


def test_a_refused_key_is_told_as_such_at_the_start_and_as_a_failed_read_later() -> None:
    """An operator must act before the start; a running engine keeps what it knows."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        refused = Answer({"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, 401)
        server.say("GET /fapi/v3/balance", refused, refused)
        with pytest.raises(VenueRejected, match="-2015"):
            await venue.balance()
        venue._rest.is_started = True
        with pytest.raises(VenueUnavailable, match="-2015"):
            await venue.balance()

    play(scene)


def test_a_read_refused_for_its_timestamp_is_asked_once_more_with_the_right_clock() -> None:
    """The clock is measured again, then the same question goes out."""
    clock = SetClock()

    async def scene(server: Server, venue: BinanceVenue) -> int:
        server.standing["GET /fapi/v1/time"] = Answer({"serverTime": clock.now + 4_000})
        row = [{"asset": "USDT", "balance": "1", "availableBalance": "1"}]
        server.say("GET /fapi/v3/balance", Answer({"code": -1021, "msg": "ahead"}, 400), row)
        await venue.balance()
        return int(server.calls[-1].params["timestamp"])

    assert clock.now + 4_000 == play(scene, clock=clock)


def test_an_order_refused_for_its_timestamp_has_the_clock_measured_before_the_next_one() -> None:
    """It is not sent again by itself; the measurement is told, and a failed one leaves the doubt."""
    clock = SetClock()

    async def scene(server: Server, venue: BinanceVenue) -> list[int]:
        events: list[ClockMeasured] = []
        venue.watch_clock(events.append)
        server.say("DELETE /fapi/v1/order", *[Answer({"code": -1021, "msg": "ahead"}, 400)] * 3)
        server.say("GET /fapi/v1/time", Answer({"code": -1000}, 500), {"serverTime": clock.now + 4_000})
        stamps = []
        for _ in range(3):
            assert Rejected("clock", "-1021: ahead") == await venue.cancel("BTCUSDT", OURS, "1")
            stamps.append(int(server.calls[-1].params["timestamp"]) - clock.now)
        assert [ClockMeasured(clock.now, 4_000, 0)] == events
        return stamps

    assert [0, 0, 4_000] == play(scene, clock=clock)


def test_after_an_order_refused_for_its_timestamp_the_clock_is_measured_before_the_next() -> None:
    """The refused one is not sent again; the next carries the right time."""
    clock = SetClock()

    async def scene(server: Server, venue: BinanceVenue) -> tuple[Outcome, list[int]]:
        server.say("POST /fapi/v1/order", Answer({"code": -1021, "msg": "ahead"}, 400), plain(), plain())
        first = await venue.submit(ENTRY)
        server.standing["GET /fapi/v1/time"] = Answer({"serverTime": clock.now - 4_000})
        for _ in range(2):
            await venue.submit(ENTRY)
        sent = [call for call in server.calls if call.told.startswith("POST /fapi/v1/order ")]
        assert 1 == [call.path for call in server.calls].count("/fapi/v1/time")
        return first, [int(call.params["timestamp"]) - clock.now for call in sent]

    assert (Rejected("clock", "-1021: ahead"), [0, -4_000, -4_000]) == play(scene, clock=clock)
