"""What Binance USDⓈ-M tells anybody: contracts, candles, settlements.

What belongs here: public questions, for an account's adapter as well as for who has no key. What does not: streams
(market_stream), anything of an account (venue).
"""

from collections.abc import Mapping, Sequence

from trading_engine.domain.errors import ConfigInvalid, VenueUnavailable
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.domain.money import ZERO
from trading_engine.domain.time import MINUTE_MS, floor_to, interval_name
from trading_engine.venues.binance import codec, facts, limits, shapes
from trading_engine.venues.binance.rest import Rest
from trading_engine.venues.wire.assumed import LARGEST_NOTIONAL, LEVERAGE, MAINTENANCE_RATE
from trading_engine.venues.wire.clock import Milliseconds
from trading_engine.venues.wire.secrets import NOBODY
from trading_engine.venues.wire.settings import AccountSettings
from trading_engine.venues.wire.transport import Transport

FINAL_AFTER_MS = 1_000  # late trades still change a candle for a moment after its end
_KLINES = 1_500
_SETTLEMENTS = 1_000


async def read_candles(
    rest: Rest, instrument: Instrument, interval_ms: int, since_ms: int, until_ms: int
) -> list[Candle]:
    """Candles that open in [since_ms, until_ms) and are closed by the venue's clock, oldest first."""
    word = interval_name(interval_ms)
    if word not in facts.INTERVALS:
        raise ConfigInvalid(f"interval {word} is not offered by Binance; use one of {', '.join(facts.INTERVALS)}")
    rows: list[shapes.Kline] = []
    start_ms = since_ms
    while start_ms < until_ms:
        limit = min(_KLINES, (until_ms - start_ms) // interval_ms + 1)
        params = (
            *(("symbol", instrument.symbol), ("interval", word), ("startTime", str(start_ms))),
            *(("endTime", str(until_ms - 1)), ("limit", str(limit))),
        )
        page = await rest.read(limits.KLINES, params, list[shapes.Kline], weight=limits.kline_weight(limit))
        rows += page
        if len(page) < limit:
            break
        start_ms = page[-1].open_ms + interval_ms
    closed_ms = rest.clock.now_ms() - FINAL_AFTER_MS
    return [
        codec.candle(row, instrument, interval_ms)
        for row in rows
        if since_ms <= row.open_ms < until_ms and row.close_ms < closed_ms
    ]


def traded_symbols(info: shapes.ExchangeInfo, settings: AccountSettings) -> Mapping[str, shapes.SymbolInfo]:
    """What is listed, by symbol; ConfigInvalid where a configured symbol is no perpetual in trading."""
    listed = {item.symbol: item for item in info.symbols}
    for symbol in settings.symbols:
        _check_symbol(symbol, listed.get(symbol), settings)
    return listed


def _check_symbol(symbol: str, info: shapes.SymbolInfo | None, settings: AccountSettings) -> None:
    if info is None:
        what = "is not listed"
    elif info.contract_type != "PERPETUAL":
        what = f"is a contract of type {info.contract_type}, not PERPETUAL"
    elif info.margin_asset != settings.asset:
        what = f"is settled in {info.margin_asset}, not in {settings.asset}"
    elif info.status != "TRADING":
        what = f"has the status {info.status}, not TRADING"
    else:
        return
    raise ConfigInvalid(
        f"account {settings.account}: symbol {symbol} {what} at Binance USDⓈ-M; correct it or drop it from the symbols"
    )


class BinancePublic:
    """The venue without a key. Passes `ports.PublicMarket`."""

    tells_tiers = False

    def __init__(self, settings: AccountSettings, clock: Milliseconds) -> None:
        self._settings = settings
        self._transport = Transport()
        self._rest = Rest(NOBODY, settings, self._transport, clock)

    async def close(self) -> None:
        """End every connection."""
        await self._transport.close()

    async def measure_clock(self) -> int:
        """What the venue's clock is ahead of ours, in ms."""
        return await self._rest.measure_clock()

    async def listed(self) -> Sequence[Instrument]:
        """Facts of the configured symbols; leverage and tiers are assumed, they are told with a key only."""
        info = await self._rest.read(limits.EXCHANGE_INFO, (), shapes.ExchangeInfo)
        known = traded_symbols(info, self._settings)
        assumed = [shapes.Bracket(LEVERAGE, LARGEST_NOTIONAL, MAINTENANCE_RATE, ZERO)]
        try:
            return [
                codec.listing(known[symbol], shapes.Brackets(symbol, assumed)).instrument
                for symbol in self._settings.symbols
            ]
        except ValueError as error:
            raise VenueUnavailable(f"{facts.NAME} does not tell all facts of an instrument ({error})") from None

    async def candles(self, instrument: Instrument, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """Closed candles, oldest first."""
        return await read_candles(self._rest, instrument, interval_ms, since_ms, until_ms)

    async def settlements(self, symbol: str, since_ms: int, until_ms: int) -> Sequence[FundingRate]:
        """Regular settlements in [since_ms, until_ms), oldest first."""
        found: dict[int, FundingRate] = {}
        start_ms = since_ms
        while start_ms < until_ms:
            span = (("startTime", str(start_ms)), ("endTime", str(until_ms - 1)), ("limit", str(_SETTLEMENTS)))
            page = await self._rest.read(limits.FUNDING_RATES, (("symbol", symbol), *span), list[shapes.FundingRow])
            for row in page:
                if row.rate_type == "Regular":
                    at_ms = floor_to(row.funding_time, MINUTE_MS)
                    found[at_ms] = FundingRate(symbol, at_ms, row.funding_rate)
            if len(page) < _SETTLEMENTS:
                break
            start_ms = page[-1].funding_time + 1
        return [found[at_ms] for at_ms in sorted(found) if since_ms <= at_ms < until_ms]
