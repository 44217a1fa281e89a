"""The account: both generations of wallets, positions, settings, and what a start asks about."""

from dataclasses import replace
from decimal import Decimal

import pytest
from unit.venues.zoomex.scripted import BTC, Answer, Asked, Bench, listing, run

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.market import Side
from trading_engine.domain.reports import Accepted, Balance, Outcome, Rejected, VenuePosition
from trading_engine.ports import AccountFacts, FeeRates, MarginMode, PositionMode
from trading_engine.venues.wire.settings import Hosts
from trading_engine.venues.zoomex import facts

D = Decimal
ETH = "ETHUSDT"


def _wallet(total: object, **coin: object) -> Answer:
    row = {"coin": "USDT", "walletBalance": "1000.10", **coin}
    return Answer({"list": [{"accountType": "X", "totalAvailableBalance": total, "coin": [row]}]})


MARGINS = {"totalPositionIM": "12.37", "totalOrderIM": "7", "locked": "", "bonus": "1"}
WALLETS = [
    ("UNIFIED", _wallet("993.03", availableToWithdraw="", **MARGINS), "993.03"),
    ("UNIFIED", _wallet("", availableToWithdraw="", **MARGINS), "979.73"),
    ("CONTRACT", _wallet("", availableToWithdraw="950.5", **MARGINS), "950.5"),
    ("CONTRACT", _wallet("", availableToWithdraw="0", **MARGINS), "0"),
    ("CONTRACT", _wallet("", availableToWithdraw="", **MARGINS), "979.73"),
]


@pytest.mark.parametrize(("generation", "answer", "available"), WALLETS)
@pytest.mark.parametrize("other", [Answer(None, 10001, "accountType"), Answer({"list": []})])
def test_the_wallet_of_either_generation_is_found_and_kept(
    generation: str, answer: Answer, available: str, other: Answer
) -> None:
    """Whether the wrong name is refused or shows nothing; it is asked for once."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.WALLET] = lambda asked: answer if generation in asked.query else other
        assert Balance("USDT", D("1000.10"), D(available)) == await bench.venue.balance()
        bench.server.asked.clear()
        await bench.venue.balance()
        assert [f"accountType={generation}&coin=USDT"] == [asked.query for asked in bench.server.asked]

    run(story)


@pytest.mark.parametrize(
    "failure", [Answer(None, 10016), Answer(raw="", status=502), Answer(None, 10003), Answer(None)]
)
def test_trouble_is_not_taken_for_the_other_generation(failure: Answer) -> None:
    """Only a refusal of the name is."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.WALLET] = failure
        with pytest.raises(VenueUnavailable):
            await bench.venue.balance()
        assert not [asked for asked in bench.server.asked if "CONTRACT" in asked.query]

    run(story)


def test_a_wallet_that_is_not_told_is_not_zero() -> None:
    """Empty text means unknown."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.WALLET] = _wallet("", availableToWithdraw="", totalPositionIM="", totalOrderIM="0")
        with pytest.raises(VenueUnavailable, match="margin of positions"):
            await bench.venue.balance()

    run(story)


def test_an_account_that_never_held_the_asset_has_nothing() -> None:
    """The venue shows the account without the coin."""

    async def story(bench: Bench) -> Balance:
        bench.server.script[facts.WALLET] = Answer({"list": [{"totalAvailableBalance": "0", "coin": []}]})
        return await bench.venue.balance()

    assert Balance("USDT", D(0), D(0)) == run(story)


def _position(**changes: object) -> dict[str, object]:
    row = {
        "positionIdx": 0,
        "symbol": BTC,
        "side": "Buy",
        "size": "0.010",
        "avgPrice": "60000.5",
        "leverage": "10",
        "markPrice": "60018.11",
        "liqPrice": "",
        "tradeMode": 0,
    }
    return {**row, **changes}


def test_positions_have_sides_in_both_modes_and_flat_rows_are_none() -> None:
    """One way by the side, hedge by the index, over pages."""

    async def story(bench: Bench) -> list[VenuePosition]:
        bench.server.script[facts.POSITIONS] = [
            listing(_position(), _position(symbol=ETH, size="0", side="None", avgPrice="0"), cursor="n"),
            listing(
                _position(symbol="SOLUSDT", positionIdx=1, liqPrice="50.5"),
                _position(symbol="SOLUSDT", positionIdx=2, side="Sell", leverage=""),
            ),
        ]
        return list(await bench.venue.positions())

    net, long_side, short_side = run(story)
    assert VenuePosition(BTC, Side.LONG, D("0.010"), D("60000.5"), D("60018.11"), None, D(10)) == net
    assert (Side.LONG, D("50.5")) == (long_side.side, long_side.liquidation_price)
    assert (Side.SHORT, D(1)) == (short_side.side, short_side.leverage)


@pytest.mark.parametrize("changes", [{"side": ""}, {"size": ""}, {"size": "x"}, {"markPrice": ""}, {"size": None}])
def test_a_position_that_cannot_be_read_is_a_failure(changes: dict[str, object]) -> None:
    """Never no position."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.POSITIONS] = listing(_position(**changes))
        with pytest.raises(VenueUnavailable):
            await bench.venue.positions()

    run(story)


