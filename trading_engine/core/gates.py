"""May this symbol be entered now? Every reason why not.

What belongs here: the gates of an entry, each with a reason a person understands. What does not: limits'
arithmetic (risk), anything about exits: exits are never gated.
"""

from collections.abc import Iterator, Sequence

from trading_engine.core import risk
from trading_engine.core.protect import is_covered
from trading_engine.core.risk import Judged
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import Book, EngineState
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.events import FeedFault
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import OrderState
from trading_engine.domain.time import iso
from trading_engine.rules.integers import PPM

WALLET_TOLERANCE_PPM = 1_000  # of the balance: what a venue's rounding may take, and what no size feels


def entry_gates(state: EngineState, settings: EngineSettings, symbol: str, now_ms: int) -> tuple[str, ...]:
    """All reasons against an entry on `symbol` at `now_ms`; empty means go."""
    judged = risk.time_limits(state.book, settings, (symbol,), now_ms)
    return (*general_gates(state, settings, judged), *symbol_gates(state, symbol, judged))


def general_gates(state: EngineState, settings: EngineSettings, limits: Sequence[Judged]) -> tuple[str, ...]:
    """Reasons that hold for every symbol; `limits` are the judged time limits, whatever their scope."""
    book = state.book
    reasons = [*_of_operator(book), *_of_venue(state, settings), *_of_host(state, settings)]
    reasons.extend(
        f"{position.symbol}: stop of {position.position_id} is not confirmed"
        for position in book.positions.values()
        if position.state is PositionState.OPEN and not is_covered(book, position)
    )
    for judged in limits:
        if judged.verdict.tripped and not judged.scope:
            until = f" until {iso(judged.verdict.until_ms)}" if judged.verdict.until_ms else ""
            reasons.append(judged.reason + until)
    return tuple(reasons)


def _of_operator(book: Book) -> Iterator[str]:
    if book.control.level is not Level.RUN:
        yield f"kill switch at {book.control.level}: {book.control.reason}"
    if book.paused_since():
        yield f"paused by an operator since {iso(book.paused_since())}"


def _of_venue(state: EngineState, settings: EngineSettings) -> Iterator[str]:
    """What is wrong between the venue and us."""
    market = state.market
    if not market.is_synced:
        yield "not reconciled with the venue yet"
    if market.is_outage_told:
        yield f"the venue is out of reach since {iso(market.lost_ms)}"
    yield from _missing_money(state)
    if market.errors.blocked_ms:
        since = iso(market.errors.blocked_ms)
        yield f"errors of the venue block entries since {since}, the last one: {market.errors.why}"
    limit_ms = settings.execution.clock_limit_ms
    if market.clock_off_ms > limit_ms:
        yield f"the clock is {market.clock_off_ms} ms off the venue's, at most {limit_ms} are allowed"
    if market.key_refused is not None:
        yield f"the venue refuses the key since {iso(market.key_refused.since_ms)} ({market.key_refused.why})"


def _of_host(state: EngineState, settings: EngineSettings) -> Iterator[str]:
    free_mb, least_mb = state.market.host.disk_free_mb, settings.tell.disk_shut_mb
    if free_mb is not None and free_mb < least_mb:
        yield f"{free_mb} MB are free on the disk, at least {least_mb} are needed"


def _missing_money(state: EngineState) -> Iterator[str]:
    """An unexplained loss: sizes and limits would rest on money that is not there."""
    missing = -min(state.market.wallet_gap, ZERO)
    if missing * PPM > max(state.book.ledger.balance, ZERO) * WALLET_TOLERANCE_PPM:
        yield (
            f"the wallet holds {money.text(missing)} less than the ledger: `trading-engine reconcile --apply"
            " --book-gap` books it"
        )


def symbol_gates(state: EngineState, symbol: str, limits: Sequence[Judged]) -> tuple[str, ...]:
    """Reasons that hold for one symbol only; of `limits` those with this scope count."""
    book = state.book
    reasons: list[str] = []
    if book.paused_since(symbol):
        reasons.append(f"{symbol} paused by an operator since {iso(book.paused_since(symbol))}")
    if symbol in book.frozen:
        reasons.append(f"frozen: {book.frozen[symbol]}")
    stale_ms = state.market.feed_faults.get((FeedFault.STALE, symbol))
    if stale_ms is not None:
        reasons.append(f"market data is stale since {iso(stale_ms)}")
    if symbol in state.market.doubts:
        reasons.append("the venue holds another quantity than we do; looking again")
    reasons.extend(
        f"order {order.client_order_id} is unknown"
        for order in book.orders.values()
        if order.symbol == symbol and order.state is OrderState.UNKNOWN
    )
    reasons.extend(
        f"{judged.reason} until {iso(judged.verdict.until_ms)}"
        for judged in limits
        if judged.scope == symbol and judged.verdict.tripped
    )
    return tuple(reasons)
