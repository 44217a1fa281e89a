"""What an operator's machine may refuse: files beyond a size, and files whose bits keep their owner out."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 60
_WITHOUT = "--bounding-set=-dac_override,-dac_read_search"  # what lets root pass by the bits of a file


@contextmanager
def file_size(limit: int) -> Iterator[None]:
    """No file grows beyond `limit` bytes, neither here nor in what is started here."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def bound_by_bits(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command of ours to whom the permissions of files mean something, also where root runs the tests."""
    command = [sys.executable, "-m", "trading_engine", *map(str, arguments)]
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None or subprocess.run([setpriv, _WITHOUT, "true"], capture_output=True, check=False).returncode:
            pytest.skip("permissions do not stop root, and setpriv cannot make them")
        command = [setpriv, _WITHOUT, *command]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
    )
