"""A venue over a network, from the configuration: which host, which adapter, and whether the account may be traded.

What belongs here: choosing and checking. What does not: how a venue speaks (venues), the life of a run (live).

Testnet reaches testnet hosts whatever the configuration says, live never does. Paper takes its market from the real
ones and has no key to do anything with. A server on this machine is reached in all three: it is how they are rehearsed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from trading_engine.config.model import Config
from trading_engine.config.remote import CredentialsConfig, VenueConfig
from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid, VenueRejected, VenueUnavailable
from trading_engine.domain.fills import Income, PnlKind
from trading_engine.domain.ids import parse_client_order_id
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.reports import Outcome, Rejected, Unknown
from trading_engine.domain.streams import MarketSink
from trading_engine.marketdata.feed import MarketStream
from trading_engine.ports import AccountFacts, Clock, MarginMode, PositionMode, PublicMarket, RemoteVenue
from trading_engine.runtime.read_only import ReadOnlyRemote
from trading_engine.system import core_dumps
from trading_engine.system.clock import AdoptedClock
from trading_engine.system.redaction import register_secret
from trading_engine.venues.binance import facts as binance
from trading_engine.venues.binance.market_stream import BinanceMarketStream
from trading_engine.venues.binance.public import BinancePublic
from trading_engine.venues.binance.venue import BinanceVenue
from trading_engine.venues.bingx import facts as bingx
from trading_engine.venues.bingx.market_stream import BingxMarketStream
from trading_engine.venues.bingx.public import BingxPublic
from trading_engine.venues.bingx.venue import BingxVenue
from trading_engine.venues.wire.market_stream import StreamSettings
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.settings import AccountSettings, Hosts
from trading_engine.venues.wire.transport import NoReply, NotSent, Transport
from trading_engine.venues.zoomex import facts as zoomex
from trading_engine.venues.zoomex.market_stream import ZoomexMarketStream
from trading_engine.venues.zoomex.public import ZoomexPublic
from trading_engine.venues.zoomex.venue import ZoomexVenue

EXIT_REFUSED = 3
OPENING_ID = "opening"
# Codes of requests that never left, or that the venue had no time for: no word against what was asked.
_NOT_LOOKED_AT = frozenset({"busy", "clock", "not_sent", "rate_limited"})
LOCAL_CLOCK_PATH = "/local-venue/clock"
_CLOCK_SAMPLES = 5  # the quickest answer counts


@dataclass(frozen=True, slots=True)
class _Known:
    """The addresses of a venue, and what its websocket address is followed by."""

    live: Hosts
    testnet: Hosts
    public_path: str = ""
    private_path: str = ""
    testnet_asset: str = "USDT"


_KNOWN: Mapping[str, _Known] = {
    "binance": _Known(binance.MAINNET, binance.DEMO, "/market", "/private"),
    "bingx": _Known(bingx.LIVE, bingx.DEMO, "/swap-market", "/swap-market", bingx.DEMO_ASSET),
    "zoomex": _Known(zoomex.MAINNET, zoomex.TESTNET),
}


VENUES = tuple(_KNOWN)


def venue_config(config: Config) -> VenueConfig:
    """The section of the configured venue."""
    section: VenueConfig = getattr(config.venues, config.venue)
    return section


_PLAY_WORDS = ("testnet", "demo", "-vst")  # in the names of every host of play money that the venues have had


def hosts_of(config: Config) -> Hosts:
    """The addresses a run uses; ConfigInvalid where mode and addresses contradict each other."""
    known, section = _KNOWN[config.venue], venue_config(config)
    own = known.testnet if config.mode == "testnet" else known.live
    if section.rest_url is None or section.ws_url is None:
        return own
    given = Hosts(section.rest_url, section.ws_url + known.public_path, section.ws_url + known.private_path)
    if given.is_local:
        return given
    where = f"venues.{config.venue}.rest_url = {section.rest_url}"
    if config.mode == "testnet" and given.rest_url != known.testnet.rest_url:
        raise ConfigInvalid(f"{where}: mode = testnet reaches {known.testnet.rest_url} only; leave rest_url out")
    is_play = given.rest_url == known.testnet.rest_url or any(word in given.rest_url for word in _PLAY_WORDS)
    if config.mode == "live" and is_play:
        raise _refused(f"{where}: mode = live, and this is the testnet; use mode = testnet")
    return given


def address_note(config: Config) -> str:
    """What a person should know about the addresses of this run, empty where there is nothing."""
    hosts, known = hosts_of(config), _KNOWN[config.venue]
    if hosts.is_local:
        return f"the venue is a server on this machine ({hosts.rest_url})"
    own = known.testnet if config.mode == "testnet" else known.live
    return "" if hosts.rest_url == own.rest_url else f"{hosts.rest_url} is not {config.venue}'s own {own.rest_url}"


def settings_of(config: Config, mode: PositionMode | None = None) -> AccountSettings:
    """What the adapter is told; `mode` where the account is in another position mode than the configuration's."""
    section = venue_config(config)
    is_testnet = config.mode == "testnet" and not hosts_of(config).is_local
    return AccountSettings(
        account=config.account,
        symbols=config.symbols,
        hosts=hosts_of(config),
        asset=_KNOWN[config.venue].testnet_asset if is_testnet else "USDT",
        recv_window_ms=config.execution.recv_window_ms,
        position_mode=mode or PositionMode(section.position_mode),
        trigger_by=section.trigger_by,
    )