# ── settings ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("answer", [Answer({}), Answer(None, 110043, "leverage not modified")])
def test_leverage_that_is_so_already_is_accepted(answer: Answer) -> None:
    """The same for both sides."""

    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.LEVERAGE] = answer
        outcome = await bench.venue.set_leverage(BTC, D("10.0"))
        (asked,) = bench.server.asked
        assert {"category": "linear", "symbol": BTC, "buyLeverage": "10", "sellLeverage": "10"} == asked.json
        return outcome

    assert isinstance(run(story), Accepted)


def test_leverage_that_is_refused_is_rejected() -> None:
    """Under the venue's code."""

    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.LEVERAGE] = Answer(None, 110013, "risk tier")
        return await bench.venue.set_leverage(BTC, D(200))

    assert Rejected("110013", "110013: risk tier") == run(story)


@pytest.mark.parametrize(("mode", "number"), [(PositionMode.ONE_WAY, 0), (PositionMode.HEDGE, 3)])
def test_the_position_mode_is_set_symbol_by_symbol(mode: PositionMode, number: int) -> None:
    """By coin the venue would pass over symbols in silence."""

    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.SWITCH_MODE] = [Answer({}), Answer(None, 110025)]
        outcome = await bench.venue.set_position_mode(mode)
        expected = [{"category": "linear", "symbol": symbol, "mode": number} for symbol in (BTC, ETH)]
        assert expected == [asked.json for asked in bench.server.asked]
        return outcome

    assert isinstance(run(story, symbols=(BTC, ETH), reads_instruments=False), Accepted)


def test_more_symbols_than_the_venue_takes_in_a_second_wait_for_their_turn() -> None:
    """Twelve settings, eight a second: none is refused by our own budget, and no order would have waited."""

    async def story(bench: Bench) -> tuple[Outcome, int]:
        bench.server.script[facts.SWITCH_MODE] = Answer({})
        outcome = await bench.venue.set_position_mode(PositionMode.ONE_WAY)
        return outcome, len(bench.server.asked)

    symbols = tuple(f"C{number:02d}USDT" for number in range(12))
    outcome, asked = run(story, symbols=symbols, reads_instruments=False)
    assert isinstance(outcome, Accepted)
    assert len(symbols) == asked


def test_a_mode_that_an_open_position_blocks_is_rejected() -> None:
    """At the first symbol."""

    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.SWITCH_MODE] = [Answer({}), Answer(None, 110024, "open position")]
        return await bench.venue.set_position_mode(PositionMode.HEDGE)

    assert Rejected("110024", "110024: open position") == run(story, symbols=(BTC, ETH), reads_instruments=False)


@pytest.mark.parametrize(
    ("total", "mode", "expected"),
    [("1", MarginMode.CROSS, None), ("", MarginMode.ISOLATED, None), ("1", MarginMode.ISOLATED, "cross")],
)
def test_the_margin_mode_of_a_unified_account_is_only_compared(
    total: str, mode: MarginMode, expected: str | None
) -> None:
    """No documented call sets it."""

    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.WALLET] = _wallet(total)
        outcome = await bench.venue.set_margin_mode(BTC, mode)
        assert ["GET"] == [asked.method for asked in bench.server.asked]
        return outcome

    outcome = run(story)
    if expected is None:
        assert isinstance(outcome, Accepted)
    else:
        assert isinstance(outcome, Rejected)
        assert expected in outcome.reason


def _classic(asked: Asked) -> Answer:
    is_classic = "CONTRACT" in asked.query
    return _wallet("", availableToWithdraw="1") if is_classic else Answer(None, 10001)


@pytest.mark.parametrize("answer", [Answer({}), Answer(None, 110026, "not modified")])
def test_the_margin_mode_of_a_classic_account_is_switched_with_its_leverage(answer: Answer) -> None:
    """The switch names the leverage of both sides, so it is read first."""

    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.WALLET] = _classic
        bench.server.script[facts.POSITIONS] = listing(
            _position(positionIdx=1, leverage="7"), _position(positionIdx=2, leverage="9", side="Sell")
        )
        bench.server.script[facts.SWITCH_ISOLATED] = answer
        outcome = await bench.venue.set_margin_mode(BTC, MarginMode.ISOLATED)
        expected = {"category": "linear", "symbol": BTC, "tradeMode": 1, "buyLeverage": "7", "sellLeverage": "9"}
        assert expected == bench.server.asked[-1].json
        return outcome

    assert isinstance(run(story), Accepted)


