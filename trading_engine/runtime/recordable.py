"""Which venues' public streams can be recorded, and how each is asked.

What belongs here: the table, and what differs from venue to venue. What does not: recording itself (market_record),
frames and connections (venues).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from trading_engine.domain.errors import ConfigInvalid, VenueUnavailable
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.streams import CandleUpdate, MarketSink
from trading_engine.venues.binance import codec, limits, shapes
from trading_engine.venues.binance import facts as binance
from trading_engine.venues.binance.market_stream import BinanceMarketStream, StreamSettings
from trading_engine.venues.binance.rest import Rest
from trading_engine.venues.wire.clock import Milliseconds
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.settings import AccountSettings, Hosts
from trading_engine.venues.wire.transport import Transport

_ANY_TIER = shapes.Bracket(
    initial_leverage=Decimal(1), notional_cap=Decimal(1), maint_margin_ratio=Decimal(0), cum=Decimal(0)
)


class PublicStream(Protocol):
    """A venue's public streams; `undecoded` counts frames that were not understood."""

    undecoded: int

    def subscribe(self, on_update: Callable[[CandleUpdate], None], on_break: Callable[[str], None]) -> None:
        """Tell updates of candles, and symbols whose candles may miss something."""
        ...

    def listen(self, sink: MarketSink) -> None:
        """Tell everything else."""
        ...

    async def run(self) -> None:
        """Keep all connections until cancelled."""
        ...


MakeStream = Callable[
    [Transport, Milliseconds, Sequence[Instrument], StreamSettings, Callable[[str], None], Callable[[bytes], None]],
    PublicStream,
]
ReadInstruments = Callable[[Transport, Milliseconds, Hosts, Sequence[str]], Awaitable[list[Instrument]]]


@dataclass(frozen=True, slots=True)
class Recordable:
    """One venue.

    file_name      begins the names of files; a dash and the symbol follow
    topics         what is recorded where nothing else is asked for
    known          how the names of its streams begin
    instruments    facts of symbols without a key: ConfigInvalid for one that is not listed, VenueUnavailable
    symbol_of      the symbol that a frame is about, empty for none
    snapshot_path  the call that answers with the book of a symbol, for venues whose stream has changes only; None
                   where the stream has snapshots itself
    """

    hosts: Hosts
    file_name: str
    topics: tuple[str, ...]
    known: frozenset[str]
    stream: MakeStream
    instruments: ReadInstruments
    symbol_of: Callable[[bytes], str]
    snapshot_path: Callable[[str], str] | None = None


async def _binance_instruments(
    transport: Transport, clock: Milliseconds, hosts: Hosts, symbols: Sequence[str]
) -> list[Instrument]:
    """Ticks and steps; margin tiers want a key and are made up: nothing is traded on them."""
    settings = AccountSettings(account="", symbols=tuple(symbols), hosts=hosts)
    rest = Rest(Credentials("", ""), settings, transport, clock)
    info = await rest.read(limits.EXCHANGE_INFO, (), shapes.ExchangeInfo)
    listed = {item.symbol: item for item in info.symbols}
    for symbol in symbols:
        if symbol not in listed:
            raise ConfigInvalid(f"--symbol {symbol}: is not listed at Binance USDⓈ-M", exit_code=2)
    tiers = {symbol: shapes.Brackets(symbol=symbol, brackets=[_ANY_TIER]) for symbol in symbols}
    try:
        return [codec.listing(listed[symbol], tiers[symbol]).instrument for symbol in symbols]
    except ValueError as error:
        raise VenueUnavailable(f"{binance.NAME} does not tell all facts of an instrument ({error})") from None


def _binance_symbol(frame: bytes) -> str:
    if not frame.startswith(b'{"stream":"'):
        return ""
    return frame[11 : frame.find(b"@", 11, 60)].decode(errors="replace").upper()


_BINANCE_DEPTHS = ("depth", "depth5", "depth10", "depth20")
_BINANCE_TOPICS = frozenset(
    {*_BINANCE_DEPTHS, "aggTrade", "bookTicker", "forceOrder", "kline", "markPrice", "miniTicker", "ticker", "trade"}
)

RECORDABLE: Mapping[str, Recordable] = {
    "binance": Recordable(
        hosts=binance.MAINNET,
        file_name="binance-um",
        known=_BINANCE_TOPICS,
        topics=("depth@100ms", "trade", "bookTicker", "markPrice@1s", "kline_1m"),
        stream=BinanceMarketStream,
        instruments=_binance_instruments,
        symbol_of=_binance_symbol,
        snapshot_path=lambda symbol: f"/fapi/v1/depth?symbol={symbol}&limit=1000",
    ),
}
