"""A run that sends nothing, on the local servers of three venues and on the embedded exchange: requests are counted.

The engine is the real one (adapter, session, core, database). Each life is lived as it should be, and once more with
the core's gate taken out, so that the guard in front of the venue has to hold alone.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fakes.fault_rig import BTC, VenueRig, lived
from fakes.replay_rig import Rig, Tape, long_signal

from trading_engine.cli.main import main
from trading_engine.domain.errors import InvariantBroken
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.orders import OrderState
from trading_engine.domain.records import Fate
from trading_engine.domain.reports import Rejected
from trading_engine.ports import MarginMode, PositionMode
from trading_engine.runtime import bootstrap
from trading_engine.runtime.read_only import ReadOnlyRemote, ReadOnlyVenue

VENUES = ("binance", "bingx", "zoomex")
# What is asked for with another verb than GET and changes nothing: the key to the stream of the account.
LISTENING = {"/fapi/v1/listenKey", "/openApi/user/auth/userDataStream"}

DEMO = """\
mode: paper
symbols: [BTCUSDT]
strategies: [{name: multi_timeframe_long}]
demo: {seed: 7, candles: 1500}
logging: {level: ERROR, file: false}
"""


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory of one's own."""
    monkeypatch.chdir(tmp_path)


def changing(visits: Counter[str]) -> list[str]:
    """The requests that have reached the server and may have changed something there."""
    found = []
    for site in visits:
        verb, _, path = site.partition(" ")
        if verb in ("POST", "PUT", "DELETE") and path not in LISTENING:
            found.append(site)
    return found


def life(tmp_path: Path, venue: str, **changes: object) -> tuple[VenueRig, Counter[str]]:
    """A start, a signal, a quarter of an hour, an end; the rig, and what has reached the server."""
    rigs: list[VenueRig] = []

    async def story() -> None:
        rig = VenueRig(tmp_path, venue, guard=ReadOnlyRemote, **changes)
        rigs.append(rig)
        try:
            await rig.begin()
            await rig.enter()
            await rig.later(900)
            await rig.end()
        finally:
            rig.shut()

    lived(story)
    return rigs[0], rigs[0].faults.visits


@pytest.mark.parametrize("venue", VENUES)
def test_nothing_but_reads_reaches_the_venue(tmp_path: Path, venue: str) -> None:
    """The signal is withheld with what would have been ordered; the guard has had nothing to refuse."""
    rig, visits = life(tmp_path, venue, signals_only=True)
    assert [] == changing(visits)
    assert [("withheld",)] == rig.rows("SELECT fate FROM signals")
    ((inputs,),) = rig.rows("SELECT inputs FROM signals")
    assert all(f'"{name}"' in inputs for name in ("quantity", "entry", "stop", "binding"))
    assert [(0,), (0,)] == [rig.rows(f"SELECT count(*) FROM {table}")[0] for table in ("orders", "positions")]
    assert isinstance(rig.venue, ReadOnlyRemote)
    assert [] == rig.venue.attempts


@pytest.mark.parametrize("venue", VENUES)
def test_an_engine_whose_gate_is_gone_is_held_by_the_guard(tmp_path: Path, venue: str) -> None:
    """The entry is refused before it leaves: its row says so, its position is given up, and nothing is half done."""
    rig, visits = life(tmp_path, venue, signals_only=False)
    assert [] == changing(visits)
    assert isinstance(rig.venue, ReadOnlyRemote)
    assert 1 == len(rig.venue.attempts)
    assert [("taken",)] == rig.rows("SELECT fate FROM signals")
    ((state, reason),) = rig.rows("SELECT state, reason FROM orders")
    assert OrderState.REJECTED == state
    assert reason.startswith("signals_only: this run sends nothing: buy ")
    assert [(PositionState.CLOSED, "ABANDONED")] == [
        (state, why.upper()) for state, why in rig.rows("SELECT state, close_reason FROM positions")
    ]
    assert any(key.startswith("rejected:") for key in rig.alerts)
    assert [] == rig.audit_failures


def test_on_the_embedded_exchange_the_guard_holds_as_well(tmp_path: Path) -> None:
    """A paper run whose gate is gone: the exchange never sees the order, and nothing is left of it."""
    rig = Rig(tmp_path, Tape([(1_000, 1_000, 1_000, 1_000)] * 4), {1: long_signal(1)})
    rig.executor._venue = guard = ReadOnlyVenue(rig.venue)
    rig.run()
    assert [Fate.TAKEN] == rig.fates
    assert 1 == len(guard.attempts)
    assert ([], {}, {}) == (list(rig.fills), dict(rig.pump.state.book.positions), dict(rig.pump.state.book.orders))


@pytest.mark.usefixtures("inside")
def test_a_paper_run_stands_behind_the_guard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As a person starts it, with the core made to believe that it trades: every entry is refused, none is filled."""
    Path("demo.yaml").write_text(DEMO, encoding="utf-8")
    monkeypatch.setattr(bootstrap, "replace", lambda settings, **_: settings)  # the break
    assert 0 == main(["run", "--config", "demo.yaml", "--signals-only", "--seed", "7", "--state", "state"])
    with closing(sqlite3.connect(tmp_path / "state" / "engine.db")) as database:
        orders = database.execute("SELECT purpose, state, reason FROM orders").fetchall()
        assert [(0,)] == database.execute("SELECT count(*) FROM fills").fetchall()
    assert orders
    assert {("entry", "REJECTED")} == {(purpose, state) for purpose, state, _ in orders}
    assert all(reason.startswith("signals_only: ") for _, _, reason in orders)


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda venue: venue.cancel(BTC, "tetest000001e00001", ""), "cancel tetest000001e00001 on BTCUSDT"),
        (lambda venue: venue.set_leverage(BTC, Decimal(3)), "leverage 3 on BTCUSDT"),
        (lambda venue: venue.set_position_mode(PositionMode.HEDGE), "position mode hedge"),
        (lambda venue: venue.set_margin_mode(BTC, MarginMode.CROSS), "margin mode cross on BTCUSDT"),
    ],
)
def test_every_other_change_is_refused_as_well(
    ask: Callable[[ReadOnlyRemote], Coroutine[Any, Any, object]], what: str
) -> None:
    """As a refusal of the venue, which starts and cores know what to do with; there is no venue behind it here."""
    guard = ReadOnlyRemote(None)  # type: ignore[arg-type] - whatever is passed on fails
    assert Rejected("signals_only", f"this run sends nothing: {what}") == asyncio.run(ask(guard))
    assert [what] == guard.attempts


def test_what_has_no_answer_that_is_a_refusal_is_raised() -> None:
    """`cancel_all` tells what is still open; nobody asks for it in a run."""
    guard = ReadOnlyRemote(None)  # type: ignore[arg-type] - as above
    with pytest.raises(InvariantBroken, match="cancel all on BTCUSDT"):
        asyncio.run(guard.cancel_all(BTC))
