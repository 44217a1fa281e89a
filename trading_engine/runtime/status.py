"""What readers see of the volatile view: gates and limits, computed with the very functions that decide.

What belongs here: turning core's judgements into rows of a checkpoint. What does not: showing them (cli).
"""

from decimal import Decimal

from trading_engine.core import gates, risk
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import EngineState
from trading_engine.domain import money
from trading_engine.ports import Checkpoint, GateStatus, LimitStatus


def checkpoint(state: EngineState, settings: EngineSettings, now_ms: int) -> Checkpoint:
    """Progress, marks, gates and limits as of now."""
    market = state.market
    return Checkpoint(
        cursor_ms=market.closed_ms,
        marks=tuple((symbol, money.text(price)) for symbol, price in sorted(market.marks.items())),
        decided_ms=market.decided_ms,
        reconciled_ms=market.reconciled_ms,
        gates=_gates(state, settings, now_ms),
        limits=_limits(state, settings, now_ms),
        unrealized=money.text(money.round_money(risk.unrealized(state.book, market.marks))),
        liquidations=_liquidations(state, settings),
    )


def _liquidations(state: EngineState, settings: EngineSettings) -> tuple[tuple[str, str], ...]:
    rows = []
    for position in state.book.positions.values():
        instrument = settings.instruments.get(position.symbol)
        price = risk.liquidation_price(position, instrument) if instrument else None
        if price is not None:
            rows.append((position.position_id, money.text(price)))
    return tuple(rows)


def _gates(state: EngineState, settings: EngineSettings, now_ms: int) -> tuple[GateStatus, ...]:
    general = gates.general_gates(state, settings, now_ms)
    rows = []
    for symbol in sorted(settings.instruments):
        reasons = (*general, *gates.symbol_gates(state, settings, symbol, now_ms))
        rows.append(GateStatus(symbol, not reasons, reasons))
    return tuple(rows)


def _limits(state: EngineState, settings: EngineSettings, now_ms: int) -> tuple[LimitStatus, ...]:
    book = state.book
    judged = risk.time_limits(book, settings, tuple(sorted(settings.instruments)), now_ms)
    judged += risk.exposure_limits(book, state.market.marks, settings, None)
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
        for item in judged
    )


def _used_pct(item: risk.Judged) -> str:
    threshold = item.verdict.threshold
    if not threshold:
        return "0"
    if item.limit == "minimum_balance":  # a floor: used up when the balance has come down to it
        return money.text((Decimal(threshold) * 100 / max(item.verdict.value, 1)).quantize(Decimal("0.01")))
    return money.text((Decimal(item.verdict.value) * 100 / threshold).quantize(Decimal("0.01")))
