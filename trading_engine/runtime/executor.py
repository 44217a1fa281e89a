"""Performing effects: every call to the venue, its one attempt, and its outcome as an event.

What belongs here: sending, cancelling, asking, reading the account. What does not: decisions about any of
it (core), venue spellings (venues).

Calls of one kind about one order are performed in order, all others side by side: a protective stop never waits
for an entry that hangs, nor does the question what became of it. A submit is attempted once; whatever is not an
answer in time becomes Unknown.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TypeVar, assert_never

from loguru import logger

from trading_engine.core.effects import (
    CancelOrder,
    Effect,
    FetchFills,
    LookUpOrder,
    PlaceOrder,
    RenewStream,
    SetTimer,
    TakeSnapshot,
)
from trading_engine.core.state import KEPT_KEYS_MS, Book
from trading_engine.domain.control import Level
from trading_engine.domain.errors import InvariantBroken, VenueRejected, VenueUnavailable
from trading_engine.domain.events import (
    CancelAnswered,
    Event,
    FillsRead,
    LookupFailed,
    OrderLookedUp,
    SnapshotFailed,
    SnapshotTaken,
    SubmitAnswered,
    SubmitExpired,
    TimerKind,
)
from trading_engine.domain.reports import OrderLookup, Unknown, VenueSnapshot
from trading_engine.ports import Clock, Venue
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.timers import Timers
from trading_engine.system import crash_points

ACCOUNT_LANE = "account"
STREAM_LANE = "stream"
FILLS_LANE = "fills"
FILL_OVERLAP_MS = 3_600_000
RECONCILED_OVERLAP_MS = 86_400_000  # nothing that a whole look at the account has missed shows up so much later
HISTORY_MARGIN_MS = 300_000  # asked for a little less than what is told: clocks differ
SNAPSHOT_RETRY_MS = 5_000
KEY_RETRY_MS = 60_000  # a key that was refused is not mended in seconds, and a venue may ban who insists
CALL_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 4.0  # short: behind an answer that does not come a position may wait for its stop
FILLS_RETRY_MS = 1_000

for _name in (
    "send.before",
    "send.after",
    "cancel.before",
    "cancel.after",
    "lookup.after",
    "fills.after",
    "snapshot.after",
):
    crash_points.register(_name)

T = TypeVar("T")
Post = Callable[[Event], None]


class Executor:
    """`dispatch` takes effects without waiting; `idle` waits until everything asked for was answered."""

    def __init__(self, venue: Venue, clock: Clock, timers: Timers, hit: Callable[[str], None]) -> None:
        self._venue = venue
        self._clock = clock
        self._timers = timers
        self._hit = hit
        self._pump: Pump | None = None
        self._lanes: dict[str, deque[Effect]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failure: BaseException | None = None
        self.on_failure: Callable[[BaseException], None] | None = None  # told at once; `idle` raises it in any case
        self.on_call: Callable[[str, int], None] | None = None  # told which request took how many ms

    def attach(self, pump: Pump) -> None:
        """The pump that answers go to; the two know each other, so one is made first."""
        self._pump = pump

    @property
    def is_idle(self) -> bool:
        """Nothing is being performed."""
        return not self._tasks

    def dispatch(self, effect: Effect) -> None:
        """Begin to perform an effect."""
        if isinstance(effect, SetTimer):
            self._timers.set(effect.at_ms, effect.kind, effect.key)
            return
        lane = _lane(effect)
        queue = self._lanes.setdefault(lane, deque())
        if isinstance(effect, TakeSnapshot | FetchFills | LookUpOrder | RenewStream) and effect in queue:
            return  # the question is on its way
        queue.append(effect)
        if lane not in self._tasks:
            self._tasks[lane] = _named_task(self._run(lane), f"executor:{lane}")

    async def idle(self) -> None:
        """Wait for every lane, those begun meanwhile included; an exception in one is raised here."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()), return_when=asyncio.FIRST_COMPLETED)
        if self._failure is not None:
            raise self._failure

    async def _run(self, lane: str) -> None:
        queue = self._lanes[lane]
        try:
            while queue and self._failure is None:
                await self._perform(queue.popleft())
        except BaseException as error:  # noqa: BLE001 - kept for idle(), which ends the process with it
            self._fail(error)
        finally:
            del self._tasks[lane]
            if not queue:
                del self._lanes[lane]

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        if self.on_failure is not None:
            self.on_failure(error)

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case PlaceOrder():
                self._post(await self._place(effect))
            case CancelOrder():
                self._post(await self._cancel(effect))
            case LookUpOrder():
                self._post(await self._look_up(effect))
            case FetchFills():
                await self._fetch_fills()
            case TakeSnapshot():
                self._post(await self._snapshot())
            case RenewStream():
                await self._venue.renew_stream(effect.why)
            case SetTimer():  # set at dispatch
                return
            case _:
                assert_never(effect)

    def _on_call(self, kind: str, took_ms: int) -> None:
        if self.on_call is not None:
            self.on_call(kind, took_ms)

    def _post(self, event: Event) -> None:
        assert self._pump is not None  # noqa: S101 - attach() comes before the first effect
        self._pump.handle(event)

    async def _place(self, effect: PlaceOrder) -> Event:
        request = effect.request
        now_ms = self._clock.now_ms()
        if now_ms > effect.not_after_ms or not self._may_send(effect):
            return SubmitExpired(now_ms, request.client_order_id)
        self._hit("send.before")
        began_ms = self._clock.now_ms()
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                outcome = await self._venue.submit(request)
        except TimeoutError:
            outcome = Unknown(f"no answer within {CALL_TIMEOUT_S:g} s")
        except InvariantBroken:  # the exchange in this process lost its memory: nothing that it says holds any more
            raise
        except Exception as error:  # noqa: BLE001 - an adapter's bug after the first byte is an unknown outcome
            logger.exception("submit of {} raised", request.client_order_id)
            outcome = Unknown(f"{type(error).__name__} in the adapter")
        self._hit("send.after")
        now_ms = self._clock.now_ms()
        self._on_call("submit", now_ms - began_ms)
        return SubmitAnswered(now_ms, request.client_order_id, outcome, now_ms - began_ms)

    def _may_send(self, effect: PlaceOrder) -> bool:
        """Checked again just before sending: the kill switch may have been raised since the decision."""
        assert self._pump is not None  # noqa: S101 - as above
        return effect.request.reduce_only or self._pump.state.book.control.level is Level.RUN

    async def _cancel(self, effect: CancelOrder) -> Event:
        self._hit("cancel.before")
        began_ms = self._clock.now_ms()
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                outcome = await self._venue.cancel(effect.symbol, effect.client_order_id, effect.venue_order_id)
        except TimeoutError:
            outcome = Unknown(f"no answer within {CALL_TIMEOUT_S:g} s")
        except InvariantBroken:  # as above
            raise
        except Exception as error:  # noqa: BLE001 - as above
            logger.exception("cancel of {} raised", effect.client_order_id)
            outcome = Unknown(f"{type(error).__name__} in the adapter")
        self._hit("cancel.after")
        now_ms = self._clock.now_ms()
        self._on_call("cancel", now_ms - began_ms)
        return CancelAnswered(now_ms, effect.client_order_id, outcome, now_ms - began_ms)

    async def _look_up(self, effect: LookUpOrder) -> Event:
        try:
            report = await _bounded(self._venue.order(effect.symbol, effect.client_order_id))
        except (VenueUnavailable, VenueRejected) as error:
            return LookupFailed(self._clock.now_ms(), effect.client_order_id, str(error))
        self._hit("lookup.after")
        return OrderLookedUp(self._clock.now_ms(), OrderLookup(effect.client_order_id, report))

    async def _fetch_fills(self) -> None:
        assert self._pump is not None  # noqa: S101 - as above
        try:
            state, now_ms = self._pump.state, self._clock.now_ms()
            market = state.market
            since_ms, _ = _read_from(self._venue, state.book, market.reconciled_ms, now_ms, market.unbooked_ms)
            fills = await _bounded(self._venue.fills_since(since_ms))
        except (VenueUnavailable, VenueRejected):  # a key that is refused is told by the look at the account
            self._timers.set(self._clock.now_ms() + FILLS_RETRY_MS, TimerKind.FILLS, "")
            return
        self._hit("fills.after")
        self._post(FillsRead(self._clock.now_ms(), tuple(fills)))

    async def _snapshot(self) -> Event:
        assert self._pump is not None  # noqa: S101 - as above
        try:
            state, began_ms = self._pump.state, self._clock.now_ms()
            market = state.market
            snapshot = await take_snapshot(self._venue, state.book, began_ms, market.reconciled_ms, market.unbooked_ms)
        except (VenueUnavailable, VenueRejected) as error:
            now_ms, is_key = self._clock.now_ms(), isinstance(error, VenueRejected)
            self._timers.set(now_ms + (KEY_RETRY_MS if is_key else SNAPSHOT_RETRY_MS), TimerKind.RECONCILE, "")
            return SnapshotFailed(now_ms, str(error), is_key)
        self._hit("snapshot.after")
        now_ms = self._clock.now_ms()
        self._on_call("snapshot", now_ms - began_ms)
        return SnapshotTaken(now_ms, snapshot)


