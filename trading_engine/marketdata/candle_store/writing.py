"""The one writer of a dataset: all of a change or nothing.

What belongs here: the lock, the order in which files are written, what is removed afterwards. What does not: what a
row must look like (soundness), the format of files (parts, manifest).

New parts are written and made durable first, then the manifest is replaced, then parts that no manifest names are
removed. A death at any point leaves either the former dataset or the new one, and at most files that nobody reads,
which the next writer removes.
"""

import fcntl
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import iso
from trading_engine.marketdata.candle_store import parts
from trading_engine.marketdata.candle_store.holes import Span, gap, holes_between, joined, without
from trading_engine.marketdata.candle_store.manifest import (
    Manifest,
    Part,
    Source,
    Stretch,
    Units,
    read_manifest,
    sync_folder,
    whole_digest,
    write_manifest,
)
from trading_engine.marketdata.candle_store.name import MANIFEST, DatasetName
from trading_engine.marketdata.candle_store.rows import (
    Difference,
    Merged,
    Rows,
    TooFine,
    canonical,
    digest,
    merge,
    shown,
)
from trading_engine.marketdata.candle_store.soundness import shape_of, unsound

REFUSED = 3
_LOCK = ".lock"
_OURS = re.compile(r"[0-9]{4}(-[0-9]{2})?-[0-9a-f]{12}\.parquet|\..*\.tmp")


class Change(NamedTuple):
    """What became of rows that were given: those that were new, there already, and put in the place of others."""

    added: int
    same: int
    replaced: int


class Conflict(ConfigInvalid):
    """Rows that differ from what is stored; `difference` is the first of them."""

    def __init__(self, difference: Difference, new: str) -> None:
        super().__init__(str(refused(difference, new, "the store")))
        self.difference = difference


