"""What holding comes to is money like any other: whole 1e-8, halves to the even one."""

from decimal import Decimal

import numpy as np
import pytest

from trading_engine.backtest.figures import deepest_fall
from trading_engine.backtest.hold import buy_and_hold
from trading_engine.backtest.market import make_market
from trading_engine.domain import money
from trading_engine.domain.time import MINUTE_MS
from trading_engine.marketdata.block import Units

START_MS = 1_746_316_800_000


def walk(rng: np.random.Generator, rows: int, begin: int) -> Units:
    ts = START_MS + MINUTE_MS * (begin + np.arange(rows))
    prices = rng.integers(1, 10_000, rows)
    return Units(ts, prices, prices, prices, prices, np.ones(rows, np.int64))


def test_a_half_goes_to_the_even_one() -> None:
    """One and a half, two and a half and three and a half of the smallest amount."""
    prices = np.array([2, 3, 5, 7])
    ts = START_MS + MINUTE_MS * np.arange(4)
    market = make_market({"AAAUSDT": Units(ts, prices, prices, prices, prices, prices)}, (), MINUTE_MS)
    held = buy_and_hold(market, Decimal("0.00000001"), ts + MINUTE_MS)
    assert [1, 2, 2, 4] == [money.to_e8(point.equity) for point in held]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("deposit", [Decimal("1000.00000001"), Decimal(1_000_000_000)], ids=["usual", "beyond 64 bits"])
def test_each_share_is_rounded_as_money_is(seed: int, deposit: Decimal) -> None:
    """Three symbols that begin at different times, the remainder of the deposit in the last; as decimals give it."""
    rng = np.random.default_rng(seed)
    names = ("AAAUSDT", "BBBUSDT", "CCCUSDT")
    blocks = {name: walk(rng, 40, at * 5) for at, name in enumerate(names)}
    instants = START_MS + MINUTE_MS * np.arange(51)
    third = money.share(deposit, Decimal(1), Decimal(3))
    expected = []
    for ts in instants.tolist():
        total = Decimal(0)
        for name, share in zip(names, (third, third, deposit - 2 * third), strict=True):
            closed = np.flatnonzero(blocks[name].ts + MINUTE_MS <= ts)
            bought = Decimal(int(blocks[name].open[0]))
            close = Decimal(int(blocks[name].close[closed[-1]])) if closed.size else bought
            total += money.share(share, close, bought)
        expected.append(total)
    held = buy_and_hold(make_market(blocks, (), MINUTE_MS), deposit, instants)
    assert expected == [point.equity for point in held]
    falls = [later / earlier - 1 for at, earlier in enumerate(expected) for later in expected[at:]]
    assert pytest.approx(float(min(falls)) * 100) == deepest_fall(held).pct
