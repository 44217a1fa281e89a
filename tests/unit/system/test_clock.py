"""The clocks count whole milliseconds."""

import time

from trading_engine.system.clock import AdoptedClock, SteadyClock, SystemClock


def test_the_wall_clock_is_the_machines() -> None:
    """Milliseconds since 1970."""
    before = time.time_ns() // 1_000_000
    now = SystemClock().now_ms()
    assert before <= now <= time.time_ns() // 1_000_000


def test_the_monotonic_clock_never_runs_backwards() -> None:
    """Durations are never negative."""
    clock = SystemClock()
    readings = [clock.monotonic_ms() for _ in range(1_000)]
    assert sorted(readings) == readings


class Machine:
    """Clocks that a test moves, in milliseconds."""

    def __init__(self) -> None:
        self.wall_ms, self.steady_ms = 1_000_000, 5_000
        self.clock = SteadyClock(lambda: self.wall_ms * 1_000_000, lambda: self.steady_ms * 1_000_000)

    def wait(self, ms: int) -> int:
        """Let time pass; what the steady clock says then."""
        self.wall_ms += ms
        self.steady_ms += ms
        return self.clock.now_ms()


def test_a_steady_clock_shows_the_wall_clock_while_nobody_sets_it() -> None:
    """To the millisecond."""
    machine = Machine()
    assert [1_000_250, 1_000_500] == [machine.wait(250), machine.wait(250)]


def test_a_clock_that_is_set_forward_is_followed_slowly() -> None:
    """A span that is waited for is cut by a twentieth at most."""
    machine = Machine()
    machine.wall_ms += 30_000
    assert 1_000_000 + 1_050 == machine.wait(1_000)
    later = machine.wait(700_000)
    assert machine.wall_ms == later


def test_a_clock_that_is_set_back_never_makes_time_run_backwards() -> None:
    """It runs slower until both agree."""
    machine = Machine()
    machine.wall_ms -= 5_000
    readings = [machine.wait(10_000) for _ in range(12)]
    assert sorted(set(readings)) == readings
    assert 1_000_000 + 9_500 == readings[0]
    assert machine.wall_ms == readings[-1]


def test_a_machine_that_was_suspended_takes_the_time_over_at_once() -> None:
    """Hours that nobody lived through are not worked off one by one."""
    machine = Machine()
    machine.wall_ms += 3_600_000
    assert 0 == machine.clock.stepped_ms
    assert 1_000_000 + 3_600_000 + 10 == machine.wait(10) == machine.clock.stepped_ms
    machine.wait(10)
    assert 1_000_000 + 3_600_000 + 10 == machine.clock.stepped_ms


def test_a_clock_asked_every_millisecond_is_as_steady() -> None:
    """Small steps lose nothing to rounding."""
    machine = Machine()
    machine.wall_ms += 1_000
    for _ in range(20_000):
        machine.wait(1)
    assert machine.wall_ms == machine.clock.now_ms()


def test_a_clock_begins_no_earlier_than_what_was_written_down() -> None:
    """It was set back while nothing ran: the span is worked off, and no record lies in the future."""
    machine = Machine()
    clock = SteadyClock(
        lambda: machine.wall_ms * 1_000_000, lambda: machine.steady_ms * 1_000_000, not_before_ms=1_040_000
    )
    assert 1_040_000 == clock.now_ms()
    machine.wait(1_000)
    assert 1_040_950 == clock.now_ms()


def test_the_machines_own_clocks_make_a_steady_clock() -> None:
    """It starts at the wall clock and goes on."""
    clock, before = SteadyClock(), time.time_ns() // 1_000_000
    assert before - 1_000 <= clock.now_ms() <= clock.now_ms() <= time.time_ns() // 1_000_000 + 1_000


def test_an_adopted_clock_goes_on_from_when_it_was_shown() -> None:
    """At the server's pace; what passed on the way counts, and nothing before what was written down."""
    shown_ns = time.monotonic_ns() - 1_000_000_000
    clock = AdoptedClock(1_000_000, 20.0, shown_ns=shown_ns)
    assert 1_020_000 <= clock.now_ms() < 1_020_000 + 20 * 30_000
    assert 9_000_000 == AdoptedClock(1_000_000, 1.0, 9_000_000, shown_ns).now_ms()
    assert 1_000_000 <= AdoptedClock(1_000_000, 1.0).now_ms() < 1_030_000
