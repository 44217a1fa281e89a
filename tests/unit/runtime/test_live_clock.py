"""A run compares its clock with the venue's every hour, and soon again where that failed."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from trading_engine.config.model import Config
from trading_engine.core.state import Book
from trading_engine.domain.errors import VenueUnavailable
from trading_engine.ports import Loaded, RemoteVenue
from trading_engine.runtime import startup
from trading_engine.runtime.bootstrap import RunOptions
from trading_engine.runtime.live import LiveRun, clock_finding
from trading_engine.system.clock import SteadyClock
from trading_engine.system.state_dir import StateDir

CONFIG = Config.model_validate({"mode": "paper", "symbols": ["BTCUSDT"], "strategies": [{"name": "trend_vwap"}]})
FAST = 36_000.0  # an hour in a tenth of a second
HOUR_S = 3_600 / FAST
RETRY_S = 60 / FAST


class Asked:
    """A venue that notes when it was asked for its time, and does not answer the second question."""

    name = "asked"

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self.at_s = [now_s()]

    async def measure_clock(self) -> int:
        """Note the instant."""
        self.at_s.append(self._now_s())
        if len(self.at_s) == 3:
            raise VenueUnavailable("away")
        return 0


def test_the_clock_is_measured_hourly_and_soon_again_after_a_failure(tmp_path: Path) -> None:
    """In the time of the venue, which may run faster than ours."""

    async def scene() -> list[float]:
        run = LiveRun(RunOptions(tmp_path / "none.yaml"), CONFIG, StateDir(tmp_path))
        run._pace = FAST
        venue = Asked(asyncio.get_running_loop().time)
        comparing = asyncio.create_task(run._compare_clocks(cast(RemoteVenue, venue)))
        async with asyncio.timeout(30):
            while len(venue.at_s) < 5:  # noqa: ASYNC110 - what is waited for is in another task
                await asyncio.sleep(0.005)
        comparing.cancel()
        await asyncio.gather(comparing, return_exceptions=True)
        return [later - earlier for earlier, later in zip(venue.at_s, venue.at_s[1:], strict=False)]

    pauses = asyncio.run(scene())
    assert all(pause >= HOUR_S for pause in (pauses[0], pauses[1], pauses[3]))
    assert pauses[2] >= RETRY_S == pytest.approx(HOUR_S / 60)


@pytest.mark.parametrize(
    ("off_ms", "level", "told"),
    [
        (-250, "ok", "reached; its clock is -250 ms off"),
        (251, "warning", "reached; its clock is +251 ms off"),
        (2_500, "warning", "reached; its clock is +2500 ms off"),
        (-2_501, "error", "reached; its clock is -2501 ms off: no entries beyond 2500 ms; synchronise"),
    ],
)
def test_a_rehearsal_judges_the_clock_as_a_run_does(off_ms: int, level: str, told: str) -> None:
    """What would block every entry is an error, not a note."""
    found = clock_finding(CONFIG, "reached", off_ms)
    assert level == found.level
    assert found.text.startswith(told)


@pytest.mark.parametrize(
    ("ahead_ms", "server_ms", "text"),
    [
        (0, None, ""),
        (7_200_000, None, "minutes in the future: the machine's clock is behind"),
        (7_200_000, 7_100_000, ""),
        (7_200_000, 0, "120 minutes after the time of the venue server on this machine, which has begun anew"),
    ],
)
def test_a_fast_server_on_this_machine_is_asked_for_the_time_instead_of_the_machine(
    ahead_ms: int, server_ms: int | None, text: str
) -> None:
    """Its state lies in the machine's future, and goes on all the same unless the server has begun anew."""
    now_ms = SteadyClock().now_ms()
    loaded = Loaded(Book("test"), None, 1, now_ms + ahead_ms)
    found = startup.written_in_the_future(loaded, None if server_ms is None else now_ms + server_ms)
    assert text in found
    assert bool(text) == bool(found)
