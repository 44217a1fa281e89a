"""The way between an engine and the exchange: latency, and everything that gets lost on it.

What belongs here: what each fault does to a call or an event. What does not: when it happens (faults), what the
exchange answers (exchange).

A request that has left is on its way even if its sender dies. A dead incarnation hears nothing any more and
sends nothing any more: its handles refuse.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Protocol, TypeVar

from trading_engine.domain.errors import RateLimited, VenueUnavailable
from trading_engine.domain.events import FillSeen, OrderReported, StreamLost, StreamRestored
from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.ids import parse_client_order_id
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.domain.orders import OrderReport, OrderRequest
from trading_engine.domain.reports import Accepted, Balance, Outcome, Rejected, Unknown, VenuePosition
from trading_engine.ports import CandleSink, Clock, VenueEvent, VenueSink
from trading_engine.simulation.exchange import REMOTE, SimulatedExchange, describe
from trading_engine.simulation.faults import Fault

T = TypeVar("T")

GIVE_UP_MS = 3_000  # how long an adapter waits for an answer
NEVER_S = 1e6
UNHEARD_MS = 62_000


class ProcessDeath(BaseException):
    """The process of this incarnation is gone; not an Exception, for nothing may catch it."""


class Surroundings(Protocol):
    """What the network needs of the world."""

    rng: random.Random

    def fault(self, site: str, lasts_ms: int = 0) -> Fault | None:
        """The fault of this visit; one that happens is counted and disturbs for `lasts_ms`."""
        ...

    def now_ms(self) -> int:
        """The present instant."""
        ...

    def note(self, who: str, text: str) -> None:
        """One line of the timeline."""
        ...

    def on_sent(self, request: OrderRequest) -> None:
        """A request has left the process."""
        ...

    def on_refused(self, request: OrderRequest) -> None:
        """An entry was refused."""
        ...


class Network:
    """The wire: one for a world; incarnations come and go."""

    def __init__(self, world: Surroundings, exchange: SimulatedExchange, recv_window_ms: int) -> None:
        self._world = world
        self.exchange = exchange
        self.recv_window_ms = recv_window_ms
        self.unreachable_until_ms = 0
        self.stream_until_ms = 0  # the stream is down until then
        self.calls: list[int] = []
        self.listener: NetworkVenue | None = None
        self._last_event_ms = 0
        exchange.on_event = self._on_event
        self._loop = asyncio.get_running_loop()

    def latency_ms(self) -> int:
        """One way, undisturbed."""
        return self._world.rng.randint(5, 60)

    @property
    def is_reachable(self) -> bool:
        """Calls get through."""
        return self._world.now_ms() >= self.unreachable_until_ms

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something after a while, whoever lives then."""
        self._loop.call_later(delay_ms / 1000, action)

    # ── the user stream ─────────────────────────────────────────────────────

    def disconnect(self, for_ms: int) -> None:
        """Cut the stream; the listener is told now, and again when it is back."""
        now_ms = self._world.now_ms()
        self.stream_until_ms = max(self.stream_until_ms, now_ms + for_ms)
        listener = self.listener
        if listener is not None:
            listener.tell(StreamLost(now_ms, "simulated"))
        self.later(for_ms, self._reconnect)

    def _reconnect(self) -> None:
        now_ms = self._world.now_ms()
        if now_ms >= self.stream_until_ms and self.listener is not None:
            self.listener.tell(StreamRestored(now_ms))

    def _on_event(self, event: VenueEvent) -> None:
        self._world.note("exchange", describe(event))
        now_ms = self._world.now_ms()
        if now_ms < self.stream_until_ms:
            return
        kind = "fill" if isinstance(event, FillSeen) else "order" if isinstance(event, OrderReported) else "income"
        # An order that ends at the venue's will, unheard, is noticed by the next reconciliation and not before.
        is_end = isinstance(event, OrderReported) and event.report.state.is_terminal
        fault = self._world.fault(f"stream.{kind}", UNHEARD_MS if is_end else 5_000)
        if fault is Fault.DROP:
            return
        arrives_ms = max(now_ms + self.latency_ms(), self._last_event_ms)
        if fault is Fault.DELAY:
            self._tell_later(event, now_ms + self._world.rng.randint(500, 5_000))
            return
        self._last_event_ms = arrives_ms
        self._tell_later(event, arrives_ms)
        if fault is Fault.DUPLICATE:
            self._tell_later(event, arrives_ms + self._world.rng.randint(0, 3_000))

    def _tell_later(self, event: VenueEvent, at_ms: int) -> None:
        listener = self.listener
        if listener is not None:
            self.later(at_ms - self._world.now_ms(), lambda: listener.tell(event))


