"""An operator mends a state while no engine runs: `reconcile --apply`, and `flatten --direct` without a database.

Everything is real but the market, which stands still at 50,000: command line, database, paper exchange.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.databases import fresh

from trading_engine.cli.main import main
from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.fills import Income, PnlKind
from trading_engine.domain.ids import is_emergency_order_id
from trading_engine.domain.lifecycle import PositionState, Trigger
from trading_engine.domain.market import Candle, Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderRequest, OrderState, TradeSide
from trading_engine.domain.records import (
    AlertRaised,
    CancelIntended,
    IncomeBooked,
    OrderUpdated,
    PositionAdvanced,
    PositionDropped,
    PositionGrown,
)
from trading_engine.domain.reports import Accepted, Outcome, Rejected, Unknown, VenuePosition
from trading_engine.domain.severity import Severity
from trading_engine.runtime import bootstrap, emergency, offline, repair
from trading_engine.store.sql_store import SqlStore
from trading_engine.system.single_instance import InstanceLock
from trading_engine.system.state_dir import StateDir
from trading_engine.venues.embedded.account import ExchangePosition
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.venue import EmbeddedVenue

BTC = "BTCUSDT"
START_MS = 1_746_316_800_000
MINUTE_MS = 60_000
PLENTY = 10**9
PRICE = 500_000  # ticks of 0.1


@dataclass
class Desk:
    """A state directory, its configuration and candles, and an operator in front of them."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    minutes: int = 0

    @property
    def state(self) -> StateDir:
        """Where everything lies."""
        return StateDir(self.folder / "state")

    @property
    def config(self) -> Path:
        """The configuration's file."""
        return self.folder / "engine.yaml"

    def policy(self, policy: str) -> None:
        """Write the configuration with a policy for what is not ours."""
        self.config.write_text(
            f"mode: paper\nsymbols: [{BTC}]\nstrategies: [{{name: trend_vwap}}]\n"
            f"reconciliation: {{default: {policy}}}\nlogging: {{file: false}}\n"
        )

    def call(self, *arguments: str, code: int = 0) -> str:
        """What a command prints on both streams; its exit code is checked."""
        self.capsys.readouterr()
        found = main([*arguments, "--state", str(self.state.root)])
        out, err = self.capsys.readouterr()
        assert code == found, out + err
        return out + err

    def run(self, minutes: int = 3) -> None:
        """The engine runs for some more minutes of a market that stands still."""
        self.minutes += minutes
        rows = (f"{START_MS + at * MINUTE_MS},50000,50000,50000,50000,1000" for at in range(self.minutes))
        candles = self.folder / "btc.csv"
        candles.write_text("\n".join(("ts,open,high,low,close,volume", *rows)) + "\n")
        self.call("run", "--config", str(self.config), "--replay", f"{BTC}={candles}", "--speed", "max", "--seed", "7")

    def venue(self, kind: type[EmbeddedVenue] = EmbeddedVenue) -> EmbeddedVenue:
        """The paper exchange, opened by hand."""
        config, settings, terms = bootstrap.settings_only(bootstrap.RunOptions(self.config), {})
        memory = Memory(self.state.paper_database)
        instruments = list(settings.instruments.values())
        venue = kind(memory, instruments, terms, config.paper.balance, 0, config.account)
        for at in range(self.minutes):  # it has written nothing down while nothing happened
            candle = Candle(BTC, START_MS + at * MINUTE_MS, MINUTE_MS, PRICE, PRICE, PRICE, PRICE, PLENTY)
            venue.catch_up(candle.open_time_ms, (candle,), ())
        return venue

    def by_hand(self, side: TradeSide, quantity: str, kind: OrderType = OrderType.MARKET) -> None:
        """A person trades on the account, past the engine; a market order trades at once."""
        venue = self.venue()
        price = Decimal(40_000) if kind is OrderType.LIMIT else None
        name = f"web{venue.progress.orders}"
        request = OrderRequest(
            name, BTC, side, kind, Decimal(quantity), reduce_only=False, position_side=Side.LONG, price=price
        )
        assert isinstance(asyncio.run(venue.submit(request)), Accepted)
        venue.account_state.points[BTC].budget = PLENTY
        list(venue.settle(BTC, venue.progress.now_ms))
        venue.close()

    def gift(self, amount_e8: int) -> None:
        """The wallet changes, and nobody says why."""
        venue = self.venue()
        venue.progress.wallet_e8 += amount_e8
        venue.save_progress()
        venue.close()

    def apply(self, *options: str) -> list[str]:
        """`reconcile --apply --yes`: what was done."""
        printed = self.call("reconcile", "--apply", "--yes", "--config", str(self.config), *options)
        return [line.removeprefix("done: ") for line in printed.splitlines() if line.startswith("done: ")]

    def plan(self) -> list[dict[str, str]]:
        """The differences that a plan shows."""
        self.capsys.readouterr()
        main(["reconcile", "--plan", "--config", str(self.config), "--state", str(self.state.root), "--json"])
        found: list[dict[str, str]] = json.loads(self.capsys.readouterr().out)["differences"]
        return found

    def read(self, *command: str) -> object:
        """A read command's JSON."""
        found: object = json.loads(self.call(*command, "--json"))
        return found

    def held(self) -> list[tuple[str, str, str]]:
        """(strategy, state, quantity) of our open positions."""
        rows = self.read("positions")
        assert isinstance(rows, list)
        return [(row["strategy"], row["state"], row["quantity"]) for row in rows]

    def is_well(self, level: str = "RUN") -> None:
        """Journal, projections, fills, ledger and wallet agree, and nothing is locked."""
        self.call("audit")
        status = self.read("status")
        assert isinstance(status, dict)
        assert level == status["kill_switch"]["level"]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A state on which an engine has run for three minutes under `freeze`."""
    monkeypatch.chdir(tmp_path)
    made = Desk(tmp_path, capsys)
    made.policy("freeze")
    made.state.root.mkdir(mode=0o700)
    fresh(made.state.root)
    made.run()
    return made


def adopted(desk: Desk) -> None:
    """A position of 0.01 coins that a person opened and the engine took over."""
    desk.policy("adopt")
    desk.by_hand(TradeSide.BUY, "0.01")
    desk.apply()


# reconcile --apply


def test_where_nothing_differs_nothing_is_done(desk: Desk) -> None:
    """No question either: exit 0 and one line."""
    assert "state and exchange agree" in desk.call("reconcile", "--apply", "--yes", "--config", str(desk.config))
    assert {"differences": [], "applied": True, "done": []} == desk.read(
        "reconcile", "--apply", "--yes", "--config", str(desk.config)
    )


def test_a_stranger_s_position_is_adopted_with_its_stop_and_the_audit_agrees(desk: Desk) -> None:
    """The plan is performed; the next start finds nothing to do."""
    desk.policy("adopt")
    desk.by_hand(TradeSide.BUY, "0.01")
    assert ["foreign_money", "position", "order_missing"] == [item["kind"] for item in desk.plan()]
    done = desk.apply()
    assert "BTCUSDT: P000001 taken over, long 0.01" in done
    assert any("stop order" in line for line in done)
    assert [("adopted", "OPEN", "0.01")] == desk.held()
    desk.is_well()
    assert [] == desk.plan()
    desk.run()
    assert [("adopted", "OPEN", "0.01")] == desk.held()
    desk.is_well()


def test_the_answer_as_json_has_the_plan_and_what_was_done(desk: Desk) -> None:
    """`differences` as with --plan, and `applied`."""
    desk.policy("adopt")
    desk.by_hand(TradeSide.BUY, "0.01")
    planned = desk.plan()
    found = desk.read("reconcile", "--apply", "--yes", "--config", str(desk.config))
    assert isinstance(found, dict)
    assert (planned, True) == (found["differences"], found["applied"])


def test_a_stranger_s_position_is_closed_by_the_next_candle(desk: Desk) -> None:
    """The order is placed now; the paper exchange trades with the next candle. The loss before is not ours."""
    desk.policy("flatten")
    desk.by_hand(TradeSide.SELL, "0.01")
    assert any("exit order" in line for line in desk.apply())
    assert [("foreign", "CLOSING", "0.01")] == desk.held()
    desk.run()
    assert [] == desk.held()
    desk.is_well()


def test_a_stranger_s_position_may_be_ignored_and_is_shown(desk: Desk) -> None:
    """In the plan and in the status, also after a restart; nothing is frozen."""
    desk.policy("ignore")
    desk.by_hand(TradeSide.BUY, "0.01")
    desk.by_hand(TradeSide.BUY, "0.01", OrderType.LIMIT)
    desk.apply()
    shown = [(item["kind"], item["action"]) for item in desk.plan()]
    assert [("position", "ignored: counted as exposure"), ("foreign_order", "left alone")] == shown
    desk.run()
    status = desk.read("status")
    assert isinstance(status, dict)
    assert [
        {"kind": "position", "symbol": BTC, "quantity": "0.01", "notional": "500"},
        {"kind": "order", "symbol": BTC, "quantity": "0.01", "notional": "400"},
    ] == status["foreign"]
    assert [["no engine runs"]] == [gate["reasons"] for gate in status["gates"]]
    assert "position of somebody else: 0.01, worth 500" in desk.call("status")
    desk.is_well()


def test_a_frozen_symbol_stays_as_it_is(desk: Desk) -> None:
    """The fee of a person's fill is booked, the position is not touched."""
    desk.by_hand(TradeSide.BUY, "0.01")
    done = desk.apply()
    assert "BTCUSDT is frozen (fill 000000001 is not ours)" in done
    assert [] == desk.held()
    desk.is_well()


