"""How a live session ends: in order, within its budget, flat where that is asked for; or with its failure."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import pytest
from fakes.live_rig import BTC, MINUTE, START, LiveRig, live, long_signal

from trading_engine.domain.errors import InvariantBroken
from trading_engine.domain.events import (
    CandlesClosed,
    RunEnding,
    RunFinished,
    SnapshotTaken,
    SubmitAnswered,
    TimerFired,
    TimerKind,
)
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderState
from trading_engine.domain.records import Fate, RunEnded, SignalSeen
from trading_engine.runtime import executor as executor_module
from trading_engine.runtime import session as session_module

# ── the end ─────────────────────────────────────────────────────────────────


def test_a_session_that_is_stopped_cancels_entries_and_says_good_bye() -> None:
    """Asked twice it ends once, for the first reason; afterwards nothing is left to wake it."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        entry = await rig.enter(fills=False)
        rig.session.stop("SIGTERM")
        rig.session.stop("SIGINT")
        await rig.ended()
        assert ("cancel", entry) in rig.venue.calls
        assert isinstance(rig.pump.heard[-1], RunFinished)
        assert [RunEnded("run-1", "SIGTERM")] == [record for record in rig.records if isinstance(record, RunEnded)]
        assert {} == rig.pump.state.book.positions
        heard, looks = len(rig.pump.heard), rig.stop_file.looks
        assert rig.timers.on_set is None
        await asyncio.sleep(600)
        assert (heard, looks) == (len(rig.pump.heard), rig.stop_file.looks)

    live(talk)


def test_a_position_keeps_its_stop_when_the_session_leaves() -> None:
    """Nothing is sold because a process ends."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        await rig.enter()
        began = rig.seconds
        await rig.end()
        assert rig.seconds - began < 1
        assert [OrderType.MARKET, OrderType.STOP_MARKET] == [request.type for request in rig.venue.requests]
        (position,) = rig.pump.state.book.positions.values()
        assert PositionState.OPEN is position.state

    live(talk)


def test_a_call_in_flight_is_waited_for() -> None:
    """Its answer is written down before the last word."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        rig.venue.gates["balance"] = asyncio.Event()
        rig.timers.set(rig.clock.now_ms(), TimerKind.RECONCILE, "")
        await asyncio.sleep(0.1)
        asyncio.get_running_loop().call_later(2, rig.venue.gates["balance"].set)
        await rig.end()
        assert [RunEnding, SnapshotTaken, RunFinished] == rig.heard[-3:]

    live(talk)


def test_a_call_that_is_never_answered_becomes_unknown_before_the_session_leaves() -> None:
    """After ten seconds; the next start asks what became of the order."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        rig.venue.gates["teaaaa000001e00001"] = asyncio.Event()
        entry = await rig.enter(fills=False)
        rig.venue.fail("order")
        await rig.end()
        assert SubmitAnswered in rig.heard
        assert OrderState.UNKNOWN is rig.pump.state.book.orders[entry].state
        assert isinstance(rig.pump.heard[-1], RunFinished)
        assert rig.seconds < 25

    live(talk)


def test_a_session_does_not_wait_longer_than_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no answer by then is a row that the next start asks after."""
    monkeypatch.setattr(session_module, "SHUTDOWN_BUDGET_S", 3.0)

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        rig.venue.gates["teaaaa000001e00001"] = asyncio.Event()
        entry = await rig.enter(fills=False)
        began = rig.seconds
        await rig.end()
        assert 3 == pytest.approx(rig.seconds - began)
        assert OrderState.INTENT is rig.pump.state.book.orders[entry].state
        assert isinstance(rig.pump.heard[-1], RunFinished)
        rig.venue.gates[entry].set()
        await asyncio.sleep(1)

    live(talk)


