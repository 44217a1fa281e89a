"""The signals of a whole history, once for both engines.

What belongs here: every strategy asked once over all candles, its rows in order of time, and what filters have
against its entries. What does not: strategies, filters, and which rows may speak (strategy.evaluate).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from msgspec import Struct, field, structs

from trading_engine.backtest import tables
from trading_engine.backtest.market import Market
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Side, Signal
from trading_engine.strategy.api import BoolArray, Series, Signals, Strategy
from trading_engine.strategy.evaluate import asked_rows, in_mticks, require_confidence
from trading_engine.strategy.filters import Entry, Filter, Need, refusals
from trading_engine.strategy.indicators import atr
from trading_engine.strategy.levels import NO_LEVELS, Levels, in_ticks, objections, placed
from trading_engine.strategy.timeframes import resample

_SIDES: Mapping[int, Side | None] = {1: Side.LONG, -1: Side.SHORT, 0: None}


class Spoken(Struct, frozen=True, eq=False):
    """All signals of a run: as arrays for the loop, and with what explains them.

    strategies  names, in the order of the numbers that the arrays have
    refused     rows whose entry a filter has refused, or whose stop or target can be none; no side in the arrays
    """

    table: tables.Signals
    strategies: tuple[str, ...]
    sources: tuple[tuple[Signals, int], ...]  # for each row: whose signals, and which of their rows
    primaries: tuple[int, ...]  # for each row: the strategy's interval
    refused: Mapping[int, "Refused"] = field(default_factory=dict)

    @property
    def intervals(self) -> Mapping[int, int]:
        """The interval of each strategy that has said anything, by its number."""
        return dict(zip(self.table.strategy.tolist(), self.primaries, strict=True))

    @property
    def entries(self) -> int:
        """Signals that ask for an entry, those that were refused among them."""
        return int(np.count_nonzero(self.table.side)) + len(self.refused)

    def within(self, market: Market) -> "Spoken":
        """What was said on candles of this part of the market; the rest has warmed the strategies up."""
        table = self.table
        begins = np.array([block.ts[0] for block in market.blocks], dtype=np.int64)
        ends = np.array([block.ts[-1] for block in market.blocks], dtype=np.int64)
        opened = table.closed_ms - market.interval_ms
        rows = np.flatnonzero((begins[table.symbol] <= opened) & (opened <= ends[table.symbol]))
        if len(rows) == len(opened):
            return self
        kept = rows.tolist()
        return Spoken(
            tables.Signals._make(column[rows] for column in table),
            self.strategies,
            tuple(self.sources[at] for at in kept),
            tuple(self.primaries[at] for at in kept),
            {new: self.refused[old] for new, old in enumerate(kept) if old in self.refused},
        )

    def signals(self, market: Market) -> dict[int, list[Signal]]:
        """The same as domain signals, by the close at which they are heard."""
        heard: dict[int, list[Signal]] = {}
        for row in range(len(self.table.closed_ms)):
            signal = self._signal(row, market)
            heard.setdefault(int(self.table.closed_ms[row]), []).append(signal)
        return heard

    def _signal(self, row: int, market: Market) -> Signal:
        table, (source, at) = self.table, self.sources[row]
        symbol, closed_ms = int(table.symbol[row]), int(table.closed_ms[row])
        block = market.blocks[symbol]
        base = int(np.searchsorted(block.ts, closed_ms - market.interval_ms))
        side, why = self.refused.get(row, Refused(int(table.side[row]), ()))
        return Signal(
            strategy=self.strategies[int(table.strategy[row])],
            symbol=market.symbols[symbol],
            side=_SIDES[side],
            confidence=float(table.confidence[row]),
            close_ticks=int(block.close[base]),
            stop_ticks=int(table.stop_ticks[row]) if side else 0,
            target_ticks=int(table.target_ticks[row]) if side else 0,
            refusals=why,
            candle_ts_ms=closed_ms - self.primaries[row],
            tag=source.tag,
            exit_side=_SIDES[int(table.exit_side[row])],
            explanation=tuple((name, f"{values[at]:.10g}") for name, values in source.explain.items()),
            atr_mticks=int(table.atr_mticks[row]),
        )


class Refused(NamedTuple):
    """An entry that may not be made: the side it would have had, and every reason."""

    side: int
    why: tuple[str, ...]


def speak(
    market: Market,
    strategies: Mapping[str, Sequence[Strategy]],
    instruments: Mapping[str, Instrument],
    atr_periods: Mapping[str, int] = MappingProxyType({}),
    levels: Mapping[str, Levels] = MappingProxyType({}),
    filters: Mapping[str, Sequence[Filter]] = MappingProxyType({}),
) -> Spoken:
    """Ask every strategy of every symbol once, and the filters of its entries.

    atr_periods   strategy → period of the average true range that its entries come with
    levels        strategy → where its stop and target are put
    filters       strategy → what its entries must pass

    An entry whose stop or target lies where none can lie is refused, as by a filter. ValueError for one with a
    confidence outside of [0, 1].
    """
    names = tuple(sorted({strategy.name for chosen in strategies.values() for strategy in chosen}))
    said: list[_Said] = []
    for symbol, name in enumerate(market.symbols):
        if not strategies[name]:
            continue
        past = _History(market.series(symbol, instruments[name]))
        said += [
            _ask(
                strategy,
                past,
                (symbol, name),
                names.index(strategy.name),
                float(instruments[name].tick),
                atr_periods.get(strategy.name, 0),
                levels.get(strategy.name, NO_LEVELS),
            )
            for strategy in strategies[name]
        ]
    spoken = _sorted(said, names)
    return _filtered(spoken, market, instruments, filters) if filters else spoken


class _Said(Struct, frozen=True, eq=False):
    """What one strategy has said on one symbol."""

    table: tables.Signals
    source: Signals
    rows: tables.Ints
    primary_ms: int
    against: Mapping[int, str]  # row of the source → what keeps its entry from being made


class _History:
    """One symbol's candles; those of each interval are made once for all strategies, which cannot write to them."""

    def __init__(self, base: Series) -> None:
        self.base = base
        self._made: dict[int, Series] = {}

    def candles(self, interval_ms: int) -> Series:
        """The candles of an interval, to be read only."""
        if interval_ms not in self._made:
            self._made[interval_ms] = resample(self.base, interval_ms)
        return self._made[interval_ms]

    def asked(self, strategy: Strategy) -> tuple[Signals, BoolArray]:
        """What a strategy says, and the rows on which the live engine would have asked it."""
        market = {interval_ms: self.candles(interval_ms).locked() for interval_ms in strategy.intervals}
        return strategy.compute(market), asked_rows(strategy, self.base, market[strategy.primary_interval_ms])


