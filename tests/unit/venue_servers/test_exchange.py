"""The exchange behind every local server: its time, and what a restart finds."""

import asyncio
import json
import time
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from builders import BTC, T0, make_instrument

from trading_engine.domain.market import Candle
from trading_engine.venue_servers.clock import MovedClock
from trading_engine.venue_servers.exchange import LocalExchange, Ticked, points_passed
from trading_engine.venue_servers.serve import ServeOptions, VenueServer
from trading_engine.venues.embedded.account import Kind
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials

MINUTE = 60_000
ROWS = 20


def candle(open_ms: int, open_: int, high: int, low: int, close: int) -> Candle:
    return Candle(BTC, open_ms, MINUTE, open_, high, low, close, 100_000)


@pytest.fixture
def clock() -> MovedClock:
    """Stands at a full minute."""
    return MovedClock(T0)


def opened(path: Path, clock: MovedClock) -> LocalExchange:
    """An exchange on a file, with a deposit when it is new."""
    terms = Terms(slippage_ppm=0, volume_share_ppm=1_000_000)
    return LocalExchange(Memory(path), [make_instrument(max_quantity=Decimal(100))], terms, Decimal(10_000), clock)


def test_trades_never_lie_before_those_that_came_earlier(tmp_path: Path, clock: MovedClock) -> None:
    """A minute that is matched late begins no earlier than the order that was taken in between."""
    exchange = opened(tmp_path / "venue.db", clock)
    exchange.play(T0, [candle(T0, 1_000, 1_000, 1_000, 1_000)], [])
    clock.move(MINUTE + 4_000)  # the next minute has begun, and nobody has matched it yet
    exchange.submit(BTC, Kind.MARKET, 1, Decimal(1), client_order_id="entry")
    exchange.submit(BTC, Kind.STOP, -1, Decimal(1), Decimal(95), client_order_id="stop", reduce_only=True)
    exchange.play(T0 + MINUTE, [candle(T0 + MINUTE, 940, 940, 940, 940)], [], points=1)
    times = [row.ts_ms for row in exchange.trades()]
    exchange.close()
    assert [T0 + MINUTE + 4_000] * 2 == times


def test_a_minute_that_is_matched_again_after_a_restart_does_not_go_back(tmp_path: Path, clock: MovedClock) -> None:
    """Its low was there before the restart; a stop that is placed afterwards is not hit by it."""
    passing = candle(T0, 1_000, 1_050, 900, 1_040)
    exchange = opened(tmp_path / "venue.db", clock)
    exchange.play(T0, [passing], [], points=1)
    exchange.submit(BTC, Kind.MARKET, 1, Decimal(2), client_order_id="entry")
    clock.move(31_000)
    exchange.play(T0, [passing], [], points=3)  # the low, then the high
    exchange.submit(BTC, Kind.STOP, -1, Decimal(1), Decimal(95), client_order_id="stop", reduce_only=True)
    exchange.close()
    exchange = opened(tmp_path / "venue.db", clock)
    for points in (1, 2, 3, 4):
        exchange.play(T0, [passing], [], points)
    found = exchange.order(client_order_id="stop")
    exchange.close()
    assert found is not None
    assert found.status.is_open


class JumpingClock(MovedClock):
    """Whoever waits is there at once."""

    async def sleep_until(self, at_ms: int) -> None:
        """Move on to the instant."""
        self.move(max(at_ms - self.now_ms(), 0))


def test_a_minute_that_is_played_never_falls_silent(tmp_path: Path) -> None:
    """A client takes twenty seconds without a price for a stream that has died, as at a real venue."""
    clock, heard = JumpingClock(T0), [T0]
    exchange = opened(tmp_path / "venue.db", clock)
    exchange.subscribe(lambda happening: heard.append(clock.now_ms()) if isinstance(happening, Ticked) else None)
    passing = candle(T0, 1_000, 1_050, 900, 1_040)
    for minute in range(2):
        at_ms = T0 + minute * MINUTE
        asyncio.run(exchange.live(at_ms, [passing._replace(open_time_ms=at_ms)], []))
    exchange.close()
    assert 15_000 == max(later - earlier for earlier, later in pairwise(heard))


