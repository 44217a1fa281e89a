"""What the read commands show a person.

What belongs here: columns and last lines. What does not: formatting of single values (text), layout (table).

The last line of every table answers "is it well?".
"""

from collections.abc import Sequence
from decimal import Decimal

from trading_engine.cli import shapes, table, text
from trading_engine.cli.line import Cell, Line
from trading_engine.cli.table import Column, Out
from trading_engine.cli.tally import tally
from trading_engine.cli.text import DASH, count
from trading_engine.cli.views import HALTED, LOCKED, RUNNING, Overview
from trading_engine.domain import money
from trading_engine.domain.control import Level, paused_symbol
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import Order, OrderState
from trading_engine.domain.time import MINUTE_MS
from trading_engine.ports import GateStatus, LimitStatus
from trading_engine.store.read_models import PositionView, Trade
from trading_engine.system.clock import SystemClock

_STATE_STYLES = {RUNNING: table.GOOD, HALTED: table.ATTENTION, LOCKED: table.BAD}
_TROUBLED = frozenset({OrderState.UNKNOWN, OrderState.REJECTED, OrderState.EXPIRED})

_POSITIONS = (
    Column("SYMBOL"),
    Column("SIDE"),
    Column("QTY", is_number=True),
    Column("ENTRY", is_number=True),
    Column("MARK", is_number=True, gives_way=1),
    Column("STOP", is_number=True),
    Column("TARGET", is_number=True),
    Column("PNL", is_number=True),
    Column("R", is_number=True),
    Column("AGE", gives_way=2),
    Column("STRATEGY", gives_way=4),
    Column("", gives_way=3),
)
_TRADES = (
    Column("CLOSED"),
    Column("SYMBOL"),
    Column("SIDE"),
    Column("QTY", is_number=True, gives_way=3),
    Column("ENTRY", is_number=True, gives_way=1),
    Column("EXIT", is_number=True, gives_way=1),
    Column("FEES", is_number=True, gives_way=4),
    Column("FUNDING", is_number=True, gives_way=5),
    Column("NET PNL", is_number=True),
    Column("R", is_number=True),
    Column("REASON"),
    Column("STRATEGY", gives_way=2),
)
_ORDERS = (
    Column("CREATED"),
    Column("SYMBOL"),
    Column("PURPOSE"),
    Column("SIDE"),
    Column("TYPE", gives_way=2),
    Column("QTY", is_number=True),
    Column("FILLED", is_number=True),
    Column("PRICE", is_number=True),
    Column("AVERAGE", is_number=True, gives_way=3),
    Column("STATE"),
    Column("POSITION", gives_way=1),
    Column("ID", gives_way=4),
    Column("REASON", gives_way=5),
)
_RISK = (
    Column("LIMIT"),
    Column("SCOPE", gives_way=1),
    Column("USED", is_number=True),
    Column("OF", is_number=True),
    Column("LEFT", is_number=True),
    Column("USED %", is_number=True),
    Column(""),
    Column("UNTIL"),
    Column("COMPUTED FROM", gives_way=2),
)


