"""What a reader must know about the ground a backtest stands on, before believing its figures.

What belongs here: plain clauses on prices that were moved, strategies that had too little to look at, funding that is
not known or not plausible, signals that came to nothing. What does not: what follows from the results (page.notes),
data that cannot be used at all (marketdata).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from statistics import median

from trading_engine.backtest.market import Market
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import FundingRate
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, interval_name, iso
from trading_engine.strategy.api import Strategy
from trading_engine.strategy.evaluate import history_needed

_LONGEST_FUNDING_MS = 8 * HOUR_MS  # no venue settles less often
_PERCENT_LIKE = 0.003  # a median settlement of 0.3 % is no market; 0.01 % written as 0.01 would be 1 %
_PRICES, _MOVED_SHARE = 4, 0.01  # of a candle; of all of them, from which on moving some is told
_UNEVEN_SHARE = 0.01  # of the span, from which on a later begin or an earlier end is told
_SILENT_SHARE = 0.2  # of the span that is traded, from which on silence is told


def moved_prices(
    moved: Mapping[str, int], rows: Mapping[str, int], instruments: Mapping[str, Instrument]
) -> Iterator[str]:
    """Symbols of whose prices so many do not lie on their tick, of so many candles; a few bad prints are no doubt."""
    named = [
        f"{many:,} of {symbol} (tick {instruments[symbol].tick})"
        for symbol, many in moved.items()
        if many > rows[symbol] * _PRICES * _MOVED_SHARE
    ]
    if named:
        yield (
            f"prices that are not on the tick were moved to the nearest: {', '.join(named)};"
            " paper.instruments.SYMBOL.tick can name another"
        )


def uneven_spans(market: Market) -> Iterator[str]:
    """Symbols that have candles for a part of the span only: the others go on without them."""
    first_ms, last_ms = market.first_ms, market.last_ms
    slack_ms = (last_ms - first_ms) * _UNEVEN_SHARE
    named = []
    for symbol, block in zip(market.symbols, market.blocks, strict=True):
        begin, end = int(block.ts[0]), int(block.ts[-1]) + market.interval_ms
        parts = [f"from {_moment(begin)}"] if begin - first_ms > slack_ms else []
        parts += [f"to {_moment(end)}"] if last_ms - end > slack_ms else []
        named += [f"{symbol} {' '.join(parts)}"] if parts else []
    if named:
        yield (
            f"not all symbols have candles for the whole span: {', '.join(named)} only; a position that is open where"
            " they end stays open at the last price"
        )


def silent_beginnings(
    strategies: Mapping[str, Sequence[Strategy]], known_from: Mapping[str, int], market: Market
) -> Iterator[str]:
    """Strategies that cannot speak for much of what is traded; `known_from` is the first candle that they see."""
    found: dict[str, list[str]] = {}
    for symbol, block in zip(market.symbols, market.blocks, strict=True):
        first, last = int(block.ts[0]), int(block.ts[-1]) + market.interval_ms
        for strategy in strategies.get(symbol, ()):
            needed = history_needed([strategy]).items()
            interval_ms, count = max(needed, key=lambda item: item[0] * item[1])
            speaks_ms = known_from[symbol] + interval_ms * count
            if speaks_ms - first < (last - first) * _SILENT_SHARE:
                continue
            hour_ms = -(-speaks_ms // HOUR_MS) * HOUR_MS
            until = f"before {_moment(hour_ms)}" if speaks_ms < last else "at all"
            text = f"{strategy.name} says nothing {until}: it needs {count:,} candles of {interval_name(interval_ms)}"
            found.setdefault(text, []).append(symbol)
    for text, symbols in found.items():
        where = "" if len(symbols) == len(market.symbols) else f" (on {', '.join(symbols)})"
        yield f"{text} first{where}; candles that lie before --from count"


def funding(rates: Sequence[FundingRate], market: Market, given: Collection[str] = ()) -> Iterator[str]:
    """Symbols whose funding is not known, or for a part of their candles only, or looks like percent.

    rates   those of the span
    given   symbols with rates of whatever time
    """
    by_symbol: dict[str, list[FundingRate]] = {symbol: [] for symbol in market.symbols}
    for rate in rates:
        by_symbol[rate.symbol].append(rate)
    lacking: dict[str, list[str]] = {}
    for symbol, block in zip(market.symbols, market.blocks, strict=True):
        mine = by_symbol[symbol]
        if mine:
            if hole := _hole(mine, int(block.ts[0]), int(block.ts[-1]) + market.interval_ms):
                lacking.setdefault(hole, []).append(symbol)
            usual = float(median(abs(one.rate) for one in mine))
            if usual >= _PERCENT_LIKE:
                yield (
                    f"funding rates of {symbol} are {usual * 100:.3g} % in the middle, which no market charges: rates"
                    " are fractions, 0.0001 is 0.01 %"
                )
    for hole, symbols in lacking.items():
        yield f"no funding of {', '.join(symbols)} is known for {hole}: nothing is charged there"
    free = [symbol for symbol, mine in by_symbol.items() if not mine]
    for why, symbols in (
        ("no rates are given", [symbol for symbol in free if symbol not in given]),
        ("none of the rates that are given lies in the span", [symbol for symbol in free if symbol in given]),
    ):
        if symbols:
            yield f"no funding is charged on {', '.join(symbols)}: {why}"


def _hole(rates: Sequence[FundingRate], first_ms: int, last_ms: int) -> str:
    """Stretches without a settlement, where one must have been in them; empty where there is none."""
    times = sorted(one.ts_ms for one in rates)
    usual = median([later - earlier for earlier, later in pairwise(times)]) if len(times) > 1 else _LONGEST_FUNDING_MS
    longest = max(usual, _LONGEST_FUNDING_MS) + MINUTE_MS
    holes = [pair for pair in pairwise([first_ms, *times, last_ms]) if pair[1] - pair[0] > longest]
    if not holes:
        return ""
    begin, end = max(holes, key=lambda pair: pair[1] - pair[0])
    days = sum(later - earlier for earlier, later in holes) / DAY_MS
    return f"{days:.1f} days of the span, the longest part of it {_moment(begin)} to {_moment(end)}"


def ended(stopped_ms: int, most_pct: Decimal) -> Iterator[str]:
    """Entries that the drawdown limit has ended for good: the figures go on to the end of the data without any."""
    if stopped_ms:
        yield (
            f"no entry was made after {_moment(stopped_ms)}, when the drawdown limit of {most_pct} % was reached: only"
            " an operator's `resume` ends it; a larger risk.max_drawdown_pct shows what would have followed"
        )


def unheard(signals: int, fates: Mapping[str, int]) -> Iterator[str]:
    """Signals for an entry of which not one became a position; `fates` where the full engine has told them."""
    if signals:
        why = ", ".join(f"{many:,} {fate}" for fate, many in fates.items()) or "`--engine full` tells why"
        yield f"{signals:,} {'signal' if signals == 1 else 'signals'} for an entry, and none became a position: {why}"


def _moment(ts_ms: int) -> str:
    return iso(ts_ms)[:16].replace("T", " ")
