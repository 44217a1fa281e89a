"""`data import`, `data synth`, `data list`, `data check`: candles and funding rates on disk.

What belongs here: the commands and what they say. What does not: the store (marketdata.candle_store), asking a venue
for what goes in (download_command), tables (store_tables).
"""

import dataclasses
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trading_engine.cli import shapes, store_tables, table
from trading_engine.cli.arguments import JsonOption, check_seed, check_symbols, parse_time
from trading_engine.cli.failure import DONE, FINDINGS, usage
from trading_engine.cli.progress import Bar
from trading_engine.cli.status_line import StatusLine
from trading_engine.cli.text import count
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.time import DAY_MS, MINUTE_MS, interval_name, parse_iso
from trading_engine.marketdata.candle_store.manifest import Source, Units
from trading_engine.marketdata.candle_store.name import (
    DEFAULT_FOLDER,
    DatasetName,
    check_venue,
    names_below,
    parse_interval,
)
from trading_engine.venues.embedded.facts import known_instrument, single_tier

if TYPE_CHECKING:
    from trading_engine.marketdata.candle_store.intake import Taken

# numpy and pyarrow are loaded by the command that needs them
# ruff: noqa: PLC0415

DataOption = Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder of the store.")]
VenueFilter = Annotated[str, typer.Option("--venue", metavar="V", help="Of this venue only.", show_default=False)]
SymbolFilter = Annotated[str, typer.Option("--symbol", metavar="S", help="Of this symbol only.", show_default=False)]

_LONGEST_SYNTH_DAYS = 3_660
_MOST_TOLD = 8
_SYNTH_FROM = "2025-01-01"
_SYNTH_YEARS = (2000, 2099)
_DAY_CANDLES = DAY_MS // MINUTE_MS
# What a symbol without built-in facts is traded in.
_UNKNOWN = Instrument(
    symbol="",
    tick=Decimal("0.01"),
    step=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(1_000_000),
    min_notional=Decimal(5),
    max_leverage=Decimal(50),
    tiers=single_tier(Decimal("0.01"), Decimal(50)),
)

IMPORT_EPILOG = """\
Examples:

trading-engine data import btc-2024.csv btc-2025.parquet --venue binance --symbol BTCUSDT

trading-engine data import btc-funding.csv --funding --venue binance --symbol BTCUSDT

A file has the columns ts (open time or settlement, UTC ms) and open, high, low,
close, volume, or rate (0.0001 is 0.01 %), in any order and among others.
"""
LIST_EPILOG = """\
Examples:

trading-engine data list

trading-engine data list --symbol BTCUSDT --json
"""
CHECK_EPILOG = """\
Examples:

trading-engine data check

trading-engine data check --venue binance --repair
"""
SYNTH_EPILOG = """\
Examples:

trading-engine data synth --seed 7 --symbol BTCUSDT --days 90

trading-engine data synth --seed 7 --symbol BTCUSDT --days 30 --regime crash
"""


def import_files(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Parquet or CSV, in any order.", show_default=False)
    ],
    *,
    venue: Annotated[str, typer.Option(metavar="V", help="Where it was traded: binance …", show_default=False)],
    symbol: Annotated[str, typer.Option(metavar="S", help="What was traded: BTCUSDT …", show_default=False)],
    interval: Annotated[
        str,
        typer.Option(metavar="1m", help="Length of a candle. Default: what the files hold.", show_default=False),
    ] = "",
    funding: Annotated[bool, typer.Option("--funding", help="The files hold funding rates.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Rows that differ take the place of those stored.")
    ] = False,
    data: DataOption = DEFAULT_FOLDER,
) -> int:
    """Put candles or funding rates from files into the store.

    What overlaps is merged. Rows of one instant that differ are refused with both
    values, and nothing is stored then, unless --replace says that the new ones
    are right (of two files, the later one).
    """
    from trading_engine.marketdata.candle_store import intake
    from trading_engine.marketdata.candle_store.rows import CANDLES, RATES
    from trading_engine.marketdata.candle_store.writing import Conflict, open_writer, refused

    venue, symbol = check_venue(venue), _one_symbol(symbol)
    wanted_ms = parse_interval(interval) if interval else 0
    if funding and interval:
        raise usage("--interval and --funding: funding rates have no interval; leave one out")
    at_ms, line, taken = _now_ms(), StatusLine(), []
    for number, path in enumerate(files, start=1):
        line.show(f"reading {path.name}, file {number} of {len(files)} …")
        taken.append(intake.take_funding(symbol, path) if funding else intake.take_candles(symbol, path))
    line.clear()
    name = DatasetName(venue, symbol, _common_interval(taken, wanted_ms))
    rows = intake.join_files(taken, RATES if funding else CANDLES, replaces=replace)
    source = Source("import", ", ".join(path.name for path in files), at_ms, 0, 0, 0)
    with open_writer(data, name) as writer:
        try:
            change = writer.write(rows, source, replaces=replace, units=_known_units(name))
        except Conflict as error:
            difference = error.difference
            raise refused(difference, str(intake.origin(taken, difference.ts)), "the store") from None
        manifest = writer.manifest
    out = table.console()
    store_tables.show_files(out, taken)
    for one in taken:
        if one.note:
            table.say(out, f"{one.path}: {one.note}", table.ATTENTION)
    if manifest is not None:
        table.say(out, "")
        store_tables.tell_change(out, data, manifest, change)
    return DONE


