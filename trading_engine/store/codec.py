"""Records and checkpoints as JSON, and back.

What belongs here: the one spelling in which a record is written down. What does not: what a record does
(core.project), where it is kept (sql_store).

A record's kind is the name of its class, so a class in `domain.records` is never renamed. Decimals are
written as canonical plain text, enums by value, nested values as objects. A field that was added later
has a default, so older payloads stay decodable.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any, get_args

import msgspec

from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.records import Record
from trading_engine.ports import Checkpoint

PAYLOAD_VERSION = 1

KINDS: Mapping[str, type[Record]] = {kind.__name__: kind for kind in get_args(Record)}

_AS_THEY_ARE = frozenset({str, int, bool, float, type(None)})
_names: dict[type[Any], tuple[str, ...]] = {}
_encoder = msgspec.json.Encoder()
_decoders: Mapping[str, msgspec.json.Decoder[Any]] = {name: msgspec.json.Decoder(kind) for name, kind in KINDS.items()}
_checkpoint_decoder = msgspec.json.Decoder(Checkpoint)
_pairs_decoder = msgspec.json.Decoder(tuple[tuple[str, str], ...])


def encode(record: Record) -> tuple[str, str]:
    """The kind of a record and its payload as JSON text; TypeError for what is no record."""
    kind = type(record).__name__
    if kind not in KINDS:
        raise TypeError(f"{kind} is not a kind of journal record")
    return kind, _encoder.encode(_plain(record)).decode()


def decode(kind: str, payload: str) -> Record:
    """The record that `encode` was given; ConfigInvalid where kind or payload is not one of ours."""
    if kind not in KINDS:
        raise ConfigInvalid(
            f"journal: record kind {kind!r} is not known to this version; "
            "run the version that wrote the database, or a newer one"
        )
    try:
        record: Record = _decoders[kind].decode(payload)
    except msgspec.MsgspecError as error:
        raise ConfigInvalid(f"journal: a {kind} record cannot be read ({error}): {payload[:200]}") from error
    return record


def encode_checkpoint(checkpoint: Checkpoint) -> str:
    """A checkpoint as JSON text."""
    return _encoder.encode(checkpoint).decode()


def decode_checkpoint(payload: str) -> Checkpoint:
    """The checkpoint that `encode_checkpoint` was given; ConfigInvalid where the text is not one."""
    try:
        return _checkpoint_decoder.decode(payload)
    except msgspec.MsgspecError as error:
        raise ConfigInvalid(f"control.checkpoint cannot be read ({error}): {payload[:200]}") from error


def encode_map(values: Mapping[str, Any]) -> str:
    """A mapping of names to text or whole numbers as JSON with sorted names: equal maps give equal text."""
    return json.dumps(dict(values), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def decode_map(payload: str) -> dict[str, Any]:
    """The mapping that `encode_map` was given."""
    values: dict[str, Any] = json.loads(payload)
    return values


def encode_pairs(pairs: tuple[tuple[str, str], ...]) -> str:
    """(name, text) pairs as JSON; their order is kept."""
    return _encoder.encode(pairs).decode()


def decode_pairs(payload: str) -> tuple[tuple[str, str], ...]:
    """The pairs that `encode_pairs` was given."""
    return _pairs_decoder.decode(payload)


def _plain(value: object) -> object:
    kind: type[Any] = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if isinstance(value, Decimal):
        return money.text(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return {name: _plain(getattr(value, name)) for name in names} if (names := _names_of(kind)) else value


def _names_of(kind: type[Any]) -> tuple[str, ...]:
    """The fields of a dataclass, none for any other class; every commit asks again for the same few."""
    names = _names.get(kind)
    if names is None:
        names = _names[kind] = tuple(item.name for item in fields(kind)) if is_dataclass(kind) else ()
    return names