@pytest.mark.parametrize(("passed_ms", "points"), [(-5, 1), (0, 1), (14_999, 1), (15_000, 2), (45_000, 3), (59_999, 3)])
def test_the_last_point_of_a_minute_comes_with_its_end(passed_ms: int, points: int) -> None:
    """The others come every quarter of it."""
    assert points == points_passed(passed_ms)


def write_market(path: Path) -> None:
    """The price falls by one in every minute, from 100 in the first."""
    lines = ["ts,open,high,low,close,volume"]
    lines += [f"{T0 + row * MINUTE},{100 - row},{100 - row},{99 - row},{99 - row},1000" for row in range(ROWS)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_server_has_matched_what_it_missed_before_it_listens(tmp_path: Path) -> None:
    """An order that comes to the first listening moment meets the price of now, and the stop has long filled."""
    write_market(tmp_path / "btc.csv")
    db = tmp_path / "venue.db"
    options = ServeOptions("binance", 0, Credentials("key", "secret"), replay={BTC: tmp_path / "btc.csv"}, db=db)

    async def served(sleeps_ms: int) -> tuple[list[str], int]:
        """Run until it listens, then stop; what is open then, and the price."""
        if sleeps_ms:
            kept = json.loads(db.with_suffix(".clock.json").read_text(encoding="utf-8"))
            kept["wall_ms"] -= sleeps_ms
            db.with_suffix(".clock.json").write_text(json.dumps(kept), encoding="utf-8")
        server, ready = VenueServer(options), asyncio.Event()
        running = asyncio.create_task(server.run(ready))
        async with asyncio.timeout(30):
            await ready.wait()
        exchange = server.exchange
        assert exchange is not None
        if not sleeps_ms:
            exchange.submit(BTC, Kind.MARKET, 1, Decimal(1), client_order_id="entry")
            exchange.submit(BTC, Kind.STOP, -1, Decimal(1), Decimal(88), client_order_id="stop", reduce_only=True)
        open_ids = [order.client_order_id for order in exchange.orders(only_open=True)]
        found = open_ids, exchange.last_ticks(BTC)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return found

    begun = time.monotonic()
    assert (["stop"], 900) == asyncio.run(served(0))
    assert time.monotonic() - begun < MINUTE / 1000
    assert ([], 850) == asyncio.run(served(5 * MINUTE))


def test_a_server_tells_the_settlements_of_its_history(tmp_path: Path) -> None:
    """As it tells the candles before its start; each once."""
    replay, funding = tmp_path / "market.csv", tmp_path / "funding.csv"
    rows = [f"{T0 + row * MINUTE},100,101,99,100,50" for row in range(ROWS)]
    replay.write_text("\n".join(["ts,open,high,low,close,volume", *rows]) + "\n", encoding="utf-8")
    due = [T0, T0 + 3 * MINUTE, T0 + ROWS * MINUTE // 2]
    funding.write_text("\n".join(["ts,rate", *(f"{ts},0.0001" for ts in due)]) + "\n", encoding="utf-8")
    options = ServeOptions("binance", 0, Credentials("key", "secret"), {BTC: replay}, {BTC: funding})

    async def told() -> list[int]:
        server, ready = VenueServer(options), asyncio.Event()
        running = asyncio.create_task(server.run(ready))
        async with asyncio.timeout(30):
            await ready.wait()
            assert server.exchange is not None
            known = server.exchange.markets[BTC].funding
            while len(known) < len(due):  # noqa: ASYNC110 - the last one is due with the first live minute
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return [rate.ts_ms for rate in known]

    assert due == asyncio.run(told())
