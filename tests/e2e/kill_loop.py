"""Kill the engine with SIGKILL again and again; the trades must be those of a run that was never killed.

    python tests/e2e/kill_loop.py --kills 100
    python tests/e2e/kill_loop.py --kills 100 --config configs/paper.yaml \
        --replay BTCUSDT=btc_1m.parquet --funding BTCUSDT=btc_funding.parquet

A round: start, kill (half of the rounds at a random moment, half at a named crash point around a commit
or a send), look at both databases, start again and kill right after boot reconciliation, and look again:
one accepted entry order a position at most, every open position covered by its stop, audit ok. Without
--replay the synthetic market of the configuration is used. Exit 0 if everything held.
"""

import argparse
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from trading_engine.cli.main import main as command_line  # noqa: E402 - this script is no part of a package

POINTS = (
    "engine.commit.before",
    "engine.commit.inside",
    "engine.commit.after",
    "exchange.commit.before",
    "exchange.commit.inside",
    "exchange.commit.after",
    "send.before",
    "send.after",
    "cancel.before",
    "cancel.after",
)
RECOVERED = "run.recovered"
START_LIMIT_S = 60.0


class Violation(AssertionError):
    """Something that must hold did not."""


@dataclass
class Report:
    """What the loop has seen."""

    kills: Counter = field(default_factory=Counter)
    rounds: int = 0
    cycles: int = 0
    covered: int = 0


def engine(arguments: list[str], crash_at: str = "") -> subprocess.Popen:
    """Start the engine's command line in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("TRADING_ENGINE_CRASH_AT", None)
    if crash_at:
        environment["TRADING_ENGINE_CRASH_AT"] = crash_at
    return subprocess.Popen(
        [sys.executable, "-m", "trading_engine", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ask(arguments: list[str]) -> tuple[int, str]:
    """Run a command to its end: exit code and standard output."""
    process = engine(arguments)
    out, errors = process.communicate(timeout=600)
    return process.returncode, out or errors


def read(arguments: list[str]) -> tuple[int, str]:
    """A command that only reads, inside this process: its start would be a third of the time."""
    out = io.StringIO()
    with redirect_stdout(out):
        code = command_line(arguments)
    return code, out.getvalue()


def check_exchange(state: Path, *, after_boot: bool) -> int:
    """One accepted entry a position at most; after a boot every open position has its stop. Positions held."""
    database = state / "paper.db"
    if not database.exists():
        return 0
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        ids = [row[0] for row in connection.execute("SELECT client_order_id FROM orders")]
        entries = Counter(name[6:12] for name in ids if name[12] == "e")
        doubled = [position for position, count in entries.items() if count > 1]
        if doubled:
            raise Violation(f"more than one accepted entry for positions {doubled}")
        held = [json.loads(row[0]) for row in connection.execute("SELECT position FROM symbols")]
        held = [position for position in held if position["sign"]]
        opened = [json.loads(row[0]) for row in connection.execute("SELECT body FROM orders WHERE is_open = 1")]
    if after_boot:
        for position in held:
            covered = sum(
                order["steps"] - order["filled"]
                for order in opened
                if order["symbol"] == position["symbol"]
                and order["kind"] in ("stop_market", "market")
                and order["reduce_only"]
                and order["sign"] == -position["sign"]
            )
            if covered < position["steps"]:
                raise Violation(f"{position['symbol']}: {position['steps']} steps open, {covered} covered")
    return len(held)


def check_audit(state: Path) -> None:
    """The audit of the command line is ok."""
    code, out = read(["audit", "--json", "--state", str(state)])
    if code or not json.loads(out)["ok"]:
        raise Violation(f"audit: exit {code}: {out}")


def trades(state: Path) -> str:
    """The bytes of `trades --json`."""
    code, out = read(["trades", "--json", "--state", str(state)])
    if code:
        raise Violation(f"trades: exit {code}: {out}")
    return out


def journal_rows(state: Path) -> int:
    """How many records a run has written."""
    with sqlite3.connect(f"file:{state / 'engine.db'}?mode=ro", uri=True) as connection:
        return int(connection.execute("SELECT max(seq) FROM journal").fetchone()[0])


def kill_once(run: list[str], chance: random.Random, start_s: float, slice_s: float, hits: int) -> str:
    """One life of the engine; how it ended: a crash point's name, `random`, or `done`."""
    if chance.random() < 0.5:
        point = chance.choice(POINTS)
        process = engine(run, f"{point}:{chance.randint(1, hits)}")
        _, errors = process.communicate(timeout=600)
    else:
        point = "random"
        process = engine(run)
        try:
            _, errors = process.communicate(timeout=start_s * chance.uniform(0.4, 1.0) + chance.uniform(0, slice_s))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            _, errors = process.communicate()
    if process.returncode == -signal.SIGKILL:
        return point
    if process.returncode:
        raise Violation(f"exit {process.returncode}: {errors}")
    return "done"