async def take_snapshot(
    venue: Venue, book: Book, now_ms: int, reconciled_ms: int = 0, unbooked_ms: int = 0
) -> VenueSnapshot:
    """Read everything reconciliation compares; raises VenueUnavailable where any part failed.

    Positions are read before fills: a fill between the two reads is then booked, not missing. What the last whole
    look (at `reconciled_ms`) has shown long ago is not read again, but for fills from `unbooked_ms` on (0 for none).
    """
    since_ms, untold = _read_from(venue, book, reconciled_ms, now_ms, unbooked_ms)
    read = _at_once if venue.capabilities.absence_is_proof else _bounded
    open_orders = tuple(await read(venue.open_orders()))
    shown = {report.client_order_id for report in open_orders}
    lookups = [
        OrderLookup(order.client_order_id, await read(venue.order(order.symbol, order.client_order_id)))
        for order in book.orders.values()
        if order.is_live and order.client_order_id not in shown
    ]
    positions = tuple(await read(venue.positions()))
    fills = tuple(await read(venue.fills_since(since_ms)))
    incomes = tuple(await read(venue.incomes_since(since_ms)))
    balance = await read(venue.balance())
    return VenueSnapshot(now_ms, open_orders, tuple(lookups), fills, incomes, positions, balance, untold)


