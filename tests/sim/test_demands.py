"""What users of other bots have lost money to, each complaint a story that ends well here.

The stories are lives of the simulation with named faults (see docs/invariants.md); all invariants are judged in
each of them besides what the test asks. The short story: a long entry at 60 s that fills in two slices, a stop,
partials and a target, an exit by signal at 240 s that fills in three slices.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from trading_engine.domain.ids import Purpose, parse_client_order_id
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderRequest, TradeSide
from trading_engine.simulation.faults import Fault, WrittenPlan
from trading_engine.simulation.market import MINUTE_MS, Weather
from trading_engine.simulation.scenario import Scenario
from trading_engine.simulation.sequences import SCENARIO
from trading_engine.simulation.world import Result, World
from trading_engine.store import migrate
from trading_engine.venues.embedded.account import Status

SYMBOL = "BTCUSDT"
Faults = Mapping[tuple[str, int], Fault]


@dataclass(slots=True)
class Life:
    """A world that has been lived through."""

    world: World
    result: Result

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Rows of the engine's database."""
        with closing(sqlite3.connect(self.world.database)) as connection:
            return [tuple(row) for row in connection.execute(query)]

    def sent(self, purpose: Purpose) -> list[tuple[int, str]]:
        """(ms, client order id) of what left for the exchange."""
        return [
            (at_ms, order_id)
            for at_ms, who, text in self.result.timeline
            if who == "send" and _purpose(order_id := text.partition(" ")[0]) is purpose
        ]

    def told(self, fragment: str, who: str = "record") -> list[int]:
        """When the timeline told something, ms."""
        return [at_ms for at_ms, teller, text in self.result.timeline if teller == who and fragment in text]

    @property
    def holds(self) -> Decimal:
        """Signed quantity at the exchange at the end."""
        held = self.world.exchange.positions()
        return sum((one.quantity * (1 if one.side is Side.LONG else -1) for one in held), Decimal(0))

    def state(self, order_id: str) -> object:
        """State of an order's row at the end."""
        return self.rows(f"SELECT state FROM orders WHERE client_order_id = '{order_id}'")[0][0]

    @property
    def reasons(self) -> list[object]:
        """Why positions were closed."""
        return [row[0] for row in self.rows("SELECT close_reason FROM positions ORDER BY position_id")]


def _purpose(order_id: str) -> Purpose | None:
    key = parse_client_order_id(order_id)
    return None if key is None else key.purpose


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without rows."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    migrate.upgrade(path)
    return path


Live = Callable[..., Life]


@pytest.fixture
def live(template: Path, tmp_path: Path) -> Live:
    """Live through the story with the faults given; every invariant must hold."""

    def go(
        faults: Faults | None = None,
        instants: tuple[tuple[int, Fault], ...] = (),
        scenario: Scenario = SCENARIO,
        on_ready: Callable[[World], None] | None = None,
        keeps: bool = True,
    ) -> Life:
        world = World(scenario, WrittenPlan(faults or {}, instants), tmp_path, template)
        if on_ready is not None:
            world.on_ready = lambda: on_ready(world)
        life = Life(world, world.run())
        if keeps:
            assert not life.result.violations, life.result.violations
        return life

    return go


# ── 1 to 4: what was sent, and what was written ──────────────────────────────


@pytest.mark.parametrize("fault", [Fault.LOST_REPLY, Fault.NO_ANSWER, Fault.LATE, Fault.SERVER_ERROR])
def test_a_timeout_is_not_a_failure_and_no_second_order_follows(live: Live, fault: Fault) -> None:
    """Demand 1: the order was accepted, the answer was lost: it is found, and there is one entry."""
    life = live({("submit.entry", 1): fault})
    assert [(60_037, "te0002000001e00001")] == life.sent(Purpose.ENTRY)
    assert ["CLOSED"] == [row[0] for row in life.rows("SELECT state FROM positions")]
    assert 2 <= len(life.rows("SELECT * FROM fills"))


def test_an_unproven_submit_never_ends_as_rejected(live: Live) -> None:
    """Demand 2: it stays UNKNOWN until its window has passed and a whole snapshot lacks it; then it is VOID."""
    life = live({("submit.entry", 1): Fault.LOST_REQUEST})
    assert "VOID" == life.state("te0002000001e00001")
    voided = life.told(" VOID ")
    assert voided
    assert voided[0] - 60_037 > 10_000 + 5_000 + 1_000  # send window, receive window, visibility
    assert Decimal(0) == life.holds


def test_a_filled_order_whose_row_could_not_be_written_is_not_lost(live: Live) -> None:
    """Demand 3: the commit of the fill fails; the next start books it, places the stop, and goes on."""
    for visit in range(3, 7):
        life = live({("commit", visit): Fault.COMMIT_FAILS})
        assert life.told("failed: disk I/O error", "engine")
        assert len(life.world.exchange.memory.trades) == len(life.rows("SELECT * FROM fills"))


