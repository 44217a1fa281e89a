"""What simply holding the traded coins would have come to.

What belongs here: the line a strategy has to beat. What does not: trading, figures.
"""

from decimal import Decimal

import numpy as np

from trading_engine.backtest.equity import Curve
from trading_engine.backtest.market import Market
from trading_engine.backtest.tables import Ints
from trading_engine.domain import money
from trading_engine.domain.money import MONEY_QUANTUM

_HELD = 1 << 55  # a sum over two hundred symbols fits into 64 bits as well


def buy_and_hold(market: Market, deposit: Decimal, instants: Ints) -> Curve:
    """The value of a deposit spread evenly over the symbols, each bought once and kept, at these instants.

    A symbol is bought at the open of its first candle and valued at the last close; until then its share is cash. No
    leverage, no fees, no funding: kinder than what can be had.
    """
    parts = len(market.symbols)
    worth_e8 = np.zeros(len(instants), dtype=np.int64)
    for number, block in enumerate(market.blocks):
        share = money.share(deposit, Decimal(1), Decimal(parts))
        if number == parts - 1:  # the remainder goes to the last
            share = deposit - share * (parts - 1)
        rows = block.ts.searchsorted(instants - market.interval_ms, side="right") - 1
        share_e8, bought = money.exact_units(share, MONEY_QUANTUM), int(block.open[0])
        worth_e8 = worth_e8 + np.where(rows < 0, share_e8, _shares(share_e8, block.close[rows], bought))
    return Curve(instants, worth_e8, np.zeros_like(worth_e8))


def _shares(amount: int, parts: Ints, whole: int) -> Ints:
    """`rules.integers.share_half_even` of many parts; by Python's integers where 64 bits may not hold a product."""
    most = int(parts.max(initial=0))
    if max(amount // whole * most + most, whole * most) >= _HELD:
        parts = parts.astype(object)
    rest = amount % whole * parts
    share = amount // whole * parts + rest // whole
    rest = 2 * (rest % whole)
    up: Ints = (rest > whole) | ((rest == whole) & (share % 2 == 1))
    return share + up
