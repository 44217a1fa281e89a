"""A finished backtest, measured: everything that is told about it, in one value.

What belongs here: putting an outcome together with what it was made from. What does not: figures (metrics), text forms
(shape), files (report), the page (page).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trading_engine import __version__
from trading_engine.backtest.hold import buy_and_hold
from trading_engine.backtest.market import Market
from trading_engine.backtest.metrics import Metrics, curve, measure
from trading_engine.backtest.result import Outcome, Sample, Trade
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.position import CloseReason
from trading_engine.rules.fills import is_ambiguous
from trading_engine.venues.embedded.account import Terms

_STOPPED = (CloseReason.STOP, CloseReason.TRAILING)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Everything that is told about a run; `make_run` puts it together.

    held        what simply holding would have been worth, at the instants of the equity curve
    ambiguous   positions whose last candle held their stop and their target, so that the worse was assumed
    """

    outcome: Outcome
    metrics: Metrics
    market: Market
    held: tuple[Sample, ...]
    ambiguous: frozenset[str]
    instruments: Mapping[str, Instrument]
    terms: Terms
    strategies: tuple[str, ...]
    config_hash: str
    dataset_hash: str
    code_version: str

    @property
    def curve(self) -> list[Sample]:
        """The account at its beginning, at every full hour, and at the end."""
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
) -> Run:
    """Measure an outcome and put it together with what it was made from."""
    points = curve(outcome, market.first_ms, market.last_ms)
    held = buy_and_hold(market, outcome.deposit, [point.ts_ms for point in points])
    return Run(
        outcome=outcome,
        metrics=measure(outcome, market.first_ms, market.last_ms, held),
        market=market,
        held=held,
        ambiguous=frozenset(one.position_id for one in outcome.trades if _is_guess(one, market, instruments)),
        instruments=instruments,
        terms=terms,
        strategies=tuple(sorted(set(strategies))),
        config_hash=config_hash,
        dataset_hash=market.digest(instruments),
        code_version=code_version,
    )


def _is_guess(trade: Trade, market: Market, instruments: Mapping[str, Instrument]) -> bool:
    """Whether a trade was stopped in a candle that went through its target as well, and not at that candle's open."""
    if trade.close_reason not in _STOPPED or trade.target_price is None:
        return False
    block, to_ticks = market.blocks[market.symbols.index(trade.symbol)], instruments[trade.symbol].price_to_ticks
    row = int(block.ts.searchsorted(trade.closed_ms, side="right")) - 1
    sign, stop = 1 if trade.side == "long" else -1, to_ticks(trade.stop_price)
    if (int(block.open[row]) - stop) * sign <= 0:
        return False
    return is_ambiguous(sign, int(block.high[row]), int(block.low[row]), stop, to_ticks(trade.target_price))
