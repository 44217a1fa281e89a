"""What forbids an entry: loss limits, pauses, and the size of what is open. One verdict each.

What belongs here: a comparison of numbers that are given. What does not: where they come from (core.risk
sums them from the ledger), what a trip leads to, and how long it latches (core).

A limit of 0 is off and never trips. Thresholds are rounded so that the comparison is exactly that of the
unrounded share. A share of a balance or equity that is not positive is nothing, so that any loss or any
exposure trips.
"""

from typing import NamedTuple

from trading_engine.rules.integers import PPM, ratio_ceil, scale_ceil, scale_floor

NO_LEVERAGE = -1


class Verdict(NamedTuple):
    """What a limit says.

    tripped     entries are forbidden
    value       what was measured, in the unit of the threshold
    threshold   the limit, 0 where it is off
    until_ms    when it ends by itself, 0 where it has not tripped or does not: the caller latches it
    """

    tripped: bool
    value: int
    threshold: int
    until_ms: int


def daily_loss(
    day_pnl_e8: int, day_start_balance_e8: int, limit_ppm: int, limit_money_e8: int, day_end_ms: int
) -> Verdict:
    """Trips when the day's loss reaches a share of its starting balance or an amount of money.

    Where both limits are given the tighter is the threshold. value: the loss, 0 for a profit. Ends with
    the day.
    """
    loss_e8 = max(0, -day_pnl_e8)
    threshold_e8 = _loss_threshold_e8(day_start_balance_e8, limit_ppm)
    if limit_money_e8 > 0 and (threshold_e8 == 0 or limit_money_e8 < threshold_e8):
        threshold_e8 = limit_money_e8
    tripped = threshold_e8 > 0 and loss_e8 >= threshold_e8
    return Verdict(tripped, loss_e8, threshold_e8, day_end_ms if tripped else 0)


def drawdown(balance_e8: int, peak_e8: int, limit_ppm: int) -> Verdict:
    """Trips when the balance is a share of its peak below it. value, threshold: money below the peak."""
    below_e8 = max(0, peak_e8 - balance_e8)
    threshold_e8 = _loss_threshold_e8(peak_e8, limit_ppm)
    return Verdict(threshold_e8 > 0 and below_e8 >= threshold_e8, below_e8, threshold_e8, 0)


def losses_after(losses_in_row: int, net_e8: int) -> int:
    """Losses in a row after one more result; one of zero changes nothing."""
    if net_e8 == 0:
        return losses_in_row
    return losses_in_row + 1 if net_e8 < 0 else 0


def losing_streak(losses_in_row: int, limit: int, last_loss_ts_ms: int, pause_ms: int, now_ms: int) -> Verdict:
    """Trips after `limit` losses in a row, for `pause_ms` after the last one, or, with 0, until resumed."""
    if limit <= 0 or losses_in_row < limit:
        return Verdict(tripped=False, value=losses_in_row, threshold=max(0, limit), until_ms=0)
    if pause_ms <= 0:
        return Verdict(tripped=True, value=losses_in_row, threshold=limit, until_ms=0)
    until_ms = last_loss_ts_ms + pause_ms
    tripped = now_ms < until_ms
    return Verdict(tripped, losses_in_row, limit, until_ms if tripped else 0)


def cooldown(last_loss_ts_ms: int, cooldown_ms: int, now_ms: int) -> Verdict:
    """Trips for `cooldown_ms` after a loss (0: there was none). value: milliseconds that are left."""
    until_ms = last_loss_ts_ms + cooldown_ms
    if last_loss_ts_ms <= 0 or cooldown_ms <= 0 or now_ms >= until_ms:
        return Verdict(tripped=False, value=0, threshold=max(0, cooldown_ms), until_ms=0)
    return Verdict(tripped=True, value=until_ms - now_ms, threshold=cooldown_ms, until_ms=until_ms)


