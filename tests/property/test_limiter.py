"""Whatever is asked for and whenever: limits hold in every window, and the reserve is kept for what protects."""

from dataclasses import dataclass, field

from hypothesis import assume, given
from hypothesis import strategies as st

from trading_engine.domain.errors import RateLimited
from trading_engine.venues.wire.limiter import Limiter, Pool


class HandClock:
    """Shows what it was set to."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def now_ms(self) -> int:
        """The instant that was set."""
        return self.ms


@dataclass(frozen=True)
class Call:
    """A call `after_ms` the step before."""

    after_ms: int
    costs: dict[str, int]
    is_protective: bool


@dataclass(frozen=True)
class Learned:
    """The venue's count of a pool."""

    after_ms: int
    name: str
    used: int


@dataclass(frozen=True)
class Ban:
    """The venue wants silence."""

    after_ms: int
    for_ms: int


Step = Call | Learned | Ban
NAMES = ("weight", "orders")


@st.composite
def _pools(draw: st.DrawFn) -> dict[str, Pool]:
    pools = {}
    for name in NAMES:
        limit = draw(st.integers(1, 12))
        pools[name] = Pool(name, limit, draw(st.integers(1, 60)), draw(st.integers(0, limit)))
    return pools


_AFTER = st.integers(0, 25)
_COSTS = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 5), max_size=2)
_CALLS = st.builds(Call, _AFTER, _COSTS, st.booleans())
_STEPS = st.one_of(
    _CALLS,
    _CALLS,
    st.builds(Learned, _AFTER, st.sampled_from(NAMES), st.integers(0, 15)),
    st.builds(Ban, _AFTER, st.integers(0, 50)),
)


@dataclass
class World:
    """A limiter and what it let through: for each pool (instant, units, protective)."""

    pools: dict[str, Pool]
    clock: HandClock = field(default_factory=HandClock)
    passed: dict[str, list[tuple[int, int, bool]]] = field(default_factory=lambda: {name: [] for name in NAMES})

    def __post_init__(self) -> None:
        self.limiter = Limiter(self.pools, self.clock)

    def in_window(self, name: str) -> int:
        """Units of ours in the window that ends now."""
        begin_ms = self.clock.ms - self.pools[name].window_ms
        return sum(units for at_ms, units, _ in self.passed[name] if at_ms > begin_ms)

    def used(self) -> dict[str, int]:
        """What the limiter counts."""
        return {name: self.limiter.used(name) for name in NAMES}

    def take(self, step: Step) -> bool | None:
        """Whether a call passed; None for other steps."""
        self.clock.ms += step.after_ms
        if isinstance(step, Learned):
            self.limiter.learn(step.name, step.used)
            return None
        if isinstance(step, Ban):
            self.limiter.forbid(step.for_ms)
            return None
        try:
            self.limiter.spend(step.costs, is_protective=step.is_protective)
        except RateLimited:
            return False
        for name, units in step.costs.items():
            self.passed[name].append((self.clock.ms, units, step.is_protective))
        return True


@given(_pools(), st.lists(_STEPS, max_size=60))
def test_no_window_ever_holds_more_than_the_limit(pools: dict[str, Pool], steps: list[Step]) -> None:
    """Every window ends at some call that passed; none holds more, protective calls and all."""
    world = World(pools)
    for step in steps:
        world.take(step)
        assert all(world.in_window(name) <= pools[name].limit for name in NAMES)


@given(_pools(), st.lists(_STEPS, max_size=60))
def test_an_ordinary_call_never_touches_the_reserve(pools: dict[str, Pool], steps: list[Step]) -> None:
    """After one that passed, the reserve is free in every pool that it cost something of."""
    world = World(pools)
    for step in steps:
        if world.take(step) and isinstance(step, Call) and not step.is_protective:
            used = world.used()
            assert all(
                used[name] <= pools[name].limit - pools[name].reserve for name, cost in step.costs.items() if cost
            )


@given(_pools(), st.lists(_STEPS, max_size=40), _CALLS)
def test_a_protective_call_passes_wherever_the_limit_has_room(
    pools: dict[str, Pool], steps: list[Step], call: Call
) -> None:
    """The reserve is there for it; and nothing but the limit and a ban can refuse it."""
    world = World(pools)
    for step in steps:
        world.take(step)
    world.clock.ms = max(world.clock.ms, world.limiter.banned_until_ms)
    used = world.used()
    has_room = all(used[name] + cost <= pools[name].limit for name, cost in call.costs.items() if cost)
    assert has_room is world.take(Call(0, call.costs, is_protective=True))


@given(_pools(), st.lists(_STEPS, max_size=40), st.sampled_from(NAMES), st.integers(-5, 30))
def test_learning_only_ever_lowers_what_is_left(
    pools: dict[str, Pool], steps: list[Step], name: str, used: int
) -> None:
    """The greater of both counts stands, in that pool alone."""
    world = World(pools)
    for step in steps:
        world.take(step)
    before = world.used()
    world.limiter.learn(name, used)
    assert before | {name: max(before[name], used)} == world.used()


@given(_pools(), st.lists(_STEPS, max_size=60))
def test_a_ban_lets_nothing_through(pools: dict[str, Pool], steps: list[Step]) -> None:
    """From the moment of the longest until its end, and it counts nothing."""
    world, until_ms = World(pools), 0
    for step in steps:
        before = sum(len(passed) for passed in world.passed.values())
        result = world.take(step)
        if isinstance(step, Ban):
            until_ms = max(until_ms, world.clock.ms + step.for_ms)
        if result is not None and world.clock.ms < until_ms:
            assert result is False
            assert before == sum(len(passed) for passed in world.passed.values())


@given(_pools(), st.lists(_STEPS, max_size=40), _CALLS)
def test_a_refusal_counts_nothing_and_its_wait_is_enough(pools: dict[str, Pool], steps: list[Step], call: Call) -> None:
    """After `retry_after_ms` the same call passes; after that of a ban it may meet the budget's, once."""
    world = World(pools)
    for step in steps:
        world.take(step)
    bounds = {name: pool.limit - (0 if call.is_protective else pool.reserve) for name, pool in pools.items()}
    assume(all(cost <= bounds[name] for name, cost in call.costs.items() if cost))
    for _ in range(2):
        before = world.used()
        if not (wait_ms := _wait_ms(world.limiter, call)):
            return
        assert before == world.used()
        world.clock.ms += wait_ms
    assert 0 == _wait_ms(world.limiter, call)


def _wait_ms(limiter: Limiter, call: Call) -> int:
    """What a refusal asks for; 0 where the call passed."""
    try:
        limiter.spend(call.costs, is_protective=call.is_protective)
    except RateLimited as error:
        return error.retry_after_ms
    return 0


@given(_pools(), st.lists(_STEPS, max_size=60), st.lists(st.integers(-100, 100), max_size=60))
def test_a_clock_that_is_set_back_frees_nothing(pools: dict[str, Pool], steps: list[Step], sets: list[int]) -> None:
    """A step back never lowers what counts, and one whole window later everything is free."""
    world = World(pools)
    for step, set_ms in zip(steps, sets, strict=False):
        world.take(step)
        before = world.used()
        world.clock.ms -= abs(set_ms)
        assert before == world.used()
    world.clock.ms += max(pool.window_ms for pool in pools.values())
    assert {"weight": 0, "orders": 0} == world.used()
