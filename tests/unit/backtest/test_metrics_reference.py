"""Ratios against those of an independent library, empyrical-reloaded.

`empyrical_reference.py` says why its answers are kept in a file; with the library installed they are computed again.
"""

import json
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from fakes.report_bench import of_equity

from trading_engine.backtest.metrics import measure
from trading_engine.domain.time import DAY_MS, parse_iso

HERE = Path(__file__).parent
REFERENCE = json.loads((HERE / "empyrical_reference.json").read_text())


@pytest.mark.parametrize("case", REFERENCE["cases"], ids=lambda case: case["name"])
def test_ratios_are_those_of_an_independent_library(case: dict[str, Any]) -> None:
    """Return, growth, volatility, Sharpe, Sortino, Calmar, drawdown and months of one equity curve."""
    start_ms, equity = parse_iso(REFERENCE["start"]), case["equity"]
    metrics = measure(of_equity(equity, start_ms), start_ms, start_ms + (len(equity) - 1) * DAY_MS)
    for name, expected in case["figures"].items():
        wanted = expected if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert wanted == getattr(metrics, name), name


@pytest.mark.skipif(find_spec("empyrical") is None, reason="needs empyrical-reloaded, which brings pandas")
def test_the_kept_answers_are_those_the_library_gives() -> None:
    """The file beside this test is what its script writes."""
    spec = spec_from_file_location("empyrical_reference", HERE / "empyrical_reference.py")
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    again = json.loads(json.dumps(script.reference()))
    assert [case["equity"] for case in again["cases"]] == [case["equity"] for case in REFERENCE["cases"]]
    for mine, kept in zip(again["cases"], REFERENCE["cases"], strict=True):
        for name, value in kept["figures"].items():
            wanted = value if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)
            assert wanted == mine["figures"][name], (kept["name"], name)
