"""One backtest, from a configuration and files of candles to a result.

What belongs here: reading and checking what it needs, asking the strategies, running one engine or both. What does
not: the engines (fast, full), figures (metrics), what a person sees (cli, report).

The configuration is the one that trades: its account, its costs and its limits are those of `paper`, whatever its mode.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct, field

import trading_engine
from trading_engine import __version__
from trading_engine.backtest import compiled, doubts
from trading_engine.backtest.ahead import Ahead
from trading_engine.backtest.fast import Loop, NeedsFullEngine, run_fast
from trading_engine.backtest.market import Market, take_market
from trading_engine.backtest.past import Past, read_files, read_store
from trading_engine.backtest.result import Difference, Outcome, compare
from trading_engine.backtest.run import Run, make_run
from trading_engine.backtest.signals import Spoken, speak
from trading_engine.config.model import Config
from trading_engine.config.show import config_hash
from trading_engine.core.settings import EngineSettings
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import FundingRate
from trading_engine.domain.time import iso
from trading_engine.marketdata.block import Units
from trading_engine.marketdata.candle_file import Gap
from trading_engine.marketdata.candle_store.name import DEFAULT_FOLDER
from trading_engine.runtime import configured, strategy_setup
from trading_engine.runtime.configured import RunOptions
from trading_engine.venues.embedded.terms import Terms

_SOURCES = ("backtest", "core", "domain", "marketdata", "rules", "strategy", "venues/embedded")
_FOREVER_MS = 1 << 60
_NO_VENUE = "embedded"

OnProgress = Callable[[int, int], None]


class Engine(StrEnum):
    """Which of the two runs."""

    FAST = "fast"
    FULL = "full"
    BOTH = "both"


class Job(Struct, frozen=True):
    """What is asked for.

    data, funding    files by symbol; without any, candles and funding of all symbols come from the store
    store, venue     the candle store, and whose candles of it: the configuration's where it is empty
    strategy         only this one of the configuration's, all where it is empty
    from_ms, to_ms   candles that open in [from_ms, to_ms) are traded; what lies before warms the strategies up
    overrides        values of the configuration by their dotted keys
    contracts        facts of symbols that a venue has told, in place of those that are built in
    """

    config_path: Path
    data: Mapping[str, Path] = field(default_factory=dict)
    funding: Mapping[str, Path] = field(default_factory=dict)
    store: Path = DEFAULT_FOLDER
    venue: str = ""
    strategy: str = ""
    from_ms: int = 0
    to_ms: int = _FOREVER_MS
    engine: Engine = Engine.FAST
    overrides: Mapping[str, object] = field(default_factory=dict)
    contracts: Mapping[str, Instrument] = field(default_factory=dict)


class Parity(Struct, frozen=True):
    """Both engines side by side; `compared` counts trades."""

    compared: int
    differences: tuple[Difference, ...]


class Timing(Struct, frozen=True):
    """Where the time went, in seconds; `compile_s` is compiling the loop, or waiting until what was kept is loaded.

    run_s      candles to trades: the loop alone, and all of the full engine
    result_s   rows to trades and figures
    """

    load_s: float
    indicators_s: float
    compile_s: float
    run_s: float
    result_s: float


class Finished(Struct, frozen=True, eq=False):
    """A backtest that has run.

    run          what the engine that was asked for made of it, the fast one where it was both
    handed_over  why the full engine ran in place of the fast one, empty where it did not
    gaps         missing candles among those that were traded, by symbol
    signals      how many asked for an entry
    fates        what became of them, where the full engine has run
    """

    run: Run
    parity: Parity | None
    handed_over: str
    gaps: Mapping[str, tuple[Gap, ...]]
    timing: Timing
    signals: int
    fates: Mapping[str, int]


class Ground(Struct, frozen=True, eq=False):
    """Everything a backtest is made of, checked.

    doubts    what a reader must know of the data, and settings that do nothing
    silence   strategies that cannot speak for much of the span
    """

    config: Config
    settings: EngineSettings
    terms: Terms
    market: Market
    rates: Sequence[FundingRate]
    spoken: Spoken
    gaps: Mapping[str, tuple[Gap, ...]]
    load_s: float
    indicators_s: float
    doubts: tuple[str, ...]
    silence: tuple[str, ...]


def run_job(
    job: Job,
    environ: Mapping[str, str],
    on_progress: OnProgress | None = None,
    on_compile: Callable[[], None] = lambda: None,
) -> Finished:
    """Do it; ConfigInvalid with one line for everything in configuration, strategies or data that is wrong.

    on_progress   told by the full engine how many candles are done, and the market's time
    on_compile    called before the loop is compiled, which takes about a minute, once for each version
    """
    kept = None if job.engine is Engine.FULL else Ahead(compiled.kept_loop)
    version = Ahead(code_version)  # a hundred small files, while the candles are hashed

    def ready() -> Loop:
        if kept is not None and (known := kept.result()) is not None:
            return known
        on_compile()
        return compiled.ready_loop()

    ground = prepare(job, environ)
    began = time.perf_counter()
    digest = Ahead(lambda: ground.market.digest(ground.settings.instruments))
    tried = _NOT_TRIED if job.engine is Engine.FULL else _fast(ground, ready)
    fast, full, run_s = tried.outcome, None, tried.run_s
    if fast is None or job.engine is Engine.BOTH:
        asked = time.perf_counter()
        full = _full(ground, on_progress)
        run_s += time.perf_counter() - asked
    outcome = fast or full
    assert outcome is not None  # noqa: S101 - one of the two has run
    parity = None
    if job.engine is Engine.BOTH:
        parity = Parity(len(full.trades), tuple(compare(fast, full))) if fast and full else Parity(0, ())
    remarks, fates = [*remarks_of(ground, tried.handed_over), *ground.silence], full.fates if full else {}
    remarks += doubts.ended(outcome.stopped_ms, ground.config.risk.max_drawdown_pct)
    if not outcome.trades and not outcome.open_positions:
        remarks += doubts.unheard(ground.spoken.entries, fates)
    run = make_run(
        outcome,
        ground.market,
        ground.settings.instruments,
        ground.terms,
        ground.spoken.strategies,
        config_hash(ground.config),
        version.result(),
        remarks,
        digest.result,
    )
    result_s = time.perf_counter() - began - tried.compile_s - run_s
    timing = Timing(ground.load_s, ground.indicators_s, tried.compile_s, run_s, result_s)
    return Finished(run, parity, tried.handed_over, ground.gaps, timing, ground.spoken.entries, fates)


def outcome_of(ground: Ground, engine: Engine, on_progress: OnProgress | None = None) -> tuple[Outcome, str]:
    """What one engine makes of it, the fast one unless it is told otherwise, and why the full one ran in its place."""
    tried = _NOT_TRIED if engine is Engine.FULL else _fast(ground, compiled.ready_loop)
    return tried.outcome or _full(ground, on_progress), tried.handed_over


def prepare(job: Job, environ: Mapping[str, str]) -> Ground:
    """Read and check configuration, strategies and data, and ask the strategies; raises as `run_job`."""
    began = time.perf_counter()
    options = RunOptions(job.config_path, overrides={**job.overrides, "mode": "paper"})
    config = _only(configured.configuration(options, environ), job)
    symbols = _symbols(config, job)
    with configured.told_with_file(job.config_path, job.overrides):
        contracts = job.contracts
        instruments = {symbol: configured.instrument_of(config, symbol, contracts.get(symbol)) for symbol in symbols}
        strategies = strategy_setup.strategies_of(config, symbols)
        filters = strategy_setup.filters_of(config, strategies)
    pasts = _read(job, config, symbols, instruments)
    interval_ms = _interval(pasts)
    settings = configured.engine_settings(config, instruments, interval_ms=interval_ms)
    configured.check_intervals(strategies, instruments, interval_ms, filters, settings.atr_periods)
    traded = {symbol: _part(past, job) for symbol, past in pasts.items()}
    rates = _rates(pasts, traded)
    gaps = {symbol: _within(past.gaps, traded[symbol]) for symbol, past in pasts.items()}
    is_whole = all(traded[symbol].rows == past.block.rows for symbol, past in pasts.items())
    whole = {} if is_whole else {name: past.block for name, past in pasts.items()}
    moved = {symbol: past.moved for symbol, past in pasts.items()}
    rows = {symbol: past.block.rows for symbol, past in pasts.items()}
    known_from = {symbol: int(past.block.ts[0]) for symbol, past in pasts.items()}
    funded = {symbol for symbol, past in pasts.items() if past.is_funded}
    del pasts  # what is held twice is in memory twice
    market = take_market(traded, rates, interval_ms)
    loaded = time.perf_counter()
    known = market if is_whole else take_market(whole, (), interval_ms)
    spoken = speak(known, strategies, instruments, settings.atr_periods, settings.levels, filters).within(market)
    told = time.perf_counter()
    terms = configured.terms_of(config)
    found = (
        *doubts.moved_prices(moved, rows, instruments),
        *doubts.uneven_spans(market),
        *doubts.funding(rates, market, funded),
        *configured.idle_slippage(config),
    )
    silence = tuple(doubts.silent_beginnings(strategies, known_from, market))
    return Ground(config, settings, terms, market, rates, spoken, gaps, loaded - began, told - loaded, found, silence)


def remarks_of(ground: Ground, handed_over: str) -> list[str]:
    """What a reader must know of the data and the engine before believing any figure."""
    handed = [f"the full engine ran in place of the fast one: {handed_over}"] if handed_over else []
    return [*handed, *ground.doubts]


def code_version() -> str:
    """The version, and a hash of every source file that a result depends on."""
    told = hashlib.sha256()
    root = Path(trading_engine.__file__).parent
    for folder in _SOURCES:
        for name in sorted(_sources(root, folder), key=lambda name: name.split("/")):
            told.update(name.encode() + b"\0" + (root / name).read_bytes())
    return f"{__version__}+{told.hexdigest()[:12]}"


def _sources(root: Path, folder: str) -> Iterator[str]:
    """The source files in a folder and below, by their paths under the root, with slashes."""
    with os.scandir(root / folder) as found:
        for each in found:
            if each.is_dir():
                yield from _sources(root, f"{folder}/{each.name}")
            elif each.name.endswith(".py"):
                yield f"{folder}/{each.name}"


class _Tried(NamedTuple):
    """What the fast engine makes of it, or why it makes nothing of it; what compiling and the loop alone took."""

    outcome: Outcome | None
    handed_over: str
    compile_s: float
    run_s: float


_NOT_TRIED = _Tried(None, "", 0.0, 0.0)


def _fast(ground: Ground, ready: Callable[[], Loop]) -> _Tried:
    began = time.perf_counter()
    loop = ready()
    compile_s = time.perf_counter() - began
    run_s = 0.0

    def timed(*tables: Any) -> None:
        nonlocal run_s
        begun = time.perf_counter()
        loop(*tables)
        run_s = time.perf_counter() - begun

    deposit = ground.config.paper.balance
    try:
        outcome = run_fast(ground.market, ground.spoken, ground.settings, ground.terms, deposit, timed)
    except NeedsFullEngine as error:
        return _Tried(None, str(error), compile_s, run_s)
    return _Tried(outcome, "", compile_s, run_s)


def _full(ground: Ground, on_progress: OnProgress | None) -> Outcome:
    # The whole of the live engine: a fast run that loaded it would take half as long again.
    from trading_engine.backtest.full import run_full  # noqa: PLC0415

    deposit = ground.config.paper.balance
    return run_full(ground.market, ground.rates, ground.spoken, ground.settings, ground.terms, deposit, on_progress)


def _only(config: Config, job: Job) -> Config:
    """The configuration with the chosen strategy alone."""
    if not job.strategy:
        return config
    chosen = [item for item in config.strategies if item.name == job.strategy]
    if not chosen:
        names = ", ".join(item.name for item in config.strategies)
        raise ConfigInvalid(
            f"--strategy {job.strategy}: it is not among the strategies of {job.config_path} ({names}); add it there",
            exit_code=2,
        )
    return config.model_copy(update={"strategies": tuple(chosen)})


def _symbols(config: Config, job: Job) -> tuple[str, ...]:
    unknown = sorted(set(job.data) - set(config.symbols))
    if unknown:
        raise ConfigInvalid(
            f"--data {unknown[0]}=…: {unknown[0]} is not among the symbols of {job.config_path}"
            f" ({', '.join(config.symbols)}); add it there",
            exit_code=2,
        )
    lonely = sorted(set(job.funding) - set(job.data))
    if lonely:
        raise ConfigInvalid(f"--funding {lonely[0]}=…: there is no --data {lonely[0]}=FILE for it", exit_code=2)
    return tuple(symbol for symbol in config.symbols if symbol in job.data or not job.data)


def _read(job: Job, config: Config, symbols: Sequence[str], instruments: Mapping[str, Instrument]) -> dict[str, Past]:
    if job.data:
        return {each: read_files(each, job.data[each], job.funding.get(each), instruments[each]) for each in symbols}
    venue = job.venue or config.venue
    if venue == _NO_VENUE:
        raise ConfigInvalid(
            f"{job.config_path} names no venue whose candles are meant; give --venue NAME for stored ones, or"
            f" --data {symbols[0]}=FILE",
            exit_code=2,
        )
    return {each: read_store(job.store, venue, each, instruments[each]) for each in symbols}


def _interval(pasts: Mapping[str, Past]) -> int:
    first, *others = pasts.values()
    for other in others:
        if other.interval_ms != first.interval_ms:
            raise ConfigInvalid(
                f"{other.source}: candles of {other.interval_ms} ms beside {first.source} with {first.interval_ms} ms;"
                " expected one interval in all files"
            )
    return first.interval_ms


def _part(past: Past, job: Job) -> Units:
    """The candles that are traded: from the first one that opens in the span to the last that has closed in it."""
    block = past.block
    start, stop = block.ts.searchsorted((job.from_ms, job.to_ms - past.interval_ms + 1))
    if start >= stop:
        span = f"{iso(int(block.ts[0]))} to {iso(int(block.ts[-1]) + past.interval_ms)}"
        until = "" if job.to_ms >= _FOREVER_MS else f" before {iso(job.to_ms)}"
        raise ConfigInvalid(f"{past.source}: no candle from {iso(job.from_ms)} on{until}; it holds {span}", exit_code=2)
    return block.part(int(start), int(stop))


def _within(gaps: Sequence[Gap], traded: Units) -> tuple[Gap, ...]:
    first, last = int(traded.ts[0]), int(traded.ts[-1])
    return tuple(gap for gap in gaps if first < gap.from_ts < last)


def _rates(pasts: Mapping[str, Past], traded: Mapping[str, Units]) -> tuple[FundingRate, ...]:
    """The settlements within the candles of each symbol."""
    return tuple(
        rate
        for symbol, block in traded.items()
        for rate in pasts[symbol].rates(int(block.ts[0]), int(block.ts[-1]) + pasts[symbol].interval_ms)
    )
