"""The alerts that wait for delivery.

What belongs here: reading and marking rows of `alert_outbox`; alerts are written by the commit that they
report on. What does not: grouping, formatting and sending (alerts).

Works on the writer's own connection, because it is the only one that may write. No method gives up
control between BEGIN and COMMIT, so none can come into the middle of a commit.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy import Connection, and_, bindparam, select, update

from trading_engine.domain.severity import Severity
from trading_engine.store.tables import alert_outbox

RowT = TypeVar("RowT")

_columns = alert_outbox.c
_PENDING = (
    select(_columns.id, _columns.ts, _columns.severity, _columns.key, _columns.text, _columns.attempts)
    .where(and_(_columns.sent_at.is_(None), _columns.next_try_ms <= bindparam("now_ms")))
    .order_by(_columns.id)
    .limit(bindparam("most"))
)
_SENT = update(alert_outbox).where(_columns.id == bindparam("row_id")).values(sent_at=bindparam("ts_ms"))
_FAILED = (
    update(alert_outbox)
    .where(_columns.id == bindparam("row_id"))
    .values(attempts=_columns.attempts + 1, last_error=bindparam("error"), next_try_ms=bindparam("due_ms"))
)


class AlertOutbox(Generic[RowT]):
    """What the delivery of alerts needs.

    make_row   makes the reader's row of (id, ts_ms, severity, key, text, attempts)
    now_ms     the present instant, to know what is due
    """

    def __init__(
        self,
        connection: Connection,
        make_row: Callable[[int, int, Severity, str, str, int], RowT],
        now_ms: Callable[[], int],
    ) -> None:
        self._connection = connection
        self._make_row = make_row
        self._now_ms = now_ms

    async def pending(self, limit: int) -> Sequence[RowT]:
        """Up to `limit` alerts, oldest first, that are not sent and whose next try is due."""
        with self._connection.begin():
            found = self._connection.execute(_PENDING, {"now_ms": self._now_ms(), "most": limit}).all()
        return [
            self._make_row(row.id, row.ts, Severity(row.severity), row.key, row.text, row.attempts) for row in found
        ]

    async def mark_sent(self, ids: Sequence[int], ts_ms: int) -> None:
        """These alerts are dealt with."""
        if ids:
            with self._connection.begin():
                self._connection.execute(_SENT, [{"row_id": row_id, "ts_ms": ts_ms} for row_id in ids])

    async def mark_failed(self, row_id: int, error: str, next_try_ms: int) -> None:
        """Put an alert off until `next_try_ms`, count the attempt, keep the error."""
        with self._connection.begin():
            self._connection.execute(_FAILED, {"row_id": row_id, "error": error, "due_ms": next_try_ms})
