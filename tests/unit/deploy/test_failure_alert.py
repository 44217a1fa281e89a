"""Somebody hears that a unit has failed: once in a while, without the engine, and without the receiver's secrets."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "deploy/failure_alert.py"
UNIT = "trading-engine@two.service"
TOKEN = "secret-token-in-the-url"


class Receiver(http.server.HTTPServer):
    """Takes what Apprise posts."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """For Apprise."""
        return f"json://127.0.0.1:{self.server_port}/{TOKEN}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        del format, args


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A service on this machine."""
    with Receiver() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def fail(folder: Path, url: str = "", **environment: str) -> tuple[int, str]:
    """The unit has failed; exit code and what the script says."""
    (folder / "credentials").mkdir(exist_ok=True)
    (folder / "state").mkdir(exist_ok=True)
    if url:
        (folder / "credentials/venue_ALERT_URL").write_text(f"{url}\n")
    where = {"CREDENTIALS_DIRECTORY": str(folder / "credentials"), "STATE_DIRECTORY": str(folder / "state")}
    done = subprocess.run(
        [sys.executable, "-I", str(SCRIPT), UNIT],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **where, **environment},
    )
    return done.returncode, done.stdout + done.stderr


def test_a_failure_is_told_once_in_a_quarter_of_an_hour(tmp_path: Path, receiver: Receiver) -> None:
    """How it ended and what to do; the failures in between are counted and told with the next message."""
    code, said = fail(tmp_path, receiver.url, MONITOR_SERVICE_RESULT="watchdog", MONITOR_EXIT_STATUS="ABRT")
    assert (0, f"json://*** was told that {UNIT} has failed\n") == (code, said)
    (message,) = receiver.messages
    assert f"trading-engine: {UNIT} failed" == message["title"]
    assert "Result: watchdog, exit status ABRT." in message["message"]
    assert f"systemctl reset-failed {UNIT}" in message["message"]
    assert "has failed again; told less than 15 minutes ago" in fail(tmp_path)[1]
    assert 1 == len(receiver.messages)
    (stamp,) = (tmp_path / "state").iterdir()
    stamp.write_text(json.dumps({"told": 1.0, "missed": json.loads(stamp.read_text())["missed"]}))
    fail(tmp_path)
    assert "It had failed 1 more times since the last message." in receiver.messages[1]["message"]


def test_a_receiver_that_refuses_is_an_error_that_hides_its_address(tmp_path: Path, receiver: Receiver) -> None:
    """Exit 1; nothing of the URL but its kind, and no silence afterwards."""
    receiver.status = 500
    for _ in range(2):  # nobody knows yet, so the next failure is told again
        assert (1, "<3>json://*** did not take the message\n") == fail(tmp_path, receiver.url)
    assert (1, "<3>nosuch://*** did not take the message\n") == fail(tmp_path / "credentials", f"nosuch://{TOKEN}")


def test_nobody_to_tell_is_said_and_a_damaged_stamp_is_no_reason_for_silence(
    tmp_path: Path, receiver: Receiver
) -> None:
    """The failure of the alert must not hide the failure."""
    code, said = fail(tmp_path)
    assert (0, True) == (code, "nobody is told: there is no credential ALERT_URL_CRITICAL or ALERT_URL" in said)
    assert [] == list((tmp_path / "state").iterdir())
    (tmp_path / "state" / f"{UNIT}.json").write_text("{")
    assert 0 == fail(tmp_path, receiver.url)[0]
    assert 1 == len(receiver.messages)


def test_nothing_of_the_engine_is_imported(tmp_path: Path) -> None:
    """What has broken the engine cannot break this."""
    assert "trading_engine" not in SCRIPT.read_text()
    done = subprocess.run(
        [sys.executable, "-I", str(SCRIPT)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (2, "usage: failure_alert.py UNIT\n") == (done.returncode, done.stderr)


def test_the_receivers_of_an_instance_are_told_as_well(tmp_path: Path, receiver: Receiver) -> None:
    """Its credentials are handed over beside those of every engine; one that both have is told once."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "instance_ALERT_URL").write_text(f"{receiver.url}/its-own\n")
    code, said = fail(tmp_path)
    assert (0, 1) == (code, len(receiver.messages)), said
    (tmp_path / "state" / f"{UNIT}.json").unlink()
    (credentials / "instance_ALERT_URL").write_text(f"{receiver.url}\n")
    code, said = fail(tmp_path, receiver.url)
    assert (0, 2) == (code, len(receiver.messages)), said
