"""What the account's executions add up to: fills of orders, closed PnL, realised PnL by symbol.

What belongs here: sums over executions and funding, kept as they come. What does not: how they are shown (rows).
"""

from collections import defaultdict
from dataclasses import dataclass, field

from trading_engine.rules.sizing import notional_e8
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venues.embedded.matching import IncomeRow, TradeRow
from trading_engine.venues.embedded.terms import Contract


@dataclass(slots=True)
class Filled:
    """What an order has traded so far."""

    steps: int = 0
    value_e8: int = 0
    fee_e8: int = 0


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution with what it left of its order and how much of a position it closed, in steps."""

    row: TradeRow
    value_e8: int
    leaves: int
    closed: int


@dataclass(slots=True)
class Closing:
    """What one order has closed; `pnl_e8` is net of the fees of both sides."""

    number: int
    row: TradeRow
    steps: int = 0
    entry_e8: int = 0
    exit_e8: int = 0
    pnl_e8: int = 0
    fills: int = 0
    updated_ms: int = 0


@dataclass(slots=True)
class Holding:
    """The position as its executions make it."""

    sign: int = 0
    steps: int = 0
    fees_e8: int = 0
    opened_ms: int = 0
    updated_ms: int = 0


@dataclass(slots=True)
class Ledger:
    """All there has been, oldest first. `realised_e8` is PnL less fees, and funding."""

    contracts: dict[str, Contract]
    executions: list[Execution] = field(default_factory=list)
    closings: list[Closing] = field(default_factory=list)
    fundings: list[IncomeRow] = field(default_factory=list)
    fills: defaultdict[int, Filled] = field(default_factory=lambda: defaultdict(Filled))
    holdings: defaultdict[str, Holding] = field(default_factory=lambda: defaultdict(Holding))
    realised_e8: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    @classmethod
    def of(cls, exchange: LocalExchange) -> "Ledger":
        """The ledger of everything that an exchange remembers."""
        ledger = cls({symbol: Contract.of(instrument) for symbol, instrument in exchange.instruments.items()})
        for row in exchange.trades():
            ledger.book(row, exchange)
        for income in exchange.incomes():
            ledger.receive(income)
        return ledger

    def receive(self, income: IncomeRow) -> None:
        """Book what was paid or received without a trade."""
        if income.kind == "funding":
            self.fundings.append(income)
            self.realised_e8[income.symbol] += income.amount_e8

    def book(self, row: TradeRow, exchange: LocalExchange) -> Execution:
        """Book one execution."""
        value_e8 = notional_e8(row.price, row.steps, self.contracts[row.symbol].value_e8)
        order = exchange.order(number=row.order_number)
        leaves = 0
        if order is not None:
            filled = self.fills[row.order_number]
            filled.steps += row.steps
            filled.value_e8 += value_e8
            filled.fee_e8 += row.fee_e8
            leaves = max(order.steps - filled.steps, 0)
        holding = self.holdings[row.symbol]
        closed = min(row.steps, holding.steps) if holding.sign == -row.sign else 0
        self.realised_e8[row.symbol] += row.gross_e8 - row.fee_e8
        fee_left = row.fee_e8 - self._close(row, holding, closed, value_e8)
        if row.steps > closed:
            if not holding.steps:
                holding.sign, holding.opened_ms = row.sign, row.ts_ms
            holding.steps += row.steps - closed
            holding.fees_e8 += fee_left
        holding.updated_ms = row.ts_ms
        execution = Execution(row, value_e8, leaves, closed)
        self.executions.append(execution)
        return execution

    def _close(self, row: TradeRow, holding: Holding, closed: int, value_e8: int) -> int:
        """Book the closing part of an execution; the share of its fee that goes with it."""
        if not closed:
            return 0
        exit_e8 = value_e8 * closed // row.steps
        exit_fee_e8 = row.fee_e8 * closed // row.steps
        entry_fee_e8 = holding.fees_e8 * closed // holding.steps
        last = self.closings[-1] if self.closings else None
        if last is None or not row.order_number or last.row.order_number != row.order_number:
            last = Closing(len(self.closings) + 1, row)
            self.closings.append(last)
        last.steps += closed
        last.exit_e8 += exit_e8
        last.entry_e8 += exit_e8 - holding.sign * row.gross_e8
        last.pnl_e8 += row.gross_e8 - exit_fee_e8 - entry_fee_e8
        last.fills += 1
        last.updated_ms = row.ts_ms
        holding.steps -= closed
        holding.fees_e8 -= entry_fee_e8
        if not holding.steps:
            holding.sign = holding.fees_e8 = 0
        return exit_fee_e8
