"""What somebody who is new to it runs into: broken, mixed and outdated states, and what each command says then.

Most of it runs in this process, by the entry point itself: a state with an open position is made once and
copied for each test.
"""

import json
import os
import shutil
import signal
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e_tools import (
    START_MS,
    Done,
    end_of,
    eventually,
    files_of,
    journal,
    query,
    read,
    running,
    send,
    start,
    write_config,
    write_market,
)
from loguru import logger

from trading_engine.cli.main import main
from trading_engine.domain.time import MINUTE_MS
from trading_engine.runtime import status
from trading_engine.store.audit import audit

SOL, ETH = "SOLUSDT", "ETHUSDT"

Call = Callable[..., Done]
Meddle = Callable[[Path], object]


@pytest.fixture(autouse=True)
def _quiet_log() -> Iterator[None]:
    """A run in this process leaves no open log behind."""
    yield
    logger.remove()


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command line, in this process and as wide as a pipe."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments: str | Path) -> Done:
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return run


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration for two symbols, a market, and a state with an open position on one."""
    folder = tmp_path_factory.mktemp("newcomer")
    write_config(folder, symbols=[SOL, ETH], kill_switch={"file": "STOP"})
    write_market(folder / "first.csv", "wh")
    assert 0 == main([str(item) for item in (*_run(folder, "first"), "--seed", "7")])
    return folder


@pytest.fixture
def folder(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working directory."""
    copy = tmp_path / "newcomer"
    shutil.copytree(origin, copy)
    monkeypatch.chdir(copy)
    return copy


def _run(folder: Path, market: str, symbol: str = SOL) -> list[str | Path]:
    config, data = folder / "config.yaml", folder / f"{market}.csv"
    return ["run", "--config", config, "--state", folder / "state", "--replay", f"{symbol}={data}"]


def _reconcile(folder: Path) -> list[str | Path]:
    return ["reconcile", "--plan", "--json", "--config", folder / "config.yaml", "--state", folder / "state"]


def _audit(folder: Path) -> list[str | Path]:
    return ["audit", "--state", folder / "state"]


def _execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def _refused(done: Done, code: int, *words: str) -> None:
    assert (code, "", 1) == (done.code, done.out, done.err.count("\n")), done
    assert done.err.startswith("error: ")
    assert [] == [word for word in words if word not in done.err], done.err


def _reconfigure(folder: Path, **changes: object) -> None:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}, sort_keys=False))


# states that are torn, damaged or incomplete


def _empty(paper: Path) -> None:
    paper.write_bytes(b"")


def _without_rows(paper: Path) -> None:
    for table in ("orders", "trades", "incomes", "symbols", "progress"):
        _execute(paper, f"DELETE FROM {table}")


def _older(paper: Path) -> None:
    _execute(paper, "DELETE FROM trades WHERE number = (SELECT max(number) FROM trades)")


@pytest.mark.parametrize(
    ("meddle", "said"),
    [
        (Path.unlink, "paper.db is missing"),
        (_empty, "paper.db holds no account"),
        (_without_rows, "paper.db holds no account"),
        (_older, "paper.db knows 3"),
    ],
    ids=["missing", "empty", "without rows", "older"],
)
def test_an_account_that_knows_less_than_the_ledger_is_refused(
    folder: Path, call: Call, meddle: Meddle, said: str
) -> None:
    """Exit 3: the paper account must not silently start again; nothing is written."""
    meddle(folder / "state" / "paper.db")
    before = files_of(folder)
    _refused(call(*_run(folder, "first")), 3, said, "engine.db knows 4 bookings", "db restore", "--state")
    assert before == files_of(folder)


@pytest.mark.parametrize("command", [_audit, _reconcile])
def test_reading_an_empty_account_is_no_fault(
    folder: Path, call: Call, command: Callable[[Path], list[str | Path]]
) -> None:
    """Exit 78 with the file and the remedy."""
    _empty(folder / "state" / "paper.db")
    _refused(call(*command(folder)), 78, "paper.db: holds no account", "db restore")


def test_a_damaged_account_is_named_by_every_command_that_needs_it(folder: Path, call: Call) -> None:
    """Exit 78 with the file and what to do, `db check` included; nothing is written."""
    paper = folder / "state" / "paper.db"
    content = bytearray(paper.read_bytes())
    content[8_192:28_672] = b"\xff" * len(content[8_192:28_672])
    paper.write_bytes(content)
    before = files_of(folder)
    check = call("db", "check", "--state", folder / "state")
    assert (78, 1) == (check.code, check.err.count("\n"))
    for done in (check._replace(out=""), *(call(*item) for item in (_run(folder, "first"), _audit(folder)))):
        _refused(done, 78, "paper.db: cannot be used as the paper exchange's memory", "db restore")
    _refused(call(*_reconcile(folder)), 78, "paper.db: cannot be used", "db restore")
    assert before == files_of(folder)


