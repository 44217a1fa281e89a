"""Where a position ends: stop and target levels, multiples of R, partial exits, trailing, time exit.

What belongs here: prices and quantities of exits, as numbers. What does not: the orders that carry them
(core), how those fill (fills).

R is the distance from the average entry to the initial stop. An average entry can lie between ticks and
comes in thousandths of a tick (`_mticks`); levels are whole ticks, at least 1, and each function says
which way it rounds.
"""

from typing import NamedTuple

from trading_engine.rules.integers import MILLI, PPM, divide_ceil, scale_ceil, scale_floor


class TrailStep(NamedTuple):
    """Once the price has reached `at_milli` thousandths of R, the stop moves to `to_milli` of them.

    (3_000, 1_000): at 3R to +1R. (1_000, 0): break-even at 1R.
    """

    at_milli: int
    to_milli: int


class Follow(NamedTuple):
    """A stop that follows the close at a distance; a distance of 0 is off, of several the nearest counts.

    percent_ppm   share of the close, below 100 %
    atr_milli     thousandths of the average true range at the signal
    risk_milli    thousandths of R
    from_milli    thousandths of R that the close must have gained first, 0 for none
    """

    percent_ppm: int
    atr_milli: int
    risk_milli: int
    from_milli: int


def distance_from_percent(reference_ticks: int, ppm: int) -> int:
    """A share of the price as a distance in ticks, rounded down, so that rounding never raises the risk.

    At least 1: a stop at the entry is none.
    """
    return max(1, scale_floor(reference_ticks, ppm, PPM))


def distance_from_atr(atr_ticks: float, multiple_milli: int) -> int:
    """A multiple of the average true range as a distance in ticks, rounded down, at least 1.

    `atr_ticks` is finite and not negative. Interpreted, a NaN raises ValueError and an infinity
    OverflowError: a stop without a range to count from must not be guessed.
    """
    return max(1, int(atr_ticks * multiple_milli / MILLI))


def stop_level(sign: int, reference_ticks: int, distance_ticks: int) -> int:
    """The price `distance_ticks` against the position, at least 1 tick."""
    return max(1, reference_ticks - sign * distance_ticks)


def target_level(sign: int, reference_ticks: int, distance_ticks: int) -> int:
    """The price `distance_ticks` in favour of the position, at least 1 tick."""
    return max(1, reference_ticks + sign * distance_ticks)


def initial_risk_mticks(entry_mticks: int, initial_stop_ticks: int) -> int:
    """R: the distance from the average entry to the initial stop, in thousandths of a tick."""
    return abs(entry_mticks - initial_stop_ticks * MILLI)