def test_a_person_who_sells_a_part_leaves_the_rest_behind_its_stop(desk: Desk) -> None:
    """And who sells the rest has closed it."""
    adopted(desk)
    desk.by_hand(TradeSide.SELL, "0.004")
    desk.apply()
    assert [("adopted", "OPEN", "0.006")] == desk.held()
    desk.is_well()
    desk.by_hand(TradeSide.SELL, "0.006")
    desk.run()
    trades = desk.read("trades")
    assert isinstance(trades, list)
    assert [("adopted", "external")] == [(row["strategy"], row["close_reason"]) for row in trades]
    desk.is_well()


def test_a_wallet_gap_is_booked_only_by_an_operator_s_word(desk: Desk) -> None:
    """Who and why are written down; the limits do not count it, and the engine starts on it."""
    desk.gift(250_000_000)
    assert [("wallet", "told")] == [(item["kind"], item["action"]) for item in desk.plan()]
    desk.apply()
    desk.call("audit", code=1)
    word = ("--book-gap", "--reason", "a bonus", "--actor", "alice")
    assert ["2.5 USDT booked as an adjustment (a bonus)"] == desk.apply(*word)
    desk.is_well()
    with SqlStore.open(desk.state.database, read_only=True) as store:
        ledger = store.load().book.ledger
    assert (Decimal("1002.5"), Decimal(0), 1) == (ledger.balance, ledger.performance, ledger.made_here)
    assert [] == desk.apply(*word)
    desk.run()
    desk.is_well()


