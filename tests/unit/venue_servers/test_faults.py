"""Fault files: which visit meets which rule, what is told, and the troubles of a server that no venue's tests show."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import ClientSession

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.venue_servers.binance import BinanceProtocol
from trading_engine.venue_servers.clock import MovedClock
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.faults import Faults, Mishap, Rule, read_faults
from trading_engine.venue_servers.web import CLOCK_PATH, WebServer
from trading_engine.venues.embedded.facts import known_instrument
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials

NOW = 1_746_316_800_000
PLACE = "POST /fapi/v1/order"


def met(rules: list[Rule], *visits: tuple[str, str]) -> list[Mishap | None]:
    """What each visit of a site, with what it says, meets."""
    faults = Faults(rules)
    found = [faults.at(site, 0, said) for site, said in visits]
    return [None if rule is None else rule.fault for rule in found]


def test_a_rule_for_calls_that_say_something_counts_only_those() -> None:
    """The first stop, however many other orders came before it."""
    rule = Rule(site=PLACE, fault=Mishap.LOST_REPLY, contains="STOP", visits=(1,))
    entry, stop = (PLACE, "type=MARKET"), (PLACE, "type=STOP_MARKET")
    assert [None, None, Mishap.LOST_REPLY, None] == met([rule], entry, entry, stop, stop)


def test_the_first_rule_that_meets_a_visit_counts() -> None:
    """Sites are beginnings of names."""
    rules = [Rule(site="stream.user", fault=Mishap.DROP, every=2), Rule(site="stream", fault=Mishap.SWAP)]
    visits = [("stream.user", ""), ("stream.user", ""), ("stream.market", ""), ("GET /x", "")]
    assert [Mishap.SWAP, Mishap.DROP, Mishap.SWAP, None] == met(rules, *visits)


def test_an_answer_can_name_the_servers_time() -> None:
    """Bans name the instant of their end."""
    rule = Rule(site="", fault=Mishap.STATUS, body="{now_ms} and {later_ms}", delay_ms=500)
    assert b"1000 and 1500" == rule.told(1_000)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- {site: stream, fault: explode}", "fault 1, fault: "),
        ("- {site: stream, fault: drop}\n- {site: stream}", "fault 2, fault: Field required"),
        ("- {site: stream, fault: drop, visits: [0]}", "fault 1, visits.0: "),
        ("- {site: stream, fault: drop, kontains: x}", "fault 1, kontains: Extra inputs"),
        ("site: stream", "expected a list of faults"),
        ("[", "cannot be read as YAML"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_the_place(tmp_path: Path, text: str, complaint: str) -> None:
    """Nothing is guessed."""
    path = tmp_path / "faults.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=r"faults\.yaml") as refused:
        read_faults(path)
    assert complaint in str(refused.value)


def server_with(folder: Path, *rules: Rule) -> WebServer:
    instrument = known_instrument("BTCUSDT")
    assert instrument is not None
    exchange = LocalExchange(
        Memory(folder / "venue.db"), [instrument], Terms(), instrument.max_quantity, MovedClock(NOW)
    )
    return WebServer(BinanceProtocol(exchange, Credentials("key", "secret")), Faults(rules))


def asked(server: WebServer, *paths: str) -> list[tuple[int, str]]:
    """Status and body of one GET each."""

    async def ask() -> list[tuple[int, str]]:
        port = await server.start()
        try:
            async with ClientSession() as session:
                answers = []
                for path in paths:
                    async with session.get(f"http://127.0.0.1:{port}{path}") as reply:
                        answers.append((reply.status, await reply.text()))
                return answers
        finally:
            await server.stop()
            server.protocol.exchange.close()

    return asyncio.run(ask())


def test_an_engine_on_this_machine_can_be_told_a_wrong_clock(tmp_path: Path) -> None:
    """The venue's own time stays right: the engine has to measure the difference."""
    server = server_with(tmp_path, Rule(site=f"GET {CLOCK_PATH}", fault=Mishap.SKEW, skew_ms=-3_000))
    (_, told), (_, venue) = asked(server, CLOCK_PATH, "/fapi/v1/time")
    assert (NOW - 3_000, NOW) == (json.loads(told)["now_ms"], json.loads(venue)["serverTime"])


def test_a_call_can_be_answered_with_anything(tmp_path: Path) -> None:
    """Status, headers, and a body with the server's time; then as always."""
    rule = Rule(site="GET /fapi", fault=Mishap.STATUS, visits=(1,), status=418, body="until {later_ms}", delay_ms=7)
    first, second = asked(server_with(tmp_path, rule), "/fapi/v1/ping", "/fapi/v1/ping")
    assert ((418, f"until {NOW + 7}"), (200, "{}")) == (first, second)
