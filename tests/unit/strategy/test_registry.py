"""Strategies by name."""

import pytest

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy import registry
from trading_engine.strategy.builtin.trend_vwap import TrendVwap


def test_every_name_makes_a_strategy_that_declares_what_it_needs() -> None:
    """Defaults suffice, the primary interval has a window, and the warm-up fills it."""
    known = ("momentum", "multi_timeframe_long", "rsi_bollinger", "trend_distance_short", "trend_vwap")
    assert known == registry.names()
    for name in registry.names():
        strategy = registry.create(name, {})
        assert name == strategy.name
        assert strategy.warm_up >= strategy.intervals[strategy.primary_interval_ms]
        assert all(interval_ms % MINUTE_MS == 0 for interval_ms in strategy.intervals)


def test_settings_reach_the_strategy() -> None:
    """What is given replaces the default, the rest stays."""
    assert TrendVwap(fast=5, shorts=True) == registry.create("trend_vwap", {"fast": 5, "shorts": True})


def test_an_unknown_name_lists_the_known_ones() -> None:
    """The message is the way out of the mistake."""
    with pytest.raises(ConfigInvalid) as caught:
        registry.create("trend", {})
    known = ", ".join(registry.names())
    assert f"strategy 'trend' does not exist; use one of {known}" == str(caught.value)


@pytest.mark.parametrize(
    ("name", "settings", "line"),
    [
        ("trend_vwap", {"fast": 30}, "trend_vwap.fast = 30 is not below slow = 30"),
        ("trend_vwap", {"rsi_low": 70}, "trend_vwap.rsi_low = 70 is not below rsi_high = 65"),
        ("trend_vwap", {"fsat": 5}, "trend_vwap.fsat is not a setting of this strategy (did you mean fast?)"),
        (
            "multi_timeframe_long",
            {"trend_fast": 60},
            "multi_timeframe_long.trend_fast = 60 is not below trend_slow = 50",
        ),
        ("trend_distance_short", {"fast": 200}, "trend_distance_short.fast = 200 is not below slow = 200"),
        ("rsi_bollinger", {"rsi_low": 71}, "rsi_bollinger.rsi_low = 71 is not below rsi_high = 70"),
        ("momentum", {"slow": 12}, "momentum.fast = 12 is not below slow = 12"),
        (
            "multi_timeframe_long",
            {"stop_atr": 0},
            "multi_timeframe_long.stop_atr = 0.0 is not a number from 0.1 to 100 (default 3.0)",
        ),
    ],
)
def test_bad_settings_are_refused_with_one_line(name: str, settings: dict[str, object], line: str) -> None:
    """Single values, relations between values and unknown keys alike."""
    with pytest.raises(ConfigInvalid) as caught:
        registry.create(name, settings)
    assert line == str(caught.value)


def test_both_relations_are_told_at_once() -> None:
    """Two mistakes are two lines."""
    with pytest.raises(ConfigInvalid) as caught:
        registry.create("trend_vwap", {"fast": 40, "rsi_high": 20.0})
    assert 2 == len(str(caught.value).splitlines())
