"""What the control socket answers to an operator who switches a strategy."""

import asyncio
from pathlib import Path

import pytest
from fakes.replay_rig import Rig, Tape

from trading_engine.config.model import Config
from trading_engine.runtime.bootstrap import RunOptions
from trading_engine.runtime.control import Answer
from trading_engine.runtime.process import Process
from trading_engine.system.state_dir import StateDir

CONFIG = Config.model_validate({"mode": "paper", "symbols": ["BTCUSDT"], "strategies": [{"name": "momentum"}]})


def ask(process: Process, name: str, *, is_enabled: bool) -> Answer:
    request = {"command": "strategy", "name": name, "enabled": is_enabled, "actor": "alice"}
    return asyncio.run(process._command(request))


def test_a_running_engine_switches_a_strategy_of_its_configuration(tmp_path: Path) -> None:
    """At once and for good; again it says that it is so already."""
    rig = Rig(tmp_path, Tape([]))
    process = Process(RunOptions(tmp_path / "x.yaml"), CONFIG, StateDir(tmp_path))
    process._pump = rig.pump
    off = ask(process, "momentum", is_enabled=False)
    assert (True, ["momentum"]) == (off["ok"], list(rig.pump.state.book.disabled))
    assert "momentum makes no entries from now on" in str(off["message"])
    assert "makes no entries already" in str(ask(process, "momentum", is_enabled=False)["message"])
    assert {"ok": True, "message": "momentum may make entries again"} == ask(process, "momentum", is_enabled=True)
    assert {} == rig.pump.state.book.disabled


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("momentun", "'momentun' is not a strategy of this engine; it has momentum"),
        ("momentum", "the engine is still starting; try again in a moment"),
    ],
)
def test_what_cannot_be_switched_is_refused(tmp_path: Path, name: str, said: str) -> None:
    """A name that it does not have, or too early."""
    process = Process(RunOptions(tmp_path / "x.yaml"), CONFIG, StateDir(tmp_path))
    assert {"ok": False, "message": said} == ask(process, name, is_enabled=False)
