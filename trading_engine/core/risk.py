"""Risk: verdicts computed from ledger rows and open exposure; the only maker of `Approved`.

What belongs here: turning the book into the numbers of `rules.limits`, and the approval of orders. What
does not: the limits' arithmetic (rules.limits), what a trip causes (core.protect, core.gates).

Nothing is counted in memory: every verdict is a function of book, marks, settings and time, so a restart
changes none. Pending and unknown orders count as fully filled (R8).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from trading_engine.core import units
from trading_engine.core.settings import CooldownScope, EngineSettings
from trading_engine.core.state import Book, ClosedTrade, ForeignHolding, Ledger
from trading_engine.domain import money
from trading_engine.domain.ids import Purpose
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import Order
from trading_engine.domain.position import Position
from trading_engine.domain.time import DAY_MS, MINUTE_MS, day_of, next_day_ms
from trading_engine.rules import limits, margin, scaling, sizing
from trading_engine.rules.integers import PPM
from trading_engine.rules.limits import Verdict
from trading_engine.rules.scaling import Record

Strangers = Sequence[ForeignHolding]


@dataclass(frozen=True, slots=True)
class Approved:
    """Proof that an order passed the risk manager; made by this module alone, demanded by PlaceOrder."""

    client_order_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Judged:
    """One limit with its verdict and the numbers it was computed from; `scope` is empty for global ones."""

    limit: str
    scope: str
    verdict: Verdict
    unit: str
    computed_from: tuple[tuple[str, str], ...]

    @property
    def reason(self) -> str:
        """Why entries stop, for a person."""
        where = f" on {self.scope}" if self.scope else ""
        if self.unit == "ms":
            minutes = -(-self.verdict.value // MINUTE_MS)
            return f"{self.limit}{where}: {minutes} min left of {self.verdict.threshold // MINUTE_MS}"
        if self.unit == "ticks":
            return f"{self.limit}{where}: the stop is {self.verdict.value} ticks away, it {self.verdict.threshold}"
        return f"{self.limit}{where}: {self.show(self.verdict.value)} of {self.show(self.verdict.threshold)}"

    def show(self, value: int) -> str:
        """A value of this limit as text, in its unit."""
        if self.unit == "money":
            return money.text(money.from_e8(value))
        if self.unit == "milli":
            return money.text(money.from_units(value, Decimal("0.001")))
        return str(value)


@dataclass(frozen=True, slots=True)
class Proposal:
    """An entry that wants approval: quantity and prices on step and tick; `held` is what it would be added to."""

    symbol: str
    quantity: Decimal
    price: Decimal
    stop_price: Decimal
    held: Position | None = None

    @property
    def whole_quantity(self) -> Decimal:
        """Of the position, with this entry."""
        return self.quantity + (self.held.quantity if self.held else ZERO)

    @property
    def whole_cost(self) -> Decimal:
        """Of the position, with this entry."""
        return money.add(money.multiply(self.quantity, self.price), self.held.cost if self.held else ZERO)


def time_limits(book: Book, settings: EngineSettings, symbols: tuple[str, ...], now_ms: int) -> list[Judged]:
    """R1–R4, the minimum balance and R6, from rows alone."""
    judged = [_daily_loss(book, settings, now_ms), _drawdown(book, settings, now_ms), _streak(book, settings, now_ms)]
    if settings.limits.cooldown_scope is CooldownScope.GLOBAL:
        judged.append(_cooldown(book, settings, "", now_ms))
    else:
        judged.extend(_cooldown(book, settings, symbol, now_ms) for symbol in symbols)
    judged.append(_minimum_balance(book, settings))
    judged.extend(_volatility(book, settings, symbol, now_ms) for symbol in sorted(book.shocks) or ("",))
    return judged


def _daily_loss(book: Book, settings: EngineSettings, now_ms: int) -> Judged:
    limit = settings.limits
    day = day_of(now_ms, limit.day_start_ms)
    realized = book.ledger.day(day).realized
    start = book.ledger.balance_at_start_of(day)
    verdict = limits.daily_loss(
        units.e8_down(realized),
        max(units.e8_down(start), 0),
        limit.daily_loss_ppm,
        limit.daily_loss_money_e8,
        next_day_ms(now_ms, limit.day_start_ms),
    )
    inputs = (("day", day), ("realized", money.text(realized)), ("balance_at_day_start", money.text(start)))
    return Judged("daily_loss", "", verdict, "money", inputs)


def _drawdown(book: Book, settings: EngineSettings, now_ms: int) -> Judged:
    ledger, days = book.ledger, settings.limits.drawdown_days
    highest = ledger.peak
    if days:
        highest = ledger.peak_since(day_of(now_ms - (days - 1) * DAY_MS, settings.limits.day_start_ms))
    peak = money.add(ledger.start_balance, highest)
    current = money.add(ledger.start_balance, ledger.performance)
    verdict = limits.drawdown(units.e8_down(current), units.e8_down(peak), settings.limits.drawdown_ppm)
    inputs: tuple[tuple[str, str], ...] = (("realized_equity", money.text(current)), ("peak", money.text(peak)))
    if days:
        inputs = (*inputs, ("days", str(days)))
    return Judged("drawdown", "", verdict, "money", inputs)


def record_of(ledger: Ledger, settings: EngineSettings) -> Record:
    """What the closed trades since the last rebase add up to, where sizes ask; Kelly counts the newest only."""
    if not settings.sizing.asks_record:
        return scaling.no_record()
    trades = [trade for trade in ledger.closed if trade.closed_ms > ledger.rebased_ms]
    first_counted = len(trades) - settings.sizing.kelly_trades
    record = scaling.no_record()
    for at, trade in enumerate(trades):
        record = scaling.recorded(
            record,
            units.e8_down(trade.net),
            trade.closed_ms,
            settings.limits.consecutive_losses,
            1 if at >= first_counted else 0,
        )
    return record


def streak_of(trades: tuple[ClosedTrade, ...], rebased_ms: int, limit: int) -> tuple[int, ClosedTrade | None]:
    """Losses in a row and the trade that last completed a streak of `limit`.

    Trades run oldest first. A completed streak starts the count anew, so does a win or a rebase; a result
    of exactly zero changes nothing.
    """
    count = 0
    tripped_by: ClosedTrade | None = None
    for trade in trades:
        if trade.closed_ms <= rebased_ms or trade.net == 0:
            continue
        count = limits.losses_after(count, -1 if trade.net < 0 else 1)
        if limit and count == limit:
            tripped_by, count = trade, 0
    return count, tripped_by


def _streak(book: Book, settings: EngineSettings, now_ms: int) -> Judged:
    limit = settings.limits
    count, last = streak_of(book.ledger.closed, book.ledger.rebased_ms, limit.consecutive_losses)
    verdict = Verdict(False, count, limit.consecutive_losses, 0)  # noqa: FBT003 - a verdict's first field
    if last is not None:
        paused = limits.losing_streak(
            limit.consecutive_losses, limit.consecutive_losses, last.closed_ms, limit.streak_pause_ms, now_ms
        )
        verdict = paused if paused.tripped else verdict
    name = last.position_id if last else ""
    return Judged("losing_streak", "", verdict, "count", (("losses_in_row", str(count)), ("tripped_by", name)))


def _cooldown(book: Book, settings: EngineSettings, symbol: str, now_ms: int) -> Judged:
    losses = [
        trade.closed_ms
        for trade in book.ledger.closed
        if trade.net < 0 and trade.closed_ms > book.ledger.rebased_ms and symbol in ("", trade.symbol)
    ]
    last = max(losses, default=0)
    verdict = limits.cooldown(last, settings.limits.cooldown_ms, now_ms)
    return Judged("cooldown", symbol, verdict, "ms", (("last_loss_ms", str(last)),))


def _volatility(book: Book, settings: EngineSettings, symbol: str, now_ms: int) -> Judged:
    """R6: the pause after the last candle that was too wild; without any there is one line for all symbols."""
    limit, last = settings.limits, book.shocks.get(symbol, 0)
    pause_ms = limit.shock_pause_ms if limit.shock_range_ppm or limit.shock_atr_milli else 0
    verdict = limits.cooldown(last, pause_ms, now_ms)
    return Judged("volatility", symbol, verdict, "ms", (("last_shock_ms", str(last)),))


def _minimum_balance(book: Book, settings: EngineSettings) -> Judged:
    start = book.ledger.start_balance
    verdict = limits.minimum_balance(
        units.e8_down(book.ledger.balance), units.e8_down(start), settings.limits.min_balance_ppm
    )
    inputs = (("balance", money.text(book.ledger.balance)), ("start_balance", money.text(start)))
    return Judged("minimum_balance", "", verdict, "money", inputs)


@dataclass(frozen=True, slots=True)
class Exposure:
    """Open and pending exposure of the account, pending orders counted as filled."""

    notional: Decimal
    risk: Decimal
    margin: Decimal
    positions: int


def exposed_quantity(book: Book, position: Position) -> Decimal:
    """Open quantity plus whatever a live or unresolved entry may still add."""
    pending = sum(
        (order.remaining for order in book.orders_of(position.position_id, Purpose.ENTRY) if order.is_live), ZERO
    )
    return position.quantity + pending


def exposure(book: Book, marks: Mapping[str, Decimal], strangers: Strangers = ()) -> Exposure:
    """Sums over all live positions; a position without a mark counts at its reference price.

    What strangers hold binds margin and counts a position a symbol; its stops are not known, so it adds no risk.
    """
    notional = risk = in_use = ZERO
    for item in strangers:
        notional += item.notional
        in_use += _margin_of(item.notional, item.leverage)
    for position in book.positions.values():
        quantity = exposed_quantity(book, position)
        price = marks.get(position.symbol, position.reference_price)
        entry = position.average_entry or position.reference_price
        value = quantity * price
        notional += value
        in_use += _margin_of(quantity * entry, position.leverage)
        at_stop = (entry - position.stop_price) * position.side.sign
        risk += max(quantity * at_stop, ZERO)
    return Exposure(notional, risk, in_use, len(book.positions) + len({item.symbol for item in strangers}))


def _margin_of(value: Decimal, leverage: Decimal) -> Decimal:
    return money.from_e8(margin.initial_margin_e8(units.e8_up(value), units.milli(leverage)))


def unrealized(book: Book, marks: Mapping[str, Decimal]) -> Decimal:
    """Open PnL of all positions at their marks."""
    return sum(
        (
            position.unrealized(marks[position.symbol])
            for position in book.positions.values()
            if position.symbol in marks
        ),
        ZERO,
    )


def liquidation_price(position: Position, instrument: Instrument) -> Decimal | None:
    """Estimated price at which the venue takes an isolated position over, None where none is reachable."""
    ticks = liquidation_ticks(position, instrument)
    return instrument.ticks_to_price(ticks) if ticks else None


def liquidation_ticks(position: Position, instrument: Instrument) -> int:
    """The same in ticks, 0 for none."""
    if not position.quantity:
        return 0
    return _liquidation_ticks(position.side.sign, position.cost, position.quantity, position.leverage, instrument)


def _liquidation_ticks(sign: int, cost: Decimal, quantity: Decimal, leverage: Decimal, instrument: Instrument) -> int:
    value = units.e8_up(cost)
    tiers = tuple(
        margin.Tier(units.e8_down(tier.notional_cap), int(tier.maintenance_rate * PPM), units.e8_down(tier.deduction))
        for tier in instrument.tiers
    )
    return margin.liquidation_ticks(
        sign,
        units.mticks(instrument, money.ratio(cost, quantity)),
        units.steps(instrument, quantity),
        units.value_e8(instrument),
        margin.initial_margin_e8(value, units.milli(leverage)),
        margin.tier_for(value, tiers),
    )


def available_margin(book: Book, marks: Mapping[str, Decimal], strangers: Strangers = ()) -> Decimal:
    """Balance less margin in use and open loss; open profit is not spent."""
    return book.ledger.balance - exposure(book, marks, strangers).margin + min(unrealized(book, marks), ZERO)


def exposure_limits(
    book: Book,
    marks: Mapping[str, Decimal],
    settings: EngineSettings,
    proposal: Proposal | None,
    strangers: Strangers = (),
) -> list[Judged]:
    """R5: portfolio risk, position count and size, leverage, margin; with a proposal added where one is given."""
    limit = settings.limits
    now = exposure(book, marks, strangers)
    equity = book.ledger.balance + unrealized(book, marks)
    new_notional = proposal.quantity * proposal.price if proposal else ZERO
    new_risk = proposal.quantity * abs(proposal.price - proposal.stop_price) if proposal else ZERO
    equity_e8 = units.e8_down(equity)
    available = available_margin(book, marks, strangers)
    required = sizing.reserved_margin_e8(
        units.e8_up(new_notional), units.milli(settings.leverage), settings.sizing.taker_fee_e8
    )
    inputs = (("equity", money.text(money.round_money(equity))),)
    judged = [
        Judged(
            "portfolio_risk",
            "",
            limits.portfolio_risk(units.e8_up(now.risk), units.e8_up(new_risk), equity_e8, limit.portfolio_risk_ppm),
            "money",
            (*inputs, ("open_risk", money.text(money.round_money(now.risk)))),
        ),
        Judged(
            "max_positions",
            "",
            limits.position_count(now.positions + (1 if proposal and not proposal.held else 0), limit.max_positions),
            "count",
            (("open_and_pending", str(now.positions)),),
        ),
        Judged(
            "leverage",
            "",
            limits.leverage(units.e8_up(now.notional + new_notional), max(equity_e8, 1), limit.max_leverage_milli),
            "milli",
            (*inputs, ("notional", money.text(money.round_money(now.notional)))),
        ),
    ]
    if proposal:
        judged.append(
            Judged(
                "position_size",
                proposal.symbol,
                limits.position_size(
                    units.e8_up(proposal.whole_quantity * proposal.price), equity_e8, limit.position_ppm
                ),
                "money",
                inputs,
            )
        )
        judged.append(Judged("margin", "", limits.margin(required, max(units.e8_down(available), 0)), "money", inputs))
        if limit.refuses_liquidation:
            judged.append(_liquidation(settings, proposal))
    judged.extend(_groups(book, marks, settings, proposal, strangers, equity_e8))
    return judged


def _liquidation(settings: EngineSettings, proposal: Proposal) -> Judged:
    """R7: the stop of an entry must come before its liquidation price."""
    instrument = settings.instruments[proposal.symbol]
    sign = 1 if proposal.stop_price < proposal.price else -1
    ticks = _liquidation_ticks(sign, proposal.whole_cost, proposal.whole_quantity, settings.leverage, instrument)
    entry, stop = units.ticks(instrument, proposal.price), units.ticks(instrument, proposal.stop_price)
    inputs = (
        ("leverage", money.text(settings.leverage)),
        ("liquidation", money.text(instrument.ticks_to_price(ticks))),
    )
    return Judged("liquidation", proposal.symbol, limits.liquidation(sign, entry, stop, ticks), "ticks", inputs)


def _groups(
    book: Book,
    marks: Mapping[str, Decimal],
    settings: EngineSettings,
    proposal: Proposal | None,
    strangers: Strangers,
    equity_e8: int,
) -> list[Judged]:
    """R5: what the symbols of a group are worth together; of several groups the tightest is named first."""
    judged = []
    for group in settings.limits.groups:
        if proposal is not None and proposal.symbol not in group.symbols:
            continue
        held = {key: item for key, item in book.positions.items() if item.symbol in group.symbols}
        others = [item for item in strangers if item.symbol in group.symbols]
        notional = exposure(replace(book, positions=held), marks, others).notional
        new = proposal.quantity * proposal.price if proposal else ZERO
        verdict = limits.group_exposure(units.e8_up(notional + new), equity_e8, group.share_ppm)
        inputs = (("symbols", " ".join(sorted(group.symbols))), ("notional", money.text(money.round_money(notional))))
        judged.append(Judged("group_exposure", group.name, verdict, "money", inputs))
    return sorted(judged, key=lambda item: item.verdict.threshold - item.verdict.value)


def approve_entry(
    book: Book,
    marks: Mapping[str, Decimal],
    settings: EngineSettings,
    proposal: Proposal,
    client_order_id: str,
    strangers: Strangers = (),
) -> Approved | Judged:
    """Approved, or the first limit that refuses the entry."""
    for judged in exposure_limits(book, marks, settings, proposal, strangers):
        if judged.verdict.tripped:
            return judged
    return Approved(client_order_id, "within every limit")


def approve_protective(order: Order) -> Approved:
    """Orders that can only reduce need no limit; ValueError for any other."""
    if not order.reduce_only:
        raise ValueError(f"{order.client_order_id} is not reduce-only")
    return Approved(order.client_order_id, "reduces exposure")


def approve_again(order: Order) -> Approved:
    """An intent that is already a row and provably never arrived keeps the approval it was written with."""
    return Approved(order.client_order_id, "approved when intended")
