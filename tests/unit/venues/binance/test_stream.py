"""Messages of the user stream become events; the stream lives, is lost and comes back."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from unit.venues.binance.scripted import (
    KEY,
    NOW_MS,
    OURS,
    STOP,
    Answer,
    Server,
    SetClock,
    VenueEvents,
    algo_update,
    order_update,
    play,
    trade,
    until,
)

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.events import FillSeen, OrderReported, StreamLost, StreamRestored
from trading_engine.domain.fills import Fill
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderReport, OrderState, TradeSide
from trading_engine.venues.binance.events import Reader
from trading_engine.venues.binance.names import Names
from trading_engine.venues.binance.stream import UserStream
from trading_engine.venues.binance.venue import BinanceVenue
from trading_engine.venues.wire.settings import AccountSettings, Hosts
from trading_engine.venues.wire.socket import Patience

D = Decimal
SETTINGS = AccountSettings("main", ("BTCUSDT",), Hosts("http://localhost", "ws://localhost", "ws://localhost"))


def read(message: dict[str, Any]) -> list[FillSeen | OrderReported]:
    return list(Reader(SETTINGS, Names()).read(json.dumps(message).encode(), NOW_MS).events)


FILL = Fill(
    venue="binance",
    account="main",
    trade_id="BTCUSDT-1190331610",
    client_order_id=OURS,
    venue_order_id="33878894217",
    symbol="BTCUSDT",
    side=TradeSide.BUY,
    quantity=D("0.004"),
    price=D("60000.1"),
    fee=D("0.0012"),
    fee_asset="BNB",
    ts_ms=NOW_MS - 3,
    realized_pnl=D("0.147"),
    is_maker=True,
)


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_a_trade_is_a_fill_and_then_a_report(is_wrapped: bool) -> None:
    """Raw messages and wrapped ones alike; events carry our clock, their contents the venue's."""
    message = order_update()
    fill, report = read({"stream": "k1", "data": message} if is_wrapped else message)
    assert FillSeen(NOW_MS, FILL) == fill
    expected = OrderReport(
        OURS, "33878894217", "BTCUSDT", OrderState.FILLED, D("0.010"), NOW_MS - 3, quantity=D("0.010")
    )
    assert OrderReported(NOW_MS, expected) == report


def test_a_fill_is_one_fill_whether_the_stream_or_a_question_tells_it() -> None:
    """Both give the same key."""

    async def scene(server: Server, venue: BinanceVenue) -> str:
        server.say("GET /fapi/v1/userTrades", [trade(1190331610, NOW_MS - 3)])
        server.say("GET /fapi/v1/order", Answer({"code": -2013, "msg": "x"}, 400))
        (fill,) = await venue.fills_since(NOW_MS - 1_000)
        return fill.key

    assert FILL.key == play(scene, symbols=("BTCUSDT",))


REPORTS = [
    ({"x": "NEW", "X": "NEW", "t": 0, "l": "0", "z": "0"}, OrderState.ACKED, ""),
    ({"x": "CANCELED", "X": "CANCELED", "t": 0, "l": "0", "z": "0.002"}, OrderState.CANCELED, "canceled"),
    ({"x": "EXPIRED", "X": "EXPIRED", "t": 0, "l": "0", "er": "2"}, OrderState.EXPIRED, "rest of an immediate order"),
    ({"x": "EXPIRED", "X": "EXPIRED_IN_MATCH", "t": 0, "l": "0"}, OrderState.EXPIRED, "expired_in_match"),
    ({"x": "AMENDMENT", "X": "PARTIALLY_FILLED", "t": 0, "l": "0"}, OrderState.PARTIAL, ""),
    ({"x": "CALCULATED", "X": "NEW_INSURANCE", "t": 0, "l": "0"}, OrderState.ACKED, ""),
]


@pytest.mark.parametrize(("changes", "state", "reason"), REPORTS)
def test_what_is_no_trade_is_a_report_only(changes: dict[str, Any], state: OrderState, reason: str) -> None:
    """Each execution type with its state and the venue's reason."""
    (event,) = read(order_update(**changes))
    assert isinstance(event, OrderReported)
    assert (state, reason) == (event.report.state, event.report.reason)


TAKEOVERS = [("autoclose-1764", "TRADE", True, False), ("adl_autoclose", "CALCULATED", False, True)]


@pytest.mark.parametrize(("client_id", "execution", "is_liquidation", "is_adl"), TAKEOVERS)
def test_liquidation_and_deleveraging_are_recognised(
    client_id: str, execution: str, is_liquidation: bool, is_adl: bool
) -> None:
    """The venue's own orders are fills of nobody's order; a missing fee is none."""
    message = order_update(c=client_id, x=execution, S="SELL")
    del message["o"]["n"], message["o"]["N"]
    fill, report = read(message)
    assert isinstance(fill, FillSeen)
    assert isinstance(report, OrderReported)
    assert ("", is_liquidation, is_adl) == (fill.fill.client_order_id, fill.fill.is_liquidation, fill.fill.is_adl)
    assert (D(0), "USDT", "") == (fill.fill.fee, fill.fill.fee_asset, report.report.client_order_id)


