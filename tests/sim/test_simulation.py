"""Faulty worlds by the hundred: every promise of docs/invariants.md is kept, and breaking one is noticed."""

import re
from pathlib import Path
from random import Random

import pytest

from trading_engine.simulation import runner, sequences
from trading_engine.simulation.faults import PROFILES
from trading_engine.simulation.mutants import MUTANTS
from trading_engine.simulation.runner import Report

SEEDS = 300
SEEDS_A_TEST = 20
SEEDS_TO_FIND = 60
SEQUENCES_AT_ONCE = 60
FOUND_AT = {  # where those that hide longest were found when this was written, to be quick
    "on_after_failed_commit": 35,
    "day_of_processing": 17,
    "absence_trusted_at_once": 22,
    "first_look_freezes": 22,
    "adopted_without_stop": 10,
    "clock_is_believed": 27,
}


def _told(report: Report) -> str:
    return "\n".join(f"{one.name}: {one.invariant}: {one.text}\n" + "\n".join(one.timeline) for one in report.failures)


@pytest.mark.parametrize("first", range(1, SEEDS, SEEDS_A_TEST))
def test_every_promise_is_kept_in_worlds_where_everything_fails(first: int) -> None:
    """Network, venue, disk and process fail by the seed; all of I1 to I18 hold."""
    report = runner.simulate(range(first, first + SEEDS_A_TEST))
    assert not report.failures, _told(report)
    assert report.crashes
    assert report.trades


@pytest.mark.parametrize("profile", [name for name in PROFILES if name != "everything"])
def test_every_promise_is_kept_under_one_kind_of_trouble(profile: str) -> None:
    """A single cause shows what a mixture hides."""
    report = runner.simulate(range(1, 5), profile)
    assert not report.failures, _told(report)


def test_one_seed_gives_one_journal() -> None:
    """I19: two lives of a seed write the same bytes; another seed writes others."""
    first, again, other = (runner.simulate([seed]).journal_hash for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_processes_beside_each_other_change_nothing() -> None:
    """Two worlds at once give what one after the other gives."""
    assert runner.simulate(range(1, 5), jobs=1).journal_hash == runner.simulate(range(1, 5), jobs=2).journal_hash


def test_every_single_fault_of_the_story_is_survived() -> None:
    """All 72 places of one fault."""
    report = runner.enumerate_sequences(list(sequences.sequences(1)))
    assert not report.failures, _told(report)
    assert len(sequences.PAIRS) == report.seeds


@pytest.mark.parametrize("size", [2, 3])
def test_faults_after_one_another_are_survived(size: int) -> None:
    """A sample of the 62,196 sequences of two and three faults; `simulate --sequences 3` lives through all."""
    every = [one for one in sequences.sequences(size) if len(one) == size]
    report = runner.enumerate_sequences(Random(size).sample(every, SEQUENCES_AT_ONCE))
    assert not report.failures, _told(report)


def test_the_sequences_are_all_sets_of_at_most_three_faults() -> None:
    """72 places give 72 + 2,556 + 59,640 sequences."""
    assert 72 == len(sequences.PAIRS) == len(set(sequences.PAIRS))
    assert 62_268 == sum(1 for _ in sequences.sequences())


@pytest.mark.parametrize("index", range(len(MUTANTS)), ids=[mutant.name for mutant in MUTANTS])
def test_a_deliberate_break_is_noticed(index: int) -> None:
    """A simulation that lets one of them live proves nothing; `simulate --mutants` looks from the first world on."""
    found = runner.hunt_one(index, SEEDS_TO_FIND, FOUND_AT.get(MUTANTS[index].name, 1))
    assert found.found, f"{found.name} survived {SEEDS_TO_FIND} seeds"


def test_every_invariant_that_can_be_reported_is_written_down() -> None:
    """docs/invariants.md explains each number the simulation can print."""
    root = Path(__file__).parents[2]
    sources = "".join(path.read_text(encoding="utf-8") for path in (root / "trading_engine/simulation").glob("*.py"))
    told = set(re.findall(r'"(I\d+)"', sources))
    page = (root / "docs" / "invariants.md").read_text(encoding="utf-8")
    written = set(re.findall(r"^\| (I\d+) \|", page, re.MULTILINE))
    assert told
    assert told <= written
