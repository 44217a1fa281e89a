"""A venue that is only ever read: what stands between the engine and a venue where nothing may be sent.

What belongs here: which requests pass and which do not, whatever the core says. What does not: the core's own gate
(core.entry), which is why nothing should ever arrive here, when a run is one of this kind (process, live, paper).

Everything that changes something is refused here, before a byte has left. It is answered like a refusal of the venue,
not raised: an order that was intended in vain then ends as one that the venue has turned down, with its position
abandoned, its alert and its row; to die of it would leave an intent that the next start would send. Every method is
written out, so that one which a venue gets is not passed on unseen: the types ask for it here.
"""

from collections.abc import Sequence
from decimal import Decimal

from loguru import logger

from trading_engine.domain.errors import InvariantBroken
from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.domain.orders import OrderReport, OrderRequest
from trading_engine.domain.reports import Balance, Outcome, Rejected, VenuePosition
from trading_engine.ports import (
    AccountFacts,
    Capabilities,
    ClockListener,
    FeeRates,
    MarginMode,
    PositionMode,
    RemoteVenue,
    Venue,
    VenueSink,
)

CODE = "signals_only"


class ReadOnlyVenue:
    """A `Venue` whose reads are those of another and whose orders are refused; `attempts` tells what was."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self.attempts: list[str] = []

    def _refuse(self, what: str) -> Rejected:
        self.attempts.append(what)
        logger.critical("a run that sends nothing was about to send: {}; it was not sent", what)
        return Rejected(CODE, f"this run sends nothing: {what}")

    # ── what is refused ─────────────────────────────────────────────────────

    async def submit(self, request: OrderRequest) -> Outcome:
        """Never sent."""
        return self._refuse(f"{request.side} {request.quantity} {request.symbol} ({request.client_order_id})")

    async def cancel(self, symbol: str, client_order_id: str, venue_order_id: str) -> Outcome:
        """Never sent."""
        return self._refuse(f"cancel {client_order_id or venue_order_id} on {symbol}")

    async def set_leverage(self, symbol: str, leverage: Decimal) -> Outcome:
        """Never sent."""
        return self._refuse(f"leverage {leverage} on {symbol}")

    # ── what passes ─────────────────────────────────────────────────────────

    @property
    def name(self) -> str:
        """The venue's."""
        return self._venue.name

    @property
    def account(self) -> str:
        """The venue's."""
        return self._venue.account

    @property
    def capabilities(self) -> Capabilities:
        """The venue's."""
        return self._venue.capabilities

    def subscribe(self, sink: VenueSink) -> None:
        """Passed on."""
        self._venue.subscribe(sink)

    async def renew_stream(self, why: str) -> None:
        """Passed on: to listen changes nothing."""
        await self._venue.renew_stream(why)

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Read."""
        return await self._venue.order(symbol, client_order_id)

    async def open_orders(self) -> Sequence[OrderReport]:
        """Read."""
        return await self._venue.open_orders()

    async def fills_since(self, since_ms: int) -> Sequence[Fill]:
        """Read."""
        return await self._venue.fills_since(since_ms)

    async def incomes_since(self, since_ms: int) -> Sequence[Income]:
        """Read."""
        return await self._venue.incomes_since(since_ms)

    async def positions(self) -> Sequence[VenuePosition]:
        """Read."""
        return await self._venue.positions()

    async def balance(self) -> Balance:
        """Read."""
        return await self._venue.balance()

    async def instruments(self) -> Sequence[Instrument]:
        """Read."""
        return await self._venue.instruments()


class ReadOnlyRemote(ReadOnlyVenue):
    """The same of a `RemoteVenue`."""

    def __init__(self, venue: RemoteVenue) -> None:
        super().__init__(venue)
        self._remote = venue

    # ── what is refused ─────────────────────────────────────────────────────

    async def set_position_mode(self, mode: PositionMode) -> Outcome:
        """Never sent."""
        return self._refuse(f"position mode {mode}")

    async def set_margin_mode(self, symbol: str, mode: MarginMode) -> Outcome:
        """Never sent."""
        return self._refuse(f"margin mode {mode} on {symbol}")

    async def cancel_all(self, symbol: str) -> Sequence[OrderReport]:
        """Never sent. It has no answer that is a refusal; only `flatten --direct` asks for it, which is no run."""
        raise InvariantBroken(self._refuse(f"cancel all on {symbol}").told)

    # ── what passes ─────────────────────────────────────────────────────────

    async def connect(self) -> None:
        """Passed on."""
        await self._remote.connect()

    async def open(self) -> None:
        """Passed on: to listen changes nothing."""
        await self._remote.open()

    async def close(self) -> None:
        """Passed on."""
        await self._remote.close()

    async def measure_clock(self) -> int:
        """Read."""
        return await self._remote.measure_clock()

    def watch_clock(self, listener: ClockListener) -> None:
        """Passed on."""
        self._remote.watch_clock(listener)

    async def account_facts(self) -> AccountFacts:
        """Read."""
        return await self._remote.account_facts()

    async def fee_rates(self, symbol: str) -> FeeRates:
        """Read."""
        return await self._remote.fee_rates(symbol)

    async def candles(self, symbol: str, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """Read."""
        return await self._remote.candles(symbol, interval_ms, since_ms, until_ms)
