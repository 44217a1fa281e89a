"""Alerts reach a real receiver through apprise, and a bad receiver harms nobody."""

import asyncio
import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from trading_engine.alerts import AlertRow, Channel, OutboxWorker, send_test
from trading_engine.alerts.apprise_sender import LONGEST_ANSWER
from trading_engine.domain.severity import Severity

# apprise imports it where it exists, which is on Python before 3.13.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Receiver:
    """A local web hook: takes messages, refuses them, or never answers."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.arrived = threading.Event()
        self.hang = threading.Event()
        self.floods = False
        self.written = 0
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.arrived.set()
                if receiver.hang.is_set():
                    receiver.released.wait(30)
                    return
                receiver.received.append(json.loads(body))
                self.send_response(receiver.status)
                self.end_headers()
                while receiver.floods and not receiver.released.is_set():
                    receiver.written += self.wfile.write(bytes(65_536))

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
                """Keep test output quiet."""

        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def channel(self, least: Severity = Severity.INFO) -> Channel:
        """The address, with things in it that must never be logged."""
        return Channel(f"json://user:hunter2-pass@127.0.0.1:{self.port}/hook/S3cr3tT0ken", least)

    def close(self) -> None:
        """Answer whoever waits, and end."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A running receiver."""
    running = Receiver()
    yield running
    running.close()


class Outbox:
    """The port in memory."""

    def __init__(self, *rows: AlertRow) -> None:
        self.rows = list(rows)
        self.failed: list[tuple[int, str]] = []
        self.settled = asyncio.Event()

    async def pending(self, limit: int) -> Sequence[AlertRow]:
        """What is left."""
        return self.rows[:limit]

    async def mark_sent(self, ids: Sequence[int], ts_ms: int) -> None:
        """Take rows away."""
        assert ts_ms == 5
        self.rows = [row for row in self.rows if row.id not in ids]
        self.settled.set()

    async def mark_failed(self, row_id: int, error: str, next_try_ms: int) -> None:
        """Keep the error."""
        assert next_try_ms > 5
        self.failed.append((row_id, error))
        self.settled.set()


def _row(number: int, text: str, severity: Severity = Severity.INFO) -> AlertRow:
    return AlertRow(number, 0, severity, "", text, 0)


def _worker(outbox: Outbox, *channels: Channel, timeout_s: float = 10) -> OutboxWorker:
    return OutboxWorker(outbox, channels, now_ms=lambda: 5, timeout_s=timeout_s)


