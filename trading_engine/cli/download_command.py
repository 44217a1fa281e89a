"""`data download`: candles and funding rates from a venue into the store.

What belongs here: the command and what it says. What does not: downloading (runtime.market_download), tables
(store_tables).
"""

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from trading_engine.cli import store_tables, table
from trading_engine.cli.arguments import check_symbols, parse_time
from trading_engine.cli.failure import DONE, FINDINGS, INTERRUPTED, CommandFailed, usage
from trading_engine.cli.progress import Bar
from trading_engine.cli.store_commands import DataOption
from trading_engine.cli.table import Out
from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.time import DAY_MS
from trading_engine.marketdata.candle_store.name import DEFAULT_FOLDER, parse_interval
from trading_engine.system.clock import SystemClock
from trading_engine.system.redaction import redact

if TYPE_CHECKING:  # aiohttp is loaded by the command that needs it
    from trading_engine.runtime.market_download import DownloadOptions, Filled, MarketDownload

_PAUSE_S = 0.25

EPILOG = """\
Examples:

trading-engine data download --venue binance --symbol BTCUSDT --from 2024-01-01

trading-engine data download --venue zoomex --symbol BTCUSDT --symbol ETHUSDT --from 2025-01-01 --to 2025-07-01 \
--funding

The same command again asks only for what is still missing.
"""


def download(
    *,
    venue: Annotated[str, typer.Option(metavar="V", help="binance, bingx or zoomex; no key.", show_default=False)],
    symbol: Annotated[
        list[str], typer.Option(metavar="S", help="What is downloaded. May be repeated.", show_default=False)
    ],
    start: Annotated[str, typer.Option("--from", metavar="DATE", help="First instant, UTC.", show_default=False)],
    end: Annotated[
        str, typer.Option("--to", metavar="DATE", help="Where to end, not included. Default: now.", show_default=False)
    ] = "",
    interval: Annotated[str, typer.Option(metavar="1m", help="Length of a candle.")] = "1m",
    funding: Annotated[bool, typer.Option("--funding", help="Funding rates as well.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Ask also for what the venue said it does not have.")] = False,
    rest_url: Annotated[str, typer.Option(metavar="URL", help="Another REST host.", show_default=False)] = "",
    data: DataOption = DEFAULT_FOLDER,
) -> int:
    """Download candles, and funding rates, that the store lacks.

    Pages are stored as they come: after an error, or Ctrl-C, the same command
    goes on where it ended. At most half of what the venue allows is asked, so
    that an engine on the same machine is not kept waiting.
    """
    from trading_engine.runtime.market_download import DownloadOptions  # noqa: PLC0415 - as above
    from trading_engine.runtime.remote import VENUES  # noqa: PLC0415

    if venue not in VENUES:
        raise usage(f"--venue {venue}: nothing is downloaded from there (known: {', '.join(VENUES)})")
    interval_ms = parse_interval(interval)
    if DAY_MS % interval_ms:
        raise usage(f"--interval {interval}: expected one that a day is made of (as 1m, 15m, 4h or 1d)")
    from_ms, to_ms = parse_time("--from", start), parse_time("--to", end) if end else None
    if to_ms is not None and to_ms <= from_ms:
        raise usage(f"--to {end} is not after --from {start}; expected a later instant")
    if from_ms >= SystemClock().now_ms():
        raise usage(f"--from {start} is yet to come; expected an instant of the past")
    for one in check_symbols("--symbol", symbol):
        options = DownloadOptions(venue, one, interval_ms, from_ms, to_ms, data, funding, again, rest_url.rstrip("/"))
        if _downloaded(options):
            continue
        return INTERRUPTED
    return DONE


def _downloaded(options: "DownloadOptions") -> bool:
    """Download one symbol and say what became of it; whether it came to its end."""
    from trading_engine.runtime.market_download import MarketDownload  # noqa: PLC0415 - as above

    out, stop = table.console(), asyncio.Event()
    with Bar(options.symbol) as bar:
        work = MarketDownload(options, lambda text: bar.tell(f"note: {redact(text)}"))
        problem = ""
        try:
            asyncio.run(_watched(work, stop, bar))
        except VenueUnavailable as error:
            problem = str(error)
    for filled in work.filled:
        if filled.manifest or not problem:
            _tell(out, options, filled)
    if problem:
        is_begun = any(filled.change.added for filled in work.filled)
        then = "what came before is stored, the same command goes on behind it" if is_begun else "nothing was stored"
        raise CommandFailed(f"{problem}; {then}", FINDINGS)
    if stop.is_set():
        table.say(out, "stopped; the same command goes on from here", table.ATTENTION)
    return not stop.is_set()


async def _watched(work: "MarketDownload", stop: asyncio.Event, bar: Bar) -> None:
    """Run until it ends or SIGTERM or SIGINT asks for the end, showing how far it is."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    async def watch() -> None:
        while True:
            bar.what = work.phase or "asking the venue"
            bar.show(work.done, work.total, work.waiting)
            await asyncio.sleep(_PAUSE_S)

    showing = asyncio.create_task(watch())
    try:
        await work.run(stop)
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing


def _tell(out: Out, options: "DownloadOptions", filled: "Filled") -> None:
    """What became of one dataset."""
    name, manifest = filled.name, filled.manifest
    if manifest is None:
        table.say(out, f"{name}: the venue has nothing of that time", table.ATTENTION)
        return
    store_tables.tell_change(out, options.folder, manifest, filled.change)
    before = [end for start, end in filled.lacking if start < manifest.first_ms]
    if before:
        table.say(out, f"{options.venue} has nothing before {store_tables.when(manifest.first_ms)}", table.ATTENTION)
    inner = [span for span in filled.lacking if span[0] > manifest.first_ms]
    many = sum((end - start) // name.spacing_ms for start, end in inner)
    if many:
        told = f"{store_tables.noun(manifest, many)} of what was asked for are not to be had at {options.venue}"
        table.say(out, told, table.ATTENTION)
