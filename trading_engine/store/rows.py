"""What the records of one commit leave in which table: pure, used by the writer and by the audit.

What belongs here: from records to rows of everything but `positions`, `orders` and `control`, and which
positions and orders were touched. What does not: statements (sql_store), the effect of a record on the
book (core.project).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from functools import singledispatch
from typing import Any

from trading_engine.core.state import Book, Ledger
from trading_engine.domain import money
from trading_engine.domain.fills import Fill, PnlKind
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import Order, closing_side
from trading_engine.domain.position import Position
from trading_engine.domain.records import (
    AdjustmentBooked,
    AlertRaised,
    CancelIntended,
    ConfigChanged,
    ControlChanged,
    DayClosed,
    DifferenceFound,
    EntriesPaused,
    EpochChanged,
    EquitySampled,
    FillApplied,
    IncomeBooked,
    LimitsRebased,
    LimitTripped,
    MarketShocked,
    OrderIntended,
    OrderUpdated,
    PositionAdvanced,
    PositionAged,
    PositionDropped,
    PositionGrown,
    PositionOpened,
    Record,
    RunEnded,
    RunStarted,
    SignalSeen,
    StopMoved,
    StrategySwitched,
    SymbolFrozen,
)
from trading_engine.store import codec

Row = dict[str, Any]

FROM_FILL = "fill"
FROM_INCOME = "income"

_POSITION_FIELDS = tuple(item.name for item in fields(Position))
_ORDER_FIELDS = tuple(item.name for item in fields(Order))
_FILL_FIELDS = tuple(item.name for item in fields(Fill) if item.name != "ts_ms")
_DAY_FIELDS = tuple(item.name for item in fields(DayClosed))


@dataclass(slots=True)
class CommitRows:
    """Rows by table, and what else a commit changes.

    opened, intended    position and order → record that made it, for those that are new
    positions, orders   position and order → last record of this commit that touched it
    ended               (run id, ts, reason) of runs that end here
    peak_at_rebase      performance at the last rebase of the limits, None where there was none
    """

    fills: list[Row] = field(default_factory=list)
    pnl: list[Row] = field(default_factory=list)
    runs: list[Row] = field(default_factory=list)
    alert_outbox: list[Row] = field(default_factory=list)
    signals: list[Row] = field(default_factory=list)
    equity: list[Row] = field(default_factory=list)
    daily_metrics: list[Row] = field(default_factory=list)
    system_events: list[Row] = field(default_factory=list)
    opened: dict[str, int] = field(default_factory=dict)
    intended: dict[str, int] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    ended: list[tuple[str, int, str]] = field(default_factory=list)
    peak_at_rebase: Decimal | None = None


@dataclass(slots=True)
class _Walk:
    """Where the walk over the records of a commit stands."""

    rows: CommitRows
    book: Book
    ts_ms: int
    seq: int
    booking: int
    performance: Decimal


def collect(records: Sequence[Record], book: Book, ts_ms: int, first_seq: int) -> CommitRows:
    """The rows of one commit; `book` is the one after all records, with what they closed still in it."""
    rows = CommitRows()
    booked = [record for record in records if isinstance(record, FillApplied | IncomeBooked | AdjustmentBooked)]
    before = book.ledger.performance
    for booking in booked:
        before = money.subtract(before, _performance_of(booking))
    walk = _Walk(rows, book, ts_ms, first_seq, book.ledger.bookings - len(booked), before)
    for record in records:
        _collect(record, walk)
        walk.seq += 1
    return rows


def journal_rows(records: Sequence[Record], book: Book, ts_ms: int, run_id: str, first_seq: int) -> list[Row]:
    """The journal's rows of one commit; every one but the first names the first as its causation."""
    rows = []
    for offset, record in enumerate(records):
        kind, payload = codec.encode(record)
        rows.append(
            {
                "seq": first_seq + offset,
                "ts": ts_ms,
                "run_id": run_id,
                "kind": kind,
                "version": codec.PAYLOAD_VERSION,
                "correlation": correlation_of(record, book),
                "causation": first_seq if offset else None,
                "payload": payload,
            }
        )
    return rows


def correlation_of(record: Record, book: Book) -> str:
    """The position a record is about, empty where it is about none."""
    match record:
        case PositionOpened(position=position):
            return position.position_id
        case OrderIntended(order=order):
            return order.position_id
        case OrderUpdated() | CancelIntended():
            return book.orders[record.client_order_id].position_id
        case _:
            return getattr(record, "position_id", "")


def position_row(position: Position, last_seq: int) -> Row:
    """The columns of a position but `first_seq`."""
    row = {name: getattr(position, name) for name in _POSITION_FIELDS}
    row["last_seq"] = last_seq
    return row


def order_row(order: Order, last_seq: int) -> Row:
    """The columns of an order but `first_seq`."""
    row = {name: getattr(order, name) for name in _ORDER_FIELDS}
    row["last_seq"] = last_seq
    return row


