"""Whatever lawful story an account lives through, the store gives it back."""

import tempfile
from dataclasses import fields, is_dataclass
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from fakes.databases import fresh
from fakes.record_stories import Story, without_old_keys
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_engine.domain.records import Record
from trading_engine.store import codec
from trading_engine.store.audit import audit
from trading_engine.store.sql_store import SqlStore

_SITUATIONS = {"no open position without a confirmed stop", "no unresolved order older than its window"}

_DECIMALS = st.one_of(
    st.decimals(min_value=-(10**12), max_value=10**12, places=18),
    st.builds(Decimal, st.sampled_from(["0", "-0", "1E+20", "1E-18", "123456789.123456789123456789", "5.500"])),
)
_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    Decimal: _DECIMALS,
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(max_size=20),
    bool: st.booleans(),
}


def _values(hint: Any) -> st.SearchStrategy[Any]:
    """Any value that an annotation allows."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    if get_origin(hint) in (Union, UnionType):
        return st.one_of(*(st.none() if part is type(None) else _values(part) for part in get_args(hint)))
    if get_origin(hint) is tuple:
        parts = get_args(hint)
        if parts[-1] is Ellipsis:
            return st.lists(_values(parts[0]), max_size=3).map(tuple)
        return st.tuples(*(_values(part) for part in parts))
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{item.name: _values(hints[item.name]) for item in fields(hint)})
    return st.sampled_from(hint)


@given(st.one_of(*(_values(kind) for kind in get_args(Record))))
def test_every_record_survives_its_text(record: Record) -> None:
    """Any values in any kind of record, digit by digit."""
    kind, payload = codec.encode(record)
    assert record == codec.decode(kind, payload)
    assert payload == codec.encode(codec.decode(kind, payload))[1]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), commits=st.integers(1, 60), pause_h=st.sampled_from([1, 12, 96]))
def test_a_loaded_book_is_the_book_in_memory(seed: int, commits: int, pause_h: int) -> None:
    """After any number of commits, but for dedup keys that are too old to matter; and the audit agrees."""
    with tempfile.TemporaryDirectory() as directory:
        path = fresh(Path(directory))
        story = Story(seed, longest_pause_ms=pause_h * 3_600_000)
        with SqlStore.open(path) as store:
            for commit in story.commits(commits):
                store.commit(commit)
        with SqlStore.open(path) as store:
            loaded = store.load().book
        assert set(loaded.seen) <= set(story.book.seen)
        assert without_old_keys(story.book, loaded) == loaded
        assert list(story.book.orders) == list(loaded.orders)
        failed = {check.name: check.detail for check in audit(path) if not check.ok}
        assert {} == {name: detail for name, detail in failed.items() if name not in _SITUATIONS}
