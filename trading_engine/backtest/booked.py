"""Positions of the engine's, as they are booked, in the words of a backtest.

What belongs here: a position as a trade, and as the decision that made it. What does not: trades themselves (result).
"""

from trading_engine.backtest.result import Decision, Trade
from trading_engine.domain.position import Position


def trade_of(position: Position) -> Trade:
    """A closed position of the engine's as a trade."""
    assert position.average_entry is not None  # noqa: S101 - it has traded
    assert position.close_reason is not None  # noqa: S101 - it is closed
    return Trade(
        position_id=position.position_id,
        symbol=position.symbol,
        side=str(position.side),
        strategy=position.strategy,
        opened_ms=position.opened_ms,
        closed_ms=position.closed_ms,
        entry_price=position.average_entry,
        quantity=position.entry_quantity,
        exit_value=position.exit_value,
        initial_stop=position.initial_stop,
        stop_price=position.stop_price,
        target_price=position.target_price,
        gross_pnl=position.gross_pnl,
        fees=position.fees,
        funding=position.funding,
        close_reason=position.close_reason,
        fills=position.fills,
        signal_ms=position.signal_ms,
    )


def decision_of(position: Position) -> Decision:
    """What made a position of the engine's."""
    return Decision(position.symbol, position.strategy, str(position.side), position.signal_ms)
