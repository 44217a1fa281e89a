"""How much of a size the record of closed trades allows: Kelly, winning streaks, half size after a pause.

What belongs here: the record, kept trade by trade, and the share at risk and the scale that follow from it. What does
not: the quantity (sizing), pauses (limits), which trades there were (core.risk, the backtest's ledger).
"""

from enum import IntEnum
from typing import NamedTuple

from trading_engine.rules.integers import MILLI, PPM, ratio_floor, scale_ceil, scale_floor
from trading_engine.rules.limits import losses_after

KELLY_LEAST = 30  # closed trades below which nothing is concluded from them


class Method(IntEnum):
    """What sets a size before the bounds do."""

    FIXED_FRACTION = 0  # a share of the balance at the stop
    FIXED_MONEY = 1  # an amount of notional
    VOLATILITY = 2  # the notional that moves by a share of the balance with one average true range
    KELLY = 3  # the share at the stop that the record recommends


class Record(NamedTuple):
    """What a run of closed trades adds up to, oldest first.

    trades, wins    how many there were, and with a gain
    won_e8, lost_e8 their gains and losses, both not negative; the sums fit as a balance does
    wins_in_row     gains since the last loss; a result of zero changes nothing
    losses_in_row   losses since the last gain or completed streak
    completed_ms    when the last losing streak was complete, 0 for never
    is_recovering   no gain since then
    """

    trades: int
    wins: int
    won_e8: int
    lost_e8: int
    wins_in_row: int
    losses_in_row: int
    completed_ms: int
    is_recovering: int


class Scaling(NamedTuple):
    """How sizes depend on the record; milli values of 1_000 change nothing.

    method           see `Method`
    risk_ppm         share of the balance at the stop
    money_e8         notional, for fixed money
    volatility_ppm   share of the balance that one average true range moves, for volatility
    kelly_share_ppm  how much of what Kelly recommends is taken
    kelly_cap_ppm    … at most
    win_step_milli   factor for each gain in a row
    win_most_milli   … at most
    recovery_milli   factor after a pause, until the first gain
    """

    method: int
    risk_ppm: int
    money_e8: int
    volatility_ppm: int
    kelly_share_ppm: int
    kelly_cap_ppm: int
    win_step_milli: int
    win_most_milli: int
    recovery_milli: int


def no_record() -> Record:
    """Before the first trade."""
    return Record(0, 0, 0, 0, 0, 0, 0, 0)


def recorded(record: Record, net_e8: int, closed_ms: int, streak_limit: int, counted: int) -> Record:
    """The record with one trade more; a losing streak is complete with `streak_limit` losses (0: never) and
    then counts anew.

    counted   1 where the trade is among those that Kelly looks at, otherwise 0; streaks look at all
    """
    losses = losses_after(record.losses_in_row, net_e8)
    is_complete = net_e8 < 0 and losses == streak_limit
    is_recovering = 1 if is_complete else record.is_recovering
    wins_in_row = record.wins_in_row
    if net_e8 > 0:
        is_recovering = 0
        wins_in_row += 1
    elif net_e8 < 0:
        wins_in_row = 0
    return Record(
        record.trades + counted,
        record.wins + (counted if net_e8 > 0 else 0),
        record.won_e8 + counted * max(net_e8, 0),
        record.lost_e8 + counted * max(-net_e8, 0),
        wins_in_row,
        0 if is_complete else losses,
        closed_ms if is_complete else record.completed_ms,
        is_recovering,
    )


def kelly_ppm(record: Record) -> int:
    """The share of the balance that Kelly would put at risk, parts per million, rounded down; 0 without an edge.

    W − (1 − W) / R with W the share of gains and R the mean gain over the mean loss, which is
    wins / trades × (won − lost) / won. J. L. Kelly, "A New Interpretation of Information Rate", 1956.
    """
    if record.trades == 0 or record.won_e8 <= record.lost_e8:
        return 0
    return ratio_floor(record.won_e8 - record.lost_e8, record.won_e8, 6) * record.wins // record.trades


def at_risk_ppm(scaling: Scaling, record: Record) -> int:
    """The share of the balance at the stop, before streaks: fixed, or Kelly's once there are enough trades."""
    if scaling.method != Method.KELLY or record.trades < KELLY_LEAST:
        return scaling.risk_ppm
    return min(scaling.kelly_cap_ppm, scale_floor(kelly_ppm(record), scaling.kelly_share_ppm, PPM))


def scale_milli(scaling: Scaling, record: Record) -> int:
    """By how much a size is multiplied, thousandths: gains in a row raise it, a completed losing streak lowers it."""
    scale = MILLI
    for _ in range(record.wins_in_row):
        if scale >= scaling.win_most_milli:
            break
        scale = min(scaling.win_most_milli, scale_floor(scale, scaling.win_step_milli, MILLI))
    return scale_floor(scale, scaling.recovery_milli, MILLI) if record.is_recovering else scale


def volatility_steps(moved_e8: int, atr_mticks: int, value_per_tick_step_e8: int) -> int:
    """The most steps that one average true range moves by `moved_e8` at the most; 0 where no range is known.

    atr_mticks   thousandths of a tick
    """
    if atr_mticks <= 0:
        return 0
    return moved_e8 // max(1, scale_ceil(atr_mticks, value_per_tick_step_e8, MILLI))
