"""Where a backtest's candles come from: files that are named, or the candle store.

What belongs here: one symbol's whole history, checked, and its funding. What does not: file formats and the store
(marketdata), which part of it is traded (job).
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from trading_engine.backtest import cache
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import FundingRate
from trading_engine.marketdata.block import Units
from trading_engine.marketdata.candle_cache import read_candles
from trading_engine.marketdata.candle_file import Gap
from trading_engine.marketdata.candle_store.name import names_below
from trading_engine.marketdata.funding_file import read_funding


class Past(Struct, frozen=True, eq=False):
    """One symbol's history.

    source     what an error names: a file, or a place in the store
    moved      prices that did not lie on the tick
    rates      settlements from one instant to another, both included; none where no funding is known
    is_funded  whether any funding is known, of whatever time
    """

    symbol: str
    source: str
    block: Units
    interval_ms: int
    gaps: tuple[Gap, ...]
    moved: int
    rates: Callable[[int, int], Sequence[FundingRate]]
    is_funded: bool


def read_files(symbol: str, path: Path, funding: Path | None, instrument: Instrument) -> Past:
    """Candles and funding rates of files; ConfigInvalid as `open_candles` and `read_funding` raise it."""
    report, units = read_candles(symbol, path, instrument, cache.candle_folder())

    def rates(from_ms: int, to_ms: int) -> Sequence[FundingRate]:
        return () if funding is None else read_funding(symbol, funding, from_ms, to_ms)

    return Past(symbol, str(path), units, report.interval_ms, report.gaps, report.off_tick, rates, funding is not None)


def read_store(root: Path, venue: str, symbol: str, instrument: Instrument) -> Past:
    """The finest candles of a symbol that are stored, and its funding rates; ConfigInvalid where there are none."""
    from trading_engine.marketdata.candle_store.dataset import open_dataset  # noqa: PLC0415 - files need none of it

    stored = [name for name in names_below(root) if (name.venue, name.symbol) == (venue, symbol)]
    intervals = [name.interval_ms for name in stored if not name.is_funding]
    if not intervals:
        raise ConfigInvalid(
            f"{root}: there are no candles of {symbol} at {venue}; name files with --data {symbol}=FILE, or bring them"
            f" in with `data download --venue {venue} --symbol {symbol} …` or `data import`"
        )
    dataset = open_dataset(root, venue, symbol, min(intervals))
    is_funded = dataset.funding_manifest is not None

    def rates(from_ms: int, to_ms: int) -> Sequence[FundingRate]:
        return dataset.funding(from_ms, to_ms) if is_funded else ()

    report = dataset.report(instrument)
    where = f"{root} ({venue} {symbol})"
    units = Units._make(dataset.block(instrument=instrument)[: len(Units._fields)])
    return Past(symbol, where, units, dataset.interval_ms, tuple(report.gaps), report.off_tick, rates, is_funded)
