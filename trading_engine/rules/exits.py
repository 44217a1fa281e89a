"""Where a position ends: stop and target levels, multiples of R, partial exits, trailing, time exit.

What belongs here: prices and quantities of exits, as numbers. What does not: the orders that carry them
(core), how those fill (fills).

R is the distance from the average entry to the initial stop. An average entry can lie between ticks and
comes in thousandths of a tick (`_mticks`); levels are whole ticks, at least 1, and each function says
which way it rounds.
"""

from typing import NamedTuple

from trading_engine.rules.integers import MILLI, PPM, divide_ceil, scale_floor


class TrailStep(NamedTuple):
    """Once the price has reached `at_milli` thousandths of R, the stop moves to `to_milli` of them.

    (3_000, 1_000): at 3R to +1R. (1_000, 0): break-even at 1R.
    """

    at_milli: int
    to_milli: int


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
