"""A configuration without its secrets: to show, and to tell whether two are the same.

What belongs here: the canonical plain form and its hash. What does not: printing (cli).
"""

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from pathlib import Path

from pydantic import SecretStr

from trading_engine.config.model import Config
from trading_engine.domain import money

HASH_LENGTH = 16


def redacted(config: Config) -> dict[str, object]:
    """Plain values that fit into JSON or YAML: numbers with a point as text, secrets as `SCHEME://***`."""
    return {key: _plain(value) for key, value in config.model_dump().items()}


def config_hash(config: Config) -> str:
    """The first 16 hex digits of the SHA-256 of the canonical form.

    Equal for files that mean the same (order, comments, `5` or `5.0`), and blind to secrets, so that a
    rotated key is not another configuration.
    """
    canonical = json.dumps(redacted(config), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:HASH_LENGTH]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, SecretStr):
        scheme, separator, _ = value.get_secret_value().partition("://")
        return f"{scheme}://***" if separator else "***"
    if isinstance(value, Decimal):
        return money.text(value)
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value
