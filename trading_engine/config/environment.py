"""`${VAR}`, credentials and `.env`: where a configuration takes what does not belong into a file.

What belongs here: reading both, which of them wins, and replacing references in one text. What does not: which texts
of the YAML file are looked at (source) and what the values mean (model). Values are never part of a message, because
a reference is how a secret gets in.

A name is looked for in this order: the files that systemd hands over (LoadCredential), the environment, `.env`. The
first place that has it wins: what a service manager hands over to one service is the hardest to come by for others.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from trading_engine.domain.errors import ConfigInvalid

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"\$(?P<escaped>\$)?\{{(?:(?P<name>{_NAME})(?::-(?P<default>[^}}]*))?\}})?")
_ASSIGNMENT = re.compile(rf"(?:export\s+)?(?P<name>{_NAME})\s*=\s*(?P<value>.*)")
_TRAILING_COMMENT = re.compile(r"(?:^|\s+)#.*")


CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"  # set by systemd
CREDENTIALS_PREFIX = "venue_"  # of a whole directory: LoadCredential=venue:/etc/…/credentials/
_FOR_OTHERS = 0o077


class ReferenceInvalid(ValueError):
    """A `${…}` that cannot be replaced; the text continues the sentence `KEY …`."""


def read_dotenv(path: Path | None) -> dict[str, str]:
    """The assignments of a `.env` file; none where there is no such file.

    A file with values must be readable by its owner alone. Lines are `NAME=value`, `export NAME=value`, empty, or
    comments (#). A value may stand in single or double quotes, and is taken literally. Raises ConfigInvalid naming
    the line, never its content.
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
    if any(values.values()):
        _require_private(path)
    return values


def _require_private(path: Path) -> None:
    mode = path.stat().st_mode & 0o777
    if mode & _FOR_OTHERS:
        raise ConfigInvalid(f"{path}: holds secrets, and its mode {mode:04o} lets others at them: chmod 600 {path}")


def read_credentials(directory: str | None) -> dict[str, str]:
    """What systemd has handed over: a file NAME, or venue_NAME, holds the value of NAME; None hands over nothing.

    A line end after the value is not part of it; other files are passed over. Raises ConfigInvalid naming the file.
    """
    if not directory:
        return {}
    values = {}
    try:
        for path in sorted(Path(directory).iterdir(), key=lambda item: not item.name.startswith(CREDENTIALS_PREFIX)):
            name = path.name.removeprefix(CREDENTIALS_PREFIX)
            if re.fullmatch(_NAME, name) and path.is_file():
                values[name] = path.read_text(encoding="utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        where = getattr(error, "filename", None) or directory
        raise ConfigInvalid(f"{CREDENTIALS_VARIABLE}: {where} cannot be read as text ({_reason(error)})") from None
    return values


def variables(environ: Mapping[str, str], dotenv_path: Path | None) -> dict[str, str]:
    """Everything that a reference can name, by what wins; a name that is empty in one place is taken from the next."""
    handed_over = read_credentials(environ.get(CREDENTIALS_VARIABLE))
    found: dict[str, str] = {}
    for source in (read_dotenv(dotenv_path), environ, handed_over):
        found |= {name: value for name, value in source.items() if value}
    return found


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
                "(set it, write it into .env, or hand it over as a credential; what is no secret may have a default "
                "behind its name, as ${NAME:-default})"
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
