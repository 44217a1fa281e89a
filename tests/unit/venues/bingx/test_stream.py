"""The user stream: packed frames, heartbeats, the key, and the events that follow."""

import gzip
from typing import Any

import pytest
from unit.venues.bingx.bingx_server import (
    EXTEND,
    FILLS,
    LISTEN_KEY,
    NOW_MS,
    ORDER,
    ORDERS,
    Bench,
    RunningClock,
    bad,
    fill_row,
    ok,
    order_row,
    play,
)
from unit.venues.bingx.test_orders import ID
from unit.venues.bingx.test_venue import CHILD_ID, STOP_CLIENT, STOP_ID, child_row, stop_row

from trading_engine.domain.events import FillSeen, OrderReported, StreamLost, StreamRestored
from trading_engine.domain.orders import OrderState, TradeSide
from trading_engine.venues.bingx.stream import EXTEND_AGAIN_MS, EXTEND_MS, unpacked

NO_FILLS = ok({"fill_history_orders": [], "total": 0})
ONE_FILL = ok({"fill_history_orders": [fill_row(1)], "total": 1})


def order_event(**changes: Any) -> dict[str, Any]:
    """A message about an order."""
    order = {
        "s": "BTC-USDT",
        "c": ID,
        "i": 1900000000000000123,
        "S": "BUY",
        "o": "MARKET",
        "q": "0.0012",
        "p": "60000.1",
        "sp": "0.0",
        "ap": "60000.1",
        "x": "TRADE",
        "X": "FILLED",
        "N": "USDT",
        "n": "-0.0360",
        "T": NOW_MS + 316,
        "wt": "MARK_PRICE",
        "ps": "LONG",
        "rp": "0.0",
        "z": "0.0012",
        "sg": "false",
        "ti": 0,
        "ro": False,
        "td": 511178071,
        "tv": "72.0",
    }
    return {"e": "ORDER_TRADE_UPDATE", "E": NOW_MS + 350, "T": NOW_MS + 316, "o": order | changes}


def account_event(reason: str = "ORDER") -> dict[str, Any]:
    """A message about wallet and positions."""
    position = {"s": "BTC-USDT", "pa": "0", "ep": "60000.1", "mt": "cross", "ps": "LONG", "cr": "-0.0360"}
    wallet = {"a": "USDT", "wb": "1000.1", "cw": "928.1", "bc": "0"}
    return {"e": "ACCOUNT_UPDATE", "E": NOW_MS + 352, "a": {"m": reason, "B": [wallet], "P": [position]}}


def reports(bench: Bench) -> list[OrderReported]:
    """What was told about orders."""
    return [event for event in bench.events if isinstance(event, OrderReported)]


def fills(bench: Bench) -> list[FillSeen]:
    """What was told about executions."""
    return [event for event in bench.events if isinstance(event, FillSeen)]


def restored(bench: Bench) -> int:
    """How often the stream began to speak."""
    return sum(isinstance(event, StreamRestored) for event in bench.events)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [(gzip.compress(b"Ping", mtime=0), b"Ping"), (b'{"e":""}', b'{"e":""}'), (b"\x1f\x8bgarbage", b""), (b"", b"")],
)
def test_frames_are_unpacked(frame: bytes, expected: bytes) -> None:
    """Plain text passes; what is broken is nothing."""
    assert expected == unpacked(frame)


def test_a_heartbeat_is_answered_and_proves_that_the_stream_speaks() -> None:
    """In plain text, with the key of this very connection."""

    async def story(bench: Bench) -> None:
        await bench.venue.open()
        await bench.until(lambda: restored(bench) == 1 and bench.server.said == ["Pong"])
        await bench.server.say({"ping": "7", "time": "2026"})
        await bench.until(lambda: len(bench.server.said) == 2)
        assert '{"pong":"7","time":"2026"}' == bench.server.said[1]

    server = play(story, frames=["Ping"], clock=RunningClock())
    assert ["listen-1"] == server.socket_keys


@pytest.mark.parametrize("frame", ["", "not JSON", '{"code":80014,"msg":"bad request"}', "[]"])
def test_an_answer_that_is_no_event_proves_nothing(frame: str) -> None:
    """Only what was understood restores a stream."""

    async def story(bench: Bench) -> None:
        await bench.venue.open()
        await bench.until(lambda: bool(bench.server.sockets))
        assert not await bench.venue._stream._heard(gzip.compress(frame.encode()), bench.venue._stream.socket.send)
        assert [] == bench.events

    play(story, clock=RunningClock())