def portfolio_risk(open_risk_e8: int, new_risk_e8: int, equity_e8: int, limit_ppm: int) -> Verdict:
    """Trips when open risk and the new position's together exceed a share of the equity."""
    return _share_exceeded(open_risk_e8 + new_risk_e8, equity_e8, limit_ppm)


def position_size(notional_e8: int, equity_e8: int, limit_ppm: int) -> Verdict:
    """Trips when a position's notional exceeds a share of the equity."""
    return _share_exceeded(notional_e8, equity_e8, limit_ppm)


def group_exposure(notional_e8: int, equity_e8: int, limit_ppm: int) -> Verdict:
    """Trips when the notional of a group of symbols together exceeds a share of the equity."""
    return _share_exceeded(notional_e8, equity_e8, limit_ppm)


def liquidation(sign: int, entry_ticks: int, stop_ticks: int, liquidation_ticks: int) -> Verdict:
    """Trips when a position would be liquidated before, or where, its stop is reached; never without one (0).

    value, threshold: distances of stop and liquidation price from the entry, ticks.
    """
    if liquidation_ticks <= 0:
        return Verdict(tripped=False, value=abs(entry_ticks - stop_ticks), threshold=0, until_ms=0)
    tripped = sign * stop_ticks <= sign * liquidation_ticks
    return Verdict(tripped, abs(entry_ticks - stop_ticks), abs(entry_ticks - liquidation_ticks), 0)


def is_near(price_ticks: int, level_ticks: int, share_ppm: int) -> bool:
    """Whether a price is within a share of itself of a level, or exactly that far; 0 for no level or share."""
    if level_ticks <= 0 or share_ppm <= 0:
        return False
    return abs(price_ticks - level_ticks) * PPM <= price_ticks * share_ppm


def position_count(open_positions: int, limit: int) -> Verdict:
    """Trips when there are more positions than allowed; `open_positions` includes the new one."""
    return Verdict(0 < limit < open_positions, open_positions, max(0, limit), 0)


def minimum_balance(balance_e8: int, start_balance_e8: int, limit_ppm: int) -> Verdict:
    """Trips when the balance is below a share of what the account began with. value: the balance."""
    threshold_e8 = scale_ceil(max(0, start_balance_e8), limit_ppm, PPM)
    return Verdict(limit_ppm > 0 and balance_e8 < threshold_e8, balance_e8, threshold_e8, 0)


def leverage(gross_notional_e8: int, equity_e8: int, limit_milli: int) -> Verdict:
    """Trips when gross notional exceeds `limit_milli` thousandths of the equity, or there is no equity.

    value: leverage in thousandths, rounded up by long division (1_000 × notional would not fit; the
    quotient does up to 9e15 times the equity), or NO_LEVERAGE (-1) where the equity is not positive.
    """
    if equity_e8 <= 0:
        return Verdict(limit_milli > 0, NO_LEVERAGE, max(0, limit_milli), 0)
    value_milli = ratio_ceil(gross_notional_e8, equity_e8, 3)
    return Verdict(0 < limit_milli < value_milli, value_milli, max(0, limit_milli), 0)


def margin(required_e8: int, available_e8: int) -> Verdict:
    """Trips when an order needs more margin than there is; this one cannot be switched off."""
    return Verdict(required_e8 > available_e8, required_e8, available_e8, 0)


def _loss_threshold_e8(amount_e8: int, limit_ppm: int) -> int:
    """The smallest loss, in whole units and at least one, that is a share of `amount_e8`; 0 for off."""
    if limit_ppm <= 0:
        return 0
    return max(1, scale_ceil(amount_e8, limit_ppm, PPM))


def _share_exceeded(value_e8: int, equity_e8: int, limit_ppm: int) -> Verdict:
    """The verdict on a value that may be at most a share of the equity."""
    threshold_e8 = scale_floor(max(0, equity_e8), limit_ppm, PPM)
    return Verdict(limit_ppm > 0 and value_e8 > threshold_e8, value_e8, threshold_e8, 0)
