"""What readers see of the volatile view: gates and limits, computed with the very functions that decide.

What belongs here: turning core's judgements into rows of a checkpoint, and what a resume would release. What
does not: showing them (cli).
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from trading_engine.core import gates, risk
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import Book, EngineState, Market
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.ports import Checkpoint, GateStatus, LimitStatus

SIGNALS_ONLY = "signals only: nothing is sent to the venue"
# A resume counts these anew; a daily loss ends with its day, a balance or an exposure by itself.
_RESUMABLE = frozenset({"drawdown", "losing_streak", "cooldown", "volatility"})
NOTHING_TO_RESUME = (
    "nothing to resume: the kill switch is at RUN, no symbol is frozen, and no limit that a resume lifts has tripped"
    " (drawdown, losing_streak, cooldown, volatility)"
)


def checkpoint(state: EngineState, settings: EngineSettings, now_ms: int) -> Checkpoint:
    """Progress, marks, gates and limits as of now."""
    market = state.market
    judged = risk.time_limits(state.book, settings, tuple(sorted(settings.instruments)), now_ms)
    return Checkpoint(
        cursor_ms=market.closed_ms,
        marks=tuple((symbol, money.text(price)) for symbol, price in sorted(market.marks.items())),
        decided_ms=market.decided_ms,
        reconciled_ms=market.reconciled_ms,
        gates=_gates(state, settings, judged),
        limits=_limits(state, settings, judged),
        unrealized=money.text(money.round_money(risk.unrealized(state.book, market.marks))),
        liquidations=_liquidations(state, settings),
        foreign=tuple(market.foreign[symbol] for symbol in sorted(market.foreign)),
        turbulence=tuple(sorted(market.turbulence.items())),
        foreign_orders=tuple(sorted(market.foreign_orders.items(), key=lambda item: item[0])),
        signals_only=settings.signals_only,
        unbooked=tuple(sorted(market.unbooked.items())),
    )


def view_of(seen: Checkpoint) -> Market:
    """The volatile view that a restart goes on from; nothing of it is trusted before a reconciliation."""
    return Market(
        marks={symbol: Decimal(price) for symbol, price in seen.marks},
        closed_ms=seen.cursor_ms,
        decided_ms=seen.decided_ms,
        reconciled_ms=seen.reconciled_ms,
        foreign={item.symbol: item for item in seen.foreign},
        foreign_orders=dict(seen.foreign_orders),
        turbulence=dict(seen.turbulence),
        unbooked=dict(seen.unbooked),
    )


def _liquidations(state: EngineState, settings: EngineSettings) -> tuple[tuple[str, str], ...]:
    rows = []
    for position in state.book.positions.values():
        instrument = settings.instruments.get(position.symbol)
        price = risk.liquidation_price(position, instrument) if instrument else None
        if price is not None:
            rows.append((position.position_id, money.text(price)))
    return tuple(rows)


def _gates(state: EngineState, settings: EngineSettings, judged: Sequence[risk.Judged]) -> tuple[GateStatus, ...]:
    only = (SIGNALS_ONLY,) if settings.signals_only else ()
    general = (*only, *gates.general_gates(state, settings, judged))
    rows = []
    for symbol in sorted(settings.instruments):
        reasons = (*general, *gates.symbol_gates(state, symbol, judged))
        rows.append(GateStatus(symbol, not reasons, reasons))
    return tuple(rows)


def released(book: Book, judged: Iterable[LimitStatus]) -> tuple[str, ...]:
    """What a resume would release, in words; empty where it would only count peak and streak anew."""
    level = book.control.level
    parts = [] if level is Level.RUN else [f"kill switch was at {level}"]
    parts += [f"{symbol} was frozen" for symbol in sorted(book.frozen)]
    for item in judged:
        if item.tripped and item.limit in _RESUMABLE:
            parts.append(f"{item.limit}{f' on {item.scope}' if item.scope else ''} had tripped")
    return tuple(parts)


def resumed(parts: tuple[str, ...]) -> str:
    """The beginning of the answer to a resume that has released something."""
    also = f", also: {', '.join(parts[1:])}" if len(parts) > 1 else ""
    return f"resumed ({parts[0]}){also}"


def switched(strategy: str, *, is_enabled: bool, is_new: bool) -> str:
    """The answer to an operator who has switched a strategy."""
    if is_enabled:
        return f"{strategy} may make entries {'again' if is_new else 'already'}"
    state = "makes no entries from now on" if is_new else "makes no entries already"
    return f"{strategy} {state}; its positions keep their stops, and its exits are taken"


def paused(symbol: str, *, is_new: bool) -> str:
    """The answer to an operator who has paused a symbol, or everything (empty)."""
    what = f"no entries on {symbol}" if symbol else "no entries"
    since = "from now on" if is_new else "already"
    return f"{what} {since}, over restarts, until `resume{_of(symbol)}`; positions are managed as ever"


def lifted(symbol: str, *, is_new: bool) -> str:
    """The answer to an operator who has ended a pause."""
    where = f" on {symbol}" if symbol else ""
    return f"entries{where} {'again; no limit was counted anew' if is_new else 'are not paused'}"


def _of(symbol: str) -> str:
    return f" {symbol}" if symbol else ""


def limits(state: EngineState, settings: EngineSettings, now_ms: int) -> tuple[LimitStatus, ...]:
    """Every limit as it stands now."""
    judged = risk.time_limits(state.book, settings, tuple(sorted(settings.instruments)), now_ms)
    return _limits(state, settings, judged)


def _limits(state: EngineState, settings: EngineSettings, judged: Sequence[risk.Judged]) -> tuple[LimitStatus, ...]:
    exposed = risk.exposure_limits(state.book, state.market.marks, settings, None, state.market.strangers)
    return tuple(
        LimitStatus(
            item.limit,
            item.scope,
            item.show(item.verdict.value),
            item.show(item.verdict.threshold),
            _used_pct(item),
            item.verdict.tripped,
            item.verdict.until_ms,
            item.computed_from,
        )
        for item in (*judged, *exposed)
    )


def _used_pct(item: risk.Judged) -> str:
    threshold = item.verdict.threshold
    if not threshold:
        return "0"
    if item.limit == "minimum_balance":  # a floor: used up when the balance has come down to it
        return money.text((Decimal(threshold) * 100 / max(item.verdict.value, 1)).quantize(Decimal("0.01")))
    return money.text((Decimal(item.verdict.value) * 100 / threshold).quantize(Decimal("0.01")))
