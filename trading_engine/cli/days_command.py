"""`days`: what each trading day made.

What belongs here: the command, its table and its JSON. What does not: reading days (store.days), formulas
(backtest.figures).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from trading_engine.cli import shapes
from trading_engine.cli.arguments import JsonOption, StateOption, state_of
from trading_engine.cli.views import reading
from trading_engine.domain import money

if TYPE_CHECKING:
    from trading_engine.cli.line import Cell
    from trading_engine.store.days import DayView

# the terminal is not loaded where JSON is wanted
# ruff: noqa: PLC0415

days_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

SHARPE_DAYS = 30
_FEWEST = 10  # a ratio of fewer days says nothing
_PERCENT = 100

LimitOption = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=1, help="At most the newest N.", show_default=False)
]


@days_app.command()
def days(*, state: StateOption = None, as_json: JsonOption = False, limit: LimitOption = None) -> None:
    """Show trading days, the newest first: realized PnL, fees, funding, trades, drawdown, Sharpe ratio.

    A trade counts on the day its exit was booked. DRAWDOWN is the deepest fall
    of the realized balance within the day. SHARPE is that of the 30 days that
    end with this one: mean / standard deviation of daily returns × √365; it
    takes ten days that are over.

    Example: trading-engine days --limit 30
    """
    with reading(state_of(state)) as reader:
        found = reader.days()
    ratios = [sharpe_of(found[at : at + SHARPE_DAYS]) for at in range(len(found))]
    shown = found[:limit]
    if as_json:
        rows = [_shape(day, ratio) for day, ratio in zip(shown, ratios, strict=False)]
        typer.echo(shapes.dump(rows))
        return
    _show(shown, ratios)


def sharpe_of(found: "Sequence[DayView]") -> float | None:
    """The Sharpe ratio of the days that are over; None for fewer than ten, or where none differs from the others."""
    from trading_engine.backtest.figures import sharpe

    over = [day for day in found if day.is_over and day.start_balance > 0]
    return sharpe([float(day.realized / day.start_balance) for day in over]) if len(over) >= _FEWEST else None


def _shape(day: "DayView", ratio: float | None) -> shapes.Row:
    return {
        "day": day.day,
        "is_over": day.is_over,
        "start_balance": money.text(day.start_balance),
        "net_pnl": money.text(day.realized),
        "return_pct": shapes.cents(_return_pct(day)),
        "fees": money.text(day.fees),
        "funding": money.text(day.funding),
        "trades": day.trades,
        "wins": day.wins,
        "profit_factor": shapes.cents(day.profit_factor),
        "max_drawdown": money.text(day.drawdown),
        "sharpe_30d": None if ratio is None else round(ratio, 2),
    }


def _return_pct(day: "DayView") -> Decimal | None:
    return money.ratio(day.realized * _PERCENT, day.start_balance) if day.start_balance > 0 else None


def _show(found: "Sequence[DayView]", ratios: Sequence[float | None]) -> None:
    from trading_engine.cli import table, text
    from trading_engine.cli.table import Column

    columns = (
        Column("DAY"),
        Column("NET PNL", is_number=True),
        Column("%", is_number=True),
        Column("FEES", is_number=True, gives_way=4),
        Column("FUNDING", is_number=True, gives_way=5),
        Column("TRADES", is_number=True),
        Column("WON", is_number=True),
        Column("PF", is_number=True, gives_way=1),
        Column("DRAWDOWN", is_number=True),
        Column("SHARPE", is_number=True, gives_way=2),
        Column(""),
    )
    out = table.console()
    if not found:
        table.say(out, "no trading days yet: the first booking begins one")
        return
    table.show(out, columns, [_row(day, ratio) for day, ratio in zip(found, ratios, strict=False)])
    made = Decimal(0)
    for day in found:
        made = money.add(made, day.realized)
    best, worst = (pick(found, key=lambda day: day.realized) for pick in (max, min))
    said = table.line(
        *(f"{text.count(len(found), 'day')} · net", table.pnl(made)),
        *(f"· best {best.day}", table.pnl(best.realized)),
        *(f"· worst {worst.day}", table.pnl(worst.realized)),
    )
    table.say(out, said)


def _row(day: "DayView", ratio: float | None) -> "list[Cell | str]":
    from trading_engine.cli import table, text
    from trading_engine.cli.line import Cell

    change = _return_pct(day)
    return [
        day.day,
        table.pnl(day.realized),
        text.DASH if change is None else text.signed(change),
        text.amount(day.fees),
        text.signed(day.funding),
        str(day.trades),
        str(day.wins),
        text.amount(day.profit_factor),
        text.signed(day.drawdown),
        text.DASH if ratio is None else text.signed(Decimal(str(round(ratio, 2)))),
        "" if day.is_over else Cell("so far", table.ASIDE),
    ]
