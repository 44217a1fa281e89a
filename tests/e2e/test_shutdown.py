"""SIGTERM and SIGINT: an orderly end, and a restart that goes on where it stopped."""

import signal
from pathlib import Path
from typing import Any

import pytest
from e2e_tools import (
    ask,
    audit_failures,
    call,
    eventually,
    journal,
    moves,
    query,
    read,
    running,
    send,
    write_config,
    write_market,
)

SEED = ["--seed", "7"]  # equal epochs, so that equal runs give equal order ids


def _base(folder: Path, acts: str, **changes: Any) -> list[str | Path]:
    config, market = write_config(folder, **changes), write_market(folder / "market.csv", acts)
    return ["run", "--config", config, "--replay", f"SOLUSDT={market}", *SEED]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_ends_the_run_and_keeps_positions_behind_their_stops(tmp_path: Path, number: signal.Signals) -> None:
    """Exit 0 with the end in the journal; the next run goes on, to the trades of a run that was never stopped."""
    base, state = _base(tmp_path, "h--vwl"), tmp_path / "state"
    with running([*base, "--state", state, "--speed", "1200"]) as engine:
        eventually(lambda: moves(state, "OPEN"), engine)
        done = send(engine, number)
    assert 0 == done.code, done.err
    assert "Traceback" not in done.err
    assert number.name == journal(state, "RunEnded")[-1].body["reason"]
    assert [(number.name,)] == query(state, "SELECT how FROM runs")
    (held,) = ask("positions", state)
    assert ("OPEN", True) == (held["state"], held["stop_confirmed"])
    (stop,) = [order for order in ask("orders", state) if order["purpose"] == "stop"]
    assert ("ACKED", held["quantity"], True) == (stop["state"], stop["quantity"], stop["reduce_only"])
    assert not (state / "control.sock").exists()
    stopped_at = ask("status", state)["last_candle"]

    assert 0 == call(*base, "--state", state).code
    assert stopped_at < ask("status", state)["last_candle"]
    assert 0 == call(*base, "--state", tmp_path / "unbroken").code
    broken, unbroken = (read("trades", "--json", "--state", folder) for folder in (state, tmp_path / "unbroken"))
    assert unbroken == broken
    assert 3 == len(ask("trades", state))
    assert [] == audit_failures(state)


def test_where_it_is_asked_for_a_signal_closes_positions_first(tmp_path: Path) -> None:
    """With `on_shutdown: flatten` the process leaves flat; the next start may trade at once."""
    base, state = _base(tmp_path, "h---w", on_shutdown="flatten"), tmp_path / "state"
    with running([*base, "--state", state, "--speed", "1200"]) as engine:
        eventually(lambda: moves(state, "OPEN"), engine)
        done = send(engine, signal.SIGTERM)
    assert 0 == done.code, done.err
    (trade,) = ask("trades", state)
    assert "operator" == trade["close_reason"]
    seen = ask("status", state)
    assert ("stopped", 0, 0) == (seen["state"], seen["open_positions"], seen["pending_orders"])

    assert 0 == call(*base, "--state", state).code
    assert ["target", "operator"] == [trade["close_reason"] for trade in ask("trades", state)]
    assert [] == audit_failures(state)