def test_a_call_that_ends_with_the_process_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop cancels what still hangs after an orderly end; nothing complains about it."""
    monkeypatch.setattr(session_module, "SHUTDOWN_BUDGET_S", 3.0)

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        rig.venue.gates["teaaaa000001e00001"] = asyncio.Event()
        await rig.enter(fills=False)
        await rig.end()

    live(talk)


def test_candles_that_close_while_the_session_leaves_open_nothing() -> None:
    """They manage exits only."""

    async def talk() -> None:
        rig = LiveRig(flatten_on_stop=True)
        await rig.begin()
        await rig.enter()
        rig.session.stop("SIGTERM")
        await asyncio.sleep(1)
        rig.venue.fill_market_orders(BTC, Decimal(990))
        rig.script.next = (long_signal(START + MINUTE),)
        rig.feed.close(1_000, START + MINUTE)
        (closed,) = [event for event in rig.pump.heard[-3:] if isinstance(event, CandlesClosed)]
        assert closed.is_catch_up
        await rig.ended()
        assert Fate.TAKEN not in [record.fate for record in rig.records if isinstance(record, SignalSeen)][1:]

    live(talk)


def test_a_session_may_leave_flat() -> None:
    """The position is sold at the market and its stop cancelled before the last word."""

    async def talk() -> None:
        rig = LiveRig(flatten_on_stop=True)
        await rig.begin()
        await rig.enter()
        rig.session.stop("SIGTERM")
        await asyncio.sleep(2)
        assert [OrderType.MARKET, OrderType.STOP_MARKET, OrderType.MARKET] == [
            request.type for request in rig.venue.requests
        ]
        assert RunFinished not in rig.heard
        rig.venue.fill_market_orders(BTC, Decimal(990))
        await rig.ended()
        assert {} == rig.pump.state.book.positions
        assert isinstance(rig.pump.heard[-1], RunFinished)
        assert rig.seconds < 10

    live(talk)


def test_a_position_that_cannot_be_sold_is_left_behind_its_stop() -> None:
    """After a minute; it is CLOSING, and the next start goes on with it."""

    async def talk() -> None:
        rig = LiveRig(flatten_on_stop=True)
        await rig.begin()
        await rig.enter()
        began = rig.seconds
        await rig.end()
        assert 60 <= rig.seconds - began < 62
        (position,) = rig.pump.state.book.positions.values()
        assert PositionState.CLOSING is position.state
        assert isinstance(rig.pump.heard[-1], RunFinished)

    live(talk)


# ── failure ─────────────────────────────────────────────────────────────────

Strike = Callable[[LiveRig], None]


def _breaking_strategy(rig: LiveRig) -> None:
    rig.script.fault = OSError("it broke")
    rig.feed.close(1_000)


def _breaking_stop_file(rig: LiveRig) -> None:
    rig.stop_file.fault = OSError("it broke")


def _breaking_read(rig: LiveRig) -> None:
    rig.venue.failing["open_orders"] = OSError("it broke")
    rig.timers.set(rig.clock.now_ms(), TimerKind.RECONCILE, "")


def _failing_commit(rig: LiveRig) -> None:
    rig.store.fail_next = OSError("it broke")
    rig.stop_file.demand = "block"


def _failing_commit_of_a_candle(rig: LiveRig) -> None:
    rig.store.fail_next = OSError("it broke")
    rig.script.next = (long_signal(),)
    rig.feed.close(1_000)


STRIKES = [
    _breaking_strategy,
    _breaking_stop_file,
    _breaking_read,
    _failing_commit,
    _failing_commit_of_a_candle,
]


@pytest.mark.parametrize("strike", STRIKES)
def test_a_failure_anywhere_ends_the_session_with_it(strike: Strike) -> None:
    """Strategy, file, venue, store: what could not be decided or committed is not traded on, and nothing is sent."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        strike(rig)
        with pytest.raises(OSError, match="it broke"):
            await rig.ended()
        assert rig.seconds < 1
        assert RunFinished not in rig.heard
        assert RunEnding not in rig.heard
        await asyncio.sleep(600)
        assert [] == rig.venue.requests

    live(talk)


