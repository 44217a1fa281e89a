"""From a signal to its fate: chosen, gated, sized, approved, or told why not."""

from dataclasses import replace

import pytest
from builders import BTC, ETH, Playbook, dec, make_instrument, make_settings, make_signal, without_limits

from trading_engine.core.effects import PlaceOrder
from trading_engine.core.settings import LimitSettings, SizingSettings
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.records import Fate, PositionOpened, SignalSeen


def test_a_signal_on_a_flat_symbol_is_taken_with_its_numbers() -> None:
    """The bound that set the size is named, and the levels are counted from the close."""
    play = Playbook()
    play.signal()
    assert [(BTC, Fate.TAKEN)] == play.fates()
    assert "risk binds; balance 10000, stop 50 ticks away" == play.why()
    (opened,) = play.recorded(PositionOpened)
    assert (dec(100), dec(95), dec(115)) == (
        opened.position.reference_price,
        opened.position.initial_stop,
        opened.position.target_price,
    )


def test_a_signal_without_a_target_opens_a_position_without_one() -> None:
    """Its stop, trailed or not, and its strategy end it."""
    play = Playbook()
    position = play.opened(target_ticks=0)
    assert position.target_price is None
    assert [Purpose.ENTRY, Purpose.STOP] == [
        play.order(effect).purpose for effect in play.performed if isinstance(effect, PlaceOrder)
    ]


def test_the_stop_never_goes_below_one_tick() -> None:
    """A stop further away than the price itself."""
    play = Playbook()
    play.enter(stop_ticks=2_000)
    assert dec("0.1") == play.position.initial_stop


@pytest.mark.parametrize(
    ("sizing", "quantity", "bound"),
    [
        (SizingSettings(), "10", "risk"),
        (SizingSettings(cap_ppm=50_000), "5", "cap"),
        (SizingSettings(cap_money_e8=30_000_000_000), "3", "cap_money"),
        (SizingSettings(risk_ppm=1_000_000, cap_ppm=9_000_000), "99.88", "margin"),
    ],
)
def test_the_tightest_bound_sets_the_size(sizing: SizingSettings, quantity: str, bound: str) -> None:
    """And is named in the record."""
    play = Playbook(make_settings(sizing=sizing, limits=without_limits()))
    play.signal()
    assert play.why().startswith(f"{bound} binds")
    assert dec(quantity) == play.place(Purpose.ENTRY).request.quantity


def test_the_venue_has_a_largest_order() -> None:
    """Sizing stops there."""
    settings = make_settings(instruments={BTC: make_instrument(max_quantity=dec(2))})
    play = Playbook(settings)
    assert dec(2) == play.enter().request.quantity


def test_a_size_below_the_minimum_is_refused_not_rounded_up() -> None:
    """Five in the account buy nothing at this distance."""
    play = Playbook(balance=5)
    play.signal()
    assert [(BTC, Fate.REFUSED)] == play.fates()
    assert "below the venue's minimum (balance 5)" == play.why()
    assert [] == play.placed()


def test_an_empty_account_trades_nothing() -> None:
    """No balance, no size; a negative one is no credit."""
    play = Playbook(make_settings(limits=without_limits()), balance=0)
    play.income(-1)
    play.signal()
    assert [(BTC, Fate.REFUSED)] == play.fates()


@pytest.mark.parametrize("is_open", [False, True])
def test_a_second_signal_is_held_while_a_position_exists(is_open: bool) -> None:
    """One position a symbol, from the intent on; the opposite side does not reverse it."""
    play = Playbook()
    if is_open:
        play.opened()
    else:
        play.enter()
    play.signal(Side.SHORT)
    assert [(BTC, Fate.HELD)] == play.fates()
    assert f"P000001 is {play.position.state}" == play.why()
    assert [] == play.placed()


def test_a_signal_before_the_first_reconciliation_is_gated() -> None:
    """The reason names the gate."""
    play = Playbook(is_synced=False)
    play.signal()
    assert [(BTC, Fate.GATED)] == play.fates()
    assert "not reconciled with the venue yet" == play.why()


def test_every_shut_gate_is_named() -> None:
    """Not only the first."""
    play = Playbook(is_synced=False)
    play.stop_file()
    play.signal()
    assert "kill switch at NO_ENTRY: STOP file; not reconciled with the venue yet" == play.why()


def test_a_late_candle_makes_no_entry() -> None:
    """A minute and a moment after its close the price is old."""
    play = Playbook()
    play.candles((BTC, 100), signals=[make_signal()], delay_ms=60_001)
    assert [(BTC, Fate.STALE)] == play.fates()
    play = Playbook()
    play.candles((BTC, 100), signals=[make_signal()], delay_ms=60_000)
    assert [(BTC, Fate.TAKEN)] == play.fates()


