"""The demo from start to end: a whole life of many positions, and money that adds up to the last digit."""

import json
import sqlite3
from collections import defaultdict
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from e2e_tools import ROOT, Done, ask, audit_failures, call, files_of, journal, query

CANDLES = 5_000
SEED = ["--seed", "7"]


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


pytestmark = pytest.mark.xdist_group("demo")


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
    assert "3 days" in done.out or "2025-01-04 11:20:00 UTC" in done.out


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
    with closing(sqlite3.connect(f"file:{state / 'paper.db'}?mode=ro", uri=True)) as connection:
        (body,) = connection.execute("SELECT body FROM progress").fetchone()
    wallet = Decimal(json.loads(body)["wallet_e8"]).scaleb(-8)
    assert wallet == sum(sums.values())
    assert wallet == Decimal(ask("status", state)["balance"])


def test_equal_seeds_give_equal_trades(demo: tuple[Path, Path, Done], tmp_path: Path) -> None:
    """A second run on a fresh state prints the same bytes; another seed is another market."""
    config, state, _ = demo
    assert 0 == call("run", "--config", config, "--state", tmp_path / "again", *SEED).code
    first, again = (call("trades", "--json", "--state", folder) for folder in (state, tmp_path / "again"))
    assert (0, first.out) == (again.code, again.out)
    assert 0 == call("run", "--config", config, "--state", tmp_path / "other", "--seed", "8").code
    assert first.out != call("trades", "--json", "--state", tmp_path / "other").out


def test_running_again_on_a_finished_state_trades_nothing(demo: tuple[Path, Path, Done]) -> None:
    """Exit 0 with the same summary; the journal gains the start and the end of a run, the exchange nothing."""
    config, state, done = demo
    before, last_seq = files_of(state), journal(state)[-1].seq
    again = call("run", "--config", config, "--state", state, *SEED)
    assert (0, done.out, "") == again
    assert {"RunStarted", "RunEnded", "AlertRaised"} == {
        item.kind for item in journal(state) if item.seq > last_seq
    }
    after = files_of(state)
    assert before is not None
    assert after is not None
    assert before.keys() == after.keys()
    assert [] == audit_failures(state)
