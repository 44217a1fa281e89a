"""What each code means for an order that was sent, and for a look-up."""

import asyncio
from typing import Any

import pytest
from unit.venues.bingx.bingx_server import (
    CANCEL,
    MARGIN,
    NOW_MS,
    ORDER,
    PLACE,
    SET_MARGIN,
    Bench,
    RunningClock,
    bad,
    ok,
    order_row,
    play,
)
from unit.venues.bingx.test_orders import ID, request

from trading_engine.domain.errors import RateLimited, VenueUnavailable
from trading_engine.domain.market import Side
from trading_engine.domain.orders import TradeSide
from trading_engine.domain.reports import Accepted, Rejected, Unknown
from trading_engine.ports import MarginMode
from trading_engine.venues.bingx import errors
from trading_engine.venues.wire.outcome import Meaning

REDUCING = request(side=TradeSide.SELL, position=Side.LONG, reduce=True)
ROWS = [(key, meaning) for key, meaning in sorted(errors.MEANINGS.items()) if not key.startswith("HTTP")]


@pytest.mark.parametrize(("key", "meaning"), ROWS)
def test_a_listed_code_has_the_verdict_of_the_table(key: str, meaning: Meaning) -> None:
    """Doubt and duplicates are unknown; everything else is a refusal that names its kind or its code."""
    code, _, text = key.partition(" ")

    async def story(bench: Bench) -> None:
        outcome = await bench.venue.submit(request())
        if meaning in (Meaning.UNKNOWN, Meaning.DUPLICATE):
            assert isinstance(outcome, Unknown)
            assert code in outcome.why
        else:
            assert isinstance(outcome, Rejected)
            assert (key if meaning is Meaning.REFUSED else meaning.value) == outcome.code
            assert code in outcome.reason

    told = f"Some words: {text.title()} and more" if text else "words that mean nothing here"
    server = play(story, {PLACE: bad(int(code), told)})
    assert 1 == len(server.calls(PLACE))


EXPECTED = {
    "100001": Meaning.KEY,
    "100413": Meaning.KEY,
    "100419": Meaning.KEY,
    "100421": Meaning.CLOCK,
    "109400 timestamp": Meaning.CLOCK,
    "80014 timestamp": Meaning.CLOCK,
    "109429": Meaning.BUSY,
    "100410": Meaning.BUSY,
    "101214": Meaning.BUSY,
    "101204": Meaning.REFUSED,
    "110424": Meaning.REFUSED,
    "109400 margin is not enough": Meaning.REFUSED,
    "101215": Meaning.REFUSED,
    "110412": Meaning.REFUSED,
    "109403": Meaning.REFUSED,
    "101481": Meaning.DUPLICATE,
    "109201": Meaning.DUPLICATE,
    "101400 clientorderid": Meaning.DUPLICATE,
    "101400": Meaning.REFUSED,
    "109421": Meaning.NOT_FOUND,
    "80016": Meaning.NOT_FOUND,
    "109400 order not exist": Meaning.NOT_FOUND,
    "109422": Meaning.NOT_OPEN,
    "80018": Meaning.NOT_OPEN,
    "100500": Meaning.UNKNOWN,
    "80012": Meaning.UNKNOWN,
    "109423": Meaning.UNKNOWN,
    "109400": Meaning.UNKNOWN,
    "80001": Meaning.UNKNOWN,
    "999999": Meaning.UNKNOWN,
}


@pytest.mark.parametrize(("key", "meaning"), EXPECTED.items())
def test_the_table_says_what_the_venue_means(key: str, meaning: Meaning) -> None:
    """The codes that matter most, spelled out: a slip in the table would be a slip in the other test as well."""
    assert meaning is errors.TABLE.meaning(key)


UNKNOWNS: list[tuple[str, Any]] = [
    ("an unlisted code", bad(987654, "who knows")),
    ("an overloaded code without a known text", bad(109400, "something new")),
    ("a wrapped code that is not known", bad(109500, 'system: {"Code":777777,"Msg":"?"}')),
    ("a body that is not JSON", (200, b"<html>busy</html>")),
    ("an empty body", (200, b"")),
    ("JSON without a code", (200, b"[]")),
    ("a success without an order", ok({})),
    ("a success without a payload", ok(None)),
    ("a success without an id", ok({"order": order_row(orderId=0)})),
    ("a success in another shape", ok({"order": {"symbol": 5}})),
    ("a success with a number that is none", ok({"order": order_row(executedQty="many")})),
    ("an error of a gateway", (502, b"bad gateway")),
    ("an error of a gateway with a listed code", (504, b'{"code":101204,"msg":"insufficient"}')),
    ("another status", (404, b"nothing")),
    ("no answer", None),
]


