"""An account in hedge mode, end to end: each adapter against its venue's local server, where orders name a side."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import pytest
from fakes.venue_rig import BTC, PACE, START_MS, VenueDesk, venue_desk

from trading_engine.config.load import load_config
from trading_engine.core.state import Book, Ledger
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.events import FillSeen
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderRequest, OrderState, closing_side, opening_side
from trading_engine.domain.reports import Accepted, Rejected
from trading_engine.ports import PositionMode, RemoteVenue, VenueEvent
from trading_engine.runtime import remote
from trading_engine.runtime.executor import take_snapshot
from trading_engine.venues.embedded.account import Kind

T = TypeVar("T")
SIZE = Decimal("0.01")
BOOK = Book("test", ledger=Ledger(opened_ms=START_MS))


@pytest.fixture(params=["binance", "bingx", "zoomex"])
def desk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[VenueDesk]:
    """A venue on which nothing has happened, and a configuration in hedge mode."""
    monkeypatch.chdir(tmp_path)
    with venue_desk(request.param, tmp_path, capsys) as made:
        margin = "cross" if request.param == "zoomex" else "isolated"
        made.configure("adopt", position_mode="hedge", margin_mode=margin)
        yield made


def played(desk: VenueDesk, scene: Callable[[RemoteVenue], Awaitable[T]]) -> T:
    """Start as `run` does, then play the scene."""

    async def main() -> T:
        config = load_config(desk.config, {}, {}, None)
        clock = await remote.adopt_clock(config, 0)
        assert clock is not None
        venue = remote.make_venue(config, clock)
        try:
            await remote.open_venue(venue)
            await remote.check_account(venue, config)
            await remote.arrange_account(venue, config, config.symbols)
            return await scene(venue)
        finally:
            await venue.close()

    return asyncio.run(main())


def order(name: str, side: Side, kind: OrderType, *, opens: bool, trigger: str = "") -> OrderRequest:
    """An order of the engine's for a position on one side."""
    return OrderRequest(
        name,
        BTC,
        opening_side(side) if opens else closing_side(side),
        kind,
        SIZE,
        reduce_only=not opens,
        position_side=side,
        trigger_price=Decimal(trigger) if trigger else None,
    )


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what a stream brings."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it is brought by another task
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("side", list(Side))
def test_a_position_is_opened_guarded_and_closed_on_its_side(desk: VenueDesk, side: Side) -> None:
    """The start switches the account; orders, positions, fills and reports agree with one-way mode's meanings."""
    stop_at = "45000" if side is Side.LONG else "55000"

    async def scene(venue: RemoteVenue) -> None:
        await asyncio.sleep(1.2 / PACE)  # some settings may be asked for twice a second
        assert PositionMode.HEDGE is (await venue.account_facts()).position_mode
        events: list[VenueEvent] = []
        venue.subscribe(events.append)
        assert isinstance(await venue.submit(order("e1", side, OrderType.MARKET, opens=True)), Accepted)
        (held,) = await venue.positions()
        assert (BTC, side, SIZE) == (held.symbol, held.side, held.quantity)
        stop = await venue.submit(order("s1", side, OrderType.STOP_MARKET, opens=False, trigger=stop_at))
        assert isinstance(stop, Accepted), stop
        (resting,) = await venue.open_orders()
        assert ("s1", closing_side(side), True) == (resting.client_order_id, resting.side, resting.reduce_only)
        assert isinstance(await venue.submit(order("x1", side, OrderType.MARKET, opens=False)), Accepted)
        assert [] == list(await venue.positions())
        again = await venue.submit(order("x2", side, OrderType.MARKET, opens=False))
        assert isinstance(again, Rejected), "what closes cannot open"
        for report in await venue.open_orders():
            await venue.cancel(BTC, report.client_order_id, report.venue_order_id)
        assert [] == list(await venue.open_orders())
        fills = [(fill.client_order_id, fill.side, fill.quantity) for fill in await venue.fills_since(START_MS)]
        assert [("e1", opening_side(side), SIZE), ("x1", closing_side(side), SIZE)] == fills
        await until(lambda: sum(isinstance(event, FillSeen) for event in events) >= 2)
        closed = await venue.order(BTC, "x1")
        assert closed is not None
        assert (OrderState.FILLED, True) == (closed.state, closed.reduce_only)
        snapshot = await take_snapshot(venue, BOOK, desk.venue.exchange.now_ms())
        assert () == snapshot.positions

    played(desk, scene)


def test_an_operator_s_commands_know_the_sides(desk: VenueDesk) -> None:
    """A stranger's short is adopted with its stop, then closed with everything else; nothing is turned round."""

    async def nothing(venue: RemoteVenue) -> None:
        del venue

    played(desk, nothing)
    desk.begin()
    desk.by_hand(-1, "0.01")
    assert "done: BTCUSDT: P000001 taken over, short 0.01" in desk.apply()
    assert [("stop_market", True)] == desk.open_orders()
    assert [] == desk.plan()
    steps = desk.flatten()
    assert ([], []) == (desk.held(), desk.open_orders()), steps


@pytest.mark.parametrize("desk", ["binance"], indirect=True)
def test_an_account_in_the_other_mode_is_refused_by_a_plan_and_followed_in_an_emergency(desk: VenueDesk) -> None:
    """`run` switches a flat account; what is held is closed the way the account wants it."""
    desk.begin()
    desk.by_hand(1, "0.01")
    said = desk.call("reconcile", "--plan", "--config", str(desk.config), code=3)
    assert "position mode one_way, venues.binance.position_mode = hedge" in said
    steps = desk.flatten()
    assert "the account is in position mode one_way, unlike the configuration: orders follow the account" in steps
    assert [] == desk.held()


def test_a_mode_cannot_be_changed_while_something_is_open(desk: VenueDesk) -> None:
    """The start is refused with one line and exit 3."""
    desk.by_hand(1, "0.01", Kind.LIMIT, "40000")

    async def nothing(venue: RemoteVenue) -> None:
        del venue

    with pytest.raises(
        ConfigInvalid, match=r"the venue refuses position_mode hedge \(.+\); close what is open"
    ) as refused:
        played(desk, nothing)
    assert (3, 1) == (refused.value.exit_code, len(str(refused.value).splitlines()))


def test_the_other_side_beside_one_is_beyond_a_local_server(desk: VenueDesk) -> None:
    """It says so instead of netting the two."""

    async def scene(venue: RemoteVenue) -> None:
        assert isinstance(await venue.submit(order("e1", Side.LONG, OrderType.MARKET, opens=True)), Accepted)
        other = await venue.submit(order("e2", Side.SHORT, OrderType.MARKET, opens=True))
        assert isinstance(other, Rejected)
        (held,) = await venue.positions()
        assert (Side.LONG, SIZE) == (held.side, held.quantity)

    played(desk, scene)
