"""The matching kernel: what trades on the way through a candle, in which order and at which price."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from fakes.embedded_game import BUY, E8, FREE, MINUTE, SELL, Game, ends, instrument, trades
from msgspec import structs

from trading_engine.domain.market import Candle, FundingRate
from trading_engine.venues.embedded.account import Account, ExchangeOrder, Kind, Status
from trading_engine.venues.embedded.matching import Happening, IncomeRow, Kernel, Refusal, TradeRow
from trading_engine.venues.embedded.terms import Contract, Terms


@pytest.fixture
def game() -> Game:
    """Without fees and slippage, with all the volume one wants, at 10x."""
    return Game()


# ── prices ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sign", [BUY, SELL])
def test_a_market_order_fills_at_the_open_of_the_next_candle(game: Game, sign: int) -> None:
    """Whatever the last close was."""
    game.order("m", Kind.MARKET, sign, 10)
    assert [("m", sign * 10, 1_040)] == trades(game.candle(A=(1_040, 1_060, 990, 1_000)))


def test_a_market_order_on_one_symbol_does_not_care_for_another(game: Game) -> None:
    """It waits until its own symbol has a candle."""
    game.order("m", Kind.MARKET, BUY, 10)
    assert [] == game.candle(B=(1_000, 1_010, 990, 1_000))
    assert [("m", 10, 1_020)] == trades(game.candle(A=(1_020, 1_020, 1_020, 1_020)))


@pytest.mark.parametrize(("sign", "gap", "low", "high"), [(SELL, 930, 925, 940), (BUY, 1_070, 1_060, 1_075)])
def test_a_gap_through_a_stop_fills_at_the_open(game: Game, sign: int, gap: int, low: int, high: int) -> None:
    """Nothing traded between the last close and the open."""
    game.hold(-sign, 10)
    game.order("stop", Kind.STOP, sign, 10, 1_000 + sign * 50)
    assert [("stop", sign * 10, gap)] == trades(game.candle(A=(gap, high, low, gap)))


@pytest.mark.parametrize("sign", [BUY, SELL])
def test_a_stop_inside_a_candle_fills_at_its_trigger(game: Game, sign: int) -> None:
    """When the price comes by it."""
    game.hold(-sign, 10)
    game.order("stop", Kind.STOP, sign, 10, 1_000 + sign * 20)
    assert [("stop", sign * 10, 1_000 + sign * 20)] == trades(game.candle(A=(1_000, 1_050, 950, 1_000)))


@pytest.mark.parametrize("sign", [BUY, SELL])
def test_a_gap_through_a_take_profit_fills_at_the_open(game: Game, sign: int) -> None:
    """Better than its trigger, because the market is."""
    game.hold(-sign, 10)
    game.order("target", Kind.TARGET, sign, 10, 1_000 - sign * 20)
    gap = 1_000 - sign * 60
    assert [("target", sign * 10, gap)] == trades(game.candle(A=(gap, gap, gap, gap)))


@pytest.mark.parametrize(
    ("sign", "touch", "through"), [(BUY, (1_000, 1_000, 980, 990), (990, 990, 979, 985)),
                                   (SELL, (1_000, 1_020, 1_000, 1_010), (1_010, 1_021, 1_010, 1_015))]
)  # fmt: skip
def test_a_limit_order_needs_a_price_beyond_it(
    game: Game, sign: int, touch: tuple[int, int, int, int], through: tuple[int, int, int, int]
) -> None:
    """At its own price others stand before it; one tick further it fills, at its limit."""
    limit = 1_000 - sign * 20
    game.order("limit", Kind.LIMIT, sign, 10, limit)
    assert [] == game.candle(A=touch)
    (fill,) = game.candle(A=through)
    assert isinstance(fill, TradeRow)
    assert (limit, True) == (fill.price, fill.is_maker)


def test_a_gap_through_a_limit_order_still_fills_at_its_limit(game: Game) -> None:
    """A resting order is the maker: it is never improved."""
    game.order("limit", Kind.LIMIT, BUY, 10, 980)
    assert [("limit", 10, 980)] == trades(game.candle(A=(950, 960, 940, 950)))


@pytest.mark.parametrize(("sign", "limit"), [(BUY, 1_020), (SELL, 980)])
def test_a_limit_order_that_crosses_the_price_takes_at_the_market(game: Game, sign: int, limit: int) -> None:
    """It does not rest: it fills at once at the better price, and pays the taker's fee."""
    game.order("limit", Kind.LIMIT, sign, 10, limit)
    (fill,) = game.candle(A=(1_000, 1_000, 1_000, 1_000))
    assert isinstance(fill, TradeRow)
    assert (1_000, False) == (fill.price, fill.is_maker)


