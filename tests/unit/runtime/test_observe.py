"""What goes on beside the trading path: the disk becomes an event, figures are kept, a heartbeat has to be earned."""

import asyncio
import time
from pathlib import Path

import pytest
from fakes.databases import fresh
from fakes.live_rig import MINUTE, START, LiveRig, live

from trading_engine.config.model import Config
from trading_engine.domain.records import AlertRaised
from trading_engine.runtime.health import LONGEST_SILENCE_MS
from trading_engine.runtime.observe import Observer
from trading_engine.store.measuring import KEPT_MS, Measured
from trading_engine.store.read_models import Reader
from trading_engine.store.sql_store import SqlStore
from trading_engine.system.state_dir import StateDir

CONFIG = Config.model_validate({"mode": "paper", "symbols": ["BTCUSDT"], "strategies": [{"name": "trend_vwap"}]})


class Desk:
    """An observer of a rig's pump, with a database of its own for the figures."""

    def __init__(self, folder: Path, store: SqlStore, config: Config = CONFIG) -> None:
        self.rig = LiveRig()
        handle = self.rig.session.handle
        self.observer = Observer(config, StateDir(folder), store, self.rig.pump, self.rig.clock, handle, "run-1")


def test_a_heartbeat_is_earned_by_candles_and_lost_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that runs proves nothing."""
    now_s = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])

    async def talk() -> None:
        with SqlStore.open(fresh(tmp_path)) as store:
            desk = Desk(tmp_path, store)
            await desk.rig.begin()
            assert desk.observer.is_deciding()
            now_s[0] += LONGEST_SILENCE_MS / 1000 + 1
            assert not desk.observer.is_deciding()
            checks = {check.name: check.ok for check in desk.observer.health().checks}
            assert not checks["decisions"]
            assert not desk.observer.health().is_alive
            desk.rig.feed.close(1_000, START + MINUTE)
            assert desk.observer.is_deciding()
            assert desk.observer.health().is_ready
            await desk.rig.end()

    live(talk)


def test_a_disk_that_is_nearly_full_is_told_by_the_core(tmp_path: Path) -> None:
    """Measured where the state lies; this one wants more than any disk has."""
    config = Config.model_validate({**CONFIG.model_dump(), "alerts": {"disk_free_mb": 1_000_000}})

    async def talk() -> None:
        with SqlStore.open(fresh(tmp_path)) as store:
            desk = Desk(tmp_path, store, config)
            session = asyncio.ensure_future(desk.rig.session.run())
            await asyncio.sleep(0.05)
            desk.observer.start(watches_disk=True)
            for _ in range(500):
                if desk.rig.pump.state.market.host.disk_free_mb is not None:
                    break
                await asyncio.sleep(0.01)
            assert {"measurements", "disk"} == {item.name for item in desk.observer.supervisor.components}
            await desk.observer.stop()
            desk.rig.session.stop("test")
            await session
            free_mb = desk.rig.pump.state.market.host.disk_free_mb
            assert free_mb is not None
            assert 0 < free_mb < 1_000_000_000

    asyncio.run(talk())


def test_a_part_that_fails_becomes_an_alert(tmp_path: Path) -> None:
    """By way of the core, like all others."""

    async def breaks() -> None:
        raise OSError("boom")

    async def talk() -> None:
        with SqlStore.open(fresh(tmp_path)) as store:
            desk = Desk(tmp_path, store)
            await desk.rig.begin()
            desk.observer.supervisor.start("thing", breaks)
            await asyncio.sleep(0.1)
            told = [record.text for record in desk.rig.records if isinstance(record, AlertRaised)]
            assert "thing has failed (OSError: boom); begun anew, for the 1. time" in told
            await desk.observer.stop()
            await desk.rig.end()

    live(talk)


def test_figures_are_kept_once_each_and_for_three_months(tmp_path: Path) -> None:
    """Counts and means are of everything since the last time; what is old goes."""
    path = fresh(tmp_path)

    async def talk() -> None:
        with SqlStore.open(path) as store:
            store.measure(1_000, "old", [Measured("memory", 1, 1, 1, 1)])
            desk = Desk(tmp_path, store)
            for took_ms in [10] * 98 + [50, 100]:
                desk.observer.telemetry.on_call("submit", took_ms)
            desk.observer.keep()
            desk.observer.telemetry.on_call("submit", 7)
            desk.observer.keep()

    asyncio.run(talk())
    with Reader.open(path) as reader:
        rows = [item.measured for item in reader.measured(name="call.submit")]
        assert [Measured("call.submit", 1, 7, 7, 7), Measured("call.submit", 100, 11.3, 100, 100)] == rows
        assert {"run-1"} == {item.run_id for item in reader.measured(name="memory")}
        newest = reader.measured(1)[0].ts_ms
        assert newest - KEPT_MS > 1_000
