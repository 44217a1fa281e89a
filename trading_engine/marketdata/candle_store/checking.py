"""Whether what lies in the store is what was written.

What belongs here: reading every row again, and comparing everything with the manifest. What does not: mending:
import or download again what is broken.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import iso
from trading_engine.marketdata.candle_store import parts
from trading_engine.marketdata.candle_store.holes import gap, holes_between
from trading_engine.marketdata.candle_store.manifest import Manifest, Part, Stretch, read_manifest, whole_digest
from trading_engine.marketdata.candle_store.name import MANIFEST, DatasetName
from trading_engine.marketdata.candle_store.rows import Rows, digest
from trading_engine.marketdata.candle_store.soundness import shape_of, unsound

_MOST_ATTEMPTS = 3
_PART = re.compile(r".+\.parquet|\..+\.tmp")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check has found.

    manifest   None where there is none, or none that can be read
    problems   what is not as it was written, a line each; empty where everything is
    lost       names of parts that are missing, unreadable, or other than what was written
    strays     files that belong to nothing: an interrupted change; the next one removes them
    """

    name: DatasetName
    manifest: Manifest | None
    problems: tuple[str, ...]
    lost: tuple[str, ...]
    strays: tuple[str, ...]


def check_dataset(root: Path, name: DatasetName) -> Verdict:
    """Read everything and compare; where a writer replaces the dataset meanwhile, that of then is checked."""
    for attempt in range(_MOST_ATTEMPTS):
        verdict = _check(root, name)
        is_settled = attempt == _MOST_ATTEMPTS - 1 or not verdict.problems or _is_current(root, name, verdict.manifest)
        if is_settled:
            break
    return verdict


def _is_current(root: Path, name: DatasetName, manifest: Manifest | None) -> bool:
    try:
        return read_manifest(root, name) == manifest
    except ConfigInvalid:
        return manifest is None


def _check(root: Path, name: DatasetName) -> Verdict:
    folder = name.folder(root)
    try:
        manifest = read_manifest(root, name)
    except ConfigInvalid as error:
        return Verdict(name, None, (str(error),), (), ())
    if manifest is None:
        return Verdict(name, None, (f"{folder}: has rows and no {MANIFEST}; move it away and import again",), (), ())
    named = {part.file for part in manifest.parts}
    strays = sorted(path.name for path in folder.iterdir() if _PART.fullmatch(path.name) and path.name not in named)
    lost: list[str] = []
    return Verdict(name, manifest, tuple(_problems(folder, name, manifest, lost)), tuple(lost), tuple(strays))


def _problems(folder: Path, name: DatasetName, manifest: Manifest, lost: list[str]) -> Iterator[str]:
    """Each as a line; the names of parts that are not whole are put into `lost`."""
    gaps: list[Stretch] = []
    step_ms, before_ms, is_whole = name.spacing_ms, None, True
    for part in manifest.parts:
        path = folder / part.file
        try:
            rows = parts.read_part(path, shape_of(name))
        except parts.Damaged as error:
            yield f"{path}: {error}"
            lost.append(part.file)
            before_ms, is_whole = part.last_ms, False
            continue
        problems = list(_of_part(rows, part, name, manifest.first_ms))
        if digest(rows) != part.digest or unsound(rows, name, manifest.first_ms):
            lost.append(part.file)
        yield from (f"{path}: {problem}" for problem in problems)
        if before_ms is not None and part.first_ms <= before_ms:
            yield f"{path}: begins at {iso(part.first_ms)}, before the end of the part in front of it"
        elif before_ms is not None and part.first_ms - before_ms >= 2 * step_ms:
            gaps.append(Stretch(*gap(before_ms + step_ms, part.first_ms, step_ms)))
        gaps += [Stretch(*hole) for hole in holes_between(rows.ts, step_ms)]
        before_ms = part.last_ms
    yield from (f"{folder / MANIFEST}: {problem}" for problem in _of_sums(name, manifest))
    if is_whole and tuple(gaps) != manifest.gaps:
        told, found = sum(one.missing for one in manifest.gaps), sum(one.missing for one in gaps)
        yield f"{folder / MANIFEST}: says that {told:,} rows are missing; {found:,} are"


def _of_part(rows: Rows, part: Part, name: DatasetName, anchor_ms: int) -> Iterator[str]:
    if not rows.size:
        yield "has no rows"
        return
    problem = unsound(rows, name, anchor_ms)
    if problem:
        yield problem
    if rows.size != part.rows:
        yield f"has {rows.size:,} rows; the manifest says {part.rows:,}"
    if (int(rows.ts[0]), int(rows.ts[-1])) != (part.first_ms, part.last_ms):
        yield f"spans {iso(int(rows.ts[0]))} to {iso(int(rows.ts[-1]))}; the manifest says otherwise"
    if [part.period] != [period for period, _ in parts.cut(rows, by_year=name.is_by_year)]:
        yield f"holds rows of another time than {part.period}"
    if digest(rows) != part.digest:
        yield "checksum: the rows are not those that were written"


def _of_sums(name: DatasetName, manifest: Manifest) -> Iterator[str]:
    rows = sum(part.rows for part in manifest.parts)
    if rows != manifest.rows:
        yield f"says {manifest.rows:,} rows; its parts have {rows:,}"
    if (manifest.parts[0].first_ms, manifest.parts[-1].last_ms) != (manifest.first_ms, manifest.last_ms):
        yield "says another span than its parts have"
    if whole_digest(name, manifest.parts) != manifest.digest:
        yield "checksum: its digest is not that of its parts"