def vanished(desk: Desk, loss_e8: int = 0) -> None:
    """The exchange holds nothing of an adopted position any more, and tells nobody why."""
    adopted(desk)
    venue = desk.venue()
    for name in list(venue.account_state.orders):
        venue.kernel.cancel(name)
    venue.account_state.positions[BTC] = ExchangePosition(BTC)
    venue.progress.wallet_e8 -= loss_e8
    venue.save_progress()
    venue.close()


def test_a_position_that_the_exchange_does_not_hold_is_dropped_by_an_operator_s_word(desk: Desk) -> None:
    """The plan says how; position and wallet are put right in one call, with who and why, and the engine goes on."""
    vanished(desk, loss_e8=500_000_000)
    proposed = [item for item in desk.plan() if item["kind"] == "phantom"]
    assert [(BTC, "long 0.01", "nothing, in two looks")] == [
        (item["symbol"], item["local"], item["venue"]) for item in proposed
    ]
    assert f"--apply --drop {BTC}" in proposed[0]["action"]
    assert "--book-gap" in proposed[0]["action"]
    done = desk.apply("--drop", BTC, "--book-gap", "--reason", "an outage", "--actor", "alice")
    assert "0.01 of P000001 dropped (an outage)" in done
    assert "P000001 moved from CLOSING to CLOSED" in done
    assert "-5 USDT booked as an adjustment (an outage)" in done
    assert [] == [line for line in done if "intended" in line], "no order is sent for what is not there"
    assert [] == desk.held()
    desk.is_well()
    shown = desk.read("trades")
    assert isinstance(shown, list)
    trade = shown[0]
    assert ("external", "0.01", None, "0") == (
        trade["close_reason"],
        trade["quantity"],
        trade["exit_price"],
        trade["gross_pnl"],
    )
    assert " 0.01 " in desk.call("trades"), "the table shows what was held"
    assert [] == desk.plan()
    desk.run()
    desk.is_well()
    assert "no position is held here" in desk.call(
        "reconcile", "--apply", "--yes", "--drop", BTC, "--config", str(desk.config), code=3
    )


