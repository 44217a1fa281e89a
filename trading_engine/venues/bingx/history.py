"""What has happened on an account: executions, incomes, past orders, and whose they were.

What belongs here: paging through windows of time, finding the client id behind an order of the venue. What does
not: one order by its client id (venue), what is open now (venue).

The history of executions names orders of the venue only, and a triggered stop fills as another order. So ids that
this process does not know are asked for, order by order, up to the order that triggered it.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from trading_engine.domain.errors import RateLimited, VenueUnavailable
from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.ids import parse_client_order_id
from trading_engine.venues.bingx import codec, errors, facts
from trading_engine.venues.bingx.codec import FillList, FillRow, IncomeRow, OneOrder, OrderList, OrderRow
from trading_engine.venues.bingx.rest import Rest, decoded
from trading_engine.venues.wire.clock import VenueClock
from trading_engine.venues.wire.outcome import Meaning

R = TypeVar("R")
Page = Callable[[int, int], Awaitable[Sequence[R]]]

NAME = "bingx"
_MOST_IDS = 50_000
_AHEAD_MS = 1_000  # the end of a window lies a little ahead: clocks differ
_MARGIN_MS = 60_000  # what is kept so long is asked for a little less
_FEW = 2  # orders that are asked for one by one rather than in a list
_ORDER_LIFE_MS = facts.DAY_MS  # how much older than its fill an order is, mostly


class OrderIds:
    """Which order of the venue has which client id, as far as this process knows; "" for a stranger's."""

    def __init__(self) -> None:
        self._clients: dict[str, str] = {}
        self._venues: dict[str, str] = {}

    def learn(self, venue_id: str, client_id: str) -> None:
        """Keep what was told; an id is never taken away from an order again."""
        if not venue_id or (not client_id and venue_id in self._clients):
            return
        self._clients[venue_id] = client_id
        if client_id:
            self._venues.setdefault(client_id, venue_id)  # the first one: a triggered stop has another, later
        for known in (self._clients, self._venues):
            if len(known) > _MOST_IDS:
                del known[next(iter(known))]

    def client_id(self, venue_id: str) -> str | None:
        """The client id, "" for a stranger's order, None where it is not known."""
        return self._clients.get(venue_id)

    def venue_id(self, client_id: str) -> str:
        """The order that was accepted under a client id, "" where none is known."""
        return self._venues.get(client_id, "")


