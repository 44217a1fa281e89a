"""The tables, as SQLAlchemy Core: the one description that statements, readers and migrations agree on.

What belongs here: columns, constraints and the types that keep money exact. What does not: statements
(sql_store, loading, read_models), the append-only triggers and the first row of `control` (migrations).

`positions` and `orders` have a column for each field of their dataclass, in its order: a new field needs
a migration and nothing else. Tables are STRICT on SQLite. Nothing cascades: money is never deleted.
"""

from dataclasses import fields
from decimal import Decimal
from enum import StrEnum
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.fills import PnlKind
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.orders import Order, OrderState, TradeSide
from trading_engine.domain.position import Position


class Money(TypeDecorator[Decimal]):
    """A Decimal as canonical text: the same digits come back on every database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        """The text to write; TypeError for anything but a finite Decimal, a float above all."""
        del dialect
        if value is None:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            raise TypeError(f"money must be a finite Decimal, not {value!r}")
        return money.text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        """The Decimal that was written."""
        del dialect
        return None if value is None else Decimal(value)


class Flag(TypeDecorator[bool]):
    """A bool as 0 or 1: STRICT tables know no boolean."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> int | None:  # noqa: FBT001 - a value
        """0 or 1."""
        del dialect
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> bool | None:
        """The bool that was written."""
        del dialect
        return None if value is None else bool(value)


