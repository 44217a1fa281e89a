"""A local venue server in a thread of its own, and an operator in front of a state that trades there.

What belongs here: the server, its market that stands still at 50,000, the state's files, calling commands. What does
not: any expectation.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from fakes.databases import fresh

from trading_engine.cli.main import main
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import Book, EngineState
from trading_engine.domain.events import IncomeSeen, RunBegan
from trading_engine.domain.fills import Income, PnlKind
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.runtime.pump import Pump
from trading_engine.store.sql_store import SqlStore
from trading_engine.system.state_dir import StateDir
from trading_engine.venue_servers.binance import BinanceProtocol
from trading_engine.venue_servers.binance.limits import Limits
from trading_engine.venue_servers.bingx import BingxProtocol
from trading_engine.venue_servers.clock import PacedClock
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.faults import Faults
from trading_engine.venue_servers.web import VenueProtocol, WebServer
from trading_engine.venue_servers.zoomex import ZoomexProtocol
from trading_engine.venues.embedded.account import ExchangeOrder, Kind
from trading_engine.venues.embedded.facts import known_instrument
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials

T = TypeVar("T")

BTC = "BTCUSDT"
START_MS = 1_746_316_800_000
MINUTE_MS = 60_000
PACE = 20.0
PLENTY = 10**9
PRICE = 500_000  # ticks of 0.1
DEPOSIT = Decimal(10_000)
KEYS = Credentials("test-key-0123456789", "test-secret-0123456789")


def _binance(exchange: LocalExchange, credentials: Credentials) -> VenueProtocol:
    """Commands that follow each other at once weigh as if a person had typed them."""
    return BinanceProtocol(exchange, credentials, Limits(minute_ms=int(MINUTE_MS / PACE)))


PROTOCOLS: dict[str, Callable[[LocalExchange, Credentials], VenueProtocol]] = {
    "binance": _binance,
    "bingx": BingxProtocol,
    "zoomex": ZoomexProtocol,
}


def _instrument() -> Instrument:
    found = known_instrument(BTC)
    assert found is not None
    return found


class ServedVenue:
    """A venue on a port of this machine; `do` runs something where the exchange lives."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.exchange: LocalExchange
        self.server: WebServer
        self.port: int = self.wait(self._start())

    async def _start(self) -> int:
        clock = PacedClock(START_MS + MINUTE_MS, PACE)
        memory = Memory(self._folder / "venue.db")
        self.exchange = LocalExchange(memory, [_instrument()], Terms(), DEPOSIT, clock)
        candle = Candle(BTC, START_MS, MINUTE_MS, PRICE, PRICE, PRICE, PRICE, PLENTY)
        self.exchange.play(START_MS, [candle], [])
        self.server = WebServer(PROTOCOLS[self.name](self.exchange, KEYS), Faults(), pace=PACE)
        return await self.server.start()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The answer of something that runs on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def do(self, action: Callable[[LocalExchange], T]) -> T:
        """What `action` finds at the exchange."""

        async def act() -> T:
            return action(self.exchange)

        return self.wait(act())

    @property
    def methods(self) -> set[str]:
        """The HTTP methods of the calls so far."""
        return {site.split(" ")[0] for site in self.server.faults.visits if " " in site}

    def close(self) -> None:
        """Stop serving."""
        self.wait(self.server.stop())
        self.do(lambda exchange: exchange.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()


@dataclass
class VenueDesk:
    """A state directory, its configuration, and an operator in front of them."""

    folder: Path
    venue: ServedVenue
    capsys: pytest.CaptureFixture[str]

    @property
    def state(self) -> StateDir:
        """Where everything lies."""
        return StateDir(self.folder / "state")

    @property
    def config(self) -> Path:
        """The configuration's file."""
        return self.folder / "engine.yaml"

    def configure(self, policy: str = "freeze", mode: str = "testnet", **section: str) -> None:
        """Write the configuration; `section` goes into the venue's own."""
        address = f"127.0.0.1:{self.venue.port}"
        own = {"rest_url": f"http://{address}", "ws_url": f"ws://{address}", **section}
        told = "".join(f"    {name}: {value}\n" for name, value in own.items())
        self.config.write_text(
            f"mode: {mode}\nvenue: {self.venue.name}\naccount: main\nsymbols: [{BTC}]\n"
            f"strategies: [{{name: trend_vwap}}]\nvenues:\n  {self.venue.name}:\n{told}"
            f"credentials: {{key: {KEYS.key}, secret: {KEYS.secret}}}\n"
            f"reconciliation: {{default: {policy}}}\nlogging: {{file: false}}\n",
            encoding="utf-8",
        )

    def begin(self) -> None:
        """A database as the first start leaves it: the wallet is booked, nothing has happened."""
        self.state.root.mkdir(mode=0o700)
        fresh(self.state.root)
        settings = EngineSettings(self.venue.name, "main", "USDT", {BTC: _instrument()})
        with SqlStore.open(self.state.database, venue=self.venue.name, account="main") as store:
            pump = Pump(
                EngineState(Book("test")), settings, store, "run-1", lambda _: None, lambda _, __: None, lambda: None
            )
            now_ms = self.venue.do(lambda exchange: exchange.now_ms())
            opening = Income(self.venue.name, "main", "opening", PnlKind.TRANSFER, "", DEPOSIT, "USDT", now_ms)
            pump.handle(IncomeSeen(opening.ts_ms, opening))
            pump.handle(RunBegan(opening.ts_ms, "run-1", "test", "testnet", "hash"))

    def by_hand(self, sign: int, quantity: str, kind: Kind = Kind.MARKET, price: str = "") -> ExchangeOrder:
        """A person trades on the account, past the engine; a market order trades at once."""
        at = Decimal(price) if price else None
        made = self.venue.do(lambda exchange: exchange.submit(BTC, kind, sign, Decimal(quantity), at))
        assert isinstance(made, ExchangeOrder), made
        return made

    def held(self) -> list[tuple[int, int]]:
        """(sign, steps) of the positions at the venue."""
        return self.venue.do(lambda exchange: [(item.sign, item.steps) for item in exchange.positions()])

    def open_orders(self) -> list[tuple[str, bool]]:
        """(kind, whether it only reduces) of the open orders at the venue."""
        return self.venue.do(
            lambda exchange: [(str(order.kind), order.reduce_only) for order in exchange.orders(only_open=True)]
        )

    def call(self, *arguments: str, code: int = 0) -> str:
        """What a command prints on both streams; its exit code is checked."""
        self.capsys.readouterr()
        found = main([*arguments, "--state", str(self.state.root)])
        out, err = self.capsys.readouterr()
        assert code == found, out + err
        return out + err

    def plan(self) -> list[tuple[str, str]]:
        """(kind, action) of the differences that a plan shows."""
        self.capsys.readouterr()
        main(["reconcile", "--plan", "--config", str(self.config), "--state", str(self.state.root), "--json"])
        out, err = self.capsys.readouterr()
        assert not err, err
        return [(item["kind"], item["action"]) for item in json.loads(out)["differences"]]

    def apply(self, *options: str, code: int = 0) -> list[str]:
        """`reconcile --apply --yes`: what was done, and what is left."""
        printed = self.call("reconcile", "--apply", "--yes", "--config", str(self.config), *options, code=code)
        return [line for line in printed.splitlines() if line.startswith(("done: ", "left: "))]

    def read(self, *command: str) -> list[dict[str, Any]]:
        """The rows of a read command's JSON."""
        found: list[dict[str, Any]] = json.loads(self.call(*command, "--json"))
        return found

    def flatten(self, *options: str, code: int = 0) -> list[str]:
        """The steps that an emergency close prints."""
        return self.call("flatten", "--direct", "--yes", "--config", str(self.config), *options, code=code).splitlines()


@contextmanager
def venue_desk(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[VenueDesk]:
    """A server and a configured desk; no state yet."""
    desk = VenueDesk(folder, ServedVenue(name, folder), capsys)
    desk.configure()
    try:
        yield desk
    finally:
        desk.venue.close()