class NetworkVenue:
    """The venue as one incarnation sees it."""

    name = "embedded"
    account = "simulated"
    capabilities = REMOTE

    def __init__(self, network: Network, world: Surroundings, clock: Clock) -> None:
        self._network = network
        self._world = world
        self._clock = clock  # the process's own, which may be wrong
        self._sink: VenueSink | None = None
        self.is_dead = False
        network.listener = self

    def subscribe(self, sink: VenueSink) -> None:
        """Hear the stream from now on; one that is down is told as lost."""
        self._sink = sink
        if self._world.now_ms() < self._network.stream_until_ms:
            sink(StreamLost(self._clock.now_ms(), "not connected yet"))

    def tell(self, event: VenueEvent) -> None:
        """Hand an event to the engine, unless it is dead."""
        if not self.is_dead and self._sink is not None:
            self._sink(_stamped(event, self._clock.now_ms()))

    async def renew_stream(self, why: str) -> None:
        """Lost and, after a round trip or two, restored."""
        self._fence()
        self._world.note("engine", f"renews the stream: {why}")
        self._network.disconnect(4 * self._network.latency_ms())

    # ── writes ──────────────────────────────────────────────────────────────

    async def submit(self, request: OrderRequest) -> Outcome:
        """Send once; what comes back is what the wire lets through."""
        key = parse_client_order_id(request.client_order_id)
        self._fence()
        self._world.on_sent(request)
        visible_after_ms = self._world.rng.randint(0, REMOTE.visibility_delay_ms)
        site = f"submit.{key.purpose if key else 'foreign'}"
        outcome = await self._write(site, lambda: self._network.exchange.submit(request, visible_after_ms))
        if isinstance(outcome, Rejected) and not request.reduce_only:
            self._world.on_refused(request)
        return outcome

    async def cancel(self, symbol: str, client_order_id: str, venue_order_id: str) -> Outcome:
        """Ask for a cancel."""
        del venue_order_id
        self._fence()
        return await self._write("cancel", lambda: self._cancel(symbol, client_order_id))

    def _cancel(self, symbol: str, client_order_id: str) -> Outcome:
        exchange = self._network.exchange
        outcome = exchange.cancel(symbol, client_order_id)
        if isinstance(outcome, Accepted):
            exchange.on_canceled(symbol, client_order_id)
        return outcome

    async def _write(self, site: str, act: Callable[[], Outcome]) -> Outcome:
        network = self._network
        fault = self._world.fault(site, GIVE_UP_MS + 2_000)
        network.calls.append(self._world.now_ms())
        if not network.is_reachable or fault is Fault.LOST_REQUEST:
            await self._sleep(GIVE_UP_MS)
            return Unknown("no answer")
        if fault is Fault.RATE_LIMITED:
            await self._sleep(2 * network.latency_ms())
            return Rejected("rate_limited", "too many requests; not looked at")
        if fault is Fault.REFUSED:
            await self._sleep(2 * network.latency_ms())
            return Rejected("refused", "simulated")
        reply: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        arrives_ms = network.latency_ms()
        if fault is Fault.LATE:
            arrives_ms = GIVE_UP_MS + self._world.rng.randint(0, network.recv_window_ms - GIVE_UP_MS - 100)
        network.later(arrives_ms, lambda: _settle(reply, act()))
        if fault is Fault.TWICE:
            network.later(arrives_ms + 20, lambda: _ignore(act()))
        if fault in (Fault.LATE, Fault.LOST_REPLY):
            await self._sleep(GIVE_UP_MS)
            return Unknown("no answer")
        if fault is Fault.NO_ANSWER:
            await self._sleep(int(NEVER_S * 1000))
        outcome = await reply
        await self._sleep(network.latency_ms() + (self._world.rng.randint(1_000, 8_000) if fault is Fault.SLOW else 0))
        return Unknown("internal error 500") if fault is Fault.SERVER_ERROR else outcome

    # ── reads ───────────────────────────────────────────────────────────────

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """The order with this id, None where the exchange does not show one."""
        return await self._read("read.order", lambda _: self._network.exchange.order(symbol, client_order_id))

    async def open_orders(self) -> Sequence[OrderReport]:
        """What rests."""
        return await self._read("read.open_orders", lambda _: self._network.exchange.open_orders())

    async def fills_since(self, since_ms: int) -> Sequence[Fill]:
        """Executions."""
        return await self._read("read.fills", lambda until: self._network.exchange.fills(since_ms, until))

    async def incomes_since(self, since_ms: int) -> Sequence[Income]:
        """Funding and transfers."""
        return await self._read("read.incomes", lambda until: self._network.exchange.incomes(since_ms, until))

    async def positions(self) -> Sequence[VenuePosition]:
        """What is held."""
        return await self._read("read.positions", self._positions)

    def _positions(self, until_ms: int) -> Sequence[VenuePosition]:
        is_stale = until_ms < self._world.now_ms()
        return self._network.exchange.positions(until_ms if is_stale else None)

    async def balance(self) -> Balance:
        """The wallet."""
        return await self._read("read.balance", lambda _: self._network.exchange.balance())

    async def instruments(self) -> Sequence[Instrument]:
        """Facts do not get lost here."""
        return await self._network.exchange.venue.instruments()

    async def set_leverage(self, symbol: str, leverage: Decimal) -> Outcome:
        """Leverage is fixed by the account's terms."""
        return await self._network.exchange.venue.set_leverage(symbol, leverage)

    async def _read(self, site: str, ask: Callable[[int], T]) -> T:
        """Ask at the moment of arrival; `ask` is told up to which instant the answer may know."""
        self._fence()
        network = self._network
        fault = self._world.fault(site, GIVE_UP_MS + 2_000)
        network.calls.append(self._world.now_ms())
        if not network.is_reachable or fault is Fault.LOST_REPLY:
            await self._sleep(GIVE_UP_MS)
            raise VenueUnavailable("no answer")
        if fault is Fault.RATE_LIMITED:
            await self._sleep(2 * network.latency_ms())
            raise RateLimited("too many requests", 1_000)
        if fault is Fault.NO_ANSWER:
            await self._sleep(int(NEVER_S * 1000))
        await self._sleep(network.latency_ms())
        age_ms = self._world.rng.randint(500, REMOTE.visibility_delay_ms) if fault is Fault.STALE else 0
        answer = ask(self._world.now_ms() - age_ms)
        await self._sleep(network.latency_ms() + (self._world.rng.randint(1_000, 8_000) if fault is Fault.SLOW else 0))
        return answer

    def _fence(self) -> None:
        if self.is_dead:
            raise ProcessDeath

    async def _sleep(self, delay_ms: int) -> None:
        await asyncio.sleep(delay_ms / 1000)
        self._fence()