@pytest.mark.parametrize(("sign", "expected"), [(BUY, 1_002), (SELL, 998)])
def test_slippage_is_rounded_against_the_taker(sign: int, expected: int) -> None:
    """0.15 % of 1,000 is 1.5 ticks: two."""
    game = Game(Terms(taker_fee_e8=0, slippage_ppm=1_500, volume_share_ppm=1_000_000, leverage_milli=10_000))
    game.order("m", Kind.MARKET, sign, 10)
    assert [("m", sign * 10, expected)] == trades(game.candle(A=(1_000, 1_000, 1_000, 1_000)))


def test_stops_slip_and_limit_orders_do_not() -> None:
    """A triggered stop is a taker like any market order."""
    game = Game(Terms(taker_fee_e8=0, slippage_ppm=1_000, volume_share_ppm=1_000_000, leverage_milli=10_000))
    game.hold(BUY, 10)
    game.order("stop", Kind.STOP, SELL, 10, 980)
    game.order("limit", Kind.LIMIT, BUY, 10, 990)
    assert [("limit", 10, 990), ("stop", -10, 979)] == trades(game.candle(A=(1_000, 1_000, 970, 970)))


# ── a share of the range, the volume, and latency ───────────────────────────────────────


WIDE = structs.replace(FREE, slippage_ppm=1_000, slippage_range_ppm=100_000, leverage_milli=1_000)
DEEP = structs.replace(FREE, slippage_ppm=1_000, impact_ppm=60_000, leverage_milli=10_000)
LATE = structs.replace(FREE, latency_candles=2, leverage_milli=1_000)
FLAT = (1_000, 1_000, 1_000, 1_000)


@pytest.mark.parametrize(("sign", "expected"), [(BUY, 1_005), (SELL, 995)])
def test_a_share_of_the_range_before_is_added_to_the_slippage(sign: int, expected: int) -> None:
    """0.1 % of 1,000 is a tick, 10 % of 31 are 3.1: four. The candle that it fills in counts for the next one."""
    game = Game(WIDE)
    game.candle(A=(1_000, 1_020, 989, 1_000))
    game.order("m", Kind.MARKET, sign, 10)
    assert [("m", sign * 10, expected)] == trades(game.candle(A=(1_000, 1_500, 500, 1_000)))
    game.order("n", Kind.MARKET, sign, 10)
    assert [("n", sign * 10, 1_000 + sign * 101)] == trades(game.candle(A=FLAT))


def test_the_range_is_that_of_the_symbols_own_last_candle() -> None:
    """Also where it has had none for a while, and where nothing of ours was in the market."""
    game = Game(WIDE)
    game.candle(A=(1_000, 1_020, 990, 1_000), B=FLAT)
    game.candle(B=(1_000, 1_500, 500, 1_000))
    game.order("m", Kind.MARKET, BUY, 10)
    assert [("m", 10, 1_004)] == trades(game.candle(A=FLAT, B=FLAT))


def test_what_rests_pays_for_no_range() -> None:
    """A stop does: once it has triggered it is a taker."""
    game = Game(WIDE)
    game.hold(BUY, 10)
    game.candle(A=(1_000, 1_005, 995, 1_000))
    game.order("limit", Kind.LIMIT, BUY, 10, 990)
    game.order("stop", Kind.STOP, SELL, 10, 980)
    assert [("limit", 10, 990), ("stop", -10, 978)] == trades(game.candle(A=(1_000, 1_000, 970, 970)))


@pytest.mark.parametrize(("sign", "expected"), [(BUY, 1_007), (SELL, 993)])
def test_impact_is_by_the_volume_of_the_candle_before(sign: int, expected: int) -> None:
    """0.1 % of 1,000 is a tick; a hundredth of the volume costs a tenth of 6 %. The candle of the fill counts later."""
    game = Game(DEEP)
    game.candle(A=FLAT, volume=1_000)
    game.order("m", Kind.MARKET, sign, 10)
    assert [("m", sign * 10, expected)] == trades(game.candle(A=FLAT, volume=40))
    game.order("n", Kind.MARKET, sign, 10)
    assert [("n", sign * 10, 1_000 + sign * 31)] == trades(game.candle(A=FLAT))


@pytest.mark.parametrize("volume", [0, 9, 10])
def test_impact_is_never_more_than_that_of_the_whole_volume(volume: int) -> None:
    """Also where nothing traded before, and where less did than the order takes."""
    game = Game(DEEP)
    game.candle(A=FLAT, volume=volume)
    game.order("m", Kind.MARKET, BUY, 10)
    assert [("m", 10, 1_061)] == trades(game.candle(A=FLAT))


def test_a_market_that_nobody_has_seen_trade_takes_the_whole_impact() -> None:
    """What an earlier release has written knows no volume either."""
    game = Game(DEEP)
    game.kernel.account.points["A"].volume = 0
    game.order("m", Kind.MARKET, BUY, 10)
    assert [("m", 10, 1_061)] == trades(game.candle(A=FLAT))


