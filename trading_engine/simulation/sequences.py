"""All sequences of at most three faults over one short story, written out instead of sampled.

What belongs here: the story and the 72 places where one named fault meets it. What does not: living through
them (world). Studies of failures in distributed systems found that three faults suffice for nearly all
catastrophic ones: D. Yuan et al., "Simple Testing Can Prevent Most Critical Failures", OSDI 2014.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from trading_engine.simulation.faults import Fault, WrittenPlan
from trading_engine.simulation.market import MINUTE_MS, Weather
from trading_engine.simulation.scenario import Scenario

STORY_SEED = 2
SCENARIO = Scenario(
    STORY_SEED,
    symbols=("BTCUSDT",),
    troubled_ms=6 * MINUTE_MS,
    quiet_ms=3 * MINUTE_MS,
    script=(0, 3),
    weather=Weather(gap_chance=0.0),
)
MOST_FAULTS = 3


class Pair(NamedTuple):
    """One fault at the n-th visit of a site; for site "clock" the visit is a second of the story."""

    site: str
    visit: int
    fault: Fault

    def __str__(self) -> str:
        """As it is printed."""
        return f"{self.fault}@{self.site}#{self.visit}"


def _at(site: str, visits: range, *faults: Fault) -> list[Pair]:
    return [Pair(site, visit, fault) for visit in visits for fault in faults]


PAIRS: tuple[Pair, ...] = (
    *_at(
        "submit.entry",
        range(1, 2),
        Fault.LOST_REQUEST,
        Fault.LOST_REPLY,
        Fault.LATE,
        Fault.NO_ANSWER,
        Fault.TWICE,
        Fault.REFUSED,
    ),
    *_at("submit.stop", range(1, 2), Fault.LOST_REQUEST, Fault.LOST_REPLY, Fault.LATE, Fault.NO_ANSWER, Fault.REFUSED),
    *_at("submit.stop", range(2, 4), Fault.LOST_REQUEST, Fault.LOST_REPLY, Fault.LATE),
    *_at("submit.target", range(1, 2), Fault.LOST_REQUEST, Fault.LATE),
    *_at("submit.exit", range(1, 2), Fault.LOST_REQUEST, Fault.LOST_REPLY, Fault.LATE, Fault.REFUSED),
    *_at("cancel", range(1, 4), Fault.LOST_REQUEST, Fault.LOST_REPLY),
    *_at("stream.fill", range(1, 4), Fault.DROP, Fault.DELAY),
    *_at("stream.order", range(1, 4), Fault.DROP),
    *_at("read.open_orders", range(1, 3), Fault.LOST_REPLY),
    *_at("read.order", range(1, 4), Fault.LOST_REPLY),
    *_at("read.fills", range(1, 4), Fault.LOST_REPLY, Fault.STALE),
    *_at("read.positions", range(1, 3), Fault.STALE),
    *_at("commit", range(3, 7), Fault.COMMIT_FAILS),
    *_at("commit", range(4, 6), Fault.COMMIT_UNSURE),
    *_at("die.engine.commit.before", range(4, 6), Fault.DEATH),
    *_at("die.engine.commit.after", range(3, 7), Fault.DEATH),
    *_at("die.send.before", range(1, 4), Fault.DEATH),
    *_at("die.send.after", range(1, 4), Fault.DEATH),
    *_at("die.cancel.after", range(1, 2), Fault.DEATH),
    Pair("clock", 61, Fault.OUTAGE),
    Pair("clock", 130, Fault.DISCONNECT),
)


def sequences(most: int = MOST_FAULTS) -> Iterator[tuple[Pair, ...]]:
    """Every set of one to `most` pairs; two faults of one visit exclude each other, the later one is not met."""
    for size in range(1, most + 1):
        yield from combinations(PAIRS, size)


def plan_of(sequence: tuple[Pair, ...]) -> WrittenPlan:
    """The plan in which exactly these faults happen."""
    instants = tuple((pair.visit * 1000, pair.fault) for pair in sequence if pair.site == "clock")
    faults = {(pair.site, pair.visit): pair.fault for pair in sequence if pair.site != "clock"}
    return WrittenPlan(faults, instants)
