"""Closing everything at once, without the engine's database: nothing is read but the venue, nothing written but orders.

What belongs here: the order of the steps, at an exchange in process and over a network, and an honest account of what
is left. What does not: which venue (repair, at_venue), asking the operator (cli).

What could open is cancelled first, positions are closed by orders that can only reduce, and what guards a position
goes last, when that position is gone. Over a network no answer proves that by itself: it is looked at again and
again, and only what several looks show alike is believed.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.errors import RateLimited, VenueUnavailable
from trading_engine.domain.ids import emergency_order_id, is_emergency_order_id
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderReport, OrderRequest, closing_side
from trading_engine.domain.reports import Accepted, Outcome, Rejected, Unknown, VenuePosition
from trading_engine.ports import Clock, Venue

PATIENCE_MS = 120_000
PAUSE_MS = 1_000
SLOWER_MS = 500  # each pause is so much longer than the one before, for the budget of calls must last
LONGEST_PAUSE_MS = 5_000
LOOKS = 2  # so many looks must show the same before it is believed that nothing is there
SETTLE_MS = 2_000  # positions may lag so far behind an order that has ended
NO_ANSWER_MS = 6_000  # after this, and the venue's own delay, an order that is not shown is not there
LONGEST_CLOSE_MS = 10_000  # a market order that has not ended by then is cancelled and sent anew

Tell = Callable[[str], None]

# ── in process ──────────────────────────────────────────────────────────────


async def flatten(venue: Venue, symbols: Sequence[str], now_ms: int, tell: Tell) -> bool:
    """Cancel what could open, close the positions of `symbols` at market, then cancel the rest; whether all is well.

    What only reduces goes last, and only where the position is gone: until then it guards what is left. A closing
    order that fills later (the paper exchange trades with the next candle) counts as done.
    """
    try:
        orders = [order for order in await venue.open_orders() if order.symbol in symbols]
        held = [item for item in await venue.positions() if item.symbol in symbols]
        most = {item.symbol: item.max_quantity for item in await venue.instruments()}
        others = [order for order in orders if not is_emergency_order_id(order.client_order_id)]
        for order in others:
            if not order.reduce_only:
                await _cancel(venue, order, tell)
        is_closing = True
        for index, item in enumerate(held):
            is_closing &= await _close(venue, item, most[item.symbol], _Ids(now_ms, index), orders, tell)
        kept = {item.symbol for item in await venue.positions()}
        for order in others:
            if order.reduce_only and order.symbol not in kept:
                await _cancel(venue, order, tell)
        return await _is_flat(venue, symbols, tell) and is_closing
    except VenueUnavailable as error:
        tell(f"the venue does not answer ({error}); try again")
        return False


@dataclass(slots=True)
class _Ids:
    """Ids for the orders that close one position."""

    now_ms: int
    index: int
    made: int = 0

    def next(self) -> str:
        self.made += 1
        return emergency_order_id(self.now_ms, self.index * 36 + self.made)


async def _close(
    venue: Venue,
    held: VenuePosition,
    most: Decimal,
    ids: _Ids,
    orders: Sequence[OrderReport],
    tell: Tell,
) -> bool:
    """Ask for the close of one position, in parts where it is larger than one order may be."""
    what = f"{held.symbol} {held.side} {money.text(held.quantity)}"
    waiting = [item for item in orders if item.symbol == held.symbol and is_emergency_order_id(item.client_order_id)]
    left = held.quantity - sum((item.quantity - item.filled for item in waiting), money.ZERO)
    if left <= 0:
        tell(f"{what}: closing order {waiting[-1].client_order_id} is in already")
        return True
    while left > 0:
        part = min(left, most)
        request = _closing_order(held, part, ids.next())
        outcome = await _submit(venue, request)
        if not isinstance(outcome, Accepted):
            why = f"{outcome.code}: {outcome.reason}" if isinstance(outcome, Rejected) else outcome.why
            tell(f"{what}: NOT closed ({why}); its stops stay")
            return False
        tell(f"{what}: closing order {request.client_order_id} for {money.text(part)} is placed")
        left -= part
    return True


def _closing_order(held: VenuePosition, quantity: Decimal, client_order_id: str) -> OrderRequest:
    return OrderRequest(
        client_order_id=client_order_id,
        symbol=held.symbol,
        side=closing_side(held.side),
        type=OrderType.MARKET,
        quantity=quantity,
        reduce_only=True,
        position_side=held.side,
    )


async def _submit(venue: Venue, request: OrderRequest) -> Outcome:
    """Send once; where nobody knows what became of it, ask."""
    outcome = await venue.submit(request)
    if isinstance(outcome, Accepted | Rejected):
        return outcome
    report = await venue.order(request.symbol, request.client_order_id)
    return outcome if report is None else Accepted(report)


async def _cancel(venue: Venue, order: OrderReport, tell: Tell) -> None:
    name = order.client_order_id or order.venue_order_id
    outcome = await venue.cancel(order.symbol, order.client_order_id, order.venue_order_id)
    is_gone = isinstance(outcome, Accepted)
    tell(f"{order.symbol}: {order.type} {name} {'is cancelled' if is_gone else 'could not be cancelled'}")


async def _is_flat(venue: Venue, symbols: Sequence[str], tell: Tell) -> bool:
    """Look again: what is left must have its closing order, and nothing else may rest."""
    orders = [item for item in await venue.open_orders() if item.symbol in symbols]
    closing = {item.symbol for item in orders if is_emergency_order_id(item.client_order_id)}
    left = [item for item in await venue.positions() if item.symbol in symbols]
    for item in left:
        if item.symbol in closing:
            tell(f"{item.symbol}: closes with the next candle; the next start books it as an external close")
        else:
            tell(f"{item.symbol}: {item.side} {money.text(item.quantity)} is STILL OPEN")
    held = {item.symbol for item in left}
    resting = []
    for order in orders:
        name = order.client_order_id or order.venue_order_id
        if order.reduce_only and order.symbol in held and not is_emergency_order_id(order.client_order_id):
            tell(f"{order.symbol}: {order.type} {name} stays until the position is gone")
        elif not is_emergency_order_id(order.client_order_id):
            tell(f"{order.symbol}: order {name} STILL RESTS")
            resting.append(order)
    if not left and not resting:
        tell("flat: no position and no order is left")
    return not resting and all(item.symbol in closing for item in left)


# ── over a network ──────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Sent:
    """A closing order whose end has not been seen."""

    client_order_id: str
    at_ms: int


class Flattening:
    """One emergency at a venue over a network. `run` once.

    most   the largest order of each symbol; what is not in it is left alone and told
    """

    def __init__(
        self,
        venue: Venue,
        most: Mapping[str, Decimal],
        clock: Clock,
        sleep: Callable[[int], Awaitable[None]],
        tell: Tell,
    ) -> None:
        self._venue = venue
        self._most = most
        self._clock = clock
        self._sleep = sleep
        self._tell = tell
        self._ids = _Ids(clock.now_ms(), 0)
        self._sent: dict[tuple[str, Side], list[_Sent]] = {}
        self._flat_looks: dict[str, int] = dict.fromkeys(most, 0)
        self._said: set[str] = set()

    async def run(self) -> bool:
        """Work until the symbols are flat, for as long as patience lasts; whether they are. Says what it does."""
        until_ms = self._clock.now_ms() + PATIENCE_MS
        calm, pause_ms = 0, PAUSE_MS
        while calm < LOOKS:
            wait_ms = pause_ms
            try:
                calm = calm + 1 if await self._round() else 0
            except VenueUnavailable as error:
                calm = 0
                wait_ms = max(pause_ms, error.retry_after_ms if isinstance(error, RateLimited) else 0)
                self._say(f"the venue does not answer ({error}); asking again")
            if calm < LOOKS:
                if self._clock.now_ms() + wait_ms > until_ms:
                    return await self._tell_what_is_left()
                await self._sleep(wait_ms)
                pause_ms = min(pause_ms + SLOWER_MS, LONGEST_PAUSE_MS)
        self._tell("flat: no position and no order is left")
        await self._tell_of_others()
        return True

    def _say(self, text: str) -> None:
        """Each thing once."""
        if text not in self._said:
            self._said.add(text)
            self._tell(text)

    async def _round(self) -> bool:
        """Look at everything and do what can be done about it; whether nothing was there."""
        orders, held = await self._look()
        openers = [order for order in orders if not order.reduce_only]
        for order in openers:
            await self._cancel(order)
        for item in held:
            await self._close(item)
        busy = {item.symbol for item in held} | {order.symbol for order in openers}
        for symbol in self._most:
            self._flat_looks[symbol] = 0 if symbol in busy else self._flat_looks[symbol] + 1
        for order in orders:
            if order.reduce_only and self._flat_looks[order.symbol] >= LOOKS:
                await self._cancel(order)
        return not held and not orders

    async def _cancel(self, order: OrderReport) -> None:
        name = order.client_order_id or order.venue_order_id
        outcome = await self._venue.cancel(order.symbol, order.client_order_id, order.venue_order_id)
        what = f"{order.symbol}: {order.type} {name}"
        if isinstance(outcome, Accepted):
            self._say(f"{what} is cancelled")
        elif isinstance(outcome, Rejected):
            self._say(f"{what} could not be cancelled ({outcome.code}: {outcome.reason}); looking again")
        else:
            self._say(f"{what}: whether it is cancelled is not known ({outcome.why}); looking again")

    async def _close(self, held: VenuePosition) -> None:
        """Send what closes a position, unless what was sent before may still do so."""
        key = (held.symbol, held.side)
        self._sent[key] = [sent for sent in self._sent.get(key, ()) if await self._may_fill(held.symbol, sent)]
        if self._sent[key]:
            return
        left, what = held.quantity, f"{held.symbol} {held.side} {money.text(held.quantity)}"
        while left > 0:
            part = min(left, self._most[held.symbol])
            request = _closing_order(held, part, self._ids.next())
            outcome = await self._venue.submit(request)
            if isinstance(outcome, Rejected):
                self._say(f"{what}: NOT closed yet ({outcome.code}: {outcome.reason}); its stops stay")
                return
            self._sent[key].append(_Sent(request.client_order_id, self._clock.now_ms()))
            name = f"{what}: closing order {request.client_order_id} for {money.text(part)}"
            if isinstance(outcome, Unknown):
                self._say(f"{name} has no answer ({outcome.why}); asking what became of it")
                return
            self._say(f"{name} is placed")
            left -= part

    async def _may_fill(self, symbol: str, sent: _Sent) -> bool:
        """Whether a closing order may still change the position, or has done so a moment ago."""
        age_ms = self._clock.now_ms() - sent.at_ms
        try:
            report = await self._venue.order(symbol, sent.client_order_id)
        except VenueUnavailable:
            # Not known is not absent. But a position must not stay for want of an answer: a second order can only
            # reduce as well.
            return age_ms < LONGEST_CLOSE_MS
        if report is None:
            return age_ms < NO_ANSWER_MS + self._venue.capabilities.visibility_delay_ms
        if report.state.is_terminal:
            return age_ms < SETTLE_MS
        if age_ms >= LONGEST_CLOSE_MS:
            await self._cancel(report)
        return True

    async def _tell_what_is_left(self) -> bool:
        """Patience is over: one more look, told as it is; False."""
        try:
            orders, held = await self._last_look()
        except VenueUnavailable as error:
            self._tell(f"NOT flat as far as is known, and what is left cannot be read ({error}); try again")
            return False
        for item in held:
            guards = sum(1 for order in orders if order.symbol == item.symbol and order.reduce_only)
            behind = f"behind {guards} protective orders" if guards else "WITHOUT any protective order"
            self._tell(f"{item.symbol}: {item.side} {money.text(item.quantity)} is STILL OPEN, {behind}")
        symbols = {item.symbol for item in held}
        for order in orders:
            if not (order.reduce_only and order.symbol in symbols):
                name = order.client_order_id or order.venue_order_id
                self._tell(f"{order.symbol}: {order.type} {name} STILL RESTS")
        if not held and not orders:
            self._tell("the last look shows no position and no order, the looks before it did; try again to be sure")
        await self._tell_of_others()
        return False

    async def _last_look(self) -> tuple[list[OrderReport], list[VenuePosition]]:
        """What is there; where the venue, or our budget of calls, wants a pause, that is waited for once."""
        try:
            return await self._look()
        except VenueUnavailable as error:
            await self._sleep(error.retry_after_ms if isinstance(error, RateLimited) else LONGEST_PAUSE_MS)
        return await self._look()

    async def _look(self) -> tuple[list[OrderReport], list[VenuePosition]]:
        """Orders before positions: an entry that fills in between is then held, not missing."""
        orders = [order for order in await self._venue.open_orders() if order.symbol in self._most]
        return orders, [item for item in await self._venue.positions() if item.symbol in self._most]

    async def _tell_of_others(self) -> None:
        """What the account holds on other symbols is nobody's business here, but must not be taken for closed."""
        try:
            others = [item for item in await self._venue.positions() if item.symbol not in self._most]
        except VenueUnavailable as error:
            self._tell(f"what the account holds on other symbols cannot be read ({error})")
            return
        for item in others:
            what = f"{item.symbol}: {item.side} {money.text(item.quantity)}"
            self._tell(f"{what} is left alone: {item.symbol} is not among the configured symbols")
