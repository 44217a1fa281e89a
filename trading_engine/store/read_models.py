"""What people ask of the database, while the engine runs or not.

What belongs here: read-only questions with plain values as answers (Decimal, milliseconds). What does
not: formatting (cli), checks (audit), anything that writes.

Each question is one short transaction: a long one would keep the engine's log from being folded in.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, Engine, Row, Select, case, exists, func, literal, or_, select

from trading_engine.core.state import Ledger
from trading_engine.domain import money
from trading_engine.domain.control import Control, Level
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import Order, OrderState
from trading_engine.domain.position import Position
from trading_engine.ports import Checkpoint
from trading_engine.store import codec, days, engine, loading, measuring, schema_version
from trading_engine.store import tables as t

_UNRESOLVED = [state for state in OrderState if state.is_unresolved]
_LIVE = [state for state in OrderState if not state.is_terminal]


class Counts(NamedTuple):
    """How many rows there are, and how many of them are live; `unresolved_orders` are INTENT or UNKNOWN."""

    positions: int
    orders: int
    fills: int
    journal: int
    open_positions: int
    live_orders: int
    unresolved_orders: int
    unsent_alerts: int


@dataclass(frozen=True, slots=True)
class ControlView:
    """Whose database it is, the kill switch, and the volatile view of the last commit.

    checkpoint   None before the first commit
    """

    venue: str
    account: str
    epoch: str
    control: Control
    frozen: dict[str, str]
    disabled: dict[str, int]
    rejects: dict[str, int]
    checkpoint: Checkpoint | None


@dataclass(frozen=True, slots=True)
class PositionView:
    """A position, and whether confirmed reduce-only stops cover all of it."""

    position: Position
    is_stop_confirmed: bool


@dataclass(frozen=True, slots=True)
class Trade:
    """A closed position; `funding` and `net_pnl` include what the venue booked after the close.

    left_out   asset and sum of fees that another wallet has paid: they are in no other figure here
    """

    position_id: str
    symbol: str
    side: str
    strategy: str
    tag: str
    opened_ms: int
    closed_ms: int
    entry_price: Decimal | None
    exit_price: Decimal | None
    quantity: Decimal
    gross_pnl: Decimal
    fees: Decimal
    funding: Decimal
    net_pnl: Decimal
    r_multiple: Decimal | None
    close_reason: str
    fills: int
    residual_of: str
    left_out: tuple[tuple[str, Decimal], ...] = ()


class SignalView(NamedTuple):
    """A signal and its fate; `explanation` and `inputs` (of the size) hold (name, text) pairs."""

    seq: int
    strategy: str
    symbol: str
    candle_ms: int
    side: str | None
    exit_side: str | None
    confidence: float
    tag: str
    fate: str
    reason: str
    position_id: str
    explanation: tuple[tuple[str, str], ...]
    inputs: tuple[tuple[str, str], ...]


class RunView(NamedTuple):
    """A run; `ended_ms` and `how` are None while it lasts, and for ever where it crashed."""

    run_id: str
    version: str
    mode: str
    config_hash: str
    started_ms: int
    ended_ms: int | None
    how: str | None


class JournalView(NamedTuple):
    """A journal record as it is written."""

    seq: int
    ts_ms: int
    run_id: str
    kind: str
    version: int
    correlation: str
    causation: int | None
    payload: str


class EquityPoint(NamedTuple):
    """A point of the equity curve."""

    ts_ms: int
    balance: Decimal
    unrealized: Decimal
    equity: Decimal


class AlertView(NamedTuple):
    """An alert; `sent_ms` None while it waits, with why it could not be sent last."""

    ts_ms: int
    severity: str
    key: str
    text: str
    sent_ms: int | None
    last_error: str


class EventView(NamedTuple):
    """A line of `system_events`."""

    seq: int
    ts_ms: int
    kind: str
    symbol: str
    text: str


@dataclass(frozen=True, slots=True)
class TradeFilter:
    """Which trades are asked for; `since_ms` is compared with the close, None stands for every."""

    limit: int | None = None
    symbol: str | None = None
    strategy: str | None = None
    since_ms: int | None = None
    include_abandoned: bool = False


@dataclass(slots=True)
class Reader:
    """Questions to one database file. Lists are newest first."""

    path: Path
    _engine: Engine = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Self:
        """A reader of the database at `path`; ConfigInvalid where there is none of ours with this schema."""
        engine.check_file(path)
        reader = cls(path, engine.create_reader(path))
        with reader._reading() as connection:
            schema_version.require_head(connection, path)
        return reader

    def __enter__(self) -> Self:
        """The reader itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._engine.dispose()

    def status_counts(self) -> Counts:
        """How many rows there are."""
        with self._reading() as connection:
            return Counts(
                positions=_count(connection, select(t.positions.c.number)),
                orders=_count(connection, select(t.orders.c.first_seq)),
                fills=_count(connection, select(t.fills.c.seq)),
                journal=_count(connection, select(t.journal.c.seq)),
                open_positions=_count(
                    connection,
                    select(t.positions.c.number).where(t.positions.c.state != PositionState.CLOSED),
                ),
                live_orders=_count(connection, select(t.orders.c.first_seq).where(t.orders.c.state.in_(_LIVE))),
                unresolved_orders=_count(
                    connection, select(t.orders.c.first_seq).where(t.orders.c.state.in_(_UNRESOLVED))
                ),
                unsent_alerts=_count(connection, select(t.alert_outbox.c.id).where(t.alert_outbox.c.sent_at.is_(None))),
            )

    def control(self) -> ControlView:
        """The kill switch and the volatile view of the last commit."""
        with self._reading() as connection:
            row = connection.execute(select(t.control)).one()
            return ControlView(
                venue=row.venue,
                account=row.account,
                epoch=row.epoch,
                control=Control(Level(row.level), row.reason, row.since_ms),
                frozen=codec.decode_map(row.frozen),
                disabled=codec.decode_map(row.disabled),
                rejects=codec.decode_map(row.rejects),
                checkpoint=loading.load_checkpoint(connection),
            )

    def ledger(self) -> Ledger:
        """Balance, peak, days and recent trades, summed up from the pnl rows."""
        with self._reading() as connection:
            return loading.load_ledger(connection)

    def positions(self, *, include_closed: bool = False) -> list[PositionView]:
        """Positions, the last opened first."""
        query = select(t.positions).order_by(t.positions.c.number.desc())
        if not include_closed:
            query = query.where(t.positions.c.state != PositionState.CLOSED)
        with self._reading() as connection:
            found = [loading.position_from(row) for row in connection.execute(query)]
            covered = stop_cover(connection)
        return [
            PositionView(item, item.quantity > 0 and covered.get(item.position_id, ZERO) >= item.quantity)
            for item in found
        ]

    def trades(self, wanted: TradeFilter | None = None) -> list[Trade]:
        """Closed positions, the last closed first; entries that were never filled only where asked for."""
        query = _trades_query(wanted or TradeFilter())
        with self._reading() as connection:
            found = [loading.position_from(row) for row in connection.execute(query)]
            ids = [item.position_id for item in found]
            nets, left_out = net_by_position(connection, ids), _fees_left_out(connection, ids)
        return [_trade(item, nets.get(item.position_id, ZERO), left_out.get(item.position_id, {})) for item in found]

    def orders(self, limit: int | None = None) -> list[Order]:
        """Orders, the last intended first."""
        query = select(t.orders).order_by(t.orders.c.first_seq.desc()).limit(limit)
        with self._reading() as connection:
            return [loading.order_from(row) for row in connection.execute(query)]

    def signals(self, limit: int | None = None) -> list[SignalView]:
        """Signals with their fates."""
        query = select(t.signals).order_by(t.signals.c.seq.desc()).limit(limit)
        with self._reading() as connection:
            return [_signal(row) for row in connection.execute(query)]

    def runs(self, limit: int | None = None) -> list[RunView]:
        """Runs, the last started first."""
        query = select(t.runs).order_by(t.runs.c.seq.desc()).limit(limit)
        with self._reading() as connection:
            return [
                RunView(row.run_id, row.version, row.mode, row.config_hash, row.started, row.ended, row.how)
                for row in connection.execute(query)
            ]

    def last_run(self) -> RunView | None:
        """The run that started last, None where none ever did."""
        found = self.runs(1)
        return found[0] if found else None

    def journal(self, limit: int | None = None, *, correlation: str | None = None) -> list[JournalView]:
        """Journal records, of one position where `correlation` names it."""
        query = select(t.journal).order_by(t.journal.c.seq.desc()).limit(limit)
        if correlation is not None:
            query = query.where(t.journal.c.correlation == correlation)
        with self._reading() as connection:
            return [JournalView(*row) for row in connection.execute(query)]

    def equity(self, limit: int | None = None, *, since_ms: int | None = None) -> list[EquityPoint]:
        """Points of the equity curve."""
        columns = t.equity.c
        query = select(columns.ts, columns.balance, columns.unrealized, columns.equity)
        if since_ms is not None:
            query = query.where(columns.ts >= since_ms)
        with self._reading() as connection:
            return [EquityPoint(*row) for row in connection.execute(query.order_by(columns.seq.desc()).limit(limit))]

    def days(self) -> list[days.DayView]:
        """Trading days, the one that still runs first."""
        with self._reading() as connection:
            return [*days.read(connection)][::-1]

    def measured(self, limit: int | None = None, name: str | None = None) -> list[measuring.MeasuredAt]:
        """What was measured of the process and the venue, of one name where it is given."""
        with self._reading() as connection:
            return measuring.read(connection, limit, name)

    def slippages_bps(self, after_seq: int = 0) -> list[float]:
        """How much worse than meant each fill after a journal record was, in basis points."""
        with self._reading() as connection:
            return measuring.slippages_bps(connection, after_seq)

    def alerts(self, limit: int | None = None) -> list[AlertView]:
        """What people were told, or wait to be told."""
        columns = t.alert_outbox.c
        query = select(columns.ts, columns.severity, columns.key, columns.text, columns.sent_at, columns.last_error)
        with self._reading() as connection:
            return [AlertView(*row) for row in connection.execute(query.order_by(columns.id.desc()).limit(limit))]

    def events(self, limit: int | None = None) -> list[EventView]:
        """What the engine noted about itself: limits, freezes, differences, the kill switch."""
        query = select(t.system_events).order_by(t.system_events.c.seq.desc()).limit(limit)
        with self._reading() as connection:
            return [EventView(*row) for row in connection.execute(query)]

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with engine.damage_reported(self.path), self._engine.connect() as connection, connection.begin():
            yield connection


