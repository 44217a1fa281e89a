"""The engine on a venue's own protocol: two processes, real sockets, kill -9, and money that agrees at the end."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from trading_engine.cli.main import main
from trading_engine.runtime import bootstrap
from trading_engine.runtime.process import Process

ROOT = Path(__file__).parents[2]
ENGINE = [sys.executable, "-m", "trading_engine"]
SPEED = 20  # a minute in three seconds; a receive window of five is a quarter of a second
ROWS = 1_400  # the server shows the first half as history
# Breakouts, in minutes since the server begins, by their size. The later ones are for an engine that a busy machine
# was slow to start; to a position that is open already they are too small to reach its target.
BREAKOUTS = {2: 400.0, 8: 60.0, 16: 60.0}
START_MS = 1_735_689_600_000
PATIENCE_S = 60.0


def candles(path: Path) -> None:
    """A market that creeps upwards and breaks out a moment after the server has begun."""
    lines = ["ts,open,high,low,close,volume"]
    price = 50_000.0
    for minute in range(ROWS):
        size = BREAKOUTS.get(minute - ROWS // 2)
        move = 2.0 + (3.0 if minute % 2 else -3.0) if size is None else size
        close = price + move
        high, low = max(price, close) + 1.0, min(price, close) - 1.0
        volume = 100.0 if size is None else 400.0
        lines.append(f"{START_MS + minute * 60_000},{price:.1f},{high:.1f},{low:.1f},{close:.1f},{volume}")
        price = close
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def configuration(path: Path, venue: str, port: int) -> None:
    """The shipped file of the venue, with this machine's server and the strategy that sees the breakout."""
    text = (ROOT / "configs" / f"{venue}.yaml").read_text(encoding="utf-8")
    text = text.replace("symbols: [BTCUSDT, ETHUSDT]", "symbols: [BTCUSDT]")
    text = text.replace("- name: trend_vwap", "- name: multi_timeframe_long")
    # Market time runs twenty times as fast as a machine that is busy with other tests.
    text += "\nexecution: {unprotected_timeout_ms: 60000, recv_window_ms: 30000, max_send_delay_ms: 30000}\n"
    here = f"  {venue}:\n    rest_url: http://127.0.0.1:{port}\n    ws_url: ws://127.0.0.1:{port}\n"
    text = text.replace(f"  {venue}:\n", here, 1)
    name = venue.upper()
    text = text.replace(f"${{{name}_KEY}}", "local-key").replace(f"${{{name}_SECRET}}", "local-secret")
    path.write_text(text, encoding="utf-8")


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def process(arguments: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours, killed at the end if it still lives."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        log.open("ab") as output,
        subprocess.Popen([*ENGINE, *arguments], cwd=log.parent, env=environment, stdout=output, stderr=output) as made,
    ):
        try:
            yield made
        finally:
            made.kill()