def control_row(book: Book, peak_at_rebase: Decimal) -> Row:
    """The columns of `control` that follow from the book."""
    ledger: Ledger = book.ledger
    return {
        "epoch": book.epoch,
        "level": book.control.level,
        "reason": book.control.reason,
        "since_ms": book.control.since_ms,
        "next_position": book.next_position,
        "rebased_booking": ledger.rebased_booking,
        "rebased_ms": ledger.rebased_ms,
        "peak_at_rebase": peak_at_rebase,
        "frozen": codec.encode_map(book.frozen),
        "rejects": codec.encode_map(book.rejects),
        "shocks": codec.encode_map(book.shocks),
        "disabled": codec.encode_map(book.disabled),
    }


def _performance_of(record: FillApplied | IncomeBooked | AdjustmentBooked) -> Decimal:
    if isinstance(record, FillApplied):
        return money.subtract(record.gross, record.fee)
    if isinstance(record, AdjustmentBooked) or not record.income.kind.is_result:
        return ZERO
    return record.income.amount


@singledispatch
def _collect(record: object, walk: _Walk) -> None:
    del walk
    raise TypeError(f"no rows are known for {type(record).__name__}")


@_collect.register
def _(record: RunStarted, walk: _Walk) -> None:
    walk.rows.runs.append(
        {
            "seq": walk.seq,
            "run_id": record.run_id,
            "version": record.version,
            "mode": record.mode,
            "config_hash": record.config_hash,
            "started": walk.ts_ms,
            "ended": None,
            "how": None,
        }
    )


@_collect.register
def _(record: RunEnded, walk: _Walk) -> None:
    walk.rows.ended.append((record.run_id, walk.ts_ms, record.reason))
    _event(walk, "RunEnded", "", record.reason)


@_collect.register
def _(record: SignalSeen, walk: _Walk) -> None:
    signal = record.signal
    walk.rows.signals.append(
        {
            "seq": walk.seq,
            "strategy": signal.strategy,
            "symbol": signal.symbol,
            "candle_ts": signal.candle_ts_ms,
            "side": signal.side,
            "exit_side": signal.exit_side,
            "confidence": signal.confidence,
            "tag": signal.tag,
            "fate": record.fate,
            "reason": record.reason,
            "position_id": record.position_id,
            "explanation": codec.encode_pairs(signal.explanation),
            "inputs": codec.encode_pairs(record.inputs),
        }
    )


@_collect.register
def _(record: PositionOpened, walk: _Walk) -> None:
    walk.rows.opened[record.position.position_id] = walk.seq
    walk.rows.positions[record.position.position_id] = walk.seq


@_collect.register(PositionAdvanced | PositionGrown | StopMoved | PositionAged)
def _(record: PositionAdvanced | PositionGrown | StopMoved | PositionAged, walk: _Walk) -> None:
    walk.rows.positions[record.position_id] = walk.seq


@_collect.register
def _(record: PositionDropped, walk: _Walk) -> None:
    position = walk.book.positions[record.position_id]
    walk.rows.positions[record.position_id] = walk.seq
    text = f"{record.position_id}, {money.text(record.quantity)} {position.side}, by {record.actor}: {record.reason}"
    _event(walk, "PositionDropped", position.symbol, text)


@_collect.register
def _(record: OrderIntended, walk: _Walk) -> None:
    walk.rows.intended[record.order.client_order_id] = walk.seq
    walk.rows.orders[record.order.client_order_id] = walk.seq


@_collect.register(OrderUpdated | CancelIntended)
def _(record: OrderUpdated | CancelIntended, walk: _Walk) -> None:
    walk.rows.orders[record.client_order_id] = walk.seq


@_collect.register
def _(record: FillApplied, walk: _Walk) -> None:
    fill = record.fill
    rows = walk.rows
    rows.positions[record.position_id] = walk.seq
    if fill.client_order_id in walk.book.orders:
        rows.orders[fill.client_order_id] = walk.seq
    row = {name: getattr(fill, name) for name in _FILL_FIELDS}
    row.update(seq=walk.seq, position_id=record.position_id, ts=fill.ts_ms)
    rows.fills.append(row)
    walk.booking += 1
    walk.performance = money.add(walk.performance, _performance_of(record))
    position = walk.book.positions[record.position_id]
    is_closing = bool(record.gross) or fill.side is closing_side(position.side)
    if is_closing:
        kind = PnlKind.LIQUIDATION if fill.is_liquidation else PnlKind.TRADE
        rows.pnl.append(_fill_pnl(record, walk, kind, record.gross))
    if record.fee or not is_closing:  # an opening without a fee leaves a row too: no booking is without one
        rows.pnl.append(_fill_pnl(record, walk, PnlKind.FEE, money.subtract(ZERO, record.fee)))
    if record.adjustment:
        rows.pnl.append({**_fill_pnl(record, walk, PnlKind.ADJUSTMENT, record.adjustment), "position_id": None})


