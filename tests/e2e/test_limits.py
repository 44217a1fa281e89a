"""Limits that trip in a market made to lose, and stay tripped across SIGKILL and restart."""

import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from e2e_tools import (
    NO_LIMITS,
    START_MS,
    Entry,
    ask,
    audit_failures,
    call,
    entries,
    eventually,
    journal,
    moves,
    running,
    send,
    write_config,
    write_market,
)

from trading_engine.domain.time import DAY_MS, HOUR_MS, parse_iso

EVENING_MS = START_MS + 20 * HOUR_MS
MIDNIGHT_MS = START_MS + DAY_MS


class Case(NamedTuple):
    """A limit, the settings that let two losses trip it, and how long the market goes on losing."""

    limit: str
    risk: dict[str, Any]
    acts: int


DAILY_LOSS = Case("daily_loss", {"max_daily_loss_pct": "0.4"}, 14)
STREAK = Case("losing_streak", {"max_consecutive_losses": 2, "streak_pause_hours": 2}, 12)
DRAWDOWN = Case("drawdown", {"max_drawdown_pct": "0.4"}, 8)


def _arguments(folder: Path, case: Case) -> list[str | Path]:
    config = write_config(folder, risk={**NO_LIMITS, **case.risk})
    market = write_market(folder / "losses.csv", "l" * case.acts, EVENING_MS)
    return ["run", "--config", config, "--replay", f"SOLUSDT={market}", "--state", folder / "state"]


def _killed_after_the_trip(arguments: list[str | Path], state: Path) -> Entry:
    """Run until the limit has tripped and its last position is closed, then SIGKILL; the record of the trip."""
    with running([*arguments, "--speed", "3000"]) as engine:
        (tripped,) = eventually(lambda: journal(state, "LimitTripped"), engine)
        eventually(lambda: len(moves(state, "CLOSED")) == len(entries(state)), engine)
        assert -signal.SIGKILL == send(engine, signal.SIGKILL).code
    assert 2 == len(entries(state))
    return tripped


def _row(state: Path, limit: str) -> dict[str, Any]:
    (row,) = [row for row in ask("risk", state) if row["limit"] == limit]
    return dict(row)


def _reasons(state: Path) -> list[str]:
    """What stands against an entry, besides that nobody runs to make one."""
    (gate,) = ask("status", state)["gates"]
    *reasons, last = gate["reasons"]
    assert (False, "no engine runs") == (gate["ok"], last)
    return reasons


@pytest.mark.parametrize("case", [DAILY_LOSS, STREAK], ids=lambda case: case.limit)
def test_a_limit_with_an_end_stops_entries_until_then_whatever_happens_to_the_process(
    tmp_path: Path, case: Case
) -> None:
    """Tripped by two losses, still so after SIGKILL and a restart; signals are refused until the reset, not after."""
    state, arguments = tmp_path / "state", _arguments(tmp_path, case)
    tripped = _killed_after_the_trip(arguments, state)
    until_ms = MIDNIGHT_MS if case is DAILY_LOSS else tripped.ts_ms + 2 * HOUR_MS
    assert (case.limit, until_ms) == (tripped.body["limit"], tripped.body["until_ms"])

    row = _row(state, case.limit)
    assert (True, until_ms) == (row["tripped"], parse_iso(row["resets_at"]))
    assert [] == [reason for reason in _reasons(state) if not reason.startswith(f"{case.limit}: ")]
    assert 1 == len(_reasons(state))

    assert 0 == call(*arguments).code
    later = [item for item in entries(state) if item.seq > tripped.seq]
    assert later
    assert until_ms <= min(item.ts_ms for item in later)
    seen = [item for item in journal(state, "SignalSeen") if tripped.ts_ms < item.ts_ms < until_ms]
    assert len(seen) >= 4
    assert {"gated"} == {item.body["fate"] for item in seen}
    assert all(item.body["reason"].startswith(f"{case.limit}: ") for item in seen)
    assert [] == audit_failures(state)


def test_a_drawdown_stops_until_an_operator_resumes(tmp_path: Path) -> None:
    """The latch survives SIGKILL, a flat start is refused, `resume` counts the peak anew."""
    state, arguments = tmp_path / "state", _arguments(tmp_path, DRAWDOWN)
    tripped = _killed_after_the_trip(arguments, state)
    assert ("drawdown", 0) == (tripped.body["limit"], tripped.body["until_ms"])

    row = _row(state, "drawdown")
    assert (True, None) == (row["tripped"], row["resets_at"])
    switch, *rest = _reasons(state)
    assert switch.startswith("kill switch at NO_ENTRY: drawdown: ")
    assert [f"drawdown: {row['value']} of {row['threshold']}"] == rest
    seen = ask("status", state)
    assert ("halted", 0) == (seen["state"], seen["open_positions"])
    assert seen["kill_switch"]["reason"].startswith("drawdown: ")

    refused = call(*arguments)
    assert (3, "", 1) == (refused.code, refused.out, refused.err.count("\n"))
    assert "kill switch at NO_ENTRY (drawdown: " in refused.err
    assert "run `trading-engine resume`" in refused.err
    assert 2 == len(entries(state))

    assert 0 == call("resume", "--state", state, "--config", tmp_path / "config.yaml").code
    assert ([], []) == (ask("risk", state), ask("status", state)["gates"])  # not judged yet
    assert 0 == call(*arguments).code
    assert 4 == len(entries(state))  # two more losses, and it stands again
    assert ["drawdown", "drawdown"] == [item.body["limit"] for item in journal(state, "LimitTripped")]
    assert [] == audit_failures(state)
