"""Running many seeds, sequences and mutants, on as many processes as are wanted.

What belongs here: the work list, the processes, the sums. What does not: one seed (world), the display (cli).
"""

import hashlib
import multiprocessing
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from loguru import logger

from trading_engine.core.settings import ForeignPolicy
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.simulation.faults import PROFILES, Plan, SeededPlan
from trading_engine.simulation.mutants import MUTANTS, mutated
from trading_engine.simulation.scenario import LADDER, TIGHT_LIMITS, WIDE_LIMITS, Scenario
from trading_engine.simulation.sequences import SCENARIO, Pair, plan_of
from trading_engine.simulation.world import Result, World
from trading_engine.store import migrate
from trading_engine.system.garbage import rare_collection

SEEDS_TO_FIND = 200
_FAST_FOLDER = Path("/dev/shm")  # noqa: S108 - memory instead of a disk; what lies there is this run's alone
_TIMELINE_LINES = 80
_CHUNK = 8

_TEMPLATE = "template.db"

Progress = Callable[[int, int], None]
Sequence_ = tuple[Pair, ...]
Item = TypeVar("Item")
Done = TypeVar("Done")
Work = TypeVar("Work")


@dataclass(slots=True)
class Failure:
    """A seed, or a sequence of faults, that broke a promise."""

    name: str
    invariant: str
    text: str
    timeline: list[str]


@dataclass(slots=True)
class Report:
    """What a simulation has shown."""

    seeds: int = 0
    failures: list[Failure] = field(default_factory=list)
    simulated_hours: float = 0.0
    trades: int = 0
    starts: int = 0
    crashes: int = 0
    crash_points: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    journal_hash: str = ""

    @property
    def seeds_per_s(self) -> float:
        """Seeds a second, all processes together."""
        return self.seeds / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Hunt:
    """Whether the simulation has noticed a mutant, by which promise, and how many seeds that took."""

    name: str
    found: bool
    seeds_to_find: int
    invariant: str


def simulate(
    seeds: Sequence[int], profile: str = "everything", jobs: int = 1, on_progress: Progress | None = None
) -> Report:
    """Live through every seed. ConfigInvalid where there is no such profile."""
    _require_profile(profile)
    with _workshop() as shop:
        return _gather(partial(_run_seed, shop, profile), seeds, str, jobs, on_progress)


def enumerate_sequences(chosen: Sequence[Sequence_], jobs: int = 1, on_progress: Progress | None = None) -> Report:
    """Live through the short story once for each sequence of faults."""
    with _workshop() as shop:
        return _gather(partial(_run_sequence, shop), chosen, _sequence_name, jobs, on_progress)


def live_sequence(sequence: Sequence_) -> Result:
    """The short story with these faults, with everything that happened."""
    with _workshop() as shop:
        return _live(shop, SCENARIO, plan_of(sequence))


def timeline(seed: int, profile: str = "everything") -> list[str]:
    """Everything that happens in one seed, a line each."""
    _require_profile(profile)
    with _workshop() as shop:
        return _lines(_live(shop, scenario_of(seed), _seeded(seed, profile)).timeline)


def hunt(jobs: int = 1, limit: int = SEEDS_TO_FIND, on_progress: Progress | None = None) -> list[Hunt]:
    """Search for each mutant the first seed that notices it."""
    found: list[Hunt] = []
    with _workshop() as shop:
        for done in _spread(partial(_hunt_in, shop, limit), range(len(MUTANTS)), jobs, chunk=1):
            found.append(done)
            if on_progress is not None:
                on_progress(len(found), len(MUTANTS))
    return found


def hunt_one(index: int, limit: int = SEEDS_TO_FIND, first: int = 1) -> Hunt:
    """The same for the mutant at one place of the table, in the worlds from `first` on."""
    with _workshop() as shop:
        return _hunt_in(shop, limit, index, first)


def _require_profile(profile: str) -> None:
    if profile not in PROFILES:
        known = ", ".join(PROFILES)
        raise ConfigInvalid(f"--profile {profile}: there is no such profile; known: {known}", exit_code=2)