class DatasetWriter:
    """Changes one dataset while nobody else can; made by `open_writer`.

    manifest   what is stored now, None as long as nothing is
    """

    def __init__(self, root: Path, name: DatasetName) -> None:
        self.name = name
        self.folder = name.folder(root)
        self.manifest = read_manifest(root, name)

    def missing(self, from_ms: int, to_ms: int, *, with_absent: bool = False) -> list[Span]:
        """Which spans of [from_ms, to_ms) are not stored.

        with_absent   also those that the venue is known not to have
        """
        if self.manifest is None:
            return joined([(from_ms, to_ms)])
        absent = () if with_absent else self.manifest.absent
        return without([(from_ms, to_ms)], [*self._stored(self.manifest), *absent])

    def write(
        self,
        rows: Rows,
        source: Source,
        *,
        replaces: bool = False,
        absent: Iterable[Span] = (),
        units: Units | None = None,
    ) -> Change:
        """Put rows in, all of them or none, and durably.

        source    where they come from; its counts are filled in. Two writes in a row with equal `how`, `told` and
                  `at_ms` are one source.
        replaces  a row that is stored with other values gives way; otherwise it is refused
        absent    spans [from, to) for which the venue has nothing
        units     tick and step as they are told now, None where nobody tells

        Raises ConfigInvalid for a row that is unsound, Conflict for one that differs from what is stored where nothing
        is replaced, and ConfigInvalid where the disk does not take it. Nothing has changed then.
        """
        former = self.manifest
        anchor_ms = former.first_ms if former else int(rows.ts[0]) if rows.size else 0
        problem = unsound(rows, self.name, anchor_ms)
        if problem:
            raise ConfigInvalid(f"{source.told}: {problem}; nothing was stored")
        merged = self._merged(rows, source)
        different = next((one.difference for one in merged.values() if one.difference), None)
        found = merged.values()
        change = Change(
            sum(one.added for one in found), sum(one.same for one in found), sum(one.differing for one in found)
        )
        if different and not replaces:
            raise Conflict(different._replace(many=change.replaced), source.told)
        changed = {period: one.rows for period, one in merged.items() if one.added or one.differing}
        self._commit(changed, source, change, list(absent), units)
        return change

    def rebuild(self, lost: Collection[str]) -> int:
        """Write the manifest anew from the parts that are whole; how many rows are missing now that were counted.

        lost   names of files that are not what was written: put aside as NAME.damaged, for whoever wants to look

        What they held is a gap afterwards, to be imported or downloaded again.
        """
        former = self.manifest
        if former is None:
            return 0
        whole = {part.period: self._read(part) for part in former.parts if part.file not in lost}
        ordered = tuple(_part(period, whole[period]) for period in sorted(whole))
        try:
            if ordered:
                self._adopt(ordered, whole, former.sources, former.absent, former.units)
            else:
                (self.folder / MANIFEST).unlink()
                self.manifest = None
            for file in lost:
                with suppress(FileNotFoundError):
                    (self.folder / file).rename(self.folder / f"{file}.damaged")
        except OSError as error:
            raise self._unwritten(error) from error
        return former.rows - sum(part.rows for part in ordered)

    def sweep(self) -> None:
        """Remove what no manifest names: superseded parts, and what a death has left behind."""
        named = {part.file for part in self.manifest.parts} if self.manifest else set()
        for path in self.folder.iterdir():
            if path.name not in named and _OURS.fullmatch(path.name):
                with suppress(OSError):
                    path.unlink()

    def _stored(self, manifest: Manifest) -> list[Span]:
        end_ms = manifest.last_ms + (1 if self.name.is_funding else self.name.interval_ms)
        return without([(manifest.first_ms, end_ms)], [(hole.from_ms, hole.to_ms) for hole in manifest.gaps])

    def _merged(self, rows: Rows, source: Source) -> Mapping[str, Merged]:
        """By period, what is stored together with what is new."""
        shape, found = shape_of(self.name), {}
        listed = {part.period: part for part in self.manifest.parts} if self.manifest else {}
        for period, piece in parts.cut(rows, by_year=self.name.is_by_year):
            part = listed.get(period)
            try:
                found[period] = merge(self._read(part), piece, shape) if part else Merged(piece, piece.size, 0, 0, None)
            except TooFine:
                raise ConfigInvalid(
                    f"{source.told}: values of {period} have more than 18 digits together with those of the store;"
                    " are they of the same symbol?"
                ) from None
        return found

    def _read(self, part: Part) -> Rows:
        path = self.folder / part.file
        try:
            return parts.read_part(path, shape_of(self.name))
        except parts.Damaged as error:
            raise parts.damaged(path, error) from error

    def _commit(
        self, changed: Mapping[str, Rows], source: Source, change: Change, absent: list[Span], units: Units | None
    ) -> None:
        former = self.manifest
        new = {period: canonical(rows, shape_of(self.name)) for period, rows in changed.items()}
        listed = {part.period: part for part in former.parts} if former else {}
        listed |= {period: _part(period, rows) for period, rows in new.items()}
        if not listed:
            return
        ordered = tuple(listed[period] for period in sorted(listed))
        known = joined([*(former.absent if former else ()), *absent])
        told = units or (former.units if former else None)
        if former and not changed and tuple(known) == former.absent and told == former.units:
            return
        try:
            for period, rows in new.items():
                self._place(listed[period], rows)
            sync_folder(self.folder)
            self._adopt(ordered, new, _sources(former, source, change), tuple(known), told)
        except OSError as error:
            raise self._unwritten(error) from error

    def _adopt(
        self,
        ordered: tuple[Part, ...],
        new: Mapping[str, Rows],
        sources: tuple[Source, ...],
        absent: tuple[Span, ...],
        units: Units | None,
    ) -> None:
        """Make these parts, which lie there, the dataset; `new` has the rows of those that were not part of it."""
        manifest = Manifest(
            venue=self.name.venue,
            symbol=self.name.symbol,
            kind=self.name.kind,
            rows=sum(part.rows for part in ordered),
            first_ms=ordered[0].first_ms,
            last_ms=ordered[-1].last_ms,
            digest=whole_digest(self.name, ordered),
            units=units,
            gaps=self._gaps(ordered, new),
            absent=absent,
            parts=ordered,
            sources=sources,
        )
        write_manifest(self.folder, manifest)
        self.manifest = manifest

    def _unwritten(self, error: OSError) -> ConfigInvalid:
        return ConfigInvalid(f"{self.folder}: cannot be written ({error.strerror}); what was stored before is whole")

    def _place(self, part: Part, rows: Rows) -> None:
        draft = self.folder / f".{part.file}.{os.getpid()}.tmp"
        try:
            parts.write_part(draft, rows, shape_of(self.name))
            draft.replace(self.folder / part.file)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            raise

    def _gaps(self, ordered: tuple[Part, ...], new: Mapping[str, Rows]) -> tuple[Stretch, ...]:
        """Holes within parts, from the rows where they are new, and between parts."""
        step_ms = self.name.spacing_ms
        known = self.manifest.gaps if self.manifest else ()
        found: list[Stretch] = []
        before_ms = ordered[0].first_ms
        for part in ordered:
            if part.first_ms - before_ms >= 2 * step_ms:
                found.append(Stretch(*gap(before_ms + step_ms, part.first_ms, step_ms)))
            if part.period in new:
                found += [Stretch(*hole) for hole in holes_between(new[part.period].ts, step_ms)]
            else:
                found += [hole for hole in known if part.first_ms < hole.from_ms and hole.to_ms <= part.last_ms]
            before_ms = part.last_ms
        return tuple(found)


