"""The YAML file as plain values: strict, without surprises.

What belongs here: the syntax. Stricter than YAML 1.1: keys only once, no anchors, aliases or tags;
`yes`, `on` and `12:30` are texts (1.1 reads true, true and 750); numbers with a point stay exact.
What does not: which keys exist (model).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import yaml

from trading_engine.config.environment import ReferenceInvalid, has_reference, substitute
from trading_engine.domain.errors import ConfigInvalid

_REFERENCE_HINT = " (inside [ ] and { } put ${VAR} into quotes)"

Location = tuple[str | int, ...]

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,4})?")


@dataclass(slots=True)
class Source:
    """What a file says.

    values      the top-level mapping
    references  keys whose text held a `${VAR}`, with that text: it is shown instead of the value
    problems    keys that could not be read, with the rest of the sentence
    """

    values: dict[str, object] = field(default_factory=dict)
    references: dict[Location, str] = field(default_factory=dict)
    problems: list[tuple[Location, str]] = field(default_factory=list)


def dotted(location: Location) -> str:
    """A key as a person names it: `alerts.channels[0].url`; one that would not show as it is, in quotes."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{_plain(part)}"
    return text


def _plain(key: str) -> str:
    return key if key and key.isprintable() else repr(key)


def read_source(path: Path, environ: Mapping[str, str]) -> Source:
    """Read and substitute; ConfigInvalid where the file cannot be read or is not YAML.

    Mistakes in single keys are collected in `problems`, so that they are shown with those of the model.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigInvalid(f"{path}: no such file; give a configuration with --config FILE") from None
    except UnicodeDecodeError:
        raise ConfigInvalid(f"{path}: is not a UTF-8 text file") from None
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be read ({error.strerror})") from None
    root = _compose(path, text)
    if not isinstance(root, yaml.MappingNode):
        raise ConfigInvalid(f"{path}: does not hold a configuration (expected lines KEY: VALUE)")
    source = Source()
    source.values = _mapping(root, (), source, environ)
    return source


class _StrictLoader(yaml.SafeLoader):
    """Refuses what makes one thing in a file depend on another place in it."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases (& and *) are not read; put texts with these signs into quotes",
                problem_mark=event.start_mark,
            )
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="tags (!) are not read; put a text with this sign into quotes",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)


def _compose(path: Path, text: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        line = "".join(text.splitlines()[mark.line : mark.line + 1]) if mark else ""
        hint = _REFERENCE_HINT if has_reference(line) else ""
        raise ConfigInvalid(f"{path}{where}: {error.problem or error.context}{hint}") from None
    except yaml.reader.ReaderError as error:
        number = text.count("\n", 0, int(error.position)) + 1
        raise ConfigInvalid(f"{path}, line {number}: holds a character that YAML does not allow") from None
    except RecursionError:
        raise ConfigInvalid(f"{path}: is nested too deeply to be a configuration") from None
    return node


def _mapping(node: yaml.MappingNode, at: Location, source: Source, environ: Mapping[str, str]) -> dict[str, object]:
    values: dict[str, object] = {}
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            source.problems.append((at, f"has on line {line} a key that is not a text"))
            continue
        key = key_node.value
        if key in values:
            source.problems.append(
                (
                    (*at, key),
                    f"is given twice, on line {lines[key]} and on line {line}; keep one",
                )
            )
            continue
        lines[key] = line
        values[key] = _value(value_node, (*at, key), source, environ)
    return values


def _value(node: yaml.Node, at: Location, source: Source, environ: Mapping[str, str]) -> object:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, at, source, environ)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*at, index), source, environ) for index, item in enumerate(node.value)]
    text = str(node.value)
    if has_reference(text):
        source.references[at] = text
        try:
            text = substitute(text, environ)
        except ReferenceInvalid as error:
            source.problems.append((at, str(error)))
    # A quoted scalar is a text; a bare one is what it looks like, after substitution as well.
    return _scalar(text) if getattr(node, "style", None) is None else text


def _scalar(text: str) -> object:
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return Decimal(text)
    return text