def test_a_margin_mode_that_is_so_already_needs_no_call() -> None:
    """The position rows tell."""

    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.WALLET] = _classic
        bench.server.script[facts.POSITIONS] = listing(_position())
        return await bench.venue.set_margin_mode(BTC, MarginMode.CROSS)

    assert isinstance(run(story), Accepted)


def test_a_margin_mode_that_cannot_be_read_is_not_sent() -> None:
    """Nothing was changed, and that is certain."""

    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.WALLET] = Answer(None, 10016)
        return await bench.venue.set_margin_mode(BTC, MarginMode.CROSS)

    outcome = run(story)
    assert isinstance(outcome, Rejected)
    assert "not_sent" == outcome.code


# ── facts ───────────────────────────────────────────────────────────────────


def _facts(bench_answer: Answer, *rows: dict[str, object]) -> AccountFacts:
    async def story(bench: Bench) -> AccountFacts:
        bench.server.script[facts.POSITIONS] = listing(*rows)
        bench.server.script[facts.KEY_FACTS] = bench_answer
        return await bench.venue.account_facts()

    return run(story)


KEYS = [
    ({"readOnly": 0, "permissions": {"ContractTrade": ["Order", "Position"], "Wallet": []}}, True, False),
    ({"readOnly": 1, "permissions": {"ContractTrade": ["Order"], "Wallet": ["AccountTransfer"]}}, False, False),
    ({"readOnly": 0, "permissions": {"ContractTrade": None, "Wallet": ["Withdraw"]}}, False, True),
    ({"readOnly": 0}, None, None),
]


@pytest.mark.parametrize(("told", "can_trade", "can_withdraw"), KEYS)
def test_the_permissions_of_a_key_are_told_where_the_venue_tells_them(
    told: dict[str, object], can_trade: bool | None, can_withdraw: bool | None
) -> None:
    """And left open where it does not."""
    found = _facts(Answer(told), _position())
    assert (PositionMode.ONE_WAY, can_trade, can_withdraw, None) == (
        found.position_mode,
        found.can_trade,
        found.can_withdraw,
        found.is_demo,
    )
    assert (can_withdraw is None) == bool(found.notes)


@pytest.mark.parametrize("answer", [Answer(raw="404", status=404, content_type="text/plain"), Answer(None, 10005)])
def test_permissions_that_cannot_be_asked_for_are_unknown(answer: Answer) -> None:
    """The call is not documented."""
    found = _facts(answer, _position(positionIdx=1), _position(positionIdx=2, size="0", side=""))
    assert (PositionMode.HEDGE, None, None) == (found.position_mode, found.can_trade, found.can_withdraw)
    assert "cannot withdraw" in found.notes[0]


HOSTS = [(facts.MAINNET, False), (facts.TESTNET, True), (Hosts("https://zoomex.test", "", ""), None)]


@pytest.mark.parametrize(("hosts", "is_demo"), HOSTS)
def test_play_money_is_known_by_its_host(hosts: Hosts, is_demo: bool | None) -> None:
    """Of an address that is not the venue's nothing is known."""

    async def story(bench: Bench) -> AccountFacts:
        bench.server.script[facts.POSITIONS] = listing(_position())
        bench.venue._account._settings = replace(bench.venue._settings, hosts=hosts)
        return await bench.venue.account_facts()

    assert is_demo is run(story).is_demo


def test_symbols_in_different_modes_are_told() -> None:
    """No single mode holds."""

    def answer(asked: Asked) -> Answer:
        return listing(_position()) if BTC in asked.query else listing(_position(symbol=ETH, positionIdx=1))

    async def story(bench: Bench) -> AccountFacts:
        bench.server.script[facts.POSITIONS] = answer
        return await bench.venue.account_facts()

    found = run(story, symbols=(BTC, ETH), reads_instruments=False)
    assert found.position_mode is None
    assert "the position mode differs between symbols: BTCUSDT one_way, ETHUSDT hedge" == found.notes[0]


def test_fee_rates_are_those_of_the_account() -> None:
    """Where the venue tells them."""

    async def story(bench: Bench) -> FeeRates:
        row = {"symbol": BTC, "makerFeeRate": "0.0001", "takerFeeRate": "0.0005"}
        bench.server.script[facts.FEE_RATE] = listing(row)
        return await bench.venue.fee_rates(BTC)

    assert FeeRates(D("0.0001"), D("0.0005")) == run(story)


def test_fee_rates_that_cannot_be_asked_for_are_the_standard_ones() -> None:
    """The call is not documented; trouble is still trouble."""

    async def story(bench: Bench) -> FeeRates:
        rates = await bench.venue.fee_rates(BTC)
        bench.server.script[facts.FEE_RATE] = Answer(None, 10016)
        with pytest.raises(VenueUnavailable):
            await bench.venue.fee_rates(BTC)
        return rates

    assert FeeRates(D("0.0002"), D("0.0006")) == run(story)
