"""`arm`: on a terminal by the sentence, shown, and taken back."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from e2e_tools import ROOT

from trading_engine.cli.main import main

LIVE = """
mode: live
venue: binance
account: main
symbols: [BTCUSDT]
strategies: [{name: trend_vwap}]
credentials: {key: "${BINANCE_KEY}", secret: "${BINANCE_SECRET}"}
"""


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A live configuration whose key is in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BINANCE_KEY", "fake-key")
    monkeypatch.setenv("BINANCE_SECRET", "fake-secret")
    path = tmp_path / "live.yaml"
    path.write_text(LIVE)
    return path


def typed(words: str, *arguments: str) -> tuple[int, str]:
    """Run a command on a terminal of its own, type `words`; exit code and screen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "trading_engine", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(theirs)
    os.write(ours, f"{words}\n".encode())
    screen = b""
    try:
        while part := os.read(ours, 4096):
            screen += part
    except OSError:  # the other end has closed
        pass
    os.close(ours)
    return process.wait(60), screen.decode()


def test_the_sentence_typed_on_a_terminal_arms(live: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Any other word does not; what was armed is shown, also as JSON, and a change is named with exit 3."""
    state = str(live.parent / "state")
    code, screen = typed("yes", "arm", "--config", str(live), "--state", state)
    assert (3, True) == (code, "not acknowledged; nothing was done" in screen)
    assert not Path(state, "arming.json").exists()
    code, screen = typed("I UNDERSTAND THE RISKS", "arm", "--config", str(live), "--state", state)
    assert (0, True) == (code, "armed: binance/main with" in screen)
    capsys.readouterr()
    assert 0 == main(["arm", "--show", "--config", str(live), "--state", state])
    assert f"{live} may start without a terminal" in capsys.readouterr().out
    live.write_text(f"{LIVE}leverage: 2\n")
    assert 3 == main(["arm", "--show", "--config", str(live), "--state", state])
    assert "leverage 1 → 2" in capsys.readouterr().err
    assert 0 == main(["arm", "--show", "--json", "--state", state])
    shown = json.loads(capsys.readouterr().out)
    assert (True, "binance", "main", None) == (shown["armed"], shown["venue"], shown["account"], shown["matches"])
    assert 0 == main(["arm", "--revoke", "--state", state])
    assert 0 == main(["arm", "--show", "--state", state])
    assert f"disarmed\nnothing is armed in {state}\n" == capsys.readouterr().out


def test_a_script_cannot_arm(live: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody at a terminal is nobody who knows; and `run` names the command."""
    state = str(live.parent / "state")
    assert 3 == main(["arm", "--config", str(live), "--state", state])
    assert "start it from a terminal and type I UNDERSTAND THE RISKS" in capsys.readouterr().err
    assert 3 == main(["run", "--config", str(live), "--state", state])
    assert f"nobody has armed it: run `trading-engine arm --config {live}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["arm"], "arm needs --config FILE"),
        (["arm", "--show", "--revoke"], "--show and --revoke exclude each other"),
    ],
)
def test_what_makes_no_sense_is_a_mistake_of_usage(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2."""
    assert 2 == main(arguments)
    assert said in capsys.readouterr().err


def test_play_money_is_not_armed(live: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so and writes nothing."""
    live.write_text(LIVE.replace("mode: live", "mode: testnet"))
    assert 0 == main(["arm", "--config", str(live), "--state", str(live.parent / "state")])
    assert "mode = testnet, which needs no arming; nothing was written" in capsys.readouterr().out
    assert not (live.parent / "state").exists()
