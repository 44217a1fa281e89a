"""The composition root: configuration in, objects out.

What belongs here: opening data, putting a run's parts together, and the checks of everything before anything is
written. What does not: what a configuration comes to (configured, whose functions are found here as well), running
them (app).
"""

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from trading_engine.alerts.channel import Channel
from trading_engine.config.model import Config
from trading_engine.config.remote import VenueConfig
from trading_engine.core.settings import EngineSettings
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.time import interval_name, iso
from trading_engine.marketdata.candle_file import CandleFile, open_candles
from trading_engine.marketdata.funding_file import read_funding
from trading_engine.marketdata.replay import CandleSource, Replay
from trading_engine.marketdata.synth import SyntheticMarket
from trading_engine.runtime import contracts
from trading_engine.runtime.configured import (
    RunOptions,
    check_intervals,
    configuration,
    engine_settings,
    idle_slippage,
    instrument_of,
    stop_level,
    terms_of,
    told_with_file,
)
from trading_engine.runtime.strategy_setup import Filters, filters_of, shortages, strategies_of
from trading_engine.strategy.api import Strategy
from trading_engine.strategy.levels import NO_LEVELS, Levels
from trading_engine.system.state_dir import StateDir
from trading_engine.venues.embedded.terms import Terms

__all__ = [
    "DEMO_START_MS",
    "Finding",
    "Plan",
    "RunOptions",
    "check",
    "check_intervals",
    "configuration",
    "engine_settings",
    "instrument_of",
    "prepare",
    "refuse_leftovers",
    "settings_only",
    "simplified",
    "stop_level",
    "terms_of",
]

DEMO_START_MS = 1_735_689_600_000  # 2025-01-01, where the synthetic market begins


