"""`strategy check`: the proofs of strategy.check on files of candles, or on a synthetic market.

What belongs here: getting the candles, and the findings in words. What does not: the proofs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trading_engine.config.load import load_config
from trading_engine.config.model import Config
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.time import DAY_MS, MINUTE_MS, interval_name, iso
from trading_engine.marketdata.block import CandleBlock, join
from trading_engine.marketdata.candle_file import open_candles
from trading_engine.marketdata.synth import SyntheticMarket
from trading_engine.runtime.bootstrap import DEMO_START_MS, Finding, instrument_of
from trading_engine.runtime.strategy_files import require_known
from trading_engine.runtime.strategy_setup import create
from trading_engine.strategy import check
from trading_engine.strategy.api import Series, Strategy
from trading_engine.strategy.check import Checked, Difference, Fault
from trading_engine.strategy.evaluate import history_needed
from trading_engine.strategy.registry import BUILT_IN
from trading_engine.strategy.timeframes import resample

SYNTHETIC_SYMBOLS = ("BTCUSDT", "SOLUSDT")
SYNTHETIC_SEED = 7
_SYNTHETIC_DAYS = 30  # beyond what the strategy's windows need
_REHEARSAL_DAYS = 2

_REMEDIES: Mapping[Fault, str] = {
    Fault.CHANGES_ITS_MIND: "it remembers something between two calls, or asks chance or the clock",
    Fault.LOOKS_AHEAD: "it depends on candles that come later",
    Fault.WINDOW_TOO_SHORT: "`intervals` declares too few candles, or what it computes never forgets",
    Fault.SILENT_BY_MISTAKE: "`is_silent` is true although there is a signal",
}
_COMPARED: Mapping[Fault, tuple[str, str]] = {
    Fault.CHANGES_ITS_MIND: ("when it is asked", "when it is asked again"),
    Fault.LOOKS_AHEAD: ("with the whole history", "without later candles"),
}


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What the command line asks for; without files a synthetic market is drawn, `most` candles are compared."""

    name: str
    folder: Path
    config_path: Path | None
    files: Mapping[str, Path]
    most: int


def run(options: CheckOptions, environ: Mapping[str, str]) -> list[Finding]:
    """Check one strategy on every symbol; one finding each, an error where it says two things.

    ConfigInvalid for a strategy, a configuration or a file that cannot be used.
    """
    config = _config(options, environ)
    require_known(options.name, config.strategy_folder)
    settings = next((item.settings for item in config.strategies if item.name == options.name), {})
    strategy = create(config, options.name, settings)
    return [
        _finding(symbol, strategy, _checked(symbol, strategy, base, config, options.most))
        for symbol, base in _markets(options, config, strategy)
    ]


def rehearse(config: Config) -> list[Finding]:
    """Each strategy of a file computed once on a synthetic market; an error for one that fails there."""
    found = []
    for item in config.strategies:
        if item.name in BUILT_IN:
            continue
        strategy = create(config, item.name, item.settings)
        symbol, base = next(_synthetic(config, strategy, _REHEARSAL_DAYS))
        market = {interval_ms: resample(base, interval_ms) for interval_ms in strategy.intervals}
        try:
            strategy.is_silent(market)
            strategy.compute(market)
            found.append(Finding("ok", item.name, f"computed on {len(base)} synthetic candles of 1m ({symbol})"))
        except ConfigInvalid as error:
            found.append(Finding("error", item.name, str(error)))
    return found


def _config(options: CheckOptions, environ: Mapping[str, str]) -> Config:
    """The configuration given, or one that says nothing but what is asked for."""
    if options.config_path is not None:
        return load_config(options.config_path, {}, environ, Path(".env"))
    return Config.model_validate(
        {
            "mode": "paper",
            "symbols": list(options.files or SYNTHETIC_SYMBOLS),
            "strategies": [{"name": options.name}],
            "strategy_folder": options.folder,
        }
    )


def _markets(options: CheckOptions, config: Config, strategy: Strategy) -> Iterator[tuple[str, Series]]:
    for symbol, path in options.files.items():
        file = open_candles(symbol, path, instrument_of(config, symbol))
        yield symbol, _series(join(list(file.blocks())), file.interval_ms)
    if not options.files:
        yield from _synthetic(config, strategy, _SYNTHETIC_DAYS)


def _synthetic(config: Config, strategy: Strategy, days: int) -> Iterator[tuple[str, Series]]:
    """Minutes of the usual synthetic symbols: as many as the strategy's windows need, and `days` more."""
    span_ms = max(count * interval_ms for interval_ms, count in history_needed([strategy]).items())
    candles = (span_ms + days * DAY_MS) // MINUTE_MS
    for symbol in SYNTHETIC_SYMBOLS:
        instruments: Mapping[str, Instrument] = {symbol: instrument_of(config, symbol)}
        market = SyntheticMarket(SYNTHETIC_SEED, instruments, DEMO_START_MS, candles)
        yield symbol, _series(market.history(symbol, market.last_ts + MINUTE_MS, candles), MINUTE_MS)


def _series(block: CandleBlock, interval_ms: int) -> Series:
    prices = (block.open_price, block.high_price, block.low_price, block.close_price)
    return Series(block.ts, *prices, block.base_volume, interval_ms)


def _checked(symbol: str, strategy: Strategy, base: Series, config: Config, most: int) -> Checked:
    try:
        return check.check(strategy, base, windows=most, tick=float(instrument_of(config, symbol).tick))
    except ValueError as error:
        raise ConfigInvalid(f"{symbol}, candles of {interval_name(base.interval_ms)}: {error}") from error


def _finding(symbol: str, strategy: Strategy, found: Checked) -> Finding:
    counted = f"{found.signals} signals on {found.candles} candles of {interval_name(strategy.primary_interval_ms)}"
    runs = f"{found.prefixes} prefixes and {found.windows} windows"
    if found.difference is not None:
        return Finding("error", symbol, f"{_explain(found.difference)} ({counted})")
    if not found.candles:
        return Finding("warning", symbol, "the data end before its warm-up does; nothing was compared")
    if not found.signals:
        return Finding("warning", symbol, f"{runs} agree with the whole history, but there was no signal: {counted}")
    if found.refused:
        refused = (
            f"{found.refused} of {found.entries} entries would be refused: the stop or the target that it names"
            " lies on the wrong side of their close, or out of reach"
        )
        return Finding("warning", symbol, f"{runs} agree with the whole history: {counted}; {refused}")
    return Finding("ok", symbol, f"{runs} agree with the whole history: {counted}")


def _explain(difference: Difference) -> str:
    first, then = _COMPARED.get(difference.fault, ("with the whole history", "from its window"))
    return (
        f"{difference.fault}: on the candle of {iso(difference.ts)} {difference.field} is {difference.whole:.10g}"
        f" {first} and {difference.other:.10g} {then}; {_REMEDIES[difference.fault]}"
    )
