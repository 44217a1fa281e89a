"""Candles and funding rates downloaded from servers that speak the venues' protocols, over real sockets."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import pytest

from trading_engine.domain.errors import ConfigInvalid, VenueUnavailable
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from trading_engine.marketdata.candle_store.dataset import Dataset, open_dataset
from trading_engine.marketdata.candle_store.name import DatasetName
from trading_engine.marketdata.candle_store.writing import open_writer
from trading_engine.runtime import market_download
from trading_engine.runtime.market_download import DownloadOptions, Filled, MarketDownload
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.faults import Faults, Mishap, Rule
from trading_engine.venue_servers.serve import PROTOCOLS
from trading_engine.venue_servers.web import WebServer
from trading_engine.venues.embedded.facts import known_instrument
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials

START = 1_746_316_800_000  # 2025-05-04T00:00Z
MINUTES = 240
HOLES = {*range(50, 57), 130}
PAGE = 60
SETTLED = [FundingRate("BTCUSDT", START + HOUR_MS * hour // 2, Decimal(hour) / 10_000) for hour in (1, 3, 7)]
CANDLES = {
    "binance": "GET /fapi/v1/klines",
    "bingx": "GET /openApi/swap/v3/quote/klines",
    "zoomex": "GET /cloud/trade/v3/market/kline",
}
VENUES = pytest.mark.parametrize("venue", sorted(CANDLES))


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are tried again at once."""
    monkeypatch.setattr(market_download, "WAITS_S", (0.01, 0.01))


class Standing:
    """A clock that is only ever set."""

    def __init__(self) -> None:
        self.minute = MINUTES

    def now_ms(self) -> int:
        """A moment after a minute has ended, and longer ago than what may still come."""
        return START + self.minute * MINUTE_MS + 2_000

    async def sleep_until(self, at_ms: int) -> None:
        """Nobody waits."""
        raise NotImplementedError(f"the server was asked to wait until {at_ms}")


def candle(minute: int) -> Candle:
    base = 600_000 + 10 * minute
    return Candle("BTCUSDT", START + minute * MINUTE_MS, MINUTE_MS, base, base + 50, base - 50, base + 11, 5_001)


