"""Levels, multiples of R, trailing, partial exits, age."""

import pytest

from trading_engine.rules import exits
from trading_engine.rules.exits import Follow, TrailStep

LADDER = (TrailStep(3_000, 1_000), TrailStep(5_000, 3_000))


@pytest.mark.parametrize(
    ("reference", "ppm", "expected"), [(600_000, 10_000, 6_000), (999, 10_000, 9), (10, 10_000, 1)]
)
def test_a_percentage_becomes_whole_ticks_rounded_down(reference: int, ppm: int, expected: int) -> None:
    """One per cent of the price, and never less than a tick."""
    assert expected == exits.distance_from_percent(reference, ppm)


@pytest.mark.parametrize(
    ("atr", "multiple", "expected"),
    [(100.0, 1_500, 150), (99.9, 1_500, 149), (0.2, 1_500, 1), (0.0, 2_000, 1)],
)
def test_a_multiple_of_the_range_becomes_whole_ticks_rounded_down(atr: float, multiple: int, expected: int) -> None:
    """One and a half ranges, and never less than a tick."""
    assert expected == exits.distance_from_atr(atr, multiple)


@pytest.mark.parametrize(("atr", "error"), [(float("nan"), ValueError), (float("inf"), OverflowError)])
def test_no_stop_is_guessed_without_a_range(atr: float, error: type[Exception]) -> None:
    """A range that is not a number is loud."""
    with pytest.raises(error):
        exits.distance_from_atr(atr, 1_500)


@pytest.mark.parametrize(("sign", "stop", "target"), [(1, 90, 110), (-1, 110, 90)])
def test_the_stop_lies_against_the_position_and_the_target_with_it(sign: int, stop: int, target: int) -> None:
    """Ten ticks either side of a hundred."""
    levels = (exits.stop_level(sign, 100, 10), exits.target_level(sign, 100, 10))
    assert (stop, target) == levels


def test_no_level_is_below_one_tick() -> None:
    """A distance as large as the price leaves one tick."""
    lowest = (
        exits.stop_level(1, 100, 100),
        exits.target_level(-1, 100, 200),
        exits.r_level(-1, 100_000, 60_000, 2_000),
    )
    assert (1, 1, 1) == lowest


@pytest.mark.parametrize(("entry", "stop", "expected"), [(100_500, 99, 1_500), (100_500, 102, 1_500)])
def test_r_is_the_distance_of_the_average_entry_from_the_stop(entry: int, stop: int, expected: int) -> None:
    """Above the stop or below it."""
    assert expected == exits.initial_risk_mticks(entry, stop)


@pytest.mark.parametrize(
    ("sign", "r_milli", "expected"),
    [
        (1, 2_000, 103),
        (1, 2_500, 104),
        (1, -1_000, 99),
        (1, -500, 100),
        (1, 0, 100),
        (-1, 2_000, 98),
        (-1, 2_500, 97),
        (-1, -1_000, 102),
        (-1, -500, 101),
        (-1, 0, 101),
    ],
)
def test_a_multiple_of_r_is_never_further_than_asked(sign: int, r_milli: int, expected: int) -> None:
    """Entry 100.5 and R of 1.5 ticks: 2R are 103.5 or 97.5, cut towards the entry."""
    assert expected == exits.r_level(sign, 100_500, 1_500, r_milli)


@pytest.mark.parametrize(
    ("sign", "price", "expected"),
    [(1, 102, 1_000), (1, 103, 1_666), (1, 99, -1_000), (-1, 99, 1_000), (-1, 101, -334)],
)
def test_the_multiple_reached_is_rounded_down(sign: int, price: int, expected: int) -> None:
    """Entry 100.5 and R of 1.5 ticks."""
    assert expected == exits.r_reached_milli(sign, 100_500, 1_500, price)


def test_without_risk_nothing_is_reached() -> None:
    """A stop at the entry defines no R."""
    assert 0 == exits.r_reached_milli(1, 100_000, 0, 200)


