"""The arming record: an operator's word, given beforehand, that a service may trade real money with this configuration.

What belongs here: writing the record, reading it, and saying what has changed since. What does not: asking for the
word (acknowledgement), what a run does with it (app).

The record is bound to the hash of the configuration, which holds venue and account. It keeps the configuration itself
as well, without secrets, so that a refusal can name what is different.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from trading_engine.config.model import Config
from trading_engine.config.show import config_hash, redacted
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import iso
from trading_engine.system.state_dir import StateDir

VERSION = 1
_OWNER_ONLY = 0o600
_WRITABLE_BY_OTHERS = 0o022
_MOST_NAMED = 3
_ABSENT = "(none)"


@dataclass(frozen=True, slots=True)
class Arming:
    """Who said so, when, and of what; `config` is the canonical form without secrets."""

    config_hash: str
    venue: str
    account: str
    actor: str
    armed_ms: int
    config: Mapping[str, object]


def arm(state: StateDir, config: Config, actor: str, now_ms: int) -> Arming:
    """Write the record in the place of any other; it is whole on disk or not there. ConfigInvalid where it cannot."""
    made = Arming(config_hash(config), config.venue, config.account, actor, now_ms, redacted(config))
    path = state.arming
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _OWNER_ONLY)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump({"version": VERSION, **asdict(made)}, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(path)
        _sync(path.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigInvalid(f"{path}: cannot be written ({error.strerror}); nothing is armed") from None
    return made


def read(state: StateDir) -> Arming | None:
    """The record, None where there is none; ConfigInvalid where it is damaged, or others could have written it."""
    path = state.arming
    try:
        found = path.lstat()
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise ConfigInvalid(f"{path}: cannot be read; {_AGAIN}") from None
    if found.st_uid not in (os.geteuid(), 0) or found.st_mode & _WRITABLE_BY_OTHERS:
        raise ConfigInvalid(f"{path}: others could have written it; remove it, then {_AGAIN}")
    try:
        values = json.loads(text)
        if values.pop("version") != VERSION:
            raise ValueError(text)
        made = Arming(**values)
        if not (isinstance(made.config, dict) and isinstance(made.armed_ms, int)):
            raise TypeError(text)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ConfigInvalid(f"{path}: is not an arming record of this version; {_AGAIN}") from None
    return made


_AGAIN = "run `trading-engine arm` again"


def revoke(state: StateDir) -> bool:
    """Remove the record, whatever is in it; whether there was one."""
    try:
        state.arming.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigInvalid(f"{state.arming}: cannot be removed ({error.strerror})") from None
    _sync(state.root)
    return True


def refusal(state: StateDir, config: Config, config_path: Path) -> str:
    """Why this configuration may not trade real money by itself, and what to do about it; empty where it may."""
    made = read(state)
    command = f"`trading-engine arm --config {config_path} --state {state.root}` on a terminal"
    if made is None:
        return (
            f"mode = live trades real money on {config.venue}/{config.account}, and nobody has armed it: run {command}"
        )
    if made.config_hash == config_hash(config):
        return ""
    return (
        f"{config_path} is not the configuration that {made.actor} armed at {iso(made.armed_ms)}"
        f" ({changes(made.config, redacted(config))}): look at it, then run {command}"
    )


def changes(before: Mapping[str, object], now: Mapping[str, object], most: int = _MOST_NAMED) -> str:
    """What differs, by dotted keys: `leverage 1 → 2`, and how many more there are."""
    old, new = dict(flat(before)), dict(flat(now))
    keys = [key for key in {**old, **new} if old.get(key, _ABSENT) != new.get(key, _ABSENT)]
    named = [f"{key} {old.get(key, _ABSENT)} → {new.get(key, _ABSENT)}" for key in keys[:most]]
    more = [f"{len(keys) - most} more"] if len(keys) > most else []
    return ", ".join([*named, *more]) or "another version of the form"


def flat(values: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf by its dotted key, lists by position; an empty section is a leaf."""
    if isinstance(values, Mapping) and values:
        for key, value in values.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(values, list | tuple) and values:
        for index, value in enumerate(values):
            yield from flat(value, f"{prefix}[{index}]")
    else:
        yield prefix, "null" if values is None else str(values)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