def test_a_failure_at_the_very_start_ends_the_session() -> None:
    """The first record cannot be written: nothing was asked of the venue."""

    async def talk() -> None:
        rig = LiveRig()
        rig.store.fail_next = OSError("disk full")
        with pytest.raises(OSError, match="disk full"):
            await rig.session.run()
        assert [] == rig.venue.calls

    live(talk)


def test_a_failed_timer_ends_the_session() -> None:
    """An exit that falls due cannot be written down."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        await rig.enter(fills=False)
        await asyncio.sleep(59)
        rig.store.fail_next = OSError("disk full")
        with pytest.raises(OSError, match="disk full"):
            await rig.ended()
        assert TimerFired is rig.heard[-1]

    live(talk)


def test_what_comes_after_a_failure_changes_nothing() -> None:
    """The first failure is the one that is raised."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        entry = await rig.enter(fills=False)
        book = rig.pump.state.book
        rig.store.fail_next = OSError("disk full")
        rig.venue.fill(entry, Decimal("0.001"), Decimal(1_000))
        rig.venue.fill(entry, Decimal("0.001"), Decimal(1_000))
        with pytest.raises(OSError, match="disk full"):
            await rig.ended()
        assert book is rig.pump.state.book
        assert 1 == len(rig.venue.requests)

    live(talk)


def test_a_failure_while_leaving_is_raised_and_no_last_word_is_written() -> None:
    """The next start must not think that this one ended in order."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        rig.venue.gates["balance"] = asyncio.Event()
        rig.timers.set(rig.clock.now_ms(), TimerKind.RECONCILE, "")
        await asyncio.sleep(0.1)
        rig.session.stop("SIGTERM")
        await asyncio.sleep(0.1)
        _breaking_strategy(rig)
        with pytest.raises(OSError, match="it broke"):
            await rig.ended()
        assert RunEnding in rig.heard
        assert RunFinished not in rig.heard

    live(talk)


def test_a_call_that_breaks_while_leaving_is_raised() -> None:
    """By the executor's own way."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        rig.venue.gates["open_orders"] = asyncio.Event()
        rig.venue.failing["open_orders"] = OSError("it broke")
        rig.timers.set(rig.clock.now_ms(), TimerKind.RECONCILE, "")
        await asyncio.sleep(0.1)
        rig.session.stop("SIGTERM")
        await asyncio.sleep(0.1)
        rig.venue.gates["open_orders"].set()
        with pytest.raises(OSError, match="it broke"):
            await rig.ended()
        assert RunFinished not in rig.heard

    live(talk)


def test_a_failure_while_selling_out_is_raised() -> None:
    """At once, not after the minute that the sale may take."""

    async def talk() -> None:
        rig = LiveRig(flatten_on_stop=True)
        await rig.begin()
        await rig.enter()
        rig.session.stop("SIGTERM")
        await asyncio.sleep(2)
        began = rig.seconds
        _breaking_strategy(rig)
        with pytest.raises(OSError, match="it broke"):
            await rig.ended()
        assert rig.seconds - began < 1
        assert RunFinished not in rig.heard

    live(talk)


def test_an_end_whose_first_record_fails_is_no_orderly_end() -> None:
    """Nor one that is asked for in the very moment in which an event fails."""

    async def talk() -> None:
        rig = LiveRig()
        await rig.begin()
        await rig.enter()
        rig.session.stop("SIGTERM")
        rig.store.fail_next = OSError("disk full")
        rig.script.next = (long_signal(START + MINUTE),)
        rig.feed.close(1_000, START + MINUTE)
        with pytest.raises(InvariantBroken, match="after the engine had failed") as ended:
            await rig.ended()
        assert isinstance(ended.value.__cause__, OSError)
        assert RunFinished not in rig.heard

    live(talk)


def test_the_budgets_leave_room_for_a_call_that_hangs() -> None:
    """A call gives up before the session does."""
    assert executor_module.CALL_TIMEOUT_S < session_module.SHUTDOWN_BUDGET_S
    assert executor_module.READ_TIMEOUT_S < executor_module.CALL_TIMEOUT_S
