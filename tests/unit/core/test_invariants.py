"""Each invariant, breached once: the message names the row and what is wrong with it."""

import pytest
from builders import dec, make_book, make_open_position, make_order, make_position, make_stop

from trading_engine.core import invariants
from trading_engine.core.state import Book
from trading_engine.domain.errors import InvariantBroken
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.orders import OrderState

FILLED = make_order(state=OrderState.FILLED, filled=dec(10))
CLOSED = make_open_position(
    state=PositionState.CLOSED, quantity=dec(0), cost=dec(0), exit_quantity=dec(10), exit_value=dec(950)
)


@pytest.mark.parametrize(
    "book",
    [
        make_book(),
        make_book(make_order(), position=make_position()),
        make_book(FILLED, make_stop(), position=make_open_position()),
        make_book(FILLED, position=CLOSED),
    ],
)
def test_a_sane_book_passes(book: Book) -> None:
    """Empty, pending, open, closed."""
    invariants.check(book)


@pytest.mark.parametrize(
    ("book", "breach"),
    [
        (make_book(position=make_open_position(state=PositionState.CLOSED)), "CLOSED with a quantity"),
        (make_book(make_stop(), position=CLOSED), "CLOSED with an order that may still fill"),
        (
            make_book(positions=[make_position(), make_position(position_id="P000002", number=2)]),
            r"position P000002 \(BTCUSDT\): two live positions on one symbol",
        ),
        (make_book(position=make_open_position(quantity=dec(-10))), "negative quantity"),
        (make_book(position=make_open_position(quantity=dec(9))), "fills do not add up to the open quantity"),
        (make_book(position=make_open_position(cost=dec(0))), "cost without quantity"),
        (make_book(position=make_open_position(state=PositionState.PENDING)), "PENDING with fills"),
        (
            make_book(make_order(), make_order(client_order_id="tetest000001e00002"), position=make_position()),
            "two live entries",
        ),
        (
            make_book(make_order(filled=dec(11)), position=make_position()),
            "order tetest000001e00001: filled 11 of 10",
        ),
        (
            make_book(make_stop(reduce_only=False), position=make_position()),
            "order tetest000001s00001: stop is not reduce-only",
        ),
    ],
)
def test_a_book_that_contradicts_itself_stops_the_engine(book: Book, breach: str) -> None:
    """Trading on would trade on a lie."""
    with pytest.raises(InvariantBroken, match=breach):
        invariants.check(book)
