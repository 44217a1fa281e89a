"""Ready after the boot reconciliation, alive by decisions, and never by a loop that merely turns."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.live_rig import BTC, LiveRig, live

from trading_engine.core.state import Market
from trading_engine.domain.errors import InvariantBroken
from trading_engine.domain.events import FeedFault, TimerFired, TimerKind
from trading_engine.runtime import session as session_module
from trading_engine.runtime.service_report import SILENCE_S, Report, ServiceReport, Silence
from trading_engine.system.service_manager import ServiceManager


class Listener:
    """systemd's end."""

    def __init__(self, path: Path) -> None:
        self.address = str(path / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def heard(self) -> list[str]:
        """What was said since the last time."""
        found = []
        with suppress(BlockingIOError):
            while True:
                found.append(self._socket.recv(4096).decode())
        return found


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    """A manager that listens."""
    with closing(Listener(tmp_path)) as made:
        yield made


def test_a_start_asks_for_time_while_it_goes_on_and_is_ready_when_reconciled(listener: Listener) -> None:
    """A start that stands still asks for none; no word of being alive before it is ready."""
    report = Report("starting", is_ready=False, turns=0)
    service_report = ServiceReport(ServiceManager(listener.address, 30), lambda: report)
    service_report.look()
    assert ["STATUS=starting", "EXTEND_TIMEOUT_USEC=120000000"] == listener.heard()
    service_report.look()
    assert [] == listener.heard()
    report = Report("starting: reaching binance", is_ready=False, turns=1)
    service_report.look()
    assert ["STATUS=starting: reaching binance", "EXTEND_TIMEOUT_USEC=120000000"] == listener.heard()
    report = Report("trading", is_ready=True, turns=2)
    service_report.look()
    assert ["STATUS=trading", "READY=1"] == listener.heard()
    service_report.look()
    assert [] == listener.heard()


def test_alive_is_said_for_decisions_only(listener: Listener) -> None:
    """Without one since the last look, or with a feed that has died in silence, the watchdog hears nothing."""
    report = Report("trading", is_ready=True, turns=1)
    service_report = ServiceReport(ServiceManager(listener.address, 30), lambda: report)
    service_report.look()
    listener.heard()
    service_report.look()
    assert [] == listener.heard()
    report = report._replace(turns=2)
    service_report.look()
    assert ["WATCHDOG=1"] == listener.heard()
    report = report._replace(turns=3, why_stuck="no candle")
    service_report.look()
    assert [] == listener.heard()
    report = report._replace(turns=4, why_stuck="")
    service_report.look()
    assert ["WATCHDOG=1"] == listener.heard()


def test_ready_is_said_until_it_was_heard(tmp_path: Path) -> None:
    """A manager whose queue was full is told again."""
    service_report = ServiceReport(ServiceManager(str(tmp_path / "notify")), lambda: Report("trading", True, 1))
    service_report.look()
    with closing(Listener(tmp_path)) as late:
        service_report.look()
        assert ["STATUS=trading", "READY=1"] == late.heard()


@pytest.mark.parametrize(("watchdog_s", "period_s"), [(0, 5.0), (30, 5.0), (3, 1.0), (0.001, 0.05)])
def test_it_looks_three_times_in_a_period_of_the_watchdog(watchdog_s: float, period_s: float) -> None:
    """And every five seconds at the least."""
    service_report = ServiceReport(ServiceManager("@nobody", watchdog_s), lambda: Report("", False, 0))
    assert period_s == service_report.period_s


def test_nobody_to_tell_needs_no_looking() -> None:
    """Without a service manager the task ends at once."""
    asyncio.run(asyncio.wait_for(ServiceReport(ServiceManager(), lambda: Report("", False, 0)).run(), 5))


def test_a_live_market_without_candles_is_stuck_unless_somebody_says_why() -> None:
    """A feed that reports a fault, or a venue that is away, explains itself."""
    now = 0.0
    silence = Silence(now=lambda: now)
    market = Market(closed_ms=60_000)
    assert "" == silence.why(market)
    now += SILENCE_S
    assert "no candle has closed for 300 s, nobody says why" == silence.why(market)
    assert "" == silence.why(replace(market, feed_faults={(FeedFault.STALE, BTC): 1}))
    now += SILENCE_S - 1
    assert "" == silence.why(market)
    now += 1
    assert "" == silence.why(replace(market, lost_ms=5))
    now += SILENCE_S
    assert "" == silence.why(replace(market, closed_ms=120_000))


def test_a_quiet_session_proves_that_it_could_decide() -> None:
    """Without any event turns go on; with a timer that nobody fires, or after a failure, they do not."""

    async def talk() -> None:
        rig = LiveRig(is_watched=True)
        await rig.begin()
        before = rig.pump.turns
        await asyncio.sleep(3 * session_module.PROOF_S)
        assert 3 == rig.pump.turns - before
        rig.timers.on_set = None  # the alarm is lost
        rig.timers.set(rig.clock.now_ms(), TimerKind.PROTECT, "none")
        await asyncio.sleep(session_module.OVERDUE_S + session_module.PROOF_S)
        before = rig.pump.turns
        await asyncio.sleep(3 * session_module.PROOF_S)
        assert before == rig.pump.turns
        rig.timers.pop_due(rig.clock.now_ms())
        await asyncio.sleep(2 * session_module.PROOF_S)
        assert before < rig.pump.turns
        await rig.end()

    live(talk)


def test_a_pump_that_has_failed_proves_nothing() -> None:
    """It refuses, as it refuses events."""

    async def talk() -> None:
        rig = LiveRig()
        rig.pump._failure = OSError("disk full")
        with pytest.raises(InvariantBroken):
            rig.pump.prove(rig.clock.now_ms())
        with pytest.raises(InvariantBroken):
            rig.pump.handle(TimerFired(rig.clock.now_ms(), TimerKind.RECONCILE, ""))
        assert 0 == rig.pump.turns

    live(talk)
