"""The kinds of value a configuration holds: percentages, money, counts, names.

What belongs here: reading one value and saying in plain words what was expected instead. What does not:
which keys exist (model) and how a mistake is shown with its file and key (explain).

Every range names its own expectation, because "input should be less than or equal to 100" does not tell
a trader that 1.5 % is written 1.5.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, StrictBool
from pydantic.functional_validators import AfterValidator, BeforeValidator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from trading_engine.domain import money

_PPM_PER_PERCENT = Decimal(10_000)
_FINEST_PERCENT = Decimal("0.0001")
_MOST_EXPONENT = 30
_NOT_FINITE = re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE)  # as YAML writes them
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
PERCENT_HINT = "(a fraction? 1.5 % is written 1.5)"


def ppm(percent: Decimal) -> int:
    """Percent as parts per million, exactly: 0.5 % is 5_000.

    Raises ValueError where the percentage is finer than 0.0001 %, which no field of a `Config` is.
    """
    return money.exact_units(percent, _FINEST_PERCENT)


def mistake(text: str) -> PydanticCustomError:
    """A mistake in one value; `text` continues the sentence `KEY = VALUE …`.

    The text goes in as context, because pydantic would read braces in a template.
    """
    return PydanticCustomError("mistake", "{text}", {"text": text})


def mistakes(lines: list[str]) -> PydanticCustomError:
    """Mistakes between several values; each line is a sentence that names its own keys."""
    return PydanticCustomError("mistakes", "{text}", {"text": "\n".join(lines)})


def read_decimal(value: object) -> Decimal | None:
    """A finite number however it was written (number or text of one), or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number.adjusted()) > _MOST_EXPONENT:
        return None
    return number


@dataclass(frozen=True, slots=True)
class Within:
    """A number in a range, for `Annotated[Decimal, Within(…)]` or, where `whole`, `Annotated[int, …]`.

    expected   what to write instead, continues "… is not"
    above      exclusive lower bound
    least      inclusive lower bound
    most       inclusive upper bound
    finest     the smallest step the value may have
    """

    expected: str
    above: int | None = None
    least: int | None = None
    most: int | None = None
    finest: Decimal | None = None
    whole: bool = False

    def read(self, value: object) -> Decimal | int:
        """The number; a mistake in `expected`'s words where it is none or lies outside."""
        number = read_decimal(value)
        if number is None or not self._holds(number):
            raise mistake(f"is not {self.expected}")
        if self.finest is not None and number % self.finest:
            raise mistake(f"is finer than {self.finest:f}, the smallest step")
        return int(number) if self.whole else number

    def _holds(self, number: Decimal) -> bool:
        return (
            (self.above is None or number > self.above)
            and (self.least is None or number >= self.least)
            and (self.most is None or number <= self.most)
            and not (self.whole and number != number.to_integral_value())
        )

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Replace pydantic's own reading, whose messages do not speak of trading."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A number, or text for `${VAR}`; editors check the range of the number."""
        bounds = {"exclusiveMinimum": self.above, "minimum": self.least, "maximum": self.most}
        kind = "integer" if self.whole else "number"
        return {"type": [kind, "string"]} | {key: bound for key, bound in bounds.items() if bound is not None}


def _one_line(text: str) -> str:
    if not text.strip() or text != text.strip() or any(not char.isprintable() for char in text):
        raise mistake("is not a name (printable text, not empty, no spaces around it)")
    return text


def _symbol(text: str) -> str:
    if not (text.isascii() and text.isalnum()):
        raise mistake("is not a symbol (letters and digits only, as BTCUSDT)")
    if text != text.upper():
        raise mistake("is not in upper case (symbols are written as BTCUSDT)")
    return text


def _time_of_day(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise mistake('is not a time of day (write it as "00:00", UTC)')
    return text


def _whole(low: int, high: int, unit: str, hint: str = "") -> Within:
    expected = f"a whole number of {unit} from {low} to {high}{hint}"
    return Within(expected, least=low, most=high, whole=True)


def milliseconds(low: int, high: int) -> Within:
    """A duration in whole milliseconds."""
    return _whole(low, high, "milliseconds")


def seconds(low: int, high: int) -> Within:
    """A duration in whole seconds."""
    return _whole(low, high, "seconds")


def count(low: int, high: int, unit: str, hint: str = "") -> Within:
    """A whole number of something."""
    return _whole(low, high, unit, hint)


def percent(most: int = 100) -> Within:
    """A percentage above 0, up to `most`."""
    expected = f"a percentage between 0 and {most} {PERCENT_HINT}"
    return Within(expected, above=0, most=most, finest=_FINEST_PERCENT)


def percent_or_zero(most: int = 100) -> Within:
    """A percentage from 0, up to `most`."""
    expected = f"a percentage from 0 to {most} {PERCENT_HINT}"
    return Within(expected, least=0, most=most, finest=_FINEST_PERCENT)


Percent = Annotated[Decimal, percent()]
PercentOrZero = Annotated[Decimal, percent_or_zero()]
Amount = Annotated[Decimal, Within("an amount above 0, up to 1,000,000,000,000", above=0, most=10**12)]
Money = Annotated[
    Decimal,
    # Money is counted in whole 1e-8, and products of it must fit 64 bits.
    Within("an amount of money above 0, up to 1,000,000,000", above=0, most=10**9, finest=Decimal("0.00000001")),
]
Multiple = Annotated[Decimal, Within("a number above 0, up to 1000", above=0, most=1_000)]
THOUSANDTH = Decimal("0.001")  # the rules count multiples in whole thousandths
Times = Annotated[Decimal, Within("a number above 0, up to 1000", above=0, most=1_000, finest=THOUSANDTH)]
TimesOrZero = Annotated[Decimal, Within("a number from 0 to 1000", least=0, most=1_000, finest=THOUSANDTH)]
Leverage = Annotated[Decimal, Within("a leverage from 1 to 125", least=1, most=125)]
Flag = StrictBool
Name = Annotated[str, AfterValidator(_one_line)]
Symbol = Annotated[str, AfterValidator(_symbol)]
TimeOfDay = Annotated[str, AfterValidator(_time_of_day)]


def _plain_settings(value: object) -> object:
    """Settings of a strategy without Decimals: strategies count in floats, and the text reads back alike."""
    if isinstance(value, Mapping):
        return {key: _plain_setting(str(key), item) for key, item in value.items()}
    return value


def _plain_setting(key: str, value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [_plain_setting(key, item) for item in value]
    if isinstance(value, str) and _NOT_FINITE.fullmatch(value):
        raise mistake(f"has for {key} the value {value}, which is not a finite number")
    if value is not None and not isinstance(value, bool | int | float | str):
        raise mistake(f"has for {key} neither a number, a text, true, false nor a list of these")
    return value


Settings = Annotated[dict[str, object], BeforeValidator(_plain_settings)]