WHOLE: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
FRACTION: TypeEngine[float] = Double().with_variant(REAL(), "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _type_of(hint: Any) -> tuple[TypeEngine[Any], bool]:
    """Column type and nullability of an annotation."""
    if get_origin(hint) in (Union, UnionType):
        plain = next(part for part in get_args(hint) if part is not type(None))
        return _type_of(plain)[0], True
    if hint is Decimal:
        return Money(), False
    if hint is bool:
        return Flag(), False
    if hint is int:
        return WHOLE, False
    if isinstance(hint, type) and issubclass(hint, str):
        return Text(), False
    raise TypeError(f"no column type for {hint!r}")


def _columns(kind: type, key: str, references: dict[str, str] | None = None) -> list[Column[Any]]:
    """A column for each field of a dataclass, its primary key and its foreign keys."""
    hints = get_type_hints(kind)
    columns = []
    for field in fields(kind):
        column_type, nullable = _type_of(hints[field.name])
        keys = [ForeignKey(target) for name, target in (references or {}).items() if name == field.name]
        columns.append(Column(field.name, column_type, *keys, primary_key=field.name == key, nullable=nullable))
    return columns


def _among(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _whole(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, WHOLE, nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _money(name: str, *, nullable: bool = False) -> Column[Decimal]:
    return Column(name, Money, nullable=nullable)


def _seq() -> Column[int]:
    """The number of the journal record that a row comes from, as the row's key."""
    return Column("seq", WHOLE, primary_key=True, autoincrement=False)


journal = Table(
    "journal",
    metadata,
    Column("seq", WHOLE, primary_key=True, autoincrement=True),
    _whole("ts"),
    _text("run_id"),
    _text("kind"),
    _whole("version"),
    _text("correlation"),  # position id, or empty
    _whole("causation", nullable=True),  # first record of the same commit; empty for that one itself
    _text("payload"),
    Index(None, "correlation"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

positions = Table(
    "positions",
    metadata,
    *_columns(Position, "position_id"),
    _whole("first_seq"),
    _whole("last_seq"),
    UniqueConstraint("number"),
    _among("side", Side),
    _among("state", PositionState),
    Index("uq_positions_live_symbol", "symbol", unique=True, sqlite_where=text("state <> 'CLOSED'")),
    Index(None, "closed_ms"),
    sqlite_strict=True,
)

orders = Table(
    "orders",
    metadata,
    *_columns(Order, "client_order_id", {"position_id": "positions.position_id"}),
    _whole("first_seq"),
    _whole("last_seq"),
    UniqueConstraint("position_id", "purpose", "leg", "generation"),
    _among("purpose", Purpose),
    _among("side", TradeSide),
    _among("state", OrderState),
    Index(None, "created_ms"),
    sqlite_strict=True,
)

fills = Table(
    "fills",
    metadata,
    _seq(),
    _text("venue"),
    _text("account"),
    _text("trade_id"),
    _text("client_order_id"),
    _text("venue_order_id"),
    Column("position_id", Text, ForeignKey("positions.position_id"), nullable=False),
    _text("symbol"),
    _text("side"),
    _money("quantity"),
    _money("price"),
    _money("fee"),
    _text("fee_asset"),
    _money("realized_pnl", nullable=True),
    Column("is_maker", Flag, nullable=False),
    Column("is_liquidation", Flag, nullable=False),
    Column("is_adl", Flag, nullable=False),
    _whole("ts"),
    UniqueConstraint("venue", "account", "trade_id"),
    _among("side", TradeSide),
    Index(None, "position_id"),
    sqlite_strict=True,
)

# A booking is one fill, income or adjustment; it leaves one row, or up to three where a fill has a PnL, a fee
# and a part that is not ours.
pnl = Table(
    "pnl",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    _whole("booking"),
    _text("source"),  # fill: has a row in fills; income: any other wallet change
    _text("kind"),
    _money("amount"),
    _text("asset"),
    _text("symbol"),
    Column("position_id", Text, ForeignKey("positions.position_id"), nullable=True),
    _whole("ts"),
    _text("day"),
    _text("source_id"),  # dedup key of the fill, income or adjustment
    _whole("seq"),
    UniqueConstraint("kind", "source_id"),
    _among("kind", PnlKind),
    CheckConstraint("source IN ('fill', 'income')", name="source"),
    Index(None, "booking"),
    Index(None, "position_id"),
    sqlite_strict=True,
)

control = Table(
    "control",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=False),
    _text("venue"),
    _text("account"),
    _text("epoch"),
    _text("level"),
    _text("reason"),
    _whole("since_ms"),
    _whole("next_position"),
    _whole("rebased_booking"),
    _whole("rebased_ms"),
    _money("peak_at_rebase"),
    _text("frozen"),
    _text("rejects"),
    _text("shocks"),
    _text("disabled"),
    _text("checkpoint"),
    _whole("version"),  # counts the commits: a second writer is noticed by it
    CheckConstraint("id = 1", name="single"),
    _among("level", Level),
    sqlite_strict=True,
)

runs = Table(
    "runs",
    metadata,
    _seq(),
    _text("run_id"),
    _text("version"),
    _text("mode"),
    _text("config_hash"),
    _whole("started"),
    _whole("ended", nullable=True),
    _text("how", nullable=True),
    sqlite_strict=True,
)

alert_outbox = Table(
    "alert_outbox",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    _whole("seq"),
    _whole("ts"),
    _text("severity"),
    _text("key"),
    _text("text"),
    _whole("attempts"),
    _whole("next_try_ms"),
    _text("last_error"),
    _whole("sent_at", nullable=True),
    Index("ix_alert_outbox_unsent", "id", sqlite_where=text("sent_at IS NULL")),
    sqlite_strict=True,
)

signals = Table(
    "signals",
    metadata,
    _seq(),
    _text("strategy"),
    _text("symbol"),
    _whole("candle_ts"),
    _text("side", nullable=True),
    _text("exit_side", nullable=True),
    Column("confidence", FRACTION, nullable=False),
    _text("tag"),
    _text("fate"),
    _text("reason"),
    _text("position_id"),
    _text("explanation"),
    _text("inputs"),
    UniqueConstraint("strategy", "symbol", "candle_ts"),
    sqlite_strict=True,
)

equity = Table(
    "equity",
    metadata,
    _seq(),
    _whole("ts"),
    _money("balance"),
    _money("unrealized"),
    _money("equity"),
    Index(None, "ts"),
    sqlite_strict=True,
)

daily_metrics = Table(
    "daily_metrics",
    metadata,
    Column("day", Text, primary_key=True, nullable=False),
    _money("start_balance"),
    _money("realized"),
    _money("fees"),
    _money("funding"),
    _whole("trades"),
    _whole("wins"),
    sqlite_strict=True,
)

system_events = Table(
    "system_events",
    metadata,
    _seq(),
    _whole("ts"),
    _text("kind"),
    _text("symbol"),
    _text("text"),
    sqlite_strict=True,
)

measurements = Table(
    "measurements",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    _whole("ts"),
    _text("run_id"),
    _text("name"),
    _whole("samples"),
    Column("mean", FRACTION, nullable=False),
    Column("p99", FRACTION, nullable=False),
    Column("most", FRACTION, nullable=False),
    Index(None, "name", "ts"),
    sqlite_strict=True,
)
