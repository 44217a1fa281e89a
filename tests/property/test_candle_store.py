"""Whatever is stored in whatever order: the store holds all of it, once, and knows what it lacks."""

import tempfile
from itertools import pairwise
from pathlib import Path

from candle_store_tools import MINUTES, SOURCE, START, candles, store
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_engine.domain.time import MINUTE_MS
from trading_engine.marketdata.candle_store.checking import check_dataset
from trading_engine.marketdata.candle_store.dataset import open_dataset
from trading_engine.marketdata.candle_store.holes import joined, without
from trading_engine.marketdata.candle_store.manifest import read_manifest
from trading_engine.marketdata.candle_store.writing import open_writer

# Minutes around the end of a month, so that files begin and end among them.
BEGIN = 31 * 1_440 - 60
MINUTE = st.integers(BEGIN, BEGIN + 120)
CHUNKS = st.lists(st.sets(MINUTE, min_size=1), min_size=1, max_size=4)
SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: (min(pair), max(pair))), max_size=6)


def _instants(minutes: set[int]) -> list[int]:
    return [START + minute * MINUTE_MS for minute in sorted(minutes)]


@settings(max_examples=30, deadline=None)
@given(CHUNKS, MINUTE, MINUTE)
def test_the_store_holds_the_union_of_what_was_stored(chunks: list[set[int]], first: int, last: int) -> None:
    """Read in whole and in part; gaps and what is missing are what is left; the digest is that of one write."""
    whole = set().union(*chunks)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for chunk in chunks:
            store(root / "pieces", candles(sorted(chunk)))
        store(root / "once", candles(sorted(whole)))
        dataset = open_dataset(root / "pieces", "binance", "BTCUSDT", MINUTE_MS)
        assert _instants(whole) == dataset.block().ts.tolist()
        from_ms, to_ms = START + first * MINUTE_MS, START + last * MINUTE_MS
        wanted = set(range(first, last))
        assert _instants(whole & wanted) == dataset.block(from_ms, to_ms).ts.tolist()
        lacking = [ts for gap in dataset.gaps(from_ms, to_ms) for ts in range(gap.from_ts, gap.to_ts, MINUTE_MS)]
        assert _instants(wanted - whole) == lacking
        with open_writer(root / "pieces", MINUTES) as writer:
            spans = writer.missing(from_ms, to_ms)
            writer.write(candles([]), SOURCE)
        assert lacking == [ts for start, end in spans for ts in range(start, end, MINUTE_MS)]
        once = read_manifest(root / "once", MINUTES)
        assert once is not None
        assert (once.digest, once.gaps) == (dataset.digest, dataset.manifest.gaps)
        assert () == check_dataset(root / "pieces", MINUTES).problems


@given(SPANS, SPANS)
def test_spans_are_joined_and_taken_away_like_sets(spans: list[tuple[int, int]], away: list[tuple[int, int]]) -> None:
    """As few as possible, ascending, none of them empty."""

    def points(given: list[tuple[int, int]]) -> set[int]:
        return {point for start, end in given for point in range(start, end)}

    for found, expected in (
        (joined(spans), points(spans)),
        (without(spans, away), points(spans) - points(away)),
    ):
        assert expected == points(found)
        assert all(start < end for start, end in found)
        assert all(before[1] <= after[0] for before, after in pairwise(found))
    assert all(before[1] < after[0] for before, after in pairwise(joined(spans)))
