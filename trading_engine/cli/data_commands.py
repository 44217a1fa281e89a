"""`data`: the group, and `data record` and `data replay`: market data as it came, to a file and back.

What belongs here: the commands and what they say. What does not: recording (runtime.market_record), playing
(venue_servers.playback), candles on disk (store_commands, download_command).
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trading_engine.cli import download_command, store_commands, table
from trading_engine.cli.arguments import check_symbols, parse_duration, parse_speed
from trading_engine.cli.failure import DONE, FINDINGS, CommandFailed, usage
from trading_engine.cli.line import Cell
from trading_engine.cli.status_line import StatusLine
from trading_engine.cli.table import Column
from trading_engine.cli.text import count, duration, size
from trading_engine.domain.errors import VenueUnavailable
from trading_engine.system.redaction import redact

if TYPE_CHECKING:  # each command imports what it needs: a server needs aiohttp's, a recorder does not
    from trading_engine.runtime.market_record import MarketRecording
    from trading_engine.venue_servers.playback.serve import PlaybackServer

data_app = typer.Typer(rich_markup_mode="rich", add_completion=False, no_args_is_help=True)

_RECORD_EPILOG = """\
Examples:

trading-engine data record --venue binance --symbol BTCUSDT --duration 1h

trading-engine data record --venue binance --symbol BTCUSDT --symbol ETHUSDT --topics trade,bookTicker --out ticks
"""
_REPLAY_EPILOG = """\
Examples:

trading-engine data replay recordings/*.jsonl.gz --port 9001

trading-engine data replay btc.jsonl.gz --port 9001 --symbols-to 20 --loop
"""


@data_app.callback()
def data() -> None:
    """Market data: candles on disk, and what a venue says, recorded and said again."""


_STORE = "Candles and funding rates on disk"
_FRAMES = "Everything a venue says, as it came"
for _name, _epilog, _command in (
    ("download", download_command.EPILOG, download_command.download),
    ("import", store_commands.IMPORT_EPILOG, store_commands.import_files),
    ("synth", store_commands.SYNTH_EPILOG, store_commands.synth),
    ("list", store_commands.LIST_EPILOG, store_commands.list_datasets),
    ("check", store_commands.CHECK_EPILOG, store_commands.check),
):
    data_app.command(_name, epilog=_epilog, rich_help_panel=_STORE)(_command)


@data_app.command(epilog=_RECORD_EPILOG, rich_help_panel=_FRAMES)
def record(
    *,
    venue: Annotated[str, typer.Option(metavar="NAME", help="Whose streams; they need no key. Binance only.")],
    symbol: Annotated[
        list[str], typer.Option(metavar="S", help="What is recorded. May be repeated.", show_default=False)
    ],
    topics: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="Streams of each symbol. Default: depth, trades, quotes, marks, candles.",
            show_default=False,
        ),
    ] = "",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")] = Path("recordings"),
    length: Annotated[
        str | None,
        typer.Option("--duration", metavar="T", help="90s, 5m, 2h … Default: until Ctrl-C.", show_default=False),
    ] = None,
    rest_url: Annotated[str, typer.Option(metavar="URL", help="Another REST host.", show_default=False)] = "",
    ws_url: Annotated[str, typer.Option(metavar="URL", help="Another stream host.", show_default=False)] = "",
) -> int:
    """Record every frame of a venue's public streams until Ctrl-C.

    A file for each symbol and hour: gzip, each line a receive time in ns and the
    JSON as it came. Snapshots of the book are asked for over REST and recorded
    among the frames.
    """
    from trading_engine.runtime.market_record import MarketRecording, RecordOptions  # noqa: PLC0415 - as above
    from trading_engine.runtime.recordable import RECORDABLE  # noqa: PLC0415

    if venue not in RECORDABLE:
        raise usage(f"--venue {venue}: cannot be recorded (known: {', '.join(RECORDABLE)})")
    names = tuple(topic.strip() for topic in topics.split(",") if topic.strip())
    known = RECORDABLE[venue].known
    for name in names:
        if name.split("@")[0].split("_")[0] not in known:
            raise usage(f"--topics {name}: {venue} has no such stream (known: {', '.join(sorted(known))})")
    if bool(rest_url) is not bool(ws_url):
        raise usage("--rest-url and --ws-url go together: give both or none")
    options = RecordOptions(
        venue=venue,
        symbols=check_symbols("--symbol", symbol),
        folder=out,
        topics=names,
        duration_s=None if length is None else parse_duration("--duration", length),
        rest_url=rest_url.rstrip("/"),
        ws_url=ws_url.rstrip("/"),
    )
    line = StatusLine()
    recording = MarketRecording(options, lambda text: line.tell(f"note: {redact(text)}"))
    begun_s = time.monotonic()
    try:
        asyncio.run(_until_told(recording.run, lambda: _recording_now(recording, begun_s), line))
    except VenueUnavailable as error:
        raise CommandFailed(f"nothing was recorded: {error}", FINDINGS) from None
    return _sum_up(recording)


def _recording_now(recording: "MarketRecording", begun_s: float) -> str:
    seconds = time.monotonic() - begun_s
    told = [duration(int(seconds * 1000)), count(recording.frames, "frame")]
    told.append(f"{recording.frames / max(seconds, 1):,.0f}/s")
    if recording.is_failing:
        told.append("THE DISK DOES NOT TAKE THEM")
    return "recording  " + " · ".join([*told, "Ctrl-C ends it"])


def _sum_up(recording: "MarketRecording") -> int:
    out = table.console()
    columns = [
        Column("SYMBOL"),
        *(Column(name, is_number=True) for name in ("FRAMES", "TRADES", "QUOTES", "DEPTH", "SNAPSHOTS", "HOLES")),
        Column("SIZE", is_number=True),
    ]
    rows: list[Sequence[Cell | str]] = []
    for symbol, one in recording.symbols.items():
        kinds = one.kinds
        numbers = [one.recorder.taken, kinds["Trade"], kinds["Quote"], kinds["DepthChange"], one.snapshots]
        holes = Cell(f"{one.holes:,}", table.ATTENTION if one.holes else "")
        rows.append([symbol, *(f"{number:,}" for number in numbers), holes, size(one.size)])
    table.show(out, columns, rows)
    table.say(out, "")
    for one in recording.symbols.values():
        for path in one.recorder.files:
            table.say(out, f"{path}")
    length = duration(int(recording.seconds * 1000))
    is_lossy = bool(recording.dropped or recording.is_failing)
    told = f"{count(recording.frames, 'frame')} in {length} · {recording.dropped:,} dropped"
    table.say(out, f"{told} · {recording.undecoded:,} not understood", table.BAD if is_lossy else "")
    return FINDINGS if is_lossy else DONE


@data_app.command(epilog=_REPLAY_EPILOG, rich_help_panel=_FRAMES)
def replay(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Recordings, in any order.", show_default=False)],
    *,
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65_535, help="Port on 127.0.0.1.")],
    venue: Annotated[str, typer.Option(metavar="NAME", help="Whose recordings they are.")] = "binance",
    speed: Annotated[
        str, typer.Option(metavar="max|FACTOR", help="Recorded seconds in a real one; max: as fast as taken.")
    ] = "1",
    symbols_to: Annotated[
        int, typer.Option(metavar="K", min=0, max=500, help="Play copies too, K symbols in all.", show_default=False)
    ] = 0,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end; times and ids go on rising.")] = False,
    key: Annotated[str, typer.Option(metavar="KEY", help="The API key it knows.")] = "local-key",
    secret: Annotated[str, typer.Option(metavar="SECRET", help="Its secret.")] = "local-secret",  # noqa: S107 - of a server on this machine that holds play money
) -> int:
    """Serve recorded frames again, on the venue's own stream paths.

    Time begins with the first visitor. REST has the recording's own candles and
    book, and with --loop a history. Orders are matched on its candles, with
    play money.
    """
    from trading_engine.venue_servers.playback.binance import PLAYBACKS  # noqa: PLC0415 - as above
    from trading_engine.venue_servers.playback.serve import PlaybackOptions, PlaybackServer  # noqa: PLC0415
    from trading_engine.venues.wire.secrets import Credentials  # noqa: PLC0415

    if venue not in PLAYBACKS:
        raise usage(f"--venue {venue}: recordings of it cannot be played (known: {', '.join(PLAYBACKS)})")
    line = StatusLine()
    line.show("reading the recording …")
    options = PlaybackOptions(
        venue=venue,
        files=files,
        port=port,
        credentials=Credentials(key, secret),
        speed=parse_speed(speed),
        symbols_to=symbols_to,
        is_endless=loop,
    )
    server = PlaybackServer(options)
    for note in server.recording.notes:
        line.tell(f"note: {note}")
    line.clear()
    tape, names = server.tape, [instrument.symbol for instrument in server.recording.instruments]
    shown = ", ".join(names[:4]) + (f" … {names[-1]} ({len(names)} symbols)" if len(names) > 4 else "")
    typer.echo(f"{venue} plays {count(tape.frame_count, 'frame')} of {duration(tape.length_ms)}: {shown}")

    async def serve(stop: asyncio.Event) -> None:
        ready = asyncio.Event()
        running = asyncio.ensure_future(server.run(ready))
        waiting = [asyncio.ensure_future(one.wait()) for one in (ready, stop)]
        await asyncio.wait({running, waiting[0]}, return_when=asyncio.FIRST_COMPLETED)
        if ready.is_set():
            line.clear()
            typer.echo(f"at http://127.0.0.1:{server.port} and ws://127.0.0.1:{server.port} (key {key})")
        await asyncio.wait({running, waiting[1]}, return_when=asyncio.FIRST_COMPLETED)
        for task in (running, *waiting):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await running

    asyncio.run(_until_told(serve, lambda: _playing_now(server), line))
    turns = f", {count(server.turn + 1, 'time')}" if loop else ""
    typer.echo(f"played {count(server.played, 'frame')}, {duration(server.position_ms)} of market{turns}")
    return DONE


def _playing_now(server: "PlaybackServer") -> str:
    if not server.played:
        return "waiting for a visitor · Ctrl-C ends it"
    turn_ms = server.tape.turn_ms
    told = [f"{duration(server.position_ms - server.turn * turn_ms)} of {duration(turn_ms or server.tape.length_ms)}"]
    if server.turn:
        told.append(f"turn {server.turn + 1}")
    told += [count(server.played, "frame"), count(server.connections, "connection")]
    return "playing  " + " · ".join([*told, "Ctrl-C ends it"])


async def _until_told(
    work: Callable[[asyncio.Event], Awaitable[None]], text: Callable[[], str], line: StatusLine
) -> None:
    """Run until it ends or SIGTERM or SIGINT asks for the end, showing how it goes on."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    showing = asyncio.create_task(line.keep(text))
    try:
        await work(stop)
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing
