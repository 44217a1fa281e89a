"""From a signal to its fate: chosen, gated, sized, approved, or told why not."""

from dataclasses import replace

import pytest
from builders import BTC, ETH, T0, Playbook, dec, make_instrument, make_settings, make_signal, without_limits

from trading_engine.core.effects import PlaceOrder
from trading_engine.core.settings import LimitSettings, SizingSettings
from trading_engine.core.state import ClosedTrade
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.records import Fate, PositionOpened, SignalSeen
from trading_engine.rules.scaling import Method


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


def test_every_number_of_a_size_is_kept_with_the_decision() -> None:
    """Of the taken, the refused, and what was too small."""
    play = Playbook()
    play.signal()
    inputs = dict(play.recorded(SignalSeen)[-1].inputs)
    assert ("fixed_fraction", "1000", "10000", "5000", "50", "1000", "risk") == tuple(
        inputs[name]
        for name in ("method", "scale_milli", "balance", "risk_ppm", "stop_distance_ticks", "steps", "binding")
    )
    for refused in (Playbook(balance=5), Playbook(make_settings(limits=without_limits(position_ppm=1)))):
        refused.signal()
        assert [(BTC, Fate.REFUSED)] == refused.fates()
        assert inputs.keys() == dict(refused.recorded(SignalSeen)[-1].inputs).keys()


@pytest.mark.parametrize(
    ("sizing", "quantity", "bound"),
    [
        (SizingSettings(method=Method.FIXED_MONEY, money_e8=400 * 10**8), "4", "method"),
        (SizingSettings(method=Method.FIXED_MONEY, money_e8=5_000 * 10**8), "10", "risk"),
        (SizingSettings(method=Method.VOLATILITY, volatility_ppm=1_000), "5", "method"),
        (SizingSettings(method=Method.KELLY), "10", "risk"),
    ],
)
def test_a_method_sets_the_size_within_the_bounds(sizing: SizingSettings, quantity: str, bound: str) -> None:
    """400 buy 4; a range of 2 moves 10 of 10,000 with 5; Kelly has no trades to go by."""
    play = Playbook(make_settings(sizing=sizing, limits=without_limits()))
    play.signal(atr_mticks=20_000)
    assert play.why().startswith(f"{bound} binds")
    assert dec(quantity) == play.place(Purpose.ENTRY).request.quantity


def test_without_a_range_volatility_sizes_nothing() -> None:
    """The reason says what is missing."""
    sizing = SizingSettings(method=Method.VOLATILITY, volatility_ppm=1_000)
    play = Playbook(make_settings(sizing=sizing, limits=without_limits()))
    play.signal()
    assert [(BTC, Fate.REFUSED)] == play.fates()
    assert "volatility: there is no average true range to size by yet" == play.why()


def _after(sizing: SizingSettings, *nets: str, limit: int = 0) -> Playbook:
    """A play in which trades have closed with these results."""
    trades = tuple(ClosedTrade(f"X{at}", BTC, "trend", dec(net), T0 - 100 + at) for at, net in enumerate(nets))
    play = Playbook(make_settings(sizing=sizing, limits=without_limits(consecutive_losses=limit, streak_pause_ms=1)))
    ledger = replace(play.book.ledger, closed=trades)
    play.state = replace(play.state, book=replace(play.book, ledger=ledger))
    return play


@pytest.mark.parametrize(("share_ppm", "quantity"), [(40_000, "20"), (1_000_000, "40")])
def test_kelly_sizes_by_the_closed_trades(share_ppm: int, quantity: str) -> None:
    """Twenty gains of 2 and twenty losses of 1 recommend 25 %: 4 % of it is 1 %, all of it the cap of 2 %."""
    sizing = SizingSettings(method=Method.KELLY, kelly_share_ppm=share_ppm, cap_ppm=9_000_000)
    play = _after(sizing, *["2", "-1"] * 20)
    play.signal()
    assert dec(quantity) == play.place(Purpose.ENTRY).request.quantity
    inputs = dict(play.recorded(SignalSeen)[-1].inputs)
    assert ("40", "20", "40", "20") == tuple(inputs[name] for name in ("trades", "wins", "won", "lost"))


def test_kelly_makes_no_entry_without_an_edge() -> None:
    """It says so."""
    play = _after(SizingSettings(method=Method.KELLY), *["1", "-1"] * 20)
    play.signal()
    assert [(BTC, Fate.REFUSED)] == play.fates()
    assert "kelly: the last 40 trades have no edge" == play.why()


@pytest.mark.parametrize(
    ("nets", "quantity"),
    [(["1", "1"], "15.62"), (["1", "1", "-1"], "10"), (["-1", "-1"], "5"), (["-1", "-1", "1"], "12.5")],
)
def test_streaks_scale_the_size(nets: list[str], quantity: str) -> None:
    """A quarter more for each gain; half after a complete losing streak of two, until the first gain."""
    sizing = SizingSettings(win_step_milli=1_250, win_most_milli=2_000, recovery_milli=500)
    play = _after(sizing, *nets, limit=2)
    play.signal()
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
