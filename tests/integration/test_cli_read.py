"""The read commands over a database that was filled by committing what the core decided."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from builders import BTC, ETH, T0, Playbook, dec

from trading_engine.cli import days_command
from trading_engine.cli.main import main
from trading_engine.cli.summary import print_summary
from trading_engine.core.step import StepResult
from trading_engine.domain.control import Level
from trading_engine.domain.events import Event, RunBegan, RunFinished
from trading_engine.domain.ids import Purpose
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from trading_engine.ports import Commit
from trading_engine.runtime import status
from trading_engine.store.days import DayView
from trading_engine.store.migrate import upgrade
from trading_engine.store.sql_store import SqlStore
from trading_engine.system.single_instance import InstanceLock
from trading_engine.system.state_dir import StateDir

TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")
DECIMAL = re.compile(r"-?\d+(\.\d*[1-9])?")

Output = Callable[..., tuple[int, str]]


class Desk(Playbook):
    """A playbook whose every step is committed, as the engine's pump does it."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        super().__init__(is_synced=False)
        self.on(RunBegan(self.now, "run-1", "9.9.9", "paper", "0123456789abcdef"))
        self.snapshot()

    def on(self, event: Event) -> StepResult:
        """Let one event happen and make it durable."""
        result = super().on(event)
        seen = status.checkpoint(self.state, self.settings, event.ts_ms)
        if result.records:
            self._store.commit(Commit(event.ts_ms, "run-1", result.records, result.book, seen))
        return result

    def save(self) -> None:
        """Write the progress of steps that left no record."""
        seen = status.checkpoint(self.state, self.settings, self.now)
        self._store.commit(Commit(self.now, "run-1", (), self.book, seen))


