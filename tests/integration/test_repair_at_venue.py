"""An operator at a real venue's protocol while no engine runs: compare, mend, close everything.

Everything is real but the market, which stands still at 50,000: command line, database, adapter, sockets, server.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.venue_rig import VenueDesk, venue_desk

from trading_engine.system.single_instance import InstanceLock
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.faults import Mishap, Rule
from trading_engine.venues.embedded.account import Kind

VENUES = ["binance", "bingx", "zoomex"]
PLACE = {"binance": "POST /fapi/v1/order", "bingx": "POST /openApi/swap/v2/trade/order", "zoomex": "order/create"}


@pytest.fixture(params=VENUES)
def desk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[VenueDesk]:
    """A state that began on each venue, with nothing open."""
    monkeypatch.chdir(tmp_path)
    with venue_desk(request.param, tmp_path, capsys) as made:
        made.begin()
        yield made


def test_a_stranger_s_position_is_planned_without_a_word_and_adopted_with_its_stop(desk: VenueDesk) -> None:
    """A plan only asks; what is applied is what was planned, and then nothing differs any more."""
    assert [] == desk.plan()
    desk.configure("adopt")
    desk.by_hand(1, "0.01")
    assert {"foreign_money", "position", "order_missing"} == {kind for kind, _ in desk.plan()}
    assert {"GET"} == desk.venue.methods
    assert [] == desk.open_orders()
    done = desk.apply()
    assert "done: BTCUSDT: P000001 taken over, long 0.01" in done
    assert [("stop_market", True)] == desk.open_orders()
    assert [] == [line for line in done if line.startswith("left: ")]
    assert [] == desk.plan()
    desk.call("audit")


def test_a_state_of_play_money_is_none_for_real_money(desk: VenueDesk) -> None:
    """Venues call both accounts the same; sizes and limits would follow the wrong wallet. Nothing is asked of it."""
    desk.configure(mode="live")
    for command in (("reconcile", "--plan"), ("run",)):
        said = desk.call(*command, "--config", str(desk.config), code=3)
        assert "has run in mode testnet" in said
        assert "--state DIR" in said
    assert set() == desk.venue.methods
    desk.configure()
    assert [] == desk.plan()


def test_everything_is_closed_without_a_healthy_database(desk: VenueDesk) -> None:
    """An entry, a position and its stop: all gone, and the damaged file is not touched."""
    desk.configure("adopt")
    desk.by_hand(-1, "0.01")
    desk.apply()
    desk.by_hand(1, "0.01", Kind.LIMIT, "40000")
    desk.state.database.write_bytes(b"not a database")
    steps = desk.flatten()
    assert ([], []) == (desk.held(), desk.open_orders()), steps
    assert "flat: no position and no order is left" == steps[-1]
    entry, closing, stop = (
        next((at for at, line in enumerate(steps) if word in line), len(steps))  # some venues take the stop away
        for word in ("limit", "closing order tx", "stop_market")
    )
    assert entry < closing < stop, "what could open goes first, what guards goes last"
    assert b"not a database" == desk.state.database.read_bytes()
    assert ["flat: no position and no order is left"] == desk.flatten()


def test_a_running_engine_is_left_to_itself(desk: VenueDesk) -> None:
    """Exit 3 for both, and nothing was asked of the venue."""
    with InstanceLock(desk.state.lock):
        config = ("--config", str(desk.config))
        assert "engine runs" in desk.call("reconcile", "--apply", "--yes", *config, code=3)
        assert "engine runs" in desk.call("flatten", "--direct", "--yes", *config, code=3)
    assert set() == desk.venue.methods


@pytest.mark.parametrize("desk", ["binance"], indirect=True)
def test_a_position_that_cannot_be_closed_keeps_its_stop_and_is_told(
    desk: VenueDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 70 with what is left, whether the venue refuses or loses the orders."""
    monkeypatch.setattr("trading_engine.runtime.emergency.PATIENCE_MS", 15_000)
    desk.configure("adopt")
    desk.by_hand(1, "0.01")
    desk.apply()
    body = '{"code":-2022,"msg":"ReduceOnly Order is rejected."}'
    desk.venue.server.faults.rules.append(Rule(site=PLACE["binance"], fault=Mishap.STATUS, status=400, body=body))
    steps = desk.flatten(code=70)
    assert any("NOT closed yet" in line and "its stops stay" in line for line in steps), steps
    assert "BTCUSDT: long 0.01 is STILL OPEN, behind 1 protective orders" in steps
    assert [("stop_market", True)] == desk.open_orders()


