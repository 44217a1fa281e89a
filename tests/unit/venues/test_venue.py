"""What the embedded exchange does beyond the contract of all venues."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import structs

from trading_engine.domain.events import FillSeen, OrderReported
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, Side
from trading_engine.domain.order_type import OrderType, TimeInForce
from trading_engine.domain.orders import OrderReport, OrderRequest, OrderState, TradeSide
from trading_engine.domain.reports import Rejected
from trading_engine.ports import VenueEvent
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.embedded.venue import EmbeddedVenue

MINUTE = 60_000
BTC = "BTCUSDT"
INSTRUMENT = Instrument(
    symbol=BTC,
    tick=Decimal(1),
    step=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(100),
    min_notional=Decimal(5),
    max_leverage=Decimal(50),
    tiers=(MarginTier(Decimal(10**9), Decimal("0.005"), Decimal(0), Decimal(50)),),
)
TERMS = Terms(slippage_ppm=0, volume_share_ppm=1_000_000, leverage_milli=2_500)


def _open(path: Path, *, deposit: int = 1_000, opening_ms: int = 0) -> EmbeddedVenue:
    return EmbeddedVenue(Memory(path), [INSTRUMENT], TERMS, Decimal(deposit), opening_ms)


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[EmbeddedVenue]:
    """A new account of 1,000 at a price of 1,000."""
    made = _open(tmp_path / "paper.db")
    _play(made, 0, 1_000)
    yield made
    made.close()


def _play(venue: EmbeddedVenue, minute: int, *prices: int) -> list[VenueEvent]:
    open_ms = minute * MINUTE
    candle = Candle(BTC, open_ms, MINUTE, prices[0], max(prices), min(prices), prices[-1], 1_000_000)
    return list(venue.play(open_ms, [candle], ()))


def _request(name: str, kind: OrderType, **told: object) -> OrderRequest:
    price, tif = told.get("price"), told.get("time_in_force", TimeInForce.GTC)
    assert price is None or isinstance(price, Decimal)
    assert isinstance(tif, TimeInForce)
    side, reduce_only = (TradeSide.SELL, True) if told.get("reduce") else (TradeSide.BUY, False)
    return OrderRequest(
        name, BTC, side, kind, Decimal("0.1"), reduce_only, Side.LONG, price, time_in_force=tif, trigger_price=None
    )


def test_an_existing_account_keeps_its_own_deposit(tmp_path: Path) -> None:
    """Another amount in the configuration pays nothing in."""
    path = tmp_path / "paper.db"
    _open(path, deposit=1_000, opening_ms=50).close()
    again = _open(path, deposit=5_000, opening_ms=90)
    assert Decimal(1_000) == asyncio.run(again.balance()).wallet
    (deposit,) = asyncio.run(again.incomes_since(0))
    assert (Decimal(1_000), 50) == (deposit.amount, deposit.ts_ms)
    again.close()


@pytest.mark.parametrize("kind", [OrderType.LIMIT, OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET])
def test_an_order_without_the_price_of_its_type_is_refused(venue: EmbeddedVenue, kind: OrderType) -> None:
    """With the type in the reason."""
    outcome = asyncio.run(venue.submit(_request("a", kind)))
    assert Rejected("precision", f"a {kind} order needs a price") == outcome


def test_an_immediate_limit_order_is_refused(venue: EmbeddedVenue) -> None:
    """Better than one that rests although it was told not to."""
    request = _request("a", OrderType.LIMIT, price=Decimal(990), time_in_force=TimeInForce.IOC)
    outcome = asyncio.run(venue.submit(request))
    assert isinstance(outcome, Rejected)
    assert "time_in_force" == outcome.code


def test_another_leverage_than_the_accounts_is_refused(venue: EmbeddedVenue) -> None:
    """It is one of the account's terms; the reason names it."""
    outcome = asyncio.run(venue.set_leverage(BTC, Decimal(5)))
    assert Rejected("leverage", "the paper account runs at 2.5x") == outcome


def test_candles_that_nobody_listens_to_are_matched_and_counted(venue: EmbeddedVenue) -> None:
    """What happened is found in fills and look-ups afterwards."""
    asyncio.run(venue.submit(_request("a", OrderType.MARKET)))
    candle = Candle(BTC, MINUTE, MINUTE, 1_000, 1_000, 1_000, 1_000, 1_000_000)
    assert 1 == venue.catch_up(MINUTE, [candle], ())
    assert 0 == venue.catch_up(MINUTE, [candle], ())
    assert ["a"] == [fill.client_order_id for fill in asyncio.run(venue.fills_since(0))]


def test_an_order_that_ends_without_a_trade_is_reported(venue: EmbeddedVenue) -> None:
    """A reduce-only limit that closed the position: its fill, then its end with the reason."""
    asyncio.run(venue.submit(_request("entry", OrderType.MARKET)))
    _play(venue, 1, 1_000)
    asyncio.run(venue.submit(_request("leave", OrderType.LIMIT, price=Decimal(1_010), reduce=True)))
    asyncio.run(venue.submit(_request("late", OrderType.MARKET, reduce=True)))
    _, told = _play(venue, 2, 1_000, 1_020)
    assert isinstance(told, OrderReported)
    assert ("leave", OrderState.EXPIRED) == (told.report.client_order_id, told.report.state)
    assert "nothing to reduce" == told.report.reason


def test_events_without_a_subscriber_are_not_missed_by_anyone(venue: EmbeddedVenue) -> None:
    """Emitting is harmless before there is one."""
    event = OrderReported(5, OrderReport("a", "", BTC, OrderState.ACKED, Decimal(0), 5))
    venue.emit(event)
    told: list[VenueEvent] = []
    venue.subscribe(told.append)
    venue.emit(event)
    assert [event] == told


def test_progress_is_saved_on_request(tmp_path: Path) -> None:
    """A restart has less to match again."""
    path = tmp_path / "paper.db"
    venue = _open(path)
    _play(venue, 0, 1_000)
    _play(venue, 1, 1_010)
    venue.save_progress()
    venue.close()
    again = _open(path)
    assert MINUTE == again.progress.open_ms
    assert [] == _play(again, 1, 1_010)
    again.close()


@pytest.mark.parametrize(("costs", "worse"), [({"slippage_range_ppm": 100_000}, 2), ({"impact_ppm": 300_000}, 4)])
def test_an_order_under_way_arrives_after_restarts_as_well(tmp_path: Path, costs: dict[str, int], worse: int) -> None:
    """When it would have, and worse by the range and the volume that were last, which a restart has not forgotten."""
    terms = structs.replace(TERMS, latency_candles=1, **costs)

    def opened() -> EmbeddedVenue:
        return EmbeddedVenue(Memory(tmp_path / "paper.db"), [INSTRUMENT], terms, Decimal(1_000), 0)

    venue = opened()
    _play(venue, 0, 1_000)
    asyncio.run(venue.submit(_request("m", OrderType.MARKET)))
    venue.close()
    venue = opened()
    assert [] == _play(venue, 1, 1_000, 1_020)
    venue.save_progress()
    venue.close()
    venue = opened()
    (filled,) = _play(venue, 2, 1_010)
    assert isinstance(filled, FillSeen)
    assert INSTRUMENT.ticks_to_price(1_010 + worse) == filled.fill.price
    venue.close()
