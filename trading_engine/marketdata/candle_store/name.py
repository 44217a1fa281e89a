"""Which dataset, and where it lies below the folder of the store.

What belongs here: names, what makes one valid, their folders. What does not: anything that lies in a folder.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, interval_name

DEFAULT_FOLDER = Path("data")
FUNDING = "funding"
LONGEST_FUNDING_MS = 8 * HOUR_MS  # no venue lets more time pass between two settlements
MANIFEST = "manifest.json"

_VENUE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_SYMBOL = re.compile(r"[A-Z0-9]+")
_INTERVAL = re.compile(r"([1-9][0-9]{0,3})([mhd])")
_UNITS_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


@dataclass(frozen=True, slots=True)
class DatasetName:
    """Candles of one interval, or the funding rates, of one symbol at one venue.

    interval_ms   length of a candle; 0 for funding rates
    """

    venue: str
    symbol: str
    interval_ms: int

    @property
    def is_funding(self) -> bool:
        """Whether it holds funding rates."""
        return self.interval_ms == 0

    @property
    def kind(self) -> str:
        """The name of its folder: `1m`, `funding`."""
        return FUNDING if self.is_funding else interval_name(self.interval_ms)

    @property
    def spacing_ms(self) -> int:
        """The time after which the next row is due: later than twice that, something is missing."""
        return LONGEST_FUNDING_MS if self.is_funding else self.interval_ms

    @property
    def is_by_year(self) -> bool:
        """Whether a file holds a year of it: where a month would be a few hundred rows."""
        return self.is_funding or self.interval_ms >= HOUR_MS

    def folder(self, root: Path) -> Path:
        """Where it lies."""
        return root / self.venue / self.symbol / self.kind

    def __str__(self) -> str:
        """`binance BTCUSDT 1m`."""
        return f"{self.venue} {self.symbol} {self.kind}"


def check_venue(venue: str) -> str:
    """The venue as it is; ConfigInvalid (exit code 2) for a name that no folder should have."""
    if not _VENUE.fullmatch(venue):
        raise ConfigInvalid(f"--venue {venue}: expected a name in small letters (as --venue binance)", exit_code=2)
    return venue


def parse_interval(text: str) -> int:
    """`1m`, `15m`, `4h`, `1d` in ms; ConfigInvalid (exit code 2) for anything else."""
    found = _INTERVAL.fullmatch(text)
    if not found:
        raise ConfigInvalid(f"--interval {text}: expected the length of a candle (as 1m, 15m, 4h or 1d)", exit_code=2)
    return int(found[1]) * _UNITS_MS[found[2]]


def names_below(root: Path, *, with_lost: bool = False) -> Iterator[DatasetName]:
    """The datasets that have a manifest, by venue, symbol and interval, funding last; none where there is no folder.

    with_lost   also those that have files and no manifest
    """
    found = []
    patterns = (MANIFEST, "*.parquet") if with_lost else (MANIFEST,)
    for folder in {path.parent for pattern in patterns for path in root.glob(f"*/*/*/{pattern}")}:
        venue, symbol, kind = folder.parts[-3:]
        is_kind = kind == FUNDING or _INTERVAL.fullmatch(kind)
        if is_kind and _VENUE.fullmatch(venue) and _SYMBOL.fullmatch(symbol):
            found.append(DatasetName(venue, symbol, 0 if kind == FUNDING else parse_interval(kind)))
    yield from sorted(found, key=lambda name: (name.venue, name.symbol, name.is_funding, name.interval_ms))
