"""What a backtest gives, whichever engine ran.

What belongs here: trades, and what else a run leaves, and how two are told apart. What does not: the account over time
(equity), figures (metrics), files (report).
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct, field

from trading_engine.backtest.equity import Curve, Sample
from trading_engine.domain import money
from trading_engine.domain.lifecycle import CloseReason
from trading_engine.domain.time import iso


class Trade(Struct, frozen=True):
    """One closed position; prices and quantities exact, `exit_value` the sum of price × quantity of its exits.

    signal_ms   open time of the candle of its strategy on whose close it was decided
    """

    position_id: str
    symbol: str
    side: str
    strategy: str
    opened_ms: int
    closed_ms: int
    entry_price: Decimal
    quantity: Decimal
    exit_value: Decimal
    initial_stop: Decimal
    stop_price: Decimal
    target_price: Decimal | None
    gross_pnl: Decimal
    fees: Decimal
    funding: Decimal
    close_reason: CloseReason
    fills: int
    signal_ms: int = 0

    @property
    def decision(self) -> "Decision":
        """What made it."""
        return Decision(self.symbol, self.strategy, self.side, self.signal_ms)

    @property
    def net_pnl(self) -> Decimal:
        """Gross PnL less fees plus funding."""
        return self.gross_pnl - self.fees + self.funding

    @property
    def exit_price(self) -> Decimal:
        """Mean price of the exits to 1e-8."""
        return money.ratio(self.exit_value, self.quantity)

    @property
    def r_multiple(self) -> Decimal | None:
        """Net PnL in multiples of the money at risk at entry, None where nothing was at risk."""
        at_risk = money.round_money(abs(self.entry_price - self.initial_stop) * self.quantity)
        return money.ratio(self.net_pnl, at_risk) if at_risk else None


class Decision(NamedTuple):
    """An entry, named so that two runs over one market call it the same; `signal_ms` as of `Trade`."""

    symbol: str
    strategy: str
    side: str
    signal_ms: int


class Outcome(Struct, frozen=True):
    """What one engine made of a market.

    trades         closed positions in order of closing
    samples        the account at each of `Market.instants`
    balance        at the end, open positions not counted
    open_positions how many were still open at the end
    still_open     and what had made them
    open_since     and when they were opened
    stopped_ms     when the drawdown limit ended all entries, 0 where it did not
    fates          what became of the signals for an entry, how many each, where the engine tells it
    """

    engine: str
    deposit: Decimal
    trades: tuple[Trade, ...]
    samples: Curve
    balance: Decimal
    unrealized: Decimal
    open_positions: int
    still_open: frozenset[Decision] = frozenset()
    open_since: tuple[int, ...] = ()
    stopped_ms: int = 0
    fates: Mapping[str, int] = field(default_factory=dict)


class Difference(Struct, frozen=True):
    """Something in which two engines do not agree."""

    position: str
    field: str
    fast: str
    full: str


def compare(fast: Outcome, full: Outcome) -> list[Difference]:
    """Every field of every trade that differs, trades matched by their position; then the balance."""
    found = []
    theirs = {trade.position_id: trade for trade in full.trades}
    for trade in fast.trades:
        other = theirs.pop(trade.position_id, None)
        if other is None:
            found.append(Difference(trade.position_id, "trade", f"{trade.symbol} {trade.close_reason}", ""))
            continue
        for name in Trade.__struct_fields__:
            mine, its = getattr(trade, name), getattr(other, name)
            if mine != its:
                found.append(Difference(trade.position_id, name, str(mine), str(its)))
    found += [Difference(name, "trade", "", f"{one.symbol} {one.close_reason}") for name, one in theirs.items()]
    if fast.balance != full.balance:
        found.append(Difference("", "balance", money.text(fast.balance), money.text(full.balance)))
    if fast.samples != full.samples:
        mine, its = set(fast.samples), set(full.samples)
        first = min(mine ^ its, key=lambda sample: sample.ts_ms)
        found.append(
            Difference("", f"equity at {iso(first.ts_ms)}", *(_at(group, first.ts_ms) for group in (mine, its)))
        )
    if fast.open_positions != full.open_positions:
        found.append(Difference("", "open_positions", str(fast.open_positions), str(full.open_positions)))
    if sorted(fast.open_since) != sorted(full.open_since):
        found.append(Difference("", "open since", str(fast.open_since), str(full.open_since)))
    if fast.stopped_ms != full.stopped_ms:
        found.append(Difference("", "end of entries", *(iso(one.stopped_ms) for one in (fast, full))))
    found += [Difference("", "still open", str(one), "") for one in sorted(fast.still_open - full.still_open)]
    found += [Difference("", "still open", "", str(one)) for one in sorted(full.still_open - fast.still_open)]
    return found


def _at(samples: set[Sample], ts_ms: int) -> str:
    return next((money.text(sample.equity) for sample in samples if sample.ts_ms == ts_ms), "")