def stop_cover(connection: Connection) -> dict[str, Decimal]:
    """Position → quantity that acknowledged reduce-only stops would still close."""
    columns = t.orders.c
    query = select(columns.position_id, columns.quantity, columns.filled).where(
        columns.purpose == Purpose.STOP,
        columns.reduce_only == literal(True, t.Flag()),  # noqa: FBT003 - a value; IS is no comparison of numbers elsewhere
        columns.state.in_([OrderState.ACKED, OrderState.PARTIAL]),
    )
    covered: dict[str, Decimal] = {}
    for row in connection.execute(query):
        left = money.subtract(row.quantity, row.filled)
        covered[row.position_id] = money.add(covered.get(row.position_id, ZERO), left)
    return covered


def net_by_position(connection: Connection, position_ids: list[str] | None = None) -> dict[str, Decimal]:
    """Position → sum of its pnl rows, for all positions or for some."""
    query = select(t.pnl.c.position_id, t.pnl.c.amount).where(t.pnl.c.position_id.is_not(None))
    if position_ids is not None and len(position_ids) <= _FEW:
        query = query.where(t.pnl.c.position_id.in_(position_ids))
    nets: dict[str, Decimal] = {}
    for position_id, amount in connection.execute(query):
        nets[position_id] = money.add(nets.get(position_id, ZERO), amount)
    return nets


