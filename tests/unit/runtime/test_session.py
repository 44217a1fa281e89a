"""A live session at work: recovery first, everything that comes is handed on at once, the STOP file is seen."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from fakes.live_rig import BTC, MINUTE, START, LiveRig, live, long_signal

from trading_engine.core.state import Book
from trading_engine.domain.control import Control, Level
from trading_engine.domain.events import (
    CandlesClosed,
    FillSeen,
    OrderLookedUp,
    OrderReported,
    RunBegan,
    SnapshotFailed,
    SnapshotTaken,
    StopRequested,
    StreamLost,
    TimerFired,
    TimerKind,
)
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.records import Fate, RunStarted, SignalSeen

# ── the beginning ───────────────────────────────────────────────────────────


def test_a_session_begins_with_its_name_and_a_snapshot() -> None:
    """The gate opens when that was taken in; the next snapshot is five minutes away."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        assert [RunBegan, SnapshotTaken] == rig.heard
        assert RunBegan(START, "run-1", "0.1", "live", "hash") == rig.pump.heard[0]
        assert isinstance(rig.records[0], RunStarted)
        assert rig.pump.state.market.is_synced
        assert START + 300_000 == rig.timers.next_ms
        await rig.end()

    live(talk)


def test_a_session_without_a_reachable_venue_keeps_looking() -> None:
    """The gate stays shut; after five seconds it asks again, and goes on as if nothing had been."""

    async def talk() -> None:
        rig = LiveRig()
        rig.venue.fail("open_orders")
        await rig.begin()
        rig.script.next = (long_signal(),)
        rig.feed.close(1_000)
        await asyncio.sleep(10)
        assert 3 == rig.heard.count(SnapshotFailed)
        assert [Fate.GATED] == [record.fate for record in rig.records if isinstance(record, SignalSeen)]
        rig.venue.failing.clear()
        await asyncio.sleep(5)
        assert rig.pump.state.market.is_synced
        await rig.end()

    live(talk)


def test_a_session_takes_up_what_the_last_one_left() -> None:
    """An entry past its deadline is cancelled at once; an open position is looked at."""

    async def talk() -> None:
        before = LiveRig()
        await before.begin()
        entry = await before.enter(fills=False)
        rig = LiveRig(before.pump.state.book)
        rig.venue = before.venue
        rig.session._parts = replace(rig.session._parts, venue=before.venue)
        rig.executor._venue = before.venue
        await asyncio.sleep(90)
        await rig.begin()
        assert ("cancel", entry) in before.venue.calls
        assert TimerKind.ENTRY_DEADLINE in {event.kind for event in rig.pump.heard if isinstance(event, TimerFired)}
        await rig.end()
        await before.end()

    live(talk)


# ── what comes ──────────────────────────────────────────────────────────────


def test_a_closed_candle_is_decided_on_at_once() -> None:
    """With its signals, stamped with the present; the order leaves, and its fills call for a stop."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        signal = long_signal()
        rig.script.next = (signal,)
        rig.feed.close(1_000)
        event = rig.pump.heard[-1]
        assert isinstance(event, CandlesClosed)
        assert (rig.clock.now_ms(), (signal,), False) == (event.ts_ms, event.signals, event.is_catch_up)
        await asyncio.sleep(0.1)
        rig.venue.fill_market_orders(BTC, Decimal(1_000))
        await asyncio.sleep(0.1)
        assert [OrderType.MARKET, OrderType.STOP_MARKET] == [request.type for request in rig.venue.requests]
        await rig.end()

    live(talk)


def test_what_the_stream_tells_is_taken_in_before_it_goes_on() -> None:
    """Synchronously: the state is the new one when the venue's call returns."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        await rig.enter(fills=False)
        rig.venue.fill_market_orders(BTC, Decimal(1_000))
        assert [FillSeen, OrderReported] == rig.heard[-2:]
        (position,) = rig.pump.state.book.positions.values()
        assert PositionState.OPEN is position.state
        rig.session.handle(StreamLost(rig.clock.now_ms(), "connection reset"))
        assert not rig.pump.state.market.is_synced
        await rig.end()

    live(talk)


