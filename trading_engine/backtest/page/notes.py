"""What a reader must know before believing a figure.

What belongs here: plain sentences, each only where it applies. What does not: figures.
"""

from collections.abc import Iterator

from trading_engine.backtest.page import words
from trading_engine.backtest.run import Run
from trading_engine.domain.lifecycle import CloseReason

FEW_TRADES = 30
FEW_DAYS = 90


def summary(run: Run) -> str:
    """The run in one sentence."""
    metrics, market = run.metrics, run.market
    told = (
        f"{words.amount(metrics.initial_balance)} {run.settle_asset} became {words.amount(metrics.final_equity)} in "
        f"{words.span(market.first_ms, market.last_ms)}: {words.percent(metrics.return_pct)}"
    )
    if metrics.max_drawdown < 0:
        told += f", with a deepest fall of {words.percent(metrics.max_drawdown_pct)} on the way"
    held = "the symbol" if len(market.symbols) == 1 else "the symbols in equal shares"
    return (
        f"{told}. Holding {held}, with all of the deposit all of the time, would have made "
        f"{words.percent(metrics.buy_and_hold_pct)}."
    )


def notes(run: Run) -> list[str]:
    """Reasons for doubt, the gravest first."""
    return [*_results(run), *_assumptions(run), "It is the past, once. Settings that were chosen on these same candles "
            "look better here than they are: judge them on candles they have not seen."]  # fmt: skip


def _results(run: Run) -> Iterator[str]:
    metrics = run.metrics
    net = sum(trade.net_pnl for trade in run.outcome.trades)
    if metrics.final_equity <= 0:
        yield "The account was lost: nothing is left of the deposit."
    if metrics.total_trades == 0:
        yield "No trade was closed, so nothing is known about the strategies."
    elif metrics.total_trades < FEW_TRADES:
        yield (
            f"{words.count(metrics.total_trades, 'closed trade')}: with fewer than {FEW_TRADES} chance alone may "
            "explain the result."
        )
    if metrics.total_trades > 1 and metrics.largest_win is not None and 0 < net <= metrics.largest_win:
        yield f"Without its best trade ({words.signed(metrics.largest_win)}) the run would not have made money."
    error = metrics.sharpe_error
    if metrics.sharpe_ratio is not None and error is not None and abs(metrics.sharpe_ratio) < 2 * error:
        yield (
            f"The Sharpe ratio of {words.count(round(metrics.days), 'day')} is uncertain by about "
            f"±{words.ratio(2 * error)}: it cannot be told from 0."
        )
    if metrics.days < FEW_DAYS and metrics.cagr_pct is not None:
        length = words.span(run.market.first_ms, run.market.last_ms)
        yield f"CAGR, Sharpe, Sortino and Calmar stretch {length} to a year; they say little."
    if metrics.open_positions:
        yield (
            f"{words.count(metrics.open_positions, 'position')} still open at the end, valued at the last close "
            f"({words.signed(metrics.unrealized_pnl)}) and in none of the trade figures."
        )


def _assumptions(run: Run) -> Iterator[str]:
    yield from run.remarks
    missing = {symbol: number for symbol, number in run.missing.items() if number}
    if missing:
        where = ", ".join(f"{symbol} {number:,}" for symbol, number in missing.items())
        number = words.count(sum(missing.values()), "candle")
        yield f"{number} missing in the data ({where}): nothing can happen in them."
    if run.ambiguous:
        number = words.count(len(run.ambiguous), "trade")
        yield f"In {number} one candle held both stop and target; the worse, the stop, was assumed."
    liquidated = sum(one.close_reason is CloseReason.LIQUIDATION for one in run.outcome.trades)
    if liquidated:
        yield (
            f"{words.count(liquidated, 'trade')} ended in liquidation, filled at the liquidation price for the taker "
            "fee; a venue keeps what is left of the margin as well."
        )
    if not run.terms.taker_fee_e8:
        yield "No taker fee was charged."
    if not run.terms.slippage_ppm and not run.terms.slippage_range_ppm and not run.terms.impact_ppm:
        yield "No slippage was assumed."
    if not len(run.market.funding.ts) and not any("no funding is charged" in remark for remark in run.remarks):
        yield "No funding was charged, as no settlements were given."
    yield "Equity is known at every full hour: a deeper fall within an hour is not seen."