def play(desk: Desk) -> None:
    """A loss on BTC, an hour later a refused entry on ETH, then an open BTC and a pending ETH position."""
    desk.stopped_out()
    desk.wait(HOUR_MS)
    desk.reject(desk.enter(symbol=ETH))
    desk.opened()
    desk.wait(2 * MINUTE_MS)
    desk.enter(symbol=ETH)
    desk.candles((BTC, "102.5"), (ETH, 100))
    desk.save()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> StateDir:
    """The state directory after `play`."""
    state = fresh(tmp_path_factory.mktemp("state"))
    with opened(state) as store:
        play(Desk(store))
    return state


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Output:
    """Run a command on a wide terminal: exit code and standard output."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str, state: StateDir) -> tuple[int, str]:
        code = main([*arguments, "--state", str(state.root)])
        return code, capsys.readouterr().out

    return call


def read(run: Output, *arguments: str, state: StateDir) -> Any:
    """What a command prints as JSON."""
    code, printed = run(*arguments, "--json", state=state)
    assert 0 == code
    return json.loads(printed)


def fresh(root: Path) -> StateDir:
    """A state directory with a new database."""
    state = StateDir(root)
    upgrade(state.database)
    return state


def opened(state: StateDir) -> SqlStore:
    """The store of a state directory."""
    return SqlStore.open(state.database, venue="embedded", account="paper")


# status


def test_status_has_every_field_of_its_shape(run: Output, state: StateDir) -> None:
    """`status --json` after the play: values, nulls and nested objects."""
    assert {
        "version": "9.9.9",
        "mode": "paper",
        "signals_only": False,
        "venue": "embedded",
        "account": "paper",
        "state": "stopped",
        "since": None,
        "pid": None,
        "kill_switch": {"level": "RUN", "reason": "", "since": None},
        "equity": "9974.875",
        "balance": "9950",
        "unrealized_pnl": "24.875",
        "realized_pnl_today": "-50",
        "drawdown_pct": "-0.5",
        "open_positions": 1,
        "pending_orders": 3,
        "last_candle": "2025-01-01T01:07:00.000Z",
        "last_decision": "2025-01-01T01:06:00.000Z",
        "last_reconcile": "2025-01-01T00:00:00.000Z",
        "gates": [{"symbol": symbol, "ok": False, "reasons": ["no engine runs"]} for symbol in (BTC, ETH)],
        "disabled_strategies": [],
        "paused": [],
        "foreign": [],
        "counts": {"positions": 4, "orders": 8, "fills": 3, "journal": 47},
    } == read(run, "status", state=state)


def test_status_is_running_while_the_lock_is_held(run: Output, tmp_path: Path) -> None:
    """Since when is the start of the run, and the process is named."""
    state = fresh(tmp_path)
    with opened(state) as store:
        Desk(store)
    with InstanceLock(state.lock):
        found = read(run, "status", state=state)
    assert ("running", "2025-01-01T00:00:00.000Z") == (found["state"], found["since"])
    assert found["pid"] > 0


def test_status_is_stopped_since_the_run_ended(run: Output, tmp_path: Path) -> None:
    """An orderly end is dated."""
    state = fresh(tmp_path)
    with opened(state) as store:
        Desk(store).on(RunFinished(T0 + 5, "run-1", "end of data"))
    found = read(run, "status", state=state)
    assert ("stopped", "2025-01-01T00:00:00.005Z") == (found["state"], found["since"])


@pytest.mark.parametrize("level", [Level.NO_ENTRY, Level.FLATTEN])
def test_status_is_halted_while_the_kill_switch_is_raised(run: Output, tmp_path: Path, level: Level) -> None:
    """Level, reason and time are told, and every gate is shut, whether the engine runs or not."""
    state = fresh(tmp_path)
    with opened(state) as store:
        Desk(store).stop_file(level)
    found = read(run, "status", state=state)
    expected = {"level": str(level), "reason": "STOP file", "since": "2025-01-01T00:00:00.000Z"}
    assert ("halted", expected) == (found["state"], found["kill_switch"])
    assert [False, False] == [gate["ok"] for gate in found["gates"]]
    assert f"kill switch at {level}: STOP file" in run("status", state=state)[1]


def test_status_works_before_the_first_run(run: Output, tmp_path: Path) -> None:
    """A database without a record gives nulls and zeros instead of an error."""
    state = fresh(tmp_path)
    found = read(run, "status", state=state)
    assert ("stopped", None, None, "0") == tuple(found[key] for key in ("state", "mode", "last_candle", "equity"))
    assert "never ran" in run("status", state=state)[1]
    assert [] == read(run, "risk", state=state)


def test_status_ends_with_whether_it_is_well(run: Output, state: StateDir) -> None:
    """The table's last line names limits, process and the last decision."""
    lines = run("status", state=state)[1].splitlines()
    assert " no limit tripped · engine not running · last decision 2025-01-01 01:06:00" == lines[-1]
    assert " BTCUSDT, ETHUSDT no entries: no engine runs" in lines
    with InstanceLock(state.lock):
        assert " BTCUSDT, ETHUSDT may enter" in run("status", state=state)[1].splitlines()
    assert " 1 open position, 3 live orders, 1 not confirmed by the exchange yet" in lines


# positions


def test_open_positions_have_every_field_of_their_shape(run: Output, state: StateDir) -> None:
    """Newest first: a pending one without entry, then an open one behind its stop."""
    pending, held = read(run, "positions", state=state)
    assert {
        "position_id": "P000003",
        "symbol": BTC,
        "side": "long",
        "state": "OPEN",
        "strategy": "trend",
        "quantity": "9.95",
        "entry_price": "100",
        "mark_price": "102.5",
        "stop_price": "95",
        "target_price": "115",
        "unrealized_pnl": "24.875",
        "realized_pnl": "0",
        "r_multiple": "0.5",
        "leverage": "1",
        "liquidation_price": None,
        "opened_at": "2025-01-01T01:03:00.000Z",
        "age_s": 240,
        "stop_confirmed": True,
    } == held
    assert ("P000004", "PENDING", None, None, False) == tuple(
        pending[key] for key in ("position_id", "state", "entry_price", "opened_at", "stop_confirmed")
    )


