"""The STOP file and `resume`, with real processes: what stops entries, and what lets them happen again."""

import signal
import stat
import time
from pathlib import Path
from typing import Any

from e2e_tools import (
    ask,
    audit_failures,
    call,
    entries,
    eventually,
    files_of,
    journal,
    moves,
    running,
    send,
    write_config,
    write_market,
)

Arguments = list[str | Path]


def _base(folder: Path, acts: str, **changes: Any) -> Arguments:
    config = write_config(folder, **changes)
    market = write_market(folder / f"{len(acts)}.csv", acts)
    return ["run", "--config", config, "--replay", f"SOLUSDT={market}", "--state", folder / "state"]


def _gated_after(state: Path, seq: int) -> int:
    """Signals that the kill switch refused after a record."""
    seen = [item.body for item in journal(state, "SignalSeen") if item.seq > seq]
    return sum(body["fate"] == "gated" and "kill switch at NO_ENTRY" in body["reason"] for body in seen)


def test_stop_ends_entries_within_a_second_until_it_is_gone_and_an_operator_resumes(tmp_path: Path) -> None:
    """Touching the file latches; removing it changes nothing; `resume` is refused before and works after."""
    stop, state = tmp_path / "STOP", tmp_path / "state"
    with running([*_base(tmp_path, "w" * 60), "--speed", "1200"]) as engine:
        eventually(lambda: moves(state, "CLOSED"), engine)
        stop.touch()
        touched = time.monotonic()
        (stopped,) = eventually(lambda: journal(state, "ControlChanged"), engine, pause_s=0.01)
        assert time.monotonic() - touched < 1
        assert ("NO_ENTRY", f"{stop} is there") == (stopped.body["level"], stopped.body["reason"])

        seen = ask("status", state)
        assert ("halted", engine.pid) == (seen["state"], seen["pid"])
        assert ("NO_ENTRY", f"{stop} is there") == (seen["kill_switch"]["level"], seen["kill_switch"]["reason"])
        assert 0o600 == stat.S_IMODE((state / "control.sock").stat().st_mode)
        refused = call("resume", "--state", state)
        assert (3, "", f"error: {stop} is still there; remove it first\n") == refused

        eventually(lambda: _gated_after(state, stopped.seq), engine)
        stop.unlink()
        gone_at = journal(state)[-1].seq
        eventually(lambda: _gated_after(state, gone_at) >= 2, engine)
        assert [stopped] == journal(state, "ControlChanged")
        assert [] == [item for item in entries(state) if item.seq > stopped.seq]

        resumed = call("resume", "--state", state, "--actor", "ann")
        assert (0, "") == (resumed.code, resumed.err)
        assert resumed.out.startswith("resumed (kill switch was at NO_ENTRY)")
        released = journal(state, "ControlChanged")[-1]
        assert ("RUN", "ann") == (released.body["level"], released.body["actor"])
        eventually(lambda: [item for item in entries(state) if item.seq > released.seq], engine)
        assert [] == [item for item in entries(state) if stopped.seq < item.seq < released.seq]
        assert 0 == send(engine, signal.SIGTERM).code
    assert [] == audit_failures(state)


def test_the_word_flatten_in_the_file_closes_positions(tmp_path: Path) -> None:
    """An open position is closed at the market and said to have been closed by the kill switch."""
    state = tmp_path / "state"
    with running([*_base(tmp_path, "h" + "-" * 60), "--speed", "1200"]) as engine:
        eventually(lambda: moves(state, "OPEN"), engine)
        (tmp_path / "STOP").write_text("flatten\n", encoding="utf-8")
        eventually(lambda: moves(state, "CLOSED"), engine)
        assert "FLATTEN" == journal(state, "ControlChanged")[-1].body["level"]
        assert 0 == send(engine, signal.SIGTERM).code
    (trade,) = ask("trades", state)
    assert "kill_switch" == trade["close_reason"]
    assert ("halted", 0, 0) == tuple(ask("status", state)[key] for key in ("state", "open_positions", "pending_orders"))
    assert [] == audit_failures(state)


def test_a_flat_start_beside_the_file_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    """Exit 3 and one line that says what to do, on a fresh state and on one that has traded."""
    base, stop, state = _base(tmp_path, "w"), tmp_path / "STOP", tmp_path / "state"
    stop.touch()
    assert (3, "", f"error: {stop} is present; remove it to start\n") == call(*base)
    assert not state.exists()
    stop.unlink()
    assert 0 == call(*base).code
    before = files_of(state)
    stop.touch()
    again = call(*base)
    assert (3, "") == (again.code, again.out)
    assert f"error: {stop} is present; remove it, then run `trading-engine resume`\n" == again.err
    assert before == files_of(state)


def test_a_start_beside_the_file_with_a_position_open_manages_its_exit_only(tmp_path: Path) -> None:
    """The stop still fills and no entry is made; the latch holds until `resume`, which the engine need not hear."""
    stop, state = tmp_path / "STOP", tmp_path / "state"
    assert 0 == call(*_base(tmp_path, "h")).code
    (held,) = ask("positions", state)
    assert ("OPEN", True) == (held["state"], held["stop_confirmed"])

    stop.touch()
    assert 0 == call(*_base(tmp_path, "h-vww")).code
    (trade,) = ask("trades", state)
    assert ("stop", held["position_id"]) == (trade["close_reason"], trade["position_id"])
    (stopped,) = journal(state, "ControlChanged")
    assert "NO_ENTRY" == stopped.body["level"]
    assert 2 == _gated_after(state, stopped.seq)
    assert 1 == len(entries(state))

    config = tmp_path / "config.yaml"
    refused = call("resume", "--state", state, "--config", config)
    assert (3, "", f"error: {stop} is still there; remove it, then resume\n") == refused
    stop.unlink()
    longer = _base(tmp_path, "h-vwww")
    latched = call(*longer)
    assert (3, "") == (latched.code, latched.out)
    assert (
        f"error: kill switch at NO_ENTRY ({stop} is there); run `trading-engine resume` to release it\n" == latched.err
    )

    assert 0 == call("resume", "--state", state, "--config", config).code
    assert "stopped" == ask("status", state)["state"]
    assert 0 == call(*longer).code
    assert 2 == len(entries(state))
    assert [] == audit_failures(state)