def _ask(
    strategy: Strategy,
    past: _History,
    symbol: tuple[int, str],
    number: int,
    tick: float,
    atr_period: int,
    levels: Levels,
) -> _Said:
    """What one strategy says on one symbol, given by its number and name; distances count where it enters."""
    candles = past.candles(strategy.primary_interval_ms)
    ranges = atr(candles, atr_period) if atr_period else None
    said, asked = past.asked(strategy)
    said = placed(said, candles.close, ranges, levels)
    rows = np.flatnonzero(asked & ((said.side != 0) | (said.exit_side != 0)))
    side = said.side[rows].astype(np.int64)
    enters = side != 0
    confidence, stop, target = (
        np.where(enters, column[rows].astype(np.float64), 0.0)  # whatever kind of numbers it has
        for column in (said.confidence, said.stop_distance, said.target_distance)
    )
    require_confidence(strategy.name, symbol[1], confidence)
    entries = rows[enters].tolist()
    against = {entries[at]: why for at, why in objections(stop[enters], target[enters], tick).items()}
    table = tables.Signals(
        closed_ms=candles.ts[rows] + candles.interval_ms,
        symbol=np.full(len(rows), symbol[0], np.int64),
        strategy=np.full(len(rows), number, np.int64),
        side=side,
        exit_side=said.exit_side[rows].astype(np.int64),
        confidence=confidence,
        stop_ticks=in_ticks(stop, tick),
        target_ticks=in_ticks(target, tick),
        atr_mticks=np.zeros(len(rows), np.int64)
        if ranges is None
        else np.where(enters, in_mticks(ranges[rows], tick), 0),
    )
    return _Said(table, said, rows, strategy.primary_interval_ms, against)


