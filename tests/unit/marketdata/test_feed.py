"""The live feed in made-up time: a scripted stream, a scripted history, no waiting."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import TypeVar

import pytest

from trading_engine.domain.errors import RateLimited, VenueUnavailable
from trading_engine.domain.market import Candle
from trading_engine.domain.streams import CandleUpdate
from trading_engine.marketdata.assembly import Patience
from trading_engine.marketdata.feed import FeedSettings, LiveFeed, Notice, NoticeKind
from trading_engine.simulation.loop import VirtualLoop

BTC, ETH = "BTCUSDT", "ETHUSDT"
MINUTE = 60_000
START = 1_735_689_600_000  # on a minute
TRIP_S = 0.1
Known = TypeVar("Known")


def truth(symbol: str, open_ms: int) -> Candle:
    """The candle as the venue has it: every number follows from its time."""
    number = (open_ms - START) // MINUTE
    base = (1_000 if symbol == BTC else 2_000) + number
    return Candle(symbol, open_ms, MINUTE, base, base + 5, base - 5, base + 1, 10 + number % 7)


class LoopClock:
    """The running loop's time, as if it had begun at START."""

    def now_ms(self) -> int:
        """The present instant."""
        return START + round(asyncio.get_running_loop().time() * 1000)


class Market:
    """A venue in small: it pushes updates every second and answers for its history."""

    def __init__(self, clock: LoopClock) -> None:
        self.clock = clock
        self.silent: set[str] = set()
        self.down: set[str] = set()
        self.error: Exception = VenueUnavailable("no answer within 5000 ms")
        self.settle_ms = 0
        self.asked: list[tuple[str, int, int]] = []
        self.heard: dict[str, int] = {}
        self.spoils: Callable[[Candle], Candle] = lambda candle: candle
        self.on_update: Callable[[CandleUpdate], None] = [].append
        self.on_break: Callable[[str], None] = [].append

    def subscribe(self, on_update: Callable[[CandleUpdate], None], on_break: Callable[[str], None]) -> None:
        """Remember whom to tell."""
        self.on_update, self.on_break = on_update, on_break

    def is_speaking(self, symbol: str) -> bool:
        """Something has come, and nothing stops it."""
        return symbol not in self.silent and symbol in self.heard

    def data_age_ms(self, symbol: str) -> int:
        """Since the last push."""
        return self.clock.now_ms() - self.heard.get(symbol, 0)

    def silence(self, *symbols: str) -> None:
        """Break streams until they are taken out of `silent`."""
        self.silent |= set(symbols)
        for symbol in symbols:
            self.on_break(symbol)

    def push(self, update: CandleUpdate) -> None:
        """Tell one update."""
        self.heard[update.candle.symbol] = self.clock.now_ms()
        self.on_update(update)

    async def live(self, *symbols: str) -> None:
        """Push the forming candle each second, and the final one at its end."""
        while True:
            await asyncio.sleep(1 - self.clock.now_ms() % 1_000 / 1_000)
            now_ms = self.clock.now_ms()
            for symbol in symbols:
                if symbol in self.silent:
                    continue
                if now_ms % MINUTE == 0:
                    self.push(CandleUpdate(self.spoils(truth(symbol, now_ms - MINUTE)), is_final=True, ts_ms=now_ms))
                forming = truth(symbol, now_ms // MINUTE * MINUTE)._replace(volume=1)
                self.push(CandleUpdate(forming, is_final=False, ts_ms=now_ms))

    async def candles(self, symbol: str, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """Closed candles after a round trip, without their last trades for `settle_ms`."""
        self.asked.append((symbol, since_ms, until_ms))
        await asyncio.sleep(TRIP_S)
        if symbol in self.down:
            raise self.error
        now_ms = self.clock.now_ms()
        ends = [open_ms for open_ms in range(since_ms, until_ms, interval_ms) if open_ms + interval_ms <= now_ms]
        fresh = {open_ms for open_ms in ends if now_ms < open_ms + interval_ms + self.settle_ms}
        return [truth(symbol, at)._replace(volume=1) if at in fresh else truth(symbol, at) for at in ends]


class Rig:
    """A feed on a market, and everything it has told."""

    def __init__(self, symbols: tuple[str, ...], patience: Patience) -> None:
        self.clock = LoopClock()
        self.market = Market(self.clock)
        self.notices: list[Notice] = []
        self.batches: list[tuple[int, tuple[Candle, ...]]] = []
        settings = FeedSettings(symbols, patience=patience)
        self.feed = LiveFeed(self.market, self.market, self.clock, settings, self.notices.append)
        self.feed.subscribe(lambda batch: self.batches.append((self.clock.now_ms() - START, tuple(batch))))
        self.symbols = symbols

    @property
    def told(self) -> list[tuple[NoticeKind, str]]:
        """Kinds and symbols of all notices."""
        return [(notice.kind, notice.symbol) for notice in self.notices]

    def candles(self, symbol: str) -> list[Candle]:
        """What was handed on of a symbol."""
        return [candle for _, batch in self.batches for candle in batch if candle.symbol == symbol]

    def complete(self, symbol: str, minutes: int) -> list[Candle]:
        """What should have been."""
        return [truth(symbol, START + minute * MINUTE) for minute in range(minutes)]

    async def until(self, second: float) -> None:
        """Let time pass until then."""
        await asyncio.sleep(second - asyncio.get_running_loop().time())


def virtually(work: Coroutine[None, None, Known]) -> Known:
    """Run to the end in made-up time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def play(
    story: Callable[[Rig], Coroutine[None, None, None]],
    symbols: tuple[str, ...] = (BTC, ETH),
    patience: Patience | None = None,
) -> Rig:
    """Run a story beside the feed and its market."""

    async def main() -> Rig:
        rig = Rig(symbols, patience or Patience())
        await rig.feed.open({})
        tasks = [asyncio.create_task(rig.market.live(*symbols)), asyncio.create_task(rig.feed.run())]
        await story(rig)
        assert not any(task.done() for task in tasks), [task.exception() for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return rig

    return virtually(main())


def test_candles_of_an_instant_come_together_once_and_in_order() -> None:
    """Both symbols, one round trip to history after their close."""

    async def story(rig: Rig) -> None:
        await rig.until(181)

    rig = play(story)
    opens = [START + minute * MINUTE for minute in range(3)]
    assert [(truth(BTC, at), truth(ETH, at)) for at in opens] == [batch for _, batch in rig.batches]
    assert [60_100, 120_100, 180_100] == [at for at, _ in rig.batches]
    assert [] == rig.notices


def test_a_feed_that_was_not_opened_does_not_run() -> None:
    """Its candles would begin nowhere."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match="not opened"):
            await Rig((BTC,), Patience()).feed.run()

    virtually(main())


def test_after_a_break_what_is_missing_is_fetched_before_anything_leaves() -> None:
    """Three minutes without a stream: no candle is lost, doubled or out of order."""

    async def story(rig: Rig) -> None:
        await rig.until(90)
        rig.market.silence(BTC, ETH)
        rig.market.down = {BTC, ETH}
        await rig.until(290)
        rig.market.silent.clear()
        rig.market.down.clear()
        await rig.until(400)

    rig = play(story)
    assert rig.complete(BTC, 6) == rig.candles(BTC)
    assert rig.complete(ETH, 6) == rig.candles(ETH)
    assert all(2 == len(batch) for _, batch in rig.batches)
    kinds = [kind for kind, symbol in rig.told if symbol == BTC]
    assert [NoticeKind.STALE, NoticeKind.GAP] == kinds[:2]
    assert {NoticeKind.HISTORY_DOWN, NoticeKind.HISTORY_UP, NoticeKind.FILLED} < set(kinds)
    assert NoticeKind.FRESH == kinds[-1]


def test_without_a_stream_history_alone_goes_on() -> None:
    """Late by the time that history needs to settle, and the symbol is not fresh."""

    async def story(rig: Rig) -> None:
        await rig.until(30)
        rig.market.silence(BTC)
        await rig.until(200)
        assert (False, True) == (rig.feed.is_fresh(BTC), rig.feed.is_fresh(ETH))

    rig = play(story)
    assert rig.complete(BTC, 3) == rig.candles(BTC)
    assert all(62_000 <= at % 60_000 + 60_000 < 63_000 for at, _ in rig.batches)
    assert (NoticeKind.STALE, BTC) in rig.told


def test_one_symbol_that_is_not_to_be_had_does_not_stop_the_others() -> None:
    """They wait for the grace once; it follows in order when it is back."""

    async def story(rig: Rig) -> None:
        await rig.until(30)
        rig.market.silence(ETH)
        rig.market.down = {ETH}
        await rig.until(250)
        rig.market.silent.clear()
        rig.market.down.clear()
        await rig.until(400)

    rig = play(story)
    assert rig.complete(BTC, 6) == rig.candles(BTC)
    assert rig.complete(ETH, 6) == rig.candles(ETH)
    waited = [at - batch[0].close_time_ms + START for at, batch in rig.batches if batch[0].symbol == BTC][:4]
    assert waited[0] == pytest.approx(10_100, abs=300)
    assert [100, 100, 100] == waited[1:]
    assert [NoticeKind.LAGGING, NoticeKind.CAUGHT_UP] == [
        kind for kind, symbol in rig.told if kind in (NoticeKind.LAGGING, NoticeKind.CAUGHT_UP) and symbol == ETH
    ]


def test_a_difference_is_told_once_and_history_wins() -> None:
    """The stream lies for three minutes; what leaves is what history has."""

    async def story(rig: Rig) -> None:
        rig.market.spoils = lambda candle: candle._replace(close=candle.close + 1)
        await rig.until(200)
        rig.market.spoils = lambda candle: candle
        await rig.until(250)
        rig.market.spoils = lambda candle: candle._replace(close=candle.close + 1)
        await rig.until(310)

    rig = play(story, (BTC,))
    assert rig.complete(BTC, 5) == rig.candles(BTC)
    assert [NoticeKind.DIFFERENT, NoticeKind.ALIKE, NoticeKind.DIFFERENT] == [kind for kind, _ in rig.told]
    assert "REST counts" in rig.notices[0].text


def test_history_that_has_not_settled_does_not_win() -> None:
    """For a second after the close it lacks the last trades; it is asked again."""

    async def story(rig: Rig) -> None:
        rig.market.settle_ms = 1_000
        await rig.until(190)

    rig = play(story, (BTC,))
    assert (rig.complete(BTC, 3), []) == (rig.candles(BTC), rig.notices)
    assert all(1_000 <= at % 60_000 < 2_000 for at, _ in rig.batches)


def test_when_history_is_down_the_streams_word_counts() -> None:
    """After the time for the check; it is told once, and pauses between questions grow."""

    async def story(rig: Rig) -> None:
        rig.market.down = {BTC}
        await rig.until(600)

    rig = play(story, (BTC,))
    assert rig.complete(BTC, 9) == rig.candles(BTC)
    assert [(NoticeKind.HISTORY_DOWN, BTC)] == rig.told
    assert len(rig.market.asked) < 20


def test_a_venue_that_asks_for_patience_gets_it() -> None:
    """No question before it allows one."""

    async def story(rig: Rig) -> None:
        rig.market.down, rig.market.error = {BTC}, RateLimited("too many", 90_000)
        await rig.until(61)
        rig.market.down.clear()
        await rig.until(149)
        assert 1 == len(rig.market.asked)
        await rig.until(200)

    rig = play(story, (BTC,))
    assert rig.complete(BTC, 3) == rig.candles(BTC)


def test_warm_up_gives_closed_candles_and_what_follows_joins_on() -> None:
    """History until the minute that forms; the first candle that is handed on is the next one."""

    async def main() -> tuple[dict[str, Sequence[Candle]], list[Candle]]:
        await asyncio.sleep(330)
        rig = Rig((BTC, ETH), Patience())
        warm = await rig.feed.open({BTC: 3})
        tasks = [asyncio.create_task(rig.market.live(BTC, ETH)), asyncio.create_task(rig.feed.run())]
        await rig.until(425)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return warm, rig.candles(BTC)

    warm, live = virtually(main())
    assert ([truth(BTC, START + n * MINUTE) for n in (2, 3, 4)], ()) == (warm[BTC], warm[ETH])
    assert [truth(BTC, START + n * MINUTE) for n in (5, 6)] == live


def test_a_feed_that_is_opened_again_does_not_go_back() -> None:
    """A start asks again where the venue failed on the way; history may have lost a minute meanwhile."""

    async def main() -> tuple[int, int]:
        await asyncio.sleep(330)
        rig = Rig((BTC,), Patience())
        await rig.feed.open({BTC: 3})
        before_ms = rig.feed.freshness()[0].closed_ms
        whole = rig.market.candles

        async def forgetful(symbol: str, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
            return (await whole(symbol, interval_ms, since_ms, until_ms))[:-1]

        rig.market.candles = forgetful  # type: ignore[method-assign]
        await rig.feed.open({BTC: 3})
        return before_ms, rig.feed.freshness()[0].closed_ms

    assert (START + 5 * MINUTE, START + 5 * MINUTE) == virtually(main())


def test_a_symbol_whose_stream_never_spoke_is_stale() -> None:
    """Once it has had the time to begin; in words, not in milliseconds since 1970."""

    async def story(rig: Rig) -> None:
        rig.market.silence(BTC)
        await rig.until(40)

    rig = play(story)
    assert [(NoticeKind.STALE, BTC)] == rig.told
    assert rig.notices[0].text.startswith("no data yet, candles until 2025-01-01")


def test_warm_up_that_lacks_the_last_minute_is_completed() -> None:
    """Opened right after a close that history does not know yet: nothing is skipped."""

    async def main() -> list[Candle]:
        await asyncio.sleep(299.95)
        rig = Rig((BTC,), Patience())
        opening = asyncio.create_task(rig.feed.open({BTC: 3}))
        warm = await opening
        assert START + 4 * MINUTE == warm[BTC][-1].close_time_ms
        run = asyncio.create_task(rig.feed.run())
        await rig.until(425)
        run.cancel()
        await asyncio.wait({run})
        return rig.candles(BTC)

    assert [truth(BTC, START + n * MINUTE) for n in (4, 5, 6)] == virtually(main())


def test_warm_up_tries_again_and_gives_up_with_the_reason() -> None:
    """A few tries with growing pauses."""

    async def main() -> tuple[int, float]:
        rig = Rig((BTC,), Patience())
        rig.market.down = {BTC}
        with pytest.raises(VenueUnavailable, match="no answer"):
            await rig.feed.open({BTC: 3})
        return len(rig.market.asked), asyncio.get_running_loop().time()

    tries, took_s = virtually(main())
    assert 4 == tries
    assert took_s == pytest.approx(1 + 2 + 4 + 4 * TRIP_S)


def test_updates_of_strangers_and_from_the_future_are_left_out() -> None:
    """Another symbol, another interval, a candle that cannot have begun."""

    async def story(rig: Rig) -> None:
        now_ms = rig.clock.now_ms()
        for candle in (
            truth("XRPUSDT", START),
            truth(BTC, START)._replace(interval_ms=5 * MINUTE),
            truth(BTC, START + 60 * MINUTE),
        ):
            rig.market.push(CandleUpdate(candle, is_final=True, ts_ms=now_ms))
        rig.market.on_break("XRPUSDT")
        await rig.until(65)

    rig = play(story, (BTC,))
    assert rig.complete(BTC, 1) == rig.candles(BTC)


def test_a_sink_that_fails_ends_the_feed() -> None:
    """What cannot be decided on is not skipped."""

    async def main() -> None:
        rig = Rig((BTC,), Patience())

        def fail(batch: Sequence[Candle]) -> None:
            raise ArithmeticError(len(batch))

        rig.feed.subscribe(fail)
        await rig.feed.open({})
        live = asyncio.create_task(rig.market.live(BTC))
        with pytest.raises(ExceptionGroup) as caught:
            await rig.feed.run()
        assert caught.group_contains(ArithmeticError)
        live.cancel()
        await asyncio.wait({live})

    virtually(main())


def test_a_feed_that_is_run_again_after_it_was_cut_off_goes_on() -> None:
    """In the middle of a question to history: it is asked anew, and no candle is lost or told twice."""
    rig_seen: list[Rig] = []

    async def work() -> None:
        rig = Rig((BTC,), Patience())
        rig_seen.append(rig)
        await rig.feed.open({BTC: 1})
        stream = asyncio.ensure_future(rig.market.live(BTC))
        first = asyncio.ensure_future(rig.feed.run())
        before = len(rig.market.asked)
        while len(rig.market.asked) == before:  # noqa: ASYNC110 - in virtual time
            await asyncio.sleep(TRIP_S / 4)  # until a candle has closed and is being compared
        first.cancel()
        await asyncio.wait({first})
        asked = len(rig.market.asked)
        second = asyncio.ensure_future(rig.feed.run())
        await asyncio.sleep(200)
        for task in (stream, second):
            task.cancel()
        await asyncio.wait({stream, second})
        assert len(rig.market.asked) >= asked + 3  # each minute is compared again

    virtually(work())
    (rig,) = rig_seen
    assert [truth(BTC, START + at * MINUTE) for at in range(4)] == rig.candles(BTC)[:4]


@pytest.mark.parametrize("seed", range(5))
def test_whatever_breaks_every_candle_comes_once_and_in_order(seed: int) -> None:
    """Streams and history fall silent and lie at random for twenty minutes; in the end nothing is missing or wrong."""
    rng = random.Random(seed)

    async def story(rig: Rig) -> None:
        while rig.clock.now_ms() < START + 20 * MINUTE:
            await asyncio.sleep(rng.uniform(1, 90))
            for symbol in rig.symbols:
                if rng.random() < 0.4:
                    rig.market.silence(symbol)
                else:
                    rig.market.silent.discard(symbol)
            rig.market.down = {symbol for symbol in rig.symbols if rng.random() < 0.3}
            rig.market.settle_ms = rng.choice([0, 0, 1_500])
        rig.market.silent.clear()
        rig.market.down.clear()
        await asyncio.sleep(200)

    rig = play(story)
    for symbol in rig.symbols:
        assert rig.complete(symbol, len(rig.candles(symbol))) == rig.candles(symbol)
        assert len(rig.candles(symbol)) >= 22
    for _, batch in rig.batches:
        assert 1 == len({candle.open_time_ms for candle in batch})
