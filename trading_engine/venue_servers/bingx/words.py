"""What a request says and what a reply looks like: parameters, refusals, the envelope.

What belongs here: reading parameters, the codes of refusals, JSON. What does not: who may ask (gate), how often (pace),
what is answered (market, funds, trading).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

INVALID = 109400
NO_SYMBOL = 109425

_PLAIN = re.compile(r"\d{1,18}(\.\d{1,18})?", re.ASCII)
_WHOLE = re.compile(r"\d{1,19}", re.ASCII)
_LARGEST = 9_000_000_000_000_000_000
_WORDS = {"true": True, "false": False}


class Refused(Exception):
    """The venue's own answer to what it does not do: `code` and text in the envelope, HTTP `status`."""

    def __init__(self, code: int, text: str, status: int = 200) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text
        self.status = status


@dataclass(frozen=True, slots=True)
class Plain:
    """An answer that is not wrapped, or wrapped in an unusual way; None is an empty body."""

    content: object
    status: int = 200


class Params:
    """The parameters of one request as texts; every reader raises Refused with the venue's words."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, *names: str) -> str:
        """The first of the names that is there, "" for none."""
        return next((self._values[name] for name in names if self._values.get(name)), "")

    def needed(self, name: str) -> str:
        """A parameter that must be there."""
        value = self.text(name)
        if not value:
            raise Refused(INVALID, f"Invalid parameters, err: parameter {name} is must")
        return value

    def choice(self, name: str, allowed: tuple[str, ...], default: str = "") -> str:
        """One of a few words, exactly as they are spelt; needed where there is no default."""
        value = self.text(name) or default or self.needed(name)
        if value not in allowed:
            raise Refused(INVALID, f"Invalid parameters, err: {name}: {value} is not one of {', '.join(allowed)}")
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number that is not negative, needed where there is no default."""
        value = self.text(name)
        if not value and default is not None:
            return default
        if not _WHOLE.fullmatch(value or self.needed(name)) or int(value) > _LARGEST:
            raise Refused(INVALID, f"Invalid parameters, err: {name}: {value} is no integer")
        return int(value)

    def decimal(self, name: str) -> Decimal | None:
        """A number above zero in plain notation, None where it is not given."""
        value = self.text(name)
        if not value:
            return None
        if not _PLAIN.fullmatch(value):
            raise Refused(INVALID, f"Invalid parameters, err: {name}: {value} is no number")
        number = Decimal(value)
        if not number:
            raise Refused(INVALID, f"Invalid parameters, err: {name}: {value} must be greater than zero")
        return number

    def switch(self, name: str, *, default: bool | None = False) -> bool:
        """`true` or `false`, needed where the default is None."""
        value = self.text(name)
        if not value and default is not None:
            return default
        word = _WORDS.get((value or self.needed(name)).lower())
        if word is None:
            raise Refused(INVALID, f"Invalid parameters, err: {name}: {value} is neither true nor false")
        return word


def encode(content: object) -> bytes:
    """Compact JSON; what a client has sent may not be text at all."""
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def envelope(data: object) -> dict[str, object]:
    """What a call that went well is wrapped in."""
    return {"code": 0, "msg": "", "data": data}
