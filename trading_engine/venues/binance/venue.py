"""Binance USDⓈ-M behind the port: one account.

What belongs here: which calls answer which question of the port. What does not: sending (rest), paging (history),
the stream (stream), reading rows (codec).

Plain and conditional orders live in two spaces; here they are one. A conditional order that has triggered is
followed to its child, which carries the same client id.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import msgspec

from trading_engine.domain import money
from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.events import StreamLost
from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import OrderReport, OrderRequest, OrderState
from trading_engine.domain.reports import Accepted, Balance, Outcome, Rejected, Unknown, VenuePosition
from trading_engine.domain.streams import DepthSnapshot
from trading_engine.ports import AccountFacts, ClockListener, FeeRates, MarginMode, PositionMode, VenueEvent, VenueSink
from trading_engine.venues.binance import codec, facts, limits, shapes
from trading_engine.venues.binance.codec import Listing
from trading_engine.venues.binance.errors import Refusal
from trading_engine.venues.binance.events import Reader
from trading_engine.venues.binance.history import History
from trading_engine.venues.binance.limits import Endpoint
from trading_engine.venues.binance.market import MarketDecoder
from trading_engine.venues.binance.names import Names
from trading_engine.venues.binance.orders import CONDITIONAL, placement
from trading_engine.venues.binance.public import read_candles, traded_symbols
from trading_engine.venues.binance.rest import Params, Rest, decoded
from trading_engine.venues.binance.shapes import AlgoOrder, PlainOrder
from trading_engine.venues.binance.stream import UserStream
from trading_engine.venues.wire.clock import Milliseconds
from trading_engine.venues.wire.outcome import Meaning
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.settings import AccountSettings
from trading_engine.venues.wire.transport import Reply, Transport

START_MS = 15_000
_LEVELS = 1_000
_CHILD_LAG_MS = 10_000  # a child order may be invisible to queries for so long after the trigger
_GONE = (Meaning.NOT_OPEN, Meaning.NOT_FOUND)


class BinanceVenue:
    """One account. Questions raise VenueUnavailable; submits, cancels and settings answer with an Outcome."""

    name = facts.NAME
    capabilities = facts.CAPABILITIES

    def __init__(self, credentials: Credentials, settings: AccountSettings, clock: Milliseconds) -> None:
        self.account = settings.account
        self._settings = settings
        self._clock = clock
        self._transport = Transport()
        self._rest = Rest(credentials, settings, self._transport, clock)
        self._names = Names()
        self._history = History(self._rest, settings, self._names)
        self._listings: dict[str, Listing] = {}
        self._sink: VenueSink | None = None
        reader = Reader(settings, self._names)
        self._stream = UserStream(self._rest, settings, self._transport, clock, reader, self._emit)

    # ── life ────────────────────────────────────────────────────────────────

    async def connect(self) -> None:
        """Measure the clock, read limits and instruments; VenueUnavailable where it cannot.

        A refused key is VenueRejected, a symbol that is not traded ConfigInvalid: both want an operator.
        """
        await self.measure_clock()
        await self.instruments()
        self._rest.is_started = True

    async def open(self) -> None:
        """Connect, then start the user stream; errors as `connect`."""
        await self.connect()
        await self._stream.start(START_MS)

    async def close(self) -> None:
        """End the stream and every connection."""
        await self._stream.stop()
        await self._transport.close()

    async def measure_clock(self) -> int:
        """What the venue's clock is ahead of ours, in ms."""
        return await self._rest.measure_clock()

    def watch_clock(self, listener: ClockListener) -> None:
        """Tell `listener` the last measurement of the clock and every one from now on."""
        self._rest.clock.tell(listener)

    def subscribe(self, sink: VenueSink) -> None:
        """Send user-stream events to `sink` from now on; one that was opened and is not there yet is told as lost."""
        self._sink = sink
        if self._rest.is_started and not self._stream.is_speaking:
            sink(StreamLost(self._clock.now_ms(), "not connected yet"))

    def _emit(self, event: VenueEvent) -> None:
        if self._sink is not None:
            self._sink(event)

    async def renew_stream(self, why: str) -> None:
        """Cut the connection; it is made anew, and the key read again."""
        await self._stream.renew(why)

    # ── orders ──────────────────────────────────────────────────────────────

    async def submit(self, request: OrderRequest) -> Outcome:
        """Send once and classify; what the venue's grid would refuse is refused here."""
        listing = self._listings.get(request.symbol)
        if listing is None:
            return Rejected("symbol", f"{request.symbol} is not among the symbols that were read at the start")
        placed = placement(request, self._settings, listing)
        if isinstance(placed, Rejected):
            return placed
        is_conditional = request.type in CONDITIONAL
        self._names.made(request.client_order_id, is_conditional=is_conditional)
        answer = await self._rest.change(placed.endpoint, placed.params, is_protective=request.reduce_only)
        if isinstance(answer, Refusal):
            return answer.outcome
        if not isinstance(answer, Reply):
            return answer
        try:
            return Accepted(self._placed(answer, request, is_conditional=is_conditional))
        except ValueError as error:
            return Unknown(f"an answer that cannot be read ({error})")

    def _placed(self, reply: Reply, request: OrderRequest, *, is_conditional: bool) -> OrderReport:
        if is_conditional:
            return codec.algo_report(decoded(reply, AlgoOrder), request.client_order_id)
        order = decoded(reply, PlainOrder)
        self._names.learn(order.symbol, order.order_id, request.client_order_id)
        return codec.plain_report(order, request.client_order_id)

    async def cancel(self, symbol: str, client_order_id: str, venue_order_id: str) -> Outcome:
        """Cancel in the space the order lives in; in both where that is not known, or where a stop may have triggered.

        A stranger's order is named by its venue id alone.
        """
        attempts = self._cancels(symbol, client_order_id, venue_order_id)
        outcome: Outcome = Rejected(Meaning.NOT_OPEN, "an order without a name")
        for endpoint, params in attempts:
            answer = await self._rest.change(endpoint, params, is_protective=True)
            if isinstance(answer, Reply):
                return self._cancelled(answer, symbol, client_order_id)
            outcome = answer.outcome if isinstance(answer, Refusal) else answer
            if not (isinstance(answer, Refusal) and answer.meaning in _GONE):
                return outcome
        return outcome

    def _cancels(self, symbol: str, client_order_id: str, venue_order_id: str) -> list[tuple[Endpoint, Params]]:
        number = venue_order_id.removeprefix(codec.ALGO_ID_MARK)
        is_marked = number != venue_order_id
        if client_order_id:
            plain = (limits.CANCEL_ORDER, (("symbol", symbol), ("origClientOrderId", client_order_id)))
            algo = (limits.CANCEL_ALGO, (("clientAlgoId", client_order_id),))
            is_conditional = is_marked or self._names.may_be_conditional(client_order_id)
            if is_conditional:
                return [algo, plain]
            return [plain] if is_conditional is False else [plain, algo]
        if not number:
            return []
        if is_marked:
            return [(limits.CANCEL_ALGO, (("algoId", number),))]
        return [(limits.CANCEL_ORDER, (("symbol", symbol), ("orderId", number)))]

    def _cancelled(self, reply: Reply, symbol: str, client_order_id: str) -> Outcome:
        try:
            try:
                order = decoded(reply, PlainOrder)
            except ValueError:
                row = decoded(reply, shapes.AlgoCancelled)
            else:
                return Accepted(codec.plain_report(order, client_order_id))
        except ValueError as error:
            return Unknown(f"an answer that cannot be read ({error})")
        number = f"{codec.ALGO_ID_MARK}{row.algo_id}"
        return Accepted(self._report(symbol, OrderState.CANCELED, client_order_id, number))

    async def cancel_all(self, symbol: str) -> Sequence[OrderReport]:
        """Cancel a symbol's orders in both spaces; what is still open afterwards, by the venue's own list."""
        for endpoint in (limits.CANCEL_ALL_ORDERS, limits.CANCEL_ALL_ALGOS):
            await self._rest.change(endpoint, (("symbol", symbol),), is_protective=True)
        return await self._open_orders((("symbol", symbol),))

    async def open_orders(self) -> Sequence[OrderReport]:
        """Every open order of the account: plain ones, and conditional ones with the children they made."""
        return await self._open_orders(())

    async def _open_orders(self, params: Params) -> Sequence[OrderReport]:
        # Conditional ones first: one that triggers in between shows up among the plain ones, not nowhere.
        algos = await self._rest.read(limits.OPEN_ALGOS, params, list[AlgoOrder])
        plain = await self._rest.read(limits.OPEN_ORDERS, params, list[PlainOrder])
        parents = {(algo.symbol, algo.client_algo_id): algo for algo in algos}
        reports = []
        for order in plain:
            child = self._plain(order)
            algo = parents.pop((order.symbol, order.client_order_id), None)
            reports.append(child if algo is None else codec.family_report(self._algo(algo), child))
        # One that has triggered and shows no child is left to the question for it alone, which follows it.
        return reports + [self._algo(algo) for algo in parents.values() if algo.algo_status not in codec.HAS_CHILD]

    def _algo(self, algo: AlgoOrder) -> OrderReport:
        return _readable_algo(algo, self._names.ours(algo.client_algo_id))

    def _plain(self, order: PlainOrder) -> OrderReport:
        self._names.learn(order.symbol, order.order_id, order.client_order_id)
        return _readable_plain(order, self._names.ours(order.client_order_id))

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """The order in any state and either space; None where both spaces know none."""
        found = await self._plain_order(symbol, ("origClientOrderId", client_order_id), client_order_id)
        if found is not None:
            return found
        algo = await self._algo_order(symbol, client_order_id)
        return None if algo is None else await self._follow(algo, client_order_id)

    async def _plain_order(self, symbol: str, name: tuple[str, str], client_order_id: str) -> OrderReport | None:
        found = await self._rest.find(limits.ORDER, (("symbol", symbol), name), PlainOrder)
        if found is None:
            return None
        self._names.learn(found.symbol, found.order_id, found.client_order_id)
        return _readable_plain(found, client_order_id)

    async def _algo_order(self, symbol: str, client_order_id: str) -> AlgoOrder | None:
        """By the lists: the single query has denied orders that were open."""
        rows = await self._rest.read(limits.OPEN_ALGOS, (("symbol", symbol),), list[AlgoOrder])
        found = _newest(rows, client_order_id)
        if found is None:
            single = await self._rest.find(limits.ALGO, (("clientAlgoId", client_order_id),), AlgoOrder)
            found = _newest([] if single is None else [single], client_order_id)
        return found or _newest(await self._history.algo_orders(symbol), client_order_id)

    async def _follow(self, algo: AlgoOrder, client_order_id: str) -> OrderReport:
        """A conditional order and, once it has triggered, what became of its child."""
        parent = _readable_algo(algo, client_order_id)
        if algo.algo_status not in codec.HAS_CHILD:
            return parent
        number = str(algo.actual_order_id or "")
        name = ("orderId", number) if number else ("origClientOrderId", client_order_id)
        child = await self._plain_order(algo.symbol, name, client_order_id)
        if child is not None:
            return codec.family_report(parent, child)
        if algo.algo_status == "TRIGGERED":
            return parent
        if parent.filled > 0:
            is_whole = parent.filled >= parent.quantity > 0
            return replace(parent, state=OrderState.FILLED if is_whole else OrderState.CANCELED, reason="finished")
        if self._rest.clock.now_ms() - parent.ts_ms < _CHILD_LAG_MS:
            raise VenueUnavailable(f"{client_order_id} has triggered, and what it made is not visible yet")
        return replace(parent, state=OrderState.EXPIRED, reason="triggered, nothing was filled")

    # ── the past ────────────────────────────────────────────────────────────

    async def fills_since(self, since_ms: int) -> Sequence[Fill]:
        """Trades of the traded symbols at or after an instant, oldest first; three months at most."""
        return await self._history.fills_since(since_ms)

    async def incomes_since(self, since_ms: int) -> Sequence[Income]:
        """Wallet changes that no fill tells, oldest first; three months at most."""
        return await self._history.incomes_since(since_ms)

    # ── the account ─────────────────────────────────────────────────────────

    async def positions(self) -> Sequence[VenuePosition]:
        """Every position with a quantity; in hedge mode a symbol may have two."""
        rows = [
            row for row in await self._rest.read(limits.POSITIONS, (), list[shapes.PositionRow]) if row.position_amt
        ]
        symbols = {row.symbol for row in rows}
        if not symbols:
            return []
        params = (("symbol", next(iter(symbols))),) if len(symbols) == 1 else ()
        configs = await self._rest.read(limits.SYMBOL_CONFIG, params, list[shapes.SymbolConfig])
        leverages = {config.symbol: config.leverage for config in configs}
        missing = sorted(symbols - leverages.keys())
        if missing:
            raise VenueUnavailable(f"{self.name} does not tell the leverage of {', '.join(missing)}")
        return [codec.position(row, leverages[row.symbol]) for row in rows]

    async def balance(self) -> Balance:
        """The wallet in the configured asset."""
        for row in await self._rest.read(limits.BALANCE, (), list[shapes.BalanceRow]):
            if row.asset == self._settings.asset:
                return codec.balance(row)
        raise VenueUnavailable(f"{self.name} does not list {self._settings.asset} in the balance")

    async def instruments(self) -> Sequence[Instrument]:
        """Facts of the configured symbols, read anew, and the venue's limits with them.

        ConfigInvalid for a symbol that is not a perpetual in trading, settled in the configured asset.
        """
        info = await self._rest.read(limits.EXCHANGE_INFO, (), shapes.ExchangeInfo)
        for named in info.rate_limits:
            pool = limits.NAMED_LIMITS.get((named.rate_limit_type, named.interval, named.interval_num))
            if pool is not None and named.limit > 0:
                self._rest.limiter.learn_limit(pool, named.limit)
        listed = traded_symbols(info, self._settings)
        rows = await self._rest.read(limits.BRACKETS, (), list[shapes.Brackets])
        tiers = {row.symbol: row for row in rows}
        try:
            listings = {symbol: codec.listing(listed[symbol], tiers[symbol]) for symbol in self._settings.symbols}
        except (KeyError, ValueError) as error:
            raise VenueUnavailable(f"{self.name} does not tell all facts of an instrument ({error})") from None
        self._listings = listings
        return [item.instrument for item in listings.values()]

    async def account_facts(self) -> AccountFacts:
        """Position mode, permissions, fees in BNB. What the key may do is told by another host, if it answers."""
        config = await self._rest.read(limits.ACCOUNT_CONFIG, (), shapes.AccountConfig)
        key, notes = await self._key_facts()
        if config.multi_assets_margin:
            notes.append("multi-assets mode is on: isolated margin is not possible")
        notes += await self._fee_notes()
        return AccountFacts(
            position_mode=PositionMode.HEDGE if config.dual_side_position else PositionMode.ONE_WAY,
            can_trade=False if key is not None and key.enable_futures is False else config.can_trade,
            can_withdraw=None if key is None else key.enable_withdrawals,
            is_demo=facts.is_demo(self._settings.hosts),
            notes=tuple(notes),
        )

    async def _key_facts(self) -> tuple[shapes.KeyFacts | None, list[str]]:
        """What the key may do, None with a note where that is not told."""
        if facts.wallet_url(self._settings.hosts) is None:
            return None, ["whether the key may withdraw is not told by this host: look at the key's page"]
        try:
            answer = await self._rest.ask(limits.KEY_FACTS, (), shapes.KeyFacts)
        except VenueUnavailable as error:
            return None, [f"whether the key may withdraw is not known ({error}): look at the key's page"]
        if isinstance(answer, Refusal):
            return None, [f"whether the key may withdraw is not told ({answer.told}): look at the key's page"]
        return answer, []

    async def _fee_notes(self) -> list[str]:
        """Whether fees leave the wallet that is counted; where that is not told, the first fill tells it."""
        try:
            answer = await self._rest.ask(limits.FEE_BURN, (), shapes.FeeBurn)
        except VenueUnavailable:
            return []
        if isinstance(answer, Refusal) or not answer.fee_burn:
            return []
        return [
            f"fees are paid in BNB, and PnL and limits in {self._settings.asset} leave them out: switch it off at the"
            " venue (futures settings, use BNB for fees; POST /fapi/v1/feeBurn)"
        ]

    async def fee_rates(self, symbol: str) -> FeeRates:
        """What the account pays on a symbol."""
        row = await self._rest.read(limits.FEE_RATES, (("symbol", symbol),), shapes.FeeRow)
        return FeeRates(row.maker_commission_rate, row.taker_commission_rate)

    # ── settings ────────────────────────────────────────────────────────────

    async def set_leverage(self, symbol: str, leverage: Decimal) -> Outcome:
        """Whole numbers only; Accepted where the venue echoes what was asked for."""
        if leverage != leverage.to_integral_value() or leverage < 1:
            return Rejected("leverage", f"{money.text(leverage)} is not a whole number of at least 1")
        params = (("symbol", symbol), ("leverage", money.text(leverage)))
        answer = await self._rest.change(limits.SET_LEVERAGE, params, is_protective=False)
        if not isinstance(answer, Reply):
            return self._setting(answer, symbol)
        try:
            echo = decoded(answer, shapes.LeverageSet)
        except ValueError as error:
            return Unknown(f"an answer that cannot be read ({error})")
        if echo.leverage != leverage or echo.symbol != symbol:
            return Rejected("leverage", f"asked for {money.text(leverage)}, the venue set {money.text(echo.leverage)}")
        return Accepted(self._report(symbol, OrderState.ACKED))

    async def set_margin_mode(self, symbol: str, mode: MarginMode) -> Outcome:
        """Isolated or cross, for a symbol without orders and positions."""
        word = "ISOLATED" if mode is MarginMode.ISOLATED else "CROSSED"
        params = (("symbol", symbol), ("marginType", word))
        return self._setting(await self._rest.change(limits.SET_MARGIN_MODE, params, is_protective=False), symbol)

    async def set_position_mode(self, mode: PositionMode) -> Outcome:
        """For the whole account, coin-margined contracts included."""
        params = (("dualSidePosition", "true" if mode is PositionMode.HEDGE else "false"),)
        return self._setting(await self._rest.change(limits.SET_POSITION_MODE, params, is_protective=False), "")

    def _setting(self, answer: Reply | Refusal | Rejected | Unknown, symbol: str) -> Outcome:
        if isinstance(answer, Reply):
            return Accepted(self._report(symbol, OrderState.ACKED))
        if not isinstance(answer, Refusal):
            return answer
        is_so = answer.meaning is Meaning.ALREADY
        return Accepted(self._report(symbol, OrderState.ACKED)) if is_so else answer.outcome

    def _report(
        self, symbol: str, state: OrderState, client_order_id: str = "", venue_order_id: str = ""
    ) -> OrderReport:
        return OrderReport(client_order_id, venue_order_id, symbol, state, ZERO, self._rest.clock.now_ms())

    # ── the market ──────────────────────────────────────────────────────────

    async def candles(self, symbol: str, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """Candles that open in [since_ms, until_ms) and are closed by the venue's clock, oldest first."""
        return await read_candles(self._rest, await self._instrument(symbol), interval_ms, since_ms, until_ms)

    async def depth(self, symbol: str) -> DepthSnapshot:
        """The best thousand levels of each side: what the stream's changes of the book begin from."""
        instrument = await self._instrument(symbol)
        params = (("symbol", symbol), ("limit", str(_LEVELS)))
        body = await self._rest.read(limits.DEPTH, params, msgspec.Raw)
        try:
            return MarketDecoder([instrument]).snapshot(symbol, bytes(body))
        except (msgspec.DecodeError, ValueError) as error:
            raise VenueUnavailable(f"{facts.NAME} tells a book that cannot be read ({error})") from None

    async def _instrument(self, symbol: str) -> Instrument:
        if symbol not in self._listings:
            await self.instruments()
        return self._listings[symbol].instrument


def _newest(rows: Sequence[AlgoOrder], client_order_id: str) -> AlgoOrder | None:
    """The latest row of an id: it is unique among open orders only."""
    named = [row for row in rows if row.client_algo_id == client_order_id]
    return max(named, key=lambda row: row.create_time, default=None)


def _readable_plain(order: PlainOrder, client_order_id: str) -> OrderReport:
    try:
        return codec.plain_report(order, client_order_id)
    except ValueError as error:
        raise VenueUnavailable(f"{facts.NAME}: {error}") from None


def _readable_algo(order: AlgoOrder, client_order_id: str) -> OrderReport:
    try:
        return codec.algo_report(order, client_order_id)
    except ValueError as error:
        raise VenueUnavailable(f"{facts.NAME}: {error}") from None
