"""The Store without a file: for tests of what stands above it. Passes the same contract as the real one."""

from trading_engine.core.project import prune
from trading_engine.core.state import Book
from trading_engine.ports import Checkpoint, Commit, Loaded
from trading_engine.store import codec


class MemoryStore:
    """Keeps the journal as text and the book as it was handed over; `fail_next` makes one commit fail."""

    def __init__(self) -> None:
        self.journal: list[tuple[str, str]] = []
        self.commits: list[Commit] = []
        self.fail_next: Exception | None = None
        self.is_closed = False
        self._book = Book(epoch="")
        self._checkpoint: Checkpoint | None = None
        self._last_ts_ms = 0

    def load(self) -> Loaded:
        """The book and checkpoint of the last commit."""
        return Loaded(self._book, self._checkpoint, len(self.journal), self._last_ts_ms)

    def commit(self, commit: Commit) -> int:
        """Take everything, or nothing where `fail_next` is set."""
        encoded = [codec.encode(record) for record in commit.records]
        if self.fail_next is not None:
            error, self.fail_next = self.fail_next, None
            raise error
        self.journal += encoded
        self._last_ts_ms = commit.ts_ms if encoded else self._last_ts_ms
        self.commits.append(commit)
        self._book = prune(commit.book)
        self._checkpoint = commit.checkpoint
        return len(self.journal)

    def close(self) -> None:
        """Nothing to release."""
        self.is_closed = True
