"""What a list of closed positions adds up to.

What belongs here: sums and averages of trades, the deepest fall of a curve; exact, in Decimal. What does
not: reading the trades (store), showing the figures (summary, read_commands).
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

from trading_engine.domain import money
from trading_engine.domain.money import ZERO


class Trade(Protocol):
    """What is added up of a closed position, whether the engine or a backtest has made it."""

    @property
    def strategy(self) -> str: ...  # noqa: D102 - as of any trade, all of these
    @property
    def symbol(self) -> str: ...  # noqa: D102
    @property
    def fills(self) -> int: ...  # noqa: D102
    @property
    def gross_pnl(self) -> Decimal: ...  # noqa: D102
    @property
    def fees(self) -> Decimal: ...  # noqa: D102
    @property
    def funding(self) -> Decimal: ...  # noqa: D102
    @property
    def net_pnl(self) -> Decimal: ...  # noqa: D102
    @property
    def r_multiple(self) -> Decimal | None: ...  # noqa: D102


class Tally(NamedTuple):
    """Sums over trades; a result of exactly 0 is neither won nor lost.

    gross, fees, funding, net   money: gross − fees + funding = net
    won, lost                   net of the winning and of the losing trades; lost is negative
    mean_r                      mean of the trades' R multiples, None where none has one
    """

    trades: int
    wins: int
    losses: int
    gross: Decimal
    fees: Decimal
    funding: Decimal
    net: Decimal
    won: Decimal
    lost: Decimal
    mean_r: Decimal | None

    @property
    def win_rate_pct(self) -> Decimal | None:
        """Winning trades in percent of all, None without a trade."""
        return money.ratio(Decimal(self.wins * 100), Decimal(self.trades)) if self.trades else None

    @property
    def profit_factor(self) -> Decimal | None:
        """Money won for each unit of money lost, None where nothing was lost."""
        return money.ratio(self.won, -self.lost) if self.lost else None

    @property
    def mean_win(self) -> Decimal | None:
        """Mean net of a winning trade."""
        return money.ratio(self.won, Decimal(self.wins)) if self.wins else None

    @property
    def mean_loss(self) -> Decimal | None:
        """Mean net of a losing trade, negative."""
        return money.ratio(self.lost, Decimal(self.losses)) if self.losses else None


def tally(closed: Iterable[Trade]) -> Tally:
    """The sums over closed positions; abandoned entries, which never traded, do not count."""
    trades = [item for item in closed if item.fills]
    nets = [item.net_pnl for item in trades]
    multiples = [item.r_multiple for item in trades if item.r_multiple is not None]
    return Tally(
        trades=len(trades),
        wins=sum(net > 0 for net in nets),
        losses=sum(net < 0 for net in nets),
        gross=sum((item.gross_pnl for item in trades), ZERO),
        fees=sum((item.fees for item in trades), ZERO),
        funding=sum((item.funding for item in trades), ZERO),
        net=sum(nets, ZERO),
        won=sum((net for net in nets if net > 0), ZERO),
        lost=sum((net for net in nets if net < 0), ZERO),
        mean_r=money.ratio(sum(multiples, ZERO), Decimal(len(multiples))) if multiples else None,
    )


def by_group(closed: Iterable[Trade]) -> list[tuple[str, str, Tally]]:
    """The sums by strategy and symbol, in alphabetical order."""
    groups: dict[tuple[str, str], list[Trade]] = {}
    for item in closed:
        if item.fills:
            groups.setdefault((item.strategy, item.symbol), []).append(item)
    return [(*key, tally(groups[key])) for key in sorted(groups)]


class Fall(NamedTuple):
    """The deepest fall of a curve below its own peak, as money and percent of that peak, both ≤ 0."""

    amount: Decimal
    percent: Decimal


def deepest_fall(curve: Sequence[Decimal]) -> Fall:
    """The fall with the largest share of its peak; 0 for a curve that never falls."""
    peak, deepest = ZERO, Fall(ZERO, ZERO)
    for value in curve:
        peak = max(peak, value)
        if peak <= 0:
            continue
        share = money.ratio((value - peak) * 100, peak)
        if share < deepest.percent:
            deepest = Fall(value - peak, share)
    return deepest