@pytest.mark.parametrize("answer", [answer for _, answer in UNKNOWNS], ids=[name for name, _ in UNKNOWNS])
def test_what_proves_nothing_is_unknown(answer: Any) -> None:
    """And is sent once."""

    async def story(bench: Bench) -> None:
        assert isinstance(await bench.venue.submit(request()), Unknown)

    assert 1 == len(play(story, {PLACE: answer}).calls(PLACE))


def test_a_code_inside_of_another_counts() -> None:
    """A wrapper that carries the reason of a refusal is that refusal."""

    async def story(bench: Bench) -> None:
        outcome = await bench.venue.submit(request())
        assert isinstance(outcome, Rejected)
        assert "101253" == outcome.code

    play(story, {PLACE: bad(109500, 'busy: {"Code":101253,"Msg":"margin is not enough"}')})


def test_an_order_that_cannot_leave_is_refused_as_not_sent() -> None:
    """Nobody listens, or the venue is closed: nothing is at the venue."""

    async def story(bench: Bench) -> None:
        bench.venue._rest._base_url = "http://127.0.0.1:1"
        refused = await bench.venue.submit(request())
        assert isinstance(refused, Rejected)
        assert "not_sent" == refused.code
        await bench.venue.close()
        closed = await bench.venue.submit(request())
        assert isinstance(closed, Rejected)
        assert "not_sent" == closed.code

    play(story)


