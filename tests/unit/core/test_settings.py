"""Settings answer the few questions that decisions ask."""

from trading_engine.core.settings import ExitPlan, ExitSettings, PartialStep


def test_a_strategy_without_a_plan_has_no_ladders() -> None:
    """Stop and target only."""
    plan = ExitPlan(partials=(PartialStep(2_000, 300_000),))
    exits = ExitSettings(plans={"trend": plan})
    assert plan == exits.plan("trend")
    assert ExitPlan() == exits.plan("other")
