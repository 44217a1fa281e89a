"""What closed positions add up to."""

from decimal import Decimal

from trading_engine.cli.tally import Fall, by_group, deepest_fall, tally
from trading_engine.store.read_models import Trade


def trade(net: str, *, symbol: str = "BTCUSDT", strategy: str = "trend", r: str | None = None, fills: int = 2) -> Trade:
    """A trade that made `net` after a fee of 1 and a funding of −0.5."""
    amount = Decimal(net)
    return Trade(
        position_id="P000001",
        symbol=symbol,
        side="long",
        strategy=strategy,
        tag="",
        opened_ms=1,
        closed_ms=2,
        entry_price=Decimal(100),
        exit_price=Decimal(101),
        quantity=Decimal(1),
        gross_pnl=amount + Decimal("1.5"),
        fees=Decimal(1),
        funding=Decimal("-0.5"),
        net_pnl=amount,
        r_multiple=None if r is None else Decimal(r),
        close_reason="stop",
        fills=fills,
        residual_of="",
    )


def test_sums_and_averages_are_exact() -> None:
    """Two won, one lost, one even: the even one is neither, but counts as a trade."""
    sums = tally([trade("10", r="2"), trade("5", r="1"), trade("-3", r="-0.5"), trade("0")])
    assert (4, 2, 1) == (sums.trades, sums.wins, sums.losses)
    assert (Decimal(12), Decimal(4), Decimal(-2)) == (sums.net, sums.fees, sums.funding)
    assert sums.net == sums.gross - sums.fees + sums.funding
    assert Decimal(50) == sums.win_rate_pct
    assert Decimal(5) == sums.profit_factor
    assert (Decimal("7.5"), Decimal(-3)) == (sums.mean_win, sums.mean_loss)
    assert Decimal("0.83333333") == sums.mean_r


def test_nothing_traded_has_no_averages() -> None:
    """None instead of a division by zero; an abandoned entry is no trade."""
    sums = tally([trade("0", fills=0)])
    averages = (sums.win_rate_pct, sums.profit_factor, sums.mean_win, sums.mean_loss, sums.mean_r)
    assert 0 == sums.trades
    assert (None,) * 5 == averages


def test_groups_are_sorted_by_strategy_and_symbol() -> None:
    """Each with its own sums."""
    trades = [trade("1", symbol="ETHUSDT"), trade("2"), trade("3"), trade("4", strategy="break"), trade("9", fills=0)]
    assert [
        ("break", "BTCUSDT", Decimal(4)),
        ("trend", "BTCUSDT", Decimal(5)),
        ("trend", "ETHUSDT", Decimal(1)),
    ] == [(strategy, symbol, sums.net) for strategy, symbol, sums in by_group(trades)]


def test_the_deepest_fall_is_the_largest_share_of_its_peak() -> None:
    """A larger sum from a higher peak is the smaller fall."""
    curve = [Decimal(value) for value in (100, 90, 100, 1000, 940, 1100)]
    assert Fall(Decimal(-10), Decimal(-10)) == deepest_fall(curve)


def test_a_curve_that_only_climbs_never_falls() -> None:
    """So does an empty one, and one without money."""
    nothing = Fall(Decimal(0), Decimal(0))
    assert [nothing] * 3 == [deepest_fall([]), deepest_fall([Decimal(1), Decimal(2)]), deepest_fall([Decimal(0)])]
