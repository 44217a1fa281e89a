"""Parts beside the core that may fail by themselves: begun anew within a budget, and shown.

What belongs here: running them, counting failures, saying how they stand. What does not: what they do, the engine's
own path of decisions and commits: where that fails the process ends (session, pump).

Only what nobody foresaw is tried again. An error of ours (a broken invariant, a configuration that cannot work) will be
the same the next time.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field

from loguru import logger

from trading_engine.domain.errors import TradingEngineError

RUNNING = "running"
RESTARTING = "restarting"
DOWN = "down"
BUDGET = 5
WINDOW_S = 600.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0

Make = Callable[[], Coroutine[object, object, None]]
OnFailure = Callable[[str, str, int, bool], None]
OnOver = Callable[[BaseException], None]


@dataclass(slots=True)
class Component:
    """How a part stands: restarts within the window against the budget, in all, and why it failed last."""

    name: str
    state: str = RUNNING
    budget: int = BUDGET
    restarts: int = 0
    failures: int = 0
    last_error: str = ""
    times_s: list[float] = field(default_factory=list)


class Supervisor:
    """Runs parts on the running loop.

    on_failure   told (name, why, restarts within the window, whether the budget is used up) of each failure
    """

    def __init__(
        self,
        on_failure: OnFailure,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now_s: Callable[[], float] = time.monotonic,
        budget: int = BUDGET,
        window_s: float = WINDOW_S,
    ) -> None:
        self._on_failure = on_failure
        self._sleep = sleep
        self._now_s = now_s
        self._budget = budget
        self._window_s = window_s
        self._components: dict[str, Component] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def components(self) -> tuple[Component, ...]:
        """Every part, in the order in which they were started."""
        return tuple(self._components.values())

    def start(self, name: str, make: Make, on_over: OnOver | None = None) -> None:
        """Run what `make` makes, anew after each failure; `on_over` gets the one that was too much."""
        component = self._components[name] = Component(name, budget=self._budget)
        self._tasks.append(asyncio.create_task(self._keep(component, make, on_over), name=name))

    async def stop(self) -> None:
        """End every part; never raises for one."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, component: Component, make: Make, on_over: OnOver | None) -> None:
        while True:
            component.state = RUNNING
            try:
                await make()
            except Exception as error:  # noqa: BLE001 - that is what it is here for
                failure: Exception = error
            else:
                failure = RuntimeError("it has ended by itself")
            if not self._may_restart(component, failure):
                if on_over is not None:
                    on_over(failure)
                return
            await self._sleep(min(_FIRST_PAUSE_S * 2 ** (component.restarts - 1), _LONGEST_PAUSE_S))

    def _may_restart(self, component: Component, failure: Exception) -> bool:
        now_s = self._now_s()
        component.times_s = [at_s for at_s in component.times_s if now_s - at_s < self._window_s]
        is_over = len(component.times_s) >= self._budget or isinstance(root(failure), TradingEngineError)
        if not is_over:
            component.times_s.append(now_s)
        component.restarts = len(component.times_s)
        component.failures += 1
        component.last_error = told(failure)
        component.state = DOWN if is_over else RESTARTING
        logger.opt(exception=failure).debug("{} has failed", component.name)
        self._on_failure(component.name, component.last_error, component.restarts, is_over)
        return not is_over


def root(error: BaseException) -> BaseException:
    """The error itself; of a group the first that is none."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def told(error: BaseException) -> str:
    """An error in one line."""
    error = root(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
