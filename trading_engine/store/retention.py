"""Which copies of the database are kept.

What belongs here: thinning out a folder of backups by the time in their names. What does not: making them (backup),
when it is done (deployment).
"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

ALL_FOR = timedelta(days=2)
DAILY_FOR = timedelta(days=30)
MONTHLY_FOR = timedelta(days=366)

# As backup names them: engine-20250504T120000.250Z.db, and what lies beside it under the same time.
_COPY = re.compile(r"[a-z]+-(?P<at>\d{8}T\d{6})\.\d{3}Z\.db")


def thin_out(folder: Path, now_ms: int) -> list[Path]:
    """Remove what need not be kept, oldest first; what was removed.

    All of two days stay, the first of a day for 30 days, the first of a month for a year, and the newest always.
    Copies of one instant stay or go together; files of other names are left alone.
    """
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    copies = sorted((at, path) for path in folder.iterdir() if (at := _instant(path)) is not None)
    instants = sorted({at for at, _ in copies})
    kept = set(instants[-1:])
    seen: set[str] = set()
    for at in instants:
        for span, form in ((ALL_FOR, "%Y%m%dT%H%M%S"), (DAILY_FOR, "%Y%m%d"), (MONTHLY_FOR, "%Y%m")):
            period = f"{at:{form}}"
            if now - at <= span and period not in seen:
                seen.add(period)
                kept.add(at)
    gone = [path for at, path in copies if at not in kept]
    for path in gone:
        path.unlink(missing_ok=True)
    return gone


def _instant(path: Path) -> datetime | None:
    match = _COPY.fullmatch(path.name)
    try:
        return datetime.strptime(match["at"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if match else None
    except ValueError:  # digits that are no date
        return None
