"""`exchange serve`: a venue of your own on this machine, speaking the venue's protocol.

What belongs here: the command and what it says. What does not: the server.
"""

import asyncio
import signal
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from trading_engine.cli.arguments import FundingOption, ReplayOption, check_seed, parse_pairs
from trading_engine.cli.failure import DONE, usage
from trading_engine.venue_servers.serve import DEFAULT_SYMBOLS, PROTOCOLS, ServeOptions, VenueServer
from trading_engine.venues.wire.secrets import Credentials

exchange_app = typer.Typer(rich_markup_mode="rich", add_completion=False, no_args_is_help=True)

_EPILOG = """\
Examples:

trading-engine exchange serve --venue binance --port 9001

trading-engine exchange serve --venue bingx --port 9002 --replay BTCUSDT=btc.parquet --speed 60 --db venue.db
"""


@exchange_app.callback()
def exchange() -> None:
    """Local venue servers: play money, real protocol."""


@exchange_app.command(epilog=_EPILOG)
def serve(
    *,
    venue: Annotated[str, typer.Option(metavar="NAME", help="binance, bingx or zoomex.")],
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65_535, help="Port on 127.0.0.1.")],
    replay: ReplayOption = None,
    funding: FundingOption = None,
    symbol: Annotated[
        list[str] | None,
        typer.Option(metavar="S", help="Symbol of the synthetic market. May be repeated.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Synthetic market to draw.")] = 7,
    speed: Annotated[float, typer.Option(metavar="FACTOR", help="Market seconds in a real one.")] = 1.0,
    key: Annotated[str, typer.Option(metavar="KEY", help="The API key it knows.")] = "local-key",
    secret: Annotated[str, typer.Option(metavar="SECRET", help="Its secret.")] = "local-secret",  # noqa: S107 - of a server on this machine that holds play money
    balance: Annotated[str, typer.Option(metavar="MONEY", help="What a new account begins with.")] = "10000",
    faults: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What goes wrong: see venue-faults.md.", show_default=False),
    ] = None,
    db: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep the account here.", show_default=False)] = None,
) -> int:
    """Serve one venue's REST and websocket protocol on this machine until SIGTERM or SIGINT.

    Orders are matched as in paper trading. An engine whose `venues.NAME.rest_url`
    is http://127.0.0.1:PORT (and `ws_url` ws://127.0.0.1:PORT) trades here.
    """
    if venue not in PROTOCOLS:
        raise usage(f"--venue {venue}: there is no such server (known: {', '.join(PROTOCOLS)})")
    if not speed > 0:
        raise usage(f"--speed {speed} is not above 0")
    try:
        money = Decimal(balance)
    except InvalidOperation:
        raise usage(f"--balance {balance} is not a number") from None
    if not (money.is_finite() and money > 0):
        raise usage(f"--balance {balance} is not above 0")
    candles, rates = parse_pairs("--replay", replay), parse_pairs("--funding", funding)
    lonely = sorted(set(rates) - set(candles))
    if lonely:
        raise usage(f"--funding {lonely[0]}=…: there is no --replay {lonely[0]}=FILE for it")
    options = ServeOptions(
        venue=venue,
        port=port,
        credentials=Credentials(key, secret),
        replay=candles,
        funding=rates,
        symbols=tuple(symbol or DEFAULT_SYMBOLS),
        seed=check_seed(seed) or 0,
        speed=speed,
        balance=money,
        faults=faults,
        db=db,
    )
    asyncio.run(_serve(VenueServer(options), options))
    return DONE


async def _serve(server: VenueServer, options: ServeOptions) -> None:
    ready = asyncio.Event()
    task = asyncio.create_task(server.run(ready))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    listening = asyncio.create_task(ready.wait())
    await asyncio.wait({task, listening}, return_when=asyncio.FIRST_COMPLETED)
    if ready.is_set():
        symbols = ", ".join(server.instruments)
        typer.echo(
            f"{options.venue} serves {symbols} at http://127.0.0.1:{options.port} (key {options.credentials.key})"
        )
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await task