def test_a_state_without_its_ledger_is_refused_before_anything_is_made(folder: Path, call: Call) -> None:
    """Exit 3, and no empty database is left that would stand in the way of `db restore`."""
    for name in ("engine.db", "engine.lock"):
        (folder / "state" / name).unlink()
    before = files_of(folder)
    _refused(call(*_run(folder, "first")), 3, "paper.db holds 3 trades", "put the engine's database back")
    assert before == files_of(folder)


def test_backup_and_restore_bring_the_whole_paper_state_back(folder: Path, call: Call) -> None:
    """Both files of one moment: after the restore, ledger, wallet and open orders agree, and the run goes on."""
    state = folder / "state"
    made = call("db", "backup", "--state", state)
    engine, paper = (Path(line.split(" (")[0]) for line in made.out.splitlines())
    assert ("engine", "paper") == (engine.name.split("-")[0], paper.name.split("-")[0])
    write_market(folder / "second.csv", "whvwl")
    assert 0 == call(*_run(folder, "second")).code
    later = ask_here(call, "trades", state)

    (state / "engine.db").unlink()
    _refused(call("db", "restore", engine, "--state", state), 78, "paper.db: exists; use --force")
    restored = call("db", "restore", engine, "--force", "--state", state)
    assert 0 == restored.code
    assert f"{state / 'paper.db'} restored from {paper}" in restored.out
    assert {"differences": []} == json.loads(call(*_reconcile(folder)).out)
    assert 0 == call("resume", "--state", state).code
    assert 0 == call(*_run(folder, "second")).code
    assert [row["net_pnl"] for row in later] == [row["net_pnl"] for row in ask_here(call, "trades", state)]
    assert all(check.ok for check in audit(state / "engine.db"))


def ask_here(call: Call, command: str, state: Path) -> Any:
    """The JSON of a read command."""
    done = call(command, "--json", "--state", state)
    assert 0 == done.code, done.err
    return json.loads(done.out)


def test_a_sound_pair_is_checked_and_its_files_are_private(folder: Path, call: Call) -> None:
    """`db check` names both; nothing in the state may be read by others."""
    state = folder / "state"
    done = call("db", "check", "--state", state)
    assert [f"{state}/engine.db is sound", f"{state}/paper.db is sound"] == [
        line.partition(",")[0] for line in done.out.splitlines()
    ]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.rglob("*") if path.is_file()}
    assert {0o600} == set(modes.values()), modes


# a state and a configuration that do not fit


def test_the_plan_of_another_account_is_refused(folder: Path, call: Call) -> None:
    """As `run` refuses it: one line instead of alarms."""
    _reconfigure(folder, account="other")
    _refused(call(*_reconcile(folder)), 78, "belongs to embedded:staged", "names embedded:other")


def test_a_symbol_with_an_open_position_cannot_be_left_out(folder: Path, call: Call) -> None:
    """Exit 3, one line that says what to give; nothing is written."""
    write_market(folder / "eth.csv", "ww")
    before = files_of(folder)
    _refused(call(*_run(folder, "eth", ETH)), 3, "SOLUSDT has an open position; give --replay SOLUSDT=FILE as well")
    done = call(*_run(folder, "eth", ETH), "--symbol", ETH)
    _refused(done, 3, "SOLUSDT has an open position; give --symbol too (symbols) with --replay SOLUSDT=FILE")
    assert before == files_of(folder)
    _reconfigure(folder, symbols=[ETH])
    _refused(call(*_reconcile(folder)), 78, "SOLUSDT has an open position; put it into", "config.yaml (symbols)")


def test_a_symbol_that_is_flat_may_be_left_out(folder: Path, call: Call) -> None:
    """Although reconciliation looks at its last fills again."""
    write_market(folder / "second.csv", "whv")
    assert 0 == call(*_run(folder, "second")).code
    write_market(folder / "eth.csv", "wwwwww")
    assert 0 == call(*_run(folder, "eth", ETH)).code
    done = call(*_audit(folder))
    assert (0, True) == (done.code, "all 10 checks passed" in done.out)


