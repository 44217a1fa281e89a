"""Which candles a stretch of time lacks.

What belongs here: arithmetic on open times and spans. What does not: why something is missing.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from trading_engine.marketdata.block import Int64
from trading_engine.marketdata.candle_file import Gap

Span = tuple[int, int]  # [from, to), UTC ms


def holes_between(ts: Int64, interval_ms: int) -> tuple[Gap, ...]:
    """Missing candles between ascending open times; less than one interval is none."""
    before, after = ts[:-1], ts[1:]
    return tuple(
        gap(int(before[at]) + interval_ms, int(after[at]), interval_ms)
        for at in np.flatnonzero(after - before >= 2 * interval_ms).tolist()
    )


def gap(from_ms: int, to_ms: int, interval_ms: int) -> Gap:
    """The candles that open in [from_ms, to_ms), all of them missing."""
    return Gap(from_ms, to_ms, (to_ms - from_ms) // interval_ms)


def covered(ts: Int64, spacing_ms: int, row_ms: int) -> list[Span]:
    """The time for which there are rows: from each to the next, where that follows soon enough.

    spacing_ms   the time after which the next row is due; later than twice that, something is missing
    row_ms       how long the last row before a hole lasts
    """
    if not ts.size:
        return []
    ends = np.flatnonzero(np.diff(ts) >= 2 * spacing_ms)
    starts = ts[np.concatenate(([0], ends + 1))].tolist()
    return [(start, end + row_ms) for start, end in zip(starts, ts[[*ends, -1]].tolist(), strict=True)]


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same time in as few spans as possible, ascending."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif start < end:
            found.append((start, end))
    return found


def without(spans: Iterable[Span], taken: Sequence[Span]) -> list[Span]:
    """What is left of the spans where others are taken away."""
    left: list[Span] = []
    away = joined(taken)
    for start, end in joined(spans):
        at = start
        for cut_start, cut_end in away:
            if cut_end <= at or cut_start >= end:
                continue
            if cut_start > at:
                left.append((at, cut_start))
            at = max(at, cut_end)
        if at < end:
            left.append((at, end))
    return left
