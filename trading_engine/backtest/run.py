"""A finished backtest, measured: everything that is told about it, in one value.

What belongs here: putting an outcome together with what it was made from. What does not: figures (metrics), text forms
(shape), files (report), the page (page).
"""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from trading_engine import __version__
from trading_engine.backtest.equity import Curve
from trading_engine.backtest.hold import buy_and_hold
from trading_engine.backtest.market import Market
from trading_engine.backtest.metrics import Metrics, curve, measure
from trading_engine.backtest.result import Outcome, Trade
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.lifecycle import CloseReason
from trading_engine.rules.fills import is_ambiguous
from trading_engine.venues.embedded.terms import Terms

_STOPPED = (CloseReason.STOP, CloseReason.TRAILING)


class Run(Struct, frozen=True, eq=False):
    """Everything that is told about a run; `make_run` puts it together.

    remarks     what else a reader must know, such as why one engine ran in place of another
    held        what simply holding would have been worth, at the instants of the equity curve
    ambiguous   positions whose last candle held their stop and their target, so that the worse was assumed
    """

    outcome: Outcome
    metrics: Metrics
    market: Market
    held: Curve
    ambiguous: frozenset[str]
    instruments: Mapping[str, Instrument]
    terms: Terms
    strategies: tuple[str, ...]
    config_hash: str
    dataset_hash: str
    code_version: str
    remarks: tuple[str, ...] = ()

    @property
    def missing(self) -> dict[str, int]:
        """Candles that are not there between the first and the last of each symbol."""
        pairs = zip(self.market.symbols, self.market.blocks, strict=True)
        return {
            symbol: int(block.ts[-1] - block.ts[0]) // self.market.interval_ms + 1 - block.rows
            for symbol, block in pairs
        }

    @property
    def curve(self) -> Curve:
        """The account over time, as `metrics.curve` gives it."""
        return curve(self.outcome, self.market.first_ms, self.market.last_ms)

    @property
    def settle_asset(self) -> str:
        """What money is counted in."""
        return self.instruments[self.market.symbols[0]].settle_asset


def make_run(
    outcome: Outcome,
    market: Market,
    instruments: Mapping[str, Instrument],
    terms: Terms,
    strategies: Sequence[str],
    config_hash: str,
    code_version: str = __version__,
    remarks: Sequence[str] = (),
    digest: Callable[[], str] | None = None,
) -> Run:
    """Measure an outcome and put it together with what it was made from.

    digest   gives the market's hash where somebody has begun to count it
    """
    points = curve(outcome, market.first_ms, market.last_ms)
    held = buy_and_hold(market, outcome.deposit, points.ts_ms)
    return Run(
        outcome=outcome,
        metrics=measure(outcome, market.first_ms, market.last_ms, held),
        market=market,
        held=held,
        ambiguous=ambiguous(outcome, market, instruments),
        instruments=instruments,
        terms=terms,
        strategies=tuple(sorted(set(strategies))),
        config_hash=config_hash,
        dataset_hash=digest() if digest is not None else market.digest(instruments),
        code_version=code_version,
        remarks=tuple(remarks),
    )


def ambiguous(outcome: Outcome, market: Market, instruments: Mapping[str, Instrument]) -> frozenset[str]:
    """Positions that ended at their stop in a candle that also reached their target, so that the worse was assumed.

    Where the candle opened beyond the stop there was nothing to guess.
    """
    return frozenset(one.position_id for one in outcome.trades if _is_guess(one, market, instruments))


def _is_guess(trade: Trade, market: Market, instruments: Mapping[str, Instrument]) -> bool:
    if trade.close_reason not in _STOPPED or trade.target_price is None:
        return False
    block, to_ticks = market.blocks[market.symbols.index(trade.symbol)], instruments[trade.symbol].price_to_ticks
    row = int(block.ts.searchsorted(trade.closed_ms, side="right")) - 1
    sign, stop = 1 if trade.side == "long" else -1, to_ticks(trade.stop_price)
    if (int(block.open[row]) - stop) * sign <= 0:
        return False
    return is_ambiguous(sign, int(block.high[row]), int(block.low[row]), stop, to_ticks(trade.target_price))
