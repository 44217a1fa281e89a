"""The same year, rule and costs through this engine and its peers, side by side.

    python benchmarks/peers/compare.py --scratch DIR [--repeats 5] [--only vectorbt,nautilus_trader]

Makes an environment for each peer below DIR (once, from the package index; PYTHON_NAUTILUS names an interpreter ≥ 3.12
for NautilusTrader), writes the candles there, runs everybody in turn, each in a fresh process, and prints the medians:
the inner run, the whole process, peak memory, trades, and how many entries fall on the candles on which this engine
enters. Warm: each has run once before it is measured, so that what compiles is compiled.

The same work: entries one candle after the signal's close, one position at a time, stop and target on the exchange's
side. What is left of differences: fills inside a candle (which of stop and target comes first, slippage on exits), and
that a position ends a candle earlier or later, after which the next signal that is taken may be another.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS = {
    "backtesting.py": ("backtesting", "peer_backtesting.py", ["backtesting==0.6.6", "TA-Lib"]),
    "vectorbt": ("vectorbt", "peer_vectorbt.py", ["vectorbt==1.2.0", "TA-Lib"]),
    "nautilus_trader": ("nautilus", "peer_nautilus.py", ["nautilus_trader==1.231.0", "pandas<3"]),
}
OURS = "trading-engine"
Told = dict[str, Any]
_WEIGHED = """
import json, resource, subprocess, sys
told = json.loads(subprocess.run(sys.argv[1:], capture_output=True, text=True, check=True).stdout)
told["peak_mb"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(json.dumps(told))
"""


def environment(scratch: Path, name: str, wanted: list[str]) -> Path:
    """The interpreter of a peer's own environment, made where it is not there yet."""
    folder = scratch / "venvs" / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        base = os.environ.get(f"PYTHON_{name.upper()}", sys.executable)
        print(f"setting up {name} …", file=sys.stderr)
        subprocess.run([base, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True)
        (folder / "ready").touch()
    return python


def ask(command: list[str]) -> tuple[float, str]:
    """Seconds of a fresh process, and the last line it printed."""
    begun = time.perf_counter()
    known = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=known, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2_000:]}")
    return seconds, done.stdout.strip().splitlines()[-1]


def peer(python: Path, script: str, candles: Path) -> Told:
    """One run of a peer."""
    seconds, line = ask([str(python), str(HERE / script), str(candles)])
    told: Told = json.loads(line)
    return told | {"process_s": seconds}


def ours(scratch: Path) -> Told:
    """One run of this engine: its command line, as anybody calls it; memory as the kernel counts it."""
    command = [sys.executable, "-m", "trading_engine", "backtest", "--config", str(HERE / "peers.yaml")]
    command += ["--data", f"BTCUSDT={scratch / 'candles.parquet'}"]
    seconds, _ = ask(command)  # its figures, as a person reads them; the peers print less
    told = json.loads(ask([sys.executable, "-c", _WEIGHED, *command, "--json"])[1])
    return {
        "engine": OURS,
        "version": told["code_version"],
        "run_s": told["timing"]["run_s"],
        "process_s": seconds,
        "peak_mb": told["peak_mb"],
        "equity": float(told["metrics"]["final_balance"]),
        "entered_ms": [instant_ms(trade["opened_at"]) for trade in told["trades"]],
    }


def instant_ms(text: str) -> int:
    """`2025-01-01T00:00:00.000Z` in ms."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def medians(runs: list[Told]) -> Told:
    """One row of several runs of one engine."""
    row = dict(runs[0])
    for name in ("run_s", "process_s", "peak_mb"):
        row[name] = statistics.median(run[name] for run in runs)
    return row


def same_entries(mine: list[int], theirs: list[int]) -> int:
    """Entries within a minute of one of ours: engines date an entry by the candle's open or by its close."""
    known = {ts // 60_000 for ts in mine}
    return sum(not known.isdisjoint((ts // 60_000 - 1, ts // 60_000, ts // 60_000 + 1)) for ts in theirs)


def show(rows: list[Told]) -> None:
    """The table."""
    first = rows[0]
    names = f"{'engine':18}{'run s':>10}{'ratio':>8}{'process s':>11}{'ratio':>8}"
    print(f"{names}{'MB':>7}{'trades':>8}{'same':>7}{'equity':>12}")
    for row in rows:
        same = same_entries(first["entered_ms"], row["entered_ms"])
        print(
            f"{row['engine']:18}{row['run_s']:10.4f}{row['run_s'] / first['run_s']:8.1f}{row['process_s']:11.2f}"
            f"{row['process_s'] / first['process_s']:8.1f}{row['peak_mb']:7.0f}{len(row['entered_ms']):8}{same:7}"
            f"{row['equity']:12.2f}"
        )


def main() -> None:
    """Set up, run in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default=",".join(PEERS))
    chosen = parser.parse_args()
    scratch = chosen.scratch.resolve()
    subprocess.run([sys.executable, str(HERE / "market.py"), str(scratch)], check=True)
    as_parquet(scratch)
    pythons = {name: environment(scratch, *PEERS[name][::2]) for name in chosen.only.split(",") if name}
    runs: dict[str, list[Told]] = {}
    for turn in range(chosen.repeats + 1):
        found = [
            ours(scratch),
            *(peer(python, PEERS[name][1], scratch / "candles.npy") for name, python in pythons.items()),
        ]
        for told in found if turn else []:  # the first turn warms up
            runs.setdefault(told["engine"], []).append(told)
    show([medians(group) for group in runs.values()])


def as_parquet(scratch: Path) -> None:
    """The candles as this engine keeps them."""
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    pq.write_table(pc.read_csv(scratch / "candles.csv"), scratch / "candles.parquet")


if __name__ == "__main__":
    main()
