"""What the codes of Binance USDⓈ-M prove, as data, and the verdict on an answer that is no success.

What belongs here: the table and the exceptions to it (HTTP status, texts of 503). What does not: sending (rest).

A refusal is believed only where the code is listed. A 5xx may have been executed whatever it says, but for the two
variants that are documented as certain: "Service Unavailable." and -1008.
"""

from dataclasses import dataclass

import msgspec

from trading_engine.domain.reports import Outcome, Rejected, Unknown
from trading_engine.venues.binance.facts import NAME
from trading_engine.venues.wire.outcome import CodeTable, Meaning
from trading_engine.venues.wire.transport import Reply

_MEANINGS: dict[Meaning, tuple[int, ...]] = {
    # -1001 is documented as a failure, yet seen after orders that were executed.
    Meaning.UNKNOWN: (-1000, -1001, -1006, -1007),
    Meaning.BUSY: (-1003, -1008, -1015, -1016, -4117, -5043),
    Meaning.CLOCK: (-1021, -5028),
    Meaning.KEY: (
        *(-1002, -1011, -1022, -1099, -2014, -2015, -2017),
        *(-4056, -4057, -4109, -4192, -4402, -4403),
    ),
    Meaning.ALREADY: (-4046, -4059, -4171, -5027),
    Meaning.DUPLICATE: (-4116,),
    Meaning.NOT_OPEN: (-2011,),
    Meaning.NOT_FOUND: (-2013, -1125),
    Meaning.REFUSED: (
        # the request itself
        *(-1013, -1014, -1020, -1023, -1100, -1101, -1102, -1103, -1104, -1105, -1106, -1111, -1114, -1115),
        *(-1116, -1117, -1118, -1119, -1120, -1121, -1127, -1128, -1130, -1136),
        *(-4015, -4060, -4061, -4062, -4104, -4120, -4135, -4136, -4137, -4138, -4144),
        *(-5037, -5038, -5039, -5040),
        # price and size
        *(-4001, -4002, -4003, -4004, -4005, -4006, -4007, -4013, -4014, -4016, -4023, -4024, -4164),
        *(-4183, -4184, -4210, -4211),
        # money and risk
        *(-2018, -2019, -2023, -2024, -2027, -2028, -4050, -4051),
        # the market
        *(-2010, -2016, -2020, -2021, -2022, -2026, -4118, -4131, -4142, -5021, -5022, -5041),
        # limits
        *(-2025, -4045),
        # reduce-only mode imposed, symbol closed
        *(-4087, -4088, -4140, -4141, -4400, -4401, -4405, -4407, -4408, -4517, -4518, -4519),
        # settings
        *(-4028, -4047, -4048, -4049, -4054, -4055, -4067, -4068, -4161, -4167, -4168, -4169, -4170, -4172),
        *(-4202, -4203, -4204, -4205, -4206, -4207, -4208, -4209, -4531),
        # changing an order
        *(-5024, -5025, -5026, -5029, -5047),
    ),
}
TABLE = CodeTable(NAME, {str(code): meaning for meaning, codes in _MEANINGS.items() for code in codes})

_CERTAIN_TEXT = "Service Unavailable."
_THROTTLED = "-1008"


class _Body(msgspec.Struct):
    code: int | str = ""
    msg: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an answer that is no success says; `code` is empty where it names none."""

    status: int
    code: str
    text: str

    @property
    def meaning(self) -> Meaning:
        """What it proves about a request that may change something."""
        if self.status == 408:
            return Meaning.UNKNOWN
        if self.status in (418, 429):
            return Meaning.BUSY
        if self.status >= 500:
            is_certain = self.code == _THROTTLED or (self.status == 503 and self.text == _CERTAIN_TEXT)
            return Meaning.BUSY if is_certain else Meaning.UNKNOWN
        if "uplicate" in self.text and TABLE.meaning(self.code) is Meaning.REFUSED:
            return Meaning.DUPLICATE  # the generic -2010 is also said of an id that is taken
        return TABLE.meaning(self.code)

    @property
    def told(self) -> str:
        """Status, code and text for a log."""
        return f"HTTP {self.status}{f', {self.code}' if self.code else ''}{f': {self.text}' if self.text else ''}"

    @property
    def outcome(self) -> Outcome:
        """The verdict on a submit, cancel or setting; ALREADY is the caller's to turn into Accepted."""
        meaning = self.meaning
        if meaning in (Meaning.UNKNOWN, Meaning.DUPLICATE):
            return Unknown(f"{NAME} answered {self.told}")
        if TABLE.meaning(self.code) is meaning:
            return TABLE.outcome(self.code, self.text)
        return Rejected(meaning.value, self.told)


def refusal(reply: Reply) -> Refusal | None:
    """What an answer refuses, None for a success; bodies that are not JSON have no code."""
    body = _body(reply.body)
    code = "" if body is None else str(body.code)
    if 200 <= reply.status < 300 and not code.startswith("-"):
        return None
    if body is None:
        whole = reply.body.strip()
        return Refusal(reply.status, "", _CERTAIN_TEXT if whole == _CERTAIN_TEXT.encode() else "")
    return Refusal(reply.status, code if code.startswith("-") else "", body.msg)


def _body(content: bytes) -> _Body | None:
    try:
        return msgspec.json.decode(content, type=_Body)
    except msgspec.MsgspecError:
        return None
