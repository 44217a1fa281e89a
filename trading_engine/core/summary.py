"""What a person is told when a day, or an hour, of the market has ended.

What belongs here: the words. What does not: the figures of a day (on_market, the ledger), their rows (store).
"""

from decimal import Decimal

from trading_engine.core import risk
from trading_engine.core.draft import Draft
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.records import DayClosed
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import iso


def tell_day(draft: Draft, day: DayClosed) -> None:
    """The daily summary, where it is wanted."""
    if not draft.settings.tell.daily:
        return
    share = f" ({day.realized * 100 / day.start_balance:+.2f} %)" if day.start_balance > 0 else ""
    made = f"{day.realized:+.2f} {draft.settings.asset}{share}"
    trades = f"{day.trades} trade{'s' if day.trades != 1 else ''}, {day.wins} won"
    costs = f"fees {day.fees:.2f}, funding {day.funding:+.2f}"
    draft.alert(Severity.INFO, f"summary:day:{day.day}", f"{day.day}: {made}, {trades}, {costs}; {_standing(draft)}")


def tell_hour(draft: Draft, closed_ms: int) -> None:
    """The hourly summary, where it is wanted."""
    if draft.settings.tell.hourly:
        draft.alert(Severity.INFO, f"summary:hour:{closed_ms}", f"{iso(closed_ms)[:16]}: {_standing(draft)}")


def _standing(draft: Draft) -> str:
    """Balance, open result, drawdown, positions, and the kill switch where it is raised."""
    ledger, control = draft.book.ledger, draft.book.control
    open_pnl = money.round_money(risk.unrealized(draft.book, draft.marks))
    peak = money.add(ledger.start_balance, ledger.peak)
    below = (ledger.peak - ledger.performance) * 100 / peak if peak > 0 else Decimal(0)
    held = ", ".join(f"{item.symbol} {item.side}" for item in draft.book.positions.values() if item.quantity)
    parts = [
        f"balance {ledger.balance:.2f}",
        f"open {open_pnl:+.2f} ({held})" if held else "flat",
        f"drawdown {below:.2f} %",
    ]
    if control.level is not Level.RUN:
        parts.append(f"kill switch at {control.level}: {control.reason}")
    return ", ".join(parts)
