"""Names of positions and orders, derived from persisted columns, never from time or chance.

What belongs here: building a client order id and reading it back. What does not: the epoch's origin
(store, system) or what an id proves (core.reconcile).

A client order id has 18 characters, lower-case letters and digits only (BingX lower-cases ids and may
refuse dashes; Binance allows 36 characters, Zoomex 36):

    te  eeee  pppppp  x  l  gggg
    │   │     │       │  │  └ generation, base 36: grows only after proof that the last one is gone
    │   │     │       │  └ leg, base 36: tells two partial targets apart
    │   │     │       └ purpose letter
    │   │     └ position number, base 36
    │   └ epoch of the database, drawn once and again by a restore
    └ prefix: ours
"""

from dataclasses import dataclass
from enum import StrEnum

PREFIX = "te"
EMERGENCY_PREFIX = "tx"
EPOCH_LENGTH = 4
_LENGTH = 18
_EMERGENCY_DIGITS = 9  # milliseconds until the year 5188
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Purpose(StrEnum):
    """Why an order exists."""

    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"
    PARTIAL = "partial"
    EXIT = "exit"


_LETTERS = {
    Purpose.ENTRY: "e",
    Purpose.STOP: "s",
    Purpose.TARGET: "t",
    Purpose.PARTIAL: "p",
    Purpose.EXIT: "x",
}
_PURPOSES = {letter: purpose for purpose, letter in _LETTERS.items()}


@dataclass(frozen=True, slots=True)
class OrderKey:
    """The columns a client order id is made of."""

    epoch: str
    position_number: int
    purpose: Purpose
    leg: int
    generation: int


def base36(number: int, width: int) -> str:
    """`number` in base 36 with leading zeros; ValueError where it needs more than `width` digits."""
    digits = ""
    rest = number
    while rest > 0:
        rest, digit = divmod(rest, 36)
        digits = _DIGITS[digit] + digits
    if number < 0 or len(digits) > width:
        raise ValueError(f"{number} does not fit into {width} base-36 digits")
    return digits.rjust(width, "0")


def next_epoch(epoch: str, ts_ms: int) -> str:
    """Another epoch than `epoch`, the same for equal arguments."""
    return base36((int(epoch, 36) + 1 + ts_ms // 1_000 % (36**EPOCH_LENGTH - 1)) % 36**EPOCH_LENGTH, EPOCH_LENGTH)


def derive_client_order_id(key: OrderKey) -> str:
    """The one id that these columns give; equal columns give equal ids on every machine and at any time."""
    if len(key.epoch) != EPOCH_LENGTH or any(char not in _DIGITS for char in key.epoch):
        raise ValueError(f"epoch {key.epoch!r} is not {EPOCH_LENGTH} base-36 digits")
    return (
        PREFIX
        + key.epoch
        + base36(key.position_number, 6)
        + _LETTERS[key.purpose]
        + base36(key.leg, 1)
        + base36(key.generation, 4)
    )


def parse_client_order_id(text: str) -> OrderKey | None:
    """The columns an id was made of, or None where it is not one of ours."""
    text = text.lower()
    if len(text) != _LENGTH or not text.startswith(PREFIX) or any(char not in _DIGITS for char in text):
        return None
    purpose = _PURPOSES.get(text[12])
    if purpose is None:
        return None
    return OrderKey(text[2:6], int(text[6:12], 36), purpose, int(text[13], 36), int(text[14:18], 36))


def emergency_order_id(now_ms: int, index: int) -> str:
    """An id for an order that is sent without the database: recognisable, and not one of a position's orders.

    `index` tells apart the orders of one emergency; ValueError above 1,295.
    """
    return EMERGENCY_PREFIX + base36(now_ms, _EMERGENCY_DIGITS) + base36(index, 2)


def is_emergency_order_id(text: str) -> bool:
    """Whether an order was sent by `flatten --direct`."""
    text = text.lower()
    has_length = len(text) == len(EMERGENCY_PREFIX) + _EMERGENCY_DIGITS + 2
    return has_length and text.startswith(EMERGENCY_PREFIX) and all(char in _DIGITS for char in text)


def position_id(number: int) -> str:
    """The public name of the n-th position of a database."""
    return f"P{number:06d}"


def position_number(name: str) -> int:
    """The number in a position's public name."""
    return int(name[1:])
