"""A long run in short: weeks of a market with restarts, then a live venue whose connections keep breaking.

What belongs here: keeping real engine processes busy, ending them, and measuring what they take. What does not: what an
engine does (it is run by its own command line), the display (cli).

First part: recorded or synthetic candles at full speed on one state directory; the process is ended again and again, by
SIGKILL and by SIGTERM in turn, and goes on where it was. Second part: an engine at a venue's local server at twenty
times the pace of the world, whose websockets are cut every few hundred messages. Memory, handles and the size of the
database are looked at from outside, as an operator would.
"""

import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import DAY_MS, MINUTE_MS
from trading_engine.runtime.bootstrap import DEMO_START_MS
from trading_engine.store.audit import audit
from trading_engine.store.read_models import Reader
from trading_engine.system.state_dir import StateDir

SYMBOLS = (
    "BTCUSDT",
    "ETHUSDT",
    "SOLUSDT",
    "BNBUSDT",
    "XRPUSDT",
    "DOGEUSDT",
    "ADAUSDT",
    "LTCUSDT",
    "LINKUSDT",
    "AVAXUSDT",
)
PACE = 20
KILLED, ASKED, DATA_OVER = "killed", "asked to stop", "end of data"

_POLL_S = 0.2
_PATIENCE_S = 600.0
_MOST_HANDLES = 4  # more or fewer: a connection to a reader, a file that is being put aside
_LEAST_NOISE_MB = 8.0
_CUT_EVERY = 30
_LEAST_DAYS = 20  # with 1 MB a file, the first is full by then

Tell = Callable[[str], None]


@dataclass(slots=True)
class Life:
    """One process: how it ended, what it had seen, and what it took."""

    ended: str
    day: float = 0.0
    peak_mb: float = 0.0
    handles: int = 0
    seconds: float = 0.0
    samples_mb: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a soak has found; `failures` is empty where all is well.

    slope_mb   growth of the processes' memory from the first life to the last, by a straight line, MB
    noise_mb   how far lives lie from that line, MB
    db_mb      size of the database day by day of the market
    """

    lives: tuple[Life, ...]
    wire: Life | None
    days: float
    symbols: int
    slope_mb: float
    noise_mb: float
    db_mb: tuple[tuple[float, float], ...]
    logs_rotated: int
    trades: int
    reconnects: int
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, on how many symbols, ended how often; `wire_minutes` 0 leaves the second part out."""

    folder: Path
    days: float
    symbols: int
    restarts: int
    seed: int
    wire_minutes: float


def soak(plan: Plan, tell: Tell) -> Verdict:
    """Live through it. ConfigInvalid where the folder holds a state already."""
    state = StateDir(plan.folder / "state")
    if state.root.exists():
        raise ConfigInvalid(f"{state.root} is there already; name an empty folder with --folder", exit_code=2)
    plan.folder.mkdir(parents=True, exist_ok=True)
    config = _write_config(plan)
    points = _points(plan)
    lives: list[Life] = []
    sizes: list[tuple[float, float]] = []
    for number in range(plan.restarts + 1):
        until = points[number] if number < len(points) else None
        how = KILLED if number % 2 == 0 else ASKED
        life = _live(_run_command(config, plan, state), state, until, how)
        life.day = _since_start(state)
        lives.append(life)
        sizes.append((life.day, _size_mb(state)))
        done = f"day {life.day:.1f} of {plan.days:g}"
        tell(f"life {number + 1}: {life.ended}, {done}, peak {life.peak_mb:.0f} MB, {life.handles} handles")
        if life.ended == DATA_OVER:
            break
    wire, reconnects = _on_the_wire(plan, tell) if plan.wire_minutes else (None, 0)
    return _judge(plan, state, lives, sizes, wire, reconnects)


def _points(plan: Plan) -> list[float]:
    """After how many days of the market each life ends: spread evenly, a little out of step."""
    rng = random.Random(plan.seed)  # noqa: S311 - a game
    each = 1 / (plan.restarts + 1)
    return [(number + 1 + rng.uniform(-0.3, 0.3)) * each * plan.days for number in range(plan.restarts)]


