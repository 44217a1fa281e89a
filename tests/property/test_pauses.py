"""What an operator has switched off stays off, whatever else happens, until he says otherwise."""

from builders import BTC, ETH, Playbook, make_settings, make_signal, without_limits
from hypothesis import given
from hypothesis import strategies as st

from trading_engine.core.project import apply
from trading_engine.core.state import Book, EngineState
from trading_engine.domain.events import CloseRequested, PauseRequested, ResumeRequested, RunBegan, SwitchRequested
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.orders import OrderState
from trading_engine.domain.time import MINUTE_MS

SCOPES = ("", BTC, ETH, "trend")
WORDS = st.one_of(
    st.tuples(st.sampled_from(["pause", "lift"]), st.sampled_from(SCOPES)),
    st.tuples(st.sampled_from(["resume", "restart", "signal", "close"]), st.sampled_from([BTC, ETH])),
)


def _switch(play: Playbook, scope: str, *, is_off: bool) -> None:
    if scope == "trend":
        play.on(SwitchRequested(play.now, scope, is_enabled=not is_off, actor="alice"))
    else:
        play.on(PauseRequested(play.now, scope, is_paused=is_off, actor="alice"))


def _restart(play: Playbook) -> None:
    """Nothing is left but the journal."""
    book = Book("test")
    for record in play.journal:
        book = apply(book, record)
    live = {key: item for key, item in book.positions.items() if item.state is not PositionState.CLOSED}
    orders = {key: item for key, item in book.orders.items() if item.position_id in live}
    assert (live, orders, book.disabled) == (play.book.positions, play.book.orders, play.book.disabled)
    play.state = EngineState(play.book)
    play.on(RunBegan(play.now, "r", "0.1.0", "paper", "hash"))
    play.snapshot()


@given(st.lists(WORDS, max_size=25))
def test_no_entry_is_sent_while_it_is_switched_off(words: list[tuple[str, str]]) -> None:
    """On the symbol, on all, or by the strategy; over restarts; a general resume ends the general pause alone."""
    play = Playbook(make_settings(limits=without_limits()))
    off: set[str] = set()
    for word, name in words:
        if word in ("pause", "lift"):
            (off.add if word == "pause" else off.discard)(name)
            _switch(play, name, is_off=word == "pause")
        elif word == "resume":
            off.discard("")
            play.on(ResumeRequested(play.now, "alice"))
            play.snapshot()
        elif word == "restart":
            _restart(play)
        elif word == "close":
            play.on(CloseRequested(play.now, name, "alice"))
        else:
            is_free = play.book.position_on(name) is None
            signal = make_signal(symbol=name, candle_ts_ms=play.now // MINUTE_MS * MINUTE_MS)
            play.candles((name, 100), signals=[signal])
            is_entered = Purpose.ENTRY in play.placed()
            assert is_entered is (is_free and not off & {"", name, "trend"})
            if is_entered:
                play.fill(play.place(Purpose.ENTRY))
                play.ack(play.place(Purpose.STOP))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=10), st.booleans())
def test_a_position_that_is_closed_by_hand_has_its_stop_until_it_is_flat(slices: list[int], is_twice: bool) -> None:
    """However the exit fills, and however often the word is said."""
    play = Playbook(make_settings(limits=without_limits()))
    play.opened()
    stop = play.place(Purpose.STOP)
    play.on(CloseRequested(play.now, BTC, "alice"))
    for part in slices:
        exits = play.place(Purpose.EXIT)
        if play.position.quantity <= part:
            break
        assert OrderState.ACKED is play.order(stop).state
        assert not play.order(stop).cancel_requested
        play.fill(exits, part)
        if is_twice:
            play.on(CloseRequested(play.now, BTC, "alice"))
    if play.position.quantity:
        assert any(item.is_confirmed and not item.cancel_requested for item in play.stops())
        play.fill(play.place(Purpose.EXIT))
    assert all(item.cancel_requested or not item.is_live for item in play.stops())
