"""The life of a position: the table, the whole table, and nothing but the table."""

from itertools import product

import pytest

from trading_engine.domain.lifecycle import MOVES, PositionState, Trigger
from trading_engine.domain.moves import IllegalMove, advance

LEGAL = {(source, trigger): target for trigger, source, target in MOVES}


@pytest.mark.parametrize(("state", "trigger"), list(product(PositionState, Trigger)))
def test_only_the_moves_in_the_table_exist(state: PositionState, trigger: Trigger) -> None:
    """Every pair of state and trigger either moves as the table says or raises."""
    if (state, trigger) in LEGAL:
        assert LEGAL[state, trigger] is advance(state, trigger)
    else:
        with pytest.raises(IllegalMove, match=f"{trigger} is not allowed in {state}"):
            advance(state, trigger)


def test_the_chain_runs_from_signal_to_flat() -> None:
    """A position that trades passes all four states in order."""
    path = [PositionState.PENDING]
    for trigger in (Trigger.FIRST_FILL, Trigger.BEGIN_CLOSE, Trigger.FLAT):
        path.append(advance(path[-1], trigger))
    assert list(PositionState) == path


def test_an_entry_that_dies_unfilled_skips_to_the_end() -> None:
    """The only short cut."""
    assert PositionState.CLOSED is advance(PositionState.PENDING, Trigger.ABANDON)