@pytest.mark.parametrize("desk", ["binance"], indirect=True)
def test_a_closing_order_whose_answer_is_lost_is_asked_for_and_not_doubled(desk: VenueDesk) -> None:
    """It had arrived."""
    desk.by_hand(1, "0.01")
    desk.venue.server.faults.rules.append(Rule(site=PLACE["binance"], fault=Mishap.LOST_REPLY, visits=(1,)))
    steps = desk.flatten()
    assert 1 == sum("closing order" in line for line in steps), steps
    assert any("has no answer" in line for line in steps)
    assert [] == desk.held()


@pytest.mark.parametrize("desk", ["bingx"], indirect=True)
def test_a_venue_that_does_not_answer_is_told_as_that(desk: VenueDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was done, and nothing is said about what is open."""
    monkeypatch.setattr("trading_engine.runtime.at_venue.REACH_MS", 1_000)
    desk.venue.wait(desk.venue.server.stop())
    steps = desk.flatten(code=70)
    assert steps[-1].endswith("NOTHING was done; what is open stays as it is")
    said = desk.call("reconcile", "--plan", "--config", str(desk.config), code=70)
    assert "does not tell its time (" in said
    assert "NotSent" not in said
    assert "is `trading-engine exchange serve` running there?" in said


@pytest.mark.parametrize("desk", ["zoomex"], indirect=True)
def test_a_state_of_another_venue_or_without_a_beginning_is_refused(desk: VenueDesk, tmp_path: Path) -> None:
    """Exit 78 names what is wrong; an emergency needs no state at all."""
    desk.config.write_text(desk.config.read_text().replace("account: main", "account: other"))
    desk.call("reconcile", "--plan", "--config", str(desk.config), code=78)
    desk.configure()
    desk.folder = tmp_path / "elsewhere"
    desk.folder.mkdir()
    desk.configure()
    assert "nothing has run" in desk.call("reconcile", "--plan", "--config", str(desk.config), code=78)
    desk.by_hand(1, "0.01")
    steps = desk.flatten()
    assert "whether an engine trades on this account elsewhere is not known" in steps[0]
    assert [] == desk.held()


def vanish(exchange: LocalExchange) -> None:
    """All that was held is gone with the orders beside it, the wallet has lost 50 by it, and no history tells how."""
    exchange.account.positions.clear()
    for order in exchange.orders(only_open=True):
        del exchange.account.orders[order.client_order_id]
        del exchange._orders[order.client_order_id]
        del exchange._by_number[order.number]
    exchange.account.progress.wallet_e8 -= 50 * 10**8


def test_a_position_that_the_venue_does_not_hold_any_more_is_dropped_by_an_operator_s_word(desk: VenueDesk) -> None:
    """Two looks prove it, its stop ends as gone, nothing is sent; the wallet's part is booked in the same call."""
    desk.configure("adopt")
    desk.by_hand(1, "0.01")
    desk.apply()
    refused = ("reconcile", "--apply", "--yes", "--drop", "BTCUSDT", "--config", str(desk.config))
    rows = desk.read("orders")
    desk.venue.server.faults.visits.clear()
    said = desk.call(*refused, code=3)
    assert "BTCUSDT: the venue holds long 0.01; what it holds is closed (`flatten --direct`), not dropped" in said
    assert "of ours rests at the venue; cancel it on its page first" in said
    assert rows == desk.read("orders")
    desk.venue.do(vanish)
    assert "phantom" in [kind for kind, _ in desk.plan()]
    done = desk.apply("--drop", "BTCUSDT", "--book-gap", "--reason", "an outage")
    assert {"GET"} == desk.venue.methods, "nothing is ordered for what is not there"
    assert "done: 0.01 of P000001 dropped (an outage)" in done
    assert "done: P000001 moved from CLOSING to CLOSED" in done
    assert "done: -50 USDT booked as an adjustment (an outage)" in done
    assert [] == [line for line in done if line.startswith("left: ")]
    assert [] == desk.plan()
    desk.call("audit")
    assert [("external", "0.01")] == [
        (row["close_reason"], row["quantity"]) for row in desk.read("trades") if row["strategy"] == "adopted"
    ]


@pytest.mark.parametrize("desk", ["zoomex"], indirect=True)
def test_money_that_the_venue_does_not_tell_of_is_booked_by_an_operator_s_word(desk: VenueDesk) -> None:
    """A transfer: no income tells it. It is told, and booked as an adjustment, so that the ledger is the wallet's."""

    def transfer(exchange: LocalExchange) -> None:
        exchange.account.progress.wallet_e8 -= 250 * 10**8

    desk.venue.do(transfer)
    assert [("wallet", "told")] == desk.plan()
    assert ["done: -250 USDT booked as an adjustment (a transfer)"] == desk.apply(
        "--book-gap", "--reason", "a transfer"
    )
    assert [] == desk.plan()
    desk.call("audit")
