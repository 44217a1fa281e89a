"""`status`, `positions`, `trades`, `orders`, `risk`: reading, whether the engine runs or not.

What belongs here: options, and the choice between JSON and a table. What does not: shapes, tables, queries.
"""

from itertools import islice
from typing import Annotated

import typer

from trading_engine.cli import shapes
from trading_engine.cli.arguments import JsonOption, StateOption, parse_time, state_of
from trading_engine.cli.views import Overview, reading
from trading_engine.store.read_models import TradeFilter

status_app = typer.Typer(rich_markup_mode="rich", add_completion=False)
positions_app = typer.Typer(rich_markup_mode="rich", add_completion=False)
trades_app = typer.Typer(rich_markup_mode="rich", add_completion=False)
orders_app = typer.Typer(rich_markup_mode="rich", add_completion=False)
risk_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

SymbolFilter = Annotated[
    str | None, typer.Option("--symbol", metavar="S", help="Only this symbol.", show_default=False)
]
LimitOption = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, max=1_000_000_000, help="At most the newest N.", show_default=False),
]


@status_app.command()
def status(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show whether the engine runs, what the account is worth and what may trade.

    Values are as of the last commit; times are the engine's own, which in a
    replay are those of the market.
    """
    directory = state_of(state)
    with reading(directory) as reader:
        overview = Overview.of(reader, directory)
    if as_json:
        typer.echo(shapes.dump(overview.row()))
        return
    from trading_engine.cli.tables import show_status  # noqa: PLC0415 - JSON does without

    show_status(overview)


@positions_app.command()
def positions(
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
    include_closed: Annotated[bool, typer.Option("--all", help="Closed positions as well.")] = False,
) -> None:
    """Show open positions with stop, target, PnL and R, the newest first.

    PnL is open and before fees; R counts open and realized together, in multiples
    of what the entry put at risk.
    """
    directory = state_of(state)
    with reading(directory) as reader:
        overview = Overview.of(reader, directory)
        found = reader.positions(include_closed=True) if include_closed else overview.live
    if as_json:
        rows = [
            shapes.position(
                item.position,
                overview.mark(item.position),
                overview.now_ms,
                stop_confirmed=item.is_stop_confirmed,
                liquidation=overview.liquidation(item.position),
            )
            for item in found
        ]
        typer.echo(shapes.dump(rows))
        return
    from trading_engine.cli.tables import show_positions  # noqa: PLC0415 - JSON does without

    show_positions(found, overview)


@trades_app.command()
def trades(
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
    limit: LimitOption = None,
    symbol: SymbolFilter = None,
    strategy: Annotated[str | None, typer.Option(metavar="S", help="Only this strategy.", show_default=False)] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="T", help="Closed at or after this date or time, UTC.", show_default=False),
    ] = None,
    include_abandoned: Annotated[bool, typer.Option("--all", help="Abandoned entries (never filled) as well.")] = False,
) -> None:
    """Show closed positions, the last closed first: what they made and why they ended."""
    wanted = TradeFilter(
        symbol=symbol,
        strategy=strategy,
        since_ms=None if since is None else parse_time("--since", since),
        limit=limit,
        include_abandoned=include_abandoned,
    )
    with reading(state_of(state)) as reader:
        found = reader.trades(wanted)
        known = [] if found else reader.trades(TradeFilter(include_abandoned=True))
    if as_json:
        typer.echo(shapes.dump([shapes.trade(item) for item in found]))
        return
    from trading_engine.cli.tables import show_trades  # noqa: PLC0415 - JSON does without

    symbols, strategies = ({item.symbol for item in known}, {item.strategy for item in known})
    show_trades(found, [*_stranger("symbol", symbol, symbols), *_stranger("strategy", strategy, strategies)])


@orders_app.command()
def orders(
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
    limit: LimitOption = None,
    symbol: SymbolFilter = None,
    only_live: Annotated[bool, typer.Option("--open", help="Only orders that may still fill.")] = False,
) -> None:
    """Show orders, the last intended first, and what is known about each."""
    symbols: set[str] = set()
    with reading(state_of(state)) as reader:
        if symbol is None and not only_live:
            found = reader.orders(limit)
        else:
            everything = reader.orders()
            symbols = {item.symbol for item in everything}
            wanted = (item for item in everything if symbol in (None, item.symbol))
            found = list(islice((item for item in wanted if item.is_live or not only_live), limit))
    if as_json:
        typer.echo(shapes.dump([shapes.order(item) for item in found]))
        return
    from trading_engine.cli.tables import show_orders  # noqa: PLC0415 - JSON does without

    show_orders(found, [] if found else _stranger("symbol", symbol, symbols))


def _stranger(what: str, asked: str | None, known: set[str]) -> list[str]:
    """Whether a filter names something that never occurred here, and what did: a misspelling shows."""
    if asked is None or asked in known:
        return []
    return [f"{what} {asked} has never occurred here; there are {', '.join(sorted(known)) or 'none yet'}"]


@risk_app.command()
def risk(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show each limit: used, left, when it resets, and the numbers it was computed from.

    Limits are recomputed from booked rows, so a restart changes none.
    """
    directory = state_of(state)
    with reading(directory) as reader:
        overview = Overview.of(reader, directory)
    if as_json:
        typer.echo(shapes.dump([shapes.limit(item) for item in overview.limits]))
        return
    from trading_engine.cli.tables import show_risk  # noqa: PLC0415 - JSON does without

    show_risk(overview)