def _read_from(
    venue: Venue, book: Book, reconciled_ms: int, now_ms: int, unbooked_ms: int = 0
) -> tuple[int, tuple[int, int] | None]:
    """From where to read again, and the span before it that should be read as well and is not told any more.

    What was before the ledger began is in its opening balance.
    """
    ledger = book.ledger
    since_ms = max(ledger.last_booked_ms - FILL_OVERLAP_MS, ledger.opened_ms, reconciled_ms - RECONCILED_OVERLAP_MS)
    if unbooked_ms:  # of what is older than the keys we keep nobody could say whether it is booked
        since_ms = max(min(since_ms, unbooked_ms), ledger.last_booked_ms - KEPT_KEYS_MS)
    history_ms = venue.capabilities.history_ms
    told_ms = now_ms - history_ms + HISTORY_MARGIN_MS if history_ms else since_ms
    return max(since_ms, told_ms), ((since_ms, told_ms) if since_ms < told_ms else None)


async def _at_once(read: Coroutine[object, object, T]) -> T:
    """The answer of an exchange in this process: it cannot keep anybody waiting, and a time limit costs time."""
    return await read


async def _bounded(read: Coroutine[object, object, T]) -> T:
    """The answer of a read, VenueUnavailable where it does not come in time."""
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await read
    except TimeoutError:
        raise VenueUnavailable(f"no answer within {READ_TIMEOUT_S:g} s") from None


def _lane(effect: PlaceOrder | CancelOrder | LookUpOrder | FetchFills | TakeSnapshot | RenewStream) -> str:
    match effect:
        case PlaceOrder():
            return f"place:{effect.request.client_order_id}"
        case CancelOrder():
            return f"cancel:{effect.client_order_id}"
        case LookUpOrder():
            return f"lookup:{effect.client_order_id}"
        case FetchFills():
            return FILLS_LANE
        case TakeSnapshot():
            return ACCOUNT_LANE
        case RenewStream():
            return STREAM_LANE


def _named_task(coroutine: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(coroutine, name=name)