def _fill_pnl(record: FillApplied, walk: _Walk, kind: PnlKind, amount: Decimal) -> Row:
    fill = record.fill
    return {
        "booking": walk.booking,
        "source": FROM_FILL,
        "kind": kind,
        "amount": amount,
        "asset": record.settle_asset,
        "symbol": fill.symbol,
        "position_id": record.position_id,
        "ts": fill.ts_ms,
        "day": record.day,
        "source_id": fill.key,
        "seq": walk.seq,
    }


@_collect.register
def _(record: IncomeBooked, walk: _Walk) -> None:
    income = record.income
    is_result = income.kind.is_result
    if record.position_id in walk.book.positions and is_result:
        walk.rows.positions[record.position_id] = walk.seq
    walk.booking += 1
    walk.performance = money.add(walk.performance, _performance_of(record))
    walk.rows.pnl.append(
        {
            "booking": walk.booking,
            "source": FROM_INCOME,
            "kind": income.kind,
            "amount": income.amount,
            "asset": income.asset,
            "symbol": income.symbol,
            "position_id": record.position_id or None if is_result else None,
            "ts": income.ts_ms,
            "day": record.day,
            "source_id": income.key,
            "seq": walk.seq,
        }
    )


@_collect.register
def _(record: AdjustmentBooked, walk: _Walk) -> None:
    walk.booking += 1
    walk.rows.pnl.append(
        {
            "booking": walk.booking,
            "source": FROM_INCOME,
            "kind": PnlKind.ADJUSTMENT,
            "amount": record.amount,
            "asset": record.asset,
            "symbol": record.symbol,
            "position_id": None,
            "ts": record.ts_ms,
            "day": record.day,
            "source_id": record.key,
            "seq": walk.seq,
        }
    )
    text = f"{money.text(record.amount)} {record.asset} by {record.actor}: {record.reason}"
    _event(walk, "AdjustmentBooked", record.symbol, text)


@_collect.register
def _(record: ControlChanged, walk: _Walk) -> None:
    _event(walk, "ControlChanged", "", f"{record.level} by {record.actor}: {record.reason}")


@_collect.register
def _(record: StrategySwitched, walk: _Walk) -> None:
    now = "enabled" if record.is_enabled else "disabled"
    _event(walk, "StrategySwitched", "", f"{record.strategy} {now} by {record.actor}")


@_collect.register
def _(record: EntriesPaused, walk: _Walk) -> None:
    now = "paused" if record.is_paused else "allowed again"
    _event(walk, "EntriesPaused", record.symbol, f"entries {now} by {record.actor}")


@_collect.register
def _(record: EpochChanged, walk: _Walk) -> None:
    _event(walk, "EpochChanged", "", f"ids begin with {record.epoch}: {record.reason}")


@_collect.register
def _(record: ConfigChanged, walk: _Walk) -> None:
    _event(walk, "ConfigChanged", "", f"{record.config_hash} by {record.actor}: {', '.join(record.keys)}")


@_collect.register
def _(record: LimitsRebased, walk: _Walk) -> None:
    walk.rows.peak_at_rebase = walk.performance
    _event(walk, "LimitsRebased", "", f"by {record.actor}")


@_collect.register
def _(record: LimitTripped, walk: _Walk) -> None:
    _event(walk, "LimitTripped", "", f"{record.limit} ({record.scope}): {record.value} of {record.threshold}")


@_collect.register
def _(record: MarketShocked, walk: _Walk) -> None:
    _event(walk, "MarketShocked", record.symbol, f"{record.measure}: {record.value} of {record.threshold}")


@_collect.register
def _(record: SymbolFrozen, walk: _Walk) -> None:
    _event(walk, "SymbolFrozen", record.symbol, record.reason)


@_collect.register
def _(record: DifferenceFound, walk: _Walk) -> None:
    local, venue = record.local or "nothing", record.venue or "nothing"
    text = f"{record.kind}: here {local}, venue {venue}; {record.action}"
    _event(walk, "DifferenceFound", record.symbol, text)


@_collect.register
def _(record: AlertRaised, walk: _Walk) -> None:
    walk.rows.alert_outbox.append(
        {
            "seq": walk.seq,
            "ts": walk.ts_ms,
            "severity": record.severity,
            "key": record.key,
            "text": record.text,
            "attempts": 0,
            "next_try_ms": 0,
            "last_error": "",
            "sent_at": None,
        }
    )


@_collect.register
def _(record: EquitySampled, walk: _Walk) -> None:
    walk.rows.equity.append(
        {
            "seq": walk.seq,
            "ts": record.ts_ms,
            "balance": record.balance,
            "unrealized": record.unrealized,
            "equity": money.add(record.balance, record.unrealized),
        }
    )


@_collect.register
def _(record: DayClosed, walk: _Walk) -> None:
    walk.rows.daily_metrics.append({name: getattr(record, name) for name in _DAY_FIELDS})


def _event(walk: _Walk, kind: str, symbol: str, text: str) -> None:
    walk.rows.system_events.append({"seq": walk.seq, "ts": walk.ts_ms, "kind": kind, "symbol": symbol, "text": text})
