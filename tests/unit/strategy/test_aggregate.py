"""The choice among signals for one flat symbol."""

import pytest

from trading_engine.domain.market import Side, Signal
from trading_engine.domain.records import Fate
from trading_engine.strategy.aggregate import Choice, choose


def _signal(strategy: str, side: Side | None, confidence: float, symbol: str = "BTCUSDT") -> Signal:
    return Signal(
        strategy=strategy,
        symbol=symbol,
        side=side,
        confidence=confidence,
        close_ticks=1_000,
        stop_ticks=10 if side else 0,
        target_ticks=0,
        candle_ts_ms=0,
        exit_side=Side.LONG if side is None else None,
    )


def _fates(choice: Choice) -> dict[str, Fate]:
    return {dropped.signal.strategy: dropped.fate for dropped in choice.dropped}


def test_a_lone_signal_is_chosen() -> None:
    """Nothing competes, nothing is dropped."""
    signal = _signal("a", Side.LONG, 0.0)
    assert Choice(signal, ()) == choose([signal])


def test_no_signal_is_no_choice() -> None:
    """An empty list is the usual minute."""
    assert Choice(None, ()) == choose([])


def test_the_highest_confidence_wins_whatever_the_side() -> None:
    """The others are outranked and told by whom."""
    weak, strong = _signal("a", Side.LONG, 0.4), _signal("b", Side.SHORT, 0.6)
    choice = choose([weak, strong])
    assert strong is choice.chosen
    assert {"a": Fate.OUTRANKED} == _fates(choice)
    assert "confidence 0.4 is below 0.6 of b" == choice.dropped[0].reason


def test_a_tie_between_sides_is_no_trade() -> None:
    """Equal but for rounding noise counts as equal; a weaker one does not profit from the tie."""
    signals = [
        _signal("a", Side.LONG, 0.6),
        _signal("b", Side.SHORT, 0.6 * (1 + 1e-12)),
        _signal("c", Side.LONG, 0.5),
    ]
    choice = choose(signals)
    assert choice.chosen is None
    assert {"a": Fate.TIED, "b": Fate.TIED, "c": Fate.OUTRANKED} == _fates(choice)
    assert "equal confidence 0.6 on both sides: a long, b short" == choice.dropped[0].reason
    assert "confidence 0.5 is below 0.6 of a, b" == choice.dropped[2].reason


def test_a_tie_on_one_side_goes_to_the_first_name() -> None:
    """The order in which the signals arrive does not matter."""
    first, second = _signal("a", Side.LONG, 0.6), _signal("b", Side.LONG, 0.6 * (1 + 1e-12))
    for order in ([first, second], [second, first]):
        choice = choose(order)
        assert first is choice.chosen
        assert {"b": Fate.OUTRANKED} == _fates(choice)
    assert choice.dropped[0].reason.endswith("as a, which comes first by name")


def test_a_tie_at_zero_confidence_is_a_tie() -> None:
    """The relative tolerance has no hole at zero."""
    assert choose([_signal("a", Side.LONG, 0.0), _signal("b", Side.SHORT, 0.0)]).chosen is None


def test_an_exit_alone_finds_nothing_to_close() -> None:
    """It neither wins nor stands in the way of an entry."""
    leave, enter = _signal("a", None, 0.0), _signal("b", Side.LONG, 0.1)
    choice = choose([leave, enter])
    assert enter is choice.chosen
    assert {"a": Fate.NOTHING_TO_CLOSE} == _fates(choice)
    assert {"a": Fate.NOTHING_TO_CLOSE} == _fates(choose([leave]))


def test_signals_of_two_symbols_are_refused() -> None:
    """One position per symbol: the choice is made per symbol."""
    with pytest.raises(ValueError, match="different symbols"):
        choose([_signal("a", Side.LONG, 0.5), _signal("a", Side.LONG, 0.5, symbol="ETHUSDT")])