def _write_config(plan: Plan) -> Path:
    values: Mapping[str, object] = {
        "mode": "paper",
        "account": "soak",
        "symbols": list(SYMBOLS[: plan.symbols]),
        "strategies": [{"name": "multi_timeframe_long"}, {"name": "trend_vwap"}],
        "demo": {"seed": plan.seed, "candles": max(round(plan.days * DAY_MS / MINUTE_MS), 100)},
        "risk": {"max_drawdown_pct": 90, "max_daily_loss_pct": 90, "max_consecutive_losses": 0, "cooldown_minutes": 0},
        "logging": {"level": "DEBUG", "rotation_mb": 1, "keep": 3},
        "kill_switch": {"file": str(plan.folder / "STOP")},
    }
    path = plan.folder / "soak.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def _run_command(config: Path, plan: Plan, state: StateDir) -> list[str]:
    return ["run", "--config", str(config), "--state", str(state.root), "--speed", "max", "--seed", str(plan.seed)]


@contextmanager
def _process(arguments: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command line in a process of its own, never left behind."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "trading_engine", *arguments]
    with (
        log.open("ab") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process,  # noqa: S603 - our own
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _live(command: Sequence[str], state: StateDir, until: float | None, how: str) -> Life:
    """Run until so many days of the market have passed, then end it so; None until the data is over."""
    life = Life(DATA_OVER)
    begun_s = time.monotonic()
    total = _PATIENCE_S
    with _process(command, state.root.parent / "run.out") as process:
        while process.poll() is None:
            _sample(process.pid, life)
            if until is not None and _since_start(state) >= until:
                process.send_signal(signal.SIGKILL if how == KILLED else signal.SIGTERM)
                process.wait(total)
                life.ended = how
                break
            time.sleep(_POLL_S)
        life.seconds = time.monotonic() - begun_s
        code = process.wait(total)
    if code not in (0, -signal.SIGKILL):
        life.ended = f"failed with exit {code}"
    return life


def _sample(pid: int, life: Life) -> None:
    """Memory and handles of a process, from outside."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        handles = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - only the number is wanted
    except (OSError, IndexError):
        return
    megabytes = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    life.samples_mb.append(megabytes)
    life.peak_mb = max(life.peak_mb, megabytes)
    life.handles = max(life.handles, handles)


def _cursor(state: StateDir) -> int:
    """How far the market has come, ms."""
    if not state.database.exists():
        return 0
    try:
        with Reader.open(state.database) as reader:
            seen = reader.control().checkpoint
    except ConfigInvalid:  # being made at this very moment
        return 0
    return seen.cursor_ms if seen else 0


def _since_start(state: StateDir) -> float:
    """Days of the market since its first candle."""
    return max(_cursor(state) - DEMO_START_MS, 0) / DAY_MS


def _size_mb(state: StateDir) -> float:
    return float(sum(path.stat().st_size for path in state.root.glob("engine.db*"))) / 1e6


# ── on the wire ─────────────────────────────────────────────────────────────


def _on_the_wire(plan: Plan, tell: Tell) -> tuple[Life, int]:
    """An engine at a venue's server whose connections are cut again and again; its life, and how often it was cut."""
    folder = plan.folder / "wire"
    folder.mkdir()
    port = _free_port()
    faults = folder / "faults.yaml"
    cuts = [{"site": "stream.market", "fault": "disconnect", "every": _CUT_EVERY}]
    cuts.append({"site": "stream.user", "fault": "disconnect", "every": 2})
    faults.write_text(yaml.safe_dump(cuts), encoding="utf-8")
    config = folder / "wire.yaml"
    here = {"rest_url": f"http://127.0.0.1:{port}", "ws_url": f"ws://127.0.0.1:{port}"}
    symbols = SYMBOLS[:2]
    values = {
        "mode": "testnet",
        "venue": "binance",
        "account": "soak",
        "symbols": list(symbols),
        "strategies": [{"name": "multi_timeframe_long"}],
        "credentials": {"key": "local-key", "secret": "local-secret"},
        "venues": {"binance": here},
        "kill_switch": {"file": str(folder / "STOP")},
        "execution": {"unprotected_timeout_ms": 60_000, "recv_window_ms": 30_000, "max_send_delay_ms": 30_000},
    }
    config.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    serve = ["exchange", "serve", "--venue", "binance", "--port", str(port), "--speed", str(PACE)]
    serve += ["--faults", str(faults), "--seed", str(plan.seed)]
    for symbol in symbols:
        serve += ["--symbol", symbol]
    state = StateDir(folder / "state")
    life = Life(ASKED)
    with _process(serve, folder / "server.out"):
        _await_port(port)
        run = ["run", "--config", str(config), "--state", str(state.root)]
        with _process(run, folder / "engine.out") as process:
            until_s = time.monotonic() + plan.wire_minutes * 60
            while time.monotonic() < until_s and process.poll() is None:
                _sample(process.pid, life)
                time.sleep(_POLL_S)
            process.send_signal(signal.SIGTERM)
            code = process.wait(60)
    life.ended = ASKED if code == 0 else f"failed with exit {code}"
    lines = list(_log_lines(state))
    lost = max(sum(line.startswith("market stream:") and line.endswith("speaks") for line in lines) - 1, 0)
    lost += sum("the user stream is lost" in line for line in lines)
    tell(f"on the wire: {life.ended}, {plan.wire_minutes * PACE:g} market minutes, peak {life.peak_mb:.0f} MB")
    return life, lost


def _log_lines(state: StateDir) -> Iterator[str]:
    for path in sorted(state.logs.glob("engine*.jsonl")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                yield str(json.loads(line)["message"])
            except (ValueError, KeyError):
                continue


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(port: int) -> None:
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(_POLL_S)


# ── judging ─────────────────────────────────────────────────────────────────


def _judge(
    plan: Plan,
    state: StateDir,
    lives: Sequence[Life],
    sizes: Sequence[tuple[float, float]],
    wire: Life | None,
    reconnects: int,
) -> Verdict:
    slope, noise = _line([life.peak_mb for life in lives])
    handles = [life.handles for life in lives if life.handles]
    rotated = max(len(list(state.logs.glob("engine*.jsonl"))) - 1, 0)
    failures = [f"life {at}: {life.ended}" for at, life in enumerate(lives, 1) if life.ended.startswith("failed")]
    if lives[-1].ended != DATA_OVER:
        failures.append(f"the market was not played to its end: {lives[-1].ended}")
    if slope > max(3 * noise, _LEAST_NOISE_MB):
        failures.append(f"memory grows: {slope:+.1f} MB over {len(lives)} lives, noise {noise:.1f} MB")
    if not rotated and plan.days >= _LEAST_DAYS:
        failures.append("no log was put aside: rotation was not seen")
    if handles and max(handles) - min(handles) > _MOST_HANDLES:
        failures.append(f"handles differ: {min(handles)} to {max(handles)}")
    failures += [f"audit: {check.name}: {check.detail}" for check in audit(state.database) if not check.ok]
    if wire is not None:
        failures += _judge_wire(wire)
    with Reader.open(state.database) as reader:
        trades = len(reader.trades())
    growth = tuple((round(day, 2), round(size, 2)) for day, size in sizes)
    days = _since_start(state)
    return Verdict(
        tuple(lives), wire, days, plan.symbols, slope, noise, growth, rotated, trades, reconnects, tuple(failures)
    )


def _judge_wire(wire: Life) -> list[str]:
    """The second half of a life must not take more than the first, but for noise."""
    failures = [f"on the wire: {wire.ended}"] if wire.ended != ASKED else []
    samples = wire.samples_mb[len(wire.samples_mb) // 4 :]  # without the start
    half = len(samples) // 2
    if half > 10:
        grown = statistics.median(samples[half:]) - statistics.median(samples[:half])
        if grown > _LEAST_NOISE_MB:
            failures.append(f"on the wire: memory grew by {grown:.1f} MB in the second half")
    return failures


def _line(values: Sequence[float]) -> tuple[float, float]:
    """Growth from the first to the last by the line of least squares, and how far values lie from it."""
    if len(values) < 3:
        return 0.0, 0.0
    places = list(range(len(values)))
    slope, start = statistics.linear_regression(places, values)
    residuals = [value - (start + slope * place) for place, value in zip(places, values, strict=True)]
    return slope * (len(values) - 1), statistics.pstdev(residuals)
