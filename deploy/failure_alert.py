"""One message that a unit has failed, sent through Apprise, from outside of the engine.

What belongs here: what somebody must hear who is not at a screen. What does not: the engine's own alerts, any import of
the engine: what has broken it must not break this.

    failure_alert.py UNIT

Receivers: the values of ALERT_URL and ALERT_URL_CRITICAL, from files of $CREDENTIALS_DIRECTORY (of an instance, its own
as well) or the environment. A unit that fails again within fifteen minutes is counted and told with the next message.
Exit code 1 where a receiver did not take the message; its URL holds secrets and is never printed.
"""

import json
import logging
import os
import re
import socket
import sys
import time
from pathlib import Path

QUIET_S = 15 * 60
_NAMES = ("ALERT_URL_CRITICAL", "ALERT_URL")
_PREFIXES = ("", "venue_", "instance_")  # those of every engine, and of the instance that has failed


def main(arguments: list[str]) -> int:
    """Send, or count; the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: failure_alert.py UNIT\n")
        return 2
    unit = arguments[0]
    urls = receivers()
    if not urls:
        sys.stderr.write(f"<4>{unit} has failed and nobody is told: there is no credential {' or '.join(_NAMES)}\n")
        return 0
    stamp, now = _stamp_of(unit), time.time()
    told, missed = _read(stamp)
    if 0 <= now - told < QUIET_S:
        _write(stamp, told, missed + 1)
        sys.stdout.write(f"{unit} has failed again; told less than {QUIET_S // 60} minutes ago\n")
        return 0
    refused = _send(urls, unit, text_of(unit, missed))
    if refused < len(urls):  # somebody knows
        _write(stamp, now, 0)
    return 1 if refused else 0


def receivers() -> list[str]:
    """The URLs, each once."""
    found = []
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    for name in _NAMES:
        files = [Path(folder) / f"{prefix}{name}" for prefix in _PREFIXES] if folder else []
        values = [file.read_text(encoding="utf-8-sig").strip() for file in files if file.is_file()]
        for value in values or [os.environ.get(name, "")]:
            if value and value not in found:
                found.append(value)
    return found


def text_of(unit: str, missed: int) -> str:
    """What has happened, and where to look; systemd hands over how the unit has ended."""
    told = [f"{unit} has failed on {socket.gethostname()}."]
    result = os.environ.get("MONITOR_SERVICE_RESULT")
    if result:
        status = os.environ.get("MONITOR_EXIT_STATUS", "?")
        told.append(f"Result: {result}, exit status {status}.")
    if missed:
        told.append(f"It had failed {missed} more times since the last message.")
    told.append("Positions keep their stops at the venue; nobody manages them until it runs again.")
    told.append(f"Look: journalctl -u {unit} -n 50; then: systemctl reset-failed {unit} && systemctl start {unit}")
    return "\n".join(told)


def _stamp_of(unit: str) -> Path | None:
    """Where it is kept when somebody was told of this unit."""
    folder = os.environ.get("STATE_DIRECTORY")
    return Path(folder) / f"{re.sub('[^A-Za-z0-9_.@-]', '_', unit)}.json" if folder else None


def _read(stamp: Path | None) -> tuple[float, int]:
    """When somebody was told last, and how many failures were not told since; a damaged file counts as never."""
    try:
        seen = json.loads(stamp.read_text(encoding="utf-8")) if stamp else {}
        return float(seen["told"]), int(seen["missed"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0, 0


def _write(stamp: Path | None, told: float, missed: int) -> None:
    if stamp is not None:
        stamp.write_text(json.dumps({"told": told, "missed": missed}), encoding="utf-8")


def _send(urls: list[str], unit: str, body: str) -> int:
    """Send to each; how many did not take it."""
    import apprise  # noqa: PLC0415 - not for a failure that is only counted

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # what it says holds the URL
    asset = apprise.AppriseAsset(app_id="trading-engine", app_desc="trading-engine", async_mode=False)
    refused = 0
    for url in urls:
        service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        sent = service is not None and service.notify(
            title=f"trading-engine: {unit} failed", body=body, notify_type=apprise.NotifyType.FAILURE
        )
        scheme = url.partition("://")[0]
        if not sent:
            refused += 1
            sys.stderr.write(f"<3>{scheme}://*** did not take the message\n")
        else:
            sys.stdout.write(f"{scheme}://*** was told that {unit} has failed\n")
    return refused


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
