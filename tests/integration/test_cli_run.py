"""`run` as a person starts it: a process of its own, on a small synthetic market."""

import json
import subprocess
import sys
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
