"""Instruments, candles, settlements.

What belongs here: public facts of symbols. What does not: what rows mean (codec), anything of an account (account).
"""

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.domain.time import MINUTE_MS, floor_to, interval_name
from trading_engine.venues.wire.settings import AccountSettings
from trading_engine.venues.zoomex import codec, facts, shapes
from trading_engine.venues.zoomex.rest import Query, Rest


class Market:
    """Public facts; `innovation` names symbols with higher fees, once instruments were read."""

    def __init__(self, rest: Rest, settings: AccountSettings) -> None:
        self._rest = rest
        self._settings = settings
        self.innovation: frozenset[str] = frozenset()
        self._settles: dict[str, str] = {}

    async def instruments(self) -> list[Instrument]:
        """Facts of the configured symbols. ConfigInvalid for one that is not listed, VenueUnavailable."""
        query = (("category", facts.CATEGORY),)
        named = {row.get("symbol"): row for row in await self._listed(query)}
        self._settles = {
            symbol: coin
            for symbol, row in named.items()
            if isinstance(symbol, str) and isinstance(coin := row.get("settleCoin"), str) and coin
        }
        listed: dict[str, shapes.InstrumentRow] = {}
        found = []
        for symbol in self._settings.symbols:
            row = shapes.rows_of([named[symbol]], shapes.InstrumentRow)[0] if symbol in named else None
            if row is None or row.settle_coin not in (None, "", self._settings.asset):
                raise ConfigInvalid(
                    f"symbols: {symbol} is not listed at {facts.NAME} as a perpetual in {self._settings.asset};"
                    " check the spelling, or take it out"
                )
            listed[symbol] = row
            told = await self._rest.read(facts.RISK_LIMITS, (("category", facts.CATEGORY), ("symbol", symbol)))
            tiers, _ = shapes.page(told.result, shapes.RiskRow)
            own = [tier for tier in tiers if tier.symbol == symbol]
            found.append(codec.instrument(row, own, self._settings.asset))
        self.innovation = frozenset(symbol for symbol in self._settings.symbols if listed[symbol].is_innovation)
        return found

    def settles_in(self, symbol: str) -> str:
        """The asset that settles a symbol, by the listing that was read last; the account's where it has none."""
        return self._settles.get(symbol, self._settings.asset)

    async def _listed(self, query: Query) -> list[dict[str, object]]:
        """Every listed contract, unread: an odd row of a stranger must not stop us."""
        return await self._rest.rows(facts.INSTRUMENTS, query, facts.INSTRUMENTS_PER_PAGE, dict[str, object])

    async def candles(self, instrument: Instrument, interval_ms: int, since_ms: int, until_ms: int) -> list[Candle]:
        """Candles that open in [since_ms, until_ms) and are closed by the venue's own time, oldest first.

        ConfigInvalid for an interval that the venue does not have, VenueUnavailable.
        """
        name = facts.INTERVALS.get(interval_ms)
        if name is None:
            known = ", ".join(interval_name(ms) for ms in facts.INTERVALS)
            raise ConfigInvalid(f"timeframe: {facts.NAME} has no {interval_name(interval_ms)} candles; it has {known}")
        found: dict[int, Candle] = {}
        until_ms = min(until_ms, self._rest.clock.now_ms())
        for start_ms in range(since_ms, until_ms, facts.CANDLES_PER_WINDOW * interval_ms):
            end_ms = min(start_ms + facts.CANDLES_PER_WINDOW * interval_ms, until_ms) - 1
            query = (
                ("category", facts.CATEGORY),
                ("symbol", instrument.symbol),
                ("interval", name),
                ("start", start_ms),
                ("end", end_ms),
                ("limit", facts.CANDLES_PER_PAGE),
            )
            told = await self._rest.read(facts.KLINES, query)
            now_ms = told.time_ms or self._rest.clock.now_ms()
            for row in shapes.decode(told.result, shapes.Klines).list:
                candle = codec.candle(row, interval_ms, instrument)
                if since_ms <= candle.open_time_ms < until_ms and candle.close_time_ms <= now_ms:
                    found[candle.open_time_ms] = candle
        return [found[open_ms] for open_ms in sorted(found)]

    async def settlements(self, symbol: str, since_ms: int, until_ms: int) -> list[FundingRate]:
        """Settlements in [since_ms, until_ms), oldest first, each at its minute. The venue answers newest first."""
        found: dict[int, FundingRate] = {}
        before_ms = until_ms
        while since_ms < before_ms:
            query = (
                ("category", facts.CATEGORY),
                ("symbol", symbol),
                ("startTime", since_ms),
                ("endTime", before_ms - 1),
                ("limit", facts.FUNDING_RATES_PER_PAGE),
            )
            rows, _ = shapes.page((await self._rest.read(facts.FUNDING_RATES, query)).result, shapes.FundingRow)
            times = [shapes.instant_ms(row.funding_rate_timestamp) for row in rows]
            for row, time_ms in zip(rows, times, strict=True):
                at_ms = floor_to(time_ms, MINUTE_MS)
                found[at_ms] = FundingRate(symbol, at_ms, shapes.needed(row.funding_rate, "funding rate"))
            if len(rows) < facts.FUNDING_RATES_PER_PAGE or min(times) >= before_ms:
                break
            before_ms = min(times)
        return [found[at_ms] for at_ms in sorted(found) if since_ms <= at_ms < until_ms]