class Finding(NamedTuple):
    """Something `validate` has to say; level is ok, warning or error."""

    level: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a run is made of, checked, with nothing written yet."""

    config: Config
    settings: EngineSettings
    terms: Terms
    source: CandleSource
    files: tuple[CandleFile, ...]
    strategies: Mapping[str, tuple[Strategy, ...]]
    filters: Filters
    total_candles: int


def prepare(options: RunOptions, environ: Mapping[str, str]) -> Plan:
    """Read and check configuration, strategies and data; raises ConfigInvalid, writes nothing."""
    config = configuration(options, environ)
    symbols = _symbols(config, options)
    with told_with_file(options.config_path, options.overrides):
        instruments = {symbol: instrument_of(config, symbol) for symbol in symbols}
        strategies = strategies_of(config, symbols)
        filters = filters_of(config, strategies)
    files = tuple(open_candles(symbol, path, instruments[symbol]) for symbol, path in options.replay.items())
    source, total = _source(config, options, files, instruments)
    settings = engine_settings(config, instruments, interval_ms=source.interval_ms)
    settings = replace(settings, signals_only=options.signals_only)
    check_intervals(strategies, instruments, source.interval_ms, filters, settings.atr_periods)
    return Plan(config, settings, terms_of(config), source, files, strategies, filters, total)


def settings_only(options: RunOptions, environ: Mapping[str, str]) -> tuple[Config, EngineSettings, Terms]:
    """The settings without opening any data; at a venue its contracts are those that the state has seen."""
    config = configuration(options, environ)
    if config.mode != "paper":
        raise ConfigInvalid(
            f"{options.config_path}: mode = {config.mode}: its account is at the venue, not on the paper exchange"
        )
    told = contracts.kept(StateDir(options.state_dir)) if options.state_dir and config.is_paper_at_venue else {}
    with told_with_file(options.config_path, options.overrides):
        instruments = {symbol: instrument_of(config, symbol, told.get(symbol)) for symbol in config.symbols}
    return config, engine_settings(config, instruments), terms_of(config)


def _symbols(config: Config, options: RunOptions) -> tuple[str, ...]:
    """The symbols to trade: those with data where data is given, otherwise the configured ones."""
    unknown = sorted(set(options.replay) - set(config.symbols))
    if unknown and "symbols" in options.overrides:
        raise ConfigInvalid(
            f"--replay {unknown[0]}=…: --symbol {' --symbol '.join(config.symbols)} excludes it; give"
            f" --symbol {unknown[0]} as well, or leave the file out",
            exit_code=2,
        )
    if unknown:
        raise ConfigInvalid(
            f"--replay {unknown[0]}=…: {unknown[0]} is not among the symbols of {options.config_path}"
            f" ({', '.join(config.symbols)}); add it there",
            exit_code=2,
        )
    lonely = sorted(set(options.funding) - set(options.replay))
    if lonely:
        raise ConfigInvalid(f"--funding {lonely[0]}=…: there is no --replay {lonely[0]}=FILE for it", exit_code=2)
    return tuple(symbol for symbol in config.symbols if not options.replay or symbol in options.replay)


def _source(
    config: Config,
    options: RunOptions,
    files: Sequence[CandleFile],
    instruments: Mapping[str, Instrument],
) -> tuple[CandleSource, int]:
    if not files:
        seed = config.demo.seed if options.seed is None else options.seed
        market = SyntheticMarket(seed, instruments, DEMO_START_MS, config.demo.candles)
        return market, config.demo.candles * len(instruments)
    rates = [
        rate
        for symbol, path in options.funding.items()
        for file in files
        if file.symbol == symbol
        for rate in read_funding(symbol, path, file.first_ts, file.last_ts + file.interval_ms)
    ]
    return Replay(files, rates), sum(file.rows for file in files)


def check(options: RunOptions, environ: Mapping[str, str] | None = None) -> list[Finding]:
    """What `validate` reports; raises ConfigInvalid for what would not run at all."""
    from trading_engine.runtime import strategy_check  # noqa: PLC0415 - it stands on this module

    environ = os.environ if environ is None else environ
    config = configuration(options, environ)
    return [*_checked(config, options, environ), *strategy_check.rehearse(config)]


def _checked(config: Config, options: RunOptions, environ: Mapping[str, str]) -> list[Finding]:
    if config.mode != "paper" or config.is_paper_at_venue:  # what is traded and at which facts, the venue says
        refuse_leftovers(options)
        with told_with_file(options.config_path, options.overrides):
            filters_of(config, strategies_of(config, config.symbols))
        text = f"mode {config.mode} on {config.venue}, account {config.account}, symbols {', '.join(config.symbols)}"
        odd = [Finding("warning", f"venues.{config.venue}", one) for one in simplified(config)]
        odd += _idle(config) if config.mode == "paper" else []
        return [Finding("ok", str(options.config_path), text), *odd, *_unreachable(config)]
    plan = prepare(options, environ)
    traded = ", ".join(plan.settings.instruments)
    findings = [Finding("ok", str(options.config_path), f"mode {plan.config.mode}, symbols {traded}")]
    for file in plan.files:
        findings.extend(_data_findings(file))
    span_ms = plan.source.last_ts + plan.source.interval_ms - plan.source.first_ts
    short = shortages(plan.strategies, plan.filters, span_ms)
    findings.extend(Finding("warning", subject, text) for subject, text in short)
    findings.extend(_idle(plan.config))
    findings.extend(_folded(plan))
    findings.extend(_unreachable(plan.config))
    return findings


def refuse_leftovers(options: RunOptions) -> None:
    """Options that only recorded or synthetic candles have a use for; ConfigInvalid (exit 2) for one that is given."""
    where = "it goes with mode = paper and venue = embedded"
    for name, given in (("--replay", options.replay), ("--funding", options.funding), ("--seed", options.seed)):
        if given:
            raise ConfigInvalid(f"{name}: has no effect on a venue's own market; {where}", exit_code=2)
    if options.speed is not None:
        raise ConfigInvalid(f"--speed: a venue has its own time; {where}", exit_code=2)


def simplified(config: Config) -> list[str]:
    """What of the venue's section paper does not do, one line each; none in other modes."""
    section: VenueConfig | None = getattr(config.venues, config.venue, None)
    if not config.is_paper_at_venue or section is None:
        return []
    found = []
    if section.trigger_by == "mark":
        found.append("trigger_by = mark: the embedded exchange triggers by the last price")
    if section.position_mode == "hedge":
        found.append("position_mode = hedge: the embedded exchange holds one net position a symbol")
    if section.margin_mode == "cross":
        found.append("margin_mode = cross: on the embedded exchange each position has its own margin")
    return found


