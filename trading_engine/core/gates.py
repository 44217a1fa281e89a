"""May this symbol be entered now? Every reason why not.

What belongs here: the gates of an entry, each with a reason a person understands. What does not: limits'
arithmetic (risk), anything about exits: exits are never gated.
"""

from collections.abc import Sequence

from trading_engine.core import risk
from trading_engine.core.protect import is_covered
from trading_engine.core.risk import Judged
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import EngineState
from trading_engine.domain.control import Level
from trading_engine.domain.events import FeedFault
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.orders import OrderState
from trading_engine.domain.time import iso


def entry_gates(state: EngineState, settings: EngineSettings, symbol: str, now_ms: int) -> tuple[str, ...]:
    """All reasons against an entry on `symbol` at `now_ms`; empty means go."""
    judged = risk.time_limits(state.book, settings, (symbol,), now_ms)
    return (*general_gates(state, settings, judged), *symbol_gates(state, symbol, judged))


def general_gates(state: EngineState, settings: EngineSettings, limits: Sequence[Judged]) -> tuple[str, ...]:
    """Reasons that hold for every symbol; `limits` are the judged time limits, whatever their scope."""
    book = state.book
    reasons: list[str] = []
    if book.control.level is not Level.RUN:
        reasons.append(f"kill switch at {book.control.level}: {book.control.reason}")
    if book.paused_since():
        reasons.append(f"paused by an operator since {iso(book.paused_since())}")
    if not state.market.is_synced:
        reasons.append("not reconciled with the venue yet")
    if state.market.is_outage_told:
        reasons.append(f"the venue is out of reach since {iso(state.market.lost_ms)}")
    errors = state.market.errors
    if errors.blocked_ms:
        since = iso(errors.blocked_ms)
        reasons.append(f"errors of the venue block entries since {since}, the last one: {errors.why}")
    if state.market.clock_off_ms > settings.execution.clock_limit_ms:
        limit_ms = settings.execution.clock_limit_ms
        reasons.append(f"the clock is {state.market.clock_off_ms} ms off the venue's, at most {limit_ms} are allowed")
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
