"""What goes wrong at a local server, written down in a file.

What belongs here: the rules, reading them, and which one a visit meets. What does not: carrying a fault out (web).

A site is "METHOD /path" for a call, "stream.user" or "stream.market" for a message that a websocket sends. A rule
names the beginning of a site, which of its visits it meets, and what happens there.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trading_engine.domain.errors import ConfigInvalid


class Mishap(StrEnum):
    """What can happen to a call or a message."""

    LOST_REQUEST = "lost_request"  # is not carried out; the connection breaks
    LOST_REPLY = "lost_reply"  # is carried out; the connection breaks
    LATE = "late"  # is carried out after `delay_ms`; the connection breaks at once
    SLOW = "slow"  # is carried out and answered after `delay_ms`
    TWICE = "twice"  # arrives twice
    STATUS = "status"  # is answered with `status`, `body` and `headers`, not carried out
    STATUS_AFTER = "status_after"  # the same, carried out before
    DROP = "drop"  # a message is never sent
    DUPLICATE = "duplicate"  # a message is sent twice
    DELAY = "delay"  # a message is sent after `delay_ms`, behind others
    DISCONNECT = "disconnect"  # the websocket is closed instead
    SILENT = "silent"  # the websocket stays open and says nothing from then on


class Rule(BaseModel):
    """One line of a fault file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: str
    fault: Mishap
    visits: tuple[Annotated[int, Field(ge=1)], ...] = Field((), description="These visits, counted from 1.")
    every: int = Field(0, ge=0, description="Every so many visits.")
    chance: float = Field(0.0, ge=0, le=1, description="Each visit with this chance.")
    from_ms: int = Field(0, ge=0, description="Not before so much server time has passed.")
    until_ms: int = Field(0, ge=0, description="Not after so much server time; 0 for ever.")
    delay_ms: int = Field(1_000, ge=0)
    status: int = Field(503, ge=100, le=599)
    body: str = ""
    headers: Mapping[str, str] = Field(default_factory=dict)

    def meets(self, visit: int, since_start_ms: int, rng: random.Random) -> bool:
        """Whether the n-th visit of the site meets this rule."""
        if since_start_ms < self.from_ms or (self.until_ms and since_start_ms > self.until_ms):
            return False
        if visit in self.visits or (self.every and visit % self.every == 0):
            return True
        if not self.visits and not self.every and not self.chance:
            return True
        return bool(self.chance) and rng.random() < self.chance


class Faults:
    """The rules of one server, and how often each site was visited. The first rule that meets a visit counts."""

    def __init__(self, rules: Sequence[Rule] = (), seed: int = 1) -> None:
        self.rules = list(rules)
        self.visits: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self._rng = random.Random(seed)  # noqa: S311 - a game

    def at(self, site: str, since_start_ms: int) -> Rule | None:
        """What happens at this visit, None for nothing."""
        self.visits[site] += 1
        for rule in self.rules:
            if site.startswith(rule.site) and rule.meets(self.visits[site], since_start_ms, self._rng):
                self.met[f"{rule.fault} at {site}"] += 1
                return rule
        return None


def read_faults(path: Path) -> list[Rule]:
    """The rules of a YAML file: a list of mappings. ConfigInvalid, with the place, for anything else."""
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path}: cannot be read as YAML ({type(error).__name__})", exit_code=2) from error
    if not isinstance(content, list):
        raise ConfigInvalid(f"{path}: expected a list of faults, each with `site` and `fault`", exit_code=2)
    rules = []
    for index, item in enumerate(content):
        try:
            rules.append(Rule.model_validate(item))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ConfigInvalid(f"{path}: fault {index + 1}, {where}: {first['msg']}", exit_code=2) from error
    return rules