def test_timers_fire_at_their_time() -> None:
    """One that is set for earlier than the next is not overslept; reconciliation comes round every five minutes."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        await rig.enter(fills=False)
        await asyncio.sleep(1.5)
        fired = [event for event in rig.pump.heard if isinstance(event, TimerFired)]
        assert [TimerKind.LOOKUP] == [event.kind for event in fired]
        assert 1_100 <= fired[0].ts_ms - START <= 1_200
        assert OrderLookedUp in rig.heard
        rig.venue.fill_market_orders(BTC, Decimal(1_000))
        rig.venue.hold(BTC, Side.LONG, rig.venue.requests[0].quantity, Decimal(1_000))
        await asyncio.sleep(900)
        assert 4 == rig.heard.count(SnapshotTaken)
        await rig.end()

    live(talk)


def test_a_timer_that_was_put_off_fires_once_and_at_its_new_time() -> None:
    """The alarm for the old time finds nothing to do."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        for at_ms in (5_000, 9_000):
            rig.timers.set(START + at_ms, TimerKind.LOOKUP, "x")
        await asyncio.sleep(7)
        assert TimerFired not in rig.heard
        await asyncio.sleep(3)
        assert [TimerFired(START + 9_000, TimerKind.LOOKUP, "x")] == [
            event for event in rig.pump.heard if isinstance(event, TimerFired)
        ]
        await rig.end()

    live(talk)


def test_timers_that_are_due_together_fire_in_order() -> None:
    """Also one that is overdue when it is set."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        rig.timers.set(START + 5_000, TimerKind.LOOKUP, "b")
        rig.timers.set(START + 5_000, TimerKind.LOOKUP, "a")
        rig.timers.set(START - 5_000, TimerKind.LOOKUP, "c")
        await asyncio.sleep(6)
        assert ["c", "a", "b"] == [event.key for event in rig.pump.heard if isinstance(event, TimerFired)]
        await rig.end()

    live(talk)


# ── the STOP file ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(("demand", "level"), [("block", Level.NO_ENTRY), ("flatten", Level.FLATTEN)])
def test_a_stop_file_is_found_within_its_period_and_demanded_once(demand: str, level: Level) -> None:
    """Half a second; however often it is looked at afterwards."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        rig.stop_file.demand = demand  # type: ignore[assignment]
        await asyncio.sleep(0.5)
        assert level is rig.pump.state.book.control.level
        await asyncio.sleep(60)
        requests = [event for event in rig.pump.heard if isinstance(event, StopRequested)]
        assert [(level, "STOP is there")] == [(event.level, event.reason) for event in requests]
        assert 100 < rig.stop_file.looks < 150
        await rig.end()

    live(talk)


def test_a_stop_file_that_lies_there_already_comes_before_everything() -> None:
    """Nothing is entered, not even in the first moment."""

    async def talk() -> None:
        rig = LiveRig()
        rig.stop_file.demand = "block"
        await rig.begin()
        assert [StopRequested, RunBegan, SnapshotTaken] == rig.heard
        await rig.end()

    live(talk)


def test_a_stop_file_is_looked_for_before_a_signal_is_decided_on() -> None:
    """However long the period is; a candle without a signal needs no look."""

    async def talk() -> None:
        rig = LiveRig(stop_poll_s=3_600)
        await rig.begin()
        rig.stop_file.demand = "block"
        rig.feed.close(1_000)
        assert CandlesClosed is rig.heard[-1]
        rig.script.next = (long_signal(START + MINUTE),)
        rig.feed.close(1_000, START + MINUTE)
        assert [StopRequested, CandlesClosed] == rig.heard[-2:]
        assert [Fate.GATED] == [record.fate for record in rig.records if isinstance(record, SignalSeen)]
        assert [] == rig.venue.requests
        await rig.end()

    live(talk)


@pytest.mark.parametrize("level", [Level.FLATTEN, Level.LOCKED])
def test_a_stop_file_never_lowers_the_level(level: Level) -> None:
    """What is raised higher stays."""

    async def talk() -> None:
        rig = LiveRig(Book(epoch="aaaa", control=Control(level, "before")))
        rig.stop_file.demand = "flatten"
        await rig.begin(5)
        assert StopRequested not in rig.heard
        assert level is rig.pump.state.book.control.level
        await rig.end()

    live(talk)
