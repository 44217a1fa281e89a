"""Talking to systemd: ready, alive, what we are doing, leaving.

What belongs here: the notify protocol (sd_notify(3)), a few datagrams to a Unix socket. What does not: when something
is said (runtime.service_report).

Without a service manager every call does nothing. No call waits or raises: whoever reads on the other side is never
worth a late decision.
"""

import os
import socket
from collections.abc import MutableMapping
from typing import Self

_USEC = 1_000_000
_ABSTRACT = "@"


class ServiceManager:
    """The manager that listens at `address`, a path or an abstract name that begins with `@`; empty for none.

    watchdog_s   it kills a process that has not said `alive` for so long, seconds; 0 where it does not watch
    """

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self._address = f"\0{address[1:]}" if address.startswith(_ABSTRACT) else address
        self.watchdog_s = watchdog_s

    @classmethod
    def from_environ(cls, environ: MutableMapping[str, str]) -> Self:
        """As systemd has set it up; its variables are taken out, so that no child speaks for us."""
        address = environ.pop("NOTIFY_SOCKET", "")
        period, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        is_meant = pid in ("", str(os.getpid()))
        watchdog_s = int(period) / _USEC if period.isdigit() and is_meant else 0.0
        return cls(address if address.startswith(("/", _ABSTRACT)) else "", watchdog_s)

    def __bool__(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    def ready(self) -> bool:
        """The start is over; False where it could not be said."""
        return self._send("READY=1")

    def alive(self) -> bool:
        """Work was done since the last time; False where it could not be said."""
        return self._send("WATCHDOG=1")

    def stopping(self) -> bool:
        """The end has begun; False where it could not be said."""
        return self._send("STOPPING=1")

    def tell(self, text: str) -> bool:
        """One line for `systemctl status`; False where it could not be said."""
        return self._send(f"STATUS={' '.join(text.split())}")

    def extend(self, seconds: float) -> bool:
        """Ask for so much more time to start or stop, from now; False where it could not be said."""
        return self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * _USEC)}")

    def _send(self, message: str) -> bool:
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.settimeout(0)  # never waits
                out.sendto(message.encode(), self._address)
        except OSError:
            return False
        return True
