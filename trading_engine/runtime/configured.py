"""What a configuration comes to in the settings of the lower layers.

What belongs here: a checked configuration, and its values in the units of core, exchange and strategies. What does
not: opening data and putting a run together (bootstrap), limits and exits one by one (rule_settings).

A backtest needs this much of the composition root and no more: nothing here imports an executor, a venue or a store.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from trading_engine.config.load import load_config, named
from trading_engine.config.model import Config, InstrumentConfig
from trading_engine.core.settings import EngineSettings, ExecutionSettings, ForeignPolicy, ForeignSettings
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.time import MINUTE_MS, SECOND_MS, interval_name
from trading_engine.runtime import rule_settings
from trading_engine.runtime.brain import Brain
from trading_engine.runtime.rule_settings import ppm, rate_e8
from trading_engine.runtime.strategy_setup import Filters
from trading_engine.strategy.api import Strategy
from trading_engine.venues.embedded import facts
from trading_engine.venues.embedded.facts import DEFAULT_MAINTENANCE_RATE, known_instrument, single_tier
from trading_engine.venues.embedded.terms import Contract, Terms

if TYPE_CHECKING:  # ports name every event and record, each a class that takes its time to define
    from trading_engine.ports import Capabilities


_STRATEGY_LINE = re.compile(r".*\.py:\d+: ")  # what is wrong in a strategy's own file
_READ_BY = {
    "slippage_pct": ("fixed",),
    "half_spread_pct": ("spread_volatility", "depth"),
    "range_share_pct": ("spread_volatility",),
    "impact_pct": ("depth",),
}


class RunOptions(Struct, frozen=True):
    """What the command line asks for. `speed` None is as fast as it goes.

    signals_only  decide and write down, send nothing to the venue
    on_notice     told what a person should know at the start, where the console shows no warnings
    """

    config_path: Path
    state_dir: Path | None = None
    replay: Mapping[str, Path] = field(default_factory=dict)
    funding: Mapping[str, Path] = field(default_factory=dict)
    speed: float | None = None
    seed: int | None = None
    overrides: Mapping[str, object] = field(default_factory=dict)
    dry_run: bool = False
    signals_only: bool = False
    debug: bool = False
    on_progress: Callable[[int, int, int], None] | None = None
    on_notice: Callable[[str], None] | None = None


def configuration(options: RunOptions, environ: Mapping[str, str]) -> Config:
    """The checked configuration of a run."""
    config = load_config(options.config_path, options.overrides, environ, Path(".env"))
    stop_file = config.kill_switch.file
    if stop_file.is_dir():
        raise ConfigInvalid(
            f"{options.config_path}: kill_switch.file = {stop_file} is a directory; expected the path of a file"
            f" (as {stop_file / 'STOP'})"
        )
    return config


@contextmanager
def told_with_file(path: Path, overrides: Mapping[str, object]) -> Iterator[None]:
    """What only shows against strategies and contracts is told with the file as well; a strategy's own file stays."""
    try:
        yield
    except ConfigInvalid as error:
        lines = [
            line if _STRATEGY_LINE.match(line) else named(path, overrides, line) for line in str(error).splitlines()
        ]
        raise ConfigInvalid("\n".join(lines), exit_code=error.exit_code) from error


def instrument_of(config: Config, symbol: str, told: Instrument | None = None) -> Instrument:
    """The facts of a symbol: told by a venue or built in, replaced by the configuration's.

    ConfigInvalid where there are none, or where they contradict the configuration.
    """
    override = config.paper.instruments.get(symbol, InstrumentConfig())
    known = told or known_instrument(symbol)
    if known is None and (override.tick is None or override.step is None):
        raise ConfigInvalid(
            f"paper.instruments.{symbol}: {symbol} has no built-in facts; give at least its tick and step there"
        )
    step = override.step or (known.step if known else Decimal(1))
    leverage = override.max_leverage or (known.max_leverage if known else Decimal(50))
    rate = override.maintenance_pct / 100 if override.maintenance_pct else DEFAULT_MAINTENANCE_RATE
    is_ours = override.maintenance_pct or override.max_leverage
    instrument = Instrument(
        symbol=symbol,
        tick=override.tick or (known.tick if known else Decimal(1)),
        step=step,
        min_quantity=override.min_quantity or (known.min_quantity if known and not override.step else step),
        max_quantity=override.max_quantity or (known.max_quantity if known else step * 10**9),
        min_notional=override.min_notional or (known.min_notional if known else Decimal(5)),
        max_leverage=leverage,
        tiers=single_tier(rate, leverage) if known is None or is_ours else known.tiers,
        settle_asset=known.settle_asset if known else "USDT",
    )
    if instrument.min_quantity > instrument.max_quantity:
        raise ConfigInvalid(
            f"paper.instruments.{symbol}: min_quantity = {money.text(instrument.min_quantity)} is above max_quantity ="
            f" {money.text(instrument.max_quantity)}; no order would lie between them"
        )
    try:
        Contract.of(instrument)
    except ValueError as error:
        raise ConfigInvalid(
            f"paper.instruments.{symbol}: {error} (tick {instrument.tick}, step {instrument.step}); money is counted in"
            " 1e-8, so tick × step and the smallest notional must be multiples of that, and quantities of the step"
        ) from error
    if config.leverage > leverage:
        raise ConfigInvalid(f"leverage = {config.leverage} is above {symbol}'s maximum of {leverage}")
    return instrument


