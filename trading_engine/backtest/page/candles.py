"""Candles for the page: coarse ones over the whole span, fine ones around entries and exits, packed small.

What belongs here: which candles the page gets, and their bytes. What does not: drawing (candles.js).

A stream of candles is a row of variable-length integers (LEB128: seven bits a byte, the lowest first, the high bit
says that more follow), base64: for each candle how many intervals after the one before it opens, then in ticks the
open against the previous close, the close against the open (both zigzag: 0, −1, 1, −2 …), what the high is above the
body and what the low is below it.
"""

import base64
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trading_engine.backtest.result import Trade
from trading_engine.backtest.run import Run
from trading_engine.domain import money
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, interval_name
from trading_engine.marketdata.block import Int64, Units

MOST_COARSE = 120_000  # candles over the whole span, all symbols together
MOST_FINE = 120_000  # candles around entries and exits
REACHES = (120, 60, 30, 15)  # candles on either side of an entry or exit, as many as there is room for
_LADDER = tuple(n * MINUTE_MS for n in (1, 3, 5, 15, 30)) + tuple(n * HOUR_MS for n in (1, 2, 4, 12)) + (DAY_MS,)


class Ohlc(NamedTuple):
    """Candles as columns: open times, prices in ticks."""

    ts: Int64
    open: Int64
    high: Int64
    low: Int64
    close: Int64


class Packed(NamedTuple):
    """What the page gets, and what a reader is told about it."""

    shape: dict[str, object]
    told: str


def pack(run: Run, most_coarse: int = MOST_COARSE, most_fine: int = MOST_FINE) -> Packed:
    """The candles of a run for its page."""
    market = run.market
    coarse_ms = coarse_interval(market.blocks, market.interval_ms, most_coarse)
    by_symbol = {symbol: [one for one in run.outcome.trades if one.symbol == symbol] for symbol in market.symbols}
    pairs = list(zip(market.blocks, by_symbol.values(), strict=True))
    reach = 0 if coarse_ms == market.interval_ms else _reach(pairs, coarse_ms, market.interval_ms, most_fine)
    symbols = []
    for symbol, block in zip(market.symbols, market.blocks, strict=True):
        tick = run.instruments[symbol].tick
        fine = around(block, by_symbol[symbol], reach * market.interval_ms, coarse_ms)
        symbols.append(
            {
                "symbol": symbol,
                "tick": money.text(tick),
                "coarse": stream(aggregate(block, coarse_ms), coarse_ms),
                "fine": stream(fine, market.interval_ms),
            }
        )
    shape = {"coarse_ms": coarse_ms, "fine_ms": market.interval_ms, "symbols": symbols}
    return Packed(shape, _told(coarse_ms, market.interval_ms, reach))


def _told(coarse_ms: int, fine_ms: int, reach: int) -> str:
    coarse, fine = interval_name(coarse_ms), interval_name(fine_ms)
    if coarse_ms == fine_ms:
        return f"Every candle of {fine} is here; from afar they are drawn together."
    told = f"To keep this file small it holds candles of {coarse} over the whole span"
    if reach:
        return f"{told}, and those of {fine}, which were traded on, within {reach} candles of every entry and exit."
    return f"{told}; the run was traded on candles of {fine}."


def coarse_interval(blocks: Sequence[Units], interval_ms: int, most: int = MOST_COARSE) -> int:
    """The shortest interval whose candles over the whole span are few enough."""
    lengths = [int(block.ts[-1] - block.ts[0]) + interval_ms for block in blocks]
    usual = [one for one in _LADDER if one > interval_ms and one % interval_ms == 0]
    for candidate in (interval_ms, *usual):
        if sum(length // candidate + 1 for length in lengths) <= most:
            return candidate
    return usual[-1] if usual else interval_ms


def aggregate(block: Units, interval_ms: int) -> Ohlc:
    """Candles of a longer interval, aligned to UTC; those without any candle in them are left out."""
    bucket = block.ts // interval_ms
    starts = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
    return Ohlc(
        bucket[starts] * interval_ms,
        block.open[starts],
        np.maximum.reduceat(block.high, starts),
        np.minimum.reduceat(block.low, starts),
        block.close[np.append(starts[1:], block.rows) - 1],
    )


def around(block: Units, trades: Sequence[Trade], reach_ms: int, coarse_ms: int) -> Ohlc:
    """The candles near entries and exits, in whole coarse candles; none for a reach of 0."""
    keep = np.zeros(block.rows + 1, dtype=np.int64)
    for instant in [ts for trade in trades for ts in (trade.opened_ms, trade.closed_ms)] if reach_ms else []:
        begin = (instant - reach_ms) // coarse_ms * coarse_ms
        end = ((instant + reach_ms) // coarse_ms + 1) * coarse_ms
        first, last = np.searchsorted(block.ts, [begin, end])
        keep[first] += 1
        keep[last] -= 1
    rows = np.flatnonzero(np.cumsum(keep[:-1]) > 0)
    return Ohlc(block.ts[rows], block.open[rows], block.high[rows], block.low[rows], block.close[rows])


def _reach(pairs: Sequence[tuple[Units, Sequence[Trade]]], coarse_ms: int, interval_ms: int, most: int) -> int:
    """The widest reach that keeps within bounds, 0 where none does."""
    for reach in REACHES:
        if sum(len(around(block, mine, reach * interval_ms, coarse_ms).ts) for block, mine in pairs) <= most:
            return reach
    return 0


def stream(candles: Ohlc, interval_ms: int) -> dict[str, object]:
    """Candles as the page reads them: how many, when the first opens, and the rest as base64."""
    if not len(candles.ts):
        return {"count": 0, "first": 0, "data": ""}
    steps = np.diff(candles.ts, prepend=candles.ts[0]) // interval_ms
    body_top, body_bottom = np.maximum(candles.open, candles.close), np.minimum(candles.open, candles.close)
    previous = np.concatenate([[0], candles.close[:-1]])
    values = np.stack(
        [
            steps,
            _zigzag(candles.open - previous),
            _zigzag(candles.close - candles.open),
            candles.high - body_top,
            body_bottom - candles.low,
        ],
        axis=1,
    )
    packed = base64.b64encode(leb128(values.ravel())).decode()
    return {"count": len(candles.ts), "first": int(candles.ts[0]), "data": packed}


def _zigzag(values: Int64) -> Int64:
    return np.where(values < 0, -2 * values - 1, 2 * values)


def leb128(values: Int64) -> bytes:
    """Numbers of zero or more as variable-length integers, one after the other."""
    sizes = np.ones(len(values), dtype=np.int64)
    for bits in range(7, 63, 7):
        sizes += values >= 1 << bits
    ends = np.cumsum(sizes)
    packed = np.zeros(int(ends[-1]) if len(values) else 0, dtype=np.uint8)
    for place in range(int(sizes.max(initial=0))):
        has = sizes > place
        more = np.where(sizes[has] > place + 1, 0x80, 0)
        packed[(ends - sizes)[has] + place] = (values[has] >> (7 * place) & 0x7F) | more
    return packed.tobytes()
