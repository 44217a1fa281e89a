"""`signals`: what the strategies said, what became of each, and what would have been ordered where nothing is sent.

What belongs here: filters and the table. What does not: the fates (domain.records), the query (store).
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import islice
from typing import Annotated

import typer

from trading_engine.cli import shapes
from trading_engine.cli.arguments import JsonOption, StateOption, state_of
from trading_engine.cli.failure import usage
from trading_engine.cli.read_commands import LimitOption, SymbolFilter
from trading_engine.cli.views import reading
from trading_engine.domain.records import Fate
from trading_engine.store.read_models import SignalView

signals_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

_EXAMPLES = """\
Examples:

trading-engine signals --limit 20

trading-engine signals --fate withheld --state state/watching --json
"""


@signals_app.command(epilog=_EXAMPLES)
def signals(
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
    limit: LimitOption = None,
    symbol: SymbolFilter = None,
    fate: Annotated[
        str | None,
        typer.Option(metavar="F", help=f"Only this fate: {', '.join(Fate)}.", show_default=False),
    ] = None,
) -> None:
    """Show signals, the last first: what became of each, and why.

    Those of a run with --signals-only that would have been entered on are
    `withheld`, with the order that was not sent.
    """
    if fate is not None and fate not in tuple(Fate):
        raise usage(f"--fate {fate}: there is no such fate (known: {', '.join(Fate)})")
    with reading(state_of(state)) as reader:
        everything = reader.signals()
    wanted = (item for item in everything if fate in (None, item.fate) and symbol in (None, item.symbol))
    found = list(islice(wanted, limit))
    if as_json:
        typer.echo(shapes.dump([shapes.signal(item) for item in found]))
        return
    _show(found)


def _show(found: Sequence[SignalView]) -> None:
    from trading_engine.cli import table, text  # noqa: PLC0415 - JSON does without
    from trading_engine.cli.line import Cell  # noqa: PLC0415
    from trading_engine.cli.table import Column  # noqa: PLC0415

    out = table.console()
    columns = (
        Column("CANDLE"),
        Column("SYMBOL"),
        Column("SIDE"),
        Column("STRATEGY", gives_way=2),
        Column("FATE"),
        Column("QTY", is_number=True),
        Column("ENTRY", is_number=True),
        Column("STOP", is_number=True),
        Column("TARGET", is_number=True),
        Column("WHY", gives_way=1),
    )
    rows: list[Sequence[Cell | str]] = []
    for item in found:
        inputs = dict(item.inputs)
        told = [inputs.get(name) for name in ("quantity", "entry", "stop", "target")]
        order = [text.number(Decimal(value)) if value else text.DASH for value in told]
        is_good = item.fate in (Fate.TAKEN, Fate.ADDED)
        style = table.GOOD if is_good else table.ATTENTION if item.fate == Fate.WITHHELD else ""
        side = item.side or f"exit {item.exit_side or ''}".strip()
        why = item.reason.partition("; ")[2] if item.fate == Fate.WITHHELD else item.reason  # the rest has columns
        rows.append(
            [text.moment(item.candle_ms), item.symbol, side, item.strategy, Cell(item.fate, style), *order, why]
        )
    if rows:
        table.show(out, columns, rows)
    withheld = sum(item.fate == Fate.WITHHELD for item in found)
    sent = f" · {withheld} would have been entered on, nothing was sent" if withheld else ""
    table.say(out, f"{text.count(len(found), 'signal')}{sent}")