def make_public(config: Config, clock: Clock) -> PublicMarket:
    """What the venue tells anybody; nothing is sent yet. The account of the configuration plays no part in it."""
    return public_of(config.venue, settings_of(config), clock)


def live_hosts(venue: str) -> Hosts:
    """The addresses of a venue of `VENUES`, where real money is traded."""
    return _KNOWN[venue].live


def public_of(venue: str, settings: AccountSettings, clock: Clock) -> PublicMarket:
    """As `make_public`, of a venue of `VENUES`, without a configuration."""
    match venue:
        case "binance":
            return BinancePublic(settings, clock)
        case "bingx":
            return BingxPublic(settings, clock)
        case _:
            return ZoomexPublic(settings, clock)


class PublicStream(MarketStream, Protocol):
    """Forming candles as a venue pushes them, and what else was asked for."""

    def listen(self, sink: MarketSink) -> None:
        """Give `sink` everything that is no candle."""
        ...

    async def run(self) -> None:
        """Keep the connections until cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class StreamNeeds:
    """What every market stream is made with.

    with_marks   mark prices and coming settlements as well
    """

    transport: Transport
    clock: Clock
    instruments: Sequence[Instrument]
    url: str
    on_note: Callable[[str], None]
    sleep: Callable[[float], Awaitable[None]]
    with_marks: bool


def _maker(kind: Callable[..., PublicStream]) -> Callable[[StreamNeeds], PublicStream]:
    """Every venue's stream is made alike, and names its topics alike."""

    def make(needs: StreamNeeds) -> PublicStream:
        topics = ("kline_1m", "markPrice") if needs.with_marks else ("kline_1m",)
        settings = StreamSettings(needs.url, tuple(one.symbol for one in needs.instruments), topics)
        return kind(needs.transport, needs.clock, needs.instruments, settings, needs.on_note, sleep=needs.sleep)

    return make


_STREAMS: Mapping[str, Callable[[StreamNeeds], PublicStream]] = {
    "binance": _maker(BinanceMarketStream),
    "bingx": _maker(BingxMarketStream),
    "zoomex": _maker(ZoomexMarketStream),
}