def test_candles_of_the_past_make_no_entry() -> None:
    """After a downtime the candles the venue has passed give exits only."""
    play = Playbook()
    play.candles((BTC, 100), signals=[make_signal()], is_catch_up=True)
    assert [(BTC, Fate.STALE)] == play.fates()
    assert "its candle is not the latest any more" == play.why()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"portfolio_risk_ppm": 1_000}, "portfolio_risk: 100 of 10"),
        ({"max_positions": 1}, "max_positions: 2 of 1"),
        ({"max_leverage_milli": 199}, "leverage: 0.2 of 0.199"),
        ({"position_ppm": 50_000}, "position_size on ETHUSDT: 1000 of 500"),
    ],
)
def test_each_exposure_limit_refuses_and_names_its_numbers(limits: dict[str, int], reason: str) -> None:
    """The second position is one too many, each time for another reason."""
    play = Playbook(make_settings(limits=without_limits()))
    play.opened()
    play.settings = replace(play.settings, limits=without_limits(**limits))
    play.signal(symbol=ETH)
    assert [(ETH, Fate.REFUSED)] == play.fates()
    assert reason == play.why()


def test_the_more_confident_signal_wins_and_the_other_is_outranked() -> None:
    """Two strategies, one symbol."""
    play = Playbook()
    strong = make_signal(strategy="b", confidence=0.9)
    weak = make_signal(Side.SHORT, strategy="a", confidence=0.4)
    play.candles((BTC, 100), signals=[weak, strong])
    fates = {seen.signal.strategy: seen.fate for seen in play.recorded(SignalSeen)}
    assert {"a": Fate.OUTRANKED, "b": Fate.TAKEN} == fates
    assert Side.LONG is play.position.side


def test_equal_confidence_on_both_sides_is_no_trade() -> None:
    """Tied, both of them, and said so."""
    play = Playbook()
    play.candles((BTC, 100), signals=[make_signal(strategy="a"), make_signal(Side.SHORT, strategy="b")])
    assert [(BTC, Fate.TIED), (BTC, Fate.TIED)] == play.fates()
    assert [] == play.placed()


@pytest.mark.parametrize(
    ("btc", "eth", "taken"),
    [(0.4, 0.6, ETH), (0.6, 0.4, BTC), (0.5, 0.5, BTC)],
)
def test_scarce_room_goes_to_confidence_then_to_the_name(btc: float, eth: float, taken: str) -> None:
    """Room for one position, two symbols."""
    play = Playbook(make_settings(limits=LimitSettings(max_positions=1)))
    signals = [make_signal(symbol=ETH, confidence=eth), make_signal(confidence=btc)]
    play.candles((BTC, 100), (ETH, 100), signals=signals)
    (_, refused) = play.fates()
    assert taken == play.place(Purpose.ENTRY).request.symbol
    assert Fate.REFUSED is refused[1]


def test_the_first_entry_counts_against_the_second_of_the_same_instant() -> None:
    """A pending order is exposure as if it were filled."""
    play = Playbook(make_settings(limits=without_limits(portfolio_risk_ppm=9_999)))
    play.candles((BTC, 100), (ETH, 100), signals=[make_signal(), make_signal(symbol=ETH)])
    assert [(BTC, Fate.TAKEN), (ETH, Fate.REFUSED)] == play.fates()
    assert "portfolio_risk: 100 of 99.99" == play.why()


def test_a_refused_entry_leaves_no_trace_but_its_record() -> None:
    """No position, no order, no number used up."""
    play = Playbook(make_settings(limits=without_limits(position_ppm=1)))
    play.signal()
    assert (1, {}, {}) == (play.book.next_position, play.book.positions, play.book.orders)
    play.settings = make_settings()
    play.enter()
    assert ("P000001", PositionState.PENDING) == (play.position.position_id, play.position.state)


def test_a_signal_that_a_filter_refuses_is_recorded_with_the_reasons_and_outranks_nothing() -> None:
    """The less confident one beside it is taken."""
    play = Playbook()
    refused = make_signal(
        strategy="sure", confidence=0.9, refusals=("session: no entries at 03:00 UTC", "volume: thin")
    )
    play.candles((BTC, 100), signals=[refused, make_signal(confidence=0.2)])
    seen = play.recorded(SignalSeen)
    assert [("sure", Fate.FILTERED), ("trend", Fate.TAKEN)] == [(item.signal.strategy, item.fate) for item in seen]
    assert "session: no entries at 03:00 UTC; volume: thin" == seen[0].reason
