"""A headless Chromium that a test looks through, by its own debugging protocol.

What belongs here: starting one, asking it, ending it. What does not: what a page should do.
"""

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip
PATIENCE_S = 60.0


class Tab:
    """One page: `call` speaks the protocol, `evaluate` asks the page's own script."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.events: list[dict[str, Any]] = []
        self._socket = socket
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def listen(self) -> None:
        """Sort what comes into answers and events, until the connection ends."""
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._asked.pop(told["id"]).set_result(told)
            else:
                self.events.append(told)

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Have the browser do something."""
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        told = await asyncio.wait_for(answer, PATIENCE_S)
        assert "error" not in told, told
        return dict(told["result"])

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        told = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def open(self, path: Path, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Load a file and wait until its script has drawn."""
        phone = width < 600
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )
        await self.call("Emulation.setTouchEmulationEnabled", enabled=phone, maxTouchPoints=2)
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        await self.call("Page.navigate", url=path.as_uri())
        await self.until("document.readyState === 'complete' && location.protocol === 'file:'")
        await self.drawn()

    async def drawn(self) -> None:
        """Wait for two frames: what was asked for is on the screen."""
        await self.evaluate("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => go(1))))")

    async def until(self, expression: str) -> None:
        """Wait for something to become true."""
        async with asyncio.timeout(PATIENCE_S):
            while not await self.evaluate(expression):  # noqa: ASYNC110 - the page tells nobody
                await asyncio.sleep(0.02)

    async def press(self, key: str) -> None:
        """A key, on whatever has the focus."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if kind == "keyDown" and len(key) == 1 else {}
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, **text)
        await self.drawn()

    async def mouse(self, kind: str, x: float, y: float, **more: object) -> None:
        """`mouseMoved`, `mousePressed`, `mouseReleased` at a place of the window."""
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)
        await self.drawn()

    async def touch(self, kind: str, *places: tuple[float, float]) -> None:
        """`touchStart`, `touchMove`, `touchEnd` with fingers at these places."""
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        await self.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        await self.drawn()

    def complaints(self) -> list[str]:
        """Errors, refused policies and console output so far."""
        kinds = (
            "Runtime.exceptionThrown",
            "Log.entryAdded",
            "Runtime.consoleAPICalled",
            "Page.javascriptDialogOpening",
        )
        return [json.dumps(event) for event in self.events if event["method"] in kinds]

    def requests(self) -> list[str]:
        """Every address that was asked for."""
        sent = (event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent")
        return [one["request"]["url"] for one in sent]


def browse(folder: Path, look: Callable[[Tab], Awaitable[None]]) -> None:
    """Start a browser with its profile in a folder, look, and end it."""
    with _started(folder) as port:
        asyncio.run(_browse(port, look))


async def _browse(port: str, look: Callable[[Tab], Awaitable[None]]) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
            pages = [one for one in await response.json(content_type=None) if one["type"] == "page"]
        async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            tab = Tab(socket)
            listening = asyncio.create_task(tab.listen())
            for domain in ("Page", "Runtime", "Log", "Network"):
                await tab.call(f"{domain}.enable")
            try:
                await look(tab)
            finally:
                listening.cancel()
                with suppress(asyncio.CancelledError):
                    await listening


@contextmanager
def _started(folder: Path) -> Iterator[str]:
    """The port at which a browser with its profile in this folder listens; it ends with the context."""
    assert CHROMIUM is not None
    told = folder / "DevToolsActivePort"
    command = [CHROMIUM, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not told.exists() or "\n" not in told.read_text():
                assert process.poll() is None, "chromium ended"
                assert time.monotonic() < deadline, "chromium does not answer"
                time.sleep(0.05)
            yield told.read_text().split()[0]
        finally:
            process.kill()