def test_an_alert_arrives_with_its_severity(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """Title, text and type of an alert are what the receiver sees; the address is in no log."""
    caplog.set_level(logging.WARNING)
    outbox = Outbox(_row(1, "position opened"), _row(2, "no stop", Severity.CRITICAL))
    asyncio.run(_worker(outbox, receiver.channel()).run_once())
    assert [
        ("trading-engine: info", "position opened", "info"),
        ("trading-engine: critical", "no stop", "failure"),
    ] == [(got["title"], got["message"].split("\n")[0], got["type"]) for got in receiver.received]
    assert [] == outbox.rows
    assert "S3cr3tT0ken" not in caplog.text
    assert "hunter2" not in caplog.text


def test_a_receiver_that_refuses_is_reported_without_the_address(receiver: Receiver) -> None:
    """The reason is the service's own; the row waits."""
    receiver.status = 500
    outbox = Outbox(_row(1, "position opened"))
    asyncio.run(_worker(outbox, receiver.channel()).run_once())
    ((number, error),) = outbox.failed
    assert (1, 1) == (number, len(outbox.rows))
    assert "error=500" in error
    for secret in ("S3cr3tT0ken", "hunter2"):
        assert secret not in error


def test_nobody_there_is_a_failure_not_an_exception() -> None:
    """A refused connection leaves the row in the outbox."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    outbox = Outbox(_row(1, "position opened"))
    asyncio.run(_worker(outbox, Channel(f"json://127.0.0.1:{port}/hook")).run_once())
    assert "Connection error" in outbox.failed[0][1]


def test_a_receiver_that_hangs_does_not_hold_the_loop(receiver: Receiver) -> None:
    """While it hangs the loop goes on, the time limit ends the attempt, and the good channel was told."""
    good = Receiver()
    send_test([good.channel()])  # loads the library, so that the time limit below is the receiver's alone
    good.received.clear()
    receiver.hang.set()
    outbox = Outbox(_row(1, "position opened"))
    order: list[str] = []

    async def run() -> None:
        delivery = asyncio.create_task(_worker(outbox, receiver.channel(), good.channel(), timeout_s=2).run_once())
        while not (receiver.arrived.is_set() and good.received):  # noqa: ASYNC110 - set in other threads
            await asyncio.sleep(0.001)
        assert not delivery.done()
        for number in range(100):
            await asyncio.sleep(0)
            order.append(f"turn {number}")
        order.append("done" if delivery.done() else "waiting")
        await delivery

    try:
        asyncio.run(asyncio.wait_for(run(), 30))
    finally:
        good.close()
    assert "waiting" == order[-1]
    assert 1 == len(good.received)
    assert [(1, "json://***: not accepted within 2 s")] == outbox.failed


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_answer_that_never_ends_is_not_read_to_its_end(receiver: Receiver) -> None:
    """Memory stays small: after a megabyte the connection is closed, and the message counts as refused."""
    receiver.floods = True
    outbox = Outbox(_row(1, "position opened"))
    asyncio.run(asyncio.wait_for(_worker(outbox, receiver.channel(), timeout_s=20).run_once(), 30))
    ((number, error),) = outbox.failed
    assert (1, 1) == (number, len(outbox.rows))
    assert "not accepted within" not in error
    assert LONGEST_ANSWER < receiver.written < 20 * LONGEST_ANSWER


def test_a_process_ends_although_a_send_hangs(receiver: Receiver) -> None:
    """A stuck service must not keep an engine from stopping."""
    receiver.hang.set()
    program = (
        "import sys; from trading_engine.alerts import Channel, send_test\n"
        "print(send_test([Channel(sys.argv[1])], timeout_s=1)[0].error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, receiver.channel().url + "?rto=25&cto=25"],
        capture_output=True,
        text=True,
        check=True,
        timeout=15,
    )
    assert "not accepted within 1 s\n" == result.stdout


def test_the_test_command_tells_each_channel_apart(receiver: Receiver) -> None:
    """In order, with the reason, whatever the least severity; unknown services and nonsense included."""
    results = send_test([receiver.channel(Severity.CRITICAL), Channel("nosuch://S3cr3tT0ken"), Channel("S3cr3tT0ken")])
    assert [("json://***", True), ("nosuch://***", False), ("***", False)] == [
        (result.url, result.ok) for result in results
    ]
    assert ["trading-engine: test"] == [got["title"] for got in receiver.received]
    assert "is not a URL that Apprise knows" in results[1].error
    assert "S3cr3tT0ken" not in str(results)


def test_no_channel_means_no_library() -> None:
    """Without channels apprise is not imported, however many alerts there are."""
    program = (
        "import asyncio, sys\n"
        "from trading_engine.alerts import AlertRow, OutboxWorker, send_test\n"
        "from trading_engine.domain.severity import Severity\n"
        "class Outbox:\n"
        "    sent = []\n"
        "    async def pending(self, limit): return [AlertRow(1, 0, Severity.CRITICAL, '', 'x', 0)]\n"
        "    async def mark_sent(self, ids, ts_ms): self.sent += ids\n"
        "worker = OutboxWorker(Outbox(), [], now_ms=lambda: 0)\n"
        "asyncio.run(worker.run_once())\n"
        "assert send_test([]) == []\n"
        "assert Outbox.sent == [1]\n"
        "assert not {'apprise', 'requests'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
