"""Whose an order is, and what it is called: rows of trades carry the venue's number only.

What belongs here: the memory of names for one process, bounded. What does not: asking the venue (history, venue).
"""

from collections import OrderedDict

from trading_engine.domain.ids import Purpose, is_emergency_order_id, parse_client_order_id

MOST = 50_000
_LIQUIDATION, _ADL = "autoclose-", "adl_autoclose"


class Names:
    """What was learned from answers and the stream."""

    def __init__(self) -> None:
        self._client_ids: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._is_conditional: OrderedDict[str, bool] = OrderedDict()

    def made(self, client_order_id: str, *, is_conditional: bool) -> None:
        """An order of ours is about to be sent to one of the two spaces."""
        self._is_conditional[client_order_id] = is_conditional
        if len(self._is_conditional) > MOST:
            self._is_conditional.popitem(last=False)

    def learn(self, symbol: str, order_id: int, client_order_id: str) -> None:
        """The venue has named the client id of a plain order."""
        self._client_ids[symbol, order_id] = client_order_id
        if len(self._client_ids) > MOST:
            self._client_ids.popitem(last=False)

    def of(self, symbol: str, order_id: int) -> str | None:
        """The client id of a plain order as the venue has it, None where it is not known."""
        return self._client_ids.get((symbol, order_id))

    def ours(self, client_order_id: str) -> str:
        """The id where it is one of ours, empty for everybody else's."""
        is_ours = (
            client_order_id in self._is_conditional
            or parse_client_order_id(client_order_id) is not None
            or is_emergency_order_id(client_order_id)
        )
        return client_order_id if is_ours else ""

    def may_be_conditional(self, client_order_id: str) -> bool | None:
        """Whether an order lives in the space of conditional orders, first of all; None where nothing hints at it."""
        known = self._is_conditional.get(client_order_id)
        if known is not None:
            return known
        key = parse_client_order_id(client_order_id)
        return True if key is not None and key.purpose in (Purpose.STOP, Purpose.TARGET) else None


def takeover(client_order_id: str) -> tuple[bool, bool]:
    """Whether an order is the venue's own liquidation, and whether it is an auto-deleveraging."""
    return client_order_id.startswith(_LIQUIDATION), client_order_id.startswith(_ADL)
