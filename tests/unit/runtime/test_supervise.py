"""Parts that fail by themselves are begun anew within a budget, and shown."""

import asyncio
from collections.abc import Callable

from trading_engine.domain.errors import InvariantBroken
from trading_engine.runtime.supervise import DOWN, RUNNING, Supervisor, told


class Desk:
    """A supervisor whose waits are noted and take no time."""

    def __init__(self, budget: int = 3) -> None:
        self.waits: list[float] = []
        self.told: list[tuple[str, str, int, bool]] = []
        self.now_s = 0.0
        self.supervisor = Supervisor(
            lambda *failure: self.told.append(failure),
            sleep=self._sleep,
            now_s=lambda: self.now_s,
            budget=budget,
            window_s=600,
        )

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)

    def play(self, make: Callable[[], object], turns: int = 50) -> list[BaseException]:
        """Run a part for a while; what it was given up for."""
        over: list[BaseException] = []

        async def talk() -> None:
            self.supervisor.start("part", make, over.append)  # type: ignore[arg-type]
            for _ in range(turns):
                await asyncio.sleep(0)
            self.state = self.supervisor.components[0].state
            await self.supervisor.stop()

        asyncio.run(talk())
        return over


async def _broken() -> None:
    raise OSError("boom")


def test_a_part_is_begun_anew_with_growing_pauses_until_its_budget_is_used_up() -> None:
    """Each failure is told; the last one is handed on."""
    desk = Desk()
    (error,) = desk.play(_broken)
    assert "boom" == str(error)
    assert [1.0, 2.0, 4.0] == desk.waits
    assert [
        ("part", "OSError: boom", count, over) for count, over in ((1, False), (2, False), (3, False), (3, True))
    ] == (desk.told)
    part = desk.supervisor.components[0]
    assert (DOWN, 4, "OSError: boom") == (part.state, part.failures, part.last_error)


def test_failures_of_long_ago_do_not_count() -> None:
    """The budget is of a window: a part that fails now and then goes on for ever."""
    desk = Desk()

    async def fails_rarely() -> None:
        desk.now_s += 700
        raise OSError("boom")

    assert [] == desk.play(fails_rarely, 30)
    assert len(desk.waits) > 5
    assert {1.0} == set(desk.waits)
    assert all(not is_over for _, _, _, is_over in desk.told)


def test_what_will_be_the_same_the_next_time_is_not_tried_again() -> None:
    """An error of ours, also where a group of tasks wraps it."""
    desk = Desk()

    async def broken() -> None:
        raise ExceptionGroup("tasks", [InvariantBroken("a lie")])

    (error,) = desk.play(broken)
    assert "InvariantBroken: a lie" == told(error)
    assert [] == desk.waits


def test_a_part_that_ends_by_itself_has_failed() -> None:
    """A feed that stops is a market without candles."""
    desk = Desk()

    async def ends() -> None:
        return

    desk.play(ends)
    assert "RuntimeError: it has ended by itself" == desk.told[0][1]


def test_a_part_that_runs_is_shown_so_and_ends_when_told() -> None:
    """Without a word."""
    desk = Desk()

    async def runs() -> None:
        await asyncio.Event().wait()

    assert [] == desk.play(runs)
    assert (RUNNING, []) == (desk.state, desk.told)
