"""A run as plain values and as canonical JSON.

What belongs here: names, order and exactness of what is told. What does not: what the values mean (metrics, result),
files (report).

Equal inputs give equal bytes: nothing here reads a clock, keys are sorted, money is exact decimal text and ratios are
cut to ten digits. How long a run took is not part of its result.
"""

import json
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
from msgspec import Struct, structs

from trading_engine.backtest.equity import Curve
from trading_engine.backtest.result import Trade
from trading_engine.backtest.run import Run
from trading_engine.domain import money
from trading_engine.domain.time import interval_name, iso
from trading_engine.venues.embedded.terms import Terms


def result_shape(run: Run) -> dict[str, object]:
    """The run as plain values for JSON; trades newest first, curves oldest first."""
    market, outcome, curve = run.market, run.outcome, run.curve
    moments = _moments(curve)
    return {
        "dataset": {
            "hash": run.dataset_hash,
            "rows": market.rows,
            "symbols": list(market.symbols),
            "from": iso(market.first_ms),
            "to": iso(market.last_ms),
            "interval": interval_name(market.interval_ms),
            "settlements": len(market.funding.ts),
            "missing": run.missing,
        },
        "config_hash": run.config_hash,
        "code_version": run.code_version,
        "engine": outcome.engine,
        "strategies": list(run.strategies),
        "settle_asset": run.settle_asset,
        "costs": costs(run.terms),
        "metrics": _plain(run.metrics),
        "trades": [trade_shape(one, run) for one in reversed(outcome.trades)],
        "remarks": list(run.remarks),
        "ambiguous_trades": len(run.ambiguous),
        "equity_curve": _line(curve, moments),
        "buy_and_hold": _line(run.held, moments),  # valued at the same instants
    }


def _moments(points: Curve) -> list[str]:
    """`iso` of many at a time."""
    instants = points.ts_ms.astype("datetime64[ms]")
    return [f"{moment}Z" for moment in np.datetime_as_string(instants).tolist()]


def _line(points: Curve, moments: Sequence[str]) -> list[list[str]]:
    """Equity at each instant; while nothing is open it is one value for hours, written once."""
    line, known, told = [], None, ""
    for equity_e8, moment in zip(points.equity_e8.tolist(), moments, strict=True):
        if equity_e8 != known:
            known, told = equity_e8, money.text(money.from_e8(equity_e8))
        line.append([moment, told])
    return line


def costs(terms: Terms) -> dict[str, str]:
    """What trading was assumed to cost, rates in percent; `slippage_pct` of the price, `slippage_range_pct` of a range.

    `slippage_impact_pct` of the price is what a fill as large as the volume of the candle before costs. These two, and
    the latency, are there where they are assumed.
    """
    told = {
        "taker_fee_pct": money.text(Decimal(terms.taker_fee_e8).scaleb(-6)),
        "maker_fee_pct": money.text(Decimal(terms.maker_fee_e8).scaleb(-6)),
        "slippage_pct": money.text(Decimal(terms.slippage_ppm).scaleb(-4)),
        "volume_share_pct": money.text(Decimal(terms.volume_share_ppm).scaleb(-4)),
        "leverage": money.text(Decimal(terms.leverage_milli).scaleb(-3)),
    }
    if terms.slippage_range_ppm:
        told["slippage_range_pct"] = money.text(Decimal(terms.slippage_range_ppm).scaleb(-4))
    if terms.impact_ppm:
        told["slippage_impact_pct"] = money.text(Decimal(terms.impact_ppm).scaleb(-4))
    if terms.latency_candles:
        told["latency_candles"] = str(terms.latency_candles)
    return told


def trade_shape(trade: Trade, run: Run) -> dict[str, object]:
    """As an element of `trades --json`, and what the page draws."""
    multiple = trade.r_multiple
    return {
        "position_id": trade.position_id,
        "symbol": trade.symbol,
        "side": trade.side,
        "strategy": trade.strategy,
        "opened_at": iso(trade.opened_ms),
        "closed_at": iso(trade.closed_ms),
        "entry_price": money.text(trade.entry_price),
        "exit_price": money.text(trade.exit_price),
        "quantity": money.text(trade.quantity),
        "gross_pnl": money.text(trade.gross_pnl),
        "fees": money.text(trade.fees),
        "funding": money.text(trade.funding),
        "net_pnl": money.text(trade.net_pnl),
        "r_multiple": None if multiple is None else money.text(multiple.quantize(Decimal("0.01"), ROUND_HALF_EVEN)),
        "close_reason": str(trade.close_reason),
        "fills": trade.fills,
        "initial_stop": money.text(trade.initial_stop),
        "stop_price": money.text(trade.stop_price),
        "target_price": None if trade.target_price is None else money.text(trade.target_price),
        "ambiguous": trade.position_id in run.ambiguous,
    }


def _plain(value: object) -> object:
    """Decimals as exact text, floats to ten digits, which is where machines may begin to differ."""
    match value:
        case Decimal():
            return money.text(value)
        case float():
            return float(f"{value:.10g}")
        case Struct():
            return _plain(structs.asdict(value))
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case _:
            return value


def result_json(run: Run) -> bytes:
    """The run as canonical JSON: sorted keys, no spaces, UTF-8, one line."""
    shape = result_shape(run)
    return (
        json.dumps(shape, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode() + b"\n"
    )