@pytest.mark.parametrize("name", ["ORDER_TRADE_UPDATE", "TRADE_UPDATE"])
def test_a_trade_is_an_order_report_and_a_fill_of_the_history(name: str) -> None:
    """Told twice, it is one fill; its key is that of later reads."""

    async def story(bench: Bench) -> None:
        await bench.venue.open()
        await bench.until(lambda: restored(bench) == 1)
        await bench.server.say(order_event() | {"e": name})
        await bench.server.say(order_event() | {"e": name})
        await bench.until(lambda: len(reports(bench)) == 2 and len(fills(bench)) == 1)
        report, fill = reports(bench)[0].report, fills(bench)[0].fill
        assert (ID, OrderState.FILLED, TradeSide.BUY) == (report.client_order_id, report.state, report.side)
        assert ("0.0012", NOW_MS + 316) == (str(report.filled), report.ts_ms)
        assert (ID, "1900000000000000123-1") == (fill.client_order_id, fill.trade_id)
        assert [fill] == list(await bench.venue.fills_since(NOW_MS - 1_000))

    play(story, {FILLS: ONE_FILL, ORDER: ok({"order": order_row()})}, frames=["Ping"], clock=RunningClock())


def test_a_history_that_lags_is_read_again() -> None:
    """Until it explains what was announced."""

    async def story(bench: Bench) -> None:
        await bench.venue.open()
        await bench.until(lambda: restored(bench) == 1)
        await bench.server.say(order_event())
        await bench.until(lambda: len(fills(bench)) == 1)

    script = {FILLS: [NO_FILLS, bad(100500), ONE_FILL]}
    server = play(story, script, frames=["Ping"], clock=RunningClock())
    assert 3 == len(server.calls(FILLS))


def test_a_position_that_moves_without_an_order_message_has_the_fills_read() -> None:
    """A triggered stop may show in the account only; funding is no such thing."""

    async def story(bench: Bench) -> None:
        await bench.venue.open()
        await bench.until(lambda: restored(bench) == 1)
        await bench.server.say(account_event("FUNDING_FEE"))
        await bench.server.say(account_event())
        await bench.until(lambda: len(fills(bench)) == 1)
        assert (STOP_CLIENT, []) == (fills(bench)[0].fill.client_order_id, reports(bench))

    script = {
        FILLS: ok({"fill_history_orders": [fill_row(1, CHILD_ID)], "total": 1}),
        ORDER: [ok({"order": child_row()}), ok({"order": stop_row(status="FILLED")})],
    }
    play(story, script, frames=["Ping"], clock=RunningClock())


def test_funding_is_left_to_the_reads() -> None:
    """The message has no id that the wallet's history would repeat."""

    async def story(bench: Bench) -> None:
        await bench.venue.open()
        await bench.until(lambda: restored(bench) == 1)
        await bench.server.say(account_event("FUNDING_FEE"))
        await bench.server.say("Ping")
        await bench.until(lambda: len(bench.server.said) == 2)
        assert 1 == len(bench.events)

    assert [] == play(story, frames=["Ping"], clock=RunningClock()).calls(FILLS)


@pytest.mark.parametrize("status", ["CANCELED", "EXPIRED", "FILLED"])
def test_a_stop_that_ends_without_a_fill_is_asked_for_before_it_is_told(status: str) -> None:
    """It may have triggered: the order that it became has the fill."""

    async def story(bench: Bench) -> None:
        await bench.venue.open()
        await bench.until(lambda: restored(bench) == 1)
        event = order_event(i=STOP_ID, c=STOP_CLIENT, S="SELL", o="STOP_MARKET", x=status, X=status, z="0", ro=True)
        await bench.server.say(event)
        await bench.until(lambda: len(reports(bench)) == 1)
        report = reports(bench)[0].report
        assert (STOP_CLIENT, str(STOP_ID)) == (report.client_order_id, report.venue_order_id)
        assert (OrderState.FILLED, "0.0012") == (report.state, str(report.filled))

    script = {ORDER: ok({"order": stop_row(status="FILLED")}), ORDERS: ok({"orders": [child_row()]}), FILLS: NO_FILLS}
    play(story, script, frames=["Ping"], clock=RunningClock())