def test_closed_positions_are_listed_where_asked_for(run: Output, state: StateDir) -> None:
    """`--all` adds them with what they realized, nothing open and no mark."""
    found = read(run, "positions", "--all", state=state)
    assert ["P000004", "P000003", "P000002", "P000001"] == [row["position_id"] for row in found]
    lost = found[-1]
    assert ("CLOSED", "0", None, "0", "-50", "-1") == tuple(
        lost[key] for key in ("state", "quantity", "mark_price", "unrealized_pnl", "realized_pnl", "r_multiple")
    )


def test_the_positions_table_lines_up_and_ends_with_a_verdict(run: Output, state: StateDir) -> None:
    """Headings, numbers at their decimal points, PnL with its sign, risk to the stops below."""
    lines = run("positions", state=state)[1].splitlines()
    assert [
        " SYMBOL   SIDE   QTY  ENTRY   MARK  STOP  TARGET     PNL      R  AGE  STRATEGY",
        " ETHUSDT  long  9.95      —  100      95     115    —      —     1m   trend     pending",
        " BTCUSDT  long  9.95    100  102.5    95     115  +24.88  +0.50  4m   trend     stop confirmed",
    ] == lines[:3]
    assert lines[3].startswith(" 1 open · 1 pending · risk to stops 1 % of 5 % · no limit tripped")


def test_an_unprotected_position_is_told_loudly(run: Output, tmp_path: Path) -> None:
    """A position whose stop the exchange has not confirmed is named in its row and in the last line."""
    state = fresh(tmp_path)
    with opened(state) as store:
        desk = Desk(store)
        entry = desk.enter()
        desk.ack(entry)
        desk.fill(entry)
    found = read(run, "positions", state=state)
    assert [False] == [row["stop_confirmed"] for row in found]
    printed = run("positions", state=state)[1]
    assert "STOP NOT CONFIRMED" in printed
    assert "stop not confirmed on BTCUSDT" in printed.splitlines()[-1]


def test_a_flat_account_says_so(run: Output, tmp_path: Path) -> None:
    """No table, one line."""
    state = fresh(tmp_path)
    with opened(state) as store:
        Desk(store)
    assert run("positions", state=state)[1].startswith(" flat · no limit tripped")
    assert [] == read(run, "positions", state=state)


# trades


def test_trades_have_every_field_of_their_shape(run: Output, state: StateDir) -> None:
    """One row for the closed position; the abandoned entry is left out."""
    assert [
        {
            "position_id": "P000001",
            "symbol": BTC,
            "side": "long",
            "strategy": "trend",
            "opened_at": "2025-01-01T00:01:00.000Z",
            "closed_at": "2025-01-01T00:01:00.000Z",
            "entry_price": "100",
            "exit_price": "95",
            "quantity": "10",
            "gross_pnl": "-50",
            "fees": "0",
            "funding": "0",
            "net_pnl": "-50",
            "r_multiple": "-1",
            "close_reason": "stop",
            "fills": 2,
        }
    ] == read(run, "trades", state=state)


def test_abandoned_entries_are_trades_only_where_asked_for(run: Output, state: StateDir) -> None:
    """`--all` lists them, newest first, with nulls for what never happened."""
    abandoned, lost = read(run, "trades", "--all", state=state)
    assert ("abandoned", None, None, None, 0) == tuple(
        abandoned[key] for key in ("close_reason", "opened_at", "entry_price", "r_multiple", "fills")
    )
    assert "P000001" == lost["position_id"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--symbol", BTC], ["P000001"]),
        (["--symbol", ETH], []),
        (["--strategy", "trend"], ["P000001"]),
        (["--strategy", "other"], []),
        (["--since", "2025-01-01"], ["P000001"]),
        (["--since", "2025-01-01T00:01:00.001"], []),
        (["--all", "--limit", "1"], ["P000002"]),
    ],
)
def test_trades_are_filtered(run: Output, state: StateDir, arguments: list[str], expected: list[str]) -> None:
    """By symbol, strategy, time of the close and number."""
    assert expected == [row["position_id"] for row in read(run, "trades", *arguments, state=state)]