@contextmanager
def open_writer(root: Path, name: DatasetName) -> Iterator[DatasetWriter]:
    """The writer of a dataset, which need not exist yet.

    Raises ConfigInvalid where another process is writing it (exit code 3), or where the folder cannot be made.
    """
    folder = name.folder(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("a+")
    except OSError as error:
        raise ConfigInvalid(
            f"{folder}: cannot be written ({error.strerror}); give another folder with --data"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_free = _is_at(lock.fileno(), folder / _LOCK)
        except BlockingIOError:
            is_free = False
        if not is_free:
            raise ConfigInvalid(
                f"{folder}: another import or download of {name} is under way; wait for its end", exit_code=REFUSED
            )
        writer = DatasetWriter(root, name)
        writer.sweep()
        try:
            yield writer
        finally:
            writer.sweep()
            if writer.manifest is None:
                _forget(folder)


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is the one at the path: what held the lock before may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _forget(folder: Path) -> None:
    """Remove the folders that were made for a dataset that has not come to be, as far as they are empty."""
    if [path.name for path in folder.iterdir()] != [_LOCK]:
        return
    (folder / _LOCK).unlink()
    with suppress(OSError):
        for path in (folder, folder.parent, folder.parent.parent):
            path.rmdir()


def refused(difference: Difference, new: str, former: str) -> ConfigInvalid:
    """The one line for rows that differ: `new` and `former` name where they come from."""
    values = f"{difference.column} is {shown(difference.new)}, and {shown(difference.former)} in {former}"
    many = f"; {difference.many:,} rows differ" if difference.many > 1 else ""
    return ConfigInvalid(
        f"{new}: {iso(difference.ts)}: {values}{many}; nothing was stored (--replace takes the new rows)"
    )


def _part(period: str, rows: Rows) -> Part:
    told = digest(rows)
    span = (int(rows.ts[0]), int(rows.ts[-1]))
    return Part(period, parts.file_name(period, told), rows.size, *span, told, rows.decimals)


def _sources(former: Manifest | None, source: Source, change: Change) -> tuple[Source, ...]:
    """Those there were, and this one; what the same command wrote before is counted with it."""
    before = former.sources if former else ()
    last = before[-1] if before else None
    told = msgspec.structs.replace(source, rows=sum(change), added=change.added, replaced=change.replaced)
    if last and (last.how, last.told, last.at_ms) == (source.how, source.told, source.at_ms):
        told = msgspec.structs.replace(
            told,
            rows=last.rows + told.rows,
            added=last.added + told.added,
            replaced=last.replaced + told.replaced,
        )
        before = before[:-1]
    return (*before, told)
