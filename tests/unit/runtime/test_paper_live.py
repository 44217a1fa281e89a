"""What a paper run at a venue does with the minutes that it missed, and which contracts it trades."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from builders import make_settings

from trading_engine.config.load import load_config
from trading_engine.config.model import Config
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, FundingRate, Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderRequest, TradeSide
from trading_engine.domain.time import HOUR_MS, MINUTE_MS
from trading_engine.runtime import paper_live
from trading_engine.runtime.bootstrap import RunOptions
from trading_engine.runtime.paper_live import LivePaperRun
from trading_engine.system.state_dir import StateDir
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.embedded.venue import EmbeddedVenue

BTC, DOGE, ODD = "BTCUSDT", "DOGEUSDT", "ODDUSDT"
START = 1_746_316_800_000
MINUTES = 130  # of downtime
RATE = Decimal("0.0001")
TIERS = (MarginTier(Decimal(10**10), Decimal("0.005"), Decimal(0), Decimal(50)),)


def contract(symbol: str = BTC, tick: str = "0.5") -> Instrument:
    base = make_settings().instruments[BTC]
    return replace(base, symbol=symbol, tick=Decimal(tick), max_leverage=Decimal(50), tiers=TIERS)


class Market:
    """A venue whose price stands still and that settles every hour."""

    def __init__(self, *, tells_tiers: bool = False) -> None:
        self.tells_tiers = tells_tiers
        self.asked: list[tuple[int, int]] = []

    async def close(self) -> None:
        """Nothing is open."""

    async def measure_clock(self) -> int:
        """The same as ours."""
        return 0

    async def listed(self) -> Sequence[Instrument]:
        """Three contracts."""
        return [contract(BTC), contract(DOGE, "0.00001"), contract(ODD)]

    async def candles(self, instrument: Instrument, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """One a minute."""
        self.asked.append((since_ms, until_ms))
        return [candle(at_ms) for at_ms in range(since_ms, until_ms, interval_ms) if instrument.symbol == BTC]

    async def settlements(self, symbol: str, since_ms: int, until_ms: int) -> Sequence[FundingRate]:
        """On every full hour in the span."""
        hours = range(-(-since_ms // HOUR_MS) * HOUR_MS, until_ms, HOUR_MS)
        return [FundingRate(symbol, at_ms, RATE) for at_ms in hours]


def candle(open_ms: int) -> Candle:
    return Candle(BTC, open_ms, MINUTE_MS, 200_000, 200_000, 200_000, 200_000, 1_000_000)


def configured(folder: Path, symbols: str = BTC, more: str = "") -> Config:
    path = folder / "engine.yaml"
    text = f"mode: paper\nvenue: binance\nsymbols: [{symbols}]\nstrategies: [{{name: trend_vwap}}]\n{more}"
    path.write_text(text, encoding="utf-8")
    return load_config(path, {}, {}, None)


def exchange(folder: Path) -> EmbeddedVenue:
    memory = Memory(folder / "paper.db")
    return EmbeddedVenue(memory, [contract()], Terms(), Decimal(10_000), START - MINUTE_MS)


async def hold(venue: EmbeddedVenue) -> None:
    """A position from the first minute on."""
    list(venue.play(START - MINUTE_MS, [candle(START - MINUTE_MS)], ()))
    request = OrderRequest(
        client_order_id="entry",
        symbol=BTC,
        side=TradeSide.BUY,
        type=OrderType.MARKET,
        quantity=Decimal("0.01"),
        reduce_only=False,
        position_side=Side.LONG,
    )
    await venue.submit(request)
    list(venue.play(START, [candle(START)], ()))


async def caught_up(folder: Path, venue: EmbeddedVenue, market: Market) -> None:
    """Let a start at the end of the downtime bring the exchange there."""
    run = LivePaperRun(RunOptions(folder / "engine.yaml"), configured(folder), StateDir(folder))
    run._market, run._instruments = market, {BTC: contract()}
    run._begin_ms = START + MINUTES * MINUTE_MS
    await run._catch_up(None, venue)  # type: ignore[arg-type]


@pytest.mark.parametrize("chunk_minutes", [1_000, 50, 60])
def test_the_minutes_that_were_missed_are_matched_with_their_funding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_minutes: int
) -> None:
    """Every settlement of the downtime once, however it is read, up to the last minute before the run begins."""
    monkeypatch.setattr(paper_live, "_CHUNK_MS", chunk_minutes * MINUTE_MS)

    async def main() -> tuple[int, list[int]]:
        venue = exchange(tmp_path)
        try:
            await hold(venue)
            await caught_up(tmp_path, venue, Market())
            incomes = await venue.incomes_since(START)
            return venue.progress.open_ms, [income.ts_ms for income in incomes]
        finally:
            venue.close()

    last_ms, paid_ms = asyncio.run(main())
    assert START + (MINUTES - 1) * MINUTE_MS == last_ms
    assert [START + HOUR_MS, START + 2 * HOUR_MS] == paid_ms


def test_an_exchange_with_nothing_open_has_nothing_to_match(tmp_path: Path) -> None:
    """A month of downtime costs no question."""

    async def main() -> list[tuple[int, int]]:
        venue, market = exchange(tmp_path), Market()
        try:
            list(venue.play(START, [candle(START)], ()))
            await caught_up(tmp_path, venue, market)
            return market.asked
        finally:
            venue.close()

    assert [] == asyncio.run(main())


def test_contracts_are_the_venues_and_what_it_does_not_tell_is_built_in(tmp_path: Path) -> None:
    """The tick always; leverage and tiers of a well-known symbol from the table, otherwise those assumed."""
    config = configured(
        tmp_path, f"{BTC}, {DOGE}, {ODD}", f"paper: {{instruments: {{{DOGE}: {{maintenance_pct: 2}}}}}}\n"
    )
    silent = asyncio.run(paper_live._instruments(Market(), config))
    assert ["0.5", "0.00001", "0.5"] == [f"{silent[symbol].tick:f}" for symbol in (BTC, DOGE, ODD)]
    assert [125, 75, 50] == [int(silent[symbol].max_leverage) for symbol in (BTC, DOGE, ODD)]
    assert Decimal("0.02") == silent[DOGE].tiers[0].maintenance_rate
    telling = asyncio.run(paper_live._instruments(Market(tells_tiers=True), config))
    assert (Decimal(50), TIERS) == (telling[BTC].max_leverage, telling[BTC].tiers)
