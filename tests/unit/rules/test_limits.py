"""Verdicts: each limit just before, at and after its threshold, and off."""

import pytest

from trading_engine.rules import limits
from trading_engine.rules.limits import Verdict


@pytest.mark.parametrize(
    ("pnl", "ppm", "money", "expected"),
    [
        (-49, 50_000, 0, Verdict(False, 49, 50, 0)),
        (-50, 50_000, 0, Verdict(True, 50, 50, 777)),
        (-50, 0, 0, Verdict(False, 50, 0, 0)),
        (-50, 50_000, 40, Verdict(True, 50, 40, 777)),
        (-39, 50_000, 40, Verdict(False, 39, 40, 0)),
        (-45, 50_000, 60, Verdict(False, 45, 50, 0)),
        (-45, 0, 40, Verdict(True, 45, 40, 777)),
        (80, 50_000, 0, Verdict(False, 0, 50, 0)),
    ],
)
def test_the_daily_loss_trips_until_the_day_ends(pnl: int, ppm: int, money: int, expected: Verdict) -> None:
    """Of a balance of 1,000; the tighter of share and money counts."""
    assert expected == limits.daily_loss(pnl, 1_000, ppm, money, 777)


def test_any_loss_trips_where_nothing_was_there_to_lose() -> None:
    """A share of no balance is no money, not a limit that is off."""
    assert Verdict(True, 1, 1, 777) == limits.daily_loss(-1, -5, 50_000, 0, 777)


@pytest.mark.parametrize(
    ("balance", "ppm", "expected"),
    [
        (901, 100_000, Verdict(False, 99, 100, 0)),
        (900, 100_000, Verdict(True, 100, 100, 0)),
        (1_200, 100_000, Verdict(False, 0, 100, 0)),
        (0, 0, Verdict(False, 1_000, 0, 0)),
    ],
)
def test_the_drawdown_trips_at_a_share_below_the_peak(balance: int, ppm: int, expected: Verdict) -> None:
    """Of a peak of 1,000; it never ends by itself."""
    assert expected == limits.drawdown(balance, 1_000, ppm)


@pytest.mark.parametrize(("losses", "net", "expected"), [(0, -1, 1), (2, -5, 3), (2, 0, 2), (2, 1, 0), (0, 0, 0)])
def test_a_loss_counts_on_a_gain_begins_anew_and_zero_changes_nothing(losses: int, net: int, expected: int) -> None:
    """One result after the other."""
    assert expected == limits.losses_after(losses, net)


@pytest.mark.parametrize(
    ("losses", "limit", "pause", "now", "expected"),
    [
        (2, 3, 50, 101, Verdict(False, 2, 3, 0)),
        (3, 3, 50, 149, Verdict(True, 3, 3, 150)),
        (3, 3, 50, 150, Verdict(False, 3, 3, 0)),
        (4, 3, 0, 10**9, Verdict(True, 4, 3, 0)),
        (9, 0, 50, 101, Verdict(False, 9, 0, 0)),
    ],
)
def test_a_losing_streak_pauses(losses: int, limit: int, pause: int, now: int, expected: Verdict) -> None:
    """After the last loss at 100 for the pause, or until resumed where there is none."""
    assert expected == limits.losing_streak(losses, limit, 100, pause, now)


@pytest.mark.parametrize(
    ("last_loss", "length", "now", "expected"),
    [
        (100, 50, 120, Verdict(True, 30, 50, 150)),
        (100, 50, 150, Verdict(False, 0, 50, 0)),
        (0, 50, 20, Verdict(False, 0, 50, 0)),
        (100, 0, 100, Verdict(False, 0, 0, 0)),
    ],
)
def test_a_loss_is_followed_by_a_cooldown(last_loss: int, length: int, now: int, expected: Verdict) -> None:
    """It says how long it still lasts."""
    assert expected == limits.cooldown(last_loss, length, now)


@pytest.mark.parametrize(
    ("new", "equity", "ppm", "expected"),
    [
        (20, 1_000, 50_000, Verdict(False, 50, 50, 0)),
        (20, 1_019, 50_000, Verdict(False, 50, 50, 0)),  # 50.95
        (21, 1_000, 50_000, Verdict(True, 51, 50, 0)),
        (21, 0, 50_000, Verdict(True, 51, 0, 0)),
        (21, -9, 50_000, Verdict(True, 51, 0, 0)),
        (21, 1_000, 0, Verdict(False, 51, 0, 0)),
    ],
)
def test_the_risk_of_all_positions_is_bounded(new: int, equity: int, ppm: int, expected: Verdict) -> None:
    """30 at risk already; exactly the limit is allowed."""
    assert expected == limits.portfolio_risk(30, new, equity, ppm)


