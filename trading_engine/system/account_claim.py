"""One process that trades on one account, on this machine.

What belongs here: taking and holding the claim. What does not: which account it is (runtime), the lock of a state
directory (single_instance).

The claim is a name in the kernel's own list of sockets: an abstract Unix address, which no file system holds. It is
seen across users and private folders and is gone with the process, however that ends. The name is a digest, so it
tells nothing of the key that it was made from. Containers with a network of their own have a list of their own, and
other machines are not seen at all. Elsewhere than on Linux there are no such names: nothing is claimed.
"""

import errno
import hashlib
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from trading_engine.domain.errors import ConfigInvalid

_REFUSED = 3
# A process that was killed may leave a child behind that has not become its own program yet.
_ATTEMPTS = 10
_PAUSE_S = 0.02
_ASKERS = 64  # nobody answers those who ask who holds it; later ones are told that it is held, not by whom
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


class AccountTaken(ConfigInvalid):
    """Another process of this machine trades on the account (exit 3)."""

    def __init__(self, account: str, pid: int | None) -> None:
        who = "another process" if pid is None else f"process {pid}"
        super().__init__(
            f"{account}: {who} on this machine trades with this API key already, for another state directory, and two"
            " would take each other's orders for a stranger's; stop that one first, or name its state with --state DIR",
            exit_code=_REFUSED,
        )
        self.pid = pid


class AccountClaim:
    """The claim on an account, as a context manager. Entering raises AccountTaken where it is held.

    identity   what makes the account one and the same; secrets may be among it
    account    its name for messages

    `problem` says after entering why nothing could be claimed, and is empty where the claim is held.
    """

    def __init__(self, identity: Sequence[str], account: str, sleep: Callable[[float], None] = time.sleep) -> None:
        told = "".join(f"{len(part)}:{part}" for part in ("trading-engine", *identity))
        self._address = b"\0trading-engine/" + hashlib.sha256(told.encode()).hexdigest().encode()
        self._account = account
        self._sleep = sleep
        self._held: socket.socket | None = None
        self.problem = ""

    def __enter__(self) -> Self:
        """Take the claim, where the system knows such a thing."""
        if sys.platform != "linux":
            return self
        try:
            self._held = self._take()
        except OSError as error:  # a sandbox forbids it: no reason to leave an account unattended
            self.problem = f"whether another engine of this machine trades on it is not known ({error.strerror})"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def _take(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            for attempt in range(_ATTEMPTS):
                if attempt:
                    self._sleep(_PAUSE_S)
                if _try_bind(made, self._address):
                    made.listen(_ASKERS)  # whoever connects learns from the kernel whose it is
                    return made
            raise AccountTaken(self._account, self._holder())
        except BaseException:
            made.close()
            raise

    def _holder(self) -> int | None:
        """The process that holds it; None where that is not told, as across process namespaces."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as asker:
            try:
                asker.connect(self._address)
                told = asker.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            except OSError:
                return None
        pid: int = _CREDENTIALS.unpack(told)[0]
        return pid if pid > 0 and pid != os.getpid() else None


def _try_bind(made: socket.socket, address: bytes) -> bool:
    try:
        made.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True
