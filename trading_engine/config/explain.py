"""What is wrong with a configuration, in one line for one mistake.

What belongs here: turning pydantic's errors into sentences with the key, the value and the remedy. What
does not: the expectations themselves (fields, model), reading (source, load).
"""

import difflib
import types
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from trading_engine.config.source import Location, dotted

_LONGEST_VALUE = 60
_WANTED = {
    "string_type": "is not a text (put it into quotes)",
    "bool_type": "is not true or false",
    "model_type": "is not a section (expected KEY: VALUE lines below it)",
    "model_attributes_type": "is not a section (expected KEY: VALUE lines below it)",
    "dict_type": "is not a section (expected KEY: VALUE lines below it)",
    "tuple_type": "is not a list (write [ONE, TWO], or one line for each with a dash)",
    "path_type": "is not a path (put it into quotes)",
}


def explain(
    model: type[BaseModel], error: ValidationError, references: Mapping[Location, str]
) -> list[tuple[Location, str]]:
    """Each mistake as the key it concerns and a line without the file's name.

    A value that came through a reference is shown as the reference; a secret is never shown.
    """
    found = []
    details = error.errors(include_url=False)
    for detail in details:
        location: Location = tuple(detail["loc"])
        if detail["type"] == "too_short" and _fails_below(location, details):
            continue  # pydantic counts only the entries that are valid
        found += [(location, line) for line in _lines(model, location, detail, references)]
    return found


def _fails_below(location: Location, details: Sequence[ErrorDetails]) -> bool:
    depth = len(location)
    return any(len(detail["loc"]) > depth and detail["loc"][:depth] == location for detail in details)


def _lines(
    model: type[BaseModel], location: Location, detail: ErrorDetails, references: Mapping[Location, str]
) -> list[str]:
    kind, key = detail["type"], dotted(location)
    if kind == "mistakes":
        return detail["msg"].split("\n")
    if kind == "extra_forbidden":
        return [f"{key} is not a known key{_suggest_key(model, location)}"]
    if kind == "missing":
        return [f"{key} is missing: {_description(model, location)}"]
    if location[-1:] == ("[key]",):
        return [f"{dotted(location[:-2])} has the key {location[-2]}, which {detail['msg']}"]
    shown = _shown(_annotation_at(model, location), location, detail["input"], references)
    return [f"{key}{shown} {_predicate(kind, detail)}"]


def _predicate(kind: str, detail: ErrorDetails) -> str:
    if kind == "mistake":
        return detail["msg"]
    if kind == "too_short":
        return "is empty; name at least one"
    if kind in {"literal_error", "enum"}:
        return _not_one_of(str(detail.get("ctx", {}).get("expected", "")), detail["input"])
    return _WANTED.get(kind, f"is not valid: {detail['msg']}")


def _not_one_of(expected: str, given: object) -> str:
    choices = expected.replace(" or ", ", ").replace("'", "").split(", ")
    near = difflib.get_close_matches(str(given), choices, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    if len(choices) == 1:
        return f"is not accepted; the only choice is {choices[0]}{hint}"
    return f"is not one of {', '.join(choices)}{hint}"


def _shown(annotation: object, location: Location, value: object, references: Mapping[Location, str]) -> str:
    """` = VALUE`, or nothing where the value is a secret or too big to help."""
    if location in references:
        return f" = {references[location]}"
    if annotation is SecretStr or isinstance(value, Mapping | list | tuple | BaseModel):
        return ""
    text = _plain(value)
    return f" = {text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + '…'}"


def _plain(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and not (value and value.isprintable() and value == value.strip()):
        return repr(value)
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _suggest_key(model: type[BaseModel], location: Location) -> str:
    section = _annotation_at(model, location[:-1])
    leaf = str(location[-1])
    if isinstance(section, type) and issubclass(section, BaseModel):
        near = difflib.get_close_matches(leaf, section.model_fields, n=1)
        if near:
            return f" (did you mean {near[0]}?)"
        elsewhere = sorted(key for key in all_keys(model) if key.rpartition(".")[2] == leaf)
        if elsewhere:
            return f" (did you mean {elsewhere[0]}?)"
        return f" (known here: {', '.join(section.model_fields)})"
    return ""


def all_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Every key of the sections, dotted; entries of lists and of named tables are left out."""
    keys = []
    for name, info in model.model_fields.items():
        keys.append(prefix + name)
        annotation = _bare(info.annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            keys += all_keys(annotation, f"{prefix}{name}.")
    return keys


def _description(model: type[BaseModel], location: Location) -> str:
    section = _annotation_at(model, location[:-1])
    if isinstance(section, type) and issubclass(section, BaseModel):
        return section.model_fields[str(location[-1])].description or ""
    return ""


def _annotation_at(model: type[BaseModel], location: Sequence[str | int]) -> Any:
    """The type that the model has at a key, or None where it has none."""
    annotation: Any = model
    for part in location:
        annotation = _bare(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            info = annotation.model_fields.get(str(part))
            annotation = info.annotation if info else None
        elif get_origin(annotation) is tuple:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        else:
            return None
    return _bare(annotation)


def _bare(annotation: Any) -> Any:
    """The annotation without `Annotated[…]` and `… | None`."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in {Union, types.UnionType}:
            present = [member for member in get_args(annotation) if member is not types.NoneType]
            if len(present) != 1:
                return annotation
            annotation = present[0]
        else:
            return annotation
