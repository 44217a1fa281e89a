"""Every Venue adapter against the one contract."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.register_assert_rewrite("contract.venue_bench", "contract.venue_contract", "contract.venue_matching_contract")

# Registered first, so that a failure in a case shows its values.
from contract.venue_bench import (  # noqa: E402
    DEPOSIT,
    INSTRUMENTS,
    LEVERAGE,
    PRICES,
    VOLUME_SHARE,
    Bar,
    Bench,
    Traits,
    bar,
)
from contract.venue_contract import AccountContract, OrderContract  # noqa: E402
from contract.venue_matching_contract import MatchingContract  # noqa: E402
from fakes.scripted_venue import ScriptedVenue  # noqa: E402

from trading_engine.domain.market import Candle, FundingRate  # noqa: E402
from trading_engine.ports import Venue, VenueEvent  # noqa: E402
from trading_engine.venues.embedded.memory import Memory  # noqa: E402
from trading_engine.venues.embedded.terms import Terms  # noqa: E402
from trading_engine.venues.embedded.venue import EmbeddedVenue  # noqa: E402

T = TypeVar("T")

START = 1_746_316_800_000
MINUTE = 60_000
TERMS = Terms(leverage_milli=int(LEVERAGE * 1_000), volume_share_ppm=int(VOLUME_SHARE * 1_000_000))


class EmbeddedBench:
    """The embedded exchange, driven as the replay drives it."""

    traits = Traits()

    def __init__(self, folder: Path) -> None:
        self._runner = asyncio.Runner()
        self._exchange = EmbeddedVenue(Memory(folder / "paper.db"), INSTRUMENTS, TERMS, DEPOSIT, START)
        self._exchange.subscribe(self._take)
        self._events: list[VenueEvent] = []
        self._next_ms = START
        self.move({symbol: bar(int(price)) for symbol, price in PRICES.items()})

    @property
    def venue(self) -> Venue:
        """The adapter under test."""
        return self._exchange

    def _take(self, event: VenueEvent) -> None:
        self._events.append(event)

    def call(self, question: Coroutine[Any, Any, T]) -> T:
        """Run one call of the venue to its answer."""
        return self._runner.run(question)

    def move(self, bars: Mapping[str, Bar], funding: Mapping[str, Decimal] | None = None) -> None:
        """Settle funding, then let one minute pass."""
        candles = [_candle(symbol, self._next_ms, shape) for symbol, shape in sorted(bars.items())]
        rates = [FundingRate(symbol, self._next_ms, rate) for symbol, rate in sorted((funding or {}).items())]
        for event in self._exchange.play(self._next_ms, candles, rates):
            self._exchange.emit(event)
        self._next_ms += MINUTE

    def drain(self) -> list[VenueEvent]:
        """What was sent to the subscriber."""
        taken, self._events = self._events, []
        return taken

    def close(self) -> None:
        """Release file and loop."""
        self._exchange.close()
        self._runner.close()


def _candle(symbol: str, open_ms: int, shape: Bar) -> Candle:
    (instrument,) = (one for one in INSTRUMENTS if one.symbol == symbol)
    return Candle(
        symbol,
        open_ms,
        MINUTE,
        instrument.price_to_ticks(shape.open),
        instrument.price_to_ticks(shape.high),
        instrument.price_to_ticks(shape.low),
        instrument.price_to_ticks(shape.close),
        instrument.quantity_to_steps(shape.volume),
    )


class ScriptedBench:
    """The scripted fake without a script: it accepts everything, and a market order fills at the next open."""

    traits = Traits()

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._fake = ScriptedVenue(INSTRUMENTS, DEPOSIT, now_ms=START)
        self._events: list[VenueEvent] = []
        self._fake.subscribe(self._take)

    @property
    def venue(self) -> Venue:
        """The fake."""
        return self._fake

    def _take(self, event: VenueEvent) -> None:
        self._events.append(event)

    def call(self, question: Coroutine[Any, Any, T]) -> T:
        """Run one call of the venue to its answer."""
        return self._runner.run(question)

    def move(self, bars: Mapping[str, Bar], funding: Mapping[str, Decimal] | None = None) -> None:
        """Fill the market orders; there is no funding."""
        assert not funding
        for symbol, shape in sorted(bars.items()):
            self._fake.now_ms += MINUTE
            self._fake.fill_market_orders(symbol, shape.open)

    def drain(self) -> list[VenueEvent]:
        """What was sent to the subscriber."""
        taken, self._events = self._events, []
        return taken

    def close(self) -> None:
        """Release the loop."""
        self._runner.close()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedBench]:
    """An embedded exchange on a file of its own."""
    bench = EmbeddedBench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def scripted() -> Iterator[ScriptedBench]:
    """The fake that other tests put in a venue's place."""
    bench = ScriptedBench()
    yield bench
    bench.close()


class _Embedded:
    """Puts the embedded exchange on the bench."""

    @pytest.fixture
    def bench(self, embedded: EmbeddedBench) -> Bench:
        """The bench of the cases."""
        return embedded


class TestEmbeddedOrders(_Embedded, OrderContract):
    """The embedded exchange keeps orders as every venue does."""


class TestEmbeddedMatching(_Embedded, MatchingContract):
    """The embedded exchange matches as every venue does."""


class TestEmbeddedAccount(_Embedded, AccountContract):
    """The embedded exchange keeps accounts as every venue does."""


class TestScriptedOrders(OrderContract):
    """The scripted fake keeps orders as every venue does; it matches nothing by itself."""

    @pytest.fixture
    def bench(self, scripted: ScriptedBench) -> Bench:
        """The bench of the cases."""
        return scripted
