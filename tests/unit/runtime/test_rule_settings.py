"""The sections of the configuration in the units of the rules."""

import pytest

from trading_engine.config.model import Config
from trading_engine.core.settings import NO_FOLLOW
from trading_engine.rules.exits import Follow, TrailStep
from trading_engine.runtime import rule_settings

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
