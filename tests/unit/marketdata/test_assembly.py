"""Which candles may leave, and which are asked for first."""

from trading_engine.domain.market import Candle
from trading_engine.marketdata.assembly import Assembly, Difference, Patience, Span

BTC, ETH = "BTCUSDT", "ETHUSDT"
MINUTE = 60_000
T0 = 1_735_689_600_000
PATIENCE = Patience(check_every=1, check_ms=3_000, settle_ms=2_000, grace_ms=10_000)


def at(minute: float, ms: int = 0) -> int:
    return T0 + round(minute * MINUTE) + ms


def candle(minute: int, symbol: str = BTC, volume: int = 5, close: int = 100) -> Candle:
    return Candle(symbol, at(minute), MINUTE, 100, 110, 90, close, volume)


def assembly(*symbols: str, patience: Patience = PATIENCE) -> Assembly:
    return Assembly(MINUTE, dict.fromkeys(symbols or (BTC,), T0), patience)


def test_a_whole_candle_is_compared_with_history_before_it_leaves() -> None:
    """It is asked for at once, and leaves with the answer."""
    made = assembly()
    made.see(candle(0), is_whole=True)
    span = made.wanted(BTC, at(1))
    assert Span(T0, at(1), is_gap=False) == span
    assert [] == made.release(at(1))
    assert () == made.take_history(BTC, span, [candle(0)], at(1, 50))
    assert [(candle(0),)] == made.release(at(1, 50))
    assert [] == made.release(at(1, 50))


def test_history_wins_and_the_difference_is_told() -> None:
    """More volume in history: the stream has missed something."""
    made = assembly()
    made.see(candle(0), is_whole=True)
    told = made.take_history(BTC, Span(T0, at(1), is_gap=False), [candle(0, volume=6, close=101)], at(1, 50))
    assert (Difference(candle(0), candle(0, volume=6, close=101)),) == told
    assert [(candle(0, volume=6, close=101),)] == made.release(at(1, 50))


def test_history_that_has_not_settled_is_asked_again() -> None:
    """Less volume right after the close: the last trades are not in yet; later history's word is final."""
    made = assembly()
    made.see(candle(0), is_whole=True)
    span = Span(T0, at(1), is_gap=False)
    assert () == made.take_history(BTC, span, [candle(0, volume=4)], at(1, 50))
    assert (span, []) == (made.wanted(BTC, at(1, 50)), made.release(at(1, 50)))
    assert 1 == len(made.take_history(BTC, span, [candle(0, volume=4)], at(1, 2_000)))
    assert [(candle(0, volume=4),)] == made.release(at(1, 2_000))


def test_without_an_answer_a_whole_candle_leaves_unchecked() -> None:
    """History that is down stops no trading."""
    made = assembly()
    made.see(candle(0), is_whole=True)
    assert [] == made.release(at(1, 2_999))
    assert [(candle(0),)] == made.release(at(1, 3_000))
    assert made.wanted(BTC, at(1, 3_000)) is None


