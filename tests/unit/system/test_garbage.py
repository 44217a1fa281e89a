"""When Python looks for objects that hold each other."""

import gc

import pytest

from trading_engine.system.garbage import rare_collection


def test_collection_is_rare_inside_and_as_before_afterwards() -> None:
    """Also where something goes wrong inside."""
    before = gc.get_threshold()
    with pytest.raises(ValueError, match="inside"), rare_collection():
        assert gc.get_threshold() > before
        raise ValueError("inside")
    assert before == gc.get_threshold()
