"""Memory of an engine on recorded traffic of many symbols, over time.

    python benchmarks/memory.py --recording FILE [--symbols 20] [--minutes 10] [--speed 1] [--mode paper]
    python benchmarks/memory.py --recording FILE -- run --config {config} --state {state} …

Two processes: `data replay --loop` with copies of what was recorded, and an engine that follows that market: on paper,
or in mode testnet with play money at the server; after `--` any other command of the engine, in which {config},
{state} and {port} are filled in. The engine's memory is read twice a second: what it has resident, its peak, and how
much it grows an hour, by least squares over the second half, when caches are full. Recordings are your own to make
(`data record`).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TARGET_MB = 190
_PAUSE_S = 0.5
_PATIENCE_S = 120.0
_RUN = ("run", "--config", "{config}", "--state", "{state}", "--mode", "{mode}")
_CONFIG = """\
mode: testnet
venue: binance
account: memory
credentials: {{key: local-key, secret: local-secret}}
venues:
  binance: {{rest_url: "http://127.0.0.1:{port}", ws_url: "ws://127.0.0.1:{port}"}}
symbols: [{symbols}]
strategies: [{{name: trend_vwap}}, {{name: multi_timeframe_long}}]
kill_switch: {{file: "{folder}/STOP"}}
"""


class Sample(NamedTuple):
    """Seconds since the first one, resident memory and its peak in MB, processor seconds used."""

    at_s: float
    resident_mb: float
    peak_mb: float
    worked_s: float


@contextmanager
def process(arguments: Sequence[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A command of the engine, ended with SIGTERM."""
    command = [sys.executable, "-m", "trading_engine", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with log.open("wb") as output, subprocess.Popen(
        command, cwd=log.parent, env=environment, stdout=output, stderr=output
    ) as made:  # fmt: skip
        try:
            yield made
        finally:
            made.terminate()
            try:
                made.wait(30)
            except subprocess.TimeoutExpired:
                made.kill()


def sample(process_id: int, begun_s: float) -> Sample | None:
    """What the system says of a process; None once it has ended."""
    try:
        lines = Path(f"/proc/{process_id}/status").read_text(encoding="utf-8").splitlines()
        times = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    found = {name: int(rest.split()[0]) / 1024 for name, _, rest in (line.partition(":") for line in lines)
             if name in ("VmRSS", "VmHWM")}  # fmt: skip
    if "VmRSS" not in found:
        return None
    worked_s = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
    return Sample(time.monotonic() - begun_s, found["VmRSS"], found["VmHWM"], worked_s)


def watch(engine: "subprocess.Popen[bytes]", seconds: float, log: Path) -> list[Sample]:
    """Samples until the time is over, a line a minute; what the engine said where it ends before that."""
    begun_s, samples, told_s = time.monotonic(), [], 0.0
    print(f" {'MINUTE':>6} {'RESIDENT MB':>12} {'PEAK MB':>8} {'CORE':>6}")
    before = Sample(0, 0, 0, 0)
    while time.monotonic() - begun_s < seconds:
        found = sample(engine.pid, begun_s)
        if engine.poll() is not None or found is None:
            raise SystemExit(f"the engine has ended ({engine.returncode}):\n{log.read_text(errors='replace')[-2_000:]}")
        samples.append(found)
        if found.at_s - told_s >= 60:
            told_s += 60
            core = (found.worked_s - before.worked_s) / (found.at_s - before.at_s)
            print(f" {told_s / 60:>6.0f} {found.resident_mb:>12.1f} {found.peak_mb:>8.1f} {core:>6.0%}", flush=True)
            before = found
        time.sleep(_PAUSE_S)
    return samples


def growth_mb_an_hour(samples: Sequence[Sample]) -> float:
    """The slope of resident memory over the second half."""
    late = samples[len(samples) // 2 :]
    return statistics.linear_regression([one.at_s for one in late], [one.resident_mb for one in late]).slope * 3_600


def listening(port: int, log: Path, server: "subprocess.Popen[bytes]") -> list[str]:
    """The symbols that the server plays, once it listens."""
    until_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until_s and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/fapi/v1/exchangeInfo") as answer:
                return [row["symbol"] for row in json.load(answer)["symbols"]]
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"the recording is not served:\n{log.read_text(encoding='utf-8')[-2_000:]}")


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", type=Path, action="append", required=True)
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--speed", default="1")
    parser.add_argument("--mode", choices=["paper", "testnet"], default="paper")
    parser.add_argument("--port", type=int, default=9_460)
    parser.add_argument(
        "command", nargs="*", help="after `--`: the engine's command, {config} {state} {port} filled in"
    )
    chosen = parser.parse_args()
    files = [str(path.resolve()) for path in chosen.recording]
    serve = ["data", "replay", *files, "--port", str(chosen.port), "--loop"]
    serve += ["--symbols-to", str(chosen.symbols), "--speed", chosen.speed]
    with tempfile.TemporaryDirectory(prefix="memory-") as name:
        folder = Path(name)
        names = {"config": str(folder / "config.yaml"), "state": str(folder / "state"), "port": str(chosen.port)}
        names["mode"] = chosen.mode
        with process(serve, folder / "server.log") as server:
            symbols = ", ".join(listening(chosen.port, folder / "server.log", server))
            text = _CONFIG.format(port=chosen.port, symbols=symbols, folder=folder)
            (folder / "config.yaml").write_text(text, encoding="utf-8")
            command = [part.format(**names) for part in (chosen.command or _RUN)]
            print(f"{' '.join(command)}: {chosen.symbols} symbols at speed {chosen.speed}")
            with process(command, folder / "engine.log") as engine:
                samples = watch(engine, chosen.minutes * 60, folder / "engine.log")
    peak_mb = max(one.peak_mb for one in samples)
    median_mb = statistics.median(one.resident_mb for one in samples)
    print(f" resident: median {median_mb:.1f} MB, peak {peak_mb:.1f} MB (target < {TARGET_MB})")
    print(f" growth over the second half: {growth_mb_an_hour(samples):+.1f} MB an hour")
    return 0


if __name__ == "__main__":
    sys.exit(main())
