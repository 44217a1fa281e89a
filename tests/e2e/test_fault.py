"""A commit that the database refuses: the process ends at once, the journal stays whole, a restart recovers."""

import sqlite3
from contextlib import closing
from pathlib import Path

from e2e_tools import (
    ask,
    audit_failures,
    call,
    end_of,
    eventually,
    journal,
    moves,
    read,
    running,
    write_config,
    write_market,
)


def _execute(state: Path, statement: str) -> None:
    """What an engine must never meet: somebody else writes to its database."""
    with closing(sqlite3.connect(state / "engine.db", timeout=5)) as connection:
        connection.execute(statement)
        connection.commit()


def test_a_refused_commit_ends_the_process_and_a_restart_recovers(tmp_path: Path) -> None:
    """Exit 70 with one line that names file and cause; no half of a step is kept; the trades are as undisturbed."""
    config, market = write_config(tmp_path), write_market(tmp_path / "market.csv", "wlhvwl")
    state = tmp_path / "state"
    base: list[str | Path] = ["run", "--config", config, "--replay", f"SOLUSDT={market}", "--seed", "7"]
    with running([*base, "--state", state, "--speed", "1200"]) as engine:
        eventually(lambda: moves(state, "CLOSED"), engine)
        _execute(
            state,
            "CREATE TRIGGER refuse BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'the disk has died'); END",
        )
        done = end_of(engine)
    assert (70, "") == (done.code, done.out), done.err
    fault = done.err.splitlines()[-1]
    assert fault.startswith("error: internal fault, stopped before it costs money: ")
    assert f"{state / 'engine.db'}: a commit of " in fault
    assert "the disk has died" in fault
    assert f"the log is at {state / 'logs' / 'engine.jsonl'}" in fault
    assert "Traceback" not in done.err
    assert "the disk has died" in (state / "logs" / "engine.jsonl").read_text(encoding="utf-8")

    _execute(state, "DROP TRIGGER refuse")
    kept = journal(state)
    assert [item.seq for item in kept] == list(range(1, len(kept) + 1))
    assert [] == audit_failures(state)
    assert "stopped" == ask("status", state)["state"]

    assert 0 == call(*base, "--state", state).code
    assert kept == journal(state)[: len(kept)]
    assert [] == audit_failures(state)
    assert 0 == call(*base, "--state", tmp_path / "undisturbed").code
    disturbed, undisturbed = (
        read("trades", "--json", "--state", folder) for folder in (state, tmp_path / "undisturbed")
    )
    assert undisturbed == disturbed
    assert 5 == len(ask("trades", state))
