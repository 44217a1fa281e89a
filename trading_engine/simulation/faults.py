"""What goes wrong, where and when: drawn from a seed, or written down.

What belongs here: the faults, the sites they can happen at, and the plans that choose. What does not: what a
fault does (network, world).

A site is a place that is passed again and again ("submit.stop", "stream.fill", "commit"); the n-th visit may
meet one fault. A `SeededPlan` draws for each visit, a `WrittenPlan` holds exactly the named ones.
"""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

MIDNIGHT_MS = 1_500_000  # every simulation begins at 23:35


class Fault(StrEnum):
    """One way in which a visit goes wrong."""

    LOST_REQUEST = "lost_request"  # never arrives; the caller hears nothing
    LOST_REPLY = "lost_reply"  # is carried out; the caller hears nothing
    LATE = "late"  # is carried out after the caller has given up
    SLOW = "slow"  # is answered, seconds later
    NO_ANSWER = "no_answer"  # is carried out; the call never returns
    TWICE = "twice"  # arrives twice
    SERVER_ERROR = "server_error"  # is carried out; answered by an error that proves nothing
    REFUSED = "refused"  # is refused, with proof
    RATE_LIMITED = "rate_limited"  # is refused before it was looked at
    STALE = "stale"  # is answered with what was true a while ago
    DROP = "drop"  # a stream event is never told
    DUPLICATE = "duplicate"  # is told twice
    DELAY = "delay"  # is told seconds later, after others
    DISCONNECT = "disconnect"  # the stream is gone for a while
    OUTAGE = "outage"  # nothing of the venue can be reached for a while
    COMMIT_FAILS = "commit_fails"  # nothing was written
    COMMIT_UNSURE = "commit_unsure"  # was written, and an error was reported
    COMMIT_SLOW = "commit_slow"  # takes seconds, in which nothing else can happen in the process
    DEATH = "death"  # the process is gone at this very place
    STOP_FILE = "stop_file"  # an operator puts the STOP file, and resumes later
    TERMINATE = "terminate"  # the process is asked to end
    CLOCK_SET = "clock_set"  # somebody sets the machine's clock, by seconds or minutes, forward or back
    STOP_CANCELED = "stop_canceled"  # somebody cancels a resting stop at the venue
    BACKUP = "backup"  # an operator takes a backup: harmless by itself
    STRANGER = "stranger"  # somebody trades by hand in the same account
    RESTORE = "restore"  # the database is lost; the backup takes its place, and an operator resumes


WRITE_FAULTS = (
    Fault.LOST_REQUEST,
    Fault.LOST_REPLY,
    Fault.LATE,
    Fault.SLOW,
    Fault.NO_ANSWER,
    Fault.TWICE,
    Fault.SERVER_ERROR,
    Fault.REFUSED,
    Fault.RATE_LIMITED,
)
READ_FAULTS = (Fault.LOST_REPLY, Fault.SLOW, Fault.NO_ANSWER, Fault.STALE, Fault.RATE_LIMITED)
STREAM_FAULTS = (Fault.DROP, Fault.DUPLICATE, Fault.DELAY)
COMMIT_FAULTS = (Fault.COMMIT_FAILS, Fault.COMMIT_UNSURE, Fault.COMMIT_SLOW)
MOMENTS = (
    Fault.DISCONNECT,
    Fault.OUTAGE,
    Fault.DEATH,
    Fault.STOP_FILE,
    Fault.TERMINATE,
    Fault.STOP_CANCELED,
    Fault.CLOCK_SET,
)


@dataclass(frozen=True, slots=True)
class Profile:
    """How often what goes wrong, as probabilities per visit.

    moments              mean number in a simulated hour, of the `kinds`
    has_midnight_outage  the venue cannot be reached from shortly before midnight until after it
    has_restore          a backup is taken, and takes the database's place later
    rare_death           chance of death at the crash points that few visits pass (RARE_POINTS)
    """

    write: float = 0.0
    read: float = 0.0
    stream: float = 0.0
    commit: float = 0.0
    death: float = 0.0
    rare_death: float = 0.0
    candle: float = 0.0
    moments: float = 0.0
    kinds: tuple[Fault, ...] = MOMENTS
    has_midnight_outage: bool = False
    has_restore: bool = False


