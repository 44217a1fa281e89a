"""The exchange of a simulated world: the matching kernel of paper trading, in time that moves by itself.

What belongs here: its clock, its memory, what it shows to whom and when (visibility), its stream. What does
not: what is lost on the way (network), whether anything that happens is right (oracles).

The exchange is never wrong and never dies: requests, replies and events get lost outside of it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar
from zlib import crc32

from trading_engine.domain.events import FillSeen, IncomeSeen, OrderReported
from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.domain.orders import OrderReport, OrderRequest, OrderState
from trading_engine.domain.reports import Accepted, Balance, Outcome, VenuePosition
from trading_engine.ports import Capabilities, VenueEvent
from trading_engine.simulation.market import MINUTE_MS, SimulatedMarket
from trading_engine.venues.embedded.matching import POINTS
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.embedded.venue import CAPABILITIES, EmbeddedVenue
from trading_engine.venues.embedded.volatile import VolatileMemory

T = TypeVar("T")

VISIBILITY_DELAY_MS = 1_000
REMOTE = replace(CAPABILITIES, absence_is_proof=False, visibility_delay_ms=VISIBILITY_DELAY_MS)


class SimulatedExchange:
    """One account at an exchange whose minutes pass on the running loop.

    on_event         told everything that happens, at once: the stream's source
    on_accepted      told the id of each order that was taken
    on_canceled      told symbol and id of each order that the engine has cancelled
    on_candles       told the candles of each minute when it is over
    now_ms           the exchange's clock
    history_lag_ms   fills are in its history up to so much later than they happened, each after a time of its own
    """

    capabilities: Capabilities = REMOTE

    def __init__(
        self,
        instruments: Sequence[Instrument],
        terms: Terms,
        deposit: Decimal,
        market: SimulatedMarket,
        now_ms: Callable[[], int],
        history_lag_ms: int = 0,
    ) -> None:
        self._now_ms = now_ms
        self._history_lag_ms = history_lag_ms
        self._market = market
        self.memory = VolatileMemory()
        self.venue = EmbeddedVenue(self.memory, instruments, terms, deposit, now_ms(), "simulated")
        self.on_event: Callable[[VenueEvent], None] = lambda _event: None
        self.on_accepted: Callable[[str], None] = lambda _order_id: None
        self.on_canceled: Callable[[str, str], None] = lambda _symbol, _order_id: None
        self.on_candles: Callable[[tuple[Candle, ...]], None] = lambda _candles: None
        self._visible_ms: dict[str, int] = {}
        self._held: list[tuple[int, tuple[VenuePosition, ...]]] = []

    async def run(self) -> None:
        """Let the minutes pass for ever."""
        while True:
            open_ms = self._now_ms() // MINUTE_MS * MINUTE_MS
            candles = self._market.candles(open_ms)
            settlements = self._market.settlements(open_ms)
            for point in range(1, POINTS + 1):
                self._publish(self.venue.play(open_ms, candles, settlements, point))
                left_ms = open_ms + point * MINUTE_MS // POINTS - self._now_ms()
                await asyncio.sleep(max(left_ms, 0) / 1000)
            self.on_candles(candles)

    def _publish(self, events: Iterable[VenueEvent]) -> None:
        for event in events:
            self.on_event(event)
        self._remember_positions()

    def _remember_positions(self) -> None:
        held = tuple(_now(self.venue.positions()))
        if not self._held or self._held[-1][1] != held:
            self._held.append((self._now_ms(), held))
            del self._held[:-50]

    def settle(self, symbol: str) -> None:
        """Trade what can trade at the present price."""
        self._publish(self.venue.settle(symbol, self._now_ms()))

    # ── requests, at the moment they arrive ─────────────────────────────────

    def submit(self, request: OrderRequest, visible_after_ms: int) -> Outcome:
        """Take an order; queries show it after a while."""
        self.venue.progress.now_ms = self._now_ms()
        outcome: Outcome = _now(self.venue.submit(request))
        if isinstance(outcome, Accepted):
            self._visible_ms[request.client_order_id] = self._now_ms() + visible_after_ms
            self.on_accepted(request.client_order_id)
            # An acknowledgement carries no fill, whatever the order does the moment after.
            outcome = Accepted(replace(outcome.report, filled=outcome.report.filled * 0, state=OrderState.ACKED))
            self.on_event(OrderReported(self._now_ms(), outcome.report))
            self._publish(self.venue.settle(request.symbol, self._now_ms()))
        return outcome

    def cancel(self, symbol: str, client_order_id: str) -> Outcome:
        """Cancel an order; its report goes to the stream as well."""
        self.venue.progress.now_ms = self._now_ms()
        outcome: Outcome = _now(self.venue.cancel(symbol, client_order_id, ""))
        if isinstance(outcome, Accepted):
            self.on_event(OrderReported(self._now_ms(), outcome.report))
        return outcome

    def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """The order, unless it is too new to be seen."""
        if self._visible_ms.get(client_order_id, 0) > self._now_ms():
            return None
        report: OrderReport | None = _now(self.venue.order(symbol, client_order_id))
        return report

    def open_orders(self) -> list[OrderReport]:
        """Every open order that is not too new to be seen."""
        now_ms = self._now_ms()
        reports: Sequence[OrderReport] = _now(self.venue.open_orders())
        return [report for report in reports if self._visible_ms.get(report.client_order_id, 0) <= now_ms]

    def fills(self, since_ms: int, until_ms: int) -> list[Fill]:
        """Executions between two instants, as far as the history shows them."""
        fills: Sequence[Fill] = _now(self.venue.fills_since(since_ms))
        return [fill for fill in fills if fill.ts_ms + self._lag_ms(fill) <= until_ms]

    def _lag_ms(self, fill: Fill) -> int:
        """Without order: a later fill may be shown before an earlier one."""
        return crc32(fill.trade_id.encode()) % (self._history_lag_ms + 1)

    def incomes(self, since_ms: int, until_ms: int) -> list[Income]:
        """Funding and deposits between two instants."""
        incomes: Sequence[Income] = _now(self.venue.incomes_since(since_ms))
        return [income for income in incomes if income.ts_ms <= until_ms]

    def positions(self, as_of_ms: int | None = None) -> tuple[VenuePosition, ...]:
        """What is held, or was held at an earlier instant."""
        if as_of_ms is None:
            return tuple(_now(self.venue.positions()))
        earlier = [held for at_ms, held in self._held if at_ms <= as_of_ms]
        return earlier[-1] if earlier else ()

    def balance(self) -> Balance:
        """The wallet."""
        balance: Balance = _now(self.venue.balance())
        return balance


def _now(call: Coroutine[object, object, T]) -> T:
    """The result of a call that never waits."""
    try:
        call.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise RuntimeError("an in-process exchange must answer at once")


def describe(event: VenueEvent) -> str:
    """One line for a timeline."""
    match event:
        case FillSeen(fill=fill):
            what = f"{fill.symbol} {fill.side} {fill.quantity} at {fill.price}"
            return f"fill {fill.trade_id} {what} of {fill.client_order_id}"
        case IncomeSeen(income=income):
            return f"{income.kind} {income.symbol} {income.amount}"
        case OrderReported(report=report):
            return f"order {report.client_order_id} {report.state} filled {report.filled} {report.reason}"
        case _:
            return type(event).__name__
