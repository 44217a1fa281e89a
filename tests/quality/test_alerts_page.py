"""docs/alerts.md is what the table of remedies says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_made_from_the_table() -> None:
    """After a change of the table: python docs/make_alerts.py."""
    subprocess.run([sys.executable, str(ROOT / "docs" / "make_alerts.py"), "--check"], check=True, cwd=ROOT)
