"""What delivery needs from the store.

What belongs here: the row and the Protocol. What does not: the table (store).
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from trading_engine.domain.severity import Severity


class AlertRow(NamedTuple):
    """An alert that was written in the transaction of what it reports.

    key        what kind of thing it is about; equal keys are repeats, an empty key never is one
    attempts   how often its delivery was put off so far
    """

    id: int
    ts_ms: int
    severity: Severity
    key: str
    text: str
    attempts: int


class OutboxReader(Protocol):
    """The outbox as the worker sees it."""

    async def pending(self, limit: int) -> Sequence[AlertRow]:
        """Up to `limit` rows, oldest first, that are not sent and whose next try is due."""
        ...

    async def mark_sent(self, ids: Sequence[int], ts_ms: int) -> None:
        """These rows are dealt with: sent, or told by a later message of their kind, or wanted by nobody."""
        ...

    async def mark_failed(self, row_id: int, error: str, next_try_ms: int) -> None:
        """Put a row off until `next_try_ms`, count the attempt, keep the error (it holds no secret)."""
        ...