def test_data_that_does_not_join_on_is_told_in_one_line(folder: Path, call: Call) -> None:
    """A hole is a warning on the console and in the log; the run is not refused."""
    cursor = json.loads(query(folder / "state", "SELECT checkpoint FROM control")[0][0])["cursor_ms"]
    write_market(folder / "later.csv", "-", start_ms=cursor + 90 * MINUTE_MS)
    done = call(*_run(folder, "later"))
    assert 0 == done.code
    (warning,) = [line for line in done.err.splitlines() if "missing" in line]
    assert warning.startswith("warning: 90 candles of 1m are missing between 2025-05-04T01:45:00.000Z, where")
    assert "2025-05-04T03:15:00.000Z, where the data goes on" in warning
    assert "90 candles of 1m are missing" in (folder / "state" / "logs" / "engine.jsonl").read_text()


def test_data_without_anything_new_is_told_in_one_line(folder: Path, call: Call) -> None:
    """Exit 0 with the same summary as before."""
    done = call(*_run(folder, "first"), "--funding", f"{SOL}={_funding(folder)}")
    assert (0, 1) == (done.code, done.err.count("\n"))
    assert done.err.startswith("warning: nothing new: the data ends at 2025-05-04T01:45:00.000Z and this state")


def _funding(folder: Path) -> Path:
    path = folder / "funding.csv"
    path.write_text(f"ts,rate\n{START_MS},0.0001\n")
    return path


def test_what_a_continued_account_ignores_is_named(folder: Path, call: Call) -> None:
    """The balance of an account that exists is not set again; and nobody pays funding where none is given."""
    _reconfigure(folder, paper={"balance": 5_000})
    lines = call(*_run(folder, "first")).err.splitlines()
    assert "warning: no funding is charged on SOLUSDT: no --funding SOLUSDT=FILE is given" == lines[0]
    assert (
        "warning: paper.balance = 5000 has no effect: this account exists and began with 10000"
        " (a new --state begins anew)" == lines[-1]
    )


def test_costs_that_are_written_down_and_not_charged_are_named(folder: Path, call: Call) -> None:
    """A setting of another slippage model, in one line each time it runs."""
    _reconfigure(folder, paper={"slippage": "depth", "slippage_pct": 0.01})
    (line,) = [line for line in call(*_run(folder, "first")).err.splitlines() if "slippage" in line]
    assert line.startswith(
        "warning: paper.slippage_pct = 0.01 has no effect with paper.slippage = depth; it is read by"
    )


# what the commands say


def test_the_summary_adds_up_with_a_position_open(folder: Path, call: Call) -> None:
    """Start, net PnL and what is booked for the open position make the final balance."""
    lines = call(*_run(folder, "first")).out.splitlines()
    figures = {line[1:15].strip(): line[15:].split()[0].replace(",", "").replace("−", "-") for line in lines[1:6]}
    made = float(figures["net PnL"]) + float(figures["open positions"])
    assert float(figures["open positions"]) < 0
    assert pytest.approx(float(figures["final balance"]) - float(figures["start balance"]), abs=0.011) == made
    assert " look closer: trading-engine trades (also positions, orders, risk, audit)" == lines[-2]


def test_a_plan_with_differences_exits_with_1(folder: Path, call: Call) -> None:
    """And with 0 where state and exchange agree; a position that is closing is compared like any other."""
    agreed = call(*_reconcile(folder))
    assert (0, {"differences": []}) == (agreed.code, json.loads(agreed.out))
    engine, paper = folder / "state" / "engine.db", folder / "state" / "paper.db"
    _execute(
        paper,
        "UPDATE symbols SET position = json_set(position, '$.sign', 0, '$.steps', 0, '$.cost_e8', 0)",
        "UPDATE orders SET is_open = 0, body = json_set(body, '$.status', 'canceled')",
    )
    _execute(
        engine,
        "UPDATE positions SET state = 'CLOSING' WHERE state = 'OPEN'",
        f"""UPDATE control SET frozen = '{{"{SOL}": "seen before"}}'""",
    )
    differ = call(*_reconcile(folder))
    found = json.loads(differ.out)["differences"]
    assert 1 == differ.code
    assert [SOL] == [item["symbol"] for item in found if item["kind"] == "position"], found
    stops = next(check for check in audit(engine) if check.name.startswith("no open position"))
    assert "0 open positions, 1 more closing" == stops.detail


