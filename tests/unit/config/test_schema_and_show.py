"""A configuration can be described, shown and compared without its secrets."""

import json
from pathlib import Path
from typing import Any

import pytest

from trading_engine.config import Config, config_hash, json_schema, load_config, redacted

MINIMAL = "mode: paper\nsymbols: [BTCUSDT]\nstrategies: [{name: trend_vwap}]\n"


def _load(folder: Path, lines: str = "") -> Config:
    path = folder / "engine.yaml"
    path.write_text(MINIMAL + lines, encoding="utf-8")
    return load_config(path, {}, {}, None)


def _properties(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = list(schema.get("properties", {}).items())
    for definition in schema.get("$defs", {}).values():
        found += definition.get("properties", {}).items()
    return found


def test_every_key_is_described_in_the_schema() -> None:
    """An editor can show what a key means; the schema is JSON."""
    schema = json.loads(json.dumps(json_schema()))
    properties = _properties(schema)
    assert len(properties) > 60
    assert [] == [name for name, details in properties if not details.get("description", "").strip()]
    assert schema["additionalProperties"] is False


def test_the_schema_knows_ranges() -> None:
    """Editors mark a percentage above 100 while it is typed."""
    limit = json_schema()["$defs"]["RiskConfig"]["properties"]["max_daily_loss_pct"]
    assert (0, 100, ["number", "string"]) == (limit["exclusiveMinimum"], limit["maximum"], limit["type"])


def test_secrets_are_shown_as_stars(tmp_path: Path) -> None:
    """Only the service remains; neither text nor repr gives more."""
    config = _load(tmp_path, "alerts: {channels: [{url: 'tgram://123:hunter2/456'}]}\n")
    shown: Any = redacted(config)
    assert "tgram://***" == shown["alerts"]["channels"][0]["url"]
    for text in (json.dumps(shown), repr(config), str(config)):
        assert "hunter2" not in text
        assert "456" not in text


def test_what_is_shown_can_be_loaded_again(tmp_path: Path) -> None:
    """The plain form is a configuration itself."""
    config = _load(tmp_path, "sizing: {risk_pct: 0.25}\nexits: {trailing: []}\n")
    assert config == Config.model_validate(redacted(config))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("leverage: 2\nsizing: {risk_pct: 0.5}\n", "# note\nsizing: {risk_pct: '0.50'}\nleverage: 2.0\n"),
        ("", "leverage: 1\n"),
        (
            "alerts: {channels: [{url: 'json://u:one@h'}]}\n",
            "alerts: {channels: [{url: 'json://u:two@h'}]}\n",
        ),
    ],
)
def test_files_that_mean_the_same_have_one_hash(tmp_path: Path, one: str, other: str) -> None:
    """Order, comments, notation, defaults and rotated secrets do not count."""
    assert config_hash(_load(tmp_path, one)) == config_hash(_load(tmp_path, other))


def test_another_meaning_is_another_hash(tmp_path: Path) -> None:
    """Sixteen hexadecimal digits tell configurations apart."""
    hashes = {
        config_hash(_load(tmp_path, lines))
        for lines in ("", "leverage: 2\n", "risk: {max_positions: 2}\n", "kill_switch: {file: /tmp/x/STOP}\n")
    }
    assert 4 == len(hashes)
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in hashes)
