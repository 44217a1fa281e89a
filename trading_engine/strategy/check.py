"""Proof on data that a strategy does not look ahead, and that the live engine sees what the whole history sees.

What belongs here: running a strategy on prefixes and on trailing windows of a history and comparing with one run
over all of it. What does not: reading the history, showing what was found (cli), whether a strategy earns anything.

- Prefixes: what is said on a candle must be the same whether later candles exist or not. Every row of each prefix
  is compared, so a look a few candles ahead shows at any prefix.
- Windows: the last row of the declared trailing window, which is all that the live engine has, must be the row of
  the whole history. Where it is not, a prefix that ends there tells a look ahead from a window too short.
- What stands beside an entry (confidence, distances, levels) counts where there is one, as it does live.
- Twice: the same candles must get the same answer, or no other comparison means anything.
- A cheap look (`is_silent`) must never be silent about a row that speaks.

Prefixes end at candles with signals, where a look ahead shows, and at others spread evenly; windows likewise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

import numpy as np

from trading_engine.strategy.api import BoolArray, FloatArray, IntArray, Series, Signals, Strategy
from trading_engine.strategy.evaluate import asked_rows
from trading_engine.strategy.indicators import TOLERANCE
from trading_engine.strategy.levels import fits, placed
from trading_engine.strategy.shape import decision, named_levels
from trading_engine.strategy.timeframes import as_of, resample

PREFIXES = 100
WINDOWS = 2_000
TICK = 0.01


class Fault(StrEnum):
    """What is wrong with a strategy."""

    CHANGES_ITS_MIND = "changes its mind"
    LOOKS_AHEAD = "looks ahead"
    WINDOW_TOO_SHORT = "window too short"
    SILENT_BY_MISTAKE = "silent by mistake"
    NOT_SIGNALS = "not signals"


@dataclass(frozen=True, slots=True)
class Difference:
    """The first candle on which a strategy says two things.

    ts      open time of the candle, ms
    field   side, exit_side, confidence, stop_distance, target_distance, stop_level, target_level, or the name of an
            explaining value
    whole   what the whole history says
    other   what it says without later candles, from its window, or when it is asked again
    """

    fault: Fault
    ts: int
    field: str
    whole: float
    other: float


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check has looked at and found.

    candles     rows of the strategy's own interval that may speak
    signals     rows among them that ask for an entry or an exit
    entries     rows among those that ask for an entry
    refused     entries that are never made: their stop or target lies on the wrong side of the close, or out of reach
    prefixes, windows   how many runs were compared with the whole history
    difference  None where everything agrees
    """

    candles: int
    signals: int
    entries: int
    refused: int
    prefixes: int
    windows: int
    difference: Difference | None


def check(
    strategy: Strategy, base: Series, prefixes: int = PREFIXES, windows: int = WINDOWS, tick: float = TICK
) -> Checked:
    """Run all proofs on a history of base candles.

    prefixes   most prefixes that are run, each over all candles up to its end
    windows    most candles whose trailing window is run
    tick       price unit of the instrument: nothing is so many of them away that no price gets there

    ValueError where the base is too coarse for the strategy.
    """
    return _Check(strategy, base, tick).run(prefixes, windows)


