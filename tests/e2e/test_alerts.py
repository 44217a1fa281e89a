"""Alerts from a real run to a real receiver, and a receiver that hangs while the run goes on."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from e2e_tools import Done, ask, call, query, write_config, write_market


class Receiver:
    """A web hook: takes messages, or holds whoever brings one until it is closed."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.reached = threading.Event()
        self.hangs = False
        self._released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.reached.set()
                if receiver.hangs:
                    receiver._released.wait(60)
                    return
                receiver.messages.append(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
                """Keep test output quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def config(self, folder: Path, timeout_s: int = 10) -> Path:
        """A configuration that tells this receiver everything."""
        url = f"json://127.0.0.1:{self._server.server_address[1]}/"
        return write_config(folder, alerts={"channels": [{"url": url}], "throttle_s": 0, "timeout_s": timeout_s})

    def close(self) -> None:
        """Let go of whoever waits, and end."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A running receiver."""
    started = Receiver()
    yield started
    started.close()


def _run(folder: Path, config: Path, *options: str | Path) -> Done:
    market = write_market(folder / "market.csv", "wl")
    return call("run", "--config", config, "--replay", f"SOLUSDT={market}", "--state", folder / "state", *options)


def test_a_run_tells_when_it_starts_opens_closes_and_ends(tmp_path: Path, receiver: Receiver) -> None:
    """Each arrives, whether alone or in a digest, and nothing is left in the outbox."""
    assert 0 == _run(tmp_path, receiver.config(tmp_path), "--speed", "3000").code
    told = "\n".join(message["message"] for message in receiver.messages)
    for part in (
        "engine 0.1.0 started in paper mode",
        "SOLUSDT long opened at ",
        "SOLUSDT long closed by target: +",
        "SOLUSDT long closed by stop: -",
        "engine stopped (end of data); flat",
    ):
        assert part in told
    assert all(message["title"].startswith("trading-engine: ") for message in receiver.messages)
    assert [(0,)] == query(tmp_path / "state", "SELECT count(*) FROM alert_outbox WHERE sent_at IS NULL")


def test_a_receiver_that_hangs_changes_nothing_but_the_outbox(tmp_path: Path, receiver: Receiver) -> None:
    """The same candles and trades as without alerts, exit 0; what could not be told waits."""
    receiver.hangs = True
    hung, quiet = tmp_path / "hung", tmp_path / "quiet"
    config = receiver.config(hung, timeout_s=4)
    assert 0 == _run(hung, config, "--seed", "7").code
    assert receiver.reached.is_set()
    assert 0 == _run(quiet, write_config(quiet), "--seed", "7").code
    told = [ask("trades", folder / "state") for folder in (hung, quiet)]
    assert (2, told[0]) == (len(told[0]), told[1])
    seen = [ask("status", folder / "state")["last_candle"] for folder in (hung, quiet)]
    assert seen[0] == seen[1]
    ((waiting,),) = query(hung / "state", "SELECT count(*) FROM alert_outbox WHERE sent_at IS NULL")
    assert waiting == query(hung / "state", "SELECT count(*) FROM alert_outbox")[0][0] > 0
