"""The control socket: for its owner only, deaf to garbage, reachable however deep the state directory lies."""

import asyncio
import json
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from trading_engine.runtime import control
from trading_engine.runtime.control import Answer, ControlServer, EngineNotRunning, request
from trading_engine.system.state_dir import StateDir


async def _echo(message: Mapping[str, object]) -> Answer:
    """Answers `resume`, refuses the rest, and breaks where it is told to."""
    if message.get("command") == "break":
        raise RuntimeError("a fault in a command")
    if message.get("command") != "resume":
        return {"ok": False, "message": f"unknown command {message.get('command')!r}"}
    await asyncio.sleep(float(str(message.get("wait_s", 0))))
    return {"ok": True, "said": message.get("actor", "")}


def _while_serving(state: Path, talk: Callable[[Path], Awaitable[None]]) -> None:
    """Run a server on a state directory, and beside it whatever talks to it."""

    async def main() -> None:
        server = ControlServer(StateDir(state).control_socket, _echo)
        await server.start()
        try:
            await talk(state)
        finally:
            await server.stop()

    asyncio.run(main())


def _raw(state: Path, sent: bytes, *, shut: bool = True) -> Answer:
    """What the server answers to these very bytes; an empty answer where it says nothing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect(str(StateDir(state).control_socket))
        client.sendall(sent)
        if shut:
            client.shutdown(socket.SHUT_WR)
        line = client.makefile("rb").readline()
    return json.loads(line) if line else {}


def test_a_request_is_answered_by_the_handler(tmp_path: Path) -> None:
    """One line of JSON each way."""

    async def talk(state: Path) -> None:
        answer = await asyncio.to_thread(request, state, {"command": "resume", "actor": "Zoë"})
        assert {"ok": True, "said": "Zoë"} == answer

    _while_serving(tmp_path, talk)


def test_an_unknown_command_is_the_handlers_to_refuse(tmp_path: Path) -> None:
    """The server passes on whatever is an object."""

    async def talk(state: Path) -> None:
        answer = await asyncio.to_thread(request, state, {"command": "dance"})
        assert {"ok": False, "message": "unknown command 'dance'"} == answer

    _while_serving(tmp_path, talk)


def test_the_socket_is_its_owners_alone(tmp_path: Path) -> None:
    """Mode 0600 from the first moment on, and it is gone afterwards."""

    async def talk(state: Path) -> None:
        assert 0o600 == stat.S_IMODE(StateDir(state).control_socket.stat().st_mode)

    _while_serving(tmp_path, talk)
    assert not StateDir(tmp_path).control_socket.exists()


@pytest.mark.parametrize("left", ["socket", "file"])
def test_what_a_dead_process_left_is_replaced(tmp_path: Path, left: str) -> None:
    """The instance lock has proved that nobody uses it."""
    path = StateDir(tmp_path).control_socket
    if left == "file":
        path.write_text("")
    else:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
            dead.bind(str(path))

    async def talk(state: Path) -> None:
        assert (await asyncio.to_thread(request, state, {"command": "resume"}))["ok"]

    _while_serving(tmp_path, talk)


@pytest.mark.parametrize("length", [90, 200])
def test_a_deep_state_directory_has_a_socket_too(tmp_path: Path, length: int) -> None:
    """The kernel takes addresses of 107 bytes; paths are longer."""
    state = tmp_path / ("d" * length) / ("é" * 20)
    state.mkdir(parents=True)
    assert length == 90 or len(str(StateDir(state).control_socket)) > 108

    async def talk(deep: Path) -> None:
        assert (await asyncio.to_thread(request, deep, {"command": "resume"}))["ok"]

    _while_serving(state, talk)
    assert [] == list(state.iterdir())


NOT_A_LINE = {"ok": False, "message": "a request is one line of JSON, at most 64 KiB"}
NOT_AN_OBJECT = {"ok": False, "message": "a request is a JSON object with a `command`"}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"", NOT_A_LINE),
        (b"\n", NOT_A_LINE),
        (b"resume\n", NOT_A_LINE),
        (b'{"command": "resume"', NOT_A_LINE),
        (b"\xff\xfe\x00garbage\n", NOT_A_LINE),
        (b"[" * 60_000 + b"\n", NOT_A_LINE),
        (b"x" * 70_000 + b"\n", NOT_A_LINE),
        (b"[1, 2]\n", NOT_AN_OBJECT),
        (b"null\n", NOT_AN_OBJECT),
        (b'"resume"\n', NOT_AN_OBJECT),
        (b"{}\n", {"ok": False, "message": "unknown command None"}),
        (b'{"command": "resume"}', {"ok": True, "said": ""}),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else "",
)
def test_garbage_is_answered_and_the_server_goes_on(tmp_path: Path, sent: bytes, expected: Answer) -> None:
    """With what a request looks like; the next client is served."""

    async def talk(state: Path) -> None:
        assert expected == await asyncio.to_thread(_raw, state, sent)
        assert (await asyncio.to_thread(request, state, {"command": "resume"}))["ok"]

    _while_serving(tmp_path, talk)


def test_a_client_that_says_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the answer of every bad request when its time is over."""
    monkeypatch.setattr(control, "READ_TIMEOUT_S", 0.05)

    async def talk(state: Path) -> None:
        assert NOT_A_LINE == await asyncio.to_thread(_raw, state, b"", shut=False)

    _while_serving(tmp_path, talk)


