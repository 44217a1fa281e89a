"""`${VAR}` and `.env`: where a configuration takes what does not belong into a file.

What belongs here: reading `.env`, and replacing references in one text. What does not: which texts of
the YAML file are looked at (source) and what the values mean (model). Values are never part of a
message, because a reference is how a secret gets in.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from trading_engine.domain.errors import ConfigInvalid

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"\$(?P<escaped>\$)?\{{(?:(?P<name>{_NAME})(?::-(?P<default>[^}}]*))?\}})?")
_ASSIGNMENT = re.compile(rf"(?:export\s+)?(?P<name>{_NAME})\s*=\s*(?P<value>.*)")
_TRAILING_COMMENT = re.compile(r"(?:^|\s+)#.*")


class ReferenceInvalid(ValueError):
    """A `${…}` that cannot be replaced; the text continues the sentence `KEY …`."""


def read_dotenv(path: Path | None) -> dict[str, str]:
    """The assignments of a `.env` file; none where there is no such file.

    Lines are `NAME=value`, `export NAME=value`, empty, or comments (#). A value may stand in single or
    double quotes, and is taken literally. Raises ConfigInvalid naming the line, never its content.
    """
    if path is None or not path.exists():
        return {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path}: cannot be read as a UTF-8 text file ({_reason(error)})") from None
    values = {}
    for number, raw in enumerate(lines, start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        value = None if match is None else _unquoted(match["value"])
        if match is None or value is None:
            raise ConfigInvalid(f"{path}, line {number}: is not NAME=value (quotes, if any, on both sides)")
        values[match["name"]] = value
    return values


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """The text with every `${VAR}` and `${VAR:-default}` replaced; `$${` stands for a literal `${`.

    A variable that is set but empty counts as not set, as a copied example file leaves it.
    Raises ReferenceInvalid naming the variable.
    """

    def replace(match: re.Match[str]) -> str:
        if match["escaped"]:
            return match[0][1:]
        if match["name"] is None:
            raise ReferenceInvalid("has a ${ that does not begin ${NAME} or ${NAME:-default} (literal: $${)")
        value = environ.get(match["name"]) or match["default"]
        if value is None:
            raise ReferenceInvalid(
                f"needs the environment variable {match['name']}, which is not set or empty "
                f"(set it, write it into .env, or give a default: ${{{match['name']}:-…}})"
            )
        return value

    return _REFERENCE.sub(replace, text)


def has_reference(text: str) -> bool:
    """Whether `substitute` would look at anything in the text."""
    return "${" in text


def _unquoted(text: str) -> str | None:
    quote = text[:1]
    if quote in {'"', "'"}:
        end = text.find(quote, 1)
        rest = text[end + 1 :]
        return text[1:end] if end > 0 and not _TRAILING_COMMENT.sub("", rest).strip() else None
    return _TRAILING_COMMENT.sub("", text).strip()


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "unknown reason") if isinstance(error, OSError) else "not UTF-8"
