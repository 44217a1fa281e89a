"""A machine with a real systemd, the engine installed on it by its own scripts, and a venue beside it.

What belongs here: building and asking the machine, the venue server, a receiver of alerts, configurations. What does
not: what must hold (tests/systemd). How to run it: tests/systemd/README.md.
"""

import functools
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[1]
TOOL_VARIABLE = "TRADING_ENGINE_SYSTEMD_ROOT"  # the program that builds, boots and enters a root folder
FOLDER_VARIABLE = "TRADING_ENGINE_SYSTEMD_FOLDER"  # the root folder, made where it is missing and kept
UNIT = "trading-engine.service"
STATE = "/var/lib/trading-engine"
ETC = "/etc/trading-engine"
KEY, SECRET = "local-key-for-systemd", "local-secret-for-systemd"
SYMBOL = "BTCUSDT"
SPEED = 10  # a minute of market in six seconds
ROWS = 2_400  # the server shows the first half as history
START_MS = 1_735_689_600_000
PATIENCE_S = 90.0

T = TypeVar("T")

# A strategy that does what a file in the state directory says, once.
PUPPET = '''
"""Does what a file says: enter, or hang."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trading_engine.strategy.api import Series, Signals


@dataclass(frozen=True, slots=True)
class Puppet:
    name: ClassVar[str] = "puppet"
    primary_interval_ms: ClassVar[int] = 60_000
    intervals: ClassVar[Mapping[int, int]] = {60_000: 2}
    warm_up: ClassVar[int] = 2

    def is_silent(self, market: Mapping[int, Series]) -> bool:
        return False

    def compute(self, market: Mapping[int, Series]) -> Signals:
        candles = market[60_000]
        side = np.zeros(len(candles), dtype=np.int8)
        note = Path("puppet.txt")
        word = note.read_text().strip() if note.exists() else ""
        if word:
            note.unlink()
        if word == "hang":
            time.sleep(600)
        if word == "enter":
            side[-1] = 1
        stop = np.where(side, candles.close * 0.2, 0.0)
        zeros = np.zeros(len(candles))
        return Signals(side, np.where(side, 0.5, 0.0), stop, zeros, np.zeros_like(side), {}, "puppet")
'''


def until(look: Callable[[], T], why: Callable[[], str] | str, patience_s: float = PATIENCE_S) -> T:
    """What `look` gives as soon as that is true."""
    end = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not seen within {patience_s:g} s: {why if isinstance(why, str) else why()}")
        time.sleep(0.2)


