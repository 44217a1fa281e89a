"""No image of this process on disk: it holds API keys.

What belongs here: switching core dumps off. What does not: what the service unit forbids besides (LimitCORE=0).
"""

import contextlib
import ctypes
import os
import resource

_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4


def forbid() -> None:
    """No core file, and no other process of the same user may look into the memory of this one.

    The limit alone is not enough: a core pattern that is a program is run in spite of it.
    """
    if resource.getrlimit(resource.RLIMIT_CORE) != (0, 0):  # the unit's filter of system calls allows no change
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):  # no such call: the limit has to do
        _prctl(_PR_SET_DUMPABLE, 0)


def are_forbidden() -> bool:
    """Whether both are so."""
    return resource.getrlimit(resource.RLIMIT_CORE) == (0, 0) and _prctl(_PR_GET_DUMPABLE, 0) == 0


def _prctl(option: int, value: int) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    answer = int(library.prctl(option, ctypes.c_ulong(value), 0, 0, 0))
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
