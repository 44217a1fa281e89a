"""What the venue has executed and paid: fills and funding from one listing, window by window.

What belongs here: reading the listing whole, and giving each execution its client id. What does not: codes, meanings.

The listing names orders by the venue's id only, so client ids are looked up where neither a reply nor the stream has
told them. A fill whose order cannot be named yet makes the whole answer fail: a fill of ours must never pass for
somebody else's.
"""

from collections.abc import Callable

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.time import floor_to
from trading_engine.venues.zoomex import codec, facts, shapes
from trading_engine.venues.zoomex.orders import Orders
from trading_engine.venues.zoomex.rest import Query, Rest
from trading_engine.venues.zoomex.shapes import ExecutionRow

_FUNDING: Query = (("execType", "Funding"),)
_SETTLED_MS = 3_600_000  # a window that ended so long ago does not change any more
_LAG_MS = 120_000  # listings of orders lag behind for up to 20 s; after this an order is not there


class Executions:
    """The executions of one account. Windows that cannot change any more are read once.

    The listing has contracts of every settle asset and does not say which is whose: `settles_in` does.
    """

    def __init__(self, rest: Rest, orders: Orders, account: str, asset: str, settles_in: Callable[[str], str]) -> None:
        self._rest = rest
        self._orders = orders
        self._account = account
        self._asset = asset
        self._settles_in = settles_in
        self._windows: dict[tuple[Query, int], tuple[ExecutionRow, ...]] = {}

    async def fills_since(self, since_ms: int) -> list[Fill]:
        """Every execution that moved a position, oldest first. Raises VenueUnavailable."""
        rows = [row for row in await self._since(since_ms, ()) if not row.is_funding]
        return [self.fill(row, await self._client_order_id(row)) for row in rows]

    async def incomes_since(self, since_ms: int) -> list[Income]:
        """Every funding payment of the settle wallet, oldest first. Raises VenueUnavailable."""
        rows = [row for row in await self._since(since_ms, _FUNDING) if row.is_funding]
        return [paid for row in rows if (paid := self.funding(row)) is not None]

    def fill(self, row: ExecutionRow, client_order_id: str) -> Fill:
        """An execution, its fee in the asset that has paid it."""
        return codec.fill(row, self._account, client_order_id, self._settles_in(row.symbol))

    def funding(self, row: ExecutionRow) -> Income | None:
        """A funding payment; None for one that another wallet has paid or received."""
        if (row.fee_currency or self._settles_in(row.symbol)) != self._asset:
            return None
        return codec.funding(row, self._account, self._asset)

    async def _since(self, since_ms: int, more: Query) -> list[ExecutionRow]:
        """Rows at or after an instant, each once, oldest first."""
        now_ms = self._rest.clock.now_ms()
        since_ms = max(since_ms, now_ms - facts.OLDEST_EXECUTION_MS, 0)
        width_ms = facts.EXECUTION_WINDOW_MS
        found: dict[str, ExecutionRow] = {}
        start_ms = since_ms if since_ms > now_ms - width_ms else floor_to(since_ms, width_ms)
        while start_ms <= now_ms:
            for row in await self._window(start_ms, now_ms, more):
                if row.ts_ms >= since_ms and row.category in (None, "", facts.CATEGORY):
                    found[row.exec_id] = row
            start_ms += width_ms
        return sorted(found.values(), key=lambda row: (row.ts_ms, shapes.instant_ms(row.seq), row.exec_id))

    async def _window(self, start_ms: int, now_ms: int, more: Query) -> tuple[ExecutionRow, ...]:
        known = self._windows.get((more, start_ms))
        if known is not None:
            return known
        end_ms = start_ms + facts.EXECUTION_WINDOW_MS - 1
        # The last window has no end: one told ahead of the venue's clock might be refused, one behind misses fills.
        bounds = (("startTime", start_ms),) if end_ms >= now_ms else (("startTime", start_ms), ("endTime", end_ms))
        query = (("category", facts.CATEGORY), *bounds, *more)
        rows = tuple(await self._rest.rows(facts.EXECUTIONS, query, facts.EXECUTIONS_PER_PAGE, ExecutionRow))
        if end_ms < now_ms - _SETTLED_MS:
            self._windows[more, start_ms] = rows
        return rows

    async def _client_order_id(self, row: ExecutionRow) -> str:
        if row.is_made_by_venue or not row.order_id:
            return ""
        if row.order_link_id:
            return row.order_link_id
        found = await self._orders.by_venue_id(row.symbol, row.order_id)
        if found is None and self._rest.clock.now_ms() - row.ts_ms < _LAG_MS:
            raise VenueUnavailable(f"{facts.NAME} does not show yet whose order {row.order_id} is")
        return found or ""