def _gather(
    run: Callable[[Work], Result],
    work: Sequence[Work],
    name: Callable[[Work], str],
    jobs: int,
    on_progress: Progress | None,
) -> Report:
    report = Report()
    digest = hashlib.sha256()
    started = time.monotonic()
    for item, result in zip(work, _spread(run, work, jobs, chunk=_CHUNK), strict=True):
        _add(report, result, name(item))
        digest.update(result.journal_hash.encode())
        if on_progress is not None:
            on_progress(report.seeds, len(work))
    report.seconds = time.monotonic() - started
    report.journal_hash = digest.hexdigest()
    return report


def _sequence_name(sequence: Sequence_) -> str:
    return " + ".join(str(pair) for pair in sequence)


def _add(report: Report, result: Result, name: str) -> None:
    report.seeds += 1
    report.simulated_hours += result.simulated_ms / 3_600_000
    report.trades += result.trades
    report.starts += result.starts
    report.crashes += result.crashes
    report.crash_points.update(result.crash_points)
    report.faults.update(result.faults)
    for violation in result.violations:
        report.failures.append(Failure(name, violation.invariant, violation.text, _lines(result.timeline)))


def _spread(work: Callable[[Item], Done], items: Sequence[Item], jobs: int, chunk: int) -> Iterator[Done]:
    """The results in order, by as many processes as asked for."""
    if jobs <= 1:
        yield from map(work, items)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        yield from pool.map(work, items, chunksize=chunk)


def _run_seed(shop: Path, profile: str, seed: int) -> Result:
    return _trim(_live(shop, scenario_of(seed), _seeded(seed, profile)))


def _run_sequence(shop: Path, sequence: Sequence_) -> Result:
    return _trim(_live(shop, SCENARIO, plan_of(sequence)))


def _hunt_in(shop: Path, limit: int, index: int, first: int = 1) -> Hunt:
    mutant = MUTANTS[index]
    with mutated(mutant):
        for lived, seed in enumerate(range(first, first + limit), 1):
            result = _live(shop, scenario_of(seed), _seeded(seed, mutant.profile))
            if result.violations:
                return Hunt(mutant.name, found=True, seeds_to_find=lived, invariant=result.violations[0].invariant)
    return Hunt(mutant.name, found=False, seeds_to_find=limit, invariant="")


def scenario_of(seed: int) -> Scenario:
    """Every fourth world has limits tight enough to trip, every eighth a ladder; policies for strangers take turns.

    In every third the venue's history of fills lags behind, by up to 5 to 30 seconds and not in order.
    """
    policies = tuple(ForeignPolicy)
    limits = TIGHT_LIMITS if seed % 4 == 0 else WIDE_LIMITS
    return Scenario(
        seed,
        limits=limits,
        foreign=policies[seed // 4 % len(policies)],
        ladder=LADDER if seed % 8 == 7 else (),
        history_lag_ms=_LAGS_MS[seed // 3 % len(_LAGS_MS)] if seed % 3 == 2 else 0,
    )


_LAGS_MS = (5_000, 30_000, 15_000, 30_000)


def _seeded(seed: int, profile: str) -> SeededPlan:
    return SeededPlan(PROFILES[profile], random.Random(f"plan:{seed}"))  # noqa: S311 - a game


def _live(shop: Path, scenario: Scenario, plan: Plan) -> Result:
    """One world in this process's own corner of the workshop."""
    logger.disable("trading_engine")  # thousands of engines would each tell of every fault
    folder = shop / str(os.getpid())
    folder.mkdir(exist_ok=True)
    for name in ("engine.db", "engine.db-wal", "engine.db-shm"):
        (folder / name).unlink(missing_ok=True)
    try:
        with rare_collection():
            return World(scenario, plan, folder, shop / _TEMPLATE).run()
    finally:
        logger.enable("trading_engine")


def _trim(result: Result) -> Result:
    """Without the timeline where nothing went wrong: it need not travel between processes."""
    result.noted = result.noted[-_TIMELINE_LINES:] if result.violations else []
    return result


def _lines(entries: Sequence[tuple[int, str, str]]) -> list[str]:
    return [f"{at_ms / 1000:10.3f} s  {who:<8}  {text}" for at_ms, who, text in entries]


@contextmanager
def _workshop() -> Iterator[Path]:
    """A folder in memory where the machine has one, with a database without rows to copy; gone afterwards."""
    root = _FAST_FOLDER if os.access(_FAST_FOLDER, os.W_OK) else Path(tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix="trading-engine-simulation-", dir=root))
    try:
        migrate.upgrade(folder / _TEMPLATE)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
