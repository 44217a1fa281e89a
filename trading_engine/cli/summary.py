"""What a run has come to, for the person who started it.

What belongs here: the summary's lines. What does not: the sums (tally), the queries (store).
"""

import os
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from trading_engine.cli import table, text
from trading_engine.cli.groups_table import show_groups
from trading_engine.cli.line import Cell
from trading_engine.cli.table import Column, Out
from trading_engine.cli.tally import Tally, deepest_fall, tally
from trading_engine.cli.text import count
from trading_engine.cli.views import Overview, reading
from trading_engine.core.state import Ledger
from trading_engine.domain import money
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.money import ZERO
from trading_engine.domain.records import Fate
from trading_engine.store.read_models import EquityPoint, PositionView, SignalView
from trading_engine.system.state_dir import StateDir, resolve

_FIGURES = (Column(""), Column("", is_number=True), Column(""))
_OPEN = (
    Column("OPEN"),
    Column("SIDE"),
    Column("QTY", is_number=True),
    Column("ENTRY", is_number=True),
    Column("STOP", is_number=True),
    Column("PNL", is_number=True),
    Column(""),
)
_WITHHELD = (Column("STRATEGY"), Column("SYMBOL"), Column("SIDE"), Column("WITHHELD", is_number=True))


def print_summary(state_dir: Path) -> None:
    """Print what all runs on a state directory have come to; reads the database only."""
    state = StateDir(state_dir)
    with reading(state) as reader:
        overview = Overview.of(reader, state)
        trades, curve, signals = reader.trades(), reader.equity(), reader.signals()
        ledger = reader.ledger()
    out = table.console()
    table.say(out, "")
    if not ledger.bookings:
        table.say(out, f"the account was never read: no balance, no trade; state in {state.root}", table.ATTENTION)
        return
    sums = tally(trades)
    _show_figures(out, overview, ledger, sums, curve)
    if trades:
        table.say(out, "")
        show_groups(out, trades)
    if overview.live:
        table.say(out, "")
        table.show(out, _OPEN, [_open_row(view, overview) for view in overview.live])
    table.say(out, "")
    _show_signals(out, signals)
    table.say(out, f"look closer: {_command()} trades{_state_option(state)} (also positions, orders, risk, audit)")
    table.say(out, f"{_left(overview)} · up to {text.moment(overview.now_ms)} UTC · state in {state.root}")


def _command() -> str:
    """How a person calls the command line here: by name where it is installed, otherwise by the script beside it."""
    script = Path(__file__).resolve().parents[2] / "run.sh"
    if Path(sys.argv[0]).name != "__main__.py" or not script.is_file():
        return "trading-engine"
    return "./run.sh" if script.parent == Path.cwd() else str(script)


def _state_option(state: StateDir) -> str:
    return "" if state.root == resolve(None, os.environ).root else f" --state {shlex.quote(str(state.root))}"


def _left(overview: Overview) -> str:
    """What the run leaves behind at the exchange."""
    pending = len(overview.live) - overview.open_positions
    parts = [f"{count(overview.open_positions, 'position')} left open"] if overview.open_positions else ["flat"]
    if pending:
        parts.append(count(pending, "pending entry", "pending entries"))
    return ", ".join(parts)


def _show_figures(out: Out, overview: Overview, ledger: Ledger, sums: Tally, curve: Sequence[EquityPoint]) -> None:
    start = ledger.start_balance
    gained = money.ratio((overview.equity - start) * 100, start) if start > 0 else ZERO
    fall = deepest_fall([start, *(point.equity for point in reversed(curve)), overview.equity])
    made = f"gross {text.signed(sums.gross)}, fees {text.amount(sums.fees)}, funding {text.signed(sums.funding)}"
    rows: list[list[Cell | str]] = [
        ["start balance", text.amount(start), ""],
        ["final balance", text.amount(overview.balance), f"equity {text.amount(overview.equity)}, {_pct(gained)}"],
        ["net PnL", table.pnl(sums.net), made],
        *_not_of_trades(overview, ledger, sums),
        ["max drawdown", text.signed(fall.amount), text.percent(fall.percent, 2)],
        ["trades", text.number(Decimal(sums.trades)), _won(sums)],
    ]
    table.show(out, _FIGURES, rows, has_heading=False)


def _not_of_trades(overview: Overview, ledger: Ledger, sums: Tally) -> list[list[Cell | str]]:
    """What else has changed the balance, so that start, net PnL and these lines add up to its end."""
    live = [view.position for view in overview.live]
    so_far = sum((item.net_pnl for item in live), ZERO)
    rest = ledger.balance - ledger.start_balance - sums.net - so_far
    rows: list[list[Cell | str]] = []
    if so_far:
        fees, funding = sum((item.fees for item in live), ZERO), sum((item.funding for item in live), ZERO)
        gross = sum((item.gross_pnl for item in live), ZERO)
        parts = f"booked so far: gross {text.signed(gross)}, fees {text.amount(fees)}, funding {text.signed(funding)}"
        rows.append(["open positions", table.pnl(so_far), parts])
    if rest:
        rows.append(["other bookings", table.pnl(rest), "deposits, withdrawals, and what no position caused"])
    return rows


def _won(sums: Tally) -> str:
    if sums.win_rate_pct is None:
        return "none closed"
    parts = [f"{sums.wins} won, {sums.losses} lost", f"win rate {text.short_percent(sums.win_rate_pct)}"]
    if sums.profit_factor is not None:
        parts.append(f"profit factor {text.amount(sums.profit_factor)}")
    return ", ".join(parts)


def _pct(value: Decimal) -> str:
    return ("+" if value > 0 else "") + text.percent(value, 2)


def _open_row(view: PositionView, overview: Overview) -> list[Cell | str]:
    item, mark = view.position, overview.mark(view.position)
    is_bare = item.state is PositionState.OPEN and not view.is_stop_confirmed
    return [
        item.symbol,
        str(item.side),
        text.number(item.quantity or item.intended_quantity),
        text.price(item.average_entry),
        text.number(item.stop_price),
        table.pnl(item.unrealized(mark) if mark is not None and item.quantity else None),
        Cell("STOP NOT CONFIRMED", table.BAD) if is_bare else Cell(item.state.lower(), table.ASIDE),
    ]


def _show_signals(out: Out, signals: Sequence[SignalView]) -> None:
    fates = Counter(item.fate for item in signals).most_common()
    told = ": " + ", ".join(f"{many:,} {fate}" for fate, many in fates) if fates else ""
    table.say(out, f"{count(len(signals), 'signal')}{told}")
    _show_withheld(out, [item for item in signals if item.fate == Fate.WITHHELD])


def _show_withheld(out: Out, withheld: Sequence[SignalView]) -> None:
    """What a run that sends nothing would have entered on."""
    if not withheld:
        return
    entries = count(len(withheld), "entry", "entries")
    told = Cell(f"{entries} would have been made, nothing was sent", table.ATTENTION)
    table.say(out, table.line("signals only:", told, "(`signals --fate withheld` shows each)"))
    whose = Counter((item.strategy, item.symbol, item.side or "") for item in withheld)
    rows: list[list[Cell | str]] = [[*who, text.number(Decimal(many))] for who, many in sorted(whose.items())]
    table.show(out, _WITHHELD, rows)