def test_the_wallet_s_part_stays_a_difference_without_its_own_word(desk: Desk) -> None:
    """No result is made up for what was dropped."""
    vanished(desk, loss_e8=500_000_000)
    assert [] == [line for line in desk.apply("--drop", BTC) if "adjustment" in line]
    assert [] == desk.held()
    assert [("wallet", "told")] == [(item["kind"], item["action"]) for item in desk.plan()]
    assert ["-5 USDT booked as an adjustment (accepted by the operator)"] == desk.apply("--book-gap")
    desk.is_well()


def test_what_the_exchange_holds_is_not_dropped_and_nothing_is_written(desk: Desk) -> None:
    """Exit 3 says why, and the plan does not propose it."""
    adopted(desk)
    before = desk.state.database.read_bytes(), desk.state.paper_database.read_bytes()
    assert [] == [item for item in desk.plan() if item["kind"] == "phantom"]
    call = ("reconcile", "--apply", "--yes", "--drop", BTC, "--config", str(desk.config))
    said = desk.call(*call, code=3)
    assert "BTCUSDT: the exchange is looked at twice" in said
    assert "BTCUSDT: the venue holds long 0.01; what it holds is closed (`flatten --direct`), not dropped" in said
    assert before == (desk.state.database.read_bytes(), desk.state.paper_database.read_bytes())
    assert [("adopted", "OPEN", "0.01")] == desk.held()
    with InstanceLock(desk.state.lock):
        assert "a running engine reconciles by itself" in desk.call(*call, code=3)


