"""Databases for tests: an empty one of the present schema, made once a process and copied from then on."""

import sqlite3
import tempfile
from functools import cache
from pathlib import Path

from fakes.record_stories import Story

from trading_engine.store import migrate
from trading_engine.store.sql_store import SqlStore


def fresh(directory: Path, name: str = "engine.db") -> Path:
    """A new, empty database in `directory`."""
    path = directory / name
    path.write_bytes(_template())
    return path


def told(directory: Path, seed: int = 7, commits: int = 60) -> tuple[Path, Story]:
    """A database with a story in it, closed, and the story as it stands."""
    path = fresh(directory)
    story = Story(seed)
    with SqlStore.open(path) as store:
        for commit in story.commits(commits):
            store.commit(commit)
    return path, story


def meddle(path: Path, *statements: str) -> None:
    """Change rows behind the engine's back."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in statements:
            connection.execute(statement)
    finally:
        connection.close()


@cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "template.db"
        migrate.upgrade(path)
        return path.read_bytes()