def test_a_full_disk_adds_no_exposure_and_leaves_the_stop_where_it_rests(live: Live) -> None:
    """Demand 4: while nothing can be written nothing is sent, however often the process comes up."""
    life = live({("commit", visit): Fault.COMMIT_FAILS for visit in range(8, 20)})
    failed = life.told("failed: disk I/O error", "engine")
    assert len(failed) > 3
    first, last = failed[0], failed[-1]
    assert not [at_ms for purpose in Purpose for at_ms, _ in life.sent(purpose) if first < at_ms < last]
    holdings = [text for at_ms, who, text in life.result.timeline if who == "holds" and first <= at_ms <= last]
    assert all("stop" in text or text.startswith("flat") for text in holdings)


# ── 5 to 11: stops ───────────────────────────────────────────────────────────


def test_no_stop_is_removed_before_its_successor_stands(live: Live) -> None:
    """Demand 5: each replacement is acknowledged before the old one is cancelled, and they are few."""
    life = live()
    stops = [order_id for _, order_id in life.sent(Purpose.STOP)]
    assert 4 == len(stops)
    for old, new in pairwise(stops):
        acknowledged = life.told(f"order {new} ACKED", "exchange")[0]
        assert acknowledged < life.told(f"order {old} CANCELED", "exchange")[0]


def test_no_stop_is_left_after_the_close(live: Live) -> None:
    """Demand 6: flat is proven, then every child is cancelled, then the position is CLOSED; even through a death."""
    life = live({("die.cancel.before", 5): Fault.DEATH})
    assert Decimal(0) == life.holds
    assert not life.world.exchange.venue.account_state.orders
    assert not life.rows("SELECT * FROM orders WHERE state IN ('ACKED', 'PARTIAL', 'INTENT', 'UNKNOWN')")


def test_a_restart_brings_back_a_stop_that_vanished_meanwhile(live: Live) -> None:
    """Demand 7: somebody cancels the stop while the engine is down; the start places it before anything else."""

    def cancel_while_down(world: World) -> None:
        world.network.later(150_000, lambda: _kill(world))
        world.network.later(150_010, lambda: _cancel_stops(world))

    life = live(on_ready=cancel_while_down)
    start = life.told("start 2", "engine")[0]
    sent = [at_ms for at_ms, _ in life.sent(Purpose.STOP) if at_ms > 150_000]
    assert sent[0] - start < 5_000


def _kill(world: World) -> None:
    if world.alive is not None:
        world.alive.die("loop step")


def _cancel_stops(world: World) -> None:
    for order in list(world.exchange.venue.account_state.orders.values()):
        if _purpose(order.client_order_id) is Purpose.STOP:
            world.exchange.cancel(order.symbol, order.client_order_id)


def test_a_venue_that_refuses_every_stop_is_not_flooded_and_the_position_is_closed(live: Live) -> None:
    """Demand 8: one refusal, one alarm, out at market; stops do not pile up."""
    life = live({("submit.stop", visit): Fault.REFUSED for visit in range(1, 50)})
    assert len(life.sent(Purpose.STOP)) <= 2
    assert ["risk"] == life.reasons
    assert life.rows("SELECT * FROM alert_outbox WHERE severity = 'critical' AND text LIKE '%refused%'")


def test_a_triggered_stop_has_no_limit_that_could_miss(live: Live) -> None:
    """Demand 9: protective stops are stop-market, all of them."""
    life = live()
    types = {row[0] for row in life.rows("SELECT type FROM orders WHERE purpose = 'stop'")}
    assert {OrderType.STOP_MARKET.value} == types


def test_a_stop_without_an_answer_is_asked_after_not_panicked_about(live: Live) -> None:
    """Demand 10: a lost reply causes no market sale; the stop is found, or sent once more."""
    life = live({("submit.stop", 1): Fault.LOST_REPLY})
    assert ["signal"] == life.reasons


@pytest.mark.parametrize("fault", [None, Fault.DROP, Fault.DELAY, Fault.DUPLICATE])
def test_the_stop_has_the_size_of_the_position_after_every_partial_fill(live: Live, fault: Fault | None) -> None:
    """Demand 11: also where the stream loses, delays or repeats the fill."""
    life = live({("stream.fill", 3): fault} if fault else {})
    quantities = {str(row[0]) for row in life.rows("SELECT quantity FROM orders WHERE purpose = 'stop'")}
    assert {"0.01", "0.035", "0.025"} <= {str(Decimal(text).normalize()) for text in quantities}


# ── 12 to 18: races, other people, and the venue's own doing ─────────────────


