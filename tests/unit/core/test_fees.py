"""Fees that another wallet pays: the settle wallet does not, and a person is told so."""

from builders import BTC, Playbook, dec, make_fill

from trading_engine.alerts.remedies import remedy_of
from trading_engine.domain.events import FillSeen
from trading_engine.domain.fills import Fill
from trading_engine.domain.records import AdjustmentBooked, AlertRaised, FillApplied
from trading_engine.domain.severity import Severity


def fee_alerts(play: Playbook) -> list[AlertRaised]:
    """What the last step has told of fees."""
    told = [record for record in play.last.records if isinstance(record, AlertRaised)]
    return [alert for alert in told if alert.key.startswith("fee:")]


def kept_fills(play: Playbook) -> list[Fill]:
    """The fills of the last step as they are written down."""
    return [record.fill for record in play.last.records if isinstance(record, FillApplied)]


def test_a_fee_in_another_asset_is_no_cost_of_the_ledger_and_is_kept_with_the_fill() -> None:
    """A thousandth of a BNB is not a thousandth of a USDT."""
    play = Playbook()
    before = play.book.ledger.balance
    play.fill(play.enter(), fee=dec("0.001"), fee_asset="BNB")
    assert before == play.book.ledger.balance
    assert dec(0) == play.position.fees
    assert [(dec("0.001"), "BNB")] == [(fill.fee, fill.fee_asset) for fill in kept_fills(play)]


def test_it_is_told_once_for_each_asset_with_a_remedy() -> None:
    """By the first fill that paid something; the settle asset is nothing to tell of."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, 1, fee=dec("0.06"))
    assert [] == fee_alerts(play)
    play.fill(entry, 1, fee=dec(0), fee_asset="BNB")
    assert [] == fee_alerts(play)
    play.fill(entry, 1, fee=dec("0.0001"), fee_asset="BNB")
    (told,) = fee_alerts(play)
    assert (Severity.WARNING, "fee:BNB") == (told.severity, told.key)
    assert "paid its fee in BNB (0.0001)" in told.text
    assert "leave fees in BNB out" in told.text
    assert "switch them back" in remedy_of(told.key)
    play.fill(entry, 1, fee=dec("0.0001"), fee_asset="BNB")
    assert [] == fee_alerts(play)
    play.fill(entry, 1, fee=dec("0.0001"), fee_asset="MNT")
    assert ["fee:MNT"] == [alert.key for alert in fee_alerts(play)]


def test_a_stranger_s_fee_in_another_asset_changes_no_ledger_either() -> None:
    """What they have realised does."""
    play = Playbook()
    before = play.book.ledger.balance
    fill = make_fill(
        client_order_id="", symbol=BTC, fee=dec("0.5"), fee_asset="BNB", realized_pnl=dec(3), ts_ms=play.now
    )
    play.on(FillSeen(play.now, fill))
    play.fills_read(fill)
    assert before + 3 == play.book.ledger.balance
    booked = [record for record in play.journal if isinstance(record, AdjustmentBooked)]
    assert [(dec(3), "USDT")] == [(record.amount, record.asset) for record in booked]
