"""The venue's clock is taken from the quickest answer, and from none that proves nothing."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.events import ClockMeasured
from trading_engine.venues.wire.clock import SAMPLES, VenueClock


class HandClock:
    """Shows what it was set to."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def now_ms(self) -> int:
        """The instant that was set."""
        return self.ms


def answering(clock: HandClock, ahead_ms: int, trips: list[tuple[int, int]]) -> Callable[[], Awaitable[int]]:
    """A venue whose clock is ahead; each question takes (there, back) ms."""
    left = iter(trips)

    async def ask() -> int:
        there, back = next(left)
        clock.ms += there
        theirs = clock.ms + ahead_ms
        clock.ms += back
        return theirs

    return ask


def test_before_a_measurement_the_venues_clock_is_ours() -> None:
    """Nothing is known, nothing is corrected."""
    venue = VenueClock(HandClock())
    assert (1_000_000, 0, 0, 0) == (venue.now_ms(), venue.offset_ms, venue.error_ms, venue.measured_ms)


@pytest.mark.parametrize("ahead_ms", [0, 1, -1, 2_500, -86_400_000])
def test_even_trips_give_the_exact_offset(ahead_ms: int) -> None:
    """As long there as back: the middle is the instant of the answer."""
    clock = HandClock()
    venue = VenueClock(clock)
    asked = answering(clock, ahead_ms, [(20, 20)] * SAMPLES)
    assert ahead_ms == asyncio.run(venue.measure(asked))
    assert clock.ms + ahead_ms == venue.now_ms()
    assert (20, clock.ms) == (venue.error_ms, venue.measured_ms)
    clock.ms += 5_000
    assert clock.ms + ahead_ms == venue.now_ms()


@pytest.mark.parametrize(("there", "back"), [(0, 40), (40, 0), (7, 4), (0, 1), (1, 0), (0, 0)])
def test_the_offset_is_right_within_its_error(there: int, back: int) -> None:
    """However uneven the trip was."""
    clock = HandClock()
    venue = VenueClock(clock)
    asyncio.run(venue.measure(answering(clock, 300, [(there, back)]), samples=1))
    assert abs(venue.offset_ms - 300) <= venue.error_ms <= (there + back + 1) // 2


def test_the_quickest_answer_counts() -> None:
    """Slow and uneven ones say little."""
    clock = HandClock()
    venue = VenueClock(clock)
    trips = [(900, 10), (5, 5), (10, 700), (300, 300), (6, 5)]
    assert 50 == asyncio.run(venue.measure(answering(clock, 50, trips)))
    assert 5 == venue.error_ms


def test_an_answer_during_which_our_clock_was_set_back_proves_nothing() -> None:
    """It would look like the quickest of all."""
    clock = HandClock()
    venue = VenueClock(clock)
    assert 50 == asyncio.run(venue.measure(answering(clock, 50, [(20, 20), (5, -3_600_000), (30, 30)]), samples=3))
    assert 20 == venue.error_ms


def test_the_last_measurement_stands_where_none_can_be_made() -> None:
    """Whether asking fails or our clock is set all the time."""
    clock = HandClock()
    venue = VenueClock(clock)
    asyncio.run(venue.measure(answering(clock, 50, [(20, 20)] * SAMPLES)))
    measured = (venue.offset_ms, venue.error_ms, venue.measured_ms)

    async def fail() -> int:
        raise VenueUnavailable("no answer")

    with pytest.raises(VenueUnavailable, match="no answer"):
        asyncio.run(venue.measure(fail))
    with pytest.raises(VenueUnavailable, match="set back"):
        asyncio.run(venue.measure(answering(clock, 9, [(5, -100)] * SAMPLES)))
    assert measured == (venue.offset_ms, venue.error_ms, venue.measured_ms)


def test_measurements_are_told_and_the_last_one_to_who_comes_late() -> None:
    """Nothing before the first; a question that fails tells nothing."""
    clock = HandClock()
    venue = VenueClock(clock)
    early: list[ClockMeasured] = []
    venue.tell(early.append)
    assert [] == early
    asyncio.run(venue.measure(answering(clock, 50, [(20, 20)]), samples=1))
    with pytest.raises(VenueUnavailable):
        asyncio.run(venue.measure(answering(clock, 9, [(5, -100)]), samples=1))
    late: list[ClockMeasured] = []
    clock.ms = 2_000_000
    venue.tell(late.append)
    assert [ClockMeasured(1_000_040, 50, 20)] == early
    assert [ClockMeasured(2_000_000, 50, 20)] == late