@pytest.mark.parametrize(("notional", "tripped"), [(400, False), (401, True)])
def test_the_size_of_a_position_is_bounded(notional: int, tripped: bool) -> None:
    """40 % of an equity of 1,000."""
    assert Verdict(tripped, notional, 400, 0) == limits.position_size(notional, 1_000, 400_000)


@pytest.mark.parametrize(("notional", "tripped"), [(200, False), (201, True)])
def test_what_a_group_of_symbols_is_worth_is_bounded(notional: int, tripped: bool) -> None:
    """20 % of an equity of 1,000; exactly that is allowed."""
    assert Verdict(tripped, notional, 200, 0) == limits.group_exposure(notional, 1_000, 200_000)


@pytest.mark.parametrize(
    ("sign", "stop", "level", "expected"),
    [
        (1, 95, 91, Verdict(False, 5, 9, 0)),
        (1, 91, 91, Verdict(True, 9, 9, 0)),
        (1, 90, 91, Verdict(True, 10, 9, 0)),
        (-1, 105, 109, Verdict(False, 5, 9, 0)),
        (-1, 110, 109, Verdict(True, 10, 9, 0)),
        (1, 90, 0, Verdict(False, 10, 0, 0)),
    ],
)
def test_a_stop_must_come_before_the_liquidation(sign: int, stop: int, level: int, expected: Verdict) -> None:
    """From an entry at 100; at the same price the venue may be first."""
    assert expected == limits.liquidation(sign, 100, stop, level)


@pytest.mark.parametrize(
    ("price", "level", "ppm", "expected"),
    [
        (1_000, 950, 50_000, True),
        (1_000, 949, 50_000, False),
        (1_000, 1_050, 50_000, True),
        (1_000, 1_000, 50_000, True),
        (1_000, 0, 50_000, False),
        (1_000, 999, 0, False),
    ],
)
def test_a_price_is_near_a_level_within_a_share_of_itself(price: int, level: int, ppm: int, expected: bool) -> None:
    """On either side of it."""
    assert expected is limits.is_near(price, level, ppm)


@pytest.mark.parametrize(("count", "limit", "tripped"), [(3, 3, False), (4, 3, True), (99, 0, False)])
def test_the_number_of_positions_is_bounded(count: int, limit: int, tripped: bool) -> None:
    """The new one included; 0 is no limit."""
    assert Verdict(tripped, count, limit, 0) == limits.position_count(count, limit)


@pytest.mark.parametrize(
    ("balance", "start", "ppm", "expected"),
    [
        (100, 1_000, 100_000, Verdict(False, 100, 100, 0)),
        (99, 1_000, 100_000, Verdict(True, 99, 100, 0)),
        (100, 1_001, 100_000, Verdict(True, 100, 101, 0)),  # 100 is below 100.1
        (-5, 1_000, 0, Verdict(False, -5, 0, 0)),
    ],
)
def test_the_balance_must_not_fall_below_a_share_of_the_start(
    balance: int, start: int, ppm: int, expected: Verdict
) -> None:
    """Exactly the share is allowed."""
    assert expected == limits.minimum_balance(balance, start, ppm)


@pytest.mark.parametrize(
    ("gross", "equity", "limit", "expected"),
    [
        (5_000, 1_000, 5_000, Verdict(False, 5_000, 5_000, 0)),
        (5_001, 1_000, 5_000, Verdict(True, 5_001, 5_000, 0)),
        (50_000_001, 10_000_000, 5_000, Verdict(True, 5_001, 5_000, 0)),
        (9_000, 1_000, 0, Verdict(False, 9_000, 0, 0)),
        (0, 0, 5_000, Verdict(True, -1, 5_000, 0)),
        (0, -1, 0, Verdict(False, -1, 0, 0)),
    ],
)
def test_the_leverage_of_the_account_is_bounded(gross: int, equity: int, limit: int, expected: Verdict) -> None:
    """Exactly the limit is allowed; without equity nothing is."""
    assert expected == limits.leverage(gross, equity, limit)


@pytest.mark.parametrize(("required", "tripped"), [(100, False), (101, True)])
def test_an_order_needs_its_margin(required: int, tripped: bool) -> None:
    """Of 100 available."""
    assert Verdict(tripped, required, 100, 0) == limits.margin(required, 100)
