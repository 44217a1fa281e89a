"""What the commands of the candle store print.

What belongs here: tables, closing lines and JSON of files, datasets and verdicts. What does not: the commands
(store_commands, download_command).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trading_engine.cli import shapes, table
from trading_engine.cli.line import Cell
from trading_engine.cli.table import Column, Out
from trading_engine.cli.text import DASH, count, duration, moment, size
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import interval_name, iso
from trading_engine.marketdata.candle_store.manifest import Manifest, Stretch, read_manifest
from trading_engine.marketdata.candle_store.name import FUNDING, DatasetName

if TYPE_CHECKING:  # numpy and pyarrow are not loaded by a list
    from trading_engine.marketdata.candle_store.checking import Verdict
    from trading_engine.marketdata.candle_store.intake import Taken
    from trading_engine.marketdata.candle_store.writing import Change

_FILES = (
    Column("FILE"),
    Column("DATA", gives_way=2),
    Column("ROWS", is_number=True),
    Column("FROM"),
    Column("TO"),
    Column("MISSING", is_number=True, gives_way=1),
)
_LIST = (
    Column("VENUE"),
    Column("SYMBOL"),
    Column("DATA"),
    Column("ROWS", is_number=True),
    Column("FROM"),
    Column("TO"),
    Column("MISSING", is_number=True),
    Column("GAPS", is_number=True, gives_way=1),
    Column("SIZE", is_number=True, gives_way=2),
    Column("LATEST", gives_way=3),
)
_CHECK = (
    Column("VENUE"),
    Column("SYMBOL"),
    Column("DATA"),
    Column("ROWS", is_number=True),
    Column("FILES", is_number=True),
    Column("MISSING", is_number=True),
    Column("GAPS", is_number=True),
    Column("VERDICT"),
)
_SHOWN_GAPS = 3


@dataclass(frozen=True, slots=True)
class Listed:
    """A dataset for a list; `wrong` says why its manifest cannot be read, empty where it can."""

    name: DatasetName
    manifest: Manifest | None
    size: int
    wrong: str


def when(ts_ms: int) -> str:
    """An instant to the minute."""
    return moment(ts_ms)[:16]


def missing_cell(many: int) -> Cell:
    """How many rows are missing, in yellow where there are any."""
    return Cell(f"{many:,}", table.ATTENTION if many else "")


def noun(manifest: Manifest, many: int) -> str:
    """`1,440 candles`, `3 settlements`."""
    return count(many, "settlement" if manifest.kind == FUNDING else "candle")


# ── import, download, synth ─────────────────────────────────────────────────


def show_files(out: Out, taken: "Sequence[Taken]") -> None:
    """One row a file that was read."""
    rows: list[Sequence[Cell | str]] = [
        [
            one.path.name,
            interval_name(one.interval_ms) if one.interval_ms else FUNDING,
            f"{one.rows.size:,}",
            when(int(one.rows.ts[0])),
            when(int(one.rows.ts[-1])),
            missing_cell(sum(gap.missing for gap in one.gaps)),
        ]
        for one in taken
    ]
    table.show(out, _FILES, rows)


def tell_change(out: Out, root: Path, manifest: Manifest, change: "Change") -> None:
    """What became of the dataset: two lines."""
    many = ((change.added, "added"), (change.replaced, "replaced"), (change.same, "stored already"))
    parts = [f"{number:,} {what}" for number, what in many if number] or ["nothing new"]
    table.say(out, f"{manifest.venue} {manifest.symbol} {manifest.kind}: {' · '.join(parts)}")
    span = f"{noun(manifest, manifest.rows)} from {when(manifest.first_ms)} to {when(manifest.last_ms)}"
    lacking = f"{manifest.missing:,} missing in {count(len(manifest.gaps), 'gap')}" if manifest.gaps else "none missing"
    folder = DatasetName(manifest.venue, manifest.symbol, 0).folder(root).parent / manifest.kind
    table.say(out, f"{span}, {lacking} · {folder}", table.ATTENTION if manifest.gaps else "")


# ── list ────────────────────────────────────────────────────────────────────


def listed(root: Path, name: DatasetName) -> Listed:
    """Read what a list shows of a dataset."""
    folder = name.folder(root)
    try:
        manifest = read_manifest(root, name)
    except ConfigInvalid as error:
        return Listed(name, None, 0, str(error))
    if manifest is None:
        return Listed(name, None, 0, f"{folder}: has files and no manifest")
    paths = [folder / part.file for part in manifest.parts]
    lost = [path for path in paths if not path.exists()]
    wrong = f"{lost[0]}: is missing" if lost else ""
    return Listed(name, manifest, sum(path.stat().st_size for path in paths if path not in lost), wrong)


def show_list(out: Out, root: Path, found: Sequence[Listed]) -> None:
    """The table, what is wrong, and a line that sums up."""
    if not found:
        table.say(out, f"{root} holds nothing yet; `data import`, `data download` or `data synth` fill it")
        return
    table.show(out, _LIST, [_list_row(one) for one in found])
    for one in found:
        if one.wrong:
            table.say(out, one.wrong, table.BAD)
    rows = sum(one.manifest.rows for one in found if one.manifest)
    bytes_ = sum(one.size for one in found)
    table.say(out, "")
    table.say(out, f"{count(len(found), 'dataset')} · {count(rows, 'row')} · {size(bytes_)} in {root}")


def _list_row(one: Listed) -> Sequence[Cell | str]:
    name, manifest = one.name, one.manifest
    if manifest is None:
        return [name.venue, name.symbol, name.kind, *[DASH] * 6, Cell("unreadable", table.BAD)]
    latest = manifest.sources[-1]
    return [
        name.venue,
        name.symbol,
        name.kind,
        f"{manifest.rows:,}",
        when(manifest.first_ms),
        when(manifest.last_ms),
        missing_cell(manifest.missing),
        f"{len(manifest.gaps):,}",
        size(one.size),
        f"{latest.how} {when(latest.at_ms)[:10]}",
    ]


def list_shape(one: Listed) -> shapes.Row:
    """An element of `data list --json`."""
    manifest = one.manifest
    row: shapes.Row = {"venue": one.name.venue, "symbol": one.name.symbol, "data": one.name.kind}
    if manifest is None:
        return row | {"problem": one.wrong}
    units = manifest.units
    return row | {
        "rows": manifest.rows,
        "first": iso(manifest.first_ms),
        "last": iso(manifest.last_ms),
        "missing": manifest.missing,
        "gaps": [_gap_shape(gap) for gap in manifest.gaps],
        "tick": shapes.decimal(units.tick) if units else None,
        "step": shapes.decimal(units.step) if units else None,
        "digest": manifest.digest,
        "size_bytes": one.size,
        "sources": [
            {
                "how": source.how,
                "from": source.told,
                "at": iso(source.at_ms),
                "rows": source.rows,
                "added": source.added,
                "replaced": source.replaced,
            }
            for source in reversed(manifest.sources)
        ],
        "problem": one.wrong or None,
    }


def _gap_shape(gap: Stretch) -> shapes.Row:
    return {"from": iso(gap.from_ms), "to": iso(gap.to_ms), "missing": gap.missing}


# ── check ───────────────────────────────────────────────────────────────────


def show_check(out: Out, root: Path, verdicts: "Sequence[Verdict]", lost: int | None) -> None:
    """The table, every problem, and whether it is well; `lost` rows were given up by a repair, None without one."""
    if not verdicts:
        table.say(out, f"{root} holds nothing yet; `data import`, `data download` or `data synth` fill it")
        return
    table.show(out, _CHECK, [_check_row(one) for one in verdicts])
    table.say(out, "")
    for one in verdicts:
        for problem in one.problems:
            table.say(out, problem, table.BAD)
        if one.manifest is not None and one.manifest.gaps:
            table.say(out, f"{one.name} lacks {_told_gaps(one.manifest)}", table.ATTENTION)
        if one.strays:
            told = count(len(one.strays), "file")
            table.say(out, f"{one.name}: {told} of an interrupted change; the next one removes them", table.ASIDE)
    _conclude(out, verdicts, lost)


def _conclude(out: Out, verdicts: "Sequence[Verdict]", lost: int | None) -> None:
    broken = sum(1 for one in verdicts if one.problems)
    hopeless = sum(1 for one in verdicts if one.manifest is None)
    if not broken:
        rows = sum(one.manifest.rows for one in verdicts if one.manifest)
        told = f"{count(rows, 'row')} in {count(len(verdicts), 'dataset')} are as they were written"
        table.say(out, told, table.GOOD)
        return
    if lost is None:
        told = f"{broken} of {count(len(verdicts), 'dataset')} broken; `data check --repair` puts broken files aside"
        table.say(out, told, table.BAD)
        return
    if broken > hopeless:
        told = f"{count(broken - hopeless, 'dataset')} repaired: {count(lost, 'row')} given up"
        table.say(out, f"{told}; import or download them again", table.ATTENTION)
    if hopeless:
        told = f"{count(hopeless, 'dataset')} cannot be repaired without a manifest: restore it or import again"
        table.say(out, told, table.BAD)


def _check_row(one: "Verdict") -> Sequence[Cell | str]:
    name, manifest = one.name, one.manifest
    verdict = Cell("BROKEN", table.BAD) if one.problems else Cell("ok", table.GOOD)
    if manifest is None:
        return [name.venue, name.symbol, name.kind, *[DASH] * 4, verdict]
    numbers = (f"{manifest.rows:,}", f"{len(manifest.parts):,}", missing_cell(manifest.missing))
    return [name.venue, name.symbol, name.kind, *numbers, f"{len(manifest.gaps):,}", verdict]


def _told_gaps(manifest: Manifest) -> str:
    """The longest gaps, and how many others there are."""
    longest = sorted(manifest.gaps, key=lambda gap: -gap.missing)[:_SHOWN_GAPS]
    told = [f"{when(gap.from_ms)} for {duration(gap.to_ms - gap.from_ms)}" for gap in longest]
    others = len(manifest.gaps) - len(longest)
    return ", ".join(told) + (f" and {count(others, 'shorter one')}" if others else "")


def check_shape(root: Path, verdicts: "Sequence[Verdict]", lost: int | None) -> shapes.Row:
    """`data check --json`; `rows_given_up` by a repair, null without one."""
    return {
        "ok": not any(one.problems for one in verdicts),
        "folder": str(root),
        "rows_given_up": lost,
        "datasets": [
            {
                "venue": one.name.venue,
                "symbol": one.name.symbol,
                "data": one.name.kind,
                "ok": not one.problems,
                "rows": one.manifest.rows if one.manifest else None,
                "missing": one.manifest.missing if one.manifest else None,
                "gaps": [_gap_shape(gap) for gap in one.manifest.gaps] if one.manifest else [],
                "digest": one.manifest.digest if one.manifest else None,
                "problems": list(one.problems),
                "strays": list(one.strays),
            }
            for one in verdicts
        ],
    }