class _Check:
    """One strategy on one history."""

    def __init__(self, strategy: Strategy, base: Series, tick: float) -> None:
        self._strategy = strategy
        self._tick = tick
        self._market = {interval_ms: resample(base, interval_ms) for interval_ms in strategy.intervals}
        self._primary = self._market[strategy.primary_interval_ms]
        self._asked = asked_rows(strategy, base, self._primary)
        self._whole = strategy.compute(self._market)
        self._scales = {name: _scale(column) for name, column in _columns(self._whole).items()}

    def run(self, prefixes: int, windows: int) -> Checked:
        whole = self._whole
        may = np.flatnonzero(self._asked)
        enters = self._asked & (whole.side != 0)
        signals = np.flatnonzero(self._asked & ((whole.side != 0) | (whole.exit_side != 0)))
        counts = len(may), len(signals), int(np.count_nonzero(enters)), self._refused(enters)
        changed = self._first_difference(Fault.CHANGES_ITS_MIND, self._strategy.compute(self._market), slice(None))
        if changed is not None:
            return Checked(*counts, 0, 0, changed)
        cuts, ends = _choose(may, signals, prefixes), _choose(may, signals, windows)
        found = chain(self._on_prefixes(cuts), self._on_windows(ends))
        first = min(found, key=lambda item: item.ts, default=None)
        return Checked(*counts, len(cuts), len(ends), first)

    def _refused(self, enters: BoolArray) -> int:
        """How many of these entries have a stop or a target that can be none."""
        put = placed(self._whole, self._primary.close, None)
        return int(np.count_nonzero(enters & ~fits(put.stop_distance, put.target_distance, self._tick)))

    def _on_prefixes(self, cuts: IntArray) -> Iterator[Difference]:
        for row in cuts.tolist():
            found = self._prefix_difference(row)
            if found is not None:
                yield found

    def _prefix_difference(self, row: int) -> Difference | None:
        """The first row up to this one that a history ending here gives otherwise."""
        known = {interval_ms: self._known(interval_ms, row) for interval_ms in self._market}
        return self._first_difference(Fault.LOOKS_AHEAD, self._strategy.compute(known), slice(0, row + 1))

    def _on_windows(self, ends: IntArray) -> Iterator[Difference]:
        """Only the first that differs: the others cost as much and tell nothing new."""
        for row in ends.tolist():
            needed = self._strategy.intervals.items()
            window = {interval_ms: self._known(interval_ms, row).tail(count) for interval_ms, count in needed}
            if self._strategy.is_silent(window):
                found = self._silent_difference(row)
            else:
                live = _last(self._strategy.compute(window))
                found = self._first_difference(Fault.WINDOW_TOO_SHORT, live, slice(row, row + 1))
            if found is not None:
                yield self._prefix_difference(row) or found
                return

    def _known(self, interval_ms: int, row: int) -> Series:
        """The candles that have closed when the strategy is asked on this row."""
        series = self._market[interval_ms]
        return series.head(int(as_of(series, self._primary.close_times[row : row + 1])[0]) + 1)

    def _silent_difference(self, row: int) -> Difference | None:
        """A row that the cheap look passes over must not speak."""
        for name in ("side", "exit_side"):
            said = float(getattr(self._whole, name)[row])
            if said:
                return Difference(Fault.SILENT_BY_MISTAKE, int(self._primary.ts[row]), name, said, 0.0)
        return None

    def _first_difference(self, fault: Fault, other: Signals, rows: slice) -> Difference | None:
        """The earliest row, and in it the first field, that differs by more than rounding noise."""
        found: Difference | None = None
        for name, whole, said in _pairs(self._whole, other):
            wrong = np.flatnonzero(_differs(whole[rows], said, self._scales[name]))
            if not wrong.size:
                continue
            at = int(wrong[0])
            ts = int(self._primary.ts[rows][at])
            if found is None or ts < found.ts:
                found = Difference(fault, ts, name, float(whole[rows][at]), float(said[at]))
        return found


def _choose(may: IntArray, signals: IntArray, most: int) -> IntArray:
    """At most so many rows in order: half of them rows with signals where there are as many, the rest spread evenly."""
    if len(may) <= most:
        return may
    spoken = _spread(signals, most // 2)
    return np.unique(np.concatenate((spoken, _spread(may, most - len(spoken)))))


def _spread(rows: IntArray, most: int) -> IntArray:
    """At most so many of the rows, the first and the last among them."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _columns(signals: Signals) -> dict[str, FloatArray]:
    """All that is compared; what stands beside an entry is no number where there is none."""
    enters = signals.side != 0
    nowhere = np.full(len(enters), np.nan)
    decided = {"stop_level": nowhere, "target_level": nowhere, **decision(signals), **named_levels(signals)}
    sides = {name: decided.pop(name) for name in ("side", "exit_side")}
    return {**signals.explain, **sides, **{name: np.where(enters, column, np.nan) for name, column in decided.items()}}


def _pairs(whole: Signals, other: Signals) -> Iterator[tuple[str, FloatArray, FloatArray]]:
    ours, theirs = _columns(whole), _columns(other)
    return ((name, column, theirs[name]) for name, column in ours.items() if name in theirs)


def _last(signals: Signals) -> Signals:
    last = {name: column[-1:] for name, column in signals.explain.items()}
    return Signals(
        signals.side[-1:],
        signals.confidence[-1:],
        signals.stop_distance[-1:],
        signals.target_distance[-1:],
        signals.exit_side[-1:],
        last,
        signals.tag,
        **{name: column[-1:] for name, column in named_levels(signals).items()},
    )


def _scale(column: FloatArray) -> float:
    """The usual magnitude of a value: differences are measured by it where the value itself is near zero."""
    finite = np.abs(column[np.isfinite(column)])
    return float(finite.mean()) if finite.size else 0.0


def _differs(whole: FloatArray, other: FloatArray, scale: float) -> BoolArray:
    """Rows that differ by more than 1e-9, or where only one is a number."""
    missing = np.isnan(whole) != np.isnan(other)
    slack = TOLERANCE * np.maximum(np.maximum(np.abs(whole), np.abs(other)), scale)
    with np.errstate(invalid="ignore"):  # infinite on both sides
        differs: BoolArray = missing | np.greater(np.abs(whole - other), slack)
    return differs