def recover(run: list[str], report: Report, state: Path) -> None:
    """Start, die right after boot reconciliation, and look at what stands."""
    process = engine(run, f"{RECOVERED}:1")
    _, errors = process.communicate(timeout=START_LIMIT_S)
    if process.returncode != -signal.SIGKILL:
        raise Violation(f"no boot reconciliation: exit {process.returncode}: {errors}")
    report.kills[RECOVERED] += 1
    report.covered += check_exchange(state, after_boot=True)
    check_audit(state)


def reference_run(base: list[str], state: Path) -> tuple[str, float, float]:
    """The run that is never killed: its trades, how long a start takes, how long the rest."""
    begun = time.monotonic()
    code, out = ask([*base, "--state", str(state)])
    whole_s = time.monotonic() - begun
    if code:
        raise Violation(f"the reference run failed: exit {code}: {out}")
    check_audit(state)
    begun = time.monotonic()
    code, out = ask([*base, "--state", str(state)])  # nothing left to do: a start and an end
    start_s = time.monotonic() - begun
    if code:
        raise Violation(f"a second run on a finished state failed: exit {code}: {out}")
    return trades(state), start_s, max(whole_s - start_s, 0.5)


def loop(base: list[str], kills: int, seed: int, folder: Path) -> Report:
    """Kill `kills` times (boot kills not counted), over as many runs as that takes."""
    chance = random.Random(seed)
    report = Report()
    expected, start_s, work_s = reference_run(base, folder / "reference")
    if not json.loads(expected):
        raise Violation("the reference run has no trades: the test would prove nothing")
    slice_s, hits = 2 * work_s / kills, max(4, min(2500, journal_rows(folder / "reference") // 2) // kills)
    while report.rounds < kills:
        state = folder / f"killed-{report.cycles}"
        run = [*base, "--state", str(state)]
        while report.rounds < kills:
            how = kill_once(run, chance, start_s, slice_s, hits)
            if how == "done":
                break
            report.rounds += 1
            report.kills[how] += 1
            check_exchange(state, after_boot=False)
            recover(run, report, state)
        code, out = ask(run)
        if code:
            raise Violation(f"the last life failed: exit {code}: {out}")
        check_audit(state)
        if trades(state) != expected:
            raise Violation(f"trades differ from the run that was never killed: {state} / {folder / 'reference'}")
        report.cycles += 1
    return report


def main() -> int:
    """Parse, loop, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--config", default="configs/demo.yaml")
    parser.add_argument("--replay", action="append", default=[])
    parser.add_argument("--funding", action="append", default=[])
    chosen = parser.parse_args()
    base = ["run", "--config", chosen.config, "--speed", "max", "--seed", "7"]
    for name, values in (("--replay", chosen.replay), ("--funding", chosen.funding)):
        for value in values:
            base += [name, value]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill-loop-") as folder:
        report = loop(base, chosen.kills, chosen.seed, Path(folder))
    print(f"{report.rounds} kills and {report.kills[RECOVERED]} boot kills in {time.monotonic() - begun:.0f} s")
    print(f"{report.cycles} runs reached their end with trades byte-equal to the run that was never killed")
    print(f"{report.covered} open positions seen after boot reconciliation, each covered by its stop")
    for point, count in sorted(report.kills.items()):
        print(f"  {point:24} {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
