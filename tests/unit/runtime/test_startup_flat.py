"""A run that sends nothing may begin only where nothing of ours is open: in the database, on paper, at the venue."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from builders import BTC, dec, make_book, make_open_position, make_order, make_position, make_report

from trading_engine.config.load import load_config
from trading_engine.config.model import Config
from trading_engine.core.state import Book
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderReport
from trading_engine.domain.reports import VenuePosition
from trading_engine.ports import AccountFacts, RemoteVenue
from trading_engine.runtime import remote, startup

CONFIG = """
mode: live
venue: binance
symbols: [BTCUSDT]
strategies: [{name: trend_vwap}]
credentials: {key: '${TEST_KEY}', secret: '${TEST_SECRET}'}
"""
LONG = VenuePosition(BTC, Side.LONG, dec("0.02"), dec(100), dec(100), None, dec(1))


class Account:
    """What a venue shows of an account."""

    def __init__(self, *positions: VenuePosition, orders: Sequence[str] = ()) -> None:
        self._positions = positions
        self._orders = [make_report(make_order(client_order_id=name), venue_order_id="v1") for name in orders]

    async def open_orders(self) -> Sequence[OrderReport]:
        """All of them."""
        return self._orders

    async def positions(self) -> Sequence[VenuePosition]:
        """All of them."""
        return self._positions


def configured(folder: Path, more: str = "") -> Config:
    """Of an account with real money."""
    path = folder / "engine.yaml"
    path.write_text(CONFIG + more, encoding="utf-8")
    return load_config(path, {}, {"TEST_KEY": "test-key", "TEST_SECRET": "test-secret"}, folder / ".env")


def look(config: Config, account: Account) -> None:
    """What a start does."""
    asyncio.run(remote.require_flat(cast("RemoteVenue", account), config))


@pytest.mark.parametrize(
    ("book", "what"),
    [
        (make_book(position=make_open_position()), "a position"),
        (make_book(make_order(), position=make_position()), "a pending entry"),
        (make_book(make_order()), "an order"),
    ],
)
def test_what_is_open_in_the_database_is_named_with_what_to_do(book: Book, what: str) -> None:
    """One line: let a trading run go on with it, close it, or take another state."""
    told = startup.unprotected(startup.still_open(book, None))
    assert told.startswith(f"{BTC} has {what}, which a run that sends nothing cannot protect; ")
    assert "\n" not in told
    assert all(word in told for word in ("without --signals-only", "flatten --direct", "--state DIR"))


def test_a_flat_state_of_a_trading_run_may_be_used() -> None:
    """Whatever it has traded before."""
    assert "" == startup.unprotected(startup.still_open(make_book(), None))


@pytest.mark.parametrize("name", ["tetest000001s00001", "teothr000007e00001"])
def test_an_order_of_this_program_at_the_venue_refuses_the_start(tmp_path: Path, name: str) -> None:
    """Of this state or of another: exit 3."""
    with pytest.raises(ConfigInvalid, match=f"{BTC} has an order of this program .{name}., which") as refusal:
        look(configured(tmp_path), Account(orders=[name]))
    assert 3 == refusal.value.exit_code


def test_a_position_on_a_traded_symbol_refuses_the_start(tmp_path: Path) -> None:
    """It has no mark of its maker: it may be ours."""
    with pytest.raises(ConfigInvalid, match=r"BTCUSDT has a position at binance .long 0.02., which") as refusal:
        look(configured(tmp_path), Account(LONG))
    assert 3 == refusal.value.exit_code
    assert "reconciliation.symbols.BTCUSDT: ignore" in str(refusal.value)


def test_what_is_somebody_elses_lets_the_start_go_on(tmp_path: Path) -> None:
    """Orders without our mark, symbols that are not traded, and what the configuration says to ignore."""
    look(configured(tmp_path), Account(replace(LONG, symbol="ETHUSDT"), orders=["web_1"]))
    ignoring = configured(tmp_path, "reconciliation: {symbols: {BTCUSDT: ignore}}\n")
    look(ignoring, Account(LONG))


def test_a_key_that_may_not_trade_is_enough(tmp_path: Path) -> None:
    """A run that trades refuses it; one that may withdraw is refused by both."""
    config = configured(tmp_path)
    reads = AccountFacts(position_mode=None, can_trade=False, can_withdraw=False, is_demo=False)
    assert [] == remote.check_readable(reads, config)
    with pytest.raises(ConfigInvalid, match="may not trade"):
        remote.check_facts(reads, config)
    with pytest.raises(ConfigInvalid, match="may withdraw"):
        remote.check_readable(replace(reads, can_withdraw=True), config)
