"""Market data becomes worse and better: told once each way, and what is stale takes no entries."""

import pytest
from builders import BTC, ETH, T0, Playbook

from trading_engine.core.gates import entry_gates
from trading_engine.domain.events import FeedFault, FeedReported
from trading_engine.domain.records import AlertRaised, Fate
from trading_engine.domain.severity import Severity


def report(
    play: Playbook, symbol: str = BTC, fault: FeedFault = FeedFault.STALE, *, is_over: bool = False
) -> list[AlertRaised]:
    """One report; the alerts that follow."""
    play.on(FeedReported(play.now, symbol, fault, is_over, "no data for 31 s"))
    return play.recorded(AlertRaised)


def gates(play: Playbook, symbol: str = BTC) -> tuple[str, ...]:
    return entry_gates(play.state, play.settings, symbol, play.now)


def test_stale_data_shuts_its_symbol_until_it_is_fresh_again() -> None:
    """The other symbol trades on, and the reason names since when."""
    play = Playbook()
    report(play)
    assert ("market data is stale since 2025-01-01T00:00:00.000Z",) == gates(play)
    assert () == gates(play, ETH)
    play.wait(90_000)
    report(play, is_over=True)
    assert () == gates(play)


def test_a_signal_on_stale_data_is_gated() -> None:
    """With the reason in its row."""
    play = Playbook()
    report(play)
    play.signal()
    assert [(BTC, Fate.GATED)] == play.fates()
    assert "market data is stale" in play.why()


def test_a_fault_is_told_once_when_it_begins_and_once_when_it_ends() -> None:
    """A repeated report writes nothing at all."""
    play = Playbook()
    key = "feed:stale"
    begun = "market data is stale, no entries on BTCUSDT (BTCUSDT: no data for 31 s)"
    assert [AlertRaised(Severity.WARNING, key, begun)] == report(play)
    assert [] == report(play)
    assert () == play.last.records
    over = "market data is fresh again on BTCUSDT"
    assert [AlertRaised(Severity.INFO, key, over)] == report(play, is_over=True)
    assert [] == report(play, is_over=True)


def test_a_text_names_every_symbol_that_has_the_fault() -> None:
    """Alerts of one key replace each other: the last one must say it all."""
    play = Playbook()
    report(play)
    assert "no entries on BTCUSDT, ETHUSDT (ETHUSDT: no data for 31 s)" in report(play, ETH)[0].text
    assert "market data is fresh again on BTCUSDT; not yet on ETHUSDT" == report(play, is_over=True)[0].text


@pytest.mark.parametrize("fault", [fault for fault in FeedFault if fault is not FeedFault.STALE])
def test_every_other_fault_is_told_and_forbids_nothing(fault: FeedFault) -> None:
    """A candle that is late is not entered on anyway; one that is unchecked is the stream's own."""
    play = Playbook()
    (alert,) = report(play, fault=fault)
    assert f"feed:{fault}" == alert.key
    assert () == gates(play)
    assert 1 == len(report(play, fault=fault, is_over=True))


def test_what_is_not_traded_is_no_concern() -> None:
    """A feed may carry more than the engine trades."""
    play = Playbook()
    assert [] == report(play, "XRPUSDT")
    assert {} == play.state.market.feed_faults


def test_a_fault_changes_no_position() -> None:
    """Exits are never gated, and the stop at the venue needs no market data."""
    play = Playbook()
    play.opened()
    book = play.book
    report(play)
    assert book == play.book
    assert () == play.last.effects
    assert T0 <= play.now