def test_a_fill_that_races_a_cancel_is_booked(live: Live) -> None:
    """Demand 12: the entry fills on while its cancel is under way, and the stream is silent about it."""
    life = live({("stream.fill", 2): Fault.DROP, ("stream.order", 3): Fault.DROP, ("cancel", 1): Fault.LOST_REPLY})
    assert len(life.world.exchange.memory.trades) == len(life.rows("SELECT * FROM fills"))
    assert Decimal(0) == life.holds


def test_an_exit_goes_on_until_nothing_is_left(live: Live) -> None:
    """Demand 13: it fills in slices, one of them unheard; the position is CLOSED at exactly zero."""
    life = live({("stream.fill", 4): Fault.DROP, ("submit.exit", 1): Fault.LOST_REPLY})
    assert Decimal(0) == life.holds
    assert [("CLOSED", "0")] == life.rows("SELECT state, quantity FROM positions")


def test_a_trade_made_by_hand_is_not_swallowed(live: Live) -> None:
    """Demand 14: a foreign position freezes its symbol, is told, and is never touched or counted as ours."""

    def trade_by_hand(world: World) -> None:
        world.may_be_frozen = True
        world.network.later(20_000, lambda: _by_hand(world, "hand1", TradeSide.BUY, "0.020"))

    life = live(on_ready=trade_by_hand, keeps=False)
    assert not [found for found in life.result.violations if found.invariant not in ("I5", "I6", "I8", "I10")]
    assert not life.sent(Purpose.ENTRY)
    assert Decimal("0.020") == life.holds
    assert life.rows("SELECT * FROM alert_outbox WHERE severity = 'critical' AND text LIKE '%no entries%'")


def _by_hand(world: World, order_id: str, side: TradeSide, quantity: str) -> None:
    request = OrderRequest(order_id, SYMBOL, side, OrderType.MARKET, Decimal(quantity), False, Side.LONG)
    world.exchange.submit(request, 0)


def test_orders_of_another_bot_on_the_account_lock_the_engine(live: Live) -> None:
    """Demand 15: an id of ours with another epoch is a restored backup or a second instance: no entries at all."""

    def second_bot(world: World) -> None:
        world.was_stopped = world.may_be_frozen = True
        world.network.later(20_000, lambda: _by_hand(world, "te9999000001e00001", TradeSide.BUY, "0.020"))

    life = live(on_ready=second_bot, keeps=False)
    assert not life.sent(Purpose.ENTRY)
    assert [("LOCKED",)] == life.rows("SELECT level FROM control")


def test_failed_queries_invent_nothing(live: Live) -> None:
    """Demand 16: while every read fails nothing is concluded, and starts again and again add no row twice."""
    unread = {
        (f"read.{what}", visit): Fault.LOST_REPLY
        for what in ("open_orders", "order", "fills", "positions")
        for visit in range(2, 9)
    }
    deaths = tuple((at_ms, Fault.DEATH) for at_ms in (130_000, 160_000, 200_000))
    life = live(unread, deaths)
    assert life.result.crashes
    assert 1 == len(life.rows("SELECT * FROM positions"))
    assert len(life.world.exchange.memory.trades) == len(life.rows("SELECT DISTINCT trade_id FROM fills"))


def test_a_late_candle_opens_nothing(live: Live) -> None:
    """Demand 17: a signal that is older than its limit is stale, and one that is told twice is decided once."""
    life = live({("candle", 1): Fault.DUPLICATE})
    assert 1 == len(life.sent(Purpose.ENTRY))
    late = live_late(live)
    assert not late.sent(Purpose.ENTRY)


def live_late(live: Live) -> Life:
    """The story in which the candle of the entry comes after its time."""

    def slow_feed(world: World) -> None:
        send = world.exchange.on_candles
        world.exchange.on_candles = lambda candles: world.network.later(70_000, lambda: send(candles))

    return live(on_ready=slow_feed)


def test_a_liquidation_is_seen_as_one(live: Live) -> None:
    """Demand 18: the venue takes the position over; it is closed as liquidated, and its orders are gone."""
    falling = replace(
        SCENARIO,
        leverage=Decimal(100),
        weather=Weather(minute_ppm=1_500, gap_chance=0.0),
        troubled_ms=6 * MINUTE_MS,
    )

    def crash(world: World) -> None:
        world.network.later(150_000, lambda: _kill(world))
        world.network.later(150_010, lambda: _cancel_stops(world))
        world.network.later(150_020, lambda: _liquidate(world))

    life = live(scenario=falling, on_ready=crash)
    assert ["liquidation"] == life.reasons
    assert not life.world.exchange.venue.account_state.orders


def _liquidate(world: World) -> None:
    """The price falls through the liquidation price while nobody watches."""
    account = world.exchange.venue.account_state
    point, held = account.points[SYMBOL], account.positions[SYMBOL]
    assert held.liquidation
    point.last = held.liquidation - 1
    for order in account.orders.values():
        assert order.status is not Status.WORKING
    world.exchange.settle(SYMBOL)
