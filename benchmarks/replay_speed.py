"""Candles a second and peak memory of `run --speed max`, commits included, as a whole process.

    python benchmarks/replay_speed.py [--runs 3]
    python benchmarks/replay_speed.py --config configs/paper.yaml --replay BTCUSDT=FILE --funding BTCUSDT=FILE
    python benchmarks/replay_speed.py … --profile     where the time goes, of one more run

Without --replay the synthetic market of the configuration is used. Medians; machines are noisy, so look at
the ratio of two versions measured in one sitting.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_PROFILED = """
import cProfile, pstats, sys
from trading_engine.cli.main import main
profile = cProfile.Profile()
try:
    profile.runcall(main, sys.argv[1:])
except SystemExit:
    pass
pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(25)
"""


def measure(arguments: list[str], state: Path) -> tuple[float, int, int]:
    """One run: seconds, candles, peak memory in kB."""
    command = [sys.executable, "-m", "trading_engine", *arguments, "--state", str(state)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begun = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    peak_kb = 0
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        try:
            lines = status.read_text().splitlines()
        except OSError:
            break
        peak_kb = max([peak_kb, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])
        time.sleep(0.1)
    if process.wait():
        raise SystemExit(f"the run failed with exit {process.returncode}")
    seconds = time.monotonic() - begun
    return seconds, candles_of(arguments), peak_kb


def candles_of(arguments: list[str]) -> int:
    """How many candles such a run has, as `validate` counts them."""
    command = [sys.executable, "-m", "trading_engine", "config", "show", "--json", "--config"]
    config = arguments[arguments.index("--config") + 1]
    files = [value.split("=", 1)[1] for flag, value in pairwise(arguments) if flag == "--replay"]
    if files:
        from pyarrow import parquet  # noqa: PLC0415 - only for recorded files

        return sum(parquet.ParquetFile(file).metadata.num_rows for file in files)
    shown = subprocess.run([*command, config], cwd=ROOT, capture_output=True, text=True, check=True)
    settings = json.loads(shown.stdout)
    return int(settings["demo"]["candles"]) * len(settings["symbols"])


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--config", default="configs/demo.yaml")
    parser.add_argument("--replay", action="append", default=[])
    parser.add_argument("--funding", action="append", default=[])
    parser.add_argument("--profile", action="store_true")
    chosen = parser.parse_args()
    arguments = ["run", "--config", chosen.config, "--speed", "max", "--seed", "7"]
    for flag, values in (("--replay", chosen.replay), ("--funding", chosen.funding)):
        for value in values:
            arguments += [flag, value]
    with tempfile.TemporaryDirectory(prefix="replay-speed-") as folder:
        results = [measure(arguments, Path(folder) / str(number)) for number in range(chosen.runs)]
        if chosen.profile:
            command = [sys.executable, "-c", _PROFILED, *arguments, "--state", f"{folder}/profiled"]
            subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    seconds = [result[0] for result in results]
    candles = results[0][1]
    print(f"{candles} candles, {chosen.runs} runs")
    print(f"seconds      min {min(seconds):.1f}  median {statistics.median(seconds):.1f}  max {max(seconds):.1f}")
    print(f"candles/s    median {candles / statistics.median(seconds):.0f} (whole process, start included)")
    print(f"peak memory  {max(result[2] for result in results) / 1024:.0f} MiB (VmHWM)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
