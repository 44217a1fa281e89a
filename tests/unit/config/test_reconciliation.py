"""The section on positions that are not ours: strict, and never a policy without effect."""

from decimal import Decimal
from pathlib import Path

import pytest

from trading_engine.config import Config, load_config
from trading_engine.config.schema import json_schema
from trading_engine.config.show import redacted
from trading_engine.core.settings import ForeignPolicy
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.runtime.bootstrap import RunOptions, settings_only

BASE = "mode: paper\nsymbols: [BTCUSDT, ETHUSDT]\nstrategies: [{name: trend_vwap}]\n"


def load(folder: Path, section: str) -> Config:
    """The configuration with this section."""
    path = folder / "engine.yaml"
    path.write_text(f"{BASE}reconciliation: {section}\n")
    return load_config(path, {}, {}, folder / ".env")


def test_what_is_left_out_freezes(tmp_path: Path) -> None:
    """And an adopted position would stand two percent above its stop."""
    section = load(tmp_path, "{}").reconciliation
    assert ("freeze", {}, Decimal(2)) == (section.default, section.symbols, section.adopt_stop_pct)


def test_the_core_gets_policies_and_parts_per_million(tmp_path: Path) -> None:
    """By symbol, else the default; what is not traded is ignored."""
    load(tmp_path, "{default: flatten, symbols: {BTCUSDT: adopt}, adopt_stop_pct: 1.5}")
    _, settings, _ = settings_only(RunOptions(tmp_path / "engine.yaml"), {})
    assert [ForeignPolicy.ADOPT, ForeignPolicy.FLATTEN, ForeignPolicy.IGNORE] == [
        settings.foreign_policy(symbol) for symbol in ("BTCUSDT", "ETHUSDT", "DOGEUSDT")
    ]
    assert 15_000 == settings.foreign.adopt_stop_ppm


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("{default: adpt}", "reconciliation.default = adpt is not one of ignore, freeze, adopt, flatten"),
        ("{symbols: {BTCUSDT: keep}}", "reconciliation.symbols.BTCUSDT = keep is not one of"),
        ("{symbols: {DOGEUSDT: adopt}}", "reconciliation.symbols.DOGEUSDT is not one of the top-level symbols"),
        ("{adopt_stop_pct: 0}", "reconciliation.adopt_stop_pct = 0 is not a percentage between 0 and 50"),
        ("{adopt_stop_pct: 51}", "reconciliation.adopt_stop_pct = 51 is not a percentage between 0 and 50"),
        ("{policy: adopt}", "reconciliation.policy is not a known key"),
    ],
)
def test_a_mistake_is_told_in_one_line(tmp_path: Path, section: str, expected: str) -> None:
    """Key, value, what was expected."""
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, section)
    (line,) = str(caught.value).split("\n")
    assert expected in line


def test_it_is_shown_and_described(tmp_path: Path) -> None:
    """`config show` and `config schema` have it."""
    shown = redacted(load(tmp_path, "{symbols: {ETHUSDT: ignore}}"))["reconciliation"]
    assert {"default": "freeze", "symbols": {"ETHUSDT": "ignore"}, "adopt_stop_pct": "2"} == shown
    described = json_schema()["$defs"]["ReconciliationConfig"]["properties"]
    assert {"default", "symbols", "adopt_stop_pct"} == set(described)
    assert all(key["description"] for key in described.values())