def test_a_fill_counts_even_if_the_order_status_is_new() -> None:
    """What cannot be read of the order says nothing about the trade."""
    (event,) = read(order_update(X="PONDERING"))
    assert isinstance(event, FillSeen)


@pytest.mark.parametrize("symbol", ["DOTUSDT"])
def test_fills_of_symbols_that_are_not_traded_are_left_to_incomes(symbol: str) -> None:
    """The order is reported, its money comes as an adjustment."""
    (event,) = read(order_update(s=symbol, c="web_1"))
    assert isinstance(event, OrderReported)


ALGO_STATES = [
    ("NEW", OrderState.ACKED, ""),
    ("TRIGGERING", OrderState.ACKED, ""),
    ("TRIGGERED", OrderState.ACKED, ""),
    ("FINISHED", OrderState.ACKED, ""),
    ("CANCELED", OrderState.CANCELED, "canceled"),
    ("EXPIRED", OrderState.EXPIRED, "expired: Margin is insufficient"),
    ("REJECTED", OrderState.EXPIRED, "rejected: Margin is insufficient"),
]


@pytest.mark.parametrize(("status", "state", "reason"), ALGO_STATES)
def test_a_conditional_order_is_reported_under_its_client_id(status: str, state: OrderState, reason: str) -> None:
    """How it ended after the trigger is the child's to tell."""
    failure = {"rm": "Margin is insufficient"} if ":" in reason else {}
    (event,) = read(algo_update(X=status, **failure))
    assert isinstance(event, OrderReported)
    assert event.report == OrderReport(
        STOP,
        "algo-4000001910701524",
        "BTCUSDT",
        state,
        D(0),
        NOW_MS - 3,
        TradeSide.SELL,
        OrderType.STOP_MARKET,
        D("0.010"),
        trigger_price=D(58_000),
        reduce_only=True,
        reason=reason,
    )