@dataclass
class Bench:
    """A server with some hours of history, and downloads from it."""

    venue: str
    folder: Path
    clock: Standing = field(default_factory=Standing)
    rules: Sequence[Rule] = ()
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        instrument = known_instrument("BTCUSDT")
        assert instrument is not None
        terms, memory = Terms(), Memory(self.folder / f"{self.venue}.db")
        self.exchange = LocalExchange(memory, [instrument], terms, Decimal(1_000), self.clock)
        self.faults = Faults(self.rules)
        self.url = ""
        self.live(0, MINUTES)

    def live(self, first: int, last: int) -> None:
        """Minutes pass."""
        for minute in range(first, last):
            told = [] if minute in HOLES else [candle(minute)]
            rates = [rate for rate in SETTLED if rate.ts_ms == START + minute * MINUTE_MS]
            self.exchange.play(START + minute * MINUTE_MS, told, rates)
        self.clock.minute = last

    @property
    def asked(self) -> int:
        """How often candles were asked for."""
        return self.faults.visits[CANDLES[self.venue]]

    async def download(self, stop: asyncio.Event | None = None, **changes: object) -> list[Filled]:
        """What became of a download of everything there is."""
        wanted = DownloadOptions(self.venue, "BTCUSDT", MINUTE_MS, START, None, self.folder / "data")
        options = replace(wanted, **{"rest_url": self.url, "page_candles": PAGE, **changes})  # type: ignore[arg-type]
        work = MarketDownload(options, self.notes.append)
        self.work = work
        await work.run(stop or asyncio.Event())
        return work.filled

    async def command(self, *arguments: str, is_told_to_end: bool = False) -> tuple[int, str, str]:
        """What `data download` says, in a process of its own: exit code, stdout, stderr."""
        named = ["--venue", self.venue, "--symbol", "BTCUSDT", "--rest-url", self.url]
        before = self.asked
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "trading_engine", "data", "download", *named, "--data", f"{self.folder}/data"),
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name != "COLUMNS"},
        )
        async with asyncio.timeout(60):
            while is_told_to_end and self.asked == before:  # noqa: ASYNC110 - a server tells nobody
                await asyncio.sleep(0.01)
            if is_told_to_end:
                process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    def stored(self) -> Dataset:
        """What lies in the store."""
        return open_dataset(self.folder / "data", self.venue, "BTCUSDT", MINUTE_MS)

    def minutes(self) -> list[int]:
        """Which minutes lie in the store."""
        return [(ts - START) // MINUTE_MS for ts in self.stored().block().ts.tolist()]

    def talk(self, story: Callable[["Bench"], object]) -> None:
        """Tell a story while the server serves."""

        async def serve() -> None:
            credentials = Credentials("a-strangers-key", "a-strangers-secret")
            server = WebServer(PROTOCOLS[self.venue](self.exchange, credentials), self.faults)
            self.url = f"http://127.0.0.1:{await server.start()}"
            try:
                await story(self)  # type: ignore[misc]
            finally:
                await server.stop()
                self.exchange.close()

        asyncio.run(serve())


def served(minutes: int = MINUTES) -> list[int]:
    """The minutes that the venue has."""
    return [minute for minute in range(minutes) if minute not in HOLES]


@VENUES
def test_pages_are_joined_and_holes_are_told(tmp_path: Path, venue: str) -> None:
    """Every candle to the last digit, in the venue's units, and what the venue does not have."""

    async def story(bench: Bench) -> None:
        (filled,) = await bench.download()
        assert served() == bench.minutes()
        instrument = known_instrument("BTCUSDT")
        dataset = bench.stored()
        block = dataset.block(instrument=instrument)
        wanted = [candle(minute) for minute in served()]
        columns = ("open_time_ms", "open", "high", "low", "close", "volume")
        for column, read in zip(columns, block[:6], strict=True):
            assert [getattr(one, column) for one in wanted] == read.tolist()
        units = dataset.manifest.units
        assert units is not None
        assert (Decimal("0.1"), Decimal("0.001"), "venue") == (units.tick, units.step, units.told_by)
        lacking = ((START + 50 * MINUTE_MS, START + 57 * MINUTE_MS), (START + 130 * MINUTE_MS, START + 131 * MINUTE_MS))
        assert (len(served()), lacking) == (filled.change.added, filled.lacking)
        assert [7, 1] == [gap.missing for gap in dataset.gaps()]

    Bench(venue, tmp_path).talk(story)


@VENUES
def test_only_what_is_missing_is_asked_for(tmp_path: Path, venue: str) -> None:
    """Nothing again where everything is there; then the minutes that came since, and what lies before."""

    async def story(bench: Bench) -> None:
        await bench.download(from_ms=START + 120 * MINUTE_MS)
        before = bench.asked
        (filled,) = await bench.download(from_ms=START + 120 * MINUTE_MS)
        assert (before, 0) == (bench.asked, filled.asked)
        bench.live(MINUTES, MINUTES + 5)
        (filled,) = await bench.download()
        assert (len(served(120)) + 5, 0) == (filled.change.added, filled.change.same)
        assert served(MINUTES + 5) == bench.minutes()

    Bench(venue, tmp_path).talk(story)


def test_what_is_missing_of_the_last_hour_is_asked_for_again(tmp_path: Path) -> None:
    """It may still come; what was missing for longer is not."""

    async def story(bench: Bench) -> None:
        await bench.download(to_ms=START + 140 * MINUTE_MS)
        (filled,) = await bench.download(to_ms=START + 140 * MINUTE_MS)
        assert (2, ((START + 130 * MINUTE_MS, START + 131 * MINUTE_MS),)) == (filled.asked, filled.lacking)

    bench = Bench("binance", tmp_path)
    bench.clock.minute = 150
    bench.talk(story)


@VENUES
def test_a_failure_in_the_middle_loses_nothing(tmp_path: Path, venue: str) -> None:
    """What came before it is stored, and the next download goes on behind it."""

    async def story(bench: Bench) -> None:
        with pytest.raises(VenueUnavailable, match=f"^{venue} BTCUSDT 1m: "):
            await bench.download()
        assert served(120) == bench.minutes()
        assert 2 == len(bench.notes)
        assert all("trying again" in note for note in bench.notes)
        bench.faults.rules.clear()
        before = bench.asked
        (filled,) = await bench.download()
        assert served() == bench.minutes()
        assert (len(served()) - len(served(120)), 3) == (filled.change.added, bench.asked - before)

    fails = Rule(site=CANDLES[venue], fault=Mishap.LOST_REQUEST, visits=tuple(range(4, 40)))
    Bench(venue, tmp_path, rules=[fails]).talk(story)


def test_a_page_whose_second_look_fails_is_stored(tmp_path: Path) -> None:
    """Its holes are not taken for what the venue lacks: they are asked for again."""

    async def story(bench: Bench) -> None:
        with pytest.raises(VenueUnavailable):
            await bench.download()
        assert served(60) == bench.minutes()
        bench.faults.rules.clear()
        (filled,) = await bench.download(to_ms=START + 60 * MINUTE_MS)
        assert (2, 0) == (filled.asked, filled.change.added)
        (filled,) = await bench.download(to_ms=START + 60 * MINUTE_MS)
        assert 0 == filled.asked

    fails = Rule(site=CANDLES["binance"], fault=Mishap.STATUS, visits=tuple(range(2, 40)))
    Bench("binance", tmp_path, rules=[fails]).talk(story)


@VENUES
def test_a_page_that_fails_once_is_asked_for_again(tmp_path: Path, venue: str) -> None:
    """By the adapter or the download; without a hole."""

    async def story(bench: Bench) -> None:
        await bench.download()
        assert served() == bench.minutes()
        assert 1 == sum(bench.faults.met.values())

    Bench(venue, tmp_path, rules=[Rule(site=CANDLES[venue], fault=Mishap.STATUS, visits=(3,))]).talk(story)


@VENUES
def test_settlements_are_downloaded_beside_the_candles(tmp_path: Path, venue: str) -> None:
    """All there are, and none twice."""

    async def story(bench: Bench) -> None:
        *_, funding = await bench.download(with_funding=True)
        assert (len(SETTLED), 0) == (funding.change.added, funding.change.same)
        assert SETTLED == bench.stored().funding()
        (_, funding) = await bench.download(with_funding=True)
        assert (1, 0) == (funding.asked, funding.change.added)  # what is new may still come
        assert SETTLED == bench.stored().funding()

    Bench(venue, tmp_path).talk(story)


@VENUES
def test_years_before_a_listing_are_asked_for_by_their_days(tmp_path: Path, venue: str) -> None:
    """Not page by page; and they are not asked for again."""

    async def story(bench: Bench) -> None:
        from_ms = START - 700 * DAY_MS
        await bench.download(from_ms=from_ms, page_candles=0)
        assert served() == bench.minutes()
        first = bench.asked
        assert first < 12
        (filled,) = await bench.download(from_ms=from_ms)
        assert (first, 0) == (bench.asked, filled.asked)
        (filled,) = await bench.download(from_ms=START, again=True)
        assert 4 == filled.asked  # each of the two holes is asked for, and once more
        assert served() == bench.minutes()

    Bench(venue, tmp_path).talk(story)


@VENUES
def test_a_symbol_that_is_not_listed_is_a_mistake_of_the_command(tmp_path: Path, venue: str) -> None:
    """So is an interval that the venue does not offer; named, and nothing is left behind in the store."""

    async def story(bench: Bench) -> None:
        with pytest.raises(ConfigInvalid, match=r"45m candles|45m is not offered|2700000 ms"):
            await bench.download(interval_ms=45 * MINUTE_MS)
        with pytest.raises(ConfigInvalid, match="NOSUCHUSDT is not listed") as told:
            await bench.download(symbol="NOSUCHUSDT")
        assert 2 == told.value.exit_code
        assert not list((tmp_path / "data").glob("*"))

    Bench(venue, tmp_path).talk(story)


def test_a_venue_that_asks_for_patience_gets_it(tmp_path: Path) -> None:
    """Its pause is waited for, and counts as no failure."""
    pause = Rule(
        site=CANDLES["binance"],
        fault=Mishap.STATUS,
        visits=(2, 4),
        status=429,
        body='{"code":-1003,"msg":"Too many requests"}',
        headers={"Retry-After": "1"},
    )

    async def story(bench: Bench) -> None:
        await bench.download()
        assert served() == bench.minutes()
        assert [] == bench.notes

    Bench("binance", tmp_path, rules=[pause]).talk(story)


def test_a_candle_that_cannot_be_is_left_out_and_told(tmp_path: Path) -> None:
    """A high below its low is no price; the rest of the page is stored."""
    rows = [
        [START + minute * MINUTE_MS, "100", "101", "99", "100", "1", START + (minute + 1) * MINUTE_MS - 1]
        for minute in range(3)
    ]
    rows[1][2] = "98"
    odd = Rule(site=CANDLES["binance"], fault=Mishap.STATUS, status=200, body=json.dumps(rows), visits=(1, 2))

    async def story(bench: Bench) -> None:
        await bench.download(to_ms=START + 3 * MINUTE_MS)
        assert [0, 2] == bench.minutes()
        assert [
            "binance BTCUSDT 1m: the venue tells what cannot be, left out: 2025-05-04T00:01:00.000Z: high 98 is"
            " below open or close"
        ] == bench.notes

    Bench("binance", tmp_path, rules=[odd]).talk(story)


def test_prices_of_a_time_with_a_finer_tick_are_not_rounded(tmp_path: Path) -> None:
    """The tick of today has nothing to do with it."""
    rows = [
        [
            START + minute * MINUTE_MS,
            "100.0625",
            "101.12345678",
            "99.5",
            "100",
            "0.12345678",
            START + (minute + 1) * MINUTE_MS - 1,
        ]
        for minute in range(2)
    ]
    fine = Rule(site=CANDLES["binance"], fault=Mishap.STATUS, status=200, body=json.dumps(rows), visits=(1,))

    async def story(bench: Bench) -> None:
        await bench.download(to_ms=START + 2 * MINUTE_MS)
        dataset = bench.stored()
        block = dataset.block()
        assert (Decimal("1E-8"), Decimal("1E-8")) == (dataset.price_unit, dataset.volume_unit)
        assert (10_006_250_000, 10_112_345_678, 12_345_678) == (block.open[0], block.high[1], block.volume[0])

    Bench("binance", tmp_path, rules=[fine]).talk(story)


def test_a_download_that_is_stopped_keeps_what_has_come(tmp_path: Path) -> None:
    """It ends between two pages."""

    async def story(bench: Bench) -> None:
        stop = asyncio.Event()
        work = asyncio.create_task(bench.download(stop))
        async with asyncio.timeout(60):
            while bench.asked < 2:  # noqa: ASYNC110 - a server tells nobody
                await asyncio.sleep(0)
            stop.set()
            (filled,) = await work
        assert bench.minutes() == served()[: filled.change.added]
        assert 0 < filled.change.added < len(served())
        await bench.download()
        assert served() == bench.minutes()

    slow = Rule(site=CANDLES["binance"], fault=Mishap.SLOW, delay_ms=50)
    Bench("binance", tmp_path, rules=[slow]).talk(story)


def test_a_dataset_that_is_being_written_is_not_downloaded(tmp_path: Path) -> None:
    """Two at once are refused, for safety."""

    async def story(bench: Bench) -> None:
        name, refused = DatasetName("binance", "BTCUSDT", MINUTE_MS), "another import or download"
        with open_writer(tmp_path / "data", name), pytest.raises(ConfigInvalid, match=refused) as told:
            await bench.download()
        assert 3 == told.value.exit_code
        assert 0 == bench.asked

    Bench("binance", tmp_path).talk(story)


def test_the_command_tells_what_became_of_it(tmp_path: Path) -> None:
    """Rows, span, what is missing, what the venue does not have."""

    async def story(bench: Bench) -> None:
        code, out, err = await bench.command("--from", "2025-05-03", "--funding")
        folder = tmp_path / "data" / "zoomex" / "BTCUSDT"
        assert (
            " zoomex BTCUSDT 1m: 232 added\n"
            f" 232 candles from 2025-05-04 00:00 to 2025-05-04 03:59, 8 missing in 2 gaps · {folder}/1m\n"
            " zoomex has nothing before 2025-05-04 00:00\n"
            " 8 candles of what was asked for are not to be had at zoomex\n"
            " zoomex BTCUSDT funding: 3 added\n"
            f" 3 settlements from 2025-05-04 00:30 to 2025-05-04 03:30, none missing · {folder}/funding\n"
            " zoomex has nothing before 2025-05-04 00:30\n"
        ) == out
        assert (0, "") == (code, err)

    Bench("zoomex", tmp_path).talk(story)


def test_the_command_ends_in_order_when_it_is_told_to(tmp_path: Path) -> None:
    """Ctrl-C between two pages: what has come is stored, exit code 130, and the same command goes on."""

    async def story(bench: Bench) -> None:
        code, out, err = await bench.command("--from", "2025-05-04", is_told_to_end=True)
        assert (130, "") == (code, err)
        assert out.endswith("stopped; the same command goes on from here\n")
        assert bench.minutes() == served()[: len(bench.minutes())]
        await bench.download()
        assert served() == bench.minutes()

    slow = Rule(site=CANDLES["binance"], fault=Mishap.SLOW, delay_ms=2_000, visits=(1,))
    Bench("binance", tmp_path, rules=[slow]).talk(story)