def test_a_running_engine_reconciles_by_itself(desk: Desk) -> None:
    """Exit 3, nothing done."""
    with InstanceLock(desk.state.lock):
        said = desk.call("reconcile", "--apply", "--yes", "--config", str(desk.config), code=3)
    assert "a running engine reconciles by itself" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--apply",), "give --yes"),
        ((), "needs --plan or --apply"),
        (("--plan", "--apply"), "needs --plan or --apply"),
        (("--plan", "--yes"), "--yes goes with --apply"),
        (("--plan", "--book-gap"), "--book-gap goes with --apply"),
        (("--plan", "--drop", BTC), "--drop goes with --apply"),
        (("--apply", "--yes", "--drop", "btc/usdt"), "--drop btc/usdt is not a symbol"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(desk: Desk, options: tuple[str, ...], message: str) -> None:
    """Exit 2; also where nobody can answer a question."""
    assert message in desk.call("reconcile", *options, "--config", str(desk.config), code=2)


def test_an_operator_may_say_no(desk: Desk) -> None:
    """Then nothing was done."""
    desk.by_hand(TradeSide.BUY, "0.01")
    asked: list[int] = []

    def no(differences: object) -> bool:
        asked.append(len(list(differences)))  # type: ignore[call-overload]
        return False

    answer = repair.reconcile(desk.state.root, desk.config, no, environ={})
    assert (False, ()) == (answer.is_applied, answer.done)
    assert [len(answer.differences)] == asked
    assert answer.differences == tuple(offline.plan(desk.state.root, desk.config, {}))


def test_nothing_to_mend_where_nothing_has_run(tmp_path: Path, desk: Desk) -> None:
    """Exit 78 names the directory."""
    empty = Desk(tmp_path / "other", desk.capsys)
    empty.folder.mkdir()
    empty.policy("freeze")
    for command in (("reconcile", "--apply"), ("flatten", "--direct")):
        assert "nothing has run" in empty.call(*command, "--yes", "--config", str(empty.config), code=78)


# flatten --direct


def flatten(desk: Desk, code: int = 0) -> list[str]:
    """The steps that an emergency close prints."""
    return desk.call("flatten", "--direct", "--yes", "--config", str(desk.config), code=code).splitlines()


@pytest.mark.parametrize("damage", ["garbage", "missing"])
def test_everything_is_closed_without_a_healthy_database(desk: Desk, damage: str) -> None:
    """Position and stop are dealt with; when the database is back the next start books an external close."""
    adopted(desk)
    kept = desk.state.database.read_bytes()
    logs = [desk.state.database.with_name(f"engine.db{suffix}") for suffix in ("-wal", "-shm")]
    assert not any(log.exists() for log in logs)
    if damage == "garbage":
        desk.state.database.write_bytes(b"not a database")
    else:
        desk.state.database.unlink()
    steps = flatten(desk)
    assert 3 == len(steps), steps
    assert steps[0].startswith("BTCUSDT long 0.01: closing order tx")
    assert "BTCUSDT: closes with the next candle; the next start books it as an external close" == steps[1]
    assert steps[2].endswith("stays until the position is gone"), "a stop guards what is not closed yet"
    assert any("is in already" in line for line in flatten(desk))
    desk.state.database.write_bytes(kept)
    desk.run()
    trades = desk.read("trades")
    assert isinstance(trades, list)
    assert [("adopted", "external")] == [(row["strategy"], row["close_reason"]) for row in trades]
    assert [] == desk.held()
    desk.is_well("NO_ENTRY")  # nothing is entered after an emergency, until somebody says so
    status = desk.read("status")
    assert isinstance(status, dict)
    assert [] == [reason for gate in status["gates"] for reason in gate["reasons"] if "frozen" in reason]
    assert ["flat: no position and no order is left"] == flatten(desk)


def test_a_foreign_position_and_foreign_orders_go_as_well(desk: Desk) -> None:
    """In an emergency it does not matter whose they are."""
    desk.by_hand(TradeSide.BUY, "0.01")
    desk.by_hand(TradeSide.BUY, "0.01", OrderType.LIMIT)
    steps = flatten(desk)
    assert ["BTCUSDT: limit web1 is cancelled"] == [line for line in steps if "web1" in line]
    desk.run()
    assert ["flat: no position and no order is left"] == flatten(desk)
    desk.is_well()


def test_it_is_refused_while_an_engine_runs(desk: Desk) -> None:
    """Exit 3: that one is told itself."""
    with InstanceLock(desk.state.lock):
        assert "engine runs" in desk.call("flatten", "--direct", "--yes", "--config", str(desk.config), code=3)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [((), 4, "`flatten --direct` goes to the exchange"), (("--direct",), 2, "give --yes")],
)
def test_an_emergency_is_meant(desk: Desk, options: tuple[str, ...], code: int, message: str) -> None:
    """Without an engine it takes a word more; exit 2 where nobody can answer the question."""
    assert message in desk.call("flatten", *options, "--config", str(desk.config), code=code)


