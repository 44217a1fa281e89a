"""What an answer of Zoomex means: codes, bodies without a code, statuses of HTTP.

What belongs here: the table as data and reading an envelope. What does not: what is done about it (rest).

Only codes that prove a refusal are refusals. Codes that are listed nowhere, and the venue's own troubles, are unknown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from trading_engine.venues.wire.outcome import CodeTable, Meaning
from trading_engine.venues.wire.transport import Reply
from trading_engine.venues.zoomex import facts

OK = "0"
UNREADABLE = "unreadable"

# fmt: off
_GROUPS: Mapping[Meaning, tuple[int, ...]] = {
    Meaning.UNKNOWN: (
        10000,    # server timeout
        10016,    # server error
        3400214,  # server error, try later
        429,      # overload at Bybit, not listed here
    ),
    Meaning.CLOCK: (10002,),
    Meaning.KEY: (
        10003, 10004, 10005, 10007,  # key, signature, permission, authentication
        10008, 10009, 10010,         # account banned, address banned, address not on the key's list
        10024, 10027,                # compliance, trading banned
    ),
    Meaning.BUSY: (
        10006, 10018,    # calls of the key, calls of the address
        40004, 110079,   # the order is being changed
        110063, 110066,  # settlement, trading paused
        3100197,         # the account is being upgraded
    ),
    Meaning.DUPLICATE: (10014, 110030, 110072),
    Meaning.NOT_FOUND: (110001,),
    Meaning.NOT_OPEN: (110008, 110010),
    Meaning.ALREADY: (110025, 110026, 110027, 110043, 110075, 34040),
    Meaning.REFUSED: (
        10001, 10017, 10029,                                      # parameters, route, symbol not allowed
        110003, 30208, 30209,                                     # price out of range
        110004, 110006, 110007, 110012, 110014, 110044, 110045,   # money
        110051, 110052, 110053,
        110094,                                                   # below the smallest notional
        110017,                                                   # reduce-only would not reduce
        110033, 110034, 110005, 110035,                           # no position, position in liquidation
        110021, 110022, 110023, 30150, 30151, 30153,              # caps on open interest and positions
        110020, 110009, 110061,                                   # too many orders
        110024, 110028, 110029,                                   # mode cannot be switched
        110013, 110036, 110038,                                   # leverage, cross mode, portfolio mode
        110011, 110039, 110040, 110046,                           # would be liquidated
        110092, 110093,                                           # trigger on the wrong side of the market
        110054, 110055, 110056, 110057, 110058, 110059, 110060,   # attached stops and targets
        110064,                                                   # below what is filled
    ),
}
# fmt: on

# Bodies without a code: refused at the door. 400 and 404 only as plain text, as the venue's own door writes them.
_STATUSES: Mapping[int, Meaning] = {
    400: Meaning.REFUSED,
    401: Meaning.KEY,
    403: Meaning.BUSY,  # too many calls from this address
    404: Meaning.REFUSED,
}
_PLAIN_TEXT_ONLY = frozenset({400, 404})
BAN_CODES = frozenset({"10009", "10018", "http_403"})


def _meanings() -> Iterator[tuple[str, Meaning]]:
    for meaning, codes in _GROUPS.items():
        for code in codes:
            yield str(code), meaning
    for status, meaning in _STATUSES.items():
        yield f"http_{status}", meaning


TABLE = CodeTable(facts.NAME, dict(_meanings()))


class _Envelope(msgspec.Struct, rename="camel"):
    ret_code: int
    ret_msg: str | None = ""
    result: msgspec.Raw = msgspec.Raw(b"null")
    time: int | str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """An answer, read: its code, its text, what it carries, and the venue's time (0 where it names none)."""

    code: str
    text: str
    result: bytes
    time_ms: int

    @property
    def is_ok(self) -> bool:
        """The venue did what was asked, or took the request."""
        return self.code == OK

    @property
    def meaning(self) -> Meaning:
        """What the code says about a request that may change something."""
        return TABLE.meaning(self.code)


def read(reply: Reply) -> Told:
    """What a reply says. Never raises: what cannot be read has a code that is unknown."""
    if reply.status >= 500:
        return Told(f"http_{reply.status}", "", b"null", 0)
    envelope = _envelope(reply.body)
    if envelope is not None and (reply.status == 200 or envelope.ret_code != 0):
        time = str(envelope.time or "")
        time_ms = int(time) if time.isascii() and time.isdigit() else 0
        return Told(str(envelope.ret_code), envelope.ret_msg or "", bytes(envelope.result), time_ms)
    if reply.status == 200:
        return Told(UNREADABLE, "an answer that is no envelope", b"null", 0)
    is_plain = reply.headers.get("content-type", "text/plain").lower().startswith("text/plain")
    text = reply.body[:200].decode("utf-8", "replace").strip() if is_plain else ""
    if reply.status in _PLAIN_TEXT_ONLY and not is_plain:
        return Told(f"{UNREADABLE}_http_{reply.status}", text, b"null", 0)
    return Told(f"http_{reply.status}", text, b"null", 0)


def _envelope(body: bytes) -> _Envelope | None:
    try:
        return msgspec.json.decode(body, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