def test_only_chosen_instants_are_checked() -> None:
    """With one in two the other leaves at once; with none all do."""
    half, none = (assembly(patience=Patience(check_every=every)) for every in (2, 0))
    for made in (half, none):
        made.see(candle(0), is_whole=True)
        made.see(candle(1), is_whole=True)
    assert [(candle(0),), (candle(1),)] == none.release(at(2))
    assert (at(1) // MINUTE) % 2 == 1
    assert [] == half.release(at(1))
    half.take_history(BTC, Span(T0, at(1), is_gap=False), [candle(0)], at(1))
    assert [(candle(0),), (candle(1),)] == half.release(at(2))


def test_a_candle_that_may_lack_its_end_comes_from_history_alone() -> None:
    """It is asked for once history has settled, and waits for it as long as it takes."""
    made = assembly()
    made.see(candle(0), is_whole=False)
    assert made.wanted(BTC, at(1, 1_999)) is None
    assert Span(T0, at(1), is_gap=True) == made.wanted(BTC, at(1, 2_000))
    assert [] == made.release(at(9))
    made.take_history(BTC, Span(T0, at(1), is_gap=True), [candle(0, volume=9)], at(1, 2_100))
    assert [(candle(0, volume=9),)] == made.release(at(1, 2_100))


def test_missing_candles_are_filled_before_a_later_one_leaves() -> None:
    """Oldest first, each once."""
    made = assembly(patience=Patience(check_every=0))
    made.see(candle(3), is_whole=True)
    assert [] == made.release(at(4))
    span = made.wanted(BTC, at(4))
    assert Span(T0, at(3), is_gap=True) == span
    made.take_history(BTC, span, [candle(0), candle(1), candle(2)], at(4))
    assert [(candle(0),), (candle(1),), (candle(2),), (candle(3),)] == made.release(at(4))
    made.see(candle(1), is_whole=True)
    assert [] == made.release(at(4))


def test_all_symbols_of_an_instant_leave_together() -> None:
    """The first one waits for the second, in order of name."""
    made = assembly(ETH, BTC, patience=Patience(check_every=0))
    made.see(candle(0, ETH), is_whole=True)
    assert [] == made.release(at(1))
    made.see(candle(0, BTC), is_whole=True)
    assert [(candle(0, BTC), candle(0, ETH))] == made.release(at(1, 80))


def test_a_symbol_that_is_not_to_be_had_is_not_waited_for_twice() -> None:
    """After the grace the others go on, at once from then on; it follows in order and joins in again."""
    made = assembly(ETH, BTC, patience=Patience(check_every=0))
    made.see(candle(0), is_whole=True)
    assert [] == made.release(at(1))
    assert [] == made.release(at(1, 9_999))
    assert [(candle(0),)] == made.release(at(1, 10_000))
    assert (ETH,) == made.laggards
    made.see(candle(1), is_whole=True)
    assert [(candle(1),)] == made.release(at(2))
    made.see(candle(2), is_whole=True)
    made.take_history(ETH, Span(T0, at(3), is_gap=True), [candle(n, ETH) for n in range(3)], at(3, 2_000))
    batches = made.release(at(3, 2_000))
    assert [(candle(0, ETH),), (candle(1, ETH),), (candle(2), candle(2, ETH))] == batches
    assert () == made.laggards


def test_after_an_outage_of_all_they_come_back_together() -> None:
    """The wait begins when the first one is ready, not when its candles have closed."""
    made = assembly(ETH, BTC)
    for symbol in (BTC, ETH):
        made.take_history(symbol, Span(T0, at(2), is_gap=True), [candle(0, symbol), candle(1, symbol)], at(30))
        if symbol == BTC:
            assert [] == made.release(at(30))
    assert [(candle(n), candle(n, ETH)) for n in range(2)] == made.release(at(30, 900))


def test_a_candle_that_the_venue_never_had_is_passed() -> None:
    """Proven by history that reaches beyond it, not by an empty answer."""
    made = assembly()
    span = Span(T0, at(1), is_gap=True)
    made.take_history(BTC, span, [], at(1, 5_000))
    assert span == made.wanted(BTC, at(1, 5_000))
    made.take_history(BTC, Span(T0, at(2), is_gap=True), [candle(1)], at(2, 2_000))
    assert [(candle(1),)] == made.release(at(2, 2_000))
    assert at(2) == made.next_ms(BTC)


def test_a_candle_that_history_denies_is_passed_and_told() -> None:
    """The stream had closed one that the venue's history leaves out."""
    made = assembly()
    made.see(candle(0), is_whole=True)
    span = Span(T0, at(2), is_gap=True)
    assert (Difference(candle(0), None),) == made.take_history(BTC, span, [candle(1)], at(2, 2_000))
    assert [(candle(1),)] == made.release(at(2, 2_000))


def test_a_better_known_candle_is_not_replaced_by_the_stream() -> None:
    """What history has said stands."""
    made = assembly()
    made.take_history(BTC, Span(T0, at(1), is_gap=True), [candle(0, volume=9)], at(1, 2_000))
    made.see(candle(0), is_whole=True)
    assert [(candle(0, volume=9),)] == made.release(at(1, 2_000))
