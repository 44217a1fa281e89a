"""What this process has seen of orders: whose they are, and whether they were at work.

What belongs here: two bounded memories that spare questions and tell a late refusal from an early one. What does not:
anything that must survive a restart: all of it can be asked for again.
"""

from trading_engine.domain.orders import OrderReport, OrderState
from trading_engine.venues.zoomex import codec, shapes

_MOST = 20_000
_AT_WORK = frozenset({OrderState.ACKED, OrderState.PARTIAL})


class Seen:
    """The orders that replies, listings and the stream have named."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._stood: dict[str, None] = {}

    def learn(self, venue_order_id: str, client_order_id: str) -> None:
        """An order of the venue has this client id, empty for none."""
        if not self._names.get(venue_order_id):
            self._names[venue_order_id] = client_order_id
        while len(self._names) > _MOST:
            del self._names[next(iter(self._names))]

    def client_order_id(self, venue_order_id: str) -> str | None:
        """The client id of an order, empty where it has none, None where nothing is known."""
        return self._names.get(venue_order_id)

    def report(self, row: shapes.OrderRow) -> OrderReport:
        """What a row says, remembered."""
        if row.order_link_id is not None:
            self.learn(row.order_id, row.order_link_id)
        report = codec.order_report(row, has_stood=row.order_id in self._stood)
        if report.state in _AT_WORK:
            self._stood[row.order_id] = None
            while len(self._stood) > _MOST:
                del self._stood[next(iter(self._stood))]
        return report