def make_stream(
    config: Config,
    instruments: Sequence[Instrument],
    clock: Clock,
    transport: Transport,
    on_note: Callable[[str], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> PublicStream:
    """The venue's market stream at the run's own host; nothing is sent yet.

    Paper also hears of mark prices and settlements: a real venue books those itself.
    """
    url, with_marks = hosts_of(config).public_ws_url, config.mode == "paper"
    return _STREAMS[config.venue](StreamNeeds(transport, clock, instruments, url, on_note, sleep, with_marks))


def make_venue(config: Config, clock: Clock, mode: PositionMode | None = None) -> RemoteVenue:
    """The adapter; nothing is sent yet. `mode` as for `settings_of`."""
    settings, credentials = settings_of(config, mode), _credentials(config.credentials)
    match config.venue:
        case "binance":
            return BinanceVenue(credentials, settings, clock)
        case "bingx":
            return BingxVenue(credentials, settings, clock)
        case _:
            return ZoomexVenue(credentials, settings, clock)


async def adopt_clock(config: Config, not_before_ms: int) -> AdoptedClock | None:
    """The clock of a venue server on this machine; None for a real venue, which has the time we all have.

    Raises VenueUnavailable where the server does not answer.
    """
    hosts = hosts_of(config)
    if not hosts.is_local:
        return None
    transport = Transport()
    try:
        url = hosts.rest_url + LOCAL_CLOCK_PATH
        found = [await _ask_clock(transport, url, not_before_ms) for _ in range(_CLOCK_SAMPLES)]
    except (NotSent, NoReply, msgspec.MsgspecError) as error:
        raise VenueUnavailable(
            f"{hosts.rest_url} does not tell its time ({error or type(error).__name__}); is"
            " `trading-engine exchange serve` running there?"
        ) from None
    finally:
        await transport.close()
    return min(found, key=lambda item: item[0])[1]


async def _ask_clock(transport: Transport, url: str, not_before_ms: int) -> tuple[int, AdoptedClock]:
    """How long the answer took, and the clock it tells of: a fast one has gone on while the answer was on its way."""
    asked_ns = time.monotonic_ns()
    reply = await transport.request("GET", url, {})
    trip_ns = time.monotonic_ns() - asked_ns
    told = msgspec.json.decode(reply.body, type=_LocalClock)
    return trip_ns, AdoptedClock(told.now_ms, told.pace, not_before_ms, asked_ns + trip_ns // 2)


class _LocalClock(msgspec.Struct):
    now_ms: int
    pace: float


def _credentials(given: CredentialsConfig | None) -> Credentials:
    assert given is not None  # noqa: S101 - the configuration demands them in these modes
    key, secret = given.key.get_secret_value(), given.secret.get_secret_value()
    core_dumps.forbid()  # of the commands that ask a venue as well as of a run
    register_secret(key)
    register_secret(secret)
    return Credentials(key, secret)


async def open_venue(venue: RemoteVenue) -> None:
    """Reach the venue and hear its stream; ConfigInvalid where it refuses the key: a restart would not help."""
    await _reach(venue, venue.open())


async def connect_venue(venue: RemoteVenue) -> None:
    """Reach the venue for questions and orders, without its stream; errors as `open_venue`."""
    await _reach(venue, venue.connect())


async def _reach(venue: RemoteVenue, way: Awaitable[None]) -> None:
    try:
        await way
    except VenueRejected as error:
        raise ConfigInvalid(
            f"account {venue.account}: {venue.name} refuses the API key ({error}); check key, secret, permissions and"
            " the key's list of addresses"
        ) from None


def make_reader(config: Config, clock: Clock) -> RemoteVenue:
    """The adapter behind a guard that lets nothing through but questions; nothing is sent yet."""
    return ReadOnlyRemote(make_venue(config, clock))


async def require_flat(venue: RemoteVenue, config: Config) -> None:
    """ConfigInvalid (exit 3) where orders of ours are open at the venue, or a position that may be.

    A position has no mark of its maker: one on a symbol whose policy is `ignore` is somebody else's by the operator's
    word.
    """
    held = {
        report.symbol: f"order of this program ({report.client_order_id})"
        for report in await venue.open_orders()
        if parse_client_order_id(report.client_order_id) is not None
    }
    policies = config.reconciliation
    for item in await venue.positions():
        is_traded = item.symbol in config.symbols
        if is_traded and policies.symbols.get(item.symbol, policies.default) != "ignore":
            held[item.symbol] = f"position at {config.venue} ({item.side} {money.text(item.quantity)})"
    for symbol in sorted(held):
        raise _refused(
            f"{symbol} has {'an' if held[symbol].startswith('order') else 'a'} {held[symbol]}, which a run that sends"
            " nothing cannot protect; run without --signals-only on the state that it belongs to, close it"
            f" (`trading-engine flatten --direct`), or, of somebody else's, set reconciliation.symbols.{symbol}: ignore"
        )


async def check_account(venue: RemoteVenue, config: Config) -> list[str]:
    """Warnings about the account; ConfigInvalid (exit 3) where it must not be traded on."""
    return check_facts(await venue.account_facts(), config)


def check_facts(facts: AccountFacts, config: Config) -> list[str]:
    """As `check_account`, of what is known already."""
    if facts.can_trade is False:
        raise _refused(f"{config.venue}: the API key may not trade; allow it futures trading")
    return check_readable(facts, config)


def check_readable(facts: AccountFacts, config: Config) -> list[str]:
    """As `check_facts`, for a run that sends nothing: a key that may not trade is all the better."""
    is_local = hosts_of(config).is_local
    if facts.is_demo is not None and not is_local and facts.is_demo != (config.mode == "testnet"):
        holds = "play money" if facts.is_demo else "real money"
        raise _refused(f"{config.venue}: mode = {config.mode}, and the account holds {holds}")
    return [*_of_withdrawal(facts, config), *facts.notes]


def _of_withdrawal(facts: AccountFacts, config: Config) -> list[str]:
    text = f"{config.venue}: the API key may withdraw money; make one that cannot"
    if facts.can_withdraw and config.mode == "live":
        raise _refused(text)
    return [text] if facts.can_withdraw else []


async def arrange_account(venue: RemoteVenue, config: Config, symbols: Sequence[str]) -> None:
    """Set position mode, margin mode and leverage as configured; ConfigInvalid where the venue refuses one."""
    section = venue_config(config)
    outcome = await venue.set_position_mode(PositionMode(section.position_mode))
    _demand(outcome, f"position_mode {section.position_mode}")
    for symbol in symbols:
        outcome = await venue.set_margin_mode(symbol, MarginMode(section.margin_mode))
        _demand(outcome, f"margin_mode {section.margin_mode} on {symbol}")
        _demand(await venue.set_leverage(symbol, config.leverage), f"leverage {config.leverage} on {symbol}")


async def read_opening(venue: RemoteVenue, asset: str, clock: Clock) -> Income:
    """The wallet with which a ledger begins; ConfigInvalid where it is empty.

    Dated by the venue's clock, as everything that happens there afterwards: by one that is seconds off, what came
    just before would be booked again, or what comes just after would count as before.
    """
    offset_ms = await venue.measure_clock()
    now_ms = clock.now_ms() + offset_ms
    wallet = (await venue.balance()).wallet
    if wallet <= money.ZERO:
        raise ConfigInvalid(f"{venue.name}: the wallet holds {wallet} {asset}; there is nothing to trade with")
    return Income(venue.name, venue.account, OPENING_ID, PnlKind.TRANSFER, "", wallet, asset, now_ms)


def _demand(outcome: Outcome, what: str) -> None:
    if isinstance(outcome, Rejected) and outcome.code in _NOT_LOOKED_AT:
        raise VenueUnavailable(f"{what} could not be set yet ({outcome.code}: {outcome.reason})")
    if isinstance(outcome, Rejected):
        why = f"{outcome.code}: {outcome.reason}"
        raise _refused(f"the venue refuses {what} ({why}); close what is open on it, or change the configuration")
    if isinstance(outcome, Unknown):
        raise VenueUnavailable(f"the venue did not say whether {what} is set ({outcome.why})")


def _refused(text: str) -> ConfigInvalid:
    return ConfigInvalid(text, exit_code=EXIT_REFUSED)
