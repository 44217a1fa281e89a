"""What a table says of a row, where that takes a judgement."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from trading_engine.cli import tables
from trading_engine.domain.lifecycle import PositionState

MINUTE = 60_000


@pytest.mark.parametrize(("compared_ms", "seen"), [(0, "00:05:00"), (4 * MINUTE, "00:05:00"), (9 * MINUTE, "00:09:00")])
def test_a_stop_is_not_seen_before_its_position_was_there(compared_ms: int, seen: str) -> None:
    """While no engine runs: when the account was compared, or when the entry filled, whatever is later."""
    position = SimpleNamespace(state=PositionState.OPEN, opened_ms=5 * MINUTE)
    view: Any = SimpleNamespace(position=position, is_stop_confirmed=True)
    overview: Any = SimpleNamespace(is_seen=False, checkpoint=SimpleNamespace(reconciled_ms=compared_ms))
    assert f"stop last seen 1970-01-01 {seen}" == str(cast(Any, tables._protection(view, overview)).text)