def wait_until(what: Callable[[], Any], log: Path, why: str) -> None:
    """Until `what` holds; the log of whom it was waited for tells where it does not."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if what():
            return
        time.sleep(0.1)
    raise AssertionError(f"{why}\n{log.read_text(encoding='utf-8')[-3_000:]}")


def rows(database: Path, query: str) -> list[Any]:
    """What a database holds at this moment; nothing where there is none yet."""
    if not database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []


def answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def told(command: list[str], state: Path) -> Any:
    done = subprocess.run(
        [*ENGINE, *command, "--state", str(state), "--json"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("venue", ["binance", "bingx", "zoomex"])
def test_an_engine_killed_with_a_position_finds_it_again_and_leaves_it_behind_its_stop(
    tmp_path: Path, venue: str
) -> None:
    """One entry, one position, a stop of its size at the venue, and ledger and wallet equal to the last digit."""
    port, state, venue_db = free_port(), tmp_path / "state", tmp_path / "venue.db"
    candles(tmp_path / "btc.csv")
    configuration(tmp_path / "engine.yaml", venue, port)
    serve = ["exchange", "serve", "--venue", venue, "--port", str(port), "--speed", str(SPEED)]
    serve += ["--replay", f"BTCUSDT={tmp_path / 'btc.csv'}", "--db", str(venue_db)]
    run = ["run", "--config", str(tmp_path / "engine.yaml"), "--state", str(state)]
    log, database = tmp_path / "engine.log", state / "engine.db"
    covered = "SELECT 1 FROM orders WHERE purpose = 'stop' AND state = 'ACKED'"
    with process(serve, tmp_path / "server.log"):
        wait_until(lambda: answers(port), tmp_path / "server.log", "the server does not listen")
        with process(run, log) as engine:
            wait_until(lambda: rows(database, covered), log, "no position behind a stop")
            engine.kill()
            engine.wait()
        starts = len(rows(database, "SELECT 1 FROM runs"))
        with process(run, log) as engine:
            wait_until(lambda: len(rows(database, "SELECT 1 FROM runs")) > starts, log, "no second start")
            wait_until(lambda: _is_reconciled(state), log, "not reconciled after the kill")
            time.sleep(2)
            engine.send_signal(signal.SIGTERM)
            assert 0 == engine.wait(30), log.read_text(encoding="utf-8")[-3_000:]
        _is_not_watched(run, tmp_path)
    assert all(check["ok"] for check in told(["audit"], state)["checks"])
    assert [("OPEN",)] == rows(database, "SELECT state FROM positions")
    assert [(1,)] == rows(database, "SELECT count(*) FROM orders WHERE purpose = 'entry'")
    (held,) = told(["positions"], state)
    stops = rows(database, "SELECT quantity FROM orders WHERE purpose = 'stop' AND state = 'ACKED'")
    assert [Decimal(held["quantity"])] == [Decimal(quantity) for (quantity,) in stops]
    ((progress,),) = rows(venue_db, "SELECT body FROM progress")
    ledger = sum(Decimal(amount) for (amount,) in rows(database, "SELECT amount FROM pnl"))
    assert Decimal(json.loads(progress)["wallet_e8"]).scaleb(-8) == ledger


def _is_not_watched(run: list[str], folder: Path) -> None:
    """A run that sends nothing is refused beside what is open at the venue, also where its state knows of nothing."""
    log = folder / "watching.log"
    with process([*run[:-1], str(folder / "another"), "--signals-only"], log) as engine:
        assert 3 == engine.wait(PATIENCE_S), log.read_text(encoding="utf-8")[-3_000:]
    told_last = log.read_text(encoding="utf-8").splitlines()[-1]
    assert told_last.startswith("error: BTCUSDT has a")
    assert "which a run that sends nothing cannot protect; run without --signals-only on the state" in told_last


def _is_reconciled(state: Path) -> bool:
    told_now = told(["status"], state)
    reasons = [reason for gate in told_now["gates"] for reason in gate["reasons"]]
    is_synced = bool(told_now["gates"]) and "not reconciled with the venue yet" not in reasons
    return bool(told_now["state"] == "running" and is_synced and told_now["open_positions"] == 1)


def test_a_run_that_sends_nothing_writes_down_what_it_would_have_ordered(tmp_path: Path) -> None:
    """On a venue's own protocol: the breakout is withheld with its order, the venue has none, and `status` says why."""
    port, state, venue_db = free_port(), tmp_path / "state", tmp_path / "venue.db"
    candles(tmp_path / "btc.csv")
    configuration(tmp_path / "engine.yaml", "binance", port)
    serve = ["exchange", "serve", "--venue", "binance", "--port", str(port), "--speed", str(SPEED)]
    serve += ["--replay", f"BTCUSDT={tmp_path / 'btc.csv'}", "--db", str(venue_db)]
    run = ["run", "--config", str(tmp_path / "engine.yaml"), "--state", str(state), "--signals-only"]
    log, database = tmp_path / "engine.log", state / "engine.db"
    with process(serve, tmp_path / "server.log"):
        wait_until(lambda: answers(port), tmp_path / "server.log", "the server does not listen")
        with process(run, log) as engine:
            withheld = "SELECT 1 FROM signals WHERE fate = 'withheld'"
            wait_until(lambda: rows(database, withheld), log, "no signal was withheld")
            status = told(["status"], state)
            engine.send_signal(signal.SIGTERM)
            assert 0 == engine.wait(30), log.read_text(encoding="utf-8")[-3_000:]
    assert ("running", True) == (status["state"], status["signals_only"])
    assert all("signals only: nothing is sent to the venue" in gate["reasons"] for gate in status["gates"])
    signals = told(["signals", "--fate", "withheld"], state)
    assert all(Decimal(one["would_order"]["quantity"]) > 0 for one in signals)
    text = log.read_text(encoding="utf-8")
    assert f"{len(signals)} entr{'y' if len(signals) == 1 else 'ies'} would have been made, nothing was sent" in text
    assert [(0,)] == rows(venue_db, "SELECT count(*) FROM orders")
    assert [(0,)] == rows(database, "SELECT count(*) FROM orders")
    assert all(check["ok"] for check in told(["audit"], state)["checks"])


