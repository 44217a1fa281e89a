"""The JSON of `backtest`: a shape that scripts rely on.

What belongs here: from a finished backtest to plain dictionaries. What does not: running it, tables.

Money, prices and quantities are decimal strings, ratios and percentages numbers, times ISO 8601 in UTC; trades are
newest first as everywhere, the equity curve goes forward in time.
"""

from dataclasses import fields
from decimal import Decimal
from typing import Any

from trading_engine.backtest.job import Finished
from trading_engine.backtest.metrics import Metrics, curve
from trading_engine.backtest.result import Trade
from trading_engine.cli import shapes
from trading_engine.domain import money
from trading_engine.domain.time import iso


def result(done: Finished) -> dict[str, Any]:
    """The whole of it; `parity` only where both engines ran."""
    market = done.market
    shape: dict[str, Any] = {
        "dataset": {
            "hash": done.digest,
            "rows": market.rows,
            "symbols": list(market.symbols),
            "from": iso(market.first_ms),
            "to": iso(market.last_ms),
            "missing": {symbol: sum(gap.missing for gap in gaps) for symbol, gaps in done.gaps.items()},
        },
        "config_hash": done.config_hash,
        "code_version": done.code_version,
        "engine": done.outcome.engine,
        "handed_over": done.handed_over or None,
        "metrics": metrics(done.metrics),
        "trades": [trade(item) for item in reversed(done.outcome.trades)],
        "equity_curve": [
            [iso(sample.ts_ms), money.text(sample.equity)]
            for sample in curve(done.outcome, market.first_ms, market.last_ms)
        ],
        "ambiguous_trades": done.ambiguous,
        "timing": {item.name: round(getattr(done.timing, item.name), 6) for item in fields(done.timing)},
    }
    if done.parity is not None:
        differences = [
            {"position": one.position, "field": one.field, "fast": one.fast, "full": one.full}
            for one in done.parity.differences
        ]
        shape["parity"] = {"compared": done.parity.compared, "differences": differences}
    return shape


def metrics(told: Metrics) -> dict[str, Any]:
    """Every figure by its name."""
    return {item.name: _plain(getattr(told, item.name)) for item in fields(told)}


def trade(item: Trade) -> shapes.Row:
    """One closed position, as `trades --json` has it."""
    return {
        "position_id": item.position_id,
        "symbol": item.symbol,
        "side": item.side,
        "strategy": item.strategy,
        "opened_at": iso(item.opened_ms),
        "closed_at": iso(item.closed_ms),
        "entry_price": money.text(item.entry_price),
        "exit_price": money.text(item.exit_price),
        "quantity": money.text(item.quantity),
        "gross_pnl": money.text(item.gross_pnl),
        "fees": money.text(item.fees),
        "funding": money.text(item.funding),
        "net_pnl": money.text(item.net_pnl),
        "r_multiple": shapes.cents(item.r_multiple),
        "close_reason": str(item.close_reason),
        "fills": item.fills,
    }


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return money.text(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}  # type: ignore[arg-type]
    return value