@pytest.mark.parametrize(
    ("sign", "best", "current", "expected"),
    [
        (1, 104, 99, 99),  # 2.33 R
        (1, 105, 99, 102),  # 3 R: to +1R
        (1, 108, 99, 105),  # 5 R: to +3R
        (1, 108, 106, 106),  # better already
        (-1, 97, 102, 102),
        (-1, 96, 102, 99),
        (-1, 93, 102, 96),
        (-1, 93, 95, 95),
    ],
)
def test_the_stop_trails_by_multiples_of_r(sign: int, best: int, current: int, expected: int) -> None:
    """Entry 100.5, R of 1.5 ticks: at 3R to +1R, at 5R to +3R, in whichever order the steps are given."""
    assert expected == exits.trailed_stop(sign, 100_500, 1_500, best, current, LADDER)
    assert expected == exits.trailed_stop(sign, 100_500, 1_500, best, current, LADDER[::-1])


@pytest.mark.parametrize(("sign", "best", "current", "expected"), [(1, 102, 99, 101), (-1, 99, 102, 100)])
def test_break_even_between_ticks_rounds_towards_the_price(sign: int, best: int, current: int, expected: int) -> None:
    """At 1R the stop of an entry at 100.5 moves to the next tick with a profit."""
    assert expected == exits.trailed_stop(sign, 100_500, 1_500, best, current, (TrailStep(1_000, 0),))


@pytest.mark.parametrize(("sign", "best", "current"), [(1, 102, 99), (-1, 99, 102)])
def test_no_stop_passes_the_best_price(sign: int, best: int, current: int) -> None:
    """A step to more than was reached stops at the best price."""
    assert best == exits.trailed_stop(sign, 100_500, 1_500, best, current, (TrailStep(1_000, 5_000),))


@pytest.mark.parametrize(
    ("total", "shares", "minimum", "expected"),
    [
        (100, (300_000, 400_000), 1, (30, 40, 30)),
        (101, (300_000, 400_000), 1, (30, 40, 31)),
        (100, (), 1, (100,)),
        (10, (50_000, 400_000), 1, (0, 4, 6)),  # half a step joins the rest
        (10, (300_000, 400_000), 4, (0, 4, 6)),  # below the minimum joins the rest
        (100, (300_000, 640_000), 6, (30, 64, 6)),  # a rest of exactly the minimum stays
        (100, (300_000, 650_000), 6, (30, 0, 70)),  # a rest of 5 takes the last partial
        (100, (920_000, 30_000), 6, (92, 0, 8)),  # the partial that joins makes the rest large enough
        (100, (950_000, 20_000), 6, (0, 0, 100)),  # the last partial that is left is the first
        (3, (300_000, 400_000), 5, (0, 0, 3)),  # smaller than any order
        (100, (500_000, 500_000), 5, (50, 50, 0)),  # no rest needs no order
        (100, (700_000, 700_000), 1, (70, 30, 0)),  # shares of more than the whole
        (0, (500_000,), 0, (0, 0)),
    ],
)
def test_partial_exits_share_out_the_position(
    total: int, shares: tuple[int, ...], minimum: int, expected: tuple[int, ...]
) -> None:
    """Partials first, the rest last, nothing that the venue would refuse."""
    assert expected == exits.split_partials(total, shares, minimum)


@pytest.mark.parametrize(
    ("sign", "level", "target", "expected"),
    [
        (1, 104, 105, False),
        (1, 105, 105, True),
        (1, 106, 105, True),
        (-1, 96, 95, False),
        (-1, 95, 95, True),
        (-1, 94, 95, True),
        (1, 104, 0, False),
        (-1, 96, 0, False),
    ],
)
def test_a_partial_at_or_beyond_the_target_folds_into_it(sign: int, level: int, target: int, expected: bool) -> None:
    """There is nothing to fold into without a target."""
    assert expected is exits.folds_into_target(sign, level, target)


@pytest.mark.parametrize(("now", "max_age", "expected"), [(1_099, 100, False), (1_100, 100, True), (9_999, 0, False)])
def test_a_position_is_due_at_its_greatest_age(now: int, max_age: int, expected: bool) -> None:
    """Opened at 1,000; no greatest age is never."""
    assert expected is exits.time_exit_due(1_000, now, max_age)


