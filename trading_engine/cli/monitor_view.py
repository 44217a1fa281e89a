"""What `monitor` draws, for any width and height.

What belongs here: from one picture to a screen. What does not: reading it (monitor_command), the tables of the read
commands, which are used as they are.

The most important comes first, so that a low window loses the log and the signals before the positions.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import zip_longest
from typing import NamedTuple

from rich.console import Console, Group, RenderableType
from rich.text import Text

from trading_engine.cli import table, tables, text
from trading_engine.cli.line import Cell, Line
from trading_engine.cli.table import Column, Out
from trading_engine.cli.views import Overview
from trading_engine.cli.window import Window
from trading_engine.domain.orders import Order
from trading_engine.store.read_models import AlertView, SignalView, Trade

_WIDE = 140  # from here on trades and signals stand beside alerts and log
_BAR = 12
_LIMITS = ("daily_loss", "drawdown", "losing_streak", "portfolio_risk", "max_positions", "minimum_balance", "cooldown")
_NEARLY = 80
_LEVELS = {"WARNING": table.ATTENTION, "ERROR": table.BAD, "CRITICAL": table.BAD}
_SEVERITIES = {"warning": table.ATTENTION, "critical": table.BAD}

_ORDERS = (
    Column("ORDER"),
    Column("SIDE"),
    Column("QTY", is_number=True),
    Column("FILLED", is_number=True, gives_way=1),
    Column("PRICE", is_number=True),
    Column("STATE"),
    Column("AGE"),
)
_SIGNALS = (Column("SIGNAL"), Column("SYMBOL"), Column("SIDE"), Column("FATE"), Column("WHY", gives_way=1))
_TRADES = (
    Column("CLOSED"),
    Column("SYMBOL"),
    Column("SIDE"),
    Column("NET PNL", is_number=True),
    Column("R", is_number=True),
    Column("REASON"),
)


Block = Callable[[Out], None]


class LogLine(NamedTuple):
    """A line of the log."""

    at: str
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Picture:
    """One moment."""

    overview: Overview
    orders: tuple[Order, ...]
    signals: tuple[SignalView, ...]
    trades: tuple[Trade, ...]
    alerts: tuple[AlertView, ...]
    log: tuple[LogLine, ...]


def render(picture: Picture, width: int, height: int | None) -> RenderableType:
    """The screen; `height` None for as many lines as it takes."""
    overview = picture.overview
    above = [
        ("", lambda out: tables.show_status(overview, out)),
        ("positions", lambda out: tables.show_positions(overview.live, overview, out, is_verdict_short=True)),
        ("limits", lambda out: _limits(overview, out)),
    ]
    left = [
        ("orders", lambda out: _orders(picture, out)),
        ("last trades", lambda out: _trades(picture.trades, out)),
        ("last signals", lambda out: _signals(picture.signals, out)),
    ]
    right = [("last alerts", lambda out: _alerts(picture.alerts, out)), ("log", lambda out: _log(picture.log, out))]
    lines = _stacked(above, width)
    if width < _WIDE:
        lines += _stacked([*left, *right], width)
    else:
        half = width // 2 - 1
        lines += _beside(_stacked(left, half), _stacked(right, width - half - 2), half)
    return Group(*(lines if height is None else lines[: max(height - 1, 1)]))


def _stacked(blocks: Sequence[tuple[str, Block]], width: int) -> list[Text]:
    """Blocks below each other, each under its name; one that has nothing to show is left out."""
    lines: list[Text] = []
    for name, block in blocks:
        drawn = _drawn(block, width)
        if drawn and name:
            lines.append(_rule(name, width))
        lines += drawn
    return lines


def _beside(left: Sequence[Text], right: Sequence[Text], width: int) -> list[Text]:
    """Two columns, the left one so wide."""
    lines = []
    for one, other in zip_longest(left, right, fillvalue=Text()):
        gap = max(width - one.cell_len, 0) + 2
        lines.append(one.copy().append(" " * gap).append_text(other))
    return lines


def _drawn(block: Block, width: int) -> list[Text]:
    """What a block prints, line by line, with its colours."""
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=True,
        color_system="truecolor",
    )
    block(Window(console))
    shown = file.getvalue().rstrip("\n")
    return [Text.from_ansi(line) for line in shown.split("\n")] if shown.strip() else []


def _rule(name: str, width: int) -> Text:
    return Text(f"── {name} " + "─" * max(width - len(name) - 5, 0), style=table.ASIDE)


def _limits(overview: Overview, out: Out) -> None:
    """Bars of what is used of the limits that matter at a glance; those that have tripped in any case."""
    told: list[Line] = []
    for item in overview.limits:
        is_off = not Decimal(item.threshold)
        if is_off or (item.limit not in _LIMITS and not item.tripped) or (item.scope and not item.tripped):
            continue
        used = min(Decimal(item.used_pct), Decimal(100))
        style = table.BAD if item.tripped else table.ATTENTION if used >= _NEARLY else table.GOOD
        full = round(used * _BAR / 100)
        label = f"{item.limit}{f' {item.scope}' if item.scope else ''}"
        used_up = " TRIPPED" if item.tripped else f" {text.percent(Decimal(item.used_pct), 0)}"
        bar = Line(Cell(f"{label:<16} "), Cell("━" * full, style), Cell("━" * (_BAR - full), table.ASIDE))
        told.append(bar.append(f"{used_up:<9}", style if item.tripped else ""))
    columns = max(out.width // 42, 1)
    for at in range(0, len(told), columns):
        line = Line(Cell(" "))
        for bar in told[at : at + columns]:
            line.extend(bar).append("   ")
        out.write(line.trim())


def _orders(picture: Picture, out: Out) -> None:
    now_ms = picture.overview.now_ms
    rows: list[Sequence[Cell | str]] = [
        [
            f"{item.symbol} {item.purpose}",
            str(item.side),
            text.number(item.quantity),
            text.number(item.filled),
            text.number(item.trigger_price if item.price is None else item.price),
            Cell(str(item.state), table.ATTENTION if item.state.is_unresolved else ""),
            text.duration(max(now_ms - item.created_ms, 0)),
        ]
        for item in picture.orders
    ]
    if rows:
        table.show(out, _ORDERS, rows)


def _trades(found: Sequence[Trade], out: Out) -> None:
    rows: list[Sequence[Cell | str]] = [
        [
            text.moment(item.closed_ms)[5:16],
            item.symbol,
            item.side,
            table.pnl(item.net_pnl),
            table.pnl(item.r_multiple),
            item.close_reason,
        ]
        for item in found[:5]
    ]
    if rows:
        table.show(out, _TRADES, rows)


def _signals(found: Sequence[SignalView], out: Out) -> None:
    room = max(out.width - 60, 20)
    rows: list[Sequence[Cell | str]] = [
        [
            text.moment(item.candle_ms)[5:16],
            item.symbol,
            item.side or f"exit {item.exit_side or ''}".strip(),
            Cell(item.fate, table.GOOD if item.fate in ("taken", "added") else ""),
            _cut(item.reason, room),
        ]
        for item in found[:5]
    ]
    if rows:
        table.show(out, _SIGNALS, rows)


def _alerts(found: Sequence[AlertView], out: Out) -> None:
    for item in reversed(found[:5]):
        waits = Cell(" (waits)", table.ATTENTION) if item.sent_ms is None else Cell("")
        shown = _cut(item.text, out.width - 26)
        told = Cell(f"{item.severity:<8}", _SEVERITIES.get(item.severity, table.ASIDE))
        out.write(Line(Cell(" ")).extend(table.line(text.moment(item.ts_ms)[5:16], told, shown, waits)))


def _log(lines: Sequence[LogLine], out: Out) -> None:
    for item in lines[-12:]:
        level = Cell(f"{item.level:<7}", _LEVELS.get(item.level, table.ASIDE))
        shown = _cut(" ".join(item.message.split()), out.width - 19)
        out.write(Line(Cell(" ")).extend(table.line(item.at[11:19], level, shown)))


def _cut(line: str, room: int) -> str:
    return line if len(line) <= room else f"{line[: max(room - 1, 1)]}…"
