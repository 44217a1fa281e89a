"""Zoomex behind the port of a venue over a network.

What belongs here: the port, put together from its parts, and stream rows as events. What does not: any of the parts'
work (orders, executions, account, market, stream).
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from loguru import logger

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.events import FillSeen, IncomeSeen, OrderReported, StreamLost, StreamRestored
from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.domain.orders import OrderReport, OrderRequest
from trading_engine.domain.reports import Accepted, Balance, Outcome, VenuePosition
from trading_engine.ports import AccountFacts, ClockListener, FeeRates, MarginMode, PositionMode, VenueEvent, VenueSink
from trading_engine.venues.wire.clock import Milliseconds
from trading_engine.venues.wire.outcome import Meaning
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.settings import AccountSettings
from trading_engine.venues.wire.transport import Transport
from trading_engine.venues.zoomex import facts, shapes
from trading_engine.venues.zoomex.account import AccountSide
from trading_engine.venues.zoomex.executions import Executions
from trading_engine.venues.zoomex.market import Market
from trading_engine.venues.zoomex.orders import Orders
from trading_engine.venues.zoomex.rest import Declined, Rest
from trading_engine.venues.zoomex.seen import Seen
from trading_engine.venues.zoomex.stream import Stream


class ZoomexVenue:
    """One account at Zoomex, linear perpetuals. Errors as the port says."""

    name = facts.NAME
    capabilities = facts.CAPABILITIES

    def __init__(self, credentials: Credentials, settings: AccountSettings, clock: Milliseconds) -> None:
        self.account = settings.account
        self._settings = settings
        self._clock = clock
        self._transport = Transport()
        self._rest = Rest(credentials, settings, clock, self._transport)
        self._seen = Seen()
        self._market = Market(self._rest, settings)
        self._orders = Orders(self._rest, settings, self._seen)
        self._executions = Executions(
            self._rest, self._orders, settings.account, settings.asset, self._market.settles_in
        )
        self._account = AccountSide(self._rest, settings)
        self._stream = Stream(
            settings.hosts.private_ws_url + facts.PRIVATE_STREAM_PATH,
            credentials,
            self._transport,
            clock,
            self._rest.clock,
            self._on_order,
            self._on_execution,
            self._on_lost,
            self._on_restored,
        )
        self._task: asyncio.Task[None] | None = None
        self._sink: VenueSink | None = None

    # ── opening and closing ─────────────────────────────────────────────────

    async def connect(self) -> None:
        """Measure the clock, read instruments and wallet.

        VenueUnavailable where the venue cannot be reached, ConfigInvalid where it refuses the key or a symbol.
        """
        try:
            await self.measure_clock()
            await self.instruments()
            await self.balance()  # a key that does not work is told here, and the account's generation is known
        except Declined as error:
            if error.meaning is not Meaning.KEY:
                raise
            raise ConfigInvalid(
                f"account {self.account}: zoomex refuses the API key ({error}); check key, secret, permissions and"
                " the key's list of addresses"
            ) from None

    async def open(self) -> None:
        """Connect, then start the stream; errors as `connect`."""
        await self.connect()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._stream.run(), name="zoomex:stream")
            self._task.add_done_callback(self._on_stream_end)

    async def close(self) -> None:
        """End the stream and the connections; again has no effect."""
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._transport.close()

    async def measure_clock(self) -> int:
        """What the venue's clock is ahead of ours, in ms."""
        return await self._rest.measure_clock()

    def watch_clock(self, listener: ClockListener) -> None:
        """Tell `listener` the last measurement of the clock and every one from now on."""
        self._rest.clock.tell(listener)

    # ── the stream ──────────────────────────────────────────────────────────

    def subscribe(self, sink: VenueSink) -> None:
        """Send user-stream events to `sink` from now on; one that was opened and is not there yet is told as lost."""
        self._sink = sink
        if self._task is not None and not self._stream.is_speaking:
            sink(StreamLost(self._clock.now_ms(), "not connected yet"))

    async def renew_stream(self, why: str) -> None:
        """Cut the connection; it is made anew, with key and subscriptions."""
        await self._stream.renew(why)

    def _tell(self, event: VenueEvent) -> None:
        if self._sink is not None:
            self._sink(event)

    def _on_order(self, row: shapes.OrderRow) -> None:
        report = self._seen.report(row)
        self._orders.notice(report)
        self._tell(OrderReported(self._clock.now_ms(), report))

    def _on_execution(self, row: shapes.ExecutionRow) -> None:
        now_ms = self._clock.now_ms()
        if row.is_funding:
            paid = self._executions.funding(row)
            if paid is not None:
                self._tell(IncomeSeen(now_ms, paid))
            return
        name = row.order_link_id or self._seen.client_order_id(row.order_id or "")
        name = "" if row.is_made_by_venue else row.order_link_id if name is None else name
        if name is None:
            # Whose it is must be asked for: as if the stream had been away, so that the account is read.
            self._tell(StreamLost(now_ms, "an execution came without the name of its order"))
            self._tell(StreamRestored(now_ms))
            return
        self._tell(FillSeen(now_ms, self._executions.fill(row, name)))

    def _on_lost(self, why: str) -> None:
        self._orders.is_streaming = False
        self._tell(StreamLost(self._clock.now_ms(), why))

    def _on_restored(self) -> None:
        self._orders.is_streaming = True
        self._tell(StreamRestored(self._clock.now_ms()))

    def _on_stream_end(self, task: asyncio.Task[None]) -> None:
        """A stream that ends by itself is a bug; that nothing is told any more must be told."""
        if task.cancelled():
            return
        self._task = None
        logger.error("the stream of {} has ended: {}", facts.NAME, type(task.exception()).__name__)
        self._on_lost("the stream has ended")

    # ── orders ──────────────────────────────────────────────────────────────

    async def submit(self, request: OrderRequest) -> Outcome:
        """Send once, and answer when the order was seen at the venue; Unknown where it was not in a moment."""
        return await self._orders.submit(request)

    async def cancel(self, symbol: str, client_order_id: str, venue_order_id: str) -> Outcome:
        """Ask for a cancel; Accepted says that the request was taken."""
        return await self._orders.cancel(symbol, client_order_id, venue_order_id)

    async def cancel_all(self, symbol: str) -> Sequence[OrderReport]:
        """Cancel every order of a symbol; what is still open."""
        return await self._orders.cancel_all(symbol)

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """The order in any state."""
        return await self._orders.order(symbol, client_order_id)

    async def open_orders(self) -> Sequence[OrderReport]:
        """Every open order of the account."""
        return await self._orders.open_orders()

    # ── what happened ───────────────────────────────────────────────────────

    async def fills_since(self, since_ms: int) -> Sequence[Fill]:
        """Every fill of the last 729 days at or after an instant, oldest first."""
        return await self._executions.fills_since(since_ms)

    async def incomes_since(self, since_ms: int) -> Sequence[Income]:
        """Funding likewise; transfers are told by no documented call."""
        return await self._executions.incomes_since(since_ms)

    # ── account ─────────────────────────────────────────────────────────────

    async def positions(self) -> Sequence[VenuePosition]:
        """Every position with a quantity."""
        return await self._account.positions()

    async def balance(self) -> Balance:
        """The wallet."""
        return await self._account.balance()

    async def account_facts(self) -> AccountFacts:
        """Position mode, permissions where they are told, testnet or not."""
        return await self._account.facts()

    async def fee_rates(self, symbol: str) -> FeeRates:
        """What the account pays on a symbol."""
        return await self._account.fee_rates(symbol, is_innovation=symbol in self._market.innovation)

    async def set_leverage(self, symbol: str, leverage: Decimal) -> Outcome:
        """For both sides of a symbol."""
        return await self._account.set_leverage(symbol, leverage)

    async def set_position_mode(self, mode: PositionMode) -> Outcome:
        """For every configured symbol; orders follow."""
        outcome = await self._account.set_position_mode(mode)
        if isinstance(outcome, Accepted):
            self._orders.mode = mode
        return outcome

    async def set_margin_mode(self, symbol: str, mode: MarginMode) -> Outcome:
        """For one symbol of a classic account; a unified one is only checked."""
        return await self._account.set_margin_mode(symbol, mode)

    # ── market ──────────────────────────────────────────────────────────────

    async def instruments(self) -> Sequence[Instrument]:
        """Facts of the configured symbols."""
        found = await self._market.instruments()
        self._orders.instruments = {item.symbol: item for item in found}
        return found

    async def candles(self, symbol: str, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """Closed candles, oldest first."""
        if not self._orders.instruments:
            await self.instruments()
        instrument = self._orders.instruments.get(symbol)
        if instrument is None:
            raise ConfigInvalid(f"symbols: {symbol} is none of the configured symbols of {facts.NAME}; add it")
        return await self._market.candles(instrument, interval_ms, since_ms, until_ms)
