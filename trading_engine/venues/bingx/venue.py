"""BingX behind the RemoteVenue port.

What belongs here: what each method of the port asks, and the verdict on the answer. What does not: signing and
limits (rest), shapes (codec), the past (history), the stream (stream), turning requests into parameters (orders).
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from loguru import logger

from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid, VenueRejected, VenueUnavailable
from trading_engine.domain.events import StreamLost
from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.domain.orders import OrderReport, OrderRequest, OrderState
from trading_engine.domain.reports import Accepted, Balance, Outcome, Rejected, Unknown, VenuePosition
from trading_engine.ports import AccountFacts, ClockListener, FeeRates, MarginMode, PositionMode, VenueEvent, VenueSink
from trading_engine.venues.bingx import account, codec, facts, market, orders
from trading_engine.venues.bingx.codec import OneOrder, OrderList, OrderRow, PositionRow
from trading_engine.venues.bingx.facts import Endpoint
from trading_engine.venues.bingx.history import NAME, History, OrderIds
from trading_engine.venues.bingx.rest import Answer, Rest, decoded
from trading_engine.venues.bingx.stream import UserStream
from trading_engine.venues.wire.clock import Milliseconds, VenueClock
from trading_engine.venues.wire.limiter import Limiter
from trading_engine.venues.wire.outcome import Meaning
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.settings import AccountSettings
from trading_engine.venues.wire.transport import Transport

T = TypeVar("T")

_STREAM_PAUSE_S = 1.0
_LISTINGS = 3  # how often what is left after cancelling everything is listed
_LISTING_PAUSE_S = 1.1  # a second cancel of an order within a second is refused for that alone


class BingxVenue:
    """One account on the live or the demo host."""

    name = NAME
    capabilities = facts.CAPABILITIES

    def __init__(self, credentials: Credentials, settings: AccountSettings, clock: Milliseconds) -> None:
        self.account = settings.account
        self._settings = settings
        self._clock = clock
        self._is_hedge = settings.position_mode is PositionMode.HEDGE
        self._transport = Transport()
        self._venue_clock = VenueClock(clock)
        self._limiter = Limiter(facts.pools(), clock)
        self._rest = Rest(
            self._transport,
            settings.hosts.rest_url,
            credentials,
            self._limiter,
            self._venue_clock,
            settings.recv_window_ms,
        )
        self._ids = OrderIds()
        self._history = History(self._rest, self._venue_clock, self._ids, settings.account, settings.asset)
        self._instruments: dict[str, Instrument] = {}
        self._accepted_ms: dict[str, int] = {}
        self._sink: VenueSink | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stream = UserStream(
            self._rest,
            self._transport,
            clock,
            self._ids,
            settings.hosts.private_ws_url,
            self.fills_since,
            self.order,
            self._emit,
            is_hedge=self._is_hedge,
        )

    # ── life ────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """Connect, then start the stream; errors as `connect`."""
        await self.connect()
        self._spawn(self._live())

    async def connect(self) -> None:
        """Measure the clock, check the wallet's asset against the host, read the instruments.

        ConfigInvalid for a key that is refused, for play money on the live host or the reverse, and for a symbol
        that is not listed; VenueUnavailable where the venue cannot be asked.
        """
        account.check_host(self._settings)
        try:
            await self._rest.measure_clock()
            account.check_assets(self._settings, await account.read_balances(self._rest))
            await self._read_instruments()
        except VenueRejected as error:
            raise ConfigInvalid(
                f"account {self.account}: bingx refuses the API key ({error}); check key, secret, permissions and the"
                " key's list of addresses"
            ) from None

    async def close(self) -> None:
        """End the stream and every connection; again has no effect."""
        tasks, self._tasks = list(self._tasks), set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._transport.close()

    def watch_clock(self, listener: ClockListener) -> None:
        """Tell `listener` the last measurement of the clock and every one from now on."""
        self._venue_clock.tell(listener)

    def subscribe(self, sink: VenueSink) -> None:
        """Send user-stream events to `sink` from now on; one that was opened and is not there yet is told as lost."""
        self._sink = sink
        if self._tasks and not self._stream.socket.is_speaking:
            sink(StreamLost(self._clock.now_ms(), "not connected yet"))

    def _emit(self, event: VenueEvent) -> None:
        if self._sink is not None:
            self._sink(event)

    async def renew_stream(self, why: str) -> None:
        """Cut the connection; it is made anew with another key."""
        await self._stream.socket.reconnect(why)

    async def _live(self) -> None:
        while True:
            try:
                await self._stream.run()
            except Exception:  # noqa: BLE001 - a stream that ends for good would look like one where nothing happens
                logger.exception("the user stream of {} has failed; it is begun again", self.account)
                self._emit(StreamLost(self._clock.now_ms(), "an error in the adapter"))
            await asyncio.sleep(_STREAM_PAUSE_S)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def measure_clock(self) -> int:
        """Measure again; what the venue's clock is ahead of ours, in ms."""
        return await _plain(self._rest.measure_clock())

    # ── orders ──────────────────────────────────────────────────────────────

    async def submit(self, request: OrderRequest) -> Outcome:
        """Check locally, send once, classify. The report of an acceptance has the state that the venue names."""
        refusal = orders.refusal_of(request, self._instruments.get(request.symbol), is_hedge=self._is_hedge)
        if refusal is not None:
            return refusal
        params = orders.params_of(request, self._settings.trigger_by, is_hedge=self._is_hedge)
        answer = await self._act(facts.PLACE, params, is_protective=request.reduce_only)
        if not isinstance(answer, Answer):
            return answer
        try:
            row = decoded(answer.data, OneOrder).order
            if row is None or not row.venue_id:
                return Unknown("bingx accepted an order and does not say which")
            report = orders.acknowledged(request, row, self._venue_clock.now_ms())
        except VenueUnavailable as error:
            return Unknown(str(error))
        self._ids.learn(row.venue_id, request.client_order_id)
        self._note_accepted(request.client_order_id)
        return Accepted(report)

    async def cancel(self, symbol: str, client_order_id: str, venue_order_id: str) -> Outcome:
        """Ask for a cancel, by the venue's id where it is known; "no such order" is Rejected("not_open", …)."""
        params = {"symbol": facts.venue_symbol_of(symbol)}
        params |= {"orderId": venue_order_id} if venue_order_id else {"clientOrderId": client_order_id}
        answer = await self._act(facts.CANCEL, params, is_protective=True)
        if isinstance(answer, Rejected) and answer.code in (Meaning.NOT_FOUND, Meaning.NOT_OPEN):
            return Rejected("not_open", answer.reason)
        if not isinstance(answer, Answer):
            return answer
        try:
            row = decoded(answer.data, OneOrder).order
            if row is None:
                return Unknown("bingx accepted a cancel and does not say what became of the order")
            # Of a stop this answer shows the wrong type and no price: only ids, state and fill are believed.
            filled = codec.amount(row.executed_qty)
            state = codec.state_of(row.status, filled, is_conditional=True)
        except VenueUnavailable as error:
            return Unknown(str(error))
        client_id, venue_id = client_order_id or self._client_of(row), venue_order_id or row.venue_id
        return Accepted(OrderReport(client_id, venue_id, symbol, state, filled, self._venue_clock.now_ms()))

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """The order by its client id, by the id it was accepted under, or in the lists; what it became if triggered.

        None only where all of these show nothing. After many orders that were not there only the lists are asked:
        the venue closes the other way to those who ask for what is not there too often.
        """
        return await _plain(self._order(symbol, client_order_id))

    async def _order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        client_order_id = client_order_id.lower()
        row = None
        if self._history.may_find:
            row = await self._history.find(symbol, "clientOrderId", client_order_id)
        venue_id = self._ids.venue_id(client_order_id)
        if row is None and venue_id and self._history.may_find:
            row = await self._history.find(symbol, "orderId", venue_id)
        if row is None:
            row = await self._searched(symbol, client_order_id, venue_id)
        if row is not None:
            return await self._followed(row, client_order_id)
        age_ms = self._clock.now_ms() - self._accepted_ms.get(client_order_id, -facts.DAY_MS)
        if age_ms < facts.VISIBILITY_MS:
            raise VenueUnavailable(f"bingx accepted {client_order_id} {age_ms} ms ago and does not show it yet")
        return None

    async def _searched(self, symbol: str, client_order_id: str, venue_id: str) -> OrderRow | None:
        """The order in the lists of open and past ones, itself or what it became."""
        since_ms = self._venue_clock.now_ms() - facts.ORDERS_KEPT_MS
        rows = [*await self._open_rows(), *await self._history.orders(symbol, since_ms)]
        ours = [row for row in rows if row.client_id == client_order_id or (venue_id and row.venue_id == venue_id)]
        children = [row for row in rows if venue_id and row.parent_id == venue_id]
        return max([*children, *ours], key=lambda row: row.filled, default=None)

    async def _followed(self, row: OrderRow, client_order_id: str) -> OrderReport:
        """The report of an order; of a triggered one with state and fill of the order that it became."""
        report = self._report(row, client_order_id)
        self._ids.learn(row.parent_id or row.venue_id, client_order_id)
        if not row.may_have_triggered:
            return report
        child = await self._history.child_of(row)
        if child is None:
            return report
        return orders.with_fate(report, self._report(child, client_order_id))

    async def open_orders(self) -> Sequence[OrderReport]:
        """Every open order of the account, stops included: the venue has one list."""
        return [self._report(row, self._client_of(row)) for row in await _plain(self._open_rows())]

    async def _open_rows(self) -> Sequence[OrderRow]:
        rows = (await self._rest.read(facts.OPEN_ORDERS, {}, OrderList)).orders or []
        for row in rows:
            self._history.learn(row)
        return rows

    def _client_of(self, row: OrderRow) -> str:
        return self._ids.client_id(row.parent_id) or row.client_id or self._ids.client_id(row.venue_id) or ""

    def _report(self, row: OrderRow, client_order_id: str) -> OrderReport:
        now_ms = self._venue_clock.now_ms()
        return codec.report_of(row, client_order_id, is_hedge=self._is_hedge, now_ms=now_ms)

    def _note_accepted(self, client_order_id: str) -> None:
        now_ms = self._clock.now_ms()
        self._accepted_ms = {
            known: at_ms for known, at_ms in self._accepted_ms.items() if now_ms - at_ms < facts.VISIBILITY_MS
        }
        self._accepted_ms[client_order_id] = now_ms

    async def cancel_all(self, symbol: str) -> Sequence[OrderReport]:
        """Cancel every order of a symbol, those that the common call leaves behind one by one; what is left."""
        await self._act(facts.CANCEL_ALL, {"symbol": facts.venue_symbol_of(symbol)}, is_protective=True)
        left: list[OrderReport] = []
        for attempt in range(_LISTINGS):
            left = [report for report in await self.open_orders() if report.symbol == symbol]
            if not left or attempt == _LISTINGS - 1:
                break
            for report in left:
                await self.cancel(symbol, report.client_order_id, report.venue_order_id)
            await asyncio.sleep(_LISTING_PAUSE_S)
        return left

    # ── account ─────────────────────────────────────────────────────────────

    async def fills_since(self, since_ms: int) -> Sequence[Fill]:
        """Executions at or after an instant, oldest first, with a little overlap; 7 days at most."""
        return await _plain(self._history.fills(since_ms))

    async def incomes_since(self, since_ms: int) -> Sequence[Income]:
        """Funding, transfers and other changes of the wallet, oldest first; 90 days at most."""
        return await _plain(self._history.incomes(since_ms))

    async def positions(self) -> Sequence[VenuePosition]:
        """Every position with a quantity."""
        rows = await _plain(self._rest.read(facts.POSITIONS, {}, list[PositionRow]))
        held = (codec.position_of(row) for row in rows)
        return [position for position in held if position is not None]

    async def balance(self) -> Balance:
        """The wallet in the account's asset."""
        return account.balance_of(self._settings, await _plain(account.read_balances(self._rest)))

    async def account_facts(self) -> AccountFacts:
        """Position mode, permissions where the venue tells them, real or play money."""
        return await _plain(account.read_facts(self._rest, self._settings))

    async def fee_rates(self, symbol: str) -> FeeRates:
        """What the account pays: the same on every symbol."""
        del symbol
        return await _plain(account.read_fee_rates(self._rest))

    async def set_leverage(self, symbol: str, leverage: Decimal) -> Outcome:
        """Set it for both sides; Accepted only where the venue repeats it."""
        if leverage != leverage.to_integral_value():
            return Rejected("leverage", f"bingx takes whole leverages, not {money.text(leverage)}")
        for side in ("LONG", "SHORT") if self._is_hedge else ("BOTH",):
            params = {"symbol": facts.venue_symbol_of(symbol), "side": side, "leverage": money.text(leverage)}
            answer = await self._act(facts.SET_LEVERAGE, params)
            if not isinstance(answer, Answer):
                return answer
            echo = account.leverage_in(answer)
            if echo is None:
                return Unknown("bingx does not repeat the leverage")
            if echo != leverage:
                return Rejected("leverage", f"bingx set {money.text(echo)} where {money.text(leverage)} was asked")
        return self._set(symbol)

    async def set_margin_mode(self, symbol: str, mode: MarginMode) -> Outcome:
        """Set it unless it is so already."""
        wanted = "ISOLATED" if mode is MarginMode.ISOLATED else "CROSSED"
        at = {"symbol": facts.venue_symbol_of(symbol)}
        try:
            if (await self._rest.read(facts.MARGIN_TYPE, at, codec.MarginType)).margin_type.upper() == wanted:
                return self._set(symbol)
        except (VenueUnavailable, VenueRejected) as error:
            logger.debug("the margin mode of {} could not be read first: {}", symbol, error)
        answer = await self._act(facts.SET_MARGIN_TYPE, {**at, "marginType": wanted})
        return self._set(symbol) if isinstance(answer, Answer) else answer

    async def set_position_mode(self, mode: PositionMode) -> Outcome:
        """Set it for the account unless it is so already."""
        wanted = mode is PositionMode.HEDGE
        try:
            if await account.read_is_hedge(self._rest) is wanted:
                return self._set("")
        except (VenueUnavailable, VenueRejected) as error:
            logger.debug("the position mode could not be read first: {}", error)
        answer = await self._act(facts.SET_POSITION_MODE, {"dualSidePosition": str(wanted).lower()})
        return self._set("") if isinstance(answer, Answer) else answer

    def _set(self, symbol: str) -> Accepted:
        return Accepted(OrderReport("", "", symbol, OrderState.ACKED, money.ZERO, self._venue_clock.now_ms()))

    # ── market ──────────────────────────────────────────────────────────────

    async def instruments(self) -> Sequence[Instrument]:
        """Facts of the configured symbols; ConfigInvalid for one that is not listed."""
        return await _plain(self._read_instruments())

    async def _read_instruments(self) -> Sequence[Instrument]:
        found = await market.read_instruments(self._rest, self._settings)
        self._instruments = {instrument.symbol: instrument for instrument in found}
        return found

    async def candles(self, symbol: str, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """Candles closed by the venue's clock that open in [since_ms, until_ms), oldest first."""
        if symbol not in self._instruments:
            await self.instruments()
        if symbol not in self._instruments:
            raise ConfigInvalid(f"symbol {symbol} is not configured on account {self.account}")
        instrument = self._instruments[symbol]
        until_ms = min(until_ms, self._venue_clock.now_ms() - interval_ms + 1)
        return await _plain(market.read_candles(self._rest, instrument, interval_ms, since_ms, until_ms))

    # ── calls ───────────────────────────────────────────────────────────────

    async def _act(
        self, endpoint: Endpoint, params: Mapping[str, str], *, is_protective: bool = False
    ) -> Answer | Rejected | Unknown:
        answer = await self._rest.act(endpoint, params, is_protective=is_protective)
        if self._rest.is_clock_doubtful:
            self._rest.is_clock_doubtful = False
            self._spawn(self._measure_quietly())
        return answer

    async def _measure_quietly(self) -> None:
        try:
            await self._rest.measure_clock()
        except (VenueUnavailable, VenueRejected) as error:
            logger.warning("bingx refused a timestamp, and its clock could not be measured: {}", error)


async def _plain(read: Awaitable[T]) -> T:
    """A read of the port: it fails with VenueUnavailable, also where the venue turns the key down meanwhile."""
    try:
        return await read
    except VenueRejected as error:
        raise VenueUnavailable(f"bingx refuses the key: {error}") from None
