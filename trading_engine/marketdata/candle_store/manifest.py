"""What a dataset consists of: the one file whose replacement makes a change true.

What belongs here: its fields, reading and replacing it. What does not: the rows (rows), the parts (parts).

A part that no manifest names does not exist for a reader, so a change that was interrupted before the manifest was
replaced has changed nothing.
"""

import hashlib
import os
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import msgspec

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.marketdata.candle_store.name import MANIFEST, DatasetName

FORMAT = 1


class Part(msgspec.Struct, frozen=True):
    """One Parquet file; `digest` is that of its rows, not of its bytes."""

    period: str
    file: str
    rows: int
    first_ms: int
    last_ms: int
    digest: str
    decimals: tuple[int, ...]


class Stretch(msgspec.Struct, frozen=True):
    """Rows that are missing: those that would stand in [from_ms, to_ms), `missing` of them."""

    from_ms: int
    to_ms: int
    missing: int


class Source(msgspec.Struct, frozen=True):
    """Where rows came from.

    how       import, download or synth
    told      the file, the host, the seed
    at_ms     when the command began
    rows      how many it brought; `added` and `replaced` of them changed the dataset
    """

    how: str
    told: str
    at_ms: int
    rows: int
    added: int
    replaced: int


class Units(msgspec.Struct, frozen=True):
    """Tick and step of the instrument, and who says so: `venue` or `built-in`."""

    tick: Decimal
    step: Decimal
    told_by: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a dataset but its rows.

    units      None for funding rates, and where nobody told
    gaps       rows that are missing between the first and the last
    absent     spans [from, to) for which the venue was asked and had nothing: not asked for again
    parts      by time
    sources    oldest first
    """

    format: int = FORMAT
    venue: str
    symbol: str
    kind: str
    rows: int
    first_ms: int
    last_ms: int
    digest: str
    units: Units | None
    gaps: tuple[Stretch, ...]
    absent: tuple[tuple[int, int], ...]
    parts: tuple[Part, ...]
    sources: tuple[Source, ...]

    @property
    def missing(self) -> int:
        """Rows that are missing between the first and the last."""
        return sum(gap.missing for gap in self.gaps)

    @property
    def decimals(self) -> tuple[int, ...]:
        """Decimals with which every part is exact, a number a group of columns."""
        return tuple(max(each) for each in zip(*(part.decimals for part in self.parts), strict=True))


def whole_digest(name: DatasetName, parts: tuple[Part, ...]) -> str:
    """What equal content has in common, however it was brought together."""
    told = hashlib.sha256(f"{name}\n".encode())
    for part in parts:
        told.update(f"{part.period} {part.digest}\n".encode())
    return told.hexdigest()


def read_manifest(root: Path, name: DatasetName) -> Manifest | None:
    """The manifest, None where there is no such dataset; ConfigInvalid where it cannot be understood."""
    path = name.folder(root) / MANIFEST
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigInvalid(
            f"{path}: unreadable ({why}); restore it from a copy, or move the folder away and import again"
        ) from None
    if found.format != FORMAT:
        raise ConfigInvalid(f"{path}: format {found.format} is not known here (known: {FORMAT}); use a newer version")
    if (found.venue, found.symbol, found.kind) != (name.venue, name.symbol, name.kind):
        raise ConfigInvalid(
            f"{path}: says it is {found.venue} {found.symbol} {found.kind}; expected {name}, as its folder is called"
        )
    return found


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest; OSError where the disk does not take it, and the former one stands."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    draft = folder / f".{MANIFEST}.{os.getpid()}.tmp"
    try:
        with draft.open("wb") as file:
            file.write(text + b"\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / MANIFEST)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
