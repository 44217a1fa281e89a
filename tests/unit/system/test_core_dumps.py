"""A process with keys leaves no image of itself."""

import subprocess
import sys

SCRIPT = """
import os, resource, signal
from trading_engine.system import core_dumps
before = core_dumps.are_forbidden()
core_dumps.forbid()
print(before, core_dumps.are_forbidden(), os.listdir("/proc/self/fd") != [])
"""


def test_core_dumps_are_off_and_the_process_still_sees_itself() -> None:
    """Limit and dumpable flag; what the control socket needs of /proc/self stays readable."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert "False True True" == done.stdout.strip()