def test_a_filter_that_names_a_stranger_says_so(folder: Path, call: Call) -> None:
    """A misspelt symbol is not an empty history."""
    trades = call("trades", "--state", folder / "state", "--symbol", "SOLUSD")
    assert (0, " no trades; symbol SOLUSD has never occurred here; there are SOLUSDT\n") == trades[:2]
    assert "strategy x has never occurred here; there are multi_timeframe_long" in (
        call("trades", "--state", folder / "state", "--strategy", "x").out
    )
    orders = call("orders", "--state", folder / "state", "--symbol", "SOLUSD")
    assert "symbol SOLUSD has never occurred here; there are SOLUSDT" in orders.out
    assert "[]\n" == read("trades", "--json", "--state", folder / "state", "--symbol", "SOLUSD").out


def test_a_refusal_names_the_stop_file_by_its_whole_path(folder: Path, call: Call) -> None:
    """However it is configured: a relative path means the directory in which the engine was started."""
    shutil.rmtree(folder / "state")
    (folder / "STOP").touch()
    _refused(call(*_run(folder, "first")), 3, f"{folder / 'STOP'} is present; remove it to start")


# resume


def test_resume_with_nothing_to_release_changes_nothing(folder: Path, call: Call) -> None:
    """The drawdown's peak is not silently forgotten."""
    before = files_of(folder)
    done = call("resume", "--state", folder / "state")
    assert (0, f"{status.NOTHING_TO_RESUME}\n", "") == done
    assert before == files_of(folder)


def test_resume_ends_a_pause_that_runs_while_the_kill_switch_is_at_run(tmp_path: Path, call: Call) -> None:
    """A losing streak latches nothing, and is released all the same; a second resume finds nothing."""
    write_config(tmp_path, risk={"max_daily_loss_pct": 90, "max_drawdown_pct": 90, "max_consecutive_losses": 1})
    write_market(tmp_path / "loss.csv", "l")
    assert 0 == call(*_run(tmp_path, "loss")).code
    state = tmp_path / "state"
    assert {"losing_streak", "cooldown"} == {row["limit"] for row in ask_here(call, "risk", state) if row["tripped"]}
    done = call("resume", "--state", state, "--config", tmp_path / "config.yaml")
    assert done.out.startswith("resumed (losing_streak had tripped), also: cooldown had tripped;")
    assert ["ControlChanged", "LimitsRebased"] == [item.kind for item in journal(state)[-3:-1]]
    assert call("resume", "--state", state).out.startswith("nothing to resume")


# while an engine runs


def test_a_running_engine_is_looked_at_and_asked_in_vain(folder: Path, call: Call) -> None:
    """`reconcile --plan` works beside it, `resume` with nothing latched leaves its peak, `db backup` takes both."""
    state = folder / "state"
    write_market(folder / "second.csv", "wh-------")
    with running([*_run(folder, "second"), "--speed", "60"]) as engine:
        eventually(lambda: len(journal(state, "RunStarted")) == 2, engine)
        eventually((state / "control.sock").exists, engine)
        agreed = call(*_reconcile(folder))
        assert (0, {"differences": []}) == (agreed.code, json.loads(agreed.out)), agreed
        done = call("resume", "--state", state)
        assert (0, f"{status.NOTHING_TO_RESUME}\n", "") == done
        assert [] == journal(state, "LimitsRebased")
        assert 2 == len(call("db", "backup", "--state", state).out.splitlines())
        assert 0 == send(engine, signal.SIGTERM).code


def test_a_signal_before_the_engine_has_begun_is_an_orderly_end(tmp_path: Path) -> None:
    """Exit 0 with a line, while the configuration is still being read; nothing is written."""
    config = tmp_path / "config.yaml"
    os.mkfifo(config)
    engine = start(["run", "--config", config, "--state", tmp_path / "state"])
    handle = eventually(lambda: _opened_for_reading(config), engine)
    try:
        engine.send_signal(signal.SIGTERM)
        done = end_of(engine)
    finally:
        os.close(handle)
    assert (0, "", "trading-engine: stopped by SIGTERM\n") == done
    assert not (tmp_path / "state").exists()


def test_a_start_killed_while_it_makes_its_database_does_not_disturb_the_next(tmp_path: Path) -> None:
    """The process that makes it outlives the kill for a moment; what the next start has made is not replaced."""
    write_config(tmp_path)
    write_market(tmp_path / "first.csv", "w")
    state = tmp_path / "state"
    engine = start(_run(tmp_path, "first"))
    eventually(lambda: list(state.glob("*.new")), engine)
    engine.kill()
    engine.communicate()
    done = end_of(start(_run(tmp_path, "first")))
    assert 0 == done.code, done.err
    assert all(check.ok for check in audit(state / "engine.db"))
    assert [] == [item.name for item in state.iterdir() if "replaced" in item.name]


def _opened_for_reading(fifo: Path) -> int | None:
    """A handle to write to it, as soon as somebody reads."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None
