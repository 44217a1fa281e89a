"""The sections of the configuration in the units of the rules."""

from dataclasses import replace

import pytest

from trading_engine.config.model import Config
from trading_engine.core.settings import NO_FOLLOW, GroupLimit, LimitSettings, SizingSettings
from trading_engine.rules.exits import Follow, TrailStep
from trading_engine.rules.scaling import Method
from trading_engine.runtime import rule_settings
from trading_engine.strategy.levels import Levels

LADDER = (TrailStep(3_000, 1_000), TrailStep(5_000, 3_000))


def config(trailing: bool | None = None, name: str = "trend_vwap", **sections: object) -> Config:
    """One strategy with this word on trailing."""
    base = {"mode": "paper", "symbols": ["BTCUSDT"], "strategies": [{"name": name, "trailing": trailing}]}
    return Config.model_validate({**base, **sections})


# Exits


@pytest.mark.parametrize(
    ("name", "trailing", "ladder"),
    [
        ("trend_vwap", None, ()),
        ("multi_timeframe_long", None, LADDER),
        ("trend_vwap", True, LADDER),
        ("multi_timeframe_long", False, ()),
    ],
)
def test_by_default_only_the_ladder_moves_a_stop(name: str, trailing: bool | None, ladder: tuple[TrailStep]) -> None:
    """By the strategy's habit or its configuration's word; nothing follows the close."""
    given = config(trailing, name)
    plan = rule_settings.exits(given).plan(name)
    assert (ladder, NO_FOLLOW) == (plan.trailing, plan.follow)
    assert {} == rule_settings.atr_periods(given)


@pytest.mark.parametrize(
    ("trailing", "ladder", "is_followed"),
    [(None, (TrailStep(1_500, 0),), True), (True, (*LADDER, TrailStep(1_500, 0)), True), (False, (), False)],
)
def test_what_follows_the_price_holds_for_all_that_may_trail(
    trailing: bool | None, ladder: tuple[TrailStep, ...], is_followed: bool
) -> None:
    """Break-even is a step of the ladder; a strategy that is not to trail keeps its stop."""
    exits = {"break_even_at_r": 1.5, "trail_pct": 0.8, "trail_atr": 2.5, "trail_from_r": 1, "atr_period": 20}
    given = config(trailing, exits=exits)
    plan = rule_settings.exits(given).plan("trend_vwap")
    expected = Follow(8_000, 2_500, 0, 1_000) if is_followed else NO_FOLLOW
    assert (ladder, expected) == (plan.trailing, plan.follow)
    assert ({"trend_vwap": 20} if is_followed else {}) == rule_settings.atr_periods(given)


@pytest.mark.parametrize(("word", "expected"), [("alert", (False, 0)), ("tighten", (False, 500)), ("close", (True, 0))])
def test_age_alerts_tightens_or_closes(word: str, expected: tuple[bool, int]) -> None:
    """One of the three."""
    made = rule_settings.exits(config(exits={"on_max_age": word}))
    assert expected == (made.close_on_max_age, made.tighten_milli)


# Sizing


def test_by_default_half_a_percent_is_at_risk_and_nothing_scales() -> None:
    """As if the methods were not there."""
    assert SizingSettings() == rule_settings.sizing(config())
    assert not rule_settings.sizing(config()).asks_record


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"method": "fixed_money", "money": 250}, {"method": Method.FIXED_MONEY, "money_e8": 250 * 10**8}),
        ({"method": "volatility", "volatility_pct": 0.5}, {"method": Method.VOLATILITY, "volatility_ppm": 5_000}),
        ({"method": "kelly", "kelly_trades": 50}, {"method": Method.KELLY, "kelly_trades": 50}),
        ({"ladder_pct": [25, 35, 40]}, {"ladder": (250_000, 350_000, 400_000)}),
        ({"win_streak": True}, {"win_step_milli": 1_250, "win_most_milli": 2_000}),
    ],
)
def test_a_method_comes_with_its_numbers(section: dict[str, object], expected: dict[str, object]) -> None:
    """In the units of the rules."""
    assert replace(SizingSettings(), **expected) == rule_settings.sizing(config(sizing=section))  # type: ignore[arg-type]


def test_sizes_may_be_halved_after_a_pause() -> None:
    """By a key of the limits, because the pause is one."""
    made = rule_settings.sizing(config(risk={"half_size_after_streak": True}))
    assert (500, True) == (made.recovery_milli, made.asks_record)


def test_sizing_by_volatility_asks_for_ranges() -> None:
    """Also of a strategy whose stop is never moved."""
    given = config(trailing=False, sizing={"method": "volatility", "volatility_pct": 1})
    assert {"trend_vwap": 14} == rule_settings.atr_periods(given)


def test_a_losing_streak_may_pause_until_resumed() -> None:
    """Zero hours are no pause that ends by itself."""
    assert 0 == rule_settings.limits(config(risk={"streak_pause_hours": 0})).streak_pause_ms


# Limits


def test_by_default_the_limits_are_those_of_the_core() -> None:
    """One set of defaults, written twice."""
    assert LimitSettings() == rule_settings.limits(config())


def test_groups_of_symbols_come_with_their_bound() -> None:
    """Twenty per cent where none is given."""
    groups = {"majors": {"symbols": ["BTCUSDT"]}, "all": {"symbols": ["BTCUSDT"], "max_pct": 35}}
    assert (
        GroupLimit("majors", frozenset({"BTCUSDT"}), 200_000),
        GroupLimit("all", frozenset({"BTCUSDT"}), 350_000),
    ) == rule_settings.limits(config(risk={"groups": groups})).groups


# Stop and target


@pytest.mark.parametrize(
    ("stop", "target", "expected", "asks"),
    [
        ({"percent": 0.8}, {"r": 3}, Levels(stop_percent=0.8, target_r=3), False),
        ({"atr": 2}, {"atr": 6}, Levels(stop_atr=2, target_atr=6), True),
        (None, {"percent": 2.5}, Levels(target_percent=2.5), False),
    ],
)
def test_stop_and_target_may_be_put_elsewhere(
    stop: dict[str, float] | None, target: dict[str, float], expected: Levels, asks: bool
) -> None:
    """In the strategy's place; one that counts in ranges has them measured."""
    given = config(strategies=[{"name": "trend_vwap", "stop": stop, "target": target}])
    assert {"trend_vwap": expected} == rule_settings.levels(given)
    assert ({"trend_vwap": 14} if asks else {}) == rule_settings.atr_periods(given)


def test_by_default_a_strategy_says_itself_where_its_stop_lies() -> None:
    """Nothing is put anywhere."""
    assert {} == rule_settings.levels(config())