def check_intervals(
    strategies: Mapping[str, tuple[Strategy, ...]],
    instruments: Mapping[str, Instrument],
    interval_ms: int,
    filters: Filters,
    atr_periods: Mapping[str, int],
) -> None:
    """ConfigInvalid where a strategy or a filter needs finer candles than these."""
    for strategy in {each.name: each for group in strategies.values() for each in group}.values():
        for needed_ms in sorted(strategy.intervals):
            if needed_ms % interval_ms:
                needed = interval_name(needed_ms)
                raise ConfigInvalid(
                    f"the candles are {interval_name(interval_ms)}: {strategy.name} needs candles of {needed}, which"
                    f" cannot be built from them; give candles of {needed} or finer (1m is best: exits are judged on"
                    " each candle that is given)"
                )
    try:
        Brain(strategies, instruments, interval_ms, filters, atr_periods)
    except ValueError as error:
        raise ConfigInvalid(f"the candles are {interval_name(interval_ms)}: {error}") from error


def terms_of(config: Config) -> Terms:
    """What the embedded exchange charges and fills."""
    paper = config.paper
    return Terms(
        taker_fee_e8=rate_e8(paper.taker_fee_pct),
        maker_fee_e8=rate_e8(paper.maker_fee_pct),
        slippage_ppm=ppm(paper.slippage_pct if paper.slippage == "fixed" else paper.half_spread_pct),
        slippage_range_ppm=ppm(paper.range_share_pct) if paper.slippage == "spread_volatility" else 0,
        impact_ppm=ppm(paper.impact_pct) if paper.slippage == "depth" else 0,
        latency_candles=paper.latency_candles,
        volume_share_ppm=ppm(paper.volume_share_pct),
        leverage_milli=int(config.leverage * 1000),
    )


def idle_slippage(config: Config) -> list[str]:
    """Settings that were written down although the slippage model that is chosen does not read them, one line each."""
    paper = config.paper
    return [
        f"paper.{name} = {getattr(paper, name)} has no effect with paper.slippage = {paper.slippage}; it is read by"
        f" {' and '.join(models)}: leave it out, or choose another model"
        for name, models in _READ_BY.items()
        if name in paper.model_fields_set and paper.slippage not in models
    ]


def engine_settings(
    config: Config,
    instruments: Mapping[str, Instrument],
    capabilities: "Capabilities | None" = None,
    interval_ms: int = MINUTE_MS,
) -> EngineSettings:
    """The core's settings, in its own units, for a venue with these capabilities: without any the embedded exchange.

    There orders may be under way for some candles of `interval_ms`: deadlines begin when they arrive.
    """
    latency_ms = config.paper.latency_candles * interval_ms if config.mode == "paper" else 0
    is_proof = facts.ABSENCE_IS_PROOF if capabilities is None else capabilities.absence_is_proof
    delay_ms = facts.VISIBILITY_DELAY_MS if capabilities is None else capabilities.visibility_delay_ms
    execution = config.execution
    return EngineSettings(
        venue=facts.NAME if config.mode == "paper" else config.venue,
        account=config.account,
        asset=next(iter(instruments.values())).settle_asset,
        instruments=instruments,
        leverage=config.leverage,
        absence_is_proof=is_proof,
        visibility_delay_ms=delay_ms,
        sizing=rule_settings.sizing(config),
        exits=rule_settings.exits(config),
        limits=rule_settings.limits(config),
        atr_periods=rule_settings.atr_periods(config),
        levels=rule_settings.levels(config),
        foreign=_foreign(config),
        tell=rule_settings.tell(config, latency_ms),
        execution=ExecutionSettings(
            max_send_delay_ms=execution.max_send_delay_ms,
            recv_window_ms=execution.recv_window_ms,
            stop_confirmation_ms=execution.unprotected_timeout_ms,
            entry_ttl_ms=execution.entry_ttl_ms + latency_ms,
            reconcile_interval_ms=execution.reconcile_interval_s * SECOND_MS,
            outage_alert_ms=execution.outage_alert_s * SECOND_MS,
            stop_spacing_ms=0 if is_proof else ExecutionSettings().stop_spacing_ms,
        ),
    )


def _foreign(config: Config) -> ForeignSettings:
    section = config.reconciliation
    return ForeignSettings(
        default=ForeignPolicy(section.default),
        symbols={symbol: ForeignPolicy(policy) for symbol, policy in section.symbols.items()},
        adopt_stop_ppm=ppm(section.adopt_stop_pct),
    )


def stop_level(config: Config) -> Level:
    """What the bare STOP file does."""
    return Level.FLATTEN if config.kill_switch.action == "flatten" else Level.NO_ENTRY