SILENT = [
    {"e": "TRADE_LITE", "E": 1, "T": 1, "s": "BTCUSDT", "q": "1", "p": "0", "m": False, "c": OURS, "t": 5, "i": 6},
    {"e": "ACCOUNT_UPDATE", "E": 1, "T": 1, "a": {"m": "FUNDING_FEE", "B": [{"a": "USDT", "wb": "1", "bc": "-1"}]}},
    {"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "T": 1, "ac": {"s": "BTCUSDT", "l": 5}},
    {"e": "MARGIN_CALL", "E": 1, "cw": "1", "p": []},
    {"e": "STRATEGY_UPDATE", "E": 1},
    order_update() | {"st": 2},
    algo_update() | {"st": 2},
    {"result": None, "id": 1},
]


@pytest.mark.parametrize("message", SILENT)
def test_other_messages_tell_nothing(message: dict[str, Any]) -> None:
    """Early notices, account changes, coin-margined contracts, acknowledgements."""
    assert [] == read(message)


@pytest.mark.parametrize("frame", [b"", b"{", b"[]", b'{"e":"ORDER_TRADE_UPDATE","o":{}}', b'{"e":5}'])
def test_a_message_that_cannot_be_read_is_told_as_such(frame: bytes) -> None:
    """ValueError, which the stream logs."""
    with pytest.raises(ValueError, match=r"."):
        Reader(SETTINGS, Names()).read(frame, NOW_MS)


# ── life ────────────────────────────────────────────────────────────────────


def test_opening_measures_reads_and_listens() -> None:
    """Clock, instruments, key, connection, one signed question; then the stream counts as restored."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        events: VenueEvents = []
        venue.subscribe(events.append)
        await venue.open()
        assert [StreamRestored(NOW_MS)] == events
        assert ["/private/ws?listenKey=k1"] == server.socket_addresses
        names = [f"{call.method} {call.path.removeprefix('/fapi/v1/')}" for call in server.calls]
        assert [
            *["GET time"] * 5,
            *("GET exchangeInfo", "GET leverageBracket", "POST listenKey", "GET openOrders"),
        ] == names
        key_call = server.calls[-2]
        assert ("", KEY) == (key_call.raw, key_call.key)
        await server.sockets[0].send_str(json.dumps(order_update()))
        await until(lambda: len(events) == 3)
        assert isinstance(events[1], FillSeen)
        await venue.close()
        await venue.close()

    play(scene, is_loaded=False)


def test_a_stream_that_breaks_is_told_and_comes_back_with_a_key_of_its_own() -> None:
    """Lost, restored; a frame that cannot be read breaks nothing."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        events: VenueEvents = []
        venue.subscribe(events.append)
        await venue.open()
        await server.sockets[0].send_str("{")
        server.say("POST /fapi/v1/listenKey", {"listenKey": "k2"})
        await server.sockets[0].close()
        await until(lambda: len(events) == 3)
        lost, restored = events[1:]
        assert StreamLost(NOW_MS, "closed by the venue (1000)") == lost
        assert StreamRestored(NOW_MS) == restored
        assert "/private/ws?listenKey=k2" == server.socket_addresses[-1]

    play(scene, is_loaded=False)


def test_an_expired_key_is_replaced() -> None:
    """The venue says so on a socket that stays open and is dead."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        events: VenueEvents = []
        venue.subscribe(events.append)
        await venue.open()
        server.say("POST /fapi/v1/listenKey", {"listenKey": "k2"})
        await server.sockets[0].send_str('{"e":"listenKeyExpired","E":1,"listenKey":"k1"}')
        await until(lambda: len(events) == 3)
        assert StreamLost(NOW_MS, "the listen key has expired") == events[1]
        assert "/private/ws?listenKey=k2" == server.socket_addresses[-1]

    play(scene, is_loaded=False)


def test_a_connection_whose_account_does_not_answer_is_not_restored() -> None:
    """The signed question decides; the next attempt may succeed."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        events: VenueEvents = []
        venue.subscribe(events.append)
        server.say("GET /fapi/v1/openOrders", Answer("x", 502))
        await venue.open()
        assert [StreamRestored(NOW_MS)] == events
        assert 2 == len(server.socket_addresses)

    play(scene, is_loaded=False)


def stream_of(venue: BinanceVenue, events: VenueEvents, **changes: Any) -> UserStream:
    reader = Reader(venue._settings, venue._names)
    return UserStream(venue._rest, venue._settings, venue._transport, venue._clock, reader, events.append, **changes)


def test_a_stream_that_cannot_start_says_why() -> None:
    """VenueUnavailable with the last cause; nothing is left running."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        server.standing["POST /fapi/v1/listenKey"] = Answer({"code": -2015, "msg": "Invalid API-key"}, 401)
        events: VenueEvents = []
        before = len(asyncio.all_tasks())
        with pytest.raises(VenueUnavailable, match=r"within 300 ms: no listen key .*-2015"):
            await stream_of(venue, events).start(300)
        assert before == len(asyncio.all_tasks())
        assert [] == events

    play(scene)


def test_the_key_is_kept_alive_and_replaced_when_it_is_gone() -> None:
    """A renewal now and then; -1125 means a new key and a new connection."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        events: VenueEvents = []
        stream = stream_of(venue, events, renewal_ms=30)
        server.say("PUT /fapi/v1/listenKey", {}, Answer("x", 502), Answer({"code": -1125, "msg": "gone"}, 400))
        await stream.start(2_000)
        await until(lambda: len(events) == 3)
        assert StreamLost(NOW_MS, "the listen key has expired") == events[1]
        puts = [call for call in server.calls if call.method == "PUT"]
        assert 3 <= len(puts)
        assert ("", KEY) == (puts[0].raw, puts[0].key)
        await stream.stop()

    play(scene)


def test_a_quiet_stream_lives_on_pings() -> None:
    """Silence is no fault while pongs come."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        events: VenueEvents = []
        stream = stream_of(venue, events, patience=Patience(silence_ms=50, is_quiet=True))
        await stream.start(2_000)
        await asyncio.sleep(0.4)
        assert [StreamRestored(NOW_MS)] == events
        await stream.stop()

    play(scene)


def test_a_stream_without_pongs_is_cut() -> None:
    """A connection that is open and dead is noticed, and made anew."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        events: VenueEvents = []
        server.pings = False
        stream = stream_of(venue, events, patience=Patience(silence_ms=50, is_quiet=True))
        await stream.start(2_000)
        await until(lambda: len(events) >= 2)
        assert isinstance(events[1], StreamLost)
        await stream.stop()

    play(scene)


def test_a_quiet_stream_is_renewed_before_the_venue_ends_it() -> None:
    """Its life ends by our clock although nothing was said."""
    clock = SetClock()

    async def scene(server: Server, venue: BinanceVenue) -> None:
        events: VenueEvents = []
        stream = stream_of(venue, events, patience=Patience(silence_ms=30, is_quiet=True, life_ms=1_000))
        await stream.start(2_000)
        clock.now += 1_000
        await until(lambda: len(events) >= 3)
        assert StreamLost(NOW_MS + 1_000, "renewed before the venue ends it") == events[1]
        await stream.stop()

    play(scene, clock=clock)
