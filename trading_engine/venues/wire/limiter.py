"""A budget of requests, kept below the venue's limits and corrected by what the venue says.

What belongs here: counting, the reserve for what protects money, bans. What does not: what a call costs (each
venue), waiting politely or not (the caller decides by what it asks for).

A pool is a limit of so many units in a window. Ordinary calls leave `reserve` of it untouched; cancels and
protective orders may use it all. Over the limit nothing is sent: the venue would only count it as an offence.
Windows slide: a venue that counts by the minute of the clock sees no more than that, but for calls that were long
on their way.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from trading_engine.domain.errors import RateLimited
from trading_engine.venues.wire.clock import Milliseconds


@dataclass(frozen=True, slots=True)
class Pool:
    """`limit` units in any `window_ms`; `reserve` of them are for protective calls only."""

    name: str
    limit: int
    window_ms: int
    reserve: int = 0


class Limiter:
    """The pools of one venue account.

    clock   tells the time in ms; where it is set back, what was spent counts as spent just now, never as less
    """

    def __init__(self, pools: Mapping[str, Pool], clock: Milliseconds) -> None:
        self._pools = dict(pools)
        self._shares = dict(pools)
        self._clock = clock
        self._spent: dict[str, deque[tuple[int, int]]] = {name: deque() for name in pools}
        self._banned_until_ms = 0

    @property
    def banned_until_ms(self) -> int:
        """Nothing may be sent before this instant; 0 or past where nothing is forbidden."""
        return self._banned_until_ms

    def used(self, name: str) -> int:
        """Units of a pool that count at this instant."""
        pool, spent, now_ms = self._pools[name], self._spent[name], self._clock.now_ms()
        while spent and spent[0][0] <= now_ms - pool.window_ms:
            spent.popleft()
        if spent and spent[-1][0] > now_ms:
            self._spent[name] = spent = deque((min(at_ms, now_ms), units) for at_ms, units in spent)
        return sum(units for _, units in spent)

    def spend(self, costs: Mapping[str, int], *, is_protective: bool = False) -> None:
        """Count a call that is about to leave; RateLimited, with nothing counted, where it may not.

        After `retry_after_ms` the same call passes, if nobody else spends meanwhile.
        """
        now_ms = self._clock.now_ms()
        if now_ms < self._banned_until_ms:
            wait_ms = self._banned_until_ms - now_ms
            raise RateLimited(f"the venue has forbidden calls for another {wait_ms} ms", wait_ms)
        waits = {name: self._wait_ms(name, units, is_protective=is_protective) for name, units in costs.items()}
        if any(waits.values()):
            name = max(waits, key=lambda each: waits[each])
            bound = self._bound(name, is_protective=is_protective)
            told = f"the budget of {name} is used up ({bound} in {self._pools[name].window_ms} ms)"
            raise RateLimited(told, waits[name])
        for name, units in costs.items():
            if units:
                self._spent[name].append((now_ms, units))

    async def wait(self, costs: Mapping[str, int], *, longest_ms: int, is_protective: bool = False) -> None:
        """`spend`, waiting for the budget for up to `longest_ms` first; RateLimited where that is too short.

        The wait is measured by the loop's own clock: nobody can set that.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + longest_ms / 1000
        while True:
            try:
                return self.spend(costs, is_protective=is_protective)
            except RateLimited as error:
                pause_s = max(error.retry_after_ms, 1) / 1000
                if loop.time() + pause_s > deadline_s + 0.001:  # a wait of just the length that is allowed is allowed
                    raise
            await asyncio.sleep(pause_s)

    def learn(self, name: str, used: int) -> None:
        """The venue says that so many units of a pool are used: others on this address count too."""
        missing = used - self.used(name)
        if missing > 0:
            self._spent[name].append((self._clock.now_ms(), missing))

    def learn_limit(self, name: str, limit: int) -> None:
        """The venue has named its limit, > 0; the reserve stays the share of it that it was first, rounded up."""
        first = self._shares[name]
        reserve = -(-first.reserve * limit // first.limit)
        self._pools[name] = Pool(name, limit, first.window_ms, reserve)

    def forbid(self, for_ms: int) -> None:
        """The venue wants silence: nothing is sent for so long, protective or not."""
        self._banned_until_ms = max(self._banned_until_ms, self._clock.now_ms() + for_ms)

    def _bound(self, name: str, *, is_protective: bool) -> int:
        pool = self._pools[name]
        return pool.limit if is_protective else pool.limit - pool.reserve

    def _wait_ms(self, name: str, units: int, *, is_protective: bool) -> int:
        """How long until enough of the window has passed; 0 where so many units may be spent at once."""
        over = self.used(name) + units - self._bound(name, is_protective=is_protective)
        if not units or over <= 0:
            return 0
        now_ms, window_ms = self._clock.now_ms(), self._pools[name].window_ms
        for at_ms, spent in self._spent[name]:
            over -= spent
            if over <= 0:
                return max(at_ms + window_ms - now_ms, 1)
        return window_ms
