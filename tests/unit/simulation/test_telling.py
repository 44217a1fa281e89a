"""Records in words: what is worth reading of them."""

from dataclasses import replace
from decimal import Decimal

from builders import make_fill

from trading_engine.domain.control import Level
from trading_engine.domain.orders import OrderState
from trading_engine.domain.records import AlertRaised, ControlChanged, FillApplied, OrderUpdated, StrategySwitched
from trading_engine.domain.severity import Severity
from trading_engine.simulation.scenario import WALL_MS
from trading_engine.simulation.telling import words


def test_values_are_told_in_words_and_instants_since_the_beginning() -> None:
    """What is empty is left out."""
    record = OrderUpdated("teX", OrderState.PARTIAL, Decimal("1.390"), "v7", "", WALL_MS + 480_059)
    assert "order updated teX PARTIAL reported filled 1.39 venue order id v7 updated 480.059 s" == words(record)


def test_what_a_record_holds_is_told_with_it() -> None:
    """Of a fill everything but what is the same of all."""
    fill = replace(make_fill(), ts_ms=WALL_MS)
    told = words(FillApplied(fill, "P000001", Decimal(0), Decimal(0), "2024-12-31"))
    assert "BTCUSDT buy quantity 10 price 100 fee 0 ts 0.000 s" in told
    assert told.endswith("P000001 gross 0 own gross 0 day 2024-12-31")
    assert fill.venue not in told.split()


def test_yes_and_no_are_told_by_name() -> None:
    """And a level by its own."""
    switched = StrategySwitched("trend", is_enabled=False, actor="me", ts_ms=WALL_MS + 1_000)
    assert "strategy switched trend not is enabled actor me ts 1.000 s" == words(switched)
    changed = ControlChanged(Level.LOCKED, "why", "me", WALL_MS)
    assert "control changed LOCKED reason why actor me since 0.000 s" == words(changed)


def test_a_long_record_is_cut() -> None:
    """A line stays a line."""
    assert 261 == len(words(AlertRaised(Severity.INFO, "key", "word " * 100)))