def r_level(sign: int, entry_mticks: int, risk_mticks: int, r_milli: int) -> int:
    """The price r thousandths of R away from the entry, in ticks, at least 1.

    Rounded against the direction of r, so that neither a target nor a loss is further than asked (0
    counts as a target). Whole thousandths are cut off first, in the same direction: that changes no tick.
    """
    distance_mticks = scale_floor(risk_mticks, abs(r_milli), MILLI)
    if (sign > 0) == (r_milli >= 0):
        return max(1, (entry_mticks + distance_mticks) // MILLI)
    return max(1, divide_ceil(entry_mticks - distance_mticks, MILLI))


def r_reached_milli(sign: int, entry_mticks: int, risk_mticks: int, price_ticks: int) -> int:
    """How many thousandths of R the price is in favour of the position, rounded down; 0 without risk."""
    if risk_mticks <= 0:
        return 0
    return sign * (price_ticks * MILLI - entry_mticks) * MILLI // risk_mticks


def trailed_stop(
    sign: int,
    entry_mticks: int,
    risk_mticks: int,
    best_ticks: int,
    current_stop_ticks: int,
    steps: tuple[TrailStep, ...],
) -> int:
    """Where the stop belongs after the price has been at `best_ticks`; it never moves away from the price.

    The level that protects most among the steps reached, or the current stop where that protects more.
    Levels are rounded to ticks towards the price (up for a long), because rounding away would give back
    protection, but never beyond `best_ticks`: a stop there would trigger on a price that never was.

    best_ticks               best price since the entry: highest for a long, lowest for a short, >= 1
    current_stop_ticks       the resting stop
    steps                    in any order
    """
    reached_milli = r_reached_milli(sign, entry_mticks, risk_mticks, best_ticks)
    stop_ticks = current_stop_ticks
    for step in steps:
        if reached_milli >= step.at_milli:
            level_ticks = _protective_level(sign, entry_mticks, risk_mticks, step.to_milli)
            if sign * level_ticks > sign * best_ticks:
                level_ticks = best_ticks
            if sign * level_ticks > sign * stop_ticks:
                stop_ticks = level_ticks
    return stop_ticks


def _protective_level(sign: int, entry_mticks: int, risk_mticks: int, to_milli: int) -> int:
    """The price `to_milli` thousandths of R from the entry, rounded up for a long and down for a short."""
    if sign > 0:
        return divide_ceil(entry_mticks - scale_floor(risk_mticks, -to_milli, MILLI), MILLI)
    return (entry_mticks + scale_floor(risk_mticks, -to_milli, MILLI)) // MILLI


def follow_distance(follow: Follow, close_ticks: int, risk_mticks: int, atr_mticks: int) -> int:
    """How far behind the close a following stop stands, ticks, at least 1; 0 where it does not follow.

    Rounded down, towards the price. `atr_mticks` is the average true range in thousandths of a tick, 0
    where none is known: then it sets no distance, and neither does an R of 0.
    """
    distance_ticks = 0
    if follow.percent_ppm > 0:
        distance_ticks = distance_from_percent(close_ticks, follow.percent_ppm)
    if follow.atr_milli > 0 and atr_mticks > 0:
        distance_ticks = _nearer(distance_ticks, scale_floor(atr_mticks, follow.atr_milli, PPM))
    if follow.risk_milli > 0 and risk_mticks > 0:
        distance_ticks = _nearer(distance_ticks, scale_floor(risk_mticks, follow.risk_milli, PPM))
    return distance_ticks


def _nearer(distance_ticks: int, other_ticks: int) -> int:
    """The smaller of two distances, of which the first may be none (0); at least 1."""
    if distance_ticks == 0:
        return max(1, other_ticks)
    return max(1, min(distance_ticks, other_ticks))


def followed_stop(
    sign: int,
    entry_mticks: int,
    risk_mticks: int,
    atr_mticks: int,
    close_ticks: int,
    current_stop_ticks: int,
    follow: Follow,
) -> int:
    """Where the stop belongs after a candle has closed at `close_ticks`; it never moves away from the price.

    It needs no memory of the best price: the resting stop is what the best close has made of it.
    """
    distance_ticks = follow_distance(follow, close_ticks, risk_mticks, atr_mticks)
    if distance_ticks == 0:
        return current_stop_ticks
    if follow.from_milli > 0 and r_reached_milli(sign, entry_mticks, risk_mticks, close_ticks) < follow.from_milli:
        return current_stop_ticks
    level_ticks = stop_level(sign, close_ticks, distance_ticks)
    return level_ticks if sign * level_ticks > sign * current_stop_ticks else current_stop_ticks


def follow_bound(
    sign: int, entry_mticks: int, risk_mticks: int, atr_mticks: int, current_stop_ticks: int, follow: Follow
) -> int:
    """A price short of which no close lets the stop follow, in ticks; 0 where none ever does.

    For loops that look at a candle only where something may come of it: the bound may be too near, never
    too far.
    """
    bound_ticks = 0
    if follow.percent_ppm > 0:
        # The distance is below share × close by less than a tick, so close × (1 − sign × share) is
        # within a tick of the stop.
        kept_ppm = PPM - sign * follow.percent_ppm
        if sign > 0:
            bound_ticks = scale_floor(current_stop_ticks - 1, PPM, kept_ppm) + 1
        else:
            bound_ticks = max(1, scale_ceil(current_stop_ticks + 1, PPM, kept_ppm) - 1)
    if (follow.atr_milli > 0 and atr_mticks > 0) or (follow.risk_milli > 0 and risk_mticks > 0):
        fixed = Follow(0, follow.atr_milli, follow.risk_milli, 0)
        distance_ticks = follow_distance(fixed, current_stop_ticks, risk_mticks, atr_mticks)
        at_ticks = max(1, current_stop_ticks + sign * (distance_ticks + 1))
        if bound_ticks == 0 or sign * at_ticks < sign * bound_ticks:
            bound_ticks = at_ticks
    if bound_ticks > 0 and follow.from_milli > 0:
        from_ticks = r_level(sign, entry_mticks, risk_mticks, follow.from_milli)
        if sign * from_ticks > sign * bound_ticks:
            bound_ticks = from_ticks
    return bound_ticks


def moved_stop(
    sign: int,
    entry_mticks: int,
    risk_mticks: int,
    atr_mticks: int,
    close_ticks: int,
    current_stop_ticks: int,
    steps: tuple[TrailStep, ...],
    follow: Follow,
    aged: Follow,
) -> int:
    """Where the stop belongs after a close: the ladder, the following stop, and what age asks for.

    Each only moves it towards the price. `aged` follows for a position that is past its age, and has no
    distance for any other.
    """
    stop_ticks = trailed_stop(sign, entry_mticks, risk_mticks, close_ticks, current_stop_ticks, steps)
    stop_ticks = followed_stop(sign, entry_mticks, risk_mticks, atr_mticks, close_ticks, stop_ticks, follow)
    return followed_stop(sign, entry_mticks, risk_mticks, atr_mticks, close_ticks, stop_ticks, aged)


def part_steps(index: int, total_steps: int, shares_ppm: tuple[int, ...], min_steps: int) -> int:
    """One element of `split_partials`, for compiled code, where a tuple's length is fixed in advance."""
    rest = total_steps
    last_index = -1
    last_part = 0
    wanted = 0
    for i in range(len(shares_ppm)):
        part = min(rest, scale_floor(total_steps, shares_ppm[i], PPM))
        if part >= max(1, min_steps):
            rest -= part
            last_index = i
            last_part = part
            if i == index:
                wanted = part
    # The venue would refuse such a rest, so it takes the last partial into it. No rest needs no order.
    rest_is_too_small = 0 < rest < min_steps
    if index == len(shares_ppm):
        return rest + last_part if rest_is_too_small else rest
    return 0 if rest_is_too_small and index == last_index else wanted


def split_partials(total_steps: int, shares_ppm: tuple[int, ...], min_steps: int) -> tuple[int, ...]:
    """Steps of each partial exit, in order, and last the rest, which goes to the target.

    Shares are of the whole and rounded down. A partial below `min_steps` becomes 0 and stays in the
    rest; a rest below it (but not 0) takes the last partial that is left. The sum is always
    `total_steps`, and every element is 0 or at least `min_steps` unless the whole is smaller than that.
    Notional does not matter: orders that only reduce are exempt from the venue's smallest notional.
    """
    # tuple() of a list is beyond numba: compiled code calls part_steps itself.
    return tuple([part_steps(i, total_steps, shares_ppm, min_steps) for i in range(len(shares_ppm) + 1)])


def folds_into_target(sign: int, partial_level_ticks: int, target_ticks: int) -> bool:
    """Whether a partial exit lies at or beyond the target and so belongs to it; never without one (0)."""
    return target_ticks > 0 and sign * partial_level_ticks >= sign * target_ticks


def time_exit_due(opened_ts_ms: int, now_ms: int, max_age_ms: int) -> bool:
    """Whether a position has reached its greatest age; 0 is off."""
    return max_age_ms > 0 and now_ms - opened_ts_ms >= max_age_ms