def _idle(config: Config) -> list[Finding]:
    return [Finding("warning", "paper", text) for text in idle_slippage(config)]


def _unreachable(config: Config) -> list[Finding]:
    """Channels of alerts that no service stands behind; nothing is sent."""
    found = []
    for index, item in enumerate(config.alerts.channels):
        channel = Channel(item.url.get_secret_value(), item.min_severity)
        if not _is_service(channel.url):
            text = f"{channel.label} is not a URL that Apprise knows; see appriseit.com/services"
            found.append(Finding("error", f"alerts.channels[{index}].url", text))
    return found


def _is_service(url: str) -> bool:
    """Whether Apprise makes a service of the URL. What it says about that holds the URL, so nobody hears it."""
    complaints = logging.getLogger("apprise")
    level = complaints.level
    complaints.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on its imports, which are its own affair
            import apprise  # noqa: PLC0415 - an engine does without until it has something to tell

            return apprise.Apprise.instantiate(url, suppress_exceptions=True) is not None
    finally:
        complaints.setLevel(level)


def _data_findings(file: CandleFile) -> list[Finding]:
    subject, report = str(file.path), file.report
    span = f"{iso(file.first_ts)} to {iso(file.last_ts + file.interval_ms)}"
    found = [Finding("ok", subject, f"{file.rows} candles of {interval_name(file.interval_ms)}, {span}")]
    if report.gaps:
        missing = sum(gap.missing for gap in report.gaps)
        first = iso(report.gaps[0].from_ts)
        text = f"{missing} candles missing in {len(report.gaps)} gaps, the first at {first}"
        found.append(Finding("warning", subject, text))
    if report.off_tick:
        text = f"{report.off_tick} prices are not on the tick of {file.instrument.tick}; moved to the nearest"
        found.append(Finding("warning", subject, text))
    return found


def _folded(plan: Plan) -> list[Finding]:
    """Partial and trailing levels at or beyond the target of a strategy whose target is a multiple of its stop."""
    findings = []
    seen: set[str] = set()
    for strategy in (item for group in plan.strategies.values() for item in group):
        if strategy.name in seen:
            continue
        seen.add(strategy.name)
        target_r = _target_r(strategy, plan.settings.levels.get(strategy.name, NO_LEVELS))
        ladder = plan.settings.exits.plan(strategy.name)
        if target_r is None:
            continue
        for step in ladder.partials:
            if step.at_milli >= target_r * 1000:
                level = f"{step.at_milli / 1000:g} R"
                text = f"the partial at {level} lies at or beyond the target ({target_r:g} R): it folds into it"
                findings.append(Finding("warning", strategy.name, text))
        for trail in ladder.trailing:
            if trail.at_milli >= target_r * 1000:
                text = f"trailing at {trail.at_milli / 1000:g} R is never reached: the target is {target_r:g} R"
                findings.append(Finding("warning", strategy.name, text))
        if ladder.follow.from_milli >= target_r * 1000:
            begin = f"{ladder.follow.from_milli / 1000:g} R"
            text = f"the stop never follows: it would begin at {begin}, and the target is {target_r:g} R"
            findings.append(Finding("warning", strategy.name, text))
    return findings


def _target_r(strategy: Strategy, levels: Levels) -> float | None:
    """Target in multiples of the stop, where both are settings in one unit."""
    if levels.target_r:
        return levels.target_r
    stop, target = levels.stop_percent or levels.stop_atr, levels.target_percent or levels.target_atr
    if bool(levels.stop_percent) is bool(levels.target_percent) and stop and target:
        return target / stop
    if stop or target:
        return None  # one of them in another unit, or by the strategy's own word
    for own_stop, own_target in (("stop_pct", "target_pct"), ("stop_atr", "target_atr")):
        stop, target = getattr(strategy, own_stop, 0.0), getattr(strategy, own_target, 0.0)
        if isinstance(stop, int | float) and isinstance(target, int | float) and stop and target:
            return target / stop
    return None
