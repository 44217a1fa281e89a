"""What simply holding the traded coins would have come to.

What belongs here: the line a strategy has to beat. What does not: trading, figures.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import repeat

import numpy as np

from trading_engine.backtest.market import Market
from trading_engine.backtest.result import Sample
from trading_engine.domain import money
from trading_engine.domain.money import MONEY_QUANTUM, ZERO
from trading_engine.rules.integers import share_half_even


def buy_and_hold(market: Market, deposit: Decimal, instants: Sequence[int]) -> tuple[Sample, ...]:
    """The value of a deposit spread evenly over the symbols, each bought once and kept, at these instants.

    A symbol is bought at the open of its first candle and valued at the last close; until then its share is cash. No
    leverage, no fees, no funding: kinder than what can be had.
    """
    parts = len(market.symbols)
    worth_e8 = [0] * len(instants)
    for number, block in enumerate(market.blocks):
        share = money.share(deposit, Decimal(1), Decimal(parts))
        if number == parts - 1:  # the remainder goes to the last
            share = deposit - share * (parts - 1)
        rows = block.ts.searchsorted(np.asarray(instants, dtype=np.int64) - market.interval_ms, side="right") - 1
        share_e8, bought = money.exact_units(share, MONEY_QUANTUM), int(block.open[0])
        for at, (row, close) in enumerate(zip(rows.tolist(), block.close[rows].tolist(), strict=True)):
            worth_e8[at] += share_half_even(share_e8, close, bought) if row >= 0 else share_e8
    return tuple(map(Sample, instants, map(money.from_e8, worth_e8), repeat(ZERO)))
