"""What a run costs in memory, and what it must not load to do its work."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from e2e_tools import ROOT, write_config, write_market

MOST_KB = 170 * 1024
HEAVY = {"numba", "pandas", "polars", "alembic", "apprise", "aiohttp", "fastapi", "nicegui", "uvicorn", "matplotlib"}

# The command line inside one process, which tells about itself before it leaves.
_PROGRAM = """
import json, sys
from trading_engine.cli.main import main
code = main(sys.argv[1:])
peak_kb = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps({"code": code, "peak_kb": peak_kb, "modules": sorted({name.split(".")[0] for name in sys.modules})}))
"""


def _run(*arguments: str | Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, "run", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
@pytest.mark.parametrize("source", ["synthetic", "recorded"])
def test_a_run_stays_small_and_loads_nothing_heavy(tmp_path: Path, source: str) -> None:
    """Below 170 MB at its peak, the demo's whole market or a file of candles, without the heavy libraries."""
    arguments: list[str | Path] = ["--state", tmp_path / "state"]
    if source == "synthetic":
        arguments += ["--config", ROOT / "configs" / "demo.yaml"]
    else:
        market = write_market(tmp_path / "market.csv", "wl" * 40)
        arguments += ["--config", write_config(tmp_path), "--replay", f"SOLUSDT={market}"]
    seen = _run(*arguments)
    assert 0 == seen["code"]
    assert set() == HEAVY & set(seen["modules"])
    assert seen["peak_kb"] < MOST_KB
