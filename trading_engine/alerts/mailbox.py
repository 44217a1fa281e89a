"""What one channel was told, and what it may be told now.

What belongs here: throttling by key, and the pause after a failure. What does not: sending and rows.

A repeat within the throttle time is held, not dropped: the newest of its kind goes out when the time is
over and says how many there were. Something graver than what was told last is never held.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from trading_engine.alerts.channel import Channel
from trading_engine.alerts.compose import Letter, fold
from trading_engine.alerts.port import AlertRow

_FIRST_PAUSE_MS = 2_000
_LONGEST_PAUSE_MS = 300_000
_MOST_DOUBLINGS = 16


@dataclass(slots=True)
class Mailbox:
    """State of one channel, kept in memory: after a restart a message may be told twice, never not at all.

    done          rows that this channel needs no more
    told          key to when it was last told (ms) and with what rank
    held          key to repeats that were dealt with while it was held
    failures      how often in a row it refused
    retry_at_ms   no attempt before this instant
    last_error    why it refused last
    """

    channel: Channel
    throttle_ms: int
    done: set[int] = field(default_factory=set)
    told: dict[str, tuple[int, int]] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    retry_at_ms: int = 0
    last_error: str = ""

    def due(self, rows: Sequence[AlertRow], now_ms: int, *, hold: bool) -> list[Letter]:
        """The letters to send now; rows that need no letter of their own become `done`."""
        self.done |= {row.id for row in rows if not self.channel.wants(row.severity)}
        letters = []
        for letter in fold([row for row in rows if row.id not in self.done]):
            key = letter.newest.key
            if hold and self._is_throttled(letter, now_ms):
                swallowed = [row_id for row_id in letter.ids if row_id != letter.newest.id]
                self.done |= set(swallowed)
                self.held[key] = self.held.get(key, 0) + len(swallowed)
            else:
                letters.append(letter._replace(repeats=letter.repeats + self.held.get(key, 0)))
        return letters

    def accepted(self, letters: Sequence[Letter], now_ms: int) -> None:
        """Note what was told; ends the pause after failures."""
        self.failures, self.retry_at_ms = 0, 0
        for letter in letters:
            self.done |= set(letter.ids)
            self.held.pop(letter.newest.key, None)
            if letter.newest.key:
                self.told[letter.newest.key] = (now_ms, letter.severity.rank)
        self.told = {key: last for key, last in self.told.items() if now_ms - last[0] < self.throttle_ms}

    def refused(self, letters: Sequence[Letter], now_ms: int, error: str) -> None:
        """Pause, twice as long with every failure up to five minutes.

        Counted on from what the rows went through, so that a restart does not hammer a dead service.
        """
        self.last_error = error
        self.failures = 1 + max(self.failures, *(letter.newest.attempts for letter in letters))
        doublings = min(self.failures - 1, _MOST_DOUBLINGS)
        self.retry_at_ms = now_ms + min(_FIRST_PAUSE_MS << doublings, _LONGEST_PAUSE_MS)

    def forget(self, most: int) -> None:
        """Keep no more than so many rows and kinds in mind, the newest."""
        if len(self.done) > most:
            self.done = set(sorted(self.done)[-most:])
        for kept in (self.told, self.held):
            while len(kept) > most:
                del kept[next(iter(kept))]

    def _is_throttled(self, letter: Letter, now_ms: int) -> bool:
        last = self.told.get(letter.newest.key)
        return last is not None and now_ms - last[0] < self.throttle_ms and letter.severity.rank <= last[1]
