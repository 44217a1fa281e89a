"""Let the Nth write or sync of each database fail, for every N until a run is clean, and look at what is left.

    python tests/e2e/storage_sweep.py                       every N: the long form, some thousand runs
    python tests/e2e/storage_sweep.py --most 2              two N for each kind of failure
    python tests/e2e/storage_sweep.py --file paper.db --operation write --error enospc --lasting

A case: a migrated state, the engine's command line on a disk that fails (faulty_disk.py), then

    at once       a clear last line, exit 70 (or 78 where nothing was done yet), nothing half written, no order
                  at the exchange that the engine does not know, one accepted entry a position, stops in place
    after a boot  audit ok, every open position covered by its stop
    at the end    exit 0, audit ok, and the bytes of `trades --json` of a run that was never disturbed

Each run is a process of its own, forked from this one, which has loaded the code and nothing else (what a run
loads, the undisturbed one tells). A fault in a checkpoint is none for the engine: the log holds everything,
so a run may also end well; it must then have ended as the undisturbed one. Exit 0 if everything held, 1 where
not, 77 where no disk can fail here.
"""

import argparse
import importlib
import itertools
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1])]

import kill_loop  # noqa: E402 - the scripts lie beside this one
from e2e_tools import write_config, write_market  # noqa: E402
from faulty_disk import UNREACHABLE, Fault, Unreachable, perform  # noqa: E402

from trading_engine.system import crash_points  # noqa: E402

FILES = ("engine.db", "paper.db")
KINDS = (("write", "eio"), ("write", "enospc"), ("sync", "eio"))  # a failed sync looks the same for both errors
CAUSES = ("disk I/O error", "database or disk is full")
ACTS = "wlh"  # a win, a loss, and a position that is still behind its stop at the end
INVALID = 78
INTERNAL = 70
GOLDEN = 0.618  # steps of this share of a whole spread evenly, however many there are
LIMIT_S = 120  # for one run; it takes a tenth of a second
CRASHED = 250  # a child that did not come as far as an exit code


class Done(NamedTuple):
    """How a run ended."""

    code: int
    out: str
    err: str


class Case(NamedTuple):
    """One failure: which database, what fails, with what, from which call on or only there."""

    file: str
    operation: str
    error: str
    once: bool
    at: int

    def __str__(self) -> str:
        """As in the report."""
        return f"{self.file} {self.operation} {self.error} {'once' if self.once else 'lasting'} at {self.at}"


@dataclass(slots=True)
class Report:
    """What the sweep has seen."""

    cases: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bench:
    """What all cases share."""

    folder: Path
    template: Path
    arguments: tuple[str, ...]
    expected: str

    def run(self, state: Path) -> list[str]:
        """The arguments of a run on a state."""
        return [*self.arguments, "--state", str(state)]


# Processes


