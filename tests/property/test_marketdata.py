"""Books and candles against models too simple to be wrong."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from trading_engine.domain.market import Candle
from trading_engine.domain.streams import CandleUpdate, DepthChange, DepthSnapshot, Trade
from trading_engine.marketdata.book import LocalBook, Verdict
from trading_engine.marketdata.candle_builder import CandleTrades, CandleUpdates

BTC = "BTCUSDT"
MINUTE = 60_000
T0 = 1_735_689_600_000

quantities = st.integers(0, 3)
bid_levels = st.lists(st.tuples(st.integers(80, 99), quantities), max_size=6)
ask_levels = st.lists(st.tuples(st.integers(100, 119), quantities), max_size=6)
steps = st.lists(st.tuples(st.integers(1, 5), bid_levels, ask_levels), min_size=1, max_size=25)


def changes(made: list[tuple[int, list[tuple[int, int]], list[tuple[int, int]]]]) -> list[DepthChange]:
    last_id, result = 0, []
    for width, bids, asks in made:
        result.append(DepthChange(BTC, last_id + 1, last_id + width, last_id, last_id + width, bids, asks))
        last_id += width
    return result


def naive(applied: list[DepthChange]) -> tuple[dict[int, int], dict[int, int]]:
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for change in applied:
        for side, levels in ((bids, change.bids), (asks, change.asks)):
            for price, quantity in levels:
                side[price] = quantity
    return {p: q for p, q in bids.items() if q}, {p: q for p, q in asks.items() if q}


@given(steps, st.data())
def test_a_book_is_what_all_changes_in_order_give(
    made: list[tuple[int, list[tuple[int, int]], list[tuple[int, int]]]], data: st.DataObject
) -> None:
    """Wherever the snapshot falls and however late it comes, the book is that of a dictionary."""
    all_changes = changes(made)
    cut = data.draw(st.integers(0, len(all_changes)))
    asked_after = data.draw(st.integers(cut, len(all_changes)))
    bids, asks = naive(all_changes[:cut])
    last_id = all_changes[cut - 1].last_id if cut else 0
    snapshot = DepthSnapshot(BTC, last_id, 0, list(bids.items()), list(asks.items()))
    book = LocalBook(BTC)
    for change in all_changes[:asked_after]:
        assert Verdict.WAITING is book.apply(change)
    assert Verdict.APPLIED is book.restore(snapshot)
    for change in all_changes[asked_after:]:
        assert Verdict.APPLIED is book.apply(change)
    bids, asks = naive(all_changes)
    assert sorted(bids.items(), reverse=True) == book.bids(100)
    assert sorted(asks.items()) == book.asks(100)
    assert (max(bids.items(), default=None), min(asks.items(), default=None)) == (book.best_bid(), book.best_ask())


@given(steps, st.data())
def test_a_missing_change_is_always_noticed(
    made: list[tuple[int, list[tuple[int, int]], list[tuple[int, int]]]], data: st.DataObject
) -> None:
    """Whichever one is lost after the snapshot, the next one ends the book."""
    all_changes = changes(made)
    lost = data.draw(st.integers(0, len(all_changes) - 1))
    book = LocalBook(BTC)
    book.restore(DepthSnapshot(BTC, 0, 0, [], []))
    verdicts = [book.apply(change) for number, change in enumerate(all_changes) if number != lost]
    assert [Verdict.APPLIED] * lost == verdicts[:lost]
    assert (
        verdicts[lost:] == ([Verdict.GAP] + [Verdict.WAITING] * (len(all_changes) - lost - 2))[: len(verdicts) - lost]
    )


@given(st.lists(st.tuples(st.integers(0, 150), st.integers(90, 110), st.integers(1, 9)), min_size=1, max_size=40))
def test_candles_of_trades_are_those_of_a_table_by_minute(made: list[tuple[int, int, int]]) -> None:
    """Open, high, low, close and volume as grouping by minute gives them; quiet minutes are flat."""
    builder = CandleTrades(BTC, next_id=1)
    minutes: dict[int, list[tuple[int, int]]] = defaultdict(list)
    closed, second = [], 0
    for number, (pause, price, quantity) in enumerate(made, 1):
        second += pause
        minutes[second // 60].append((price, quantity))
        closed += builder.add(Trade(BTC, number, T0 + second * 1_000, price, quantity, is_buyer_maker=False)).closed
    closed += builder.close_until(T0 + (second // 60 + 1) * MINUTE).closed
    expected, last = [], 0
    for minute in range(min(minutes), second // 60 + 1):
        prices = [price for price, _ in minutes[minute]] or [last]
        volume = sum(quantity for _, quantity in minutes[minute])
        last = prices[-1]
        values = (prices[0], max(prices), min(prices), last, volume)
        expected.append(Candle(BTC, T0 + minute * MINUTE, MINUTE, *values))
    assert expected == [built.candle for built in closed]
    assert all(built.is_whole for built in closed)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.booleans(), st.integers(0, 9), st.booleans()), max_size=40),
)
def test_closed_candles_never_repeat_go_back_or_hide_a_hole(made: list[tuple[int, bool, int, bool]]) -> None:
    """Whatever order updates come in: each minute at most once, rising, and minutes left out are named missing."""
    builder = CandleUpdates()
    accounted: list[int] = []
    for number, (minute, is_final, volume, breaks) in enumerate(made):
        if breaks:
            builder.interrupt()
        candle = Candle(BTC, T0 + minute * MINUTE, MINUTE, 1, 1, 1, 1, volume)
        progress = builder.add(CandleUpdate(candle, is_final, number))
        opens = sorted([*(built.candle.open_time_ms for built in progress.closed), *progress.missing])
        accounted += opens
        assert all(built.is_whole for built in progress.closed) or not is_final or len(progress.closed) > 1
    assert accounted == sorted(set(accounted))
    if accounted:
        assert list(range(accounted[0], accounted[-1] + 1, MINUTE)) == accounted