PROFILES: Mapping[str, Profile] = {
    "calm": Profile(),
    "network": Profile(
        write=0.15, read=0.04, stream=0.08, candle=0.03, moments=6, kinds=(Fault.DISCONNECT, Fault.OUTAGE)
    ),
    "crashes": Profile(death=0.004, moments=6, kinds=(Fault.DEATH, Fault.TERMINATE)),
    "storage": Profile(commit=0.02, moments=2, kinds=(Fault.DEATH,)),
    "stops": Profile(
        write=0.05, death=0.001, moments=20, kinds=(Fault.STOP_FILE, Fault.DEATH, Fault.TERMINATE, Fault.STOP_FILE)
    ),
    "restore": Profile(has_restore=True),
    "midnight": Profile(has_midnight_outage=True),
    "clock": Profile(write=0.15, read=0.02, death=0.001, moments=20, kinds=(Fault.CLOCK_SET,)),
    "strangers": Profile(
        write=0.03,
        read=0.01,
        stream=0.03,
        death=0.001,
        moments=16,
        kinds=(Fault.STRANGER, Fault.STRANGER, Fault.STRANGER, Fault.STRANGER, Fault.DEATH, Fault.DISCONNECT),
    ),
    "everything": Profile(
        write=0.08, read=0.02, stream=0.05, commit=0.003, death=0.002, rare_death=0.02, candle=0.02, moments=8
    ),
}


class Plan(Protocol):
    """Decides about visits."""

    def at(self, site: str) -> Fault | None:
        """The fault of this visit, None for an undisturbed one."""
        ...

    def moments(self, span_ms: int) -> list[tuple[int, Fault]]:
        """What happens at an instant rather than a visit: (milliseconds from the start, fault)."""
        ...

    def end(self) -> None:
        """Nothing goes wrong from now on."""
        ...


RARE_POINTS = frozenset({"die.cancel.before", "die.cancel.after", "die.lookup.after", "die.fills.after"})

_KINDS_BY_SITE: Mapping[str, tuple[Fault, ...]] = {
    "submit": WRITE_FAULTS,
    "cancel": tuple(fault for fault in WRITE_FAULTS if fault is not Fault.TWICE),
    "read": READ_FAULTS,
    "stream": STREAM_FAULTS,
    "candle": STREAM_FAULTS,
    "commit": COMMIT_FAULTS,
    "die": (Fault.DEATH,),
}


def faults_at(site: str) -> tuple[Fault, ...]:
    """What can go wrong at a site; its name begins with one of the known kinds and a dot."""
    return _KINDS_BY_SITE[site.partition(".")[0]]


@dataclass(slots=True)
class SeededPlan:
    """Draws each visit's fault from its own random numbers."""

    profile: Profile
    rng: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    is_over: bool = False

    def at(self, site: str) -> Fault | None:
        """The fault of this visit, None for most."""
        if self.is_over:
            return None
        kind = site.partition(".")[0]
        chance = self._chance(kind, site)
        if not chance or self.rng.random() >= chance:
            return None
        return self.rng.choice(_KINDS_BY_SITE[kind])

    def _chance(self, kind: str, site: str) -> float:
        profile = self.profile
        match kind:
            case "submit" | "cancel":
                return profile.write
            case "read":
                return profile.read
            case "stream":
                return profile.stream
            case "candle":
                return profile.candle
            case "commit":
                return profile.commit
            case _:
                return max(profile.death, profile.rare_death if site in RARE_POINTS else 0.0)

    def moments(self, span_ms: int) -> list[tuple[int, Fault]]:
        """Instants spread evenly over the span."""
        wanted = self.profile.moments * span_ms / 3_600_000
        count = int(wanted) + (self.rng.random() < wanted % 1)
        found = [(self.rng.randrange(span_ms), self.rng.choice(self.profile.kinds)) for _ in range(count)]
        if self.profile.has_midnight_outage:
            found.append((MIDNIGHT_MS - self.rng.randint(20_000, 50_000), Fault.OUTAGE))
        if self.profile.has_restore:
            backup_ms = self.rng.randrange(span_ms // 3)
            restore_ms = backup_ms + self.rng.randrange(span_ms // 6, span_ms // 3)
            found += [(backup_ms, Fault.BACKUP), (restore_ms, Fault.RESTORE)]
        return sorted(found, key=lambda item: item[0])

    def end(self) -> None:
        """Nothing goes wrong from now on."""
        self.is_over = True


@dataclass(slots=True)
class WrittenPlan:
    """Exactly the faults that were written down: (site, visit counted from 1) → fault."""

    faults: Mapping[tuple[str, int], Fault]
    instants: tuple[tuple[int, Fault], ...] = ()
    visits: Counter[str] = field(default_factory=Counter)
    is_over: bool = False

    def at(self, site: str) -> Fault | None:
        """The fault written down for this visit."""
        self.visits[site] += 1
        return None if self.is_over else self.faults.get((site, self.visits[site]))

    def moments(self, span_ms: int) -> list[tuple[int, Fault]]:
        """The instants written down that lie in the span."""
        return [(at_ms, fault) for at_ms, fault in self.instants if at_ms < span_ms]

    def end(self) -> None:
        """Nothing goes wrong from now on."""
        self.is_over = True
