"""The words of the protocol: parameters, refusals, envelopes, ids, cursors.

What belongs here: what every endpoint reads and writes in the same way. What does not: any endpoint.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar
from urllib.parse import quote

import msgspec

Json = dict[str, object]
Row = TypeVar("Row")

PREFIX = "/cloud/trade/v3"
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS

BAD_PARAMETER = 10001

_ORDER_ID = re.compile(r"([0-9a-f]{8,})-0000-4000-8000-([0-9a-f]{12})")
_CURSOR = re.compile(r"page_args=(\d{1,15})&")
_DECIMAL = re.compile(r"\d{1,20}(\.\d{1,18})?")
_INTEGER = re.compile(r"-?\d{1,15}")


class AccountKind(StrEnum):
    """The two generations of accounts, by the name that the wallet is asked for."""

    UNIFIED = "UNIFIED"
    CLASSIC = "CONTRACT"


class Refused(Exception):
    """An answer with HTTP status 200 and a return code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Plain(Exception):
    """An answer in plain text, without an envelope."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def invalid(name: str) -> Refused:
    """A parameter that is missing or makes no sense."""
    return Refused(BAD_PARAMETER, f"params error: {name} invalid")


class Params:
    """The parameters of a call, from a query (all text) or a JSON body. Every reader raises Refused 10001."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def has(self, name: str) -> bool:
        """Whether anything was given: null and an empty text are nothing."""
        return self._values.get(name) not in (None, "")

    def text(self, name: str, default: str = "") -> str:
        """A text."""
        value = self._values.get(name)
        if value is None or value == "":
            return default
        if not isinstance(value, str):
            raise invalid(name)
        return value

    def needed(self, name: str) -> str:
        """A text that must be there."""
        value = self.text(name)
        if not value:
            raise invalid(name)
        return value

    def choice(self, name: str, allowed: Sequence[str], default: str = "") -> str:
        """One of some words; "" where none is given and there is no default."""
        value = self.text(name, default)
        if value and value not in allowed:
            raise invalid(name)
        return value

    def decimal(self, name: str) -> Decimal | None:
        """A positive number written as text, None where it is absent."""
        if not self.has(name):
            return None
        text = self.text(name)
        value = Decimal(text) if _DECIMAL.fullmatch(text) else Decimal(0)
        if not value:
            raise invalid(name)
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number, as such or as text."""
        value = self._values.get(name)
        if value in (None, "") and default is not None:
            return default
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(name)
        return value

    def limit(self, default: int, most: int) -> int:
        """How many rows: more than the most is the most."""
        value = self.integer("limit", default)
        if value < 1:
            raise invalid("limit")
        return min(value, most)

    def flag(self, name: str) -> bool:
        """A JSON boolean, False where it is absent."""
        value = self._values.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise invalid(name)
        return value

    def cursor(self) -> int | None:
        """The key that the page before ended with; a cursor that was escaped once more is none."""
        text = self.text("cursor")
        if not text:
            return None
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise invalid("cursor")
        return int(match[1])

    def window(self, now_ms: int, *, one_is_enough: bool) -> tuple[int, int]:
        """`startTime` and `endTime`, both inclusive: at most seven days, the last seven where neither is given."""
        start, end = self.integer("startTime", -1), self.integer("endTime", -1)
        if start < 0 and end < 0:
            return now_ms - WEEK_MS, now_ms
        if not one_is_enough and (start < 0 or end < 0):
            raise Refused(BAD_PARAMETER, "startTime and endTime must be passed together")
        start = end - WEEK_MS if start < 0 else start
        end = start + WEEK_MS if end < 0 else end
        if not 0 <= end - start <= WEEK_MS:
            raise Refused(BAD_PARAMETER, "The time range between startTime and endTime must be 7 days or less")
        return start, end


@dataclass(frozen=True, slots=True)
class Keyed:
    """A row of a list and the number by which pages are cut: it falls from row to row."""

    key: int
    row: Json


def page(rows: Sequence[Keyed], params: Params, default: int, most: int) -> Json:
    """The page that was asked for, and the escaped cursor of the next one ("" after the last)."""
    limit, cursor = params.limit(default, most), params.cursor()
    left = [one for one in rows if cursor is None or one.key < cursor]
    shown = left[:limit]
    following = quote(f"page_args={shown[-1].key}&", safe="") if len(left) > limit else ""
    return {"list": [one.row for one in shown], "nextPageCursor": following, "category": "linear"}


def envelope(now_ms: int, result: object, code: int = 0, text: str = "OK") -> bytes:
    """The JSON around every answer that is not plain text."""
    body = {"retCode": code, "retMsg": text, "result": result, "retExtInfo": {} if code == 0 else None, "time": now_ms}
    return msgspec.json.encode(body)


def order_id(number: int) -> str:
    """The exchange's number of an order as the venue writes ids."""
    return f"{number:08x}-0000-4000-8000-{number:012x}"


def order_number(text: str) -> int:
    """The number in an order id, -1 where it is none of ours."""
    match = _ORDER_ID.fullmatch(text)
    number = -1 if match is None else int(match[2], 16)
    return number if text == order_id(max(number, 0)) else -1


def execution_id(number: int) -> str:
    """The exchange's number of an execution as the venue writes ids."""
    return f"{number:08x}-0000-5000-9000-{number:012x}"


def plain(value: Decimal) -> str:
    """A decimal without an exponent, with the digits it has."""
    return f"{value:f}"