def test_the_trades_table_ends_with_the_sums(run: Output, state: StateDir) -> None:
    """How many, how often won, what was made."""
    lines = run("trades", state=state)[1].splitlines()
    assert " 1 trade · win rate 0 % · net −50.00 · fees 0.00 · funding 0.00" == lines[-1]


def test_fees_that_another_wallet_has_paid_are_told_apart(run: Output, tmp_path: Path) -> None:
    """Never added to the settle asset's: below the table, and by asset in JSON."""
    state = fresh(tmp_path)
    with opened(state) as store:
        desk = Desk(store)
        desk.fill(desk.enter(), fee=dec("0.0001"), fee_asset="BNB")
        stop = desk.place(Purpose.STOP)
        desk.fill(stop, 4, price=95, fee=dec("0.00015"), fee_asset="BNB")
        desk.fill(stop, price=95, fee=dec("0.57"))
        desk.settle_cancels()
    (trade,) = read(run, "trades", state=state)
    assert ("0.57", "-50.57", {"BNB": "0.00025"}) == (trade["fees"], trade["net_pnl"], trade["fees_left_out"])
    *_, sums, note = run("trades", state=state)[1].splitlines()
    assert " 1 trade · win rate 0 % · net −50.57 · fees 0.57 · funding 0.00" == sums
    assert " not counted: fees of 0.00025 BNB, which another wallet has paid" == note
    (day,) = read(run, "days", state=state)
    assert "0.57" == day["fees"]


# orders


def test_orders_have_every_field_of_their_shape(run: Output, state: StateDir) -> None:
    """The newest first; the filled stop of the first position with all that is known of it."""
    found = read(run, "orders", state=state)
    assert ("tetest000004e00001", None, "INTENT") == tuple(
        found[0][key] for key in ("client_order_id", "venue_order_id", "state")
    )
    assert {
        "client_order_id": "tetest000001s00001",
        "venue_order_id": "v-tetest000001s00001",
        "position_id": "P000001",
        "symbol": BTC,
        "purpose": "stop",
        "type": "stop_market",
        "side": "sell",
        "quantity": "10",
        "filled": "10",
        "price": None,
        "trigger_price": "95",
        "average_price": "95",
        "reduce_only": True,
        "state": "FILLED",
        "created_at": "2025-01-01T00:01:00.000Z",
        "updated_at": "2025-01-01T00:01:00.000Z",
        "reason": "",
    } == next(row for row in found if row["client_order_id"] == "tetest000001s00001")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [([], 8), (["--limit", "2"], 2), (["--open"], 3), (["--symbol", ETH], 2), (["--open", "--limit", "1"], 1)],
)
def test_orders_are_filtered(run: Output, state: StateDir, arguments: list[str], expected: int) -> None:
    """By number, liveness and symbol."""
    assert expected == len(read(run, "orders", *arguments, state=state))


def test_the_orders_table_names_those_in_doubt(run: Output, state: StateDir) -> None:
    """An intent that nobody has confirmed is counted in the last line."""
    lines = run("orders", state=state)[1].splitlines()
    assert " 8 orders · 3 live · 1 not confirmed by the exchange yet" == lines[-1]


# risk


def test_limits_have_every_field_of_their_shape(run: Output, state: StateDir) -> None:
    """Used, threshold, reset and what it was computed from, as decimal strings."""
    found = {row["limit"]: row for row in read(run, "risk", state=state)}
    assert {
        "limit": "daily_loss",
        "scope": "",
        "value": "50",
        "threshold": "500",
        "used_pct": "10",
        "tripped": False,
        "resets_at": None,
        "computed_from": {"day": "2025-01-01", "realized": "-50", "balance_at_day_start": "10000"},
    } == found["daily_loss"]
    assert {
        "daily_loss",
        "drawdown",
        "losing_streak",
        "cooldown",
        "minimum_balance",
        "volatility",
        "portfolio_risk",
        "max_positions",
        "leverage",
    } == set(found)


