"""From the configuration to strategies and their filters.

What belongs here: which strategies trade where, built in or from files, and what filters stand before them. What does
not: loading a file (strategy_files), what either of them decides (strategy).
"""

from collections.abc import Mapping, Sequence

from trading_engine.config.filters import WEEKDAYS, FiltersConfig, interval_ms, minutes_of
from trading_engine.config.model import Config, StrategyConfig
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import interval_name
from trading_engine.strategy import registry
from trading_engine.strategy.api import Strategy
from trading_engine.strategy.evaluate import history_needed
from trading_engine.strategy.filters import (
    Filter,
    RewardRiskFilter,
    SessionFilter,
    TrendFilter,
    VolatilityFilter,
    VolumeFilter,
)

Filters = Mapping[str, tuple[Filter, ...]]


def strategies_of(config: Config, symbols: Sequence[str]) -> Mapping[str, tuple[Strategy, ...]]:
    """The configured strategies by symbol; ConfigInvalid for one that does not exist or is set up wrongly."""
    made = [(item, create(config, item.name, item.settings)) for item in config.strategies]
    return {
        symbol: tuple(strategy for item, strategy in made if item.symbols is None or symbol in item.symbols)
        for symbol in symbols
    }


def create(config: Config, name: str, settings: Mapping[str, object]) -> Strategy:
    """One strategy, built in or of the configured folder; ConfigInvalid as above."""
    if name in registry.BUILT_IN:
        return registry.create(name, settings)
    from trading_engine.runtime import strategy_files  # noqa: PLC0415 - those that are built in need nothing of it

    path = strategy_files.file_of(config.strategy_folder, name)
    if not path.is_file():
        raise ConfigInvalid(
            f"strategy {name!r} does not exist; use one of {', '.join(registry.names())}, or write {path}"
            " (`strategy new` begins it)"
        )
    return strategy_files.create(path, settings)


def filters_of(config: Config, strategies: Mapping[str, Sequence[Strategy]]) -> Filters:
    """By strategy, the filters of its entries; strategies without any are left out.

    ConfigInvalid where a filter looks at a symbol for which there are no candles.
    """
    found: dict[str, tuple[Filter, ...]] = {}
    for index, item in enumerate(config.strategies):
        primary = [
            each.primary_interval_ms for group in strategies.values() for each in group if each.name == item.name
        ]
        if not primary:
            continue
        filters = _filters(item.filters, primary[0])
        _require_candles(f"strategies[{index}].filters", item, strategies)
        if filters:
            found[item.name] = filters
    return found


def shortages(strategies: Mapping[str, Sequence[Strategy]], filters: Filters, span_ms: int) -> list[tuple[str, str]]:
    """Strategies and filters that have nothing to say for want of candles in data of this length: (who, why)."""
    found = []
    for name, strategy in {each.name: each for group in strategies.values() for each in group}.items():
        longest = max(history_needed([strategy]).items(), key=lambda item: item[0] * item[1])
        if longest[0] * longest[1] > span_ms:
            text = f"says nothing before {longest[1]} candles of {interval_name(longest[0])}; the data are shorter"
            found.append((name, text))
    for name, chosen in filters.items():
        for each in chosen:
            if isinstance(each, TrendFilter) and each.period * each.interval_ms > span_ms:
                candles = f"{each.period} candles of {interval_name(each.interval_ms)}"
                text = f"refuses every entry before it has seen {candles}; the data are shorter"
                found.append((f"{name}, filter {each.name}", text))
    return found


def _require_candles(key: str, item: StrategyConfig, strategies: Mapping[str, Sequence[Strategy]]) -> None:
    reference = item.filters.reference
    if reference is not None and reference.symbol not in strategies:
        raise ConfigInvalid(
            f"{key}.reference.symbol = {reference.symbol} has no candles in this run; give --replay"
            f" {reference.symbol}=FILE as well, or set it to null"
        )


def _filters(config: FiltersConfig, primary_ms: int) -> tuple[Filter, ...]:
    """The filters that are switched on, in the order in which the configuration describes them."""
    found: list[Filter] = []
    for trend, symbol in ((config.trend, ""), (config.reference, getattr(config.reference, "symbol", ""))):
        if trend is not None:
            found.append(TrendFilter(interval_ms(trend.interval), trend.period, symbol))
    if (volatility := config.volatility) is not None:
        each_ms = interval_ms(volatility.interval or "") or primary_ms
        most = float(volatility.most)
        found.append(VolatilityFilter(each_ms, volatility.period, volatility.mean_period, most))
    if (volume := config.volume) is not None:
        found.append(VolumeFilter(interval_ms(volume.interval or "") or primary_ms, volume.period, float(volume.least)))
    if (session := config.session) is not None:
        hours = tuple(minutes for text in session.hours if (minutes := minutes_of(text)) is not None)
        found.append(SessionFilter(hours, frozenset(WEEKDAYS.index(day) for day in session.weekdays)))
    if (reward := config.reward_risk) is not None:
        found.append(RewardRiskFilter(float(reward.least)))
    return tuple(found)
