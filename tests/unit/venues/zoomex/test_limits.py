"""Limits of calls: the reserve, what headers teach, bans, and a clock that is off."""

import asyncio

import pytest
from unit.venues.zoomex.scripted import BTC, OURS, Answer, Bench, capital, listing, order_row, request, run

from trading_engine.domain.errors import RateLimited
from trading_engine.domain.orders import TradeSide
from trading_engine.domain.reports import Accepted, Outcome, Rejected
from trading_engine.venues.zoomex import facts


def _left(count: int, limit: int = 10) -> dict[str, str]:
    return {"X-Bapi-Limit": str(limit), "X-Bapi-Limit-Status": str(count)}


async def _spend(bench: Bench, count: int) -> list[Outcome]:
    bench.server.script[facts.CREATE] = Answer(None, 110007, "no money")
    return [await bench.venue.submit(request()) for _ in range(count)]


def test_entries_leave_a_reserve_that_exits_may_use() -> None:
    """Over the budget nothing is sent."""

    async def story(bench: Bench) -> None:
        outcomes = await _spend(bench, 7)
        codes = [outcome.code for outcome in outcomes if isinstance(outcome, Rejected)]
        assert [*(["110007"] * 6), "rate_limited"] == codes
        exit_order = request(side=TradeSide.SELL, reduce_only=True)
        assert Rejected("110007", "110007: no money") == await bench.venue.submit(exit_order)
        assert 7 == len(bench.server.calls(facts.CREATE))

    run(story)


def test_cancels_may_use_all_of_their_budget() -> None:
    """They protect."""

    async def story(bench: Bench) -> None:
        outcomes = [await bench.venue.cancel(BTC, OURS, "") for _ in range(11)]
        assert [True] * 10 + [False] == [isinstance(outcome, Accepted) for outcome in outcomes]

    run(story)


def test_what_others_have_used_is_learned_from_headers() -> None:
    """Another client of the same account counts, too."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.CREATE] = Answer(None, 110007, headers=_left(3))
        await bench.venue.submit(request())
        outcome = await bench.venue.submit(request())
        assert isinstance(outcome, Rejected)
        assert "rate_limited" == outcome.code

    run(story)


def test_a_higher_limit_is_learned_from_headers() -> None:
    """The reserve stays the same share."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.CREATE] = Answer(None, 110007, headers=_left(19, 20))
        outcomes = [await bench.venue.submit(request()) for _ in range(13)]
        codes = [outcome.code for outcome in outcomes if isinstance(outcome, Rejected)]
        assert [*(["110007"] * 12), "rate_limited"] == codes

    run(story)


def test_too_many_calls_of_one_kind_pause_that_kind_only() -> None:
    """Refused before it was looked at; cancels go on."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.CREATE] = Answer(None, 10006, "Too many visits!")
        assert Rejected("busy", "10006: Too many visits!") == await bench.venue.submit(request())
        outcome = await bench.venue.submit(request(side=TradeSide.SELL, reduce_only=True))
        assert isinstance(outcome, Rejected)
        assert "rate_limited" == outcome.code
        assert isinstance(await bench.venue.cancel(BTC, OURS, ""), Accepted)

    run(story)


BANS = [
    Answer(raw="access too frequent", status=403, content_type="text/plain"),
    Answer(None, 10018, "ip rate limit"),
    Answer(None, 10009, "ip banned"),
]


@pytest.mark.parametrize("answer", BANS)
def test_a_ban_is_honoured_by_everything(answer: Answer) -> None:
    """Ten minutes without a call, protective or not."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.CREATE] = answer
        await bench.venue.submit(request())
        count = len(bench.server.asked)
        outcome = await bench.venue.cancel(BTC, OURS, "")
        assert isinstance(outcome, Rejected)
        assert "rate_limited" == outcome.code
        with pytest.raises(RateLimited) as caught:
            await bench.venue.positions()
        assert 590_000 < caught.value.retry_after_ms <= 600_000
        assert count == len(bench.server.asked)

    run(story)


def test_a_refused_timestamp_measures_the_clock_before_the_next_signature() -> None:
    """A read is asked again at once; a submit is not."""

    async def story(bench: Bench) -> None:
        refused = Answer(None, 10002, "invalid timestamp")
        bench.server.script[facts.POSITIONS] = [refused, listing()]
        assert [] == list(await bench.venue.positions())
        paths = [asked.path.removeprefix(facts.PREFIX) for asked in bench.server.asked]
        assert [facts.POSITIONS, facts.TIME, facts.POSITIONS] == paths
        bench.server.script[facts.CREATE] = refused
        assert Rejected("clock", "10002: invalid timestamp") == await bench.venue.submit(request())
        assert 1 == len(bench.server.calls(facts.CREATE))

    run(story)


def test_a_read_that_hiccups_is_asked_again_once() -> None:
    """A connection that was closed while it was idle."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.POSITIONS] = [Answer(hangs_up=True), listing()]
        assert [] == list(await bench.venue.positions())
        assert 2 == len(bench.server.calls(facts.POSITIONS))

    run(story)


def test_reads_wait_for_their_budget() -> None:
    """A short wait is better than no answer."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.REALTIME] = listing(capital(order_row()))
        await asyncio.gather(*(bench.venue.order(BTC, OURS) for _ in range(12)))
        assert 12 == len(bench.server.calls(facts.REALTIME))

    run(story)
