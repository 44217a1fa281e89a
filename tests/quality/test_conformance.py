"""The table of rules for venue adapters has an answer for every venue, and every answer is true.

The table is trading_engine/venues/conformance.toml. What a test proves is for its reader to judge; here it is made sure
that it exists, that it runs for the venue, and that nothing was left out.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from contract import test_remote_venues as remote
from contract.venue_bench import Traits

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
RULES: list[dict[str, Any]] = tomllib.loads(
    (ROOT / "trading_engine" / "venues" / "conformance.toml").read_text(encoding="utf-8")
)["rule"]

TRAITS = {"binance": remote._BINANCE, "bingx": remote._BINGX, "zoomex": remote._ZOOMEX, "embedded": Traits()}
REMOTE = ("binance", "bingx", "zoomex")
WORDS = {"name", "group", "says", "of", "contract", "shared", *TRAITS}
CODES = {*(f"V{number}" for number in range(1, 9)), *(f"D{number}" for number in range(1, 6))}
SHORTEST_REASON = 20

CONTRACTS = ("contract/venue_contract.py", "contract/venue_matching_contract.py")
RUNS = dict.fromkeys(REMOTE, "contract/test_remote_venues.py") | {"embedded": "contract/test_venues.py"}
# What a case says that has no meaning for some venues: and for which.
SKIPS = {
    "needs_a_venue_that_waits": lambda traits: traits.trades_at_once,
    "needs_stops_that_open": lambda traits: not traits.stops_may_open,
}


@cache
def _tree(name: str) -> ast.Module:
    """A file below tests/."""
    return ast.parse((TESTS / name).read_text(encoding="utf-8"))


def _tests_in(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for each in ast.walk(node):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_"):
            yield each


def _classes(name: str) -> list[ast.ClassDef]:
    return [node for node in _tree(name).body if isinstance(node, ast.ClassDef)]


CASES = {case.name: case for name in CONTRACTS for case in _tests_in(_tree(name))}


def _runs_for(case: str, venue: str) -> bool:
    """Whether a case of the contract is not skipped for a venue by its traits."""
    said = {node.attr for node in ast.walk(CASES[case]) if isinstance(node, ast.Attribute)}
    return not any(is_skipped(TRAITS[venue]) for need, is_skipped in SKIPS.items() if need in said)


@cache
def _names(name: str) -> frozenset[str]:
    """The tests of a file below tests/, none where there is no such file."""
    return frozenset(each.name for each in _tests_in(_tree(name))) if (TESTS / name).is_file() else frozenset()


def _exists(test: str) -> bool:
    name, _, function = test.partition("::")
    return function in _names(name)


def _problems(rule: dict[str, Any], venue: str) -> Iterator[str]:
    """What is wrong with the answer of a rule for a venue."""
    answer: dict[str, Any] = rule.get(venue, {})
    for word in sorted(answer.keys() - {"done", "exempt"}):
        yield f"says {word!r} ({answer[word]}): write the test, or an exemption that is true"
    proofs = [*answer.get("done", ()), *(rule.get("shared", ()) if venue in REMOTE else ())]
    cases = [case for case in rule.get("contract", ()) if case in CASES and _runs_for(case, venue)]
    reason = answer.get("exempt")
    if reason is None and not proofs and not cases:
        yield "has neither a test that runs for it nor a reason for an exemption"
    if reason is not None and len(reason.strip()) < SHORTEST_REASON:
        yield f"is exempt without a reason ({reason!r})"
    if reason is not None and (answer.get("done") or cases):
        yield "is exempt, and proven all the same"
    for other in TRAITS.keys() - {venue}:
        yield from (f"is proven by a test of {other}: {test}" for test in answer.get("done", ()) if f"/{other}" in test)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["name"])
def test_a_rule_has_a_true_answer_for_every_venue(rule: dict[str, Any]) -> None:
    """Proven by a test that exists and runs for the venue, or exempt with a reason."""
    assert WORDS >= rule.keys(), f"unknown: {sorted(rule.keys() - WORDS)}"
    named = [test for venue in TRAITS for test in rule.get(venue, {}).get("done", ())]
    assert [] == [test for test in (*named, *rule.get("shared", ())) if not _exists(test)]
    assert [] == [case for case in rule.get("contract", ()) if case not in CASES]
    assert [] == [f"{venue}: {problem}" for venue in TRAITS for problem in _problems(rule, venue)]


def test_rules_are_named_once_and_cover_the_demands() -> None:
    """Every code of the chapters on venues and market data is drawn on by a rule."""
    names = [rule["name"] for rule in RULES]
    assert sorted(set(names)) == sorted(names)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in names)
    assert all(rule["says"].endswith(".") and rule["of"] for rule in RULES)
    assert set() == CODES - {code for rule in RULES for code in rule["of"]}


def test_every_case_of_the_contract_belongs_to_a_rule() -> None:
    """A new case is placed under the rule that it proves."""
    placed = {case for rule in RULES for case in rule.get("contract", ())}
    assert [] == sorted(CASES.keys() - placed)


@pytest.mark.parametrize("venue", TRAITS)
def test_every_venue_runs_the_whole_contract(venue: str) -> None:
    """A class of its own for each class of the contract."""
    title = f"Test{venue.title()}"
    bases = [
        base.id
        for node in _classes(RUNS[venue])
        if node.name.startswith(title)
        for base in node.bases
        if isinstance(base, ast.Name)
    ]
    contracts = [node.name for name in CONTRACTS for node in _classes(name) if any(_tests_in(node))]
    assert sorted(contracts) == sorted(base for base in bases if base.endswith("Contract"))


def test_every_way_to_skip_a_case_is_known_here() -> None:
    """A case is skipped by its words alone, and this check knows for whom."""
    said = {
        node.attr
        for case in CASES.values()
        for node in ast.walk(case)
        if isinstance(node, ast.Attribute) and (node.attr.startswith("needs_") or node.attr == "skip")
    }
    assert set(SKIPS) == said


BAD_ANSWERS: list[tuple[dict[str, Any], str]] = [
    ({}, "has neither"),
    ({"contract": ["test_a_candle_without_volume_fills_nothing"]}, "has neither"),
    ({"bingx": {"missing": "not written yet"}}, "says 'missing'"),
    ({"bingx": {"exempt": "because"}}, "without a reason"),
    ({"bingx": {"exempt": "there is no such thing here"}, "contract": ["test_an_unknown_client_id_is_none"]}, "proven"),
    ({"bingx": {"done": ["unit/venues/zoomex/test_codec.py::test_each_status_is_a_state"]}}, "test of zoomex"),
]


@pytest.mark.parametrize(("rule", "told"), BAD_ANSWERS)
def test_an_answer_that_is_none_is_noticed(rule: dict[str, Any], told: str) -> None:
    """Nothing, a case that the venue skips, an admission, a phrase, a contradiction, somebody else's proof."""
    assert any(told in problem for problem in _problems(rule, "bingx"))


def test_a_test_that_is_not_there_is_noticed() -> None:
    """By its file and by its name."""
    assert _exists("contract/venue_contract.py::test_an_unknown_client_id_is_none")
    assert not _exists("contract/venue_contract.py::test_no_such_thing")
    assert not _exists("contract/no_such_file.py::test_an_unknown_client_id_is_none")


def test_the_page_shows_the_table() -> None:
    """docs/conformance.md is what docs/make_conformance.py makes of it."""
    done = subprocess.run([sys.executable, "docs/make_conformance.py", "--check"], cwd=ROOT, check=False)
    assert 0 == done.returncode, "run python docs/make_conformance.py"
