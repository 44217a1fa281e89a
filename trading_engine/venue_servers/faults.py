"""What goes wrong at a local server, written down in a file.

What belongs here: the rules, reading them, and which one a visit meets. What does not: carrying a fault out (web).

A site is "METHOD /path" for a call, "CONNECT /path" for a websocket that is to be opened, "stream.user" or
"stream.market" for a message that a websocket sends, "trigger SYMBOL" for a stop or target whose price has come. A rule
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
    SWAP = "swap"  # a message changes places with the next, or comes after `delay_ms`
    DISCONNECT = "disconnect"  # the websocket is closed instead
    SILENT = "silent"  # the websocket stays open and says nothing from then on
    EXPIRE = "expire"  # the keys of the user stream expire instead of a message
    UNFILLED = "unfilled"  # an order triggers, finds nobody, and is ended by the exchange
    STUCK = "stuck"  # an order triggers and trades nothing for `delay_ms` of server time
    SKEW = "skew"  # the clock that an engine on this machine is told is wrong by `skew_ms`


class Rule(BaseModel):
    """One line of a fault file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: str = Field(description="How the site begins.")
    fault: Mishap = Field(description="What happens there.")
    contains: str = Field("", description="Only calls with this text in query or body; only these are counted.")
    visits: tuple[Annotated[int, Field(ge=1)], ...] = Field((), description="These visits, counted from 1.")
    every: int = Field(0, ge=0, description="Every so many visits.")
    chance: float = Field(0.0, ge=0, le=1, description="Each visit with this chance.")
    from_ms: int = Field(0, ge=0, description="Not before so much server time has passed.")
    until_ms: int = Field(0, ge=0, description="Not after so much server time; 0 for ever.")
    delay_ms: int = Field(1_000, ge=0, description="How long what is late, slow, delayed or stuck takes.")
    skew_ms: int = Field(0, description="How wrong the clock is, ahead above 0.")
    status: int = Field(503, ge=100, le=599, description="The HTTP status of an answer.")
    body: str = Field("", description="{now_ms} and {later_ms} become server times, the latter `delay_ms` later.")
    headers: Mapping[str, str] = Field(default_factory=dict, description="Headers of an answer.")

    def meets(self, visit: int, since_start_ms: int, rng: random.Random) -> bool:
        """Whether the n-th visit of the site meets this rule."""
        if since_start_ms < self.from_ms or (self.until_ms and since_start_ms > self.until_ms):
            return False
        if visit in self.visits or (self.every and visit % self.every == 0):
            return True
        if not self.visits and not self.every and not self.chance:
            return True
        return bool(self.chance) and rng.random() < self.chance

    def told(self, now_ms: int) -> bytes:
        """The body at an instant."""
        later_ms = str(now_ms + self.delay_ms)
        return self.body.replace("{now_ms}", str(now_ms)).replace("{later_ms}", later_ms).encode()


class Faults:
    """The rules of one server, and how often each site was visited. The first rule that meets a visit counts."""

    def __init__(self, rules: Sequence[Rule] = (), seed: int = 1) -> None:
        self.rules = list(rules)
        self.visits: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self._matching: Counter[tuple[str, str]] = Counter()
        self._rng = random.Random(seed)  # noqa: S311 - a game

    def at(self, site: str, since_start_ms: int, text: str = "") -> Rule | None:
        """What happens at this visit, None for nothing; `text` is what a call has said."""
        self.visits[site] += 1
        for wanted in {rule.contains for rule in self.rules if rule.contains and rule.contains in text}:
            self._matching[site, wanted] += 1
        for rule in self.rules:
            if not site.startswith(rule.site) or rule.contains not in text:
                continue
            visit = self._matching[site, rule.contains] if rule.contains else self.visits[site]
            if rule.meets(visit, since_start_ms, self._rng):
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
