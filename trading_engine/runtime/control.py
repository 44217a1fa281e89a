"""The control socket: one JSON line in, one JSON line out, for the owner of the state directory only.

What belongs here: the server beside the engine and the request a command line makes. What does not: what
a command does (the handler passed in).
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from loguru import logger

from trading_engine.system.state_dir import StateDir

Answer = dict[str, object]
Handler = Callable[[Mapping[str, object]], Awaitable[Answer]]

LINE_LIMIT_BYTES = 65_536
READ_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0


class EngineNotRunning(Exception):
    """Nobody listens on the control socket."""


class ControlServer:
    """Serves `handler` on a Unix socket of mode 0600; bad input is answered, never raised."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self._path = path
        self._handler = handler
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a socket left by a dead process is replaced (the instance lock proves that it is dead)."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.settimeout(0)
        before = os.umask(0o177)
        try:
            with _reachable(self._path) as address:
                listener.bind(address)
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LINE_LIMIT_BYTES)

    async def stop(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(reader)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except OSError as error:
            logger.debug("control client went away: {}", error)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        try:
            line = await asyncio.wait_for(reader.readline(), READ_TIMEOUT_S)
            request = json.loads(line)
        except (TimeoutError, ValueError, RecursionError):  # brackets nested without end are garbage too
            return {"ok": False, "message": "a request is one line of JSON, at most 64 KiB"}
        if not isinstance(request, dict):
            return {"ok": False, "message": "a request is a JSON object with a `command`"}
        return await self._handler(request)


@contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """An address for the socket that fits the kernel's 107 bytes however deep the state directory lies."""
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)


def request(state_dir: Path, message: Mapping[str, object]) -> Answer:
    """Ask the engine that runs on `state_dir`; raises EngineNotRunning where nobody listens."""
    socket_path = StateDir(state_dir).control_socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(REQUEST_TIMEOUT_S)
        try:
            with _reachable(socket_path) as address:
                client.connect(address)
            client.sendall(json.dumps(dict(message)).encode() + b"\n")
            line = client.makefile("rb").readline()
        except OSError as error:
            raise EngineNotRunning(f"no engine answers at {socket_path}") from error
    if not line:
        raise EngineNotRunning(f"the engine at {socket_path} went away without an answer")
    answer: Answer = json.loads(line)
    return answer
