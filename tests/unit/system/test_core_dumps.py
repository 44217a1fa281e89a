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


ASKING = """
from trading_engine.config.model import Config
from trading_engine.runtime import remote
from trading_engine.system import core_dumps
from trading_engine.system.clock import SteadyClock
own = {"key": "test-key", "secret": "test-secret"}
said = {"mode": "testnet", "venue": "bingx", "symbols": ["BTCUSDT"], "strategies": [{"name": "trend_vwap"}]}
remote.make_venue(Config.model_validate(said | {"credentials": own}), SteadyClock())
print(core_dumps.are_forbidden())
"""


def test_whatever_has_a_key_in_memory_leaves_no_image() -> None:
    """Also a command that only asks the venue, as `reconcile --plan` or `doctor`."""
    done = subprocess.run([sys.executable, "-c", ASKING], capture_output=True, text=True, check=True)
    assert "True" == done.stdout.strip()