def test_each_fill_of_an_order_has_its_own_impact() -> None:
    """By its own quantity and the candle before it: 90 of 1,000,000 are under a tick of 6 %, 10 of 90 are 20."""
    game = Game(DEEP)
    game.order("m", Kind.MARKET, BUY, 100)
    assert [("m", 90, 1_002)] == trades(game.candle(A=FLAT, volume=90))
    assert [("m", 10, 1_022)] == trades(game.candle(A=FLAT))


def test_what_rests_has_no_impact() -> None:
    """A stop has: once it has triggered it is a taker. 0.098 are one tick, 6 % of 980 and a tenth of it are 5.88."""
    game = Game(DEEP)
    game.hold(BUY, 10)
    game.candle(A=FLAT, volume=1_000)
    game.order("limit", Kind.LIMIT, BUY, 10, 990)
    game.order("stop", Kind.STOP, SELL, 10, 980)
    assert [("limit", 10, 990), ("stop", -10, 973)] == trades(game.candle(A=(1_000, 1_000, 970, 970)))


@pytest.mark.parametrize("is_exit", [False, True])
def test_an_order_at_the_market_trades_so_many_candles_later(*, is_exit: bool) -> None:
    """Of its symbol's time, at their open; nothing of what is in between concerns it."""
    game = Game(LATE)
    if is_exit:
        game.order("entry", Kind.MARKET, SELL, 10)
        for _ in range(3):
            game.candle(A=FLAT)
    game.order("m", Kind.MARKET, BUY, 10, reduce_only=is_exit)
    assert [] == game.candle(A=(1_010, 1_100, 900, 1_010))
    assert [] == game.candle(A=(1_020, 1_100, 900, 1_020))
    assert [("m", 10, 1_030)] == trades(game.candle(A=(1_030, 1_100, 900, 1_030)))


def test_an_order_is_under_way_while_its_symbol_has_no_candles() -> None:
    """Time passes all the same: it trades with the first one after that."""
    game = Game(LATE)
    game.order("m", Kind.MARKET, BUY, 10)
    for _ in range(3):
        assert [] == game.candle(B=FLAT)
    assert [("m", 10, 1_030)] == trades(game.candle(A=(1_030, 1_030, 1_030, 1_030)))