def _fees_left_out(connection: Connection, position_ids: list[str]) -> dict[str, dict[str, Decimal]]:
    """Position → asset → fees in an asset in which nothing of the position was booked."""
    columns = t.fills.c
    booked = exists().where(t.pnl.c.position_id == columns.position_id, t.pnl.c.asset == columns.fee_asset)
    query = select(columns.position_id, columns.fee_asset, columns.fee).where(~booked)
    if len(position_ids) <= _FEW:
        query = query.where(columns.position_id.in_(position_ids))
    found: dict[str, dict[str, Decimal]] = {}
    for position_id, asset, fee in connection.execute(query):
        if fee:
            sums = found.setdefault(position_id, {})
            sums[asset] = money.add(sums.get(asset, ZERO), fee)
    return found


_FEW = 500  # names in one query; for more it is cheaper to read every row


def _count(connection: Connection, rows: Select[Any]) -> int:
    return connection.execute(select(func.count()).select_from(rows.subquery())).scalar_one()


def _trades_query(wanted: TradeFilter) -> Select[Any]:
    columns = t.positions.c
    # A position that was never filled has no fill to date its end by.
    ended_ms = case((columns.closed_ms == 0, columns.created_ms), else_=columns.closed_ms)
    query = select(t.positions).where(columns.state == PositionState.CLOSED)
    if not wanted.include_abandoned:  # one that was taken over may be dropped without a fill of ours
        query = query.where(or_(columns.fills > 0, columns.close_reason == CloseReason.EXTERNAL))
    if wanted.symbol is not None:
        query = query.where(columns.symbol == wanted.symbol)
    if wanted.strategy is not None:
        query = query.where(columns.strategy == wanted.strategy)
    if wanted.since_ms is not None:
        query = query.where(ended_ms >= wanted.since_ms)
    return query.order_by(ended_ms.desc(), columns.number.desc()).limit(wanted.limit)


def _trade(position: Position, net: Decimal, left_out: Mapping[str, Decimal]) -> Trade:
    before_funding = money.subtract(position.gross_pnl, position.fees)
    return Trade(
        position_id=position.position_id,
        symbol=position.symbol,
        side=position.side.value,
        strategy=position.strategy,
        tag=position.tag,
        opened_ms=position.opened_ms,
        closed_ms=position.closed_ms,
        entry_price=position.average_entry,
        exit_price=position.average_exit,
        quantity=position.entry_quantity,
        gross_pnl=position.gross_pnl,
        fees=position.fees,
        funding=money.subtract(net, before_funding),
        net_pnl=net,
        r_multiple=position.r_multiple(net),
        close_reason=position.close_reason.value if position.close_reason else "",
        fills=position.fills,
        residual_of=position.residual_of,
        left_out=tuple(sorted(left_out.items())),
    )


def _signal(row: Row[Any]) -> SignalView:
    return SignalView(
        row.seq,
        row.strategy,
        row.symbol,
        row.candle_ts,
        row.side,
        row.exit_side,
        row.confidence,
        row.tag,
        row.fate,
        row.reason,
        row.position_id,
        codec.decode_pairs(row.explanation),
        codec.decode_pairs(row.inputs),
    )
