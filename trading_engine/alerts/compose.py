"""What a person reads: one message for one thing, one digest for many.

What belongs here: folding repeats and wording. Pure. What does not: when it is sent and where.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from trading_engine.alerts.channel import Message
from trading_engine.alerts.port import AlertRow
from trading_engine.alerts.remedies import remedy_of
from trading_engine.domain import time
from trading_engine.domain.severity import Severity

# Fits the narrowest service (Telegram, 4,096 characters) in one message.
_DIGEST_LINES = 15
_LINE_LENGTH = 220


class Letter(NamedTuple):
    """Rows of one key that become one message.

    newest     the row whose text is told
    ids        all rows that are told by it
    repeats    how many more there were, also before these rows
    severity   the highest of them
    """

    newest: AlertRow
    ids: tuple[int, ...]
    repeats: int
    severity: Severity


def fold(rows: Sequence[AlertRow]) -> list[Letter]:
    """One letter for each key, in the order in which the keys first appear; no key, no folding."""
    groups: dict[str | int, list[AlertRow]] = {}
    for row in rows:
        groups.setdefault(row.key or row.id, []).append(row)
    return [
        Letter(
            newest=group[-1],
            ids=tuple(row.id for row in group),
            repeats=len(group) - 1,
            severity=max((row.severity for row in group), key=lambda severity: severity.rank),
        )
        for group in groups.values()
    ]


def single(source: str, letter: Letter) -> Message:
    """A message for one letter: what happened, what to do, when."""
    body = f"{_text(letter)}\n→ {remedy_of(letter.newest.key)}\n{time.iso(letter.newest.ts_ms)}"
    return Message(f"{source}: {letter.severity}", body, letter.severity)


def digest(source: str, letters: Sequence[Letter]) -> Message:
    """One message for many letters: the gravest and newest of them, in order of time, and how many more.

    It ends with what to do about the gravest.
    """
    by_weight = sorted(letters, key=lambda letter: (letter.severity.rank, letter.newest.ts_ms), reverse=True)
    told = sorted(by_weight[:_DIGEST_LINES], key=lambda letter: letter.newest.ts_ms)
    lines = [_shortened(f"{time.iso(letter.newest.ts_ms)} {letter.severity}: {_text(letter)}") for letter in told]
    if len(letters) > len(told):
        lines.append(f"… and {len(letters) - len(told)} more of less weight")
    lines.append(
        f"→ about the gravest: {remedy_of(by_weight[0].newest.key)}; `trading-engine status` shows what holds now"
    )
    counts = Counter(letter.severity for letter in letters)
    parts = [f"{counts[severity]} {severity}" for severity in reversed(Severity) if counts[severity]]
    severity = by_weight[0].severity
    return Message(f"{source}: {len(letters)} alerts ({', '.join(parts)})", "\n".join(lines), severity)


def _text(letter: Letter) -> str:
    return f"{letter.newest.text} (\u00d7{letter.repeats} more)" if letter.repeats else letter.newest.text


def _shortened(line: str) -> str:
    return line if len(line) <= _LINE_LENGTH else f"{line[: _LINE_LENGTH - 1]}…"