def test_what_is_decided_within_a_candle_arrives_at_the_same_point_of_a_later_one() -> None:
    """An answer to a fill on the way to the low, half a candle in: at what the price is there, here the low."""
    game = Game(LATE)
    game.order("limit", Kind.LIMIT, BUY, 10, 990)

    def close(game: Game, happening: Happening) -> None:
        assert isinstance(happening, TradeRow)
        if happening.client_order_id == "limit":
            game.order("exit", Kind.MARKET, SELL, 10, reduce_only=True)

    assert [("limit", 10, 990)] == trades(game.candle(answer=close, A=(1_000, 1_010, 980, 1_000)))
    assert [] == game.candle(A=FLAT)
    (sold,) = game.candle(A=(1_007, 1_010, 985, 1_000))
    assert isinstance(sold, TradeRow)
    assert ("exit", 985, 3 * MINUTE + MINUTE // 2) == (sold.client_order_id, sold.price, sold.ts_ms)


def test_stops_targets_and_limits_are_not_late() -> None:
    """They rest at the exchange; an exit that is under way meanwhile finds nothing to reduce."""
    game = Game(LATE)
    game.order("entry", Kind.MARKET, BUY, 10)
    for _ in range(3):
        game.candle(A=FLAT)
    game.order("stop", Kind.STOP, SELL, 5, 990)
    game.order("limit", Kind.LIMIT, SELL, 5, 1_010, reduce_only=True)
    game.order("exit", Kind.MARKET, SELL, 10, reduce_only=True)
    assert [("stop", -5, 990), ("limit", -5, 1_010)] == trades(game.candle(A=(1_000, 1_020, 980, 1_000)))
    game.candle(A=FLAT)
    assert [("exit", Status.EXPIRED, "nothing to reduce")] == ends(game.candle(A=FLAT))


def test_who_settles_at_the_present_price_waits_for_no_candle() -> None:
    """A run that ends flat on a live market would not see it."""
    game = Game(LATE)
    game.order("entry", Kind.MARKET, BUY, 10)
    for _ in range(3):
        game.candle(A=FLAT)
    game.order("exit", Kind.MARKET, SELL, 10, reduce_only=True)
    assert [("exit", -10, 1_000)] == trades(list(game.kernel.settle("A", game.next_ms)))


def test_a_limit_beyond_the_price_is_not_late() -> None:
    """Only orders at the market are; a limit is its own protection."""
    game = Game(LATE)
    game.order("limit", Kind.LIMIT, BUY, 10, 1_010)
    assert [("limit", 10, 1_000)] == trades(game.candle(A=FLAT))


# ── fees ────────────────────────────────────────────────────────────────────


def test_makers_and_takers_pay_their_own_fees() -> None:
    """Of the value that changed hands, rounded up to 1e-8."""
    game = Game(Terms(taker_fee_e8=60_001, maker_fee_e8=20_000, slippage_ppm=0, volume_share_ppm=1_000_000))
    game.order("m", Kind.MARKET, BUY, 7)
    game.order("limit", Kind.LIMIT, BUY, 10, 990)
    taker, maker = game.candle(A=(1_001, 1_001, 980, 980))
    assert isinstance(taker, TradeRow)
    assert isinstance(maker, TradeRow)
    assert (7 * 1_001 * 60_001, 10 * 990 * 20_000) == (taker.fee_e8, maker.fee_e8)
    assert game.kernel.account.progress.wallet_e8 == 100_000 * E8 - taker.fee_e8 - maker.fee_e8


# ── order of events ─────────────────────────────────────────────────────────


@pytest.mark.parametrize("side", [BUY, SELL])
def test_the_stop_is_met_before_the_target_in_one_candle(game: Game, side: int) -> None:
    """Where a candle holds both, the worse is taken."""
    game.hold(side, 10)
    game.order("target", Kind.TARGET, -side, 10, 1_000 + side * 30)
    game.order("stop", Kind.STOP, -side, 10, 1_000 - side * 30)
    assert [("stop", -side * 10, 1_000 - side * 30)] == trades(game.candle(A=(1_000, 1_040, 960, 1_000)))
    assert 0 == game.signed


def test_the_nearest_price_acts_first(game: Game) -> None:
    """On one stretch of the path, whatever the order of placing."""
    game.hold(BUY, 10)
    game.order("far", Kind.STOP, SELL, 5, 960)
    game.order("near", Kind.STOP, SELL, 5, 980)
    assert [("near", -5, 980), ("far", -5, 960)] == trades(game.candle(A=(1_000, 1_000, 950, 950)))


def test_at_one_price_the_stop_comes_before_the_limit_and_the_older_before_the_newer(game: Game) -> None:
    """Worst first, then by number."""
    game.hold(BUY, 10)
    game.order("limit", Kind.LIMIT, BUY, 10, 980)
    game.order("stop-1", Kind.STOP, SELL, 4, 980)
    game.order("stop-2", Kind.STOP, SELL, 6, 980)
    names = [name for name, _, _ in trades(game.candle(A=(1_000, 1_000, 970, 970)))]
    assert ["stop-1", "stop-2", "limit"] == names


def test_a_stop_placed_in_answer_to_an_entry_protects_within_the_same_candle(game: Game) -> None:
    """The kernel pauses after the fill, at the open; the low is still to come."""

    def protect(it: Game, happening: Happening) -> None:
        if isinstance(happening, TradeRow) and happening.client_order_id == "entry":
            it.order("stop", Kind.STOP, SELL, 10, 980)

    game.order("entry", Kind.MARKET, BUY, 10)
    happened = game.candle(answer=protect, A=(1_000, 1_040, 970, 1_030))
    assert [("entry", 10, 1_000), ("stop", -10, 980)] == trades(happened)
    assert [0, MINUTE // 4] == [one.ts_ms - MINUTE for one in happened if isinstance(one, TradeRow)]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_an_entry_inside_a_candle_is_followed_by_the_worse_extreme(game: Game, side: int) -> None:
    """A breakout entry meets its stop on the way to the close, not before it existed."""

    def protect(it: Game, happening: Happening) -> None:
        if isinstance(happening, TradeRow) and happening.client_order_id == "entry":
            it.order("stop", Kind.STOP, -side, 10, 1_000)

    game.order("entry", Kind.STOP, side, 10, 1_000 + side * 20, reduce_only=False)
    happened = game.candle(answer=protect, A=(1_000, 1_030, 970, 1_000))
    assert [("entry", side * 10, 1_000 + side * 20), ("stop", -side * 10, 1_000)] == trades(happened)


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_resting_limit_entry_is_met_as_late_as_possible(game: Game, side: int) -> None:
    """The favourable extreme has passed when a limit entry fills, so its target is not met in this candle."""

    def aim(it: Game, happening: Happening) -> None:
        if isinstance(happening, TradeRow) and happening.client_order_id == "entry":
            it.order("target", Kind.TARGET, -side, 10, 1_000 + side * 20)

    game.order("entry", Kind.LIMIT, side, 10, 1_000 - side * 20)
    happened = game.candle(answer=aim, A=(1_000, 1_030, 970, 1_000))
    assert [("entry", side * 10, 1_000 - side * 20)] == trades(happened)


def test_a_market_order_given_inside_a_candle_fills_at_the_price_of_the_moment(game: Game) -> None:
    """A target that was met half-way is answered by closing the rest at that price."""
    game.hold(BUY, 10)

    def leave(it: Game, happening: Happening) -> None:
        if isinstance(happening, TradeRow) and happening.client_order_id == "partial":
            it.order("exit", Kind.MARKET, SELL, 5, reduce_only=True)

    game.order("partial", Kind.LIMIT, SELL, 5, 1_020, reduce_only=True)
    assert [("partial", -5, 1_020), ("exit", -5, 1_020)] == trades(
        game.candle(answer=leave, A=(1_000, 1_040, 990, 1_000))
    )


def test_an_order_cancelled_in_answer_does_not_act_any_more(game: Game) -> None:
    """The rest of the candle is walked without it."""
    game.hold(BUY, 10)

    def drop(it: Game, happening: Happening) -> None:
        if isinstance(happening, TradeRow) and happening.client_order_id == "first":
            cancelled = it.kernel.cancel("second")
            assert cancelled is not None
            assert Status.CANCELED is cancelled.status

    game.order("first", Kind.STOP, SELL, 5, 990)
    game.order("second", Kind.STOP, SELL, 5, 980)
    assert [("first", -5, 990)] == trades(game.candle(answer=drop, A=(1_000, 1_000, 970, 1_000)))


def test_symbols_take_their_turns_at_each_point_in_the_order_of_the_batch(game: Game) -> None:
    """Open of all, first extreme of all, and so on: never one symbol's whole candle before another's."""
    for symbol in ("A", "B"):
        game.hold(BUY, 10, symbol=symbol)
        game.order(f"stop-{symbol}", Kind.STOP, SELL, 5, 980, symbol=symbol)
        game.order(f"target-{symbol}", Kind.TARGET, SELL, 5, 1_020, symbol=symbol)
        game.order(f"exit-{symbol}", Kind.MARKET, SELL, 2, symbol=symbol, reduce_only=True)
    happened = game.candle(A=(1_000, 1_030, 970, 1_000), B=(1_000, 1_030, 970, 1_000))
    assert ["exit-A", "exit-B", "stop-A", "stop-B", "target-A", "target-B"] == [name for name, _, _ in trades(happened)]


def test_a_symbol_without_business_follows_the_path_of_its_candle(game: Game) -> None:
    """An order placed on it inside the candle trades at the price of the moment, not at the close to come."""
    game.hold(BUY, 10, symbol="B")
    game.order("stop", Kind.STOP, SELL, 10, 990, symbol="B")

    def follow(it: Game, happening: Happening) -> None:
        if isinstance(happening, TradeRow) and happening.client_order_id == "stop":
            it.order("late", Kind.MARKET, BUY, 10)

    happened = game.candle(answer=follow, A=(1_000, 1_200, 900, 1_150), B=(1_000, 1_000, 980, 1_000))
    assert [("stop", -10, 990), ("late", 10, 900)] == trades(happened)


def test_an_idle_exchange_only_moves_its_prices(game: Game) -> None:
    """Nothing is written and nothing happens."""
    written = len(game.changes)
    assert [] == game.candle(A=(1_000, 1_100, 900, 1_050), B=(1_000, 1_000, 1_000, 990))
    assert written == len(game.changes)
    assert [1_050, 990] == [game.kernel.account.points[symbol].last for symbol in ("A", "B")]


def test_a_batch_that_was_played_is_not_played_again(game: Game) -> None:
    """Neither the latest nor an earlier one."""
    game.order("m", Kind.MARKET, BUY, 10)
    game.candle(A=(1_000, 1_000, 1_000, 1_000))
    game.order("n", Kind.MARKET, BUY, 10)
    for open_ms in (0, MINUTE):
        assert [] == list(game.kernel.play(open_ms, [Candle("A", open_ms, MINUTE, 1, 1, 1, 1, 9)], ()))
    assert 1_000 == game.kernel.account.points["A"].last


def test_a_batch_without_candles_changes_nothing_but_the_progress(game: Game) -> None:
    """A settlement may come alone."""
    game.hold(BUY, 10)
    assert [] == game.candle()
    assert 1_000 == game.kernel.account.points["A"].last


# ── volume ──────────────────────────────────────────────────────────────────


def test_a_fill_takes_no_more_than_its_share_of_the_volume() -> None:
    """A quarter of 40, over as many candles as it needs."""
    game = Game(Terms(taker_fee_e8=0, slippage_ppm=0, volume_share_ppm=250_000, leverage_milli=10_000))
    order = game.order("m", Kind.MARKET, BUY, 25)
    for filled in (10, 20, 25):
        game.candle(volume=40, A=(1_000, 1_000, 1_000, 1_000))
        assert filled == order.filled
    assert Status.FILLED is order.status
    assert 0 == len(game.kernel.account.orders)


def test_all_orders_of_a_symbol_share_its_volume(game: Game) -> None:
    """What the first took is gone for the second."""
    game.order("a", Kind.MARKET, BUY, 30)
    game.order("b", Kind.MARKET, BUY, 30)
    assert [("a", 30, 1_000), ("b", 10, 1_000)] == trades(game.candle(volume=40, A=(1_000, 1_000, 1_000, 1_000)))


def test_a_triggered_stop_that_finds_no_volume_goes_on_at_the_next_price(game: Game) -> None:
    """It stays triggered although the price has come back."""
    game.hold(BUY, 10)
    stop = game.order("stop", Kind.STOP, SELL, 10, 980)
    assert [] == game.candle(volume=0, A=(1_000, 1_000, 970, 1_000))
    assert Status.WORKING is stop.status
    assert stop in game.changes[-1].orders
    assert [("stop", -10, 1_010)] == trades(game.candle(A=(1_010, 1_010, 1_010, 1_010)))


def test_a_limit_order_that_finds_no_volume_rests_on(game: Game) -> None:
    """It needs the price to come again."""
    limit = game.order("limit", Kind.LIMIT, BUY, 10, 990)
    assert [] == game.candle(volume=0, A=(1_000, 1_000, 980, 1_000))
    assert Status.NEW is limit.status
    assert [] == game.candle(A=(1_000, 1_000, 1_000, 1_000))


def test_a_partly_filled_limit_order_rests_on_with_its_rest(game: Game) -> None:
    """It is not turned into a market order."""
    limit = game.order("limit", Kind.LIMIT, BUY, 10, 990)
    assert [("limit", 4, 990)] == trades(game.candle(volume=4, A=(1_000, 1_000, 980, 1_000)))
    assert (Status.NEW, 6) == (limit.status, limit.remaining)
    assert [] == game.candle(A=(1_000, 1_000, 1_000, 1_000))
    assert [("limit", 6, 990)] == trades(game.candle(A=(1_000, 1_000, 980, 1_000)))


# ── reduce-only ─────────────────────────────────────────────────────────────


def test_a_reduce_only_order_that_closes_the_position_ends_with_its_rest(game: Game) -> None:
    """One durable change holds the trade and the end of the order."""
    game.hold(BUY, 10)
    order = game.order("exit", Kind.LIMIT, SELL, 25, 1_010, reduce_only=True)
    happened = game.candle(A=(1_000, 1_020, 1_000, 1_000))
    assert [("exit", -10, 1_010)] == trades(happened)
    assert [("exit", Status.EXPIRED, "position is flat")] == ends(happened)
    assert ([order], 1) == (game.changes[-1].orders, len(game.changes[-1].trades))
    assert {} == game.kernel.account.orders


def test_a_reduce_only_order_that_acts_while_flat_expires(game: Game) -> None:
    """It neither opens nor stays."""
    game.hold(BUY, 10)
    game.order("stop", Kind.STOP, SELL, 10, 980)
    game.order("exit", Kind.MARKET, SELL, 10, reduce_only=True)
    happened = game.candle(A=(1_000, 1_000, 970, 1_000))
    assert [("exit", -10, 1_000)] == trades(happened)
    assert [("stop", Status.EXPIRED, "nothing to reduce")] == ends(happened)
    assert 0 == game.signed


def test_a_reduce_only_order_does_not_follow_a_flip(game: Game) -> None:
    """A stop of a long does nothing to the short that took its place."""
    game.hold(BUY, 10)
    game.order("stop", Kind.STOP, SELL, 10, 980)
    game.order("flip", Kind.MARKET, SELL, 30)
    happened = game.candle(A=(1_000, 1_000, 970, 1_000))
    assert [("flip", -30, 1_000)] == trades(happened)
    assert [("stop", Status.EXPIRED, "nothing to reduce")] == ends(happened)
    assert -20 == game.signed


# ── funding ─────────────────────────────────────────────────────────────────


def test_funding_comes_before_the_fills_of_its_instant(game: Game) -> None:
    """The position held before it pays on its old size and the last price; the new fill pays nothing."""
    game.hold(BUY, 10)
    game.order("more", Kind.MARKET, BUY, 90)
    rate = FundingRate("A", game.next_ms, Decimal("0.001"))
    income, fill = game.candle(rates=(rate,), A=(1_100, 1_100, 1_100, 1_100))
    assert IncomeRow(f"F-A-{rate.ts_ms}", "funding", "A", -10 * E8, rate.ts_ms) == income
    assert isinstance(fill, TradeRow)
    assert game.kernel.account.progress.wallet_e8 == (100_000 - 10) * E8


def test_a_settlement_is_paid_once(game: Game) -> None:
    """Also where it is delivered with the next batch again."""
    game.hold(BUY, 10)
    rate = FundingRate("A", game.next_ms, Decimal("0.001"))
    assert 1 == len(game.candle(rates=(rate, rate), A=(1_000, 1_000, 1_000, 1_000)))
    assert [] == game.candle(rates=(rate,), A=(1_000, 1_000, 1_000, 1_000))


def test_a_flat_symbol_pays_no_funding(game: Game) -> None:
    """Nor does one whose position is on another symbol, or was closed."""
    game.hold(BUY, 10)
    game.hold(SELL, 10)
    game.hold(BUY, 10, symbol="B")
    rates = (FundingRate("A", game.next_ms, Decimal("0.001")),)
    assert [] == game.candle(rates=rates, A=(1_000, 1_000, 1_000, 1_000))


def test_progress_remembers_how_far_settlements_were_looked_at(game: Game) -> None:
    """The opening of the latest batch, whether anything was paid or not."""
    game.candle(A=(1_000, 1_000, 1_000, 1_000))
    assert game.next_ms - MINUTE == game.kernel.account.progress.funded_ms


# ── liquidation ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_liquidation_closes_the_position_whole_and_voids_its_reduce_only_orders(game: Game, side: int) -> None:
    """Whatever the volume; entries and other symbols' orders stay."""
    game.hold(side, 40)
    at = game.position.liquidation
    game.order("far stop", Kind.STOP, -side, 40, at - side * 20)
    game.order("target", Kind.TARGET, -side, 40, 1_000 + side * 100)
    game.order("entry", Kind.LIMIT, side, 10, at - side * 30)
    game.order("other", Kind.LIMIT, side, 10, 900, symbol="B") if side is BUY else None
    low, high = min(at, 1_000), max(at, 1_000)
    happened = game.candle(volume=1, A=(1_000, high, low, at))
    assert [("", -side * 40, at)] == trades(happened)
    (first, *_) = happened
    assert isinstance(first, TradeRow)
    assert (True, 0) == (first.is_liquidation, first.order_number)
    void = (Status.EXPIRED, "position was liquidated")
    assert [("far stop", *void), ("target", *void)] == ends(happened)
    assert {"entry", "other"} - ({"other"} if side is SELL else set()) == set(game.kernel.account.orders)
    assert 0 == game.signed == game.position.liquidation


def test_a_gap_through_the_liquidation_price_is_taken_over_at_the_open(game: Game) -> None:
    """There was no better price."""
    game.hold(BUY, 10)
    assert [("", -10, 850)] == trades(game.candle(A=(850, 860, 840, 850)))


def test_a_stop_before_the_liquidation_price_saves_the_position(game: Game) -> None:
    """The nearer price acts first."""
    game.hold(BUY, 10)
    game.order("stop", Kind.STOP, SELL, 10, game.position.liquidation + 1)
    assert [("stop", -10, game.position.liquidation + 1)] == trades(game.candle(A=(1_000, 1_000, 800, 800)))


def test_orders_may_be_cancelled_in_answer_to_a_liquidation(game: Game) -> None:
    """They are void already: a cancel finds nothing open, and the batch goes on."""
    game.hold(BUY, 10)
    for name, price in (("one", 890), ("two", 880), ("three", 870)):
        game.order(name, Kind.STOP, SELL, 10, price)

    def tidy_up(it: Game, happening: Happening) -> None:
        if isinstance(happening, TradeRow):
            assert [None] * 3 == [it.kernel.cancel(name) for name in ("one", "two", "three")]

    happened = game.candle(answer=tidy_up, A=(1_000, 1_000, 900, 950))
    assert 3 == len(ends(happened))
    assert 950 == game.kernel.account.points["A"].last


# ── refusals ────────────────────────────────────────────────────────────────


def _refusals() -> Iterator[tuple[str, Kind, int, int, int, dict[str, object]]]:
    yield "quantity", Kind.MARKET, BUY, 1, 0, {}
    yield "quantity", Kind.MARKET, BUY, -10, 0, {}
    yield "quantity", Kind.MARKET, BUY, 100_001, 0, {}
    yield "price", Kind.LIMIT, BUY, 10, 0, {}
    yield "price", Kind.STOP, SELL, 10, -5, {}
    yield "would_trigger", Kind.STOP, BUY, 10, 1_000, {"reduce_only": False}
    yield "would_trigger", Kind.STOP, SELL, 10, 1_000, {"reduce_only": False}
    yield "would_trigger", Kind.TARGET, BUY, 10, 1_000, {"reduce_only": False}
    yield "would_trigger", Kind.TARGET, SELL, 10, 1_000, {"reduce_only": False}
    yield "would_take", Kind.LIMIT, BUY, 10, 1_000, {"post_only": True}
    yield "would_take", Kind.LIMIT, SELL, 10, 1_000, {"post_only": True}
    yield "reduce_only", Kind.MARKET, SELL, 10, 0, {"reduce_only": True}
    yield "notional", Kind.MARKET, BUY, 4, 0, {}
    yield "notional", Kind.LIMIT, BUY, 5, 999, {}
    yield "margin", Kind.MARKET, BUY, 1_001, 0, {}
    yield "margin", Kind.LIMIT, BUY, 2_000, 990, {}


@pytest.mark.parametrize(("code", "kind", "sign", "steps", "price", "told"), list(_refusals()))
def test_every_filter_refuses_with_its_own_code(
    game: Game, code: str, kind: Kind, sign: int, steps: int, price: int, told: dict[str, object]
) -> None:
    """At a price of 1,000 with 100,000 at 10x; nothing is written of a refused order."""
    written = len(game.changes)
    refusal, order = game.ask("x", kind, sign, steps, price, **told)
    assert refusal is not None
    assert code == refusal.code
    assert refusal.reason
    assert (written, 0, {}) == (len(game.changes), order.number, game.kernel.account.orders)


@pytest.mark.parametrize(("kind", "sign", "price"), [(Kind.STOP, BUY, 1_001), (Kind.STOP, SELL, 999),
                                                     (Kind.TARGET, BUY, 999), (Kind.TARGET, SELL, 1_001)])  # fmt: skip
def test_a_trigger_one_tick_away_is_accepted(game: Game, kind: Kind, sign: int, price: int) -> None:
    """The last price itself is not."""
    game.order("x", kind, sign, 10, price, reduce_only=False)


def test_an_order_before_the_first_candle_is_refused() -> None:
    """There is no price to judge it by."""
    kernel = Kernel(Account(), {"A": Contract.of(instrument("A"))}, FREE, lambda _: None)
    order = ExchangeOrder("x", 0, "A", Kind.MARKET, BUY, 10, 0, False, 0, 0)
    refusal = kernel.submit(order, post_only=False)
    assert refusal is not None
    assert "no_market" == refusal.code


def test_the_fee_counts_into_the_margin_that_an_entry_needs() -> None:
    """Ten thousand at 10x carry a hundred thousand only without a fee."""
    dear = Terms(taker_fee_e8=100_000, slippage_ppm=0, volume_share_ppm=1_000_000, leverage_milli=10_000)
    assert Game(FREE, wallet=10_000).ask("x", Kind.MARKET, BUY, 100)[0] is None
    refusal, _ = Game(dear, wallet=10_000).ask("x", Kind.MARKET, BUY, 100)
    assert Refusal("margin", f"needs {10_100 * E8}, available {10_000 * E8} (1e-8)") == refusal


def test_what_is_available_is_the_wallet_less_margin_open_entries_and_open_losses(game: Game) -> None:
    """Gains that are not realised are not lent out; reduce-only orders cost nothing."""
    game.hold(BUY, 100)
    assert 90_000 * E8 == game.kernel.available_e8()
    game.order("entry", Kind.LIMIT, BUY, 100, 900)
    game.order("stop", Kind.STOP, SELL, 100, 950)
    assert 81_000 * E8 == game.kernel.available_e8()
    game.candle(A=(1_000, 1_000, 990, 990))
    assert 80_000 * E8 == game.kernel.available_e8()
    game.candle(A=(990, 1_050, 990, 1_050))
    assert 81_000 * E8 == game.kernel.available_e8()
    game.order("market", Kind.MARKET, SELL, 10, symbol="B")
    assert 80_000 * E8 == game.kernel.available_e8()


def test_accepted_orders_are_numbered_and_stamped(game: Game) -> None:
    """With the time of the exchange; market orders are working at once."""
    first = game.order("a", Kind.MARKET, BUY, 10)
    second = game.order("b", Kind.LIMIT, BUY, 10, 990)
    assert [(1, MINUTE, Status.WORKING), (2, MINUTE, Status.NEW)] == [
        (order.number, order.created_ms, order.status) for order in (first, second)
    ]


def test_a_cancel_of_what_is_not_open_is_none(game: Game) -> None:
    """Unknown, filled or cancelled before."""
    game.order("a", Kind.LIMIT, BUY, 10, 990)
    assert game.kernel.cancel("a") is not None
    assert game.kernel.cancel("a") is None
    assert game.kernel.cancel("unknown") is None


def test_nothing_is_seen_before_it_is_durable(game: Game) -> None:
    """At every pause the change that made it is the last one that was written."""
    game.hold(BUY, 10)
    game.order("stop", Kind.STOP, SELL, 10, 980)
    rate = FundingRate("A", game.next_ms, Decimal("0.001"))

    def check(it: Game, happening: Happening) -> None:
        last = it.changes[-1]
        assert happening in [*last.trades, *last.incomes, *last.orders]

    assert 2 == len(game.candle(rates=(rate,), answer=check, A=(1_000, 1_000, 970, 970)))
