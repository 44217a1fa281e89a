"""Rows of one commit: what stands in them follows from the records and the book after them."""

from builders import BTC, T0, dec, make_book, make_fill, make_open_position, make_order, make_position

from trading_engine.core.project import apply
from trading_engine.core.state import Ledger
from trading_engine.domain.records import FillApplied, LimitsRebased, PositionDropped
from trading_engine.store.rows import collect


def test_the_peak_of_a_rebase_knows_no_fee_that_another_wallet_pays() -> None:
    """Performance before a fill of the same commit is that after it without what the settle wallet has paid."""
    book = make_book(make_order(), position=make_position(), ledger=Ledger(balance=dec(70)))
    fill = make_fill(fee=dec("0.5"), fee_asset="BNB")
    paid = make_fill(trade_id="2", quantity=dec(1), fee=dec(3))
    records = (
        LimitsRebased(T0, "operator"),
        FillApplied(fill, "P000001", dec(0), dec(0), "2025-01-01", asset="USDT"),
        FillApplied(paid, "P000001", dec(0), dec(0), "2025-01-01", asset="USDT"),
    )
    for record in records:
        book = apply(book, record)
    assert dec(67) == book.ledger.balance
    rows = collect(records, book, T0, 1)
    assert dec(70) == rows.peak_at_rebase
    assert [(dec(0), "USDT"), (dec(-3), "USDT")] == [(row["amount"], row["asset"]) for row in rows.pnl]
    assert [(dec("0.5"), "BNB"), (dec(3), "USDT")] == [(row["fee"], row["fee_asset"]) for row in rows.fills]


def test_a_dropped_position_leaves_who_and_why() -> None:
    """A row of the events beside the position's own; no fill, no money."""
    record = PositionDropped("P000001", dec(10), "alice", "an outage", T0)
    book = apply(make_book(position=make_open_position()), record)
    rows = collect((record,), book, T0, 7)
    text = "P000001, 10 long, by alice: an outage"
    assert [{"seq": 7, "ts": T0, "kind": "PositionDropped", "symbol": BTC, "text": text}] == rows.system_events
    assert ({"P000001": 7}, [], []) == (rows.positions, rows.fills, rows.pnl)
