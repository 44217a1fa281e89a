"""What systemd is told, on a real datagram socket; and nothing is told, raised or waited for where nobody listens."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from trading_engine.system.service_manager import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A listening socket and its address as systemd writes it."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        name = f"trading-engine-test-{os.getpid()}-{id(listener)}"
        listener.bind(str(tmp_path / "notify") if request.param == "path" else f"\0{name}")
        listener.settimeout(5)
        yield listener, str(tmp_path / "notify") if request.param == "path" else f"@{name}"


def test_every_message_arrives_as_the_protocol_has_it(manager: tuple[socket.socket, str]) -> None:
    """On a path and on an abstract name; a status of several lines is one."""
    listener, address = manager
    service = ServiceManager(address)
    said = [
        service.extend(1.5),
        service.tell("starting:\n reaching binance"),
        service.ready(),
        service.alive(),
        service.stopping(),
    ]
    assert [True] * 5 == said
    assert [
        "EXTEND_TIMEOUT_USEC=1500000",
        "STATUS=starting: reaching binance",
        "READY=1",
        "WATCHDOG=1",
        "STOPPING=1",
    ] == [listener.recv(4096).decode() for _ in said]


def test_the_variables_of_systemd_are_taken_out_of_the_environment() -> None:
    """A child finds none of them, and so cannot speak for the service."""
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    service = ServiceManager.from_environ(environ)
    assert ({"HOME": "/"}, True, 30.0) == (environ, bool(service), service.watchdog_s)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, (False, 0.0)),
        ({"NOTIFY_SOCKET": "vsock:2:1"}, (False, 0.0)),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "soon"}, (True, 0.0)),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, (True, 0.0)),
    ],
)
def test_what_is_not_meant_for_us_is_passed_over(environ: dict[str, str], expected: tuple[bool, float]) -> None:
    """No manager, a socket of another kind, a period that is no number, a watchdog of another process."""
    service = ServiceManager.from_environ(environ)
    assert expected == (bool(service), service.watchdog_s)


def test_nobody_who_listens_is_no_error(tmp_path: Path) -> None:
    """No manager at all, and one that has gone."""
    assert not ServiceManager().ready()
    assert not ServiceManager(str(tmp_path / "gone")).alive()


def test_a_manager_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    """When its queue is full a message is given up, and said to be."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(str(tmp_path / "notify"))
        service = ServiceManager(str(tmp_path / "notify"))
        assert not all(service.alive() for _ in range(10_000))
