"""Virtual time: it jumps, it keeps the order of callbacks, and it notices when nothing can happen any more."""

import asyncio
from collections.abc import Coroutine, Iterator

import pytest

from trading_engine.simulation.loop import Deadlock, VirtualLoop


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    """A loop at time zero."""
    made = VirtualLoop()
    yield made
    made.close()


def _run(loop: VirtualLoop, main: Coroutine[object, object, object]) -> object:
    return loop.run_until_complete(main)


def test_a_long_sleep_takes_no_time(loop: VirtualLoop) -> None:
    """An hour passes at once, and exactly."""
    _run(loop, asyncio.sleep(3600))
    assert 3600 == pytest.approx(loop.time())


def test_sleepers_wake_in_the_order_of_their_times(loop: VirtualLoop) -> None:
    """Whatever the order in which they fell asleep; at one instant first come, first served."""
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append(name)

    async def main() -> None:
        await asyncio.gather(sleeper("late", 2), sleeper("first", 1), sleeper("second", 1))

    _run(loop, main())
    assert ["first", "second", "late"] == woken


def test_waiting_for_what_nobody_brings_is_a_deadlock(loop: VirtualLoop) -> None:
    """Instead of hanging for ever."""

    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        _run(loop, main())


def test_every_turn_of_the_loop_is_told(loop: VirtualLoop) -> None:
    """So that a death can be placed between any two of them."""
    turns: list[int] = []
    loop.on_step = turns.append
    _run(loop, asyncio.sleep(1))
    assert turns == list(range(1, len(turns) + 1))
    assert turns
