"""An exchange's memory without a file: for simulations and backtests, whose exchange never dies.

What belongs here: the rows of one account, in lists. What does not: durability (memory).
"""

from bisect import bisect_left

from trading_engine.venues.embedded.account import Account, ExchangeOrder
from trading_engine.venues.embedded.matching import Change, IncomeRow, TradeRow


class VolatileMemory:
    """Keeps everything, forgets it with the process."""

    def __init__(self) -> None:
        self.orders: dict[str, ExchangeOrder] = {}
        self.trades: list[TradeRow] = []
        self.incomes: list[IncomeRow] = []

    def load(self) -> Account | None:
        """Every account is new."""
        return None

    def write(self, account: Account, change: Change) -> None:
        """Keep what changed."""
        del account
        for order in change.orders:
            self.orders[order.client_order_id] = order
        self.trades.extend(change.trades)
        self.incomes.extend(change.incomes)

    def order(self, client_order_id: str) -> ExchangeOrder | None:
        """An order in any state."""
        return self.orders.get(client_order_id)

    def is_known(self, client_order_id: str) -> bool:
        """Whether an id has ever been used."""
        return client_order_id in self.orders

    def trades_since(self, since_ms: int) -> list[TradeRow]:
        """Executions at or after an instant, oldest first."""
        return self.trades[bisect_left(self.trades, since_ms, key=lambda row: row.ts_ms) :]

    def incomes_since(self, since_ms: int) -> list[IncomeRow]:
        """Funding and deposits at or after an instant, oldest first."""
        return [row for row in self.incomes if row.ts_ms >= since_ms]

    def close(self) -> None:
        """Nothing to release."""