def _sorted(said: Sequence[_Said], names: tuple[str, ...]) -> Spoken:
    """Everything by time, then symbol, then strategy; entries that cannot be made without a side."""
    if not said:
        none = np.empty(0, np.int64)
        return Spoken(tables.Signals(none, none, none, none, none, np.empty(0), none, none, none), names, (), ())
    joined = [np.concatenate(columns) for columns in zip(*(one.table for one in said), strict=True)]
    order = np.lexsort((joined[2], joined[1], joined[0]))
    table = tables.Signals._make(column[order] for column in joined)
    sources = [(one.source, row) for one in said for row in one.rows.tolist()]
    primaries = [one.primary_ms for one in said for _ in one.rows]
    objected = [one.against.get(row, "") for one in said for row in one.rows.tolist()]
    places = order.tolist()
    refused = {row: Refused(int(table.side[row]), (objected[at],)) for row, at in enumerate(places) if objected[at]}
    spoken = Spoken(table, names, tuple(sources[at] for at in places), tuple(primaries[at] for at in places))
    return _without(spoken, refused)


def _without(spoken: Spoken, refused: Mapping[int, Refused]) -> Spoken:
    """The same without these entries; what closes a position stays."""
    side = spoken.table.side.copy()
    side[list(refused)] = 0
    return structs.replace(spoken, table=spoken.table._replace(side=side), refused={**spoken.refused, **refused})


def _filtered(
    spoken: Spoken,
    market: Market,
    instruments: Mapping[str, Instrument],
    filters: Mapping[str, Sequence[Filter]],
) -> Spoken:
    """The same without the entries that filters refuse; what closes a position is never refused."""
    table, past, refused = spoken.table, _Past(market, instruments), {}
    for row in np.flatnonzero(table.side).tolist():
        chosen = filters.get(spoken.strategies[int(table.strategy[row])], ())
        why = _against(spoken, row, market, instruments, chosen, past) if chosen else ()
        if why:
            refused[row] = Refused(int(table.side[row]), why)
    return _without(spoken, refused)


def _against(
    spoken: Spoken,
    row: int,
    market: Market,
    instruments: Mapping[str, Instrument],
    filters: Sequence[Filter],
    past: "_Past",
) -> tuple[str, ...]:
    table, (source, at) = spoken.table, spoken.sources[row]
    symbol, closed_ms = int(table.symbol[row]), int(table.closed_ms[row])
    block, name = market.blocks[symbol], market.symbols[symbol]
    close = int(block.close[np.searchsorted(block.ts, closed_ms - market.interval_ms)])
    side = Side.LONG if table.side[row] > 0 else Side.SHORT
    distances = float(source.stop_distance[at]), float(source.target_distance[at])
    entry = Entry(side, close * float(instruments[name].tick), *distances, closed_ms)
    return refusals(filters, entry, lambda need: past.look(need, name, closed_ms))


class _Past:
    """Candles as filters would have seen them at an instant; each interval of a symbol is made once."""

    def __init__(self, market: Market, instruments: Mapping[str, Instrument]) -> None:
        self._market = market
        self._instruments = instruments
        self._made: dict[tuple[str, int], Series] = {}

    def look(self, need: Need, own: str, until_ms: int) -> Series:
        """The last candles that a filter wants of those closed by then."""
        key = need.symbol or own, need.interval_ms
        if key not in self._made:
            series = self._market.series(self._market.symbols.index(key[0]), self._instruments[key[0]])
            self._made[key] = resample(series, need.interval_ms)
        whole = self._made[key]
        closed = int(np.searchsorted(whole.close_times, until_ms, side="right"))
        return whole.head(closed).tail(need.candles)
