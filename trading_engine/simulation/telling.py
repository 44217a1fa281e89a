"""A record in words, for the timeline of a world.

What belongs here: which of a record's fields are worth reading, and how. What does not: what else a timeline shows
(each place notes its own), how it is printed (runner).
"""

import dataclasses
import re
from collections.abc import Iterator
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.records import Record
from trading_engine.simulation.scenario import WALL_MS

_SAME_EVERYWHERE = frozenset({"venue", "account", "asset", "fee_asset", "config_hash"})
_IDS = frozenset({"client_order_id", "position_id", "key"})
_KINDS = frozenset({"symbol", "side", "strategy", "purpose", "type", "kind", "state", "fate", "level", "severity"})
_SPEAKS_FOR_ITSELF = _IDS | _KINDS | {"text", "action"}
_LONGEST = 260


def words(record: Record) -> str:
    """The kind of a record, then what of it is not as usual; instants in seconds since the world began."""
    text = " ".join([kind_of(record), *_fields(record)])
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def kind_of(record: Record) -> str:
    """What a record says has happened: `order updated`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(record).__name__).lower()


def _fields(item: object) -> Iterator[str]:
    assert dataclasses.is_dataclass(item)  # noqa: S101 - records and what they hold are; for the type checker
    for field in dataclasses.fields(item):
        value = getattr(item, field.name)
        if field.name in _SAME_EVERYWHERE or value in (None, "", (), field.default):
            continue
        if dataclasses.is_dataclass(value):
            yield from _fields(value)
        elif field.name in _SPEAKS_FOR_ITSELF:
            yield str(value)
        else:
            yield _labelled(field.name, value)


def _labelled(name: str, value: object) -> str:
    label = name.removesuffix("_ms").replace("_", " ")
    if isinstance(value, bool):
        return label if value else f"not {label}"
    if name.endswith("_ms") and isinstance(value, int) and value >= WALL_MS:
        return f"{label} {(value - WALL_MS) / 1000:.3f} s"
    return f"{label} {money.text(value) if isinstance(value, Decimal) else value}"
