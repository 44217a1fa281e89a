"""Settings of a strategy: fields of a frozen dataclass that carry their bounds.

What belongs here: declaring a bounded field and checking values against the declarations. What does not:
reading files (config), the settings themselves (each strategy), the list of strategies (registry).
"""

from collections.abc import Mapping
from dataclasses import Field, field, fields
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeVar

from trading_engine.domain.errors import ConfigInvalid

Number = TypeVar("Number", int, float)
Made = TypeVar("Made")

_BOUNDS = "bounds"
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def bounded(default: Number, lowest: Number, highest: Number) -> Number:
    """A dataclass field with a default whose value must lie in [lowest, highest]."""
    declared: Number = field(default=default, metadata={_BOUNDS: (lowest, highest)})
    return declared


class Setting(NamedTuple):
    """What a strategy can be told; bounds are None where only the kind of value is checked."""

    name: str
    default: object
    lowest: float | None
    highest: float | None


def described(kind: type[Any]) -> tuple[Setting, ...]:
    """The settings of a strategy, in the order in which it declares them."""
    return tuple(
        Setting(declared.name, declared.default, *declared.metadata.get(_BOUNDS, (None, None)))
        for declared in fields(kind)
    )


def check_fields(strategy: Any, name: str) -> None:
    """Raise ConfigInvalid, one line for each field of another kind than its default or out of its bounds.

    For `__post_init__`, before anything is computed from the fields. A whole number given for a number
    with decimals is converted.
    """
    raise_all([line for declared in fields(strategy) if (line := _mistake(strategy, name, declared))])


def raise_all(mistakes: list[str]) -> None:
    """Raise ConfigInvalid with one line for each mistake; return where there is none."""
    if mistakes:
        raise ConfigInvalid("\n".join(mistakes))


def build(kind: type[Made], name: str, settings: Mapping[str, object]) -> Made:
    """The strategy with these settings and defaults for the rest; ConfigInvalid with all mistakes at once."""
    known = [declared.name for declared in fields(kind)]  # type: ignore[arg-type]
    mistakes = [_unknown(name, key, known) for key in settings if key not in known]
    try:
        made = kind(**{key: value for key, value in settings.items() if key in known})
    except ConfigInvalid as error:
        mistakes.append(str(error))
    raise_all(mistakes)
    return made


def _mistake(strategy: Any, name: str, declared: "Field[Any]") -> str:
    kind = type(declared.default)
    value = getattr(strategy, declared.name)
    if kind is float and type(value) is int:
        value = float(value)
        object.__setattr__(strategy, declared.name, value)
    lowest, highest = declared.metadata.get(_BOUNDS, (None, None))
    # `type is`, because true and false are whole numbers to isinstance; NaN fails the comparison.
    if type(value) is kind and (lowest is None or lowest <= value <= highest):
        return ""
    wanted = _KINDS.get(kind, kind.__name__)
    between = "" if lowest is None else f" from {lowest:g} to {highest:g}"
    return f"{name}.{declared.name} = {value!r} is not {wanted}{between} (default {declared.default})"


def _unknown(name: str, key: str, known: list[str]) -> str:
    close = get_close_matches(str(key), known, n=1)
    meant = f"did you mean {close[0]}?" if close else f"it has {', '.join(known)}"
    return f"{name}.{key} is not a setting of this strategy ({meant})"