def test_a_tripped_limit_says_when_it_resets(run: Output, tmp_path: Path) -> None:
    """The cooldown after a loss, in JSON and in the table."""
    state = fresh(tmp_path)
    with opened(state) as store:
        Desk(store).stopped_out()
    found = {row["limit"]: row for row in read(run, "risk", state=state)}
    assert (True, "2025-01-01T01:01:00.000Z") == (found["cooldown"]["tripped"], found["cooldown"]["resets_at"])
    lines = run("risk", state=state)[1].splitlines()
    (row,) = (line for line in lines if line.startswith(" cooldown"))
    assert "TRIPPED  2025-01-01 01:01:00" in row
    assert lines[-1].startswith(" tripped: cooldown")


def test_risk_and_status_count_a_cooldown_alike(run: Output, tmp_path: Path) -> None:
    """In whole minutes that are left, rounded up."""
    state = fresh(tmp_path)
    with opened(state) as store:
        desk = Desk(store)
        desk.stopped_out()
        desk.wait(17 * MINUTE_MS + 20_000)
        desk.save()
    assert "cooldown: 43 min left of 60" in run("status", state=state)[1]
    (row,) = (line for line in run("risk", state=state)[1].splitlines() if line.startswith(" cooldown"))
    assert ["cooldown", "all", "—", "1h", "43m", "—", "TRIPPED"] == row.split()[:7]


def test_a_floor_is_shown_as_one(run: Output, state: StateDir) -> None:
    """The least balance is not something that is used up to its limit."""
    (row,) = (line for line in run("risk", state=state)[1].splitlines() if line.startswith(" minimum_balance"))
    assert ["minimum_balance", "all", "—", "min", "1,000.00", "8,950.00", "10.0", "%", "ok"] == row.split()[:9]


def test_a_completed_losing_streak_explains_itself(run: Output, tmp_path: Path) -> None:
    """The row that tripped it is not the count that goes on from there."""
    state = fresh(tmp_path)
    with opened(state) as store:
        desk = Desk(store)
        for _ in range(3):
            desk.stopped_out()
            desk.wait(HOUR_MS + MINUTE_MS)
        desk.save()
    (row,) = (line for line in run("risk", state=state)[1].splitlines() if line.startswith(" losing_streak"))
    assert ["losing_streak", "all", "3", "3", "0", "100.0", "%", "TRIPPED"] == row.split()[:8]
    assert row.endswith("row of 3 ended by P000003, 0 since")


# on a narrow terminal


@pytest.mark.parametrize(
    ("command", "promised"),
    [
        ("status", ["equity", "balance", "drawdown", "no engine runs"]),
        ("positions", ["QTY", "ENTRY", "MARK", "STOP", "TARGET", "PNL", "stop confirmed", "trend"]),
        ("trades", ["ENTRY", "EXIT", "NET PNL", "REASON", "fees 0.00", "funding 0.00", "trend"]),
        ("orders", ["PURPOSE", "FILLED", "PRICE", "STATE", "tetest000001s00001"]),
        ("risk", ["SCOPE", "USED", "OF", "LEFT", "UNTIL", "computed from"]),
        ("audit", ["journal rebuild equals projections"]),
    ],
)
def test_nothing_vanishes_at_eighty_columns(
    run: Output, state: StateDir, monkeypatch: pytest.MonkeyPatch, command: str, promised: list[str]
) -> None:
    """Every promised figure is there, and no line is wider than the window."""
    monkeypatch.setenv("COLUMNS", "80")
    printed = run(command, state=state)[1]
    assert [] == [word for word in promised if word not in printed], printed
    assert [] == [line for line in printed.splitlines() if len(line) > 80]