def test_a_client_that_goes_away_harms_nobody(tmp_path: Path) -> None:
    """Before its answer is there."""

    async def talk(state: Path) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(StateDir(state).control_socket))
            client.sendall(b'{"command": "resume", "wait_s": 0.05}\n')
        await asyncio.sleep(0.1)
        assert (await asyncio.to_thread(request, state, {"command": "resume"}))["ok"]

    _while_serving(tmp_path, talk)


def test_a_slow_command_does_not_keep_other_clients_waiting(tmp_path: Path) -> None:
    """Two clients at once, each with its own answer."""

    async def talk(state: Path) -> None:
        slow = asyncio.to_thread(request, state, {"command": "resume", "actor": "slow", "wait_s": 0.3})
        waiting = asyncio.create_task(slow)
        await asyncio.sleep(0.05)
        assert "quick" == (await asyncio.to_thread(request, state, {"command": "resume", "actor": "quick"}))["said"]
        assert not waiting.done()
        assert "slow" == (await waiting)["said"]

    _while_serving(tmp_path, talk)


def test_a_command_that_breaks_gives_no_answer_and_the_server_goes_on(tmp_path: Path) -> None:
    """The client is told that the engine went away; the next one is served."""

    async def talk(state: Path) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context["exception"]))
        with pytest.raises(EngineNotRunning, match="went away without an answer"):
            await asyncio.to_thread(request, state, {"command": "break"})
        assert (await asyncio.to_thread(request, state, {"command": "resume"}))["ok"]

    broken: list[BaseException] = []
    _while_serving(tmp_path, talk)
    assert ["a fault in a command"] == [str(error) for error in broken]


@pytest.mark.parametrize("left", ["nothing", "no directory", "a socket nobody serves"])
def test_a_request_without_an_engine_says_so(tmp_path: Path, left: str) -> None:
    """With the path of the socket that was tried."""
    state = tmp_path / "state"
    if left != "no directory":
        state.mkdir()
    if left == "a socket nobody serves":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
            dead.bind(str(StateDir(state).control_socket))
    with pytest.raises(EngineNotRunning, match=r"no engine answers at .*control\.sock"):
        request(state, {"command": "resume"})


def test_stopping_a_server_that_never_started_is_harmless(tmp_path: Path) -> None:
    """A start that failed is cleaned up like any other."""
    asyncio.run(ControlServer(StateDir(tmp_path).control_socket, _echo).stop())