def synth(
    *,
    seed: Annotated[int, typer.Option(metavar="N", help="Equal seeds give equal markets.", show_default=False)],
    symbol: Annotated[
        list[str], typer.Option(metavar="S", help="What is traded. May be repeated.", show_default=False)
    ],
    days: Annotated[int, typer.Option(metavar="D", min=1, max=_LONGEST_SYNTH_DAYS, help="How long.")],
    regime: Annotated[
        str, typer.Option(metavar="NAME", help="trend, range, gaps (candles are missing), crash or mixed.")
    ] = "mixed",
    start: Annotated[str, typer.Option("--from", metavar="DATE", help="First day, UTC.")] = _SYNTH_FROM,
    venue: Annotated[
        str, typer.Option(metavar="V", help="Name it is kept under. Default: synth-SEED-REGIME.", show_default=False)
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Rows that differ take the place of those stored.")
    ] = False,
    data: DataOption = DEFAULT_FOLDER,
) -> int:
    """Generate 1-minute candles and funding rates of a made-up market.

    The first days of a longer market are those of a shorter one. A market says
    something about an engine and nothing about money to be made.
    """
    from trading_engine.marketdata.candle_store.convert import rows_of_block, rows_of_rates
    from trading_engine.marketdata.candle_store.writing import open_writer
    from trading_engine.marketdata.synth import Character, SyntheticMarket

    check_seed(seed)
    symbols = check_symbols("--symbol", symbol)
    if regime not in set(Character):
        raise usage(f"--regime {regime}: there is no such market (known: {', '.join(Character)})")
    told = f"seed {seed}, {regime}"
    begin_ms, at_ms = _first_day(start, days), _now_ms()
    keep = check_venue(venue or f"synth-{seed}-{regime}")
    out, line = table.console(), StatusLine()
    for one in symbols:
        line.show(f"generating {count(days, 'day')} of {one} …")
        instrument = known_instrument(one) or dataclasses.replace(_UNKNOWN, symbol=one)
        market = SyntheticMarket(seed, {one: instrument}, begin_ms, days * _DAY_CANDLES, Character(regime))
        block = market.history(one, market.last_ts + MINUTE_MS, days * _DAY_CANDLES)
        units = Units(instrument.tick, instrument.step, "built-in")
        rates = rows_of_rates(market.funding_between(0, market.last_ts + MINUTE_MS))
        for interval_ms, rows, its_units in ((MINUTE_MS, rows_of_block(block, instrument), units), (0, rates, None)):
            with open_writer(data, DatasetName(keep, one, interval_ms)) as writer:
                change = writer.write(rows, Source("synth", told, at_ms, 0, 0, 0), replaces=replace, units=its_units)
                manifest = writer.manifest
            line.clear()
            if manifest is not None:
                store_tables.tell_change(out, data, manifest, change)
    return DONE