def show_status(overview: Overview, out: Out | None = None) -> None:
    """Print the engine at a glance, on standard output unless given another."""
    out = out or table.console()
    run = overview.run
    state = Cell(overview.state, _STATE_STYLES.get(overview.state, ""))
    mode = run.mode if run else "never ran"
    where = [f"{mode}, signals only" if overview.is_signals_only else mode, overview.venue, overview.account]
    since = f"since {text.moment(overview.since_ms)}" if overview.since_ms else ""
    version = f"version {run.version}" if run else ""
    about = " · ".join(part for part in (*where, version, since) if part)
    table.say(out, table.line(state, about))
    rows: list[list[Cell | str]] = [
        ["equity", text.amount(overview.equity), "balance", text.amount(overview.balance)],
        ["open PnL", table.pnl(overview.unrealized), "today", table.pnl(overview.realized_today)],
        ["drawdown", text.percent(overview.drawdown_pct), "", ""],
    ]
    columns = (Column(""), Column("", is_number=True), Column(""), Column("", is_number=True))
    table.show(out, columns, rows, has_heading=False)
    table.say(out, f"{count(overview.open_positions, 'open position')}, {_orders_in(overview)}")
    for reasons, symbols in _by_reasons(overview.gates).items():
        verdict = Cell("no entries:", table.ATTENTION) if reasons else Cell("may enter", table.GOOD)
        why = ["; ".join(reasons)] if reasons else []
        table.say(out, table.line(", ".join(symbols), verdict, *why))
    for name, since_ms in sorted(overview.disabled.items()):
        symbol = paused_symbol(name)
        what, word = (name, "disabled") if symbol is None else (symbol or "everything", "paused")
        table.say(out, table.line(what, Cell(word, table.ATTENTION), f"since {text.moment(since_ms)}"))
    for what, items in (("position", overview.foreign), ("order", overview.foreign_orders)):
        for item in items:
            worth = f"{money.text(item.quantity)}, worth {text.amount(item.notional)}"
            size = worth if item.quantity else "reduces only"
            table.say(out, table.line(item.symbol, Cell(f"{what} of somebody else:", table.ATTENTION), size))
    seen = overview.checkpoint
    if seen is not None:
        times = f"last candle {text.moment(seen.cursor_ms)} · last reconcile {text.moment(seen.reconciled_ms)}"
        table.say(out, times, table.ASIDE)
    table.say(out, _verdict(overview))


def show_positions(
    found: Sequence[PositionView], overview: Overview, out: Out | None = None, *, is_verdict_short: bool = False
) -> None:
    """Print positions and what is at risk; the verdict on everything else only where it was not said before."""
    out = out or table.console()
    if found:
        table.show(out, _POSITIONS, [_position_row(view, overview) for view in found])
    verdict = Line().append(f"{overview.open_positions} open" if overview.open_positions else "flat")
    pending = len(overview.live) - overview.open_positions
    if pending:
        verdict.append(f" · {pending} pending")
    used = _portfolio_risk(overview.limits)
    if used and overview.open_positions:
        verdict.append(f" · {used}")
    if not is_verdict_short:
        verdict.append(" · ").extend(_verdict(overview))
    table.say(out, verdict)


def show_trades(found: Sequence[Trade], hints: Sequence[str] = ()) -> None:
    """Print closed positions and their sums, or why there may be none."""
    out = table.console()
    if found:
        table.show(out, _TRADES, [_trade_row(item) for item in found])
    sums = tally(found)
    if not sums.trades:
        table.say(out, "; ".join(["no trades", *hints]))
        return
    rate = f"win rate {text.short_percent(sums.win_rate_pct)}" if sums.win_rate_pct is not None else ""
    parts = f"fees {text.amount(sums.fees)} · funding {text.signed(sums.funding)}"
    table.say(out, table.line(f"{count(sums.trades, 'trade')} · {rate} · net", table.pnl(sums.net), f"· {parts}"))
    left_out: dict[str, Decimal] = {}
    for item in found:
        for asset, fees in item.left_out:
            left_out[asset] = money.add(left_out.get(asset, ZERO), fees)
    if left_out:
        paid = ", ".join(f"{text.number(left_out[asset])} {asset}" for asset in sorted(left_out))
        table.say(out, f"not counted: fees of {paid}, which another wallet has paid", table.ATTENTION)


def show_orders(found: Sequence[Order], hints: Sequence[str] = ()) -> None:
    """Print orders and how many are not settled, or why there may be none."""
    out = table.console()
    if found:
        table.show(out, _ORDERS, [_order_row(item) for item in found])
    live = sum(item.is_live for item in found)
    unclear = sum(item.state.is_unresolved for item in found)
    doubt = f"{unclear} not confirmed by the exchange yet" if unclear else "none in doubt"
    style = table.ATTENTION if unclear else ""
    table.say(out, table.line(f"{count(len(found), 'order')} · {live} live ·", Cell(doubt, style)))
    for hint in hints:
        table.say(out, hint)


def show_risk(overview: Overview) -> None:
    """Print limits and what forbids entries."""
    out = table.console()
    if overview.limits:
        table.show(out, _RISK, [_limit_row(item, overview.now_ms) for item in overview.limits])
    else:
        table.say(out, "no limit was judged yet: a running engine does")
    table.say(out, _verdict(overview))


def _position_row(view: PositionView, overview: Overview) -> list[Cell | str]:
    item, mark = view.position, overview.mark(view.position)
    open_pnl = shapes.unrealized(item, mark)
    row = shapes.position(item, mark, overview.now_ms, stop_confirmed=view.is_stop_confirmed)
    age_ms = int(str(row["age_s"])) * 1000
    is_closed = item.state is PositionState.CLOSED
    return [
        item.symbol,
        str(item.side),
        text.number(item.entry_quantity if is_closed else item.quantity or item.intended_quantity),
        text.price(item.average_entry),
        text.number(mark),
        text.number(item.stop_price),
        text.number(item.target_price),
        table.pnl(item.net_pnl if is_closed else open_pnl if item.fills else None),
        table.pnl(shapes.r_multiple(item, open_pnl)),
        text.duration(age_ms),
        item.strategy,
        _protection(view, overview),
    ]


def _protection(view: PositionView, overview: Overview) -> Cell:
    item = view.position
    if item.state is PositionState.OPEN and view.is_stop_confirmed and not overview.is_seen:
        compared_ms = overview.checkpoint.reconciled_ms if overview.checkpoint else 0
        seen_ms = max(compared_ms, item.opened_ms)  # a stop is confirmed after the fill, whenever the account was read
        return Cell(f"stop last seen {text.moment(seen_ms)}", table.ATTENTION)
    if item.state is PositionState.OPEN:
        return Cell("stop confirmed") if view.is_stop_confirmed else Cell("STOP NOT CONFIRMED", table.BAD)
    style = table.ATTENTION if item.state is PositionState.CLOSING else table.ASIDE
    reason = f" ({item.close_reason})" if item.close_reason else ""
    return Cell(f"{item.state.lower()}{reason}", style)


def _trade_row(item: Trade) -> list[Cell | str]:
    return [
        text.moment(item.closed_ms),
        item.symbol,
        item.side,
        text.number(item.quantity) if item.quantity else DASH,
        text.price(item.entry_price),
        text.price(item.exit_price),
        text.amount(item.fees),
        text.signed(item.funding),
        table.pnl(item.net_pnl),
        table.pnl(item.r_multiple),
        item.close_reason,
        item.strategy,
    ]


def _order_row(item: Order) -> list[Cell | str]:
    style = table.ATTENTION if item.state in _TROUBLED else table.ASIDE if item.state.is_terminal else ""
    return [
        text.moment(item.created_ms),
        item.symbol,
        str(item.purpose),
        str(item.side),
        str(item.type),
        text.number(item.quantity),
        text.number(item.filled),
        text.number(item.trigger_price if item.price is None else item.price),
        text.price(shapes.average_price(item)),
        Cell(str(item.state), style),
        item.position_id,
        item.client_order_id,
        item.reason,
    ]


def _limit_row(item: LimitStatus, now_ms: int) -> list[Cell | str]:
    value, threshold = Decimal(item.value), Decimal(item.threshold)
    used_pct = Decimal(item.used_pct)
    until = ""
    if not threshold:
        verdict, style = "off", table.ASIDE
    elif item.tripped:
        verdict, style = "TRIPPED", table.BAD
        until = text.moment(item.resets_at_ms) if item.resets_at_ms > now_ms else "resumed"
    else:
        verdict, style = "ok", table.ATTENTION if used_pct >= _NEARLY else ""
    is_pause = item.limit in _PAUSES  # its value is what is left of it
    is_floor = item.limit == "minimum_balance"  # its value is what must not come down to the threshold
    left = value if is_pause else value - threshold if is_floor else threshold - value
    of = _in_unit(item.limit, threshold)
    return [
        item.limit,
        item.scope or "all",
        DASH if is_pause or is_floor else _in_unit(item.limit, value),
        DASH if not threshold else f"min {of}" if is_floor else of,
        _in_unit(item.limit, left) if threshold else DASH,
        Cell(text.percent(used_pct), style) if threshold and not is_pause else DASH,
        Cell(verdict, style),
        Cell(until, style),
        Cell(", ".join(_computed_from(item)), table.ASIDE),
    ]


