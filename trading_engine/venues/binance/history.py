"""Everything that happened since an instant: trades and other money, read in windows and completed with names.

What belongs here: paging and the translation of its rows. What does not: single calls (rest), the stream (events).

The venue answers with at most 1,000 rows of at most 7 days. Trades are paged forward by their numbers, for a full
page holds the oldest rows; where that is not documented, a window whose answer looks full is halved until it is not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.fills import Fill, Income, PnlKind
from trading_engine.venues.binance import limits
from trading_engine.venues.binance.codec import SIDES
from trading_engine.venues.binance.facts import NAME, ORDERS_KEPT_MS, TRADES_KEPT_MS, WINDOW_MS
from trading_engine.venues.binance.names import Names, takeover
from trading_engine.venues.binance.rest import Rest
from trading_engine.venues.binance.shapes import AlgoOrder, IncomeRow, PlainOrder, Trade
from trading_engine.venues.wire.settings import AccountSettings

T = TypeVar("T")
Window = tuple[int, int]

PAGE = 1_000
_FULL_PAGES = frozenset({100, 500, PAGE})  # the venue does not say how many conditional orders it lists at most
_SETTLED_MS = 3_600_000  # nothing older than this appears afterwards
_FEW = 3  # so many unknown orders are asked one by one
_SHORTEST_WINDOW_MS = 1_000

_KINDS = {
    "FUNDING_FEE": PnlKind.FUNDING,
    "SPECIAL_FUNDING_FEE": PnlKind.FUNDING,
    "INSURANCE_CLEAR": PnlKind.LIQUIDATION,
    "TRANSFER": PnlKind.TRANSFER,
    "INTERNAL_TRANSFER": PnlKind.TRANSFER,
    "CROSS_COLLATERAL_TRANSFER": PnlKind.TRANSFER,
    "STRATEGY_UMFUTURES_TRANSFER": PnlKind.TRANSFER,
    "COIN_SWAP_DEPOSIT": PnlKind.TRANSFER,
    "COIN_SWAP_WITHDRAW": PnlKind.TRANSFER,
}
_TOLD_BY_FILLS = frozenset({"REALIZED_PNL", "COMMISSION"})


class History:
    """Reads the past of one account."""

    def __init__(self, rest: Rest, settings: AccountSettings, names: Names) -> None:
        self._rest = rest
        self._settings = settings
        self._names = names
        self._nothing_before: dict[str, int] = {}  # symbol, or empty for incomes: where a read may begin

    async def fills_since(self, since_ms: int) -> Sequence[Fill]:
        """Trades of the traded symbols, oldest first. What others trade elsewhere is told by `incomes_since`."""
        pages = await _together([self._trades(symbol, since_ms) for symbol in self._settings.symbols])
        rows = sorted((row for page in pages for row in page), key=lambda row: (row.time, row.symbol, row.id))
        return [self._fill(row, self._names.of(row.symbol, row.order_id) or "") for row in rows]

    async def _trades(self, symbol: str, since_ms: int) -> list[Trade]:
        page = await self._first_trades(symbol, since_ms)
        rows = list(page)
        while len(page) >= PAGE:
            page = await self._later_trades(symbol, page)
            rows += page
        ours = [row for row in rows if row.symbol == symbol and row.time >= since_ms]  # no rows of coin-margined ones
        await self._learn_names(symbol, {row.order_id for row in ours})
        return ours

    async def _first_trades(self, symbol: str, since_ms: int) -> list[Trade]:
        """The first window that shows anything; what comes after it is paged by number."""
        now_ms = self._rest.clock.now_ms()
        start_ms, reaches_back = self._begin(symbol, since_ms, now_ms)
        while True:
            end_ms = start_ms + WINDOW_MS - 1
            params = (("symbol", symbol), *_span(start_ms, end_ms), ("limit", str(PAGE)))
            page = await self._rest.read(limits.USER_TRADES, params, list[Trade])
            if page and len(page) < PAGE and end_ms < now_ms:
                return page + await self._later_trades(symbol, page)
            if page or end_ms >= now_ms:
                return page
            start_ms = end_ms + 1
            if reaches_back:
                self._nothing_before[symbol] = min(start_ms, now_ms - _SETTLED_MS)

    async def _later_trades(self, symbol: str, page: Sequence[Trade]) -> list[Trade]:
        after = max(row.id for row in page) + 1
        params = (("symbol", symbol), ("fromId", str(after)), ("limit", str(PAGE)))
        return await self._rest.read(limits.USER_TRADES, params, list[Trade])

    def _begin(self, key: str, since_ms: int, now_ms: int) -> tuple[int, bool]:
        """Where a read begins, and whether nothing at all lies before it."""
        first_ms = max(now_ms - TRADES_KEPT_MS, self._nothing_before.get(key, 0))
        return max(since_ms, first_ms), since_ms <= first_ms

    async def _learn_names(self, symbol: str, order_ids: set[int]) -> None:
        """The client ids of orders that are not known yet; an order the venue has forgotten is a stranger's."""
        missing = {order_id for order_id in order_ids if self._names.of(symbol, order_id) is None}
        if len(missing) > _FEW:
            params = (("symbol", symbol), ("orderId", str(min(missing))), ("limit", str(PAGE)))
            for order in await self._rest.read(limits.ALL_ORDERS, params, list[PlainOrder]):
                self._names.learn(order.symbol, order.order_id, order.client_order_id)
        for order_id in sorted(missing):
            if self._names.of(symbol, order_id) is None:
                found = await self._rest.find(
                    limits.ORDER, (("symbol", symbol), ("orderId", str(order_id))), PlainOrder
                )
                self._names.learn(symbol, order_id, "" if found is None else found.client_order_id)

    def _fill(self, row: Trade, client_order_id: str) -> Fill:
        is_liquidation, is_adl = takeover(client_order_id)
        return Fill(
            venue=NAME,
            account=self._settings.account,
            trade_id=trade_id(row.symbol, row.id),
            client_order_id=self._names.ours(client_order_id),
            venue_order_id=str(row.order_id),
            symbol=row.symbol,
            side=SIDES[row.side],
            quantity=row.qty,
            price=row.price,
            fee=row.commission,
            fee_asset=row.commission_asset or self._settings.asset,
            ts_ms=row.time,
            realized_pnl=row.realized_pnl,
            is_maker=row.maker,
            is_liquidation=is_liquidation,
            is_adl=is_adl,
        )

    async def incomes_since(self, since_ms: int) -> Sequence[Income]:
        """Changes of the settle wallet that no fill tells, oldest first; those of another asset's wallet are not ours.

        PnL and fees of symbols that are not traded here have no fills here: they come as adjustments.
        """
        now_ms = self._rest.clock.now_ms()
        start_ms, reaches_back = self._begin("", since_ms, now_ms)
        rows: list[IncomeRow] = []
        while start_ms <= now_ms:
            end_ms = start_ms + WINDOW_MS - 1
            page = await whole(self._income_page, (start_ms, end_ms), lambda count: count >= PAGE)
            rows += page
            start_ms = end_ms + 1
            if reaches_back and not rows:
                self._nothing_before[""] = min(start_ms, now_ms - _SETTLED_MS)
        incomes = {income.key: income for row in rows if (income := self._income(row)) is not None}
        told = [income for income in incomes.values() if income.ts_ms >= since_ms]
        return sorted(told, key=lambda income: income.ts_ms)

    async def _income_page(self, window: Window) -> list[IncomeRow]:
        params = (*_span(*window), ("limit", str(PAGE)))
        return await self._rest.read(limits.INCOME, params, list[IncomeRow])

    def _income(self, row: IncomeRow) -> Income | None:
        symbol = row.symbol or ""
        if row.asset != self._settings.asset:
            return None
        if row.income_type in _TOLD_BY_FILLS and symbol in self._settings.symbols:
            return None
        return Income(
            venue=NAME,
            account=self._settings.account,
            income_id=f"{row.income_type}-{row.tran_id}-{symbol or row.asset}",
            kind=_KINDS.get(row.income_type, PnlKind.ADJUSTMENT),
            symbol=symbol,
            amount=row.income,
            asset=row.asset,
            ts_ms=row.time,
        )

    async def algo_orders(self, symbol: str) -> list[AlgoOrder]:
        """Every conditional order of a symbol that the venue still tells of."""
        now_ms = self._rest.clock.now_ms()
        window = (now_ms - ORDERS_KEPT_MS + _SHORTEST_WINDOW_MS, now_ms + _SHORTEST_WINDOW_MS - 1)

        async def page(part: Window) -> list[AlgoOrder]:
            params = (("symbol", symbol), *_span(*part), ("limit", str(PAGE)))
            return await self._rest.read(limits.ALL_ALGOS, params, list[AlgoOrder])

        return await whole(page, window, lambda count: count in _FULL_PAGES)


def trade_id(symbol: str, number: int) -> str:
    """Trades are numbered for each symbol apart."""
    return f"{symbol}-{number}"


async def whole(
    read: Callable[[Window], Awaitable[list[T]]], window: Window, looks_full: Callable[[int], bool]
) -> list[T]:
    """Every row of a window, both ends included; VenueUnavailable where a second holds more than the venue tells."""
    rows = await read(window)
    if not looks_full(len(rows)):
        return rows
    start_ms, end_ms = window
    if end_ms - start_ms < _SHORTEST_WINDOW_MS:
        raise VenueUnavailable(f"{NAME} has more rows within a second than it tells")
    middle_ms = (start_ms + end_ms) // 2
    earlier = await whole(read, (start_ms, middle_ms), looks_full)
    return earlier + await whole(read, (middle_ms + 1, end_ms), looks_full)


def _span(start_ms: int, end_ms: int) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("startTime", str(start_ms)), ("endTime", str(end_ms))


async def _together(reads: Sequence[Awaitable[T]]) -> list[T]:
    """Reads side by side; the first failure ends the others."""

    async def one(read: Awaitable[T]) -> T:
        return await read

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(read)) for read in reads]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
