"""What a process says of itself, and what it does when its terminal, or systemd, hangs up."""

import asyncio
import io
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.replay_rig import Rig, Tape

from trading_engine.config.model import Config
from trading_engine.core.state import EngineState
from trading_engine.domain.control import Control, Level
from trading_engine.domain.errors import VenueUnavailable
from trading_engine.runtime.bootstrap import RunOptions
from trading_engine.runtime.process import Process
from trading_engine.system.state_dir import StateDir

CONFIG = Config.model_validate({"mode": "paper", "symbols": ["BTCUSDT"], "strategies": [{"name": "momentum"}]})


@pytest.fixture
def process(tmp_path: Path) -> Process:
    """One that has not begun."""
    return Process(RunOptions(tmp_path / "x.yaml"), CONFIG, StateDir(tmp_path))


def test_a_process_says_what_it_is_doing(process: Process, tmp_path: Path) -> None:
    """From the start to the end; it is ready once it has reconciled, and stays so."""
    assert ("starting", False, 0) == process.report()[:3]
    rig = Rig(tmp_path, Tape([]))
    process._pump = rig.pump
    assert ("starting: comparing with embedded", False) == process.report()[:2]
    market = rig.pump.state.market
    rig.pump.state = EngineState(rig.pump.state.book, replace(market, is_synced=True))
    assert ("trading BTCUSDT on embedded (paper), flat", True) == process.report()[:2]
    book = replace(rig.pump.state.book, control=Control(Level.NO_ENTRY, "drawdown"))
    rig.pump.state = EngineState(book, replace(market, is_synced=False))
    said = "trading BTCUSDT on embedded (paper), flat, kill switch at NO_ENTRY: drawdown"
    assert (said, True) == process.report()[:2]
    process._stop("SIGTERM")
    assert "stopping (SIGTERM), flat" == process.report().phase


def test_a_process_that_sends_nothing_says_so_and_a_reload_does_not_change_it(tmp_path: Path) -> None:
    """In its status for the service manager; its settings shut the core's last gate whatever the configuration says."""
    process = Process(RunOptions(tmp_path / "x.yaml", signals_only=True), CONFIG, StateDir(tmp_path))
    rig = Rig(tmp_path, Tape([]))
    process._pump = rig.pump
    market = replace(rig.pump.state.market, is_synced=True)
    rig.pump.state = EngineState(rig.pump.state.book, market)
    assert "signals only, sending nothing: BTCUSDT on embedded (paper), flat" == process.report().phase
    assert process._settings(CONFIG, rig.settings.instruments).signals_only
    assert "" == process._may_trade_with(CONFIG.model_copy(update={"mode": "live"}))


def test_every_question_of_a_start_is_a_turn(process: Process) -> None:
    """So that a start that waits for its venue is not taken for one that hangs."""

    async def ask() -> None:
        asked = 0

        async def question() -> str:
            nonlocal asked
            asked += 1
            if asked == 1:
                process._must_stop.set()
                raise VenueUnavailable("away")
            return "here"

        assert await process._wait_for(question) is None

    asyncio.run(ask())
    assert ("starting: reaching embedded", False, 1) == process.report()[:3]


def test_a_service_that_is_hung_up_on_reloads(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """And runs on, whatever is wrong with the new configuration."""
    monkeypatch.setattr("sys.stdin", io.StringIO())

    async def hang_up() -> None:
        process._on_hangup()
        assert process._hangup is not None
        await process._hangup

    asyncio.run(hang_up())
    assert "" == process._stopping


def test_a_terminal_that_goes_away_is_an_orderly_end(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left to look at it."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    process._on_hangup()
    assert ("SIGHUP", True) == (process._stopping, process._must_stop.is_set())
