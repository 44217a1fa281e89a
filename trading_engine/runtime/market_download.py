"""Filling the candle store from a venue: what is missing is asked for, page by page, and kept as it comes.

What belongs here: which pages are asked for, patience with the venue, when something is stored. What does not: the
questions (venues), the store (marketdata.candle_store), what a person sees (cli).

Prices are asked for in units far below any tick, so that nothing is rounded where the tick was finer once. What is
missing in an answer is asked for a second time; what is missing then as well, and is no longer new, is remembered as
absent at the venue and not asked for again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, TypeVar

from trading_engine.domain.errors import ConfigInvalid, RateLimited, VenueRejected, VenueUnavailable
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.time import DAY_MS, HOUR_MS, SECOND_MS, floor_to
from trading_engine.marketdata.candle_store.convert import rows_of_candles, rows_of_rates
from trading_engine.marketdata.candle_store.holes import Span, covered, joined, without
from trading_engine.marketdata.candle_store.manifest import Manifest, Source, Units
from trading_engine.marketdata.candle_store.name import DatasetName
from trading_engine.marketdata.candle_store.rows import Rows, TooFine, join, merge
from trading_engine.marketdata.candle_store.soundness import only_sound, shape_of
from trading_engine.marketdata.candle_store.writing import Change, DatasetWriter, open_writer
from trading_engine.ports import PublicMarket
from trading_engine.runtime.remote import live_hosts, public_of
from trading_engine.system.clock import SystemClock
from trading_engine.venues.wire.settings import AccountSettings, Hosts

T = TypeVar("T")
Ask = Callable[[int, int], Awaitable[Rows]]

_PAGES = {"binance": 1_500, "bingx": 1_400, "zoomex": 990}  # candles that a venue tells at once
_FUNDING_PAGE_MS = 30 * DAY_MS  # of hourly settlements 720: below what every venue tells at once
_PRICE_DECIMALS, _VOLUME_DECIMALS = 10, 8
_PAUSE_S = 0.5  # from page to page: at the most half of what a venue allows, an engine on this machine has the rest
WAITS_S = (1.0, 2.0, 4.0)  # before a page is tried again
_LONGEST_WAIT_MS = 120_000  # for the venue's budget of requests
_NEW_MS = HOUR_MS  # what is missing of the last hour may still come
_KEEP_ROWS, _KEEP_S = 20_000, 10.0  # what comes is stored when it is so much, or so long ago
_MOST_NOTES = 5
_NOBODY = "nobody"  # the account of who has no key
_NOTHING = Change(0, 0, 0)


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """What is downloaded: candles of one symbol that open in [from_ms, to_ms), and its settlements if asked for.

    interval_ms    a day at the most: longer ones begin at different days from venue to venue
    to_ms          None for up to now
    again          ask also for what the venue is known not to have
    rest_url       another host than the venue's, empty for that
    page_candles   candles that are asked for at once, 0 for as many as the venue tells
    """

    venue: str
    symbol: str
    interval_ms: int
    from_ms: int
    to_ms: int | None
    folder: Path
    with_funding: bool = False
    again: bool = False
    rest_url: str = ""
    page_candles: int = 0


class Filled(NamedTuple):
    """What became of one dataset.

    asked     requests for rows
    lacking   spans for which the venue was asked and has nothing
    """

    manifest: Manifest | None
    name: DatasetName
    change: Change
    asked: int
    lacking: tuple[Span, ...]


@dataclass(slots=True)
class _Filling:
    """One dataset on its way: what has come and is not stored yet."""

    writer: DatasetWriter
    ask: Ask
    page_ms: int
    source: Source
    units: Units | None
    rows: list[Rows] = field(default_factory=list)
    absent: list[Span] = field(default_factory=list)
    change: Change = _NOTHING
    asked: int = 0
    lacking: list[Span] = field(default_factory=list)
    kept_s: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> DatasetName:
        return self.writer.name

    def take(self, rows: Rows) -> None:
        """Add a page."""
        if rows.size:
            self.rows.append(rows)

    def keep(self) -> None:
        """Store it."""
        if self.rows or self.absent:
            rows = join(self.rows, shape_of(self.name))
            change = self.writer.write(rows, self.source, absent=self.absent, units=self.units)
            self.change = Change(*(sum(pair) for pair in zip(self.change, change, strict=True)))
            self.rows, self.absent = [], []
        self.kept_s = time.monotonic()


class MarketDownload:
    """`run` once; figures may be read meanwhile and afterwards.

    phase         which dataset is being filled
    done, total   rows of it that were asked for, of those that are missing
    waiting       why nothing moves at present, empty while something does
    filled        what became of each dataset that was begun
    on_note       told what a person should know
    """

    def __init__(self, options: DownloadOptions, on_note: Callable[[str], None]) -> None:
        self.options = options
        self.phase = ""
        self.done = self.total = 0
        self.waiting = ""
        self.filled: list[Filled] = []
        self._on_note = on_note
        self._notes = 0
        self._left_out: set[str] = set()
        self._clock = SystemClock()
        self._stop = asyncio.Event()
        own = live_hosts(options.venue)
        self._hosts = Hosts(options.rest_url, "", "") if options.rest_url else own
        self._now_ms = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Download until everything is there or `stop` is set; what has come is stored in either case.

        Raises VenueUnavailable where the venue does not answer: what came before is stored, and the next run goes on
        behind it. ConfigInvalid for a symbol that is not listed, an interval that is not offered, and where the store
        cannot be written.
        """
        options, self._stop = self.options, stop
        settings = AccountSettings(_NOBODY, (options.symbol,), self._hosts)
        market = public_of(options.venue, settings, self._clock)
        try:
            offset_ms = await self._patiently(market.measure_clock)
            self._now_ms = self._clock.now_ms() + offset_ms
            instrument = await self._listed(market)
            await self._candles(market, instrument)
            if options.with_funding and not stop.is_set():
                await self._funding(market)
        finally:
            await market.close()

    async def _listed(self, market: PublicMarket) -> Instrument:
        try:
            (instrument,) = await self._patiently(market.listed)
        except ConfigInvalid as error:
            told = str(error).removeprefix(f"account {_NOBODY}: ")
            raise ConfigInvalid(told, exit_code=2) from None
        return instrument

    async def _candles(self, market: PublicMarket, instrument: Instrument) -> None:
        options = self.options
        fine = replace(instrument, tick=Decimal(1).scaleb(-_PRICE_DECIMALS), step=Decimal(1).scaleb(-_VOLUME_DECIMALS))

        async def ask(from_ms: int, to_ms: int) -> Rows:
            told = await market.candles(fine, options.interval_ms, from_ms, to_ms)
            return rows_of_candles(told, _PRICE_DECIMALS, _VOLUME_DECIMALS)

        async def first_day(from_ms: int, to_ms: int) -> int:
            days = await market.candles(fine, DAY_MS, floor_to(from_ms, DAY_MS), to_ms)
            # A day before what they tell: a day that is not over is not told.
            return (days[0].open_time_ms if days else floor_to(to_ms, DAY_MS)) - DAY_MS

        name = DatasetName(options.venue, options.symbol, options.interval_ms)
        page_ms = (options.page_candles or _PAGES[options.venue]) * options.interval_ms
        units = Units(instrument.tick, instrument.step, "venue")
        span = (-floor_to(-options.from_ms, options.interval_ms), floor_to(self._until(), options.interval_ms))
        await self._fill(name, ask, page_ms, span, units, first_day)

    async def _funding(self, market: PublicMarket) -> None:
        async def ask(from_ms: int, to_ms: int) -> Rows:
            return rows_of_rates(await market.settlements(self.options.symbol, from_ms, to_ms))

        name = DatasetName(self.options.venue, self.options.symbol, 0)
        await self._fill(name, ask, _FUNDING_PAGE_MS, (self.options.from_ms, self._until()), None, None)

    def _until(self) -> int:
        return min(self._now_ms, self.options.to_ms or self._now_ms)

    async def _fill(
        self,
        name: DatasetName,
        ask: Ask,
        page_ms: int,
        wanted: Span,
        units: Units | None,
        first_day: Callable[[int, int], Awaitable[int]] | None,
    ) -> None:
        source = Source("download", self._hosts.rest_url, self._clock.now_ms(), 0, 0, 0)
        with open_writer(self.options.folder, name) as writer:
            filling = _Filling(writer, ask, page_ms, source, units)
            spans = writer.missing(*wanted, with_absent=self.options.again)
            step_ms = name.spacing_ms
            self.phase, self.done = f"{name.symbol} {name.kind}", 0
            self.total = sum(-(-(end - start) // step_ms) for start, end in spans)
            try:
                for start, end in spans:
                    await self._span(filling, start, end, first_day)
            except (VenueUnavailable, VenueRejected) as error:
                raise VenueUnavailable(f"{name}: {error}") from None
            finally:
                filling.keep()
                lacking = tuple(joined(filling.lacking))
                self.filled.append(Filled(writer.manifest, name, filling.change, filling.asked, lacking))

    async def _span(
        self, filling: _Filling, at_ms: int, end_ms: int, first_day: Callable[[int, int], Awaitable[int]] | None
    ) -> None:
        """Ask for a span of missing rows, oldest first."""
        step_ms = filling.name.spacing_ms
        while at_ms < end_ms and not self._stop.is_set():
            begun_s, page_end_ms = time.monotonic(), min(at_ms + filling.page_ms, end_ms)
            is_empty = await self._page(filling, at_ms, page_end_ms)
            if is_empty and first_day is not None and end_ms - page_end_ms > filling.page_ms:
                # Before a symbol was listed there may be years of nothing: its days are asked for at once.
                there_ms = max(page_end_ms, min(await self._patiently(first_day, page_end_ms, end_ms), end_ms))
                self._lack(filling, [(page_end_ms, there_ms)])
                page_end_ms = there_ms
            self.done += -(-(page_end_ms - at_ms) // step_ms)
            at_ms = page_end_ms
            is_much = sum(rows.size for rows in filling.rows) >= _KEEP_ROWS
            if is_much or time.monotonic() - filling.kept_s >= _KEEP_S:
                filling.keep()
            if at_ms < end_ms and not self._hosts.is_local:
                await self._pause(_PAUSE_S - (time.monotonic() - begun_s))

    async def _page(self, filling: _Filling, from_ms: int, to_ms: int) -> bool:
        """Ask for one page, and once more for what is missing in it; whether it has nothing at all."""
        name = filling.name
        step_ms, row_ms = name.spacing_ms, name.interval_ms or 1
        rows = self._sound(name, await self._patiently(filling.ask, from_ms, to_ms))
        filling.asked += 1
        holes = without([(from_ms, to_ms)], covered(rows.ts, step_ms, row_ms))
        if holes and not name.is_funding:
            try:
                more = self._sound(name, await self._patiently(filling.ask, holes[0][0], holes[-1][1]))
            except VenueUnavailable:
                filling.take(rows)
                raise
            filling.asked += 1
            rows = merge(rows, more, shape_of(name)).rows
            holes = without([(from_ms, to_ms)], covered(rows.ts, step_ms, row_ms))
        filling.take(rows)
        self._lack(filling, holes)
        return not rows.size

    def _sound(self, name: DatasetName, rows: Rows) -> Rows:
        """The rows that can be; the others are told."""
        sound, problems = only_sound(rows, name)
        for problem in [one for one in problems if one not in self._left_out]:
            self._left_out.add(problem)
            self._note(f"{name}: the venue tells what cannot be, left out: {problem}")
        return sound

    def _lack(self, filling: _Filling, holes: list[Span]) -> None:
        """Remember what the venue does not have, but of what is so new that it may still come."""
        old_ms = self._now_ms - _NEW_MS
        filling.lacking += holes
        for start, end in holes:
            if start < min(end, old_ms):
                filling.absent.append((start, min(end, old_ms)))

    async def _patiently(self, ask: Callable[..., Awaitable[T]], *arguments: int) -> T:
        """The answer to a question, after some tries where that takes them; VenueUnavailable."""
        waits = list(WAITS_S)
        while True:
            try:
                return await ask(*arguments)
            except RateLimited as error:
                if error.retry_after_ms > _LONGEST_WAIT_MS or self._stop.is_set():
                    raise
                pause_s = error.retry_after_ms / SECOND_MS
                self.waiting = f"waiting {pause_s:.0f} s for the venue's budget of requests"
            except VenueUnavailable as error:
                if not waits or self._stop.is_set():
                    raise
                pause_s = waits.pop(0)
                self.waiting = "trying again"
                self._note(f"{error}; trying again in {pause_s:.0f} s")
            except (OverflowError, TooFine):
                raise VenueUnavailable("the venue tells numbers of more than 18 digits") from None
            await self._pause(pause_s)
            self.waiting = ""

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until somebody wants the end."""
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), seconds)

    def _note(self, text: str) -> None:
        self._notes += 1
        if self._notes <= _MOST_NOTES:
            self._on_note(text)
        elif self._notes == _MOST_NOTES + 1:
            self._on_note("and more of the kind, not told one by one")


def far_below_tick(instrument: Instrument) -> Instrument:
    """The instrument with a tick and a step of which every price and volume of a venue is a multiple."""
    return replace(instrument, tick=Decimal(1).scaleb(-_PRICE_DECIMALS), step=Decimal(1).scaleb(-_VOLUME_DECIMALS))
