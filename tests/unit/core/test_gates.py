"""Every reason against an entry, and what never stands in the way."""

from dataclasses import replace

import pytest
from builders import BTC, ETH, Playbook, dec, make_book, make_open_position, make_settings, make_stop, without_limits

from trading_engine.core.gates import entry_gates, is_covered
from trading_engine.core.settings import CooldownScope, LimitSettings
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.ids import Purpose
from trading_engine.domain.orders import OrderState
from trading_engine.domain.reports import Balance
from trading_engine.domain.time import DAY_MS, HOUR_MS, iso

NO_COOLDOWN = LimitSettings(cooldown_ms=0)


def gates(play: Playbook, symbol: str = BTC) -> tuple[str, ...]:
    return entry_gates(play.state, play.settings, symbol, play.now)


def test_a_quiet_engine_may_enter() -> None:
    """No reason against it."""
    assert () == gates(Playbook())


@pytest.mark.parametrize("level", [Level.NO_ENTRY, Level.FLATTEN])
def test_a_raised_kill_switch_shuts_every_symbol(level: Level) -> None:
    """With its reason."""
    play = Playbook()
    play.stop_file(level)
    assert (f"kill switch at {level}: STOP file",) == gates(play)


def test_an_engine_out_of_touch_with_the_venue_does_not_enter() -> None:
    """Before the first snapshot and after a failed one."""
    play = Playbook(is_synced=False)
    assert ("not reconciled with the venue yet",) == gates(play)
    play.snapshot()
    assert () == gates(play)
    play.snapshot_failed()
    assert ("not reconciled with the venue yet",) == gates(play)


def test_an_outage_that_was_told_is_a_reason_of_its_own() -> None:
    """Besides the reading that is missing."""
    play = Playbook()
    play.snapshot_failed()
    since_ms = play.now
    play.pass_time(300_000)
    assert f"the venue is out of reach since {iso(since_ms)}" in gates(play)


def test_an_unprotected_position_shuts_all_symbols_until_its_stop_is_confirmed() -> None:
    """First things first."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry)
    assert ("BTCUSDT: stop of P000001 is not confirmed",) == gates(play, ETH)
    play.ack(play.place(Purpose.STOP))
    assert () == gates(play, ETH)


def test_money_that_is_not_in_the_wallet_shuts_every_symbol() -> None:
    """A loss that nobody has told: sizes would rest on it. What a venue's rounding takes is below notice."""
    play = Playbook()
    balance = play.book.ledger.balance
    for taken, is_told in ((balance / 1000, False), (balance / 1000 + dec("0.00000001"), True), (-balance, False)):
        wallet = balance - taken
        play.snapshot(balance=Balance(play.settings.asset, wallet, wallet))
        told = f"the wallet holds {money.text(taken)} less than the ledger: "
        assert is_told is any(reason.startswith(told) for reason in gates(play)), taken
    assert () == gates(play)


def test_a_frozen_symbol_alone_is_shut() -> None:
    """The others trade on."""
    play = Playbook()
    frozen = replace(play.state, book=replace(play.book, frozen={BTC: "order v1 is not ours"}))
    assert ("frozen: order v1 is not ours",) == entry_gates(frozen, play.settings, BTC, play.now)
    assert () == entry_gates(frozen, play.settings, ETH, play.now)


def test_an_unknown_order_shuts_its_symbol() -> None:
    """Whatever it is, it may be filling."""
    play = Playbook()
    entry = play.enter()
    play.doubt(entry)
    assert ("order tetest000001e00001 is unknown",) == gates(play)
    assert () == gates(play, ETH)


def test_the_daily_loss_shuts_until_midnight() -> None:
    """Five percent of the day's beginning."""
    play = Playbook()
    play.income(-500)
    assert (f"daily_loss: 500 of 500 until {iso(play.now + DAY_MS)}",) == gates(play)
    play.wait(DAY_MS)
    assert () == gates(play)


def test_the_drawdown_shuts_without_an_end() -> None:
    """Both the limit itself and the kill switch that it has latched."""
    play = Playbook(make_settings(limits=replace(NO_COOLDOWN, daily_loss_ppm=0)))
    play.income(-1000)
    assert ("kill switch at NO_ENTRY: drawdown: 1000 of 1000", "drawdown: 1000 of 1000") == gates(play)


def test_three_losses_pause_for_twelve_hours() -> None:
    """Counted from the last of them."""
    play = Playbook(make_settings(limits=NO_COOLDOWN))
    for _ in range(3):
        play.stopped_out()
    assert (f"losing_streak: 3 of 3 until {iso(play.now + 12 * HOUR_MS)}",) == gates(play)
    play.wait(12 * HOUR_MS)
    assert () == gates(play)


def test_a_loss_cools_everything_down_for_an_hour() -> None:
    """Global by default; the reason counts down."""
    play = Playbook()
    play.stopped_out()
    until = iso(play.now + HOUR_MS)
    assert (f"cooldown: 60 min left of 60 until {until}",) == gates(play, ETH)
    play.wait(HOUR_MS - 1)
    assert (f"cooldown: 1 min left of 60 until {until}",) == gates(play)
    play.wait(1)
    assert () == gates(play)


def test_a_loss_may_cool_down_its_symbol_only() -> None:
    """By configuration."""
    play = Playbook(make_settings(limits=LimitSettings(cooldown_scope=CooldownScope.SYMBOL)))
    play.stopped_out()
    assert (f"cooldown on BTCUSDT: 60 min left of 60 until {iso(play.now + HOUR_MS)}",) == gates(play)
    assert () == gates(play, ETH)


def test_too_little_money_shuts() -> None:
    """Below a tenth of the start, with the other limits off."""
    play = Playbook(make_settings(limits=without_limits(min_balance_ppm=100_000)))
    play.income(-9_001)
    assert ("minimum_balance: 999 of 1000",) == gates(play)


@pytest.mark.parametrize(
    ("stops", "covered"),
    [
        ((), False),
        ((make_stop(),), False),
        ((make_stop(state=OrderState.ACKED),), True),
        ((make_stop(state=OrderState.ACKED, quantity=dec(9)),), False),
        (
            (
                make_stop(state=OrderState.ACKED, quantity=dec(6)),
                make_stop(client_order_id="tetest000001s00002", state=OrderState.PARTIAL, quantity=dec(4)),
            ),
            True,
        ),
    ],
)
def test_only_acknowledged_stops_protect(stops: tuple[object, ...], covered: bool) -> None:
    """Together they must reach the open quantity."""
    position = make_open_position()
    assert covered is is_covered(make_book(*stops, position=position), position)  # type: ignore[arg-type]