def test_a_run_that_never_reached_its_account_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Rather than a start balance of nothing."""
    print_summary(fresh(tmp_path).root)
    assert "the account was never read: no balance, no trade; state in " in " ".join(capsys.readouterr().out.split())


def test_the_summary_fits_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, state: StateDir
) -> None:
    """With every column of its groups."""
    monkeypatch.setenv("COLUMNS", "80")
    print_summary(state.root)
    printed = capsys.readouterr().out
    assert "WON %  FEES  FUNDING  NET PNL  MEAN R" in printed
    assert [] == [line for line in printed.splitlines() if len(line) > 80]


# what holds for all


@pytest.mark.parametrize("command", ["status", "positions", "trades", "orders", "risk"])
def test_times_and_numbers_are_of_the_promised_form(run: Output, state: StateDir, command: str) -> None:
    """Times are ISO 8601 with milliseconds, money is text without exponent or trailing zeros, never a float."""
    rows = read(run, command, state=state)
    for row in [rows] if isinstance(rows, dict) else rows:
        for name, value in row.items():
            assert not isinstance(value, float), name
            if value is not None and name.endswith("_at"):
                assert TIME.fullmatch(value), name
            if value is not None and name.endswith(("price", "pnl", "quantity", "_pct", "filled", "balance")):
                assert DECIMAL.fullmatch(value), (name, value)


@pytest.mark.parametrize("command", ["status", "positions", "trades", "orders", "risk", "audit"])
def test_a_state_without_a_database_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    """One line that names the file, nothing on standard output, nothing written."""
    assert 78 == main([command, "--json", "--state", str(tmp_path)])
    printed = capsys.readouterr()
    assert ("", 1) == (printed.out, len(printed.err.splitlines()))
    assert f"error: no database at {tmp_path}/engine.db" in printed.err
    assert [] == list(tmp_path.iterdir())


def test_reading_leaves_the_database_as_it_was(run: Output, state: StateDir) -> None:
    """Not a byte of it changes."""
    before = state.database.read_bytes()
    for command in ("status", "positions", "trades", "orders", "risk", "audit"):
        run(command, state=state)
    assert before == state.database.read_bytes()


# audit and summary


def test_audit_passes_where_everything_adds_up(run: Output, tmp_path: Path) -> None:
    """`ok`, and every check with its name and detail; without a paper account there is no wallet to compare."""
    state = fresh(tmp_path)
    with opened(state) as store:
        Desk(store).stopped_out()
    found = read(run, "audit", state=state)
    assert found["ok"]
    assert all({"name", "ok", "detail"} == set(check) for check in found["checks"])
    assert "journal rebuild equals projections" in {check["name"] for check in found["checks"]}
    assert run("audit", state=state)[1].splitlines()[-1].startswith(" all ")


def test_audit_fails_with_exit_1_where_a_position_is_unprotected(run: Output, tmp_path: Path) -> None:
    """The failed check is named and the exit code tells a script."""
    state = fresh(tmp_path)
    with opened(state) as store:
        desk = Desk(store)
        entry = desk.enter()
        desk.ack(entry)
        desk.fill(entry)
    code, printed = run("audit", "--json", state=state)
    found = json.loads(printed)
    assert (1, False) == (code, found["ok"])
    assert ["no open position without a confirmed stop"] == [row["name"] for row in found["checks"] if not row["ok"]]
    assert " FAILED no open position without a confirmed stop" in run("audit", state=state)[1]


def test_the_summary_tells_what_a_run_has_come_to(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, state: StateDir
) -> None:
    """Balances, result, drawdown, trades by strategy and symbol, what is open, what became of the signals."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.argv", ["pytest"])  # not ./run.sh, which is named where it was called by
    print_summary(state.root)
    lines = capsys.readouterr().out.splitlines()
    assert [
        "",
        " start balance  10,000.00",
        " final balance   9,950.00  equity 9,974.88, −0.25 %",
        " net PnL           −50.00  gross −50.00, fees 0.00, funding 0.00",
        " max drawdown      −50.00  −0.50 %",
        " trades              1     0 won, 1 lost, win rate 0 %, profit factor 0.00",
        "",
        " STRATEGY  SYMBOL   TRADES  WON  WON %  FEES  FUNDING  NET PNL  MEAN R",
        " trend     BTCUSDT       1    0    0.0  0.00     0.00   −50.00   −1.00",
        "",
        " OPEN     SIDE   QTY  ENTRY  STOP     PNL",
        " ETHUSDT  long  9.95      —    95    —     pending",
        " BTCUSDT  long  9.95    100    95  +24.88  open",
        "",
        " 4 signals: 4 taken",
        f" look closer: trading-engine trades --state {state.root} (also positions, orders, risk, audit)",
    ] == lines[:-1]
    assert lines[-1].startswith(" 1 position left open, 1 pending entry · up to 2025-01-01 01:07:00 UTC")


