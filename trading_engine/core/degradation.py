"""A strategy's closed trades against what its backtest has promised.

What belongs here: the comparison, and telling once that a strategy falls short. What does not: the backtest, the
promise (configuration), switching a strategy off (an operator does).

Both measures are free of scale, so they hold whatever the sizes were. A win rate falls short when it lies more than
two standard deviations of a binomial below the promise; a profit factor when it is less than half of it, or when
losses outweigh gains where gains were promised.
"""

from collections.abc import Sequence
from decimal import Decimal
from math import sqrt

from trading_engine.core.draft import Draft
from trading_engine.core.settings import Expected
from trading_engine.domain.money import ZERO
from trading_engine.domain.severity import Severity
from trading_engine.rules.integers import PPM

_DEVIATIONS = 2.0


def judge(draft: Draft, strategy: str) -> None:
    """Compare after a trade has closed; told once, and again only after it has recovered in between."""
    expected = draft.settings.tell.expected.get(strategy)
    if expected is None:
        return
    nets = [trade.net for trade in draft.book.ledger.closed if trade.strategy == strategy]
    if len(nets) < draft.settings.tell.least_trades:
        return
    shortfall = _shortfall(nets, expected)
    degraded = draft.market.degraded
    if not shortfall and strategy in degraded:
        draft.see(degraded=degraded - {strategy})
    elif shortfall and strategy not in degraded:
        draft.see(degraded=degraded | {strategy})
        text = f"{strategy} falls short of its backtest over {len(nets)} trades: {shortfall}"
        draft.alert(Severity.WARNING, f"degraded:{strategy}", text)


def _shortfall(nets: Sequence[Decimal], expected: Expected) -> str:
    """What is worse than promised, in words; empty for nothing."""
    parts = []
    count = len(nets)
    if expected.win_rate_ppm:
        promised = expected.win_rate_ppm / PPM
        rate = sum(1 for net in nets if net > 0) / count
        if rate < promised - _DEVIATIONS * sqrt(promised * (1 - promised) / count):
            parts.append(f"{rate:.0%} won, {promised:.0%} expected")
    won, lost = sum((net for net in nets if net > 0), ZERO), -sum((net for net in nets if net < 0), ZERO)
    if expected.profit_factor_milli and lost:
        promised = expected.profit_factor_milli / 1_000
        factor = float(won / lost)
        if factor < promised / 2 or factor < 1 <= promised:
            parts.append(f"profit factor {factor:.2f}, {promised:.2f} expected")
    return "; ".join(parts)
