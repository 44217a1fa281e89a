"""When a candle is closed, and whether it is whole."""

from trading_engine.domain.market import Candle
from trading_engine.domain.streams import CandleUpdate, Trade
from trading_engine.marketdata.candle_builder import NOTHING, Built, CandleTrades, CandleUpdates, Progress

BTC = "BTCUSDT"
MINUTE = 60_000
T0 = 1_735_689_600_000


def candle(minute: int, close: int = 100, volume: int = 1) -> Candle:
    return Candle(BTC, T0 + minute * MINUTE, MINUTE, 100, max(100, close), min(100, close), close, volume)


def update(minute: int, second: int, close: int = 100, volume: int = 1, *, final: bool = False) -> CandleUpdate:
    return CandleUpdate(candle(minute, close, volume), final, T0 + minute * MINUTE + second * 1_000)


def trade(number: int, second: float, price: int = 100, quantity: int = 1, *, matched: bool = True) -> Trade:
    return Trade(BTC, number, T0 + round(second * 1_000), price, quantity, is_buyer_maker=False, is_matched=matched)


def test_a_final_update_closes_a_candle_at_once() -> None:
    """The venue's word is enough."""
    updates = CandleUpdates()
    assert NOTHING == updates.add(update(0, 30))
    assert Progress((Built(candle(0, 105, 9), is_whole=True),)) == updates.add(update(0, 60, 105, 9, final=True))


def test_the_next_candle_closes_one_that_was_not_called_final() -> None:
    """Some venues have no word for it."""
    updates = CandleUpdates()
    updates.add(update(0, 59, 103, 7))
    assert Progress((Built(candle(0, 103, 7), is_whole=True),)) == updates.add(update(1, 0))


def test_a_break_puts_the_end_of_a_candle_in_doubt() -> None:
    """Its last trades may have been missed; an update of the same candle settles it."""
    doubted, settled = CandleUpdates(), CandleUpdates()
    for updates in (doubted, settled):
        updates.add(update(0, 50))
        updates.interrupt()
    settled.add(update(0, 55))
    assert Progress((Built(candle(0), is_whole=False),)) == doubted.add(update(1, 0))
    assert Progress((Built(candle(0), is_whole=True),)) == settled.add(update(1, 0))


def test_missing_minutes_are_named() -> None:
    """From the one after the last closed candle to the one before the forming."""
    updates = CandleUpdates()
    updates.add(update(0, 60, final=True))
    assert [T0 + MINUTE, T0 + 2 * MINUTE] == list(updates.add(update(3, 1)).missing)
    progress = updates.add(update(5, 0, final=True))
    assert ([candle(3), candle(5)], [T0 + 4 * MINUTE]) == ([one.candle for one in progress.closed], [*progress.missing])


def test_a_closed_candle_is_never_rewritten() -> None:
    """Whatever comes later for it is counted and left out."""
    updates = CandleUpdates()
    updates.add(update(0, 60, final=True))
    assert NOTHING == updates.add(update(0, 61, 999, final=True))
    updates.add(update(2, 0))
    assert NOTHING == updates.add(update(1, 59))
    assert 2 == updates.late


def test_an_older_update_of_the_forming_candle_is_left_out() -> None:
    """Frames may overtake each other."""
    updates = CandleUpdates()
    updates.add(update(0, 30, 103, 7))
    updates.add(update(0, 20, 101, 5))
    assert candle(0, 103, 7) == updates.add(update(1, 0)).closed[0].candle


def test_trades_make_a_candle() -> None:
    """First, highest, lowest and last price, and the sum of the quantities."""
    trades = CandleTrades(BTC, next_id=1)
    for number, (second, price, quantity) in enumerate([(0, 100, 2), (10, 104, 1), (20, 97, 3), (59.999, 101, 4)], 1):
        assert NOTHING == trades.add(trade(number, second, price, quantity))
    expected = Candle(BTC, T0, MINUTE, 100, 104, 97, 101, 10)
    assert Progress((Built(expected, is_whole=True),)) == trades.add(trade(5, 60))


def test_a_candle_joined_midway_is_not_whole_and_the_next_one_is() -> None:
    """What came before the first trade is not known."""
    trades = CandleTrades(BTC)
    trades.add(trade(7, 30))
    assert not trades.add(trade(8, 61)).closed[0].is_whole
    assert trades.add(trade(9, 121)).closed[0].is_whole


def test_a_missing_trade_shows_by_its_number() -> None:
    """Both candles that may have held it are in doubt, quiet minutes between them are missing."""
    trades = CandleTrades(BTC, next_id=1)
    trades.add(trade(1, 10))
    progress = trades.add(trade(3, 190))
    assert ([False], [T0 + MINUTE, T0 + 2 * MINUTE]) == ([one.is_whole for one in progress.closed], [*progress.missing])
    assert 1 == trades.lost
    assert not trades.add(trade(4, 241)).closed[0].is_whole
    assert trades.add(trade(5, 301)).closed[0].is_whole


def test_minutes_without_a_trade_repeat_the_last_close() -> None:
    """As the venue's own candles do, where the numbers prove that nothing was missed."""
    trades = CandleTrades(BTC, next_id=1)
    trades.add(trade(1, 10, 103))
    closed = trades.add(trade(2, 190)).closed
    flat = [Candle(BTC, T0 + minute * MINUTE, MINUTE, 103, 103, 103, 103, 0) for minute in (1, 2)]
    assert flat == [one.candle for one in closed[1:]]


def test_late_and_repeated_trades_change_nothing() -> None:
    """A trade of a closed candle is counted, one that was told twice too."""
    trades = CandleTrades(BTC, next_id=1)
    trades.add(trade(1, 10))
    trades.add(trade(2, 61, 100, 5))
    assert NOTHING == trades.add(trade(3, 59, 999))
    assert NOTHING == trades.add(trade(2, 61, 999, 5))
    assert 2 == trades.late
    assert Candle(BTC, T0 + MINUTE, MINUTE, 100, 100, 100, 100, 5) == trades.add(trade(4, 120)).closed[0].candle


def test_transfers_beside_the_book_are_in_no_candle() -> None:
    """Their numbers count, their prices do not."""
    trades = CandleTrades(BTC, next_id=1)
    trades.add(trade(1, 10))
    trades.add(trade(2, 20, 500, matched=False))
    assert Built(Candle(BTC, T0, MINUTE, 100, 100, 100, 100, 1), is_whole=True) == trades.add(trade(3, 60)).closed[0]


def test_the_venues_word_closes_a_candle_without_a_trade() -> None:
    """Later trades of it are late."""
    trades = CandleTrades(BTC, next_id=1)
    assert NOTHING == trades.close_until(T0 + MINUTE)
    trades.add(trade(1, 10))
    assert NOTHING == trades.close_until(T0 + MINUTE - 1)
    assert [T0, T0 + MINUTE] == [one.candle.open_time_ms for one in trades.close_until(T0 + 2 * MINUTE).closed]
    trades.add(trade(2, 119, 999))
    assert 1 == trades.late


def test_a_break_puts_candles_of_trades_in_doubt_until_the_next_number() -> None:
    """Closed in between a candle is not whole; a trade that continues the numbers proves that nothing is missing."""
    trades = CandleTrades(BTC, next_id=1)
    trades.add(trade(1, 10))
    trades.interrupt()
    assert [False] == [one.is_whole for one in trades.close_until(T0 + MINUTE).closed]
    trades.interrupt()
    trades.add(trade(2, 70))
    assert [True] == [one.is_whole for one in trades.close_until(T0 + 2 * MINUTE).closed]