# backup, restore, resume


def test_a_restored_backup_is_locked_until_it_is_resumed(
    run: Output, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way back after a loss: backup, restore (refused without --force), LOCKED, resume, all in order."""
    monkeypatch.chdir(tmp_path)
    state = fresh(tmp_path)
    with opened(state) as store:
        Desk(store).stopped_out()
    assert 0 == main(["db", "backup", "--state", str(state.root)])
    (copy,) = state.backups.iterdir()
    assert 0 != main(["db", "restore", str(copy), "--state", str(state.root)])
    assert 0 == main(["db", "restore", str(copy), "--force", "--state", str(state.root)])
    capsys.readouterr()
    found = read(run, "status", state=state)
    assert ("locked", "LOCKED") == (found["state"], found["kill_switch"]["level"])
    assert 0 == main(["resume", "--actor", "me", "--state", str(state.root)])
    assert "resumed (kill switch was at LOCKED), also: cooldown had tripped" in capsys.readouterr().out
    assert "RUN" == read(run, "status", state=state)["kill_switch"]["level"]
    assert read(run, "audit", state=state)["ok"]


# days


def test_days_tell_what_each_made(run: Output, tmp_path: Path) -> None:
    """A loss of 50 and a gain of 2 on the first day, paid funding on the second, which still runs."""
    state = fresh(tmp_path)
    with opened(state) as store:
        desk = Desk(store)
        desk.income(2)
        desk.stopped_out()
        desk.income(-1)
        desk.income(3)
        desk.wait(DAY_MS)
        desk.candles((BTC, 100))
        desk.income("-0.5")
        desk.save()
    first = {"day": "2025-01-01", "is_over": True, "start_balance": "10000", "net_pnl": "-46", "return_pct": "-0.46"}
    second = {"day": "2025-01-02", "is_over": False, "start_balance": "9954", "net_pnl": "-0.5", "return_pct": "-0.01"}
    none = {"fees": "0", "trades": 0, "wins": 0, "profit_factor": None, "sharpe_30d": None}
    assert [
        none | second | {"funding": "-0.5", "max_drawdown": "-0.5"},
        none | first | {"funding": "4", "trades": 1, "profit_factor": "0", "max_drawdown": "-51"},
    ] == read(run, "days", state=state)
    code, printed = run("days", state=state)
    assert 0 == code
    assert "2 days · net −46.50 · best 2025-01-02 −0.50 · worst 2025-01-01 −46.00" in printed
    assert ["2025-01-02"] == [day["day"] for day in read(run, "days", "--limit", "1", state=state)]


def test_a_state_without_bookings_has_no_days(run: Output, tmp_path: Path) -> None:
    """It is said, and no figure is made up."""
    assert (0, "no trading days yet: the first booking begins one") == (
        (done := run("days", state=fresh(tmp_path)))[0],
        done[1].strip(),
    )


def test_the_sharpe_ratio_takes_ten_days_that_are_over() -> None:
    """Nine say nothing, the running one does not count, and equal days have none."""
    days = [day_view(number, Decimal(number % 3)) for number in range(11)]
    assert days_command.sharpe_of(days[:9]) is None
    assert days_command.sharpe_of([replace(days[0], is_over=False), *days[1:10]]) is None
    assert days_command.sharpe_of([replace(day, realized=Decimal(1)) for day in days]) is None
    returns = [float(day.realized / day.start_balance) for day in days[:10]]
    assert pytest.approx(fmean(returns) / stdev(returns) * math.sqrt(365)) == days_command.sharpe_of(days[:10])


def day_view(number: int, realized: Decimal) -> DayView:
    """A day of an account of 1000."""
    zero = Decimal(0)
    return DayView(
        f"2025-02-{number + 1:02}", Decimal(1000), realized, zero, zero, 0, 0, zero, zero, zero, is_over=True
    )