def test_a_cancelled_submit_passes_the_cancellation_on() -> None:
    """The caller knows no more than that it may have been sent."""

    async def story(bench: Bench) -> None:
        task = asyncio.create_task(bench.venue.submit(request()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    play(story)


def test_a_refused_timestamp_has_the_clock_measured_again() -> None:
    """The order is not sent again; the next one has the venue's time."""

    async def story(bench: Bench) -> None:
        outcome = await bench.venue.submit(request())
        assert isinstance(outcome, Rejected)
        assert "clock" == outcome.code
        await bench.until(lambda: 5_000 == bench.venue._venue_clock.offset_ms)

    script = {
        PLACE: bad(109400, "timestamp is invalid"),
        "GET /openApi/swap/v2/server/time": ok({"serverTime": NOW_MS + 5_000}),
    }
    assert 1 == len(play(story, script).calls(PLACE))


# ── limits ──────────────────────────────────────────────────────────────────


def test_a_limited_endpoint_is_left_alone_until_the_instant_that_is_named() -> None:
    """Orders wait, protective ones as well, for the venue would refuse them; cancels go on."""
    text = f"endpoint in disabled period and will be unblocked after {NOW_MS + 90_000}"

    async def story(bench: Bench) -> None:
        first = await bench.venue.submit(request())
        assert isinstance(first, Rejected)
        assert "busy" == first.code
        for later in (request(), REDUCING):
            refused = await bench.venue.submit(later)
            assert isinstance(refused, Rejected)
            assert "rate_limited" == refused.code
            assert "90000 ms" in refused.reason
        assert isinstance(await bench.venue.cancel("BTCUSDT", ID, ""), Accepted)

    script = {PLACE: bad(109429, text), CANCEL: ok({"order": order_row(status="CANCELLED")})}
    assert 1 == len(play(story, script).calls(PLACE))


@pytest.mark.parametrize("status", [403, 418])
def test_a_ban_silences_everything(status: int) -> None:
    """Five minutes where no instant is named."""

    async def story(bench: Bench) -> None:
        assert isinstance(await bench.venue.submit(request()), Rejected)
        assert NOW_MS + 300_000 == bench.venue._limiter.banned_until_ms
        refused = await bench.venue.cancel("BTCUSDT", ID, "")
        assert isinstance(refused, Rejected)
        assert "rate_limited" == refused.code
        with pytest.raises(RateLimited):
            await bench.venue.balance()

    assert 1 == len(play(story, {PLACE: (status, b"<html>blocked</html>")}).asked)


def test_too_many_requests_pause_for_the_window_of_the_headers() -> None:
    """429 without an instant: the header says how long the window lasts."""

    async def story(bench: Bench) -> None:
        with pytest.raises(RateLimited):
            await bench.venue.balance()
        with pytest.raises(RateLimited, match="8000 ms"):
            await bench.venue.balance()

    answer = (429, b"", {"X-RateLimit-Requests-Remain": "0", "X-RateLimit-Requests-Expire": "8000"})
    assert 1 == len(play(story, {"GET /openApi/swap/v3/user/balance": answer}).asked)


def test_a_window_that_is_used_up_is_waited_out() -> None:
    """The headers say so after each last call of a second: the next one waits, as for its own budget."""

    async def story(bench: Bench) -> None:
        for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
            assert isinstance(await bench.venue.set_margin_mode(symbol, MarginMode.ISOLATED), Accepted)

    spent = {"X-RateLimit-Requests-Remain": "0", "X-RateLimit-Requests-Expire": "60"}
    script = {
        MARGIN: lambda asked: ok({"symbol": asked.params["symbol"], "marginType": "CROSSED"}),
        SET_MARGIN: (200, ok(None), spent),
    }
    assert 3 == len(play(story, script, clock=RunningClock()).calls(SET_MARGIN))


def test_entries_leave_room_for_orders_that_protect() -> None:
    """Three of five a second for entries; the fourth is refused unsent, and two that reduce still leave."""

    async def story(bench: Bench) -> None:
        outcomes = [await bench.venue.submit(request()) for _ in range(4)]
        assert [True, True, True, False] == [isinstance(outcome, Accepted) for outcome in outcomes]
        last = outcomes[-1]
        assert isinstance(last, Rejected)
        assert "rate_limited" == last.code
        for _ in range(2):
            assert isinstance(await bench.venue.submit(REDUCING), Accepted)

    async def impatient(bench: Bench) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("trading_engine.venues.bingx.rest.ACT_WAIT_MS", 0)
            await story(bench)

    assert 5 == len(play(impatient, {PLACE: ok({"order": order_row(status="NEW")})}).calls(PLACE))


def test_a_row_of_equal_refusals_stops_entries_before_the_venue_bans() -> None:
    """After ten, only what protects is sent."""

    async def story(bench: Bench) -> None:
        for _ in range(10):
            bench.venue._limiter._spent["POST /openApi/swap/v2/trade/order"].clear()
            outcome = await bench.venue.submit(request())
            assert isinstance(outcome, Rejected)
            assert "101204" == outcome.code
        bench.venue._limiter._spent["POST /openApi/swap/v2/trade/order"].clear()
        held = await bench.venue.submit(request())
        assert isinstance(held, Rejected)
        assert "rate_limited" == held.code
        sent = await bench.venue.submit(REDUCING)
        assert isinstance(sent, Rejected)
        assert "101204" == sent.code

    assert 11 == len(play(story, {PLACE: bad(101204, "Insufficient margin")}).calls(PLACE))


# ── look-ups and cancels ────────────────────────────────────────────────────


@pytest.mark.parametrize("answer", [bad(109421), bad(80016), bad(109400, "order not exist"), ok({"order": None})])
def test_an_order_that_nothing_shows_is_none(answer: Any) -> None:
    """Neither by its id nor in the lists of open and past orders."""

    async def story(bench: Bench) -> None:
        assert await bench.venue.order("BTCUSDT", ID) is None

    server = play(story, {ORDER: answer})
    assert ["order", "openOrders", "fullOrder"] == [asked.path.rsplit("/", 1)[1] for asked in server.asked]


@pytest.mark.parametrize(
    "answer",
    [
        bad(100413, "bad key"),
        bad(109429, "slow down"),
        bad(109400, "something new"),
        bad(109422, "illegal state"),
        bad(100404),
        bad(987654),
        (500, b""),
        (200, b"no"),
        ok({"order": {"symbol": 1}}),
        None,
    ],
)
def test_a_failed_look_up_is_never_an_absence(answer: Any) -> None:
    """Whatever the failure is."""

    async def story(bench: Bench) -> None:
        with pytest.raises(VenueUnavailable):
            await bench.venue.order("BTCUSDT", ID)

    play(story, {ORDER: answer})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (bad(109400, "order not exist"), ("not_open", None)),
        (bad(109421), ("not_open", None)),
        (bad(109422), ("not_open", None)),
        (bad(80018), ("not_open", None)),
        (bad(109201), (None, "109201")),
        (bad(100500), (None, "100500")),
        (ok({}), (None, "does not say")),
        (None, (None, "trade/order")),
    ],
)
def test_a_cancel_is_refused_where_nothing_is_open_and_unknown_in_doubt(
    answer: Any, expected: tuple[str | None, str | None]
) -> None:
    """A cancel within a second of another is in doubt, too."""
    code, why = expected

    async def story(bench: Bench) -> None:
        outcome = await bench.venue.cancel("BTCUSDT", ID, "19")
        if code is not None:
            assert isinstance(outcome, Rejected)
            assert code == outcome.code
        else:
            assert isinstance(outcome, Unknown)
            assert (why or "") in outcome.why

    play(story, {CANCEL: answer})