def free_port() -> int:
    """One that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Machine:
    """The root folder, booted."""

    def __init__(self, tool: str, folder: Path) -> None:
        self._tool = tool
        self.folder = folder

    @contextmanager
    def booted(self) -> Iterator["Machine"]:
        """From boot to power-off; the folder is made first where it is missing."""
        if not (self.folder / ".systemd-root").exists():
            subprocess.run([self._tool, "build", str(self.folder)], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([self._tool, "stop", str(self.folder)], check=True)
        subprocess.run([self._tool, "boot", str(self.folder)], check=True, stdout=subprocess.DEVNULL)
        try:
            yield self
        finally:
            subprocess.run([self._tool, "stop", str(self.folder)], check=True)

    @functools.cached_property
    def has_user_namespaces(self) -> bool:
        """Whether PrivateUsers= can work: the kernel makes no user namespace in a chroot."""
        return "made" in self.call("bash", "-c", "unshare --user true && echo made", code=None)

    def command(self, *words: str) -> list[str]:
        """The words, to be run inside."""
        clean = ["env", "-i", "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
        return [self._tool, "exec", str(self.folder), *clean, *words]

    def call(self, *words: str, code: int | None = 0, typed: str | None = None) -> str:
        """Run a command inside to its end; what it wrote. `code` None takes any exit code."""
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, check=False, input=typed, timeout=300
        )
        said = done.stdout + done.stderr
        assert code is None or code == done.returncode, f"{words} ended with {done.returncode}: {said[-4_000:]}"
        return said

    def systemctl(self, *words: str, code: int | None = 0) -> str:
        """As `call`; a unit that does not start is explained by its journal."""
        try:
            return self.call("systemctl", *words, code=code)
        except AssertionError as error:
            if words[0] in {"start", "restart"}:
                error.add_note("\n".join(self.log(unit)[-3_000:] for unit in words[1:]))
            raise

    def shown(self, name: str, unit: str = UNIT) -> str:
        """A property of a unit."""
        return self.systemctl("show", "--value", "--property", name, unit).strip()

    def log(self, unit: str = UNIT) -> str:
        """What the journal has of a unit, to explain a failure or to look for words."""
        return self.call("journalctl", "--no-pager", "-o", "cat", "-u", unit, code=None)

    def engine(self, *words: str, state: str = STATE, code: int | None = 0) -> str:
        """A command of the engine as the service's user."""
        return self.call(
            "runuser",
            "-u",
            "trading-engine",
            "--",
            "/opt/trading-engine/current/bin/trading-engine",
            *words,
            "--state",
            state,
            code=code,
        )

    def asked(self, *words: str, state: str = STATE) -> Any:
        """The JSON of a read command."""
        return json.loads(self.engine(*words, "--json", state=state))

    def inside(self, path: str) -> Path:
        """A path of the machine as seen from here."""
        return self.folder / path.lstrip("/")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file of root's."""
        target = self.inside(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        target.chmod(mode)

    def rows(self, query: str, state: str = STATE) -> list[Any]:
        """What a database holds at this moment; nothing where there is none yet."""
        path = self.inside(f"{state}/engine.db")
        if not path.exists():
            return []
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
                return connection.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []


def copy_source(machine: Machine, name: str, wheels: Path | None) -> str:
    """The project's files inside the machine, where an operator would have cloned them; the folder there."""
    target = machine.inside(f"/usr/src/{name}")
    shutil.rmtree(target, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        if not line.startswith(("tests/", "benchmarks/")) and (ROOT / line).is_file():
            (target / line).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / line, target / line)
    if wheels is not None:
        inside = machine.inside("/usr/src/wheels")
        inside.mkdir(parents=True, exist_ok=True)
        for wheel in wheels.glob("*.whl"):
            if not (inside / wheel.name).exists():
                shutil.copy2(wheel, inside / wheel.name)
    return f"/usr/src/{name}"


def gather_wheels(folder: Path) -> Path:
    """The wheels of the lock, from the package index of this machine; kept from run to run."""
    done = folder / ".complete"
    lock = ROOT / "requirements.lock"
    if not (done.exists() and done.read_bytes() == lock.read_bytes()):
        words = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--require-hashes",
            "-r",
            str(lock),
            "-d",
            str(folder),
        ]
        subprocess.run(words, check=True)
        done.write_bytes(lock.read_bytes())
    return folder


class Venue:
    """A venue server of this machine with an account of its own, in a process that outlives the engine."""

    def __init__(self, folder: Path, faults: Sequence[dict[str, Any]] = (), port: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self._log = folder / "venue.log"
        candles = folder / "candles.csv"
        _write_candles(candles)
        words = ["exchange", "serve", "--venue", "binance", "--port", str(self.port), "--speed", str(SPEED)]
        words += ["--key", KEY, "--secret", SECRET, "--replay", f"{SYMBOL}={candles}", "--db", str(folder / "venue.db")]
        if faults:
            (folder / "faults.yaml").write_text(json.dumps(list(faults)), encoding="utf-8")
            words += ["--faults", str(folder / "faults.yaml")]
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "trading_engine", *words],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=out,
                stderr=out,
            )
        until(self._answers, self._log.read_text)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def configuration(self, **changes: Any) -> str:
        """Real money as far as the engine can tell, but for the address. YAML reads JSON."""
        here = {"rest_url": f"http://127.0.0.1:{self.port}", "ws_url": f"ws://127.0.0.1:{self.port}"}
        values: dict[str, Any] = {
            "mode": "live",
            "venue": "binance",
            "account": "rehearsal",
            "symbols": [SYMBOL],
            "strategies": [{"name": "puppet"}],
            "credentials": {"key": "${BINANCE_KEY}", "secret": "${BINANCE_SECRET}"},
            "venues": {"binance": here},
            # Market time runs ten times as fast as a machine that is busy with other things.
            "execution": {
                "unprotected_timeout_ms": 120_000,
                "recv_window_ms": 30_000,
                "max_send_delay_ms": 60_000,
                "entry_ttl_ms": 600_000,
            },
            "risk": {"cooldown_minutes": 0},
        }
        return json.dumps(values | changes, indent=1)


def _write_candles(path: Path) -> None:
    """A market that goes nowhere, so that a position stays where it is."""
    lines = ["ts,open,high,low,close,volume"]
    for minute in range(ROWS):
        step = 3.0 if minute % 2 else -3.0
        lines.append(f"{START_MS + minute * 60_000},{50_000 - step:.1f},50005.0,49995.0,{50_000 + step:.1f},100.0")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


class Receiver:
    """What a service of alerts is sent, over HTTP on this machine."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        messages = self.messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                messages.append(json.loads(self.rfile.read(size)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                del format, args

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