def test_a_large_position_is_closed_in_parts(desk: Desk) -> None:
    """No order is larger than the exchange takes; each has an id of its own."""
    desk.config.write_text(desk.config.read_text() + "paper: {instruments: {BTCUSDT: {max_quantity: 0.004}}}\n")
    for _ in range(3):
        desk.by_hand(TradeSide.BUY, "0.004")
    names = [line.split()[5] for line in flatten(desk) if "closing order" in line]
    assert (3, 3) == (len(names), len(set(names)))
    assert all(is_emergency_order_id(name) for name in names)


# A venue that does not do what it is asked


class Moody(EmbeddedVenue):
    """The paper exchange in a mood: it answers as it is told, having acted or not."""

    answer: Outcome | None = None
    acts = True
    cancels = True
    answers_reads = True

    async def submit(self, request: OrderRequest) -> Outcome:
        """Perhaps do it, perhaps say so."""
        done = await super().submit(request) if self.acts else None
        return self.answer or done or Unknown("no answer")

    async def cancel(self, symbol: str, client_order_id: str, venue_order_id: str) -> Outcome:
        """Perhaps do it."""
        if self.cancels:
            return await super().cancel(symbol, client_order_id, venue_order_id)
        return Unknown("no answer")

    async def positions(self) -> Sequence[VenuePosition]:
        """Perhaps tell."""
        if not self.answers_reads:
            raise VenueUnavailable("maintenance")
        return await super().positions()


@pytest.mark.parametrize(
    ("mood", "is_well", "said"),
    [
        ({"answer": Rejected("-1", "no"), "acts": False}, False, ["NOT closed (-1: no); its stops stay", "STILL OPEN"]),
        ({"acts": False}, False, ["NOT closed (no answer); its stops stay", "stays until the position is gone"]),
        ({"answer": Unknown("timeout")}, True, ["is placed", "closes with the next candle"]),
        ({"cancels": False}, False, ["could not be cancelled", "STILL RESTS"]),
        ({"answers_reads": False}, False, ["the venue does not answer (maintenance); try again"]),
    ],
)
def test_every_answer_of_a_venue_is_taken_for_what_it_says(
    desk: Desk, mood: dict[str, object], is_well: bool, said: list[str]
) -> None:
    """What could open is cancelled first, a stop stays while there is a position; a missing answer is asked for."""
    adopted(desk)
    desk.by_hand(TradeSide.BUY, "0.01", OrderType.LIMIT)
    venue = desk.venue(Moody)
    for name, value in mood.items():
        setattr(venue, name, value)
    lines: list[str] = []
    assert is_well is asyncio.run(emergency.flatten(venue, (BTC,), START_MS, lines.append))
    venue.close()
    for words in said:
        assert [words] == [words for line in lines if words in line][:1], lines


def test_an_account_that_never_was_has_nothing_to_close(desk: Desk) -> None:
    """Exit 78, and no account is made by looking."""
    desk.state.paper_database.unlink()
    desk.call("flatten", "--direct", "--yes", "--config", str(desk.config), code=78)
    assert not desk.state.paper_database.exists()


def test_what_was_done_is_told_by_the_record() -> None:
    """Records that only inform have no line."""
    assert "" == repair.told(AlertRaised(Severity.INFO, "key", "text"))
    income = Income("embedded", "paper", "f1", PnlKind.FUNDING, BTC, Decimal(-1), "USDT", 1)
    assert "funding of -1 USDT booked" == repair.told(IncomeBooked(income, "", "2025-01-01"))
    moved = PositionAdvanced("P000001", PositionState.OPEN, PositionState.CLOSING, Trigger.BEGIN_CLOSE, "why")
    assert "P000001 moved from OPEN to CLOSING" == repair.told(moved)
    gone = PositionDropped("P000001", Decimal(2), "alice", "an outage", START_MS)
    assert "2 of P000001 dropped (an outage)" == repair.told(gone)
    grown = PositionGrown("P000001", Decimal(2), Decimal(100))
    assert "2 more taken over into P000001" == repair.told(grown)
    assert "te1 is ACKED" == repair.told(OrderUpdated("te1", OrderState.ACKED, Decimal(0), "v", "", 1))
    assert "cancel of te1 intended (why)" == repair.told(CancelIntended("te1", "why"))
