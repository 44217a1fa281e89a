"""The dead man's switch is called while the engine decides, and never otherwise."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from trading_engine.alerts.channel import Channel, Message, SendFailed
from trading_engine.alerts.heartbeat import Heartbeat, call_address

URL = "https://watch.example/ping/S3cr3t"
NOTE = Message("heartbeat", "", None)  # type: ignore[arg-type]


def test_it_beats_only_while_decisions_are_made() -> None:
    """A process that runs and decides nothing is as silent as one that is gone."""
    alive = iter([True, False, False, True])
    calls: list[Channel] = []
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 4:
            raise asyncio.CancelledError

    heart = Heartbeat(URL, 60, lambda: next(alive), sleep=sleep, send=lambda channel, _: calls.append(channel))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(heart.run())
    assert (2, 2, [60, 60, 60, 60]) == (heart.beats, len(calls), waits)


def test_a_service_that_refuses_is_no_beat_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The next call is made all the same; the address is in no log."""

    def refuse(channel: Channel, message: Message) -> None:
        raise SendFailed("HTTP 500")

    heart = Heartbeat(URL, 60, lambda: True, send=refuse)

    async def twice() -> None:
        await heart.beat()
        await heart.beat()

    asyncio.run(twice())
    assert 0 == heart.beats
    assert "S3cr3t" not in caplog.text


class Watch(ThreadingHTTPServer):
    """A service that answers as it is told, and counts."""

    status = 200
    calls = 0
    daemon_threads = True


@pytest.fixture
def watch() -> Iterator[Watch]:
    """A running service."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.calls += 1
            self.send_response(server.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Keep test output quiet."""

    server = Watch(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_address_is_called_over_the_network(watch: Watch) -> None:
    """A GET; anything but success is a reason that names no address."""
    channel = Channel(f"http://127.0.0.1:{watch.server_address[1]}/ping/S3cr3t")
    call_address(channel, NOTE)
    assert 1 == watch.calls
    watch.status = 404
    with pytest.raises(SendFailed, match=r"^HTTP 404$"):
        call_address(channel, NOTE)
    watch.server_close()
    with pytest.raises(SendFailed) as caught:
        call_address(Channel("http://127.0.0.1:9/S3cr3t"), NOTE)
    assert "S3cr3t" not in str(caught.value)
