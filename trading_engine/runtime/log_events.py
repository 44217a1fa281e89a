"""What committed records leave in the log: one line each, with the kind of event as a field.

What belongs here: which records are worth a line, its level and words. What does not: where lines go (system.logging),
what a person is told (alerts).

Kinds: alert, trade, signal, risk, performance, api. The journal is the evidence; these lines are for looking on.
"""

from loguru import logger

from trading_engine.domain import money
from trading_engine.domain.records import (
    AlertRaised,
    DayClosed,
    EquitySampled,
    FillApplied,
    LimitTripped,
    PositionAdvanced,
    Record,
    SignalSeen,
)
from trading_engine.domain.severity import Severity

_LEVELS = {Severity.INFO: "INFO", Severity.WARNING: "WARNING"}


def log_record(ts_ms: int, record: Record) -> None:
    """Write the line of a record that has one; `ts_ms` is the engine's time."""
    match record:
        case AlertRaised():
            level = _LEVELS.get(record.severity, "ERROR")
            logger.bind(event="alert", event_ms=ts_ms, alert=record.key).log(level, record.text)
        case FillApplied():
            fill = record.fill
            line = logger.bind(
                event="trade", event_ms=ts_ms, position_id=record.position_id, client_order_id=fill.client_order_id
            )
            quantity, price, fee, gross = map(money.text, (fill.quantity, fill.price, fill.fee, record.gross))
            if fill.fee_asset != record.settle_asset:
                fee = f"{fee} {fill.fee_asset}, which is not booked"
            line.info("{} {} {} at {}, fee {}, gross {}", fill.symbol, fill.side, quantity, price, fee, gross)
        case PositionAdvanced():
            logger.bind(event="trade", event_ms=ts_ms, position_id=record.position_id).debug(
                "{} {} -> {}: {}", record.position_id, record.source, record.target, record.cause
            )
        case SignalSeen():
            signal = record.signal
            logger.bind(event="signal", event_ms=ts_ms, strategy=signal.strategy).debug(
                "{} {} {}: {} ({})", signal.symbol, signal.strategy, signal.side, record.fate, record.reason
            )
        case LimitTripped():
            where = f" on {record.scope}" if record.scope else ""
            told = (record.limit, where, record.value, record.threshold)
            logger.bind(event="risk", event_ms=ts_ms).debug("{}{}: {} of {}", *told)
        case EquitySampled():
            logger.bind(event="performance", event_ms=ts_ms).debug(
                "balance {}, open {}", money.text(record.balance), money.text(record.unrealized)
            )
        case DayClosed():
            figures = (record.day, money.text(record.realized), record.trades, record.wins)
            logger.bind(event="performance", event_ms=ts_ms).info("{}: realized {}, {} trades, {} won", *figures)
        case _:
            return


def log_call(kind: str, took_ms: int) -> None:
    """Write the line of a request to the venue."""
    logger.bind(event="api", took_ms=took_ms).debug("{} answered after {} ms", kind, took_ms)
