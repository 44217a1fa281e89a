"""When Python looks for objects that hold each other."""

import gc

import pytest

from trading_engine.system.garbage import rare_collection


def test_collection_is_rare_inside_and_as_before_afterwards() -> None:
    """Also where something goes wrong inside."""
    before, inside = gc.get_threshold(), []

    def fail() -> None:
        inside.append(gc.get_threshold())
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"), rare_collection():
        fail()
    assert inside[0] > before
    assert before == gc.get_threshold()
