"""From a file to a checked configuration.

What belongs here: the order (file, environment, overrides, model) and gathering every mistake before
complaining. What does not: any of these steps themselves (source, environment, model, explain).
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from trading_engine.config.environment import variables
from trading_engine.config.explain import explain
from trading_engine.config.model import Config
from trading_engine.config.remote import VenueConfig
from trading_engine.config.source import Location, Source, dotted, read_source
from trading_engine.domain.errors import ConfigInvalid

_COMMAND_LINE = "command line"
_USAGE = 2
_INVALID = 78


def load_config(
    path: Path,
    overrides: Mapping[str, object],
    environ: Mapping[str, str],
    dotenv_path: Path | None,
) -> Config:
    """The configuration in `path`, with `${VAR}` from `environ` or else the `.env` file.

    overrides     dotted keys (`risk.max_positions`) and values that replace the file's
    dotenv_path   read where it exists; `environ` wins over it, and over both the files of systemd's credentials

    Raises ConfigInvalid with one line for each mistake, all of them at once; mistakes in overrides name
    the command line instead of the file, and are mistakes of usage where there are no others.
    """
    source = read_source(path, variables(environ, dotenv_path))
    for key, value in overrides.items():
        _override(source.values, key, value)
        source.references.pop(tuple(key.split(".")), None)
    if source.values.get("mode") == "paper":  # it holds no key, so one that is not set is not missed
        source.problems = [item for item in source.problems if item[0][:1] != ("credentials",)]
    problems = [(location, f"{dotted(location)} {text}".strip()) for location, text in source.problems]
    config = None
    try:
        config = Config.model_validate(source.values)
    except ValidationError as error:
        unread = {location for location, _ in source.problems if location in source.references}
        found = explain(Config, error, source.references)
        problems += [(location, line) for location, line in found if location not in unread]
    if config is not None:
        problems += _written_out(config, source)
    if config is None or problems:
        lines = [named(path, overrides, line) for _, line in problems]
        is_usage = all(line.startswith(_COMMAND_LINE) for line in lines)
        raise ConfigInvalid("\n".join(lines), exit_code=_USAGE if is_usage else _INVALID)
    return config


def _written_out(config: Config, source: Source) -> list[tuple[Location, str]]:
    """Keys of a real account that stand in the file itself, where every backup and every commit takes them along."""
    if config.credentials is None or getattr(config.venues, config.venue, VenueConfig()).is_on_this_machine:
        return []
    found: list[tuple[Location, str]] = []
    for part in ("key", "secret"):
        at: Location = ("credentials", part)
        if ":-" in source.references.get(at, ":-"):  # no reference, or one whose default would be the key
            name = f"${{{config.venue.upper()}_{part.upper()}}}"
            line = f"{dotted(at)} stands in the file itself; write {name}, and set that where it belongs (.env, say)"
            found.append((at, line))
    return found


def _override(values: dict[str, object], key: str, value: object) -> None:
    """Set a dotted key, making the sections on the way."""
    *sections, leaf = key.split(".")
    for section in sections:
        inner = values.get(section)
        if not isinstance(inner, dict):
            if inner is not None:
                return  # not a section: the file's own mistake, which the model reports
            inner = values[section] = {}
        values = inner
    values[leaf] = value


def named(path: Path, overrides: Mapping[str, object], line: str) -> str:
    """A mistake, which begins with its key, told with where that stands: in the file, or on the command line."""
    key = line.split(" ", 1)[0]
    return f"{_COMMAND_LINE if key in overrides else path}: {line}"