NO_FOLLOW = Follow(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("follow", "atr", "expected"),
    [
        (NO_FOLLOW, 4_000, 0),
        (Follow(15_000, 0, 0, 0), 0, 15),
        (Follow(100, 0, 0, 0), 0, 1),
        (Follow(0, 3_000, 0, 0), 4_300, 12),
        (Follow(0, 3_000, 0, 0), 0, 0),
        (Follow(0, 1, 0, 0), 1, 1),
        (Follow(0, 0, 500, 0), 0, 5),
        (Follow(15_000, 3_000, 500, 0), 4_300, 5),
        (Follow(2_000, 3_000, 500, 0), 4_300, 2),
    ],
)
def test_a_stop_follows_at_the_nearest_of_its_distances(follow: Follow, atr: int, expected: int) -> None:
    """Per cent of a close of 1,000, average true ranges, shares of an R of ten ticks; rounded down, at least one."""
    assert expected == exits.follow_distance(follow, 1_000, 10_000, atr)


def test_without_an_r_no_share_of_it_is_followed() -> None:
    """A fill on its own stop has nothing to count from."""
    assert 0 == exits.follow_distance(Follow(0, 0, 500, 0), 1_000, 0, 0)


@pytest.mark.parametrize(
    ("sign", "close", "stop", "expected"),
    [(1, 1_010, 990, 1_000), (1, 999, 990, 990), (-1, 990, 1_010, 1_000), (-1, 1_001, 1_010, 1_010), (1, 5, 1, 1)],
)
def test_a_following_stop_moves_towards_the_price_only(sign: int, close: int, stop: int, expected: int) -> None:
    """An R of ten ticks behind a close that is better than any before, otherwise it stays."""
    assert expected == exits.followed_stop(sign, 1_000_000, 10_000, 0, close, stop, Follow(0, 0, 1_000, 0))


@pytest.mark.parametrize(("close", "expected"), [(1_014, 990), (1_015, 1_010)])
def test_a_stop_may_begin_to_follow_at_a_gain(close: int, expected: int) -> None:
    """From one and a half R on."""
    assert expected == exits.followed_stop(1, 1_000_000, 10_000, 0, close, 990, Follow(0, 0, 500, 1_500))


@pytest.mark.parametrize(
    ("sign", "stop", "follow", "expected"),
    [
        (1, 990, NO_FOLLOW, 0),
        (1, 990, Follow(0, 1_000, 0, 0), 995),
        (-1, 1_010, Follow(0, 1_000, 0, 0), 1_005),
        (1, 990, Follow(10_000, 0, 0, 0), 999),
        (-1, 1_010, Follow(10_000, 0, 0, 0), 1_000),
        (1, 990, Follow(10_000, 1_000, 0, 0), 995),
        (1, 990, Follow(2_000, 1_000, 0, 0), 991),
        (1, 990, Follow(0, 1_000, 0, 1_000), 1_010),
        (1, 1_020, Follow(0, 1_000, 0, 1_000), 1_025),
        (-1, 2, Follow(500_000, 0, 0, 0), 1),
    ],
)
def test_short_of_its_bound_no_close_lets_the_stop_follow(sign: int, stop: int, follow: Follow, expected: int) -> None:
    """A range of four ticks, an R of ten, an entry at 1,000."""
    assert expected == exits.follow_bound(sign, 1_000_000, 10_000, 4_000, stop, follow)


def test_ladder_follower_and_age_each_move_the_stop() -> None:
    """At 3R the ladder gives 1,010, two ticks behind the close 1,028, half an R for the aged 1,025."""
    aged, two_ticks = Follow(0, 0, 500, 0), Follow(2_000, 0, 0, 0)

    def stop(steps: tuple[TrailStep, ...], follow: Follow, old: Follow) -> int:
        return exits.moved_stop(1, 1_000_000, 10_000, 0, 1_030, 990, steps, follow, old)

    assert (990, 1_010, 1_025, 1_028) == (
        stop((), NO_FOLLOW, NO_FOLLOW),
        stop(LADDER, NO_FOLLOW, NO_FOLLOW),
        stop(LADDER, NO_FOLLOW, aged),
        stop(LADDER, two_ticks, aged),
    )