def list_datasets(
    *,
    venue: VenueFilter = "",
    symbol: SymbolFilter = "",
    data: DataOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> int:
    """List what the store holds: rows, span, what is missing, and where it came from.

    Exit code 1 where something cannot be read; `data check` reads every row.
    """
    listed = [store_tables.listed(data, name) for name in _chosen(data, venue, symbol)]
    if as_json:
        typer.echo(shapes.dump({"folder": str(data), "datasets": [store_tables.list_shape(one) for one in listed]}))
    else:
        store_tables.show_list(table.console(), data, listed)
    return FINDINGS if any(one.wrong for one in listed) else DONE


def check(
    *,
    venue: VenueFilter = "",
    symbol: SymbolFilter = "",
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Put broken files aside: what they held is missing then, and can be had again."),
    ] = False,
    data: DataOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> int:
    """Read every row again: checksums, order, duplicates, sound candles, gaps.

    Exit code 1 where something is not as it was written. What is missing at the
    venue as well is told and is no fault.
    """
    from trading_engine.marketdata.candle_store.checking import check_dataset
    from trading_engine.marketdata.candle_store.writing import open_writer

    names, verdicts, lost = _chosen(data, venue, symbol), [], 0
    with Bar("checking") as bar:
        for number, name in enumerate(names):
            bar.show(number, len(names), str(name))
            verdict = check_dataset(data, name)
            if repair and verdict.manifest is not None and verdict.problems:
                with open_writer(data, name) as writer:
                    lost += writer.rebuild(verdict.lost)
            verdicts.append(verdict)
    given_up = lost if repair else None
    if as_json:
        typer.echo(shapes.dump(store_tables.check_shape(data, verdicts, given_up)))
    else:
        store_tables.show_check(table.console(), data, verdicts, given_up)
    return FINDINGS if any(one.problems for one in verdicts) else DONE


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _first_day(start: str, days: int) -> int:
    """The midnight at which a generated market begins; a usage error for a time of day and for years out of reach."""
    begin_ms = parse_time("--from", start)
    if begin_ms % DAY_MS:
        raise usage(f"--from {start}: a generated market begins at midnight UTC; give the day alone (as {_SYNTH_FROM})")
    first, last = _SYNTH_YEARS
    if not parse_iso(f"{first}-01-01") <= begin_ms <= parse_iso(f"{last + 1}-01-01") - days * DAY_MS:
        raise usage(f"--from {start}: {count(days, 'day')} from then on do not lie in the years {first} to {last}")
    return begin_ms


def _one_symbol(symbol: str) -> str:
    return check_symbols("--symbol", [symbol])[0]


def _chosen(data: Path, venue: str, symbol: str) -> list[DatasetName]:
    """The datasets of the filters; a usage error where they name what is not there, or the store is no folder."""
    if data.exists() and not data.is_dir():
        raise usage(f"--data {data} is not a folder; name the folder of the store (`data import` reads files)")
    there = list(names_below(data, with_lost=True))
    found = [name for name in there if venue in ("", name.venue) and symbol in ("", name.symbol)]
    if (venue or symbol) and not found:
        wanted = " ".join(part for part in (venue, symbol) if part)
        has = sorted({f"{name.venue} {name.symbol}" for name in there})
        told = ", ".join(has[:_MOST_TOLD]) + (" …" if len(has) > _MOST_TOLD else "")
        raise usage(f"{data}: holds nothing of {wanted} (it has: {told or 'nothing'})")
    return found


def _common_interval(taken: "Sequence[Taken]", wanted_ms: int) -> int:
    """The interval of all files; ConfigInvalid where one has another than was asked for, or than the first."""
    expected_ms = wanted_ms or taken[0].interval_ms
    for one in taken:
        if one.interval_ms != expected_ms:
            expected = interval_name(expected_ms)
            why = f"--interval {expected} asks for them" if wanted_ms else f"as {taken[0].path} has them"
            raise ConfigInvalid(
                f"{one.path}: holds {interval_name(one.interval_ms)} candles; expected {expected}, {why}", exit_code=2
            )
    return expected_ms


def _known_units(name: DatasetName) -> Units | None:
    """Tick and step where they are built in: Binance's."""
    known = known_instrument(name.symbol)
    if name.is_funding or name.venue != "binance" or known is None:
        return None
    return Units(known.tick, known.step, "built-in")
