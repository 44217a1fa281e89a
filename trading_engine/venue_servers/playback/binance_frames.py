"""Recorded frames of Binance USDⓈ-M: what they are, and the same frame in another turn or of another symbol.

What belongs here: finding symbol, topic, times and numbers in a frame, changing them without touching the rest. What
does not: what a recording holds as a whole (binance_facts), who gets a frame (binance_streams).

Whatever is not a time, a number of a sequence or the name of a symbol is handed on byte for byte, keys that nobody
knows included.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from trading_engine.domain.time import HOUR_MS

SNAPSHOT = b'{"lastUpdateId"'
_FUNDING_MS = 8 * HOUR_MS
# By kind of event: which keys are instants, numbers of the book and numbers of trades.
_TIMES: Mapping[str, tuple[str, ...]] = {
    "bookTicker": ("E", "T"),
    "depthUpdate": ("E", "T"),
    "trade": ("E", "T"),
    "aggTrade": ("E", "T"),
    "kline": ("E",),
    "markPriceUpdate": ("E",),
    "forceOrder": ("E",),
}
_UPDATES: Mapping[str, tuple[str, ...]] = {"bookTicker": ("u",), "depthUpdate": ("U", "u", "pu")}
_TRADES: Mapping[str, tuple[str, ...]] = {"trade": ("t",), "aggTrade": ("f", "l")}
# Objects inside of events: their keys that are instants, and those that are numbers of trades.
_INSIDE: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "kline": ("k", ("t", "T"), ("f", "L")),
    "forceOrder": ("o", ("T",), ()),
}
_RENAMED = ("depth", "markPrice")  # asked for at several speeds and recorded at one

Fields = dict[str, msgspec.Raw]


class _Wrapped(msgspec.Struct, gc=False):
    stream: str
    data: Fields


class Recorded(NamedTuple):
    """An event of a recording: `topic` is the part of the stream's name after the symbol, without its speed."""

    symbol: str
    topic: str
    kind: str
    fields: Fields

    def number(self, key: str) -> int:
        """A whole number, 0 where the event has none of that name."""
        raw = self.fields.get(key)
        return int(bytes(raw)) if raw is not None else 0

    def text(self, key: str) -> str:
        """A string, empty where the event has none of that name."""
        raw = self.fields.get(key)
        return bytes(raw).decode().strip('"') if raw is not None else ""


class Shift(NamedTuple):
    """What a turn adds to the times, the book's numbers and the trades' numbers of a recording."""

    time_ms: int = 0
    updates: int = 0
    trades: int = 0
    agg_trades: int = 0


_decode = msgspec.json.Decoder(_Wrapped).decode
_inside = msgspec.json.Decoder(Fields).decode
_encode = msgspec.json.Encoder().encode


def recorded(raw: bytes) -> Recorded | None:
    """The event in a frame of a combined stream; None for acknowledgements and whatever else is no event."""
    if not raw.startswith(b'{"stream"'):
        return None
    try:
        frame = _decode(raw)
    except msgspec.MsgspecError:
        return None
    name, at, topic = frame.stream.partition("@")
    kind = bytes(frame.data.get("e", b"")).decode().strip('"')
    return Recorded(name.upper(), canonical(topic), kind, frame.data) if at and kind in _TIMES else None


def canonical(topic: str) -> str:
    """A topic without its speed where speeds do not differ in content: `depth@100ms` as `depth`."""
    name, _, _ = topic.partition("@")
    return name if name in _RENAMED else topic


def moved(event: Recorded, shift: Shift) -> str:
    """The event's JSON in another turn."""
    fields, kind = event.fields, event.kind
    if shift.time_ms:
        fields = dict(fields)
        _add(fields, _TIMES[kind], shift.time_ms)
        _add(fields, _UPDATES.get(kind, ()), shift.updates)
        _add(fields, _TRADES.get(kind, ()), shift.trades)
        if kind == "aggTrade":
            _add(fields, ("a",), shift.agg_trades)
        elif kind == "markPriceUpdate":
            _add_funding(fields)
        elif kind in _INSIDE:
            key, times, trades = _INSIDE[kind]
            inside = _inside(fields[key])
            _add(inside, times, shift.time_ms)
            _add(inside, trades, shift.trades)
            fields[key] = msgspec.Raw(_encode(inside))
    return _encode(fields).decode()


def _add(fields: Fields, keys: tuple[str, ...], amount: int) -> None:
    for key in keys:
        if key in fields:
            fields[key] = msgspec.Raw(b"%d" % (int(bytes(fields[key])) + amount))


def _add_funding(fields: Fields) -> None:
    """The settlement named is the next one of the hours at which there are settlements."""
    now_ms = int(bytes(fields["E"]))
    if "T" in fields and int(bytes(fields["T"])) <= now_ms:
        fields["T"] = msgspec.Raw(b"%d" % ((now_ms // _FUNDING_MS + 1) * _FUNDING_MS))