def apart(act: Callable[[], int], scratch: Path) -> Done:
    """Do something in a child process and wait for its end; a signal is a negative code."""
    out, err = scratch / "out", scratch / "err"
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        code = CRASHED
        try:
            signal.alarm(LIMIT_S)
            for number, path in ((1, out), (2, err)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
            code = act()
        except BaseException:  # noqa: BLE001 - the child must not come back as a second parent
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return Done(os.waitstatus_to_exitcode(status), out.read_text("utf-8"), err.read_text("utf-8"))


def command(arguments: Sequence[str], scratch: Path, crash_at: str = "") -> Done:
    """One command of the engine's command line on a sound disk."""

    def act() -> int:
        if crash_at:
            crash_points.arm(crash_at)
        code: int = importlib.import_module("trading_engine.cli.main").main(list(arguments))
        return code

    return apart(act, scratch)


def load_what_it_loads(arguments: Sequence[str], scratch: Path) -> None:
    """Import what a command has imported when it is done: children inherit it. The command must end well."""
    names = scratch / "loaded"

    def act() -> int:
        code: int = importlib.import_module("trading_engine.cli.main").main(list(arguments))
        names.write_text("\n".join(sys.modules), encoding="utf-8")
        return code

    require(f"{arguments[0]}, for what it loads", apart(act, scratch), 0)
    for name in names.read_text("utf-8").split():
        with suppress(ImportError):  # names of aliases and of parts that only their package can load
            importlib.import_module(name)


def on_failing_disk(case: Case, arguments: Sequence[str], scratch: Path) -> tuple[Done, bool]:
    """One command on a failing disk; how it ended, and whether anything was refused."""
    struck = scratch / "struck"
    struck.unlink(missing_ok=True)

    def act() -> int:
        fault = Fault(case.file, case.operation, case.error, case.at, case.once)
        try:
            return perform(fault, arguments)
        except Unreachable as error:
            print(f"cannot make the disk fail: {error}", file=sys.stderr)
            return UNREACHABLE
        finally:
            struck.write_text(json.dumps({"seen": fault.seen, "refused": fault.refused}), encoding="utf-8")

    done = apart(act, scratch)
    if done.code == UNREACHABLE:
        raise Unreachable(done.err.strip())
    return done, struck.exists() and json.loads(struck.read_text("utf-8"))["refused"] > 0


# What must hold


def require(what: str, done: Done, *codes: int) -> str:
    """The output of a command that ended with one of these codes; Violation otherwise."""
    if done.code not in codes:
        raise kill_loop.Violation(f"{what}: exit {done.code}: {done.err[-2000:]}")
    return done.out


def rows(path: Path, statement: str) -> list[tuple]:
    """Rows of a database, none where it has no tables yet.

    Read from a copy: what was left half written can only be undone by writing, and looking must change nothing.
    """
    with tempfile.TemporaryDirectory(dir=path.parent.parent) as folder:
        for companion in path.parent.glob(f"{path.name}*"):
            if not companion.name.endswith("-shm"):
                shutil.copy(companion, folder)
        copy = Path(folder) / path.name
        if not copy.exists():
            return []
        with closing(sqlite3.connect(copy)) as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return []
            return connection.execute(statement).fetchall()


def check_message(case: Case, done: Done, state: Path) -> None:
    """One line that names file and cause, last of all, and nowhere a traceback."""
    last = done.err.splitlines()[-1] if done.err else ""
    wanted = ["error: ", str(state / case.file), CAUSES[case.error == "enospc" and case.operation == "write"]]
    missing = [word for word in wanted if word not in last]
    if missing:
        raise kill_loop.Violation(f"exit {done.code}, the last line lacks {missing}: {last!r}")
    if "Traceback" in done.err:
        raise kill_loop.Violation(f"exit {done.code}, a traceback on the console: {done.err[:600]}")
    if done.err.count("error: ") != 1:
        raise kill_loop.Violation(f"exit {done.code}, more than one error: {done.err[:600]}")


def check_journal(state: Path) -> int:
    """Numbers without a gap; how many there are."""
    numbers = [row[0] for row in rows(state / "engine.db", "SELECT seq FROM journal ORDER BY seq")]
    if numbers != list(range(1, len(numbers) + 1)):
        raise kill_loop.Violation("the journal has a gap")
    return len(numbers)


def check_orders(state: Path) -> None:
    """Nothing at the exchange that is not written down here, and no stop of an open position lost there."""
    kept = dict(rows(state / "engine.db", "SELECT client_order_id, state FROM orders"))
    there = {
        name: json.loads(body)["status"]
        for name, body in rows(state / "paper.db", "SELECT client_order_id, body FROM orders")
    }
    strangers = sorted(set(there) - set(kept))
    if strangers:
        raise kill_loop.Violation(f"orders at the exchange that the engine does not know: {strangers}")
    stops = rows(
        state / "engine.db",
        "SELECT o.client_order_id FROM orders o JOIN positions p USING (position_id)"
        " WHERE o.purpose = 'stop' AND o.state = 'ACKED' AND p.state = 'OPEN'",
    )
    lost = [name for (name,) in stops if there.get(name) in (None, "canceled")]
    if lost:
        raise kill_loop.Violation(f"stops of open positions that the exchange does not hold: {lost}")


def check_audit(state: Path, scratch: Path, when: str) -> None:
    """The audit of the command line is ok."""
    require(f"audit {when}", command(["audit", "--json", "--state", str(state)], scratch), 0)


def check_end(bench: Bench, state: Path, scratch: Path) -> None:
    """Audit ok and the trades of a run that was never disturbed."""
    check_audit(state, scratch, "at the end")
    found = require("trades", command(["trades", "--json", "--state", str(state)], scratch), 0)
    if found != bench.expected:
        raise kill_loop.Violation(f"trades differ from the undisturbed run: {found}")


def check_case(bench: Bench, case: Case, state: Path, scratch: Path) -> str:
    """Everything that must hold in and after one failure; how the run ended, or `clean` where nothing failed."""
    done, is_struck = on_failing_disk(case, bench.run(state), scratch)
    require("run", done, 0, *([INTERNAL, INVALID] if is_struck else []))
    records = check_journal(state)
    check_orders(state)
    if rows(state / "paper.db", "SELECT 1 FROM progress"):
        kill_loop.check_exchange(state, after_boot=False)
    if done.code == INVALID and records:
        raise kill_loop.Violation(f"exit {INVALID} after {records} records: a restart would cure it")
    boot = command(bench.run(state), scratch, f"{kill_loop.RECOVERED}:1")
    require("the boot after it", boot, -signal.SIGKILL)
    kill_loop.check_exchange(state, after_boot=True)
    check_audit(state, scratch, "after the boot")
    require("the run after it", command(bench.run(state), scratch), 0)
    check_end(bench, state, scratch)
    if done.code:  # last: an unclear message is the smallest of these faults and must not hide another
        check_message(case, done, state)
    return f"exit {done.code}" if is_struck else "clean"


# The sweep


def prepare(folder: Path) -> Bench:
    """Market, migrated state, and the run that is never disturbed."""
    config, market = write_config(folder), write_market(folder / "market.csv", ACTS)
    arguments = ("run", "--config", str(config), "--replay", f"SOLUSDT={market}", "--seed", "7")
    template, reference = folder / "template", folder / "reference"
    require("migrate", command(["db", "migrate", "--state", str(template)], folder), 0)
    shutil.copytree(template, reference)
    load_what_it_loads([*arguments, "--state", str(reference)], folder)
    load_what_it_loads(["audit", "--json", "--state", str(reference)], folder)
    expected = require("trades", command(["trades", "--json", "--state", str(reference)], folder), 0)
    held = kill_loop.check_exchange(reference, after_boot=True)
    if not json.loads(expected) or not held:
        raise kill_loop.Violation("no trade or no open position: the sweep would prove nothing")
    return Bench(folder, template, arguments, expected)


def count(bench: Bench, file: str, operation: str) -> int:
    """How many calls an undisturbed run makes."""
    state, scratch = bench.folder / "counted", bench.folder / "scratch"
    shutil.rmtree(state, ignore_errors=True)
    scratch.mkdir(exist_ok=True)
    shutil.copytree(bench.template, state)
    on_failing_disk(Case(file, operation, "eio", once=False, at=0), bench.run(state), scratch)
    return int(json.loads((scratch / "struck").read_text("utf-8"))["seen"])


def numbers(bench: Bench, file: str, operation: str, most: int, kind: int) -> Iterator[int]:
    """The N to try: all of them for 0, else `most`, spread over the run, and otherwise for each kind of failure."""
    if not most:
        yield from itertools.count(1)
    total = count(bench, file, operation)
    for part in range(most):
        share = ((part + 0.5) / most + kind * GOLDEN) % 1
        yield 1 + int(share * total)


def attempt(bench: Bench, case: Case, report: Report) -> bool:
    """One case; False once N is beyond the last call."""
    state, scratch = bench.folder / "state", bench.folder / "scratch"
    shutil.rmtree(state, ignore_errors=True)
    scratch.mkdir(exist_ok=True)
    shutil.copytree(bench.template, state)
    try:
        end = check_case(bench, case, state, scratch)
    except kill_loop.Violation as violation:
        end = "violation"
        report.violations.append(f"{case}: {violation}")
        print(f"VIOLATION {case}: {violation}", flush=True)
    if end == "clean":
        return False
    kind = f"{case.file} {case.operation} {case.error} {'once' if case.once else 'lasting'}"
    report.cases[kind] += 1
    report.ends[f"{kind}: {end}"] += 1
    return True


def sweep(bench: Bench, chosen: argparse.Namespace, report: Report) -> None:
    """All kinds of failure that were asked for."""
    kinds = [
        (file, operation, error, once)
        for file in FILES
        for operation, error in KINDS
        for once in (False, True)
        if chosen.file in (None, file)
        and chosen.operation in (None, operation)
        and chosen.error in (None, error)
        and chosen.once in (None, once)
    ]
    for kind, (file, operation, error, once) in enumerate(kinds):
        begun = time.monotonic()
        for at in numbers(bench, file, operation, chosen.most, kind):
            if not attempt(bench, Case(file, operation, error, once, at), report) and not chosen.most:
                print(f"{file} {operation} {error} {'once' if once else 'lasting'}: N = 1 to {at - 1}", end=" ")
                print(f"in {time.monotonic() - begun:.0f} s, {at} is clean", flush=True)
                break


def main() -> int:
    """Parse, sweep, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=0, help="how many N for each kind; 0: every N")
    parser.add_argument("--file", choices=FILES)
    parser.add_argument("--operation", choices=sorted({operation for operation, _ in KINDS}))
    parser.add_argument("--error", choices=sorted({error for _, error in KINDS}))
    parser.add_argument("--once", action="store_true", default=None, help="only failures that go by themselves")
    parser.add_argument("--lasting", action="store_false", dest="once", help="only failures that stay")
    chosen = parser.parse_args()
    begun, report = time.monotonic(), Report()
    with tempfile.TemporaryDirectory(prefix="storage-sweep-") as folder:
        try:
            sweep(prepare(Path(folder)), chosen, report)
        except Unreachable as error:
            print(error, file=sys.stderr)
            return UNREACHABLE
    for kind, cases in report.cases.items():
        ends = [f"{key.rpartition(': ')[2]} {n} times" for key, n in report.ends.items() if key.startswith(f"{kind}:")]
        print(f"{kind:32} {cases:5} N: {', '.join(sorted(ends))}")
    print(f"{report.cases.total()} failures in {time.monotonic() - begun:.0f} s, {len(report.violations)} violations")
    return int(bool(report.violations))


if __name__ == "__main__":
    sys.exit(main())
