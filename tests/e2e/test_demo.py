"""The demo from start to end: a whole life of many positions, and money that adds up to the last digit."""

import json
import sqlite3
from collections import defaultdict
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e_tools import ROOT, Done, ask, audit_failures, call, journal, query, read

CANDLES = 4_000
SEED = ["--seed", "7"]

pytestmark = pytest.mark.xdist_group("demo")  # one run for all of them


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Done]:
    """Configuration, state and outcome of a run of the demo on a shorter market."""
    folder = tmp_path_factory.mktemp("demo")
    values = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8"))
    values["demo"]["candles"] = CANDLES
    values["kill_switch"] = {"file": str(folder / "STOP")}
    config = folder / "demo.yaml"
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    state = folder / "state"
    return config, state, call("run", "--config", config, "--state", state, *SEED)


def _exchange(state: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of the embedded exchange's memory."""
    with closing(sqlite3.connect(f"file:{state / 'paper.db'}?mode=ro", uri=True)) as connection:
        tables = ("orders", "trades", "incomes", "symbols", "progress")
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in tables}


def test_the_demo_ends_well_and_says_what_it_came_to(demo: tuple[Path, Path, Done]) -> None:
    """Exit 0, nothing on stderr, a summary whose figures are those of the read commands."""
    _, state, done = demo
    assert (0, "") == (done.code, done.err)
    found = ask("trades", state)
    assert len(found) > 5
    won = sum(Decimal(trade["net_pnl"]) > 0 for trade in found)
    lines = {" ".join(line.split()) for line in done.out.splitlines()}
    final = Decimal(ask("status", state)["balance"])
    assert "start balance 1,000.00" in lines
    assert any(line.startswith(f"final balance {final:,.2f} ") for line in lines)
    assert any(line.startswith(f"trades {len(found)} {won} won, {len(found) - won} lost") for line in lines)
    assert " ".join(done.out.split()).endswith(f"· up to 2025-01-03 18:40:00 UTC · state in {state}")


def test_every_closed_position_has_passed_all_four_states(demo: tuple[Path, Path, Done]) -> None:
    """The journal tells PENDING, OPEN, CLOSING, CLOSED of each, in this order."""
    _, state, _ = demo
    lives: dict[str, list[str]] = defaultdict(list)
    for item in journal(state, "PositionOpened", "PositionAdvanced"):
        if item.kind == "PositionOpened":
            lives[item.body["position"]["position_id"]].append(item.body["position"]["state"])
        else:
            assert lives[item.body["position_id"]][-1] == item.body["source"]
            lives[item.body["position_id"]].append(item.body["target"])
    closed = {trade["position_id"] for trade in ask("trades", state)}
    assert closed
    assert {("PENDING", "OPEN", "CLOSING", "CLOSED")} == {tuple(lives[position]) for position in closed}


def test_the_ledger_is_the_wallet_to_the_last_digit(demo: tuple[Path, Path, Done]) -> None:
    """Audit ok; rows add up to each trade's net, and all of them with the deposit to the exchange's wallet."""
    _, state, _ = demo
    assert [] == audit_failures(state)
    rows = query(state, "SELECT kind, amount, position_id FROM pnl")
    sums: dict[str | None, Decimal] = defaultdict(Decimal)
    for _, amount, position_id in rows:
        sums[position_id] += Decimal(amount)
    for trade in ask("trades", state):
        assert sums[trade["position_id"]] == Decimal(trade["net_pnl"])
        parts = Decimal(trade["gross_pnl"]) - Decimal(trade["fees"]) + Decimal(trade["funding"])
        assert parts == Decimal(trade["net_pnl"])
    assert [Decimal(1_000)] == [Decimal(amount) for kind, amount, _ in rows if kind == "transfer"]
    (progress,) = _exchange(state)["progress"]
    wallet = Decimal(json.loads(progress[1])["wallet_e8"]).scaleb(-8)
    assert wallet == sum(sums.values())
    assert wallet == Decimal(ask("status", state)["balance"])


def test_equal_seeds_give_equal_trades(demo: tuple[Path, Path, Done], tmp_path: Path) -> None:
    """A second run on a fresh state prints the same bytes."""
    config, state, _ = demo
    assert 0 == call("run", "--config", config, "--state", tmp_path / "again", *SEED).code
    first, again = (read("trades", "--json", "--state", folder) for folder in (state, tmp_path / "again"))
    assert (0, first.out) == (again.code, again.out)


def test_running_again_on_a_finished_state_does_nothing(demo: tuple[Path, Path, Done]) -> None:
    """Exit 0 with the same summary and a word on it; the journal gains start and end of a run, the exchange nothing."""
    config, state, done = demo
    last_seq, exchange = journal(state)[-1].seq, _exchange(state)
    again = call("run", "--config", config, "--state", state, *SEED)
    assert (0, done.out, 1) == (again.code, again.out, again.err.count("\n"))
    assert again.err.startswith("warning: nothing new: the data ends at 2025-01-03T18:40:00.000Z")
    added = {item.kind for item in journal(state) if item.seq > last_seq}
    assert {"RunStarted", "RunEnded", "AlertRaised"} == added
    assert exchange == _exchange(state)