def test_a_run_that_sends_nothing_sends_nothing_either_with_its_gate_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core believes that it trades: the guard of the run refuses the entry, and the venue never hears of it."""
    port, state, venue_db = free_port(), tmp_path / "state", tmp_path / "venue.db"
    candles(tmp_path / "btc.csv")
    configuration(tmp_path / "engine.yaml", "binance", port)
    serve = ["exchange", "serve", "--venue", "binance", "--port", str(port), "--speed", str(SPEED)]
    serve += ["--replay", f"BTCUSDT={tmp_path / 'btc.csv'}", "--db", str(venue_db)]
    database = state / "engine.db"
    monkeypatch.setattr(Process, "_settings", lambda _, *facts: bootstrap.engine_settings(*facts))  # the break

    def stop_after_the_entry() -> None:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and not rows(database, "SELECT 1 FROM orders WHERE state = 'REJECTED'"):
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    with process(serve, tmp_path / "server.log"):
        wait_until(lambda: answers(port), tmp_path / "server.log", "the server does not listen")
        watcher = threading.Thread(target=stop_after_the_entry)
        watcher.start()
        try:
            code = main(["run", "--config", str(tmp_path / "engine.yaml"), "--state", str(state), "--signals-only"])
        finally:
            watcher.join()
    assert 0 == code
    refused = rows(database, "SELECT purpose, reason FROM orders")
    assert refused
    assert all(purpose == "entry" and reason.startswith("signals_only: ") for purpose, reason in refused)
    assert {("CLOSED",)} == set(rows(database, "SELECT DISTINCT state FROM positions"))
    assert [(0,)] == rows(venue_db, "SELECT count(*) FROM orders")
    assert all(check["ok"] for check in told(["audit"], state)["checks"])


def test_real_money_needs_a_word_beforehand_and_watching_it_does_not(tmp_path: Path) -> None:
    """Without a terminal and without arming: exit 3 for a run that trades, while one that sends nothing goes on."""
    config, log = tmp_path / "engine.yaml", tmp_path / "engine.log"
    configuration(config, "binance", free_port())
    values = yaml.safe_load(config.read_text(encoding="utf-8"))
    nowhere = {"rest_url": "https://venue.invalid", "ws_url": "wss://venue.invalid"}
    values |= {"mode": "live", "venues": {"binance": {**values["venues"]["binance"], **nowhere}}}
    values["credentials"] = {"key": "${TEST_KEY}", "secret": "${TEST_SECRET}"}
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    (tmp_path / ".env").write_text("TEST_KEY=test-key\nTEST_SECRET=test-secret\n", encoding="utf-8")
    (tmp_path / ".env").chmod(0o600)
    run = ["run", "--config", str(config), "--state", str(tmp_path / "state")]
    with process(run, log) as engine:
        assert 3 == engine.wait(PATIENCE_S)
    with process([*run, "--signals-only"], log) as engine:
        reached_for = "binance cannot be reached"
        wait_until(lambda: reached_for in log.read_text(encoding="utf-8"), log, "it never asked the venue")
        engine.send_signal(signal.SIGTERM)
        assert 0 == engine.wait(PATIENCE_S)


@pytest.mark.parametrize("venue", ["binance", "bingx", "zoomex"])
def test_a_key_that_the_venue_refuses_is_told_in_one_line_and_restarts_nothing(tmp_path: Path, venue: str) -> None:
    """Exit 78, which systemd does not restart; neither key nor secret is in what is written."""
    port = free_port()
    candles(tmp_path / "btc.csv")
    configuration(tmp_path / "engine.yaml", venue, port)
    serve = ["exchange", "serve", "--venue", venue, "--port", str(port), "--secret", "another-secret"]
    serve += ["--replay", f"BTCUSDT={tmp_path / 'btc.csv'}"]
    log = tmp_path / "engine.log"
    with process(serve, tmp_path / "server.log"):
        wait_until(lambda: answers(port), tmp_path / "server.log", "the server does not listen")
        run = ["run", "--config", str(tmp_path / "engine.yaml"), "--state", str(tmp_path / "state")]
        with process(run, log) as engine:
            assert 78 == engine.wait(30)
    told_last = log.read_text(encoding="utf-8").splitlines()[-1]
    assert told_last.startswith("error: ")
    assert "refuses the API key" in told_last
    assert "local-secret" not in log.read_text(encoding="utf-8")


def test_a_start_that_cannot_reach_its_venue_tells_somebody_and_stays(tmp_path: Path) -> None:
    """Nobody listens at the venue's address: an alert arrives, the process waits, and ends in order when told to."""
    with hook() as (url, messages):
        config = tmp_path / "binance.yaml"
        configuration(config, "binance", free_port())
        values = yaml.safe_load(config.read_text(encoding="utf-8"))
        values["execution"]["outage_alert_s"] = 10
        values["alerts"] = {"channels": [{"url": url}]}
        config.write_text(yaml.safe_dump(values), encoding="utf-8")
        log = tmp_path / "engine.log"
        with process(["run", "--config", str(config), "--state", str(tmp_path / "state")], log) as engine:
            wait_until(lambda: any("cannot reach binance" in text for text in messages), log, "no alert came")
            assert engine.poll() is None
            engine.send_signal(signal.SIGTERM)
            assert 0 == engine.wait(PATIENCE_S)
    (message,) = [text for text in messages if "cannot reach binance" in text]
    assert "it waits, flat" in message
    assert "→ see the venue's status page" in message


@contextmanager
def hook() -> Iterator[tuple[str, list[str]]]:
    """A web hook and what it was told."""
    messages: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["message"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Keep test output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"json://127.0.0.1:{server.server_address[1]}/", messages
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
