"""The venue's limits are kept before the venue has to enforce them."""

import asyncio
import time

import pytest

from trading_engine.domain.errors import RateLimited
from trading_engine.venues.wire.limiter import Limiter, Pool

WEIGHT = Pool("weight", limit=10, window_ms=1_000, reserve=4)
ORDERS = Pool("orders", limit=3, window_ms=200)


class HandClock:
    """Shows what it was set to."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def now_ms(self) -> int:
        """The instant that was set."""
        return self.ms


class LoopClock:
    """The time that waits are made of."""

    def now_ms(self) -> int:
        """From an arbitrary start."""
        return time.monotonic_ns() // 1_000_000


def made(*pools: Pool) -> tuple[Limiter, HandClock]:
    clock = HandClock()
    return Limiter({pool.name: pool for pool in pools or (WEIGHT, ORDERS)}, clock), clock


def refused(limiter: Limiter, costs: dict[str, int], *, is_protective: bool = False) -> int:
    """How long the refusal asks to wait, in ms."""
    with pytest.raises(RateLimited) as caught:
        limiter.spend(costs, is_protective=is_protective)
    return caught.value.retry_after_ms


def test_ordinary_calls_leave_the_reserve_alone() -> None:
    """Six of ten units with a reserve of four; the rest is for what protects money."""
    limiter, _ = made()
    for _ in range(6):
        limiter.spend({"weight": 1})
    assert 1_000 == refused(limiter, {"weight": 1})
    for _ in range(4):
        limiter.spend({"weight": 1}, is_protective=True)
    assert 1_000 == refused(limiter, {"weight": 1}, is_protective=True)
    assert 10 == limiter.used("weight")


def test_units_come_back_when_their_window_has_passed() -> None:
    """Exactly `window_ms` after they were spent, not a ms before."""
    limiter, clock = made()
    limiter.spend({"weight": 6})
    clock.ms += 999
    assert 1 == refused(limiter, {"weight": 1})
    clock.ms += 1
    limiter.spend({"weight": 6})


def test_a_refusal_counts_nothing_in_any_pool() -> None:
    """One pool has room, the other has not: both stay as they were."""
    limiter, _ = made()
    limiter.spend({"weight": 1, "orders": 3})
    refused(limiter, {"weight": 1, "orders": 1})
    assert (1, 3) == (limiter.used("weight"), limiter.used("orders"))


def test_a_refusal_names_the_longest_of_the_waits_and_its_pool() -> None:
    """After that long the call passes."""
    limiter, clock = made()
    limiter.spend({"weight": 6, "orders": 3})
    with pytest.raises(RateLimited, match=r"the budget of weight is used up \(6 in 1000 ms\)") as caught:
        limiter.spend({"orders": 1, "weight": 1})
    assert 1_000 == caught.value.retry_after_ms
    clock.ms += 1_000
    limiter.spend({"orders": 1, "weight": 1})


def test_a_pool_that_a_call_costs_nothing_of_does_not_refuse_it() -> None:
    """Others on the address have used it up, and this call does not count there."""
    limiter, _ = made()
    limiter.learn("orders", 30)
    limiter.spend({"weight": 1, "orders": 0})
    assert 1 == limiter.used("weight")


def test_what_the_venue_counts_only_takes_away() -> None:
    """More than we know of is learned; less is not believed."""
    limiter, clock = made()
    limiter.spend({"weight": 3})
    limiter.learn("weight", 2)
    assert 3 == limiter.used("weight")
    limiter.learn("weight", 9)
    assert 9 == limiter.used("weight")
    refused(limiter, {"weight": 1})
    limiter.spend({"weight": 1}, is_protective=True)
    clock.ms += 1_000
    assert 0 == limiter.used("weight")


def test_the_reserve_follows_the_limit_there_and_back() -> None:
    """Its share stays what it was first, however small the limit was for a while."""
    limiter, _ = made(Pool("weight", 2_400, 60_000, reserve=300))
    limiter.learn_limit("weight", 1)
    refused(limiter, {"weight": 1})
    limiter.spend({"weight": 1}, is_protective=True)
    limiter.learn_limit("weight", 1_200)
    limiter.spend({"weight": 1_049})
    refused(limiter, {"weight": 1})
    limiter.learn_limit("weight", 2_400)
    limiter.spend({"weight": 1_050})
    refused(limiter, {"weight": 1})


def test_a_ban_lets_nothing_through() -> None:
    """Protective or not, until it has passed; a shorter one does not shorten it, and nothing is counted."""
    limiter, clock = made()
    assert 0 == limiter.banned_until_ms
    limiter.forbid(500)
    limiter.forbid(100)
    assert clock.ms + 500 == limiter.banned_until_ms
    assert 500 == refused(limiter, {"weight": 1})
    clock.ms += 499
    assert 1 == refused(limiter, {}, is_protective=True)
    clock.ms += 1
    assert 0 == limiter.used("weight")
    limiter.spend({"weight": 6})


def test_a_clock_that_is_set_back_neither_frees_units_nor_holds_them_for_long() -> None:
    """What was spent counts as spent just now, and comes back after one window."""
    limiter, clock = made()
    limiter.spend({"weight": 4})
    clock.ms += 10
    limiter.spend({"weight": 2})
    clock.ms -= 3_600_000
    assert 6 == limiter.used("weight")
    assert 1_000 == refused(limiter, {"weight": 1})
    clock.ms += 1_000
    assert 0 == limiter.used("weight")


def test_waiting_ends_when_the_budget_is_there() -> None:
    """Not before, and not much later."""

    async def run() -> float:
        limiter = Limiter({"orders": Pool("orders", 2, 80)}, LoopClock())
        limiter.spend({"orders": 2})
        begun = time.monotonic()
        await limiter.wait({"orders": 1}, longest_ms=1_000)
        return time.monotonic() - begun

    assert 0.078 <= asyncio.run(run()) < 0.5


def test_a_wait_that_would_be_too_long_is_refused_at_once() -> None:
    """Nobody waits for what will not come in time; just in time is in time."""

    async def run() -> None:
        limiter, clock = made(Pool("orders", 2, 80))
        limiter.spend({"orders": 2})
        begun = time.monotonic()
        with pytest.raises(RateLimited):
            await limiter.wait({"orders": 1}, longest_ms=70)
        assert time.monotonic() - begun < 0.05
        asyncio.get_running_loop().call_later(0.02, setattr, clock, "ms", clock.ms + 80)
        await limiter.wait({"orders": 1}, longest_ms=80)

    asyncio.run(run())


def test_a_clock_that_is_set_back_does_not_lengthen_a_wait() -> None:
    """`longest_ms` is real time."""

    async def run() -> None:
        limiter, clock = made()
        limiter.forbid(20)
        clock.ms -= 3_600_000
        with pytest.raises(RateLimited) as caught:
            await limiter.wait({"weight": 1}, longest_ms=100)
        assert 3_600_020 == caught.value.retry_after_ms

    asyncio.run(run())


def test_those_who_wait_together_do_not_pass_together() -> None:
    """Five callers share two units in a window: at no time more than two have passed in one."""
    passed: list[float] = []

    async def run() -> None:
        limiter = Limiter({"orders": Pool("orders", 2, 60)}, LoopClock())

        async def call() -> None:
            await limiter.wait({"orders": 1}, longest_ms=5_000)
            passed.append(time.monotonic())

        await asyncio.gather(*(call() for _ in range(5)))

    asyncio.run(run())
    assert all(later - earlier >= 0.058 for earlier, later in zip(passed, passed[2:], strict=False))


def test_a_pool_that_nobody_has_named_is_a_bug() -> None:
    """It is told as one, and nothing is counted."""
    limiter, _ = made()
    with pytest.raises(KeyError, match="bananas"):
        limiter.spend({"weight": 1, "bananas": 1})
    assert 0 == limiter.used("weight")