def _computed_from(item: LimitStatus) -> list[str]:
    shown = {name: _shown(name, part) for name, part in item.computed_from}
    if item.limit == "losing_streak" and item.tripped:
        # The row that tripped it is complete: the count that goes on from there is another one.
        return [f"row of {item.value} ended by {shown.get('tripped_by', DASH)}", f"{shown['losses_in_row']} since"]
    return [f"{name} {value}" for name, value in shown.items()]


_PAUSES = frozenset({"cooldown", "volatility"})
_NEARLY = 80  # percent used from which a limit asks for attention


def _in_unit(limit: str, value: Decimal) -> str:
    if limit in _PAUSES:  # whole minutes, as the reason in `status` counts them
        return text.duration(-(-int(value) // MINUTE_MS) * MINUTE_MS) if value > 0 else "0"
    if limit in {"losing_streak", "max_positions"}:
        return text.number(value)
    if limit == "leverage":
        return f"{text.number(value)}x"
    return text.amount(value)


def _shown(name: str, value: str) -> str:
    if name.endswith("_ms"):
        return text.moment(int(value))
    return value or DASH


def _by_reasons(gates: Sequence[GateStatus]) -> dict[tuple[str, ...], list[str]]:
    """The symbols that share their reasons against an entry; most often all do."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for gate in gates:
        groups.setdefault(gate.reasons, []).append(gate.symbol)
    return groups


def _orders_in(overview: Overview) -> str:
    live, unclear = overview.counts.live_orders, overview.counts.unresolved_orders
    return count(live, "live order") + (f", {unclear} not confirmed by the exchange yet" if unclear else "")


def _portfolio_risk(limits: Sequence[LimitStatus]) -> str:
    """`risk to stops 1.1 % of 5 %`."""
    for item in limits:
        equity = Decimal(dict(item.computed_from).get("equity", "0"))
        if item.limit == "portfolio_risk" and equity > 0:
            used = text.short_percent(Decimal(item.value) * 100 / equity)
            return f"risk to stops {used} of {text.short_percent(Decimal(item.threshold) * 100 / equity)}"
    return ""


def _verdict(overview: Overview) -> Line:
    """Is it well? Kill switch, limits, unprotected positions, and when it last decided."""
    parts: list[Cell] = []
    control = overview.control
    if control.level is not Level.RUN:
        style = table.BAD if control.level is Level.LOCKED else table.ATTENTION
        parts.append(Cell(f"kill switch at {control.level}: {control.reason}", style))
    bare = [
        view.position.symbol
        for view in overview.live
        if view.position.state is PositionState.OPEN and not view.is_stop_confirmed
    ]
    if bare:
        parts.append(Cell(f"stop not confirmed on {', '.join(bare)}", table.BAD))
    tripped = [item.limit + (f" on {item.scope}" if item.scope else "") for item in overview.limits if item.tripped]
    parts.append(Cell(f"tripped: {', '.join(tripped)}", table.ATTENTION) if tripped else Cell("no limit tripped"))
    if overview.pid is None:
        parts.append(Cell("engine not running", "" if not overview.live else table.ATTENTION))
    if overview.checkpoint is not None:
        parts.append(Cell(f"last decision {_decided(overview)}"))
    line = Line()
    for index, part in enumerate(parts):
        line.append(" · " if index else "").append(*part)
    return line


def _decided(overview: Overview) -> str:
    """By the clock on the wall where the engine lives by it; a replay has a time of its own."""
    decided_ms = overview.checkpoint.decided_ms if overview.checkpoint else 0
    return text.ago(decided_ms, SystemClock().now_ms())