def test_the_order_that_a_stop_became_is_told_as_the_stop() -> None:
    """Under the stop's two ids."""

    async def story(bench: Bench) -> None:
        bench.venue._ids.learn(str(STOP_ID), STOP_CLIENT)
        await bench.venue.open()
        await bench.until(lambda: restored(bench) == 1)
        await bench.server.say(order_event(i=CHILD_ID, c="", S="SELL", o="STOP_MARKET", ti=STOP_ID))
        await bench.until(lambda: len(reports(bench)) == 1)
        report = reports(bench)[0].report
        assert (STOP_CLIENT, str(STOP_ID), OrderState.FILLED) == (
            report.client_order_id,
            report.venue_order_id,
            report.state,
        )

    play(story, {FILLS: NO_FILLS}, frames=["Ping"], clock=RunningClock())


def test_an_order_that_rests_is_told_without_reading_fills() -> None:
    """New, cancelled: a report and nothing else."""

    async def story(bench: Bench) -> None:
        await bench.venue.open()
        await bench.until(lambda: restored(bench) == 1)
        await bench.server.say(order_event(o="LIMIT", x="NEW", X="NEW", z="0"))
        await bench.server.say(order_event(o="LIMIT", x="CANCELED", X="CANCELED", z="0"))
        await bench.until(lambda: len(reports(bench)) == 2)
        assert [OrderState.ACKED, OrderState.CANCELED] == [event.report.state for event in reports(bench)]

    assert [] == play(story, frames=["Ping"], clock=RunningClock()).calls(FILLS)


def test_a_message_that_is_not_understood_has_the_fills_read() -> None:
    """Something has happened to an order."""

    async def story(bench: Bench) -> None:
        await bench.venue.open()
        await bench.until(lambda: restored(bench) == 1)
        await bench.server.say({"e": "ORDER_TRADE_UPDATE", "E": NOW_MS + 350, "o": {"s": 5}})
        await bench.until(lambda: len(fills(bench)) == 1)

    play(story, {FILLS: ONE_FILL, ORDER: ok({"order": order_row()})}, frames=["Ping"], clock=RunningClock())


@pytest.mark.parametrize("key", [{"listenKey": "k2"}, ok({"listenKey": "k2"})])
def test_an_expired_key_is_replaced_on_a_new_connection(key: Any) -> None:
    """Whichever way the new one is told; lost and restored are events."""

    async def story(bench: Bench) -> None:
        await bench.venue.open()
        await bench.until(lambda: restored(bench) == 1)
        await bench.server.say({"e": "listenKeyExpired", "E": NOW_MS, "listenKey": "listen-1"})
        await bench.until(lambda: restored(bench) == 2)
        (lost,) = [event for event in bench.events if isinstance(event, StreamLost)]
        assert "the listen key has expired" == lost.why

    server = play(story, {LISTEN_KEY: [{"listenKey": "k1"}, key]}, frames=["Ping"], clock=RunningClock())
    assert ["k1", "k2"] == server.socket_keys


@pytest.mark.parametrize(
    ("answer", "pause_ms", "connections"),
    [
        ((200, b""), EXTEND_MS, 1),
        ((200, b'{"code":0}'), EXTEND_MS, 1),
        ((503, b""), EXTEND_AGAIN_MS, 1),
        ((429, b""), EXTEND_AGAIN_MS, 1),
        (None, EXTEND_AGAIN_MS, 1),
        ((404, b""), EXTEND_MS, 2),
        ((204, b""), EXTEND_MS, 2),
        ((200, b'{"code":100401,"msg":"expired"}'), EXTEND_MS, 2),
    ],
)
def test_a_key_is_extended_or_replaced(answer: Any, pause_ms: int, connections: int) -> None:
    """What may pass is tried again soon; a key that the venue does not know ends the connection."""

    async def story(bench: Bench) -> None:
        await bench.venue.open()
        await bench.until(lambda: restored(bench) == 1)
        assert pause_ms == await bench.venue._stream.extend()
        await bench.until(lambda: restored(bench) == connections)

    server = play(story, {EXTEND: answer}, frames=["Ping"], clock=RunningClock())
    assert "listen-1" == server.calls(EXTEND)[0].params["listenKey"]


def test_without_a_key_there_is_no_connection_until_there_is_one() -> None:
    """The failure counts as a failed connection."""

    async def story(bench: Bench) -> None:
        await bench.venue.open()
        await bench.until(lambda: restored(bench) == 1)

    script = {LISTEN_KEY: [bad(100500), (200, b"{}"), {"listenKey": "k3"}]}
    server = play(story, script, frames=["Ping"], clock=RunningClock())
    assert ["k3"] == server.socket_keys