class History:
    """The past of one account."""

    def __init__(self, rest: Rest, clock: VenueClock, ids: OrderIds, account: str, asset: str) -> None:
        self._rest = rest
        self._clock = clock
        self._ids = ids
        self._account = account
        self._asset = asset
        self._forced: dict[str, str] = {}
        self._not_found_ms: deque[int] = deque()

    # ── orders ──────────────────────────────────────────────────────────────

    async def find(self, symbol: str, name: str, value: str) -> OrderRow | None:
        """The order with an id (`name` says which), None where the venue says that it has none."""
        params = {"symbol": facts.venue_symbol_of(symbol), name: value}
        answer = await self._rest.ask(facts.ORDER, params)
        if not answer.is_success:
            if answer.meaning is Meaning.NOT_FOUND:
                self._not_found_ms.append(self._clock.now_ms())
                return None
            raise errors.TABLE.failure(answer.key, answer.text)
        row = decoded(answer.data, OneOrder).order
        if row is not None:
            self.learn(row)
        return row

    @property
    def may_find(self) -> bool:
        """Whether another question about an order that is not there would still be answered, not punished."""
        oldest_ms = self._clock.now_ms() - facts.ERRORS_KEPT_MS
        while self._not_found_ms and self._not_found_ms[0] < oldest_ms:
            self._not_found_ms.popleft()
        return len(self._not_found_ms) < facts.MOST_NOT_FOUND

    async def orders(self, symbol: str, since_ms: int) -> Sequence[OrderRow]:
        """The orders of a symbol, open and finished, as far back as the venue shows them and `since_ms` asks."""

        async def page(begin_ms: int, end_ms: int) -> Sequence[OrderRow]:
            params = {
                "symbol": facts.venue_symbol_of(symbol),
                "startTime": str(begin_ms - 1),
                "endTime": str(end_ms + 1),
                "limit": str(facts.MOST_ROWS),
            }
            return (await self._rest.read(facts.ORDER_HISTORY, params, OrderList)).orders or []

        until_ms = self._clock.now_ms() + _AHEAD_MS
        begin_ms = max(since_ms, until_ms - facts.ORDERS_KEPT_MS + _MARGIN_MS)
        rows = await _split(page, begin_ms, until_ms, facts.MOST_ROWS)
        for row in rows:
            self.learn(row)
        return list({row.venue_id: row for row in rows}.values())

    async def child_of(self, parent: OrderRow) -> OrderRow | None:
        """The order that a triggered one became; None where the venue shows none."""
        since_ms = codec.instant_ms(parent.time) - _MARGIN_MS
        children = [
            row
            for row in await self.orders(facts.symbol_of(parent.symbol), since_ms)
            if row.parent_id == parent.venue_id
        ]
        return max(children, key=lambda row: row.filled, default=None)

    def learn(self, row: OrderRow) -> None:
        """Remember whose an order is, where the row says so: by its own id or by the order that triggered it.

        An empty id proves nothing here: some lists leave it out.
        """
        client_id = self._ids.client_id(row.parent_id) or row.client_id
        if client_id:
            self._ids.learn(row.venue_id, client_id)

    async def client_id_of(self, symbol: str, venue_id: str, ts_ms: int) -> str:
        """Whose an order is that was filled at an instant, "" for a stranger's.

        VenueUnavailable where the order is so young that the venue may not show it yet.
        """
        known = self._ids.client_id(venue_id)
        if known is not None:
            return known
        row = await self.find(symbol, "orderId", venue_id)
        if row is None and self._clock.now_ms() - ts_ms < facts.VISIBILITY_MS:
            raise VenueUnavailable(f"bingx does not show order {venue_id} of a new execution yet")
        client_id = "" if row is None else row.client_id
        if row is not None and row.parent_id:
            client_id = await self.client_id_of(symbol, row.parent_id, ts_ms) or client_id
        if row is not None and row.type.upper() == "LIQUIDATION":
            self._forced[venue_id] = "LIQUIDATION"
        self._ids.learn(venue_id, client_id)
        return client_id

    # ── executions ──────────────────────────────────────────────────────────

    async def fills(self, since_ms: int) -> Sequence[Fill]:
        """Executions on all symbols since an instant, or a second earlier; oldest first; 7 days at most."""
        until_ms = self._clock.now_ms() + _AHEAD_MS
        begin_ms = max(since_ms // 1000 * 1000 - 1, until_ms - facts.FILLS_KEPT_MS + _MARGIN_MS)
        rows = sorted(await self._fill_rows(begin_ms, until_ms), key=lambda row: (row.ts_ms, row.key))
        await self._resolve(rows)
        clients = {
            row.key: await self.client_id_of(facts.symbol_of(row.symbol), codec.id_text(row.order_id), row.ts_ms)
            for row in rows
        }
        await self._find_forced([row for row in rows if parse_client_order_id(clients[row.key]) is None])
        return [self._fill(row, clients[row.key]) for row in rows]

    async def _fill_rows(self, begin_ms: int, until_ms: int) -> Iterable[FillRow]:
        found: dict[str, FillRow] = {}
        index = 0
        while True:
            index += 1
            params = {
                "startTs": str(begin_ms),
                "endTs": str(until_ms),
                "pageIndex": str(index),
                "pageSize": str(facts.MOST_ROWS),
            }
            page = await self._rest.read(facts.FILL_HISTORY, params, FillList)
            rows, before = page.fill_history_orders or [], len(found)
            found |= {row.key: row for row in rows}
            total = codec.number(page.total)
            is_told_whole = total is not None and len(found) >= total and len(rows) < facts.MOST_ROWS
            # Where the total is not told, pages are read until one brings nothing new: they may be shorter than asked.
            if len(found) == before or is_told_whole:
                return found.values()

    async def _resolve(self, rows: Sequence[FillRow]) -> None:
        """Learn many unknown orders of a symbol from its list rather than one by one."""
        unknown: dict[str, dict[str, int]] = {}
        for row in rows:
            venue_id = codec.id_text(row.order_id)
            if self._ids.client_id(venue_id) is None:
                unknown.setdefault(facts.symbol_of(row.symbol), {}).setdefault(venue_id, row.ts_ms)
        for symbol, orders in unknown.items():
            if len(orders) > _FEW:
                await self.orders(symbol, min(orders.values()) - _ORDER_LIFE_MS)

    async def _find_forced(self, rows: Sequence[FillRow]) -> None:
        """Learn which of the strangers' fills were liquidations or deleveraging."""
        ids = {codec.id_text(row.order_id) for row in rows} - set(self._forced)
        if not ids:
            return
        begin_ms = min(row.ts_ms for row in rows) - _MARGIN_MS
        for kind in ("LIQUIDATION", "ADL"):
            forced = await _split(self._forced_page(kind), begin_ms, self._clock.now_ms(), facts.MOST_FORCED_ROWS)
            self._forced |= {row.venue_id: kind for row in forced}
        self._forced |= {venue_id: "" for venue_id in ids if venue_id not in self._forced}

    def _forced_page(self, kind: str) -> Page[OrderRow]:
        async def page(begin_ms: int, end_ms: int) -> Sequence[OrderRow]:
            params = {
                "autoCloseType": kind,
                "startTime": str(begin_ms - 1),
                "endTime": str(end_ms + 1),
                "limit": str(facts.MOST_FORCED_ROWS),
            }
            answer = await self._rest.ask(facts.FORCED_ORDERS, params)
            if answer.meaning is Meaning.BUSY and not answer.is_success:
                raise RateLimited(f"bingx answered {answer.key}", 1_000)
            # Refused, it tells nothing: a forced close is then booked like a person's.
            return (decoded(answer.data, OrderList).orders or []) if answer.is_success else []

        return page

    def _fill(self, row: FillRow, client_id: str) -> Fill:
        venue_id = codec.id_text(row.order_id)
        quantity = codec.number(row.qty)
        return Fill(
            venue=NAME,
            account=self._account,
            trade_id=row.key,
            client_order_id=client_id,
            venue_order_id=venue_id,
            symbol=facts.symbol_of(row.symbol),
            side=codec.trade_side(row.side),
            quantity=codec.needed(row.volume, "an execution's quantity") if quantity is None else quantity,
            price=codec.needed(row.price, "an execution's price"),
            fee=-codec.needed(row.commission, "an execution's commission"),
            fee_asset=self._asset_of(row.commission_asset),
            ts_ms=row.ts_ms,
            is_maker=(row.role or "").lower() == "maker",
            is_liquidation=self._forced.get(venue_id) == "LIQUIDATION",
            is_adl=self._forced.get(venue_id) == "ADL",
        )

    # ── incomes ─────────────────────────────────────────────────────────────

    async def incomes(self, since_ms: int) -> Sequence[Income]:
        """Changes of the wallet that executions do not tell, oldest first; 90 days at most."""
        until_ms = self._clock.now_ms() + _AHEAD_MS
        begin_ms = max(since_ms, until_ms - facts.INCOMES_KEPT_MS + _MARGIN_MS)
        begins = range(begin_ms, until_ms, facts.WINDOW_MS)
        windows = [(begin, min(begin + facts.WINDOW_MS, until_ms)) for begin in begins]
        found: dict[str, IncomeRow] = {}
        for named in await asyncio.gather(
            *(_split(self._income_page, begin, end, facts.MOST_ROWS) for begin, end in windows)
        ):
            found |= dict(named)
        incomes = [self._income(key, row) for key, row in found.items() if row.time >= since_ms]
        return sorted((income for income in incomes if income is not None), key=lambda item: (item.ts_ms, item.key))

    async def _income_page(self, begin_ms: int, end_ms: int) -> Sequence[tuple[str, IncomeRow]]:
        params = {"startTime": str(begin_ms - 1), "endTime": str(end_ms + 1), "limit": str(facts.MOST_ROWS)}
        answer = await self._rest.ask(facts.INCOME, params)
        if not answer.is_success:
            raise errors.TABLE.failure(answer.key, answer.text)
        return _named([] if answer.data == b"null" else decoded(answer.data, list[IncomeRow]))

    def _income(self, key: str, row: IncomeRow) -> Income | None:
        kind, asset = codec.income_kind(row.income_type), self._asset_of(row.asset)
        if kind is None or asset != self._asset:
            return None
        return Income(
            venue=NAME,
            account=self._account,
            income_id=key,
            kind=kind,
            symbol=facts.symbol_of(row.symbol or ""),
            amount=codec.needed(row.income, "an income's amount"),
            asset=asset,
            ts_ms=row.time,
        )

    def _asset_of(self, told: str | None) -> str:
        """The asset a row names; on the demo host everything is the play money, however it is spelled."""
        if not told or (self._asset == facts.DEMO_ASSET and told == "USDT"):
            return self._asset
        return told


def _named(rows: Sequence[IncomeRow]) -> Sequence[tuple[str, IncomeRow]]:
    """Rows with an id that tells equal rows of one instant apart; such rows always come on one page."""
    counts: Counter[str] = Counter()
    named = []
    for row in rows:
        counts[row.key] += 1
        named.append((f"{row.key}-{counts[row.key]}" if counts[row.key] > 1 else row.key, row))
    return named


async def _split(page: Page[R], begin_ms: int, end_ms: int, most: int) -> Sequence[R]:
    """All rows of a window: one that comes back full is read again in halves, whichever end the venue has kept."""
    rows = await page(begin_ms, end_ms)
    if len(rows) < most:
        return rows
    if end_ms - begin_ms <= 1:
        raise VenueUnavailable(f"bingx shows no more than {most} rows of one instant")
    middle_ms = (begin_ms + end_ms) // 2
    earlier = await _split(page, begin_ms, middle_ms, most)
    return [*earlier, *await _split(page, middle_ms, end_ms, most)]
