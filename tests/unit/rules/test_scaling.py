"""What the record of closed trades says of the next size."""

import pytest

from trading_engine.rules import scaling
from trading_engine.rules.scaling import Method, Record, Scaling

PLAIN = Scaling(Method.FIXED_FRACTION, 5_000, 0, 0, 250_000, 20_000, 1_000, 1_000, 1_000)
KELLY = PLAIN._replace(method=Method.KELLY)
STREAKS = PLAIN._replace(win_step_milli=1_250, win_most_milli=2_000)
WON = scaling.no_record()._replace(trades=40, wins=20, won_e8=400, lost_e8=200)  # W 0.5, R 2: Kelly 0.25


def record(*nets: int, limit: int = 3, skip: int = 0) -> Record:
    """Trades that close at 1, 2, 3 …, of which Kelly skips the first ones."""
    made = scaling.no_record()
    for at, net in enumerate(nets):
        made = scaling.recorded(made, net, at + 1, limit, 1 if at >= skip else 0)
    return made


def test_gains_and_losses_are_summed_apart() -> None:
    """A result of zero is a trade and neither."""
    assert Record(4, 2, 50, 10, 0, 1, 0, 0) == record(20, 30, 0, -10)


def test_kelly_looks_at_the_newest_trades_and_streaks_at_all() -> None:
    """Five gains in a row, two of them counted."""
    assert Record(2, 2, 2, 0, 5, 0, 0, 0) == record(1, 1, 1, 1, 1, skip=3)


@pytest.mark.parametrize(
    ("nets", "wins", "losses", "completed", "recovering"),
    [
        ((1, 1, 0, 1), 3, 0, 0, 0),
        ((1, -1), 0, 1, 0, 0),
        ((-1, -1, -1), 0, 0, 3, 1),
        ((-1, -1, -1, 0, -1), 0, 1, 3, 1),
        ((-1, -1, -1, -1, 1), 1, 0, 3, 0),
        ((-1, -1, -1, 1, -1, -1, -1), 0, 0, 7, 1),
    ],
)
def test_streaks_are_counted_trade_by_trade(
    nets: tuple[int, ...], wins: int, losses: int, completed: int, recovering: int
) -> None:
    """Three losses complete one, and the count begins anew; a gain ends the recovery from it."""
    made = record(*nets)
    assert (wins, losses, completed, recovering) == made[4:]


def test_without_a_limit_no_losing_streak_is_ever_complete() -> None:
    """Nothing pauses, so nothing is recovered from."""
    assert (9, 0, 0) == record(*[-1] * 9, limit=0)[5:]


@pytest.mark.parametrize(
    ("trades", "wins", "won", "lost", "expected"),
    [
        (40, 20, 400, 200, 250_000),
        (40, 30, 300, 200, 249_999),
        (40, 40, 400, 0, 1_000_000),
        (40, 20, 200, 200, 0),
        (40, 10, 100, 200, 0),
        (0, 0, 0, 0, 0),
        (3, 2, 3, 2, 222_222),
    ],
)
def test_kelly_is_the_edge_over_the_odds(trades: int, wins: int, won: int, lost: int, expected: int) -> None:
    """W − (1 − W) / R; without an edge there is nothing to put at risk."""
    assert expected == scaling.kelly_ppm(Record(trades, wins, won, lost, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("rule", "given", "expected"),
    [
        (PLAIN, WON, 5_000),
        (KELLY, WON._replace(trades=29), 5_000),
        (KELLY, WON, 20_000),
        (KELLY._replace(kelly_cap_ppm=100_000), WON, 62_500),
        (KELLY, WON._replace(lost_e8=400), 0),
    ],
)
def test_kelly_counts_once_there_are_thirty_trades(rule: Scaling, given: Record, expected: int) -> None:
    """A quarter of 25 %, at most the cap; before that, and by any other method, the fixed share."""
    assert expected == scaling.at_risk_ppm(rule, given)


@pytest.mark.parametrize(
    ("wins", "expected"), [(0, 1_000), (1, 1_250), (2, 1_562), (3, 1_952), (4, 2_000), (99, 2_000)]
)
def test_each_gain_in_a_row_raises_the_size_up_to_a_bound(wins: int, expected: int) -> None:
    """A quarter more each, at most twice, rounded down."""
    assert expected == scaling.scale_milli(STREAKS, scaling.no_record()._replace(wins_in_row=wins))


@pytest.mark.parametrize(("recovering", "expected"), [(0, 1_250), (1, 625)])
def test_after_a_pause_the_size_is_halved_until_the_first_gain(recovering: int, expected: int) -> None:
    """It is a factor like the others."""
    given = scaling.no_record()._replace(wins_in_row=1, is_recovering=recovering)
    assert expected == scaling.scale_milli(STREAKS._replace(recovery_milli=500), given)


def test_nothing_scales_unless_it_is_asked_for() -> None:
    """The usual size."""
    assert 1_000 == scaling.scale_milli(PLAIN, scaling.no_record()._replace(wins_in_row=9, is_recovering=1))


@pytest.mark.parametrize(("moved", "atr", "expected"), [(1_000, 2_500, 40), (1_000, 0, 0), (999, 2_500, 39), (7, 1, 7)])
def test_one_range_moves_no_more_than_its_share(moved: int, atr: int, expected: int) -> None:
    """Steps of 10 a tick; without a range there is no size."""
    assert expected == scaling.volatility_steps(moved, atr, 10)
