"""From configuration to strategies and filters, and what data are too short for."""

from pathlib import Path
from typing import Any

import pytest

from trading_engine.config import Config
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from trading_engine.runtime import strategy_template
from trading_engine.runtime.strategy_setup import filters_of, shortages, strategies_of
from trading_engine.strategy.builtin.momentum import Momentum
from trading_engine.strategy.filters import (
    RewardRiskFilter,
    SessionFilter,
    TrendFilter,
    VolatilityFilter,
    VolumeFilter,
)

SYMBOLS = ("BTCUSDT", "ETHUSDT")


def _config(*strategies: dict[str, Any], **more: Any) -> Config:
    return Config.model_validate({"mode": "paper", "symbols": list(SYMBOLS), "strategies": list(strategies), **more})


def test_each_symbol_has_its_strategies_built_in_or_from_the_folder(tmp_path: Path) -> None:
    """With their settings, in the order of the configuration."""
    strategy_template.write(tmp_path, "mine")
    config = _config(
        {"name": "mine", "settings": {"breakout_bars": 9}},
        {"name": "momentum", "symbols": ["ETHUSDT"], "settings": {"adx_least": 25}},
        strategy_folder=tmp_path,
    )
    found = strategies_of(config, SYMBOLS)
    assert {"BTCUSDT": ["mine"], "ETHUSDT": ["mine", "momentum"]} == {
        symbol: [each.name for each in chosen] for symbol, chosen in found.items()
    }
    assert Momentum(adx_least=25) == found["ETHUSDT"][1]


def test_a_name_without_a_file_lists_the_ways_out(tmp_path: Path) -> None:
    """The built-in names, and the file that would be taken."""
    with pytest.raises(ConfigInvalid) as caught:
        strategies_of(_config({"name": "mine"}, strategy_folder=tmp_path), SYMBOLS)
    assert (
        "strategy 'mine' does not exist; use one of momentum, multi_timeframe_long, rsi_bollinger,"
        f" trend_distance_short, trend_vwap, or write {tmp_path / 'mine.py'} (`strategy new` begins it)"
    ) == str(caught.value)


def test_no_filter_is_on_unless_it_is_named() -> None:
    """A strategy without filters is not in the mapping."""
    config = _config({"name": "momentum", "filters": {"trend": None}}, {"name": "trend_vwap"})
    assert {} == filters_of(config, strategies_of(config, SYMBOLS))


def test_a_filter_named_without_settings_has_its_defaults() -> None:
    """The strategy's own candles where a filter looks at those."""
    names = {"trend": {}, "reference": {}, "volatility": {}, "volume": {}, "reward_risk": {}}
    config = _config({"name": "momentum", "filters": {**names, "session": {"weekdays": ["mon"]}}})
    quarter = 15 * MINUTE_MS
    assert {
        "momentum": (
            TrendFilter(DAY_MS, 200),
            TrendFilter(DAY_MS, 200, "BTCUSDT"),
            VolatilityFilter(quarter, 14, 100, 2.0),
            VolumeFilter(quarter, 20, 0.8),
            SessionFilter((), frozenset({0})),
            RewardRiskFilter(1.5),
        )
    } == filters_of(config, strategies_of(config, SYMBOLS))


def test_settings_of_filters_reach_them() -> None:
    """Intervals in ms, hours in minutes, days by number."""
    filters = {
        "trend": {"interval": "4h", "period": 50},
        "volatility": {"interval": "1h", "period": 7, "mean_period": 30, "most": 3},
        "volume": {"interval": "5m", "period": 10, "least": "0.5"},
        "session": {"hours": ["07:00-20:30", "22:00-24:00"], "weekdays": ["mon", "sun"]},
        "reward_risk": {"least": 2},
    }
    config = _config({"name": "trend_vwap", "filters": filters})
    assert {
        "trend_vwap": (
            TrendFilter(4 * HOUR_MS, 50),
            VolatilityFilter(HOUR_MS, 7, 30, 3.0),
            VolumeFilter(5 * MINUTE_MS, 10, 0.5),
            SessionFilter(((420, 1_230), (1_320, 1_440)), frozenset({0, 6})),
            RewardRiskFilter(2.0),
        )
    } == filters_of(config, strategies_of(config, SYMBOLS))


def test_a_reference_without_candles_is_refused() -> None:
    """It is configured, but this run replays another symbol alone."""
    config = _config({"name": "momentum", "filters": {"reference": {}}})
    with pytest.raises(ConfigInvalid, match=r"filters\.reference\.symbol = BTCUSDT has no candles in this run"):
        filters_of(config, strategies_of(config, ("ETHUSDT",)))


def test_data_too_short_for_a_strategy_or_filter_are_told() -> None:
    """Ten days hold neither the month that momentum needs nor 200 daily candles."""
    config = _config({"name": "momentum"}, {"name": "trend_vwap", "filters": {"trend": {}, "volume": {}}})
    strategies = strategies_of(config, SYMBOLS)
    filters = filters_of(config, strategies)
    assert [
        ("momentum", "says nothing before 2965 candles of 15m; the data are shorter"),
        ("trend_vwap, filter trend", "refuses every entry before it has seen 200 candles of 1d; the data are shorter"),
    ] == shortages(strategies, filters, 10 * DAY_MS)
    assert [] == shortages(strategies, filters, 300 * DAY_MS)