class NetworkFeed:
    """Closed candles as one incarnation hears them; lost and late ones included."""

    def __init__(self, network: Network, world: Surroundings) -> None:
        self._network = network
        self._world = world
        self._sink: CandleSink | None = None
        self.is_dead = False

    def subscribe(self, sink: CandleSink) -> None:
        """Hear candles from now on."""
        self._sink = sink

    def send(self, candles: tuple[Candle, ...]) -> None:
        """Candles have closed."""
        fault = self._world.fault("candle", 0)
        if fault is Fault.DROP or not self._network.is_reachable:
            return
        delay_ms = self._network.latency_ms() + (self._world.rng.randint(1_000, 90_000) if fault is Fault.DELAY else 0)
        self._network.later(delay_ms, lambda: self._tell(candles))
        if fault is Fault.DUPLICATE:
            self._network.later(delay_ms + 500, lambda: self._tell(candles))

    def _tell(self, candles: tuple[Candle, ...]) -> None:
        if not self.is_dead and self._sink is not None:
            self._sink(candles)


def _stamped(event: VenueEvent, now_ms: int) -> VenueEvent:
    """The event with the time at which the engine hears of it."""
    match event:
        case FillSeen(fill=fill):
            return FillSeen(now_ms, fill)
        case OrderReported(report=report):
            return OrderReported(now_ms, report)
        case StreamLost() | StreamRestored():
            return replace(event, ts_ms=now_ms)
        case _:
            return type(event)(now_ms, event.income)


def _settle(reply: "asyncio.Future[Outcome]", outcome: Outcome) -> None:
    if not reply.done():
        reply.set_result(outcome)


def _ignore(outcome: Outcome) -> None:
    del outcome
