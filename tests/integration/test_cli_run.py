"""`run` as a person starts it: a process of its own, on a small synthetic market."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

CONFIG = """\
mode: paper
symbols: [BTCUSDT]
strategies:
  - name: trend_vwap
demo: {seed: 7, candles: 400}
logging: {level: WARNING}
"""


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "trading_engine", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a configuration."""
    (tmp_path / "demo.yaml").write_text(CONFIG)
    return tmp_path


def test_a_run_ends_with_the_data_and_a_summary(folder: Path) -> None:
    """Exit 0; standard output is the summary alone, and a second run finds nothing left to do."""
    done = call(folder, "run", "--config", "demo.yaml", "--speed", "max", "--seed", "7")
    assert (0, "") == (done.returncode, done.stderr)
    lines = done.stdout.splitlines()
    assert " start balance  1,000.00" == lines[1]
    assert f"up to 2025-01-01 06:40:00 UTC · state in {folder / 'state'}" in lines[-1]
    again = call(folder, "run", "--config", "demo.yaml", "--speed", "max", "--seed", "7")
    assert (0, done.stdout) == (again.returncode, again.stdout)
    assert again.stderr.startswith("warning: nothing new: ")
    shown = call(folder, "status", "--json")
    assert "stopped" == json.loads(shown.stdout)["state"]


def test_a_dry_run_checks_and_writes_nothing(folder: Path) -> None:
    """The plan is printed and no state directory is made."""
    done = call(folder, "run", "--config", "demo.yaml", "--dry-run")
    assert (0, "") == (done.returncode, done.stderr)
    assert "dry run: would run on" in done.stdout.splitlines()[-1]
    assert ["demo.yaml"] == [item.name for item in folder.iterdir()]


WATCHED = CONFIG.replace("trend_vwap", "multi_timeframe_long").replace("candles: 400", "candles: 3000")


def test_signals_only_writes_down_what_would_have_been_ordered(folder: Path) -> None:
    """Nothing is traded; summary, `status`, `signals` and the log say so, and the audit finds nothing amiss."""
    (folder / "demo.yaml").write_text(WATCHED.replace("WARNING", "INFO"))
    done = call(folder, "run", "--config", "demo.yaml", "--signals-only", "--seed", "7")
    assert (0, "") == (done.returncode, done.stderr)
    withheld = json.loads(call(folder, "signals", "--fate", "withheld", "--json").stdout)
    assert withheld
    assert f"signals only: {len(withheld)} entries would have been made, nothing was sent" in done.stdout
    for item in withheld:
        order = item["would_order"]
        assert float(order["stop"]) < float(order["entry"]) < float(order["target"])
        assert float(order["quantity"]) > 0
    status = json.loads(call(folder, "status", "--json").stdout)
    assert (True, 0, 0) == (status["signals_only"], status["counts"]["orders"], status["counts"]["positions"])
    assert "stopped paper, signals only · embedded" in call(folder, "status").stdout
    assert "signals only: nothing is sent" in (folder / "state/logs/engine.jsonl").read_text().splitlines()[0]
    assert 0 == call(folder, "audit").returncode


def test_a_state_passes_from_watching_to_trading_while_it_is_flat_and_not_back_before(folder: Path) -> None:
    """A trading run goes on with it; with its position open a run that sends nothing is refused in one line, exit 3."""
    watched = ("run", "--config", "demo.yaml", "--signals-only", "--seed", "7")
    (folder / "demo.yaml").write_text(WATCHED)
    assert 0 == call(folder, *watched, "--state", "elsewhere").returncode
    first = json.loads(call(folder, "signals", "--state", "elsewhere", "--json").stdout)[-1]
    minutes = int((datetime.fromisoformat(first["candle"]) - datetime(2025, 1, 1, tzinfo=UTC)).total_seconds() // 60)
    (folder / "demo.yaml").write_text(WATCHED.replace("3000", str(minutes - 10)))
    assert 0 == call(folder, *watched).returncode
    (folder / "demo.yaml").write_text(WATCHED.replace("3000", str(minutes + 3)))
    assert 0 == call(folder, "run", "--config", "demo.yaml", "--seed", "7").returncode
    status = json.loads(call(folder, "status", "--json").stdout)
    assert (False, 1) == (status["signals_only"], status["open_positions"])
    refused = call(folder, *watched)
    assert 3 == refused.returncode
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: BTCUSDT has a position, which a run that sends nothing cannot protect; ")
    assert 1 == json.loads(call(folder, "status", "--json").stdout)["open_positions"]


def test_an_unknown_fate_is_a_usage_error(folder: Path) -> None:
    """All that there are stand in the line."""
    done = call(folder, "signals", "--fate", "entered")
    assert 2 == done.returncode
    assert done.stderr.startswith("error: --fate entered: there is no such fate (known: taken, ")
