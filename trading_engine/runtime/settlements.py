"""Funding of a live market: which settlements have come due, each at its own instant.

What belongs here: when to ask for them, and what counts where nobody answers. What does not: charging them
(venues.embedded), how a venue tells them (venues).

Settlements lie on full hours. History has the rate that was paid; where it does not answer, the last rate that the
stream announced for that instant counts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Protocol

from loguru import logger

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.market import FundingRate
from trading_engine.domain.streams import MarketEvent, MarkPrice
from trading_engine.domain.time import HOUR_MS, MINUTE_MS, floor_to, iso

_TRIES = 3
_PAUSE_S = 1.0
_KEPT_MS = 3 * HOUR_MS  # announcements of settlements that nobody asked after


class SettlementHistory(Protocol):
    """Who knows what was settled; `ports.PublicMarket` does."""

    async def settlements(self, symbol: str, since_ms: int, until_ms: int) -> Sequence[FundingRate]:
        """What was settled in [since_ms, until_ms), oldest first. VenueUnavailable where it cannot tell."""
        ...


class Settlements:
    """What is to be charged, symbol by symbol; everything up to `known_until_ms` is somebody else's affair."""

    def __init__(
        self,
        history: SettlementHistory,
        symbols: Sequence[str],
        known_until_ms: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._history = history
        self._sleep = sleep
        self._until_ms = dict.fromkeys(symbols, known_until_ms)
        self._announced: dict[tuple[str, int], Decimal] = {}
        self._due: list[FundingRate] = []

    def on_market(self, event: MarketEvent) -> None:
        """Remember what the stream announces."""
        if not isinstance(event, MarkPrice):
            return
        rate, at_ms = event.funding_rate, event.next_funding_ms
        if rate is not None and at_ms:  # some venues tell prices without them
            self._announced[event.symbol, floor_to(at_ms, MINUTE_MS)] = rate

    async def collect(self, until_ms: int) -> None:
        """Take in what was settled up to an instant; asks only where a full hour has passed since the last time.

        What nobody tells is asked for again the next time.
        """
        for symbol, known_ms in self._until_ms.items():
            if floor_to(until_ms, HOUR_MS) <= known_ms:
                continue
            told = await self._asked(symbol, known_ms, until_ms)
            if told is None:
                told = self._announcements(symbol, known_ms, until_ms)
                logger.warning(
                    "{}: history does not tell what was settled since {}; {}",
                    symbol,
                    iso(known_ms),
                    "what was announced is charged" if told else "asked for again later",
                )
                if not told:
                    continue
            self._due.extend(told)
            self._until_ms[symbol] = until_ms
        for key in [key for key in self._announced if key[1] < until_ms - _KEPT_MS]:
            del self._announced[key]

    def take(self, until_ms: int) -> tuple[FundingRate, ...]:
        """What is due up to an instant, by time and symbol, each once."""
        due = sorted((rate for rate in self._due if rate.ts_ms <= until_ms), key=lambda rate: (rate.ts_ms, rate.symbol))
        self._due = [rate for rate in self._due if rate.ts_ms > until_ms]
        return tuple(due)

    async def _asked(self, symbol: str, known_ms: int, until_ms: int) -> Sequence[FundingRate] | None:
        for attempt in range(_TRIES):
            if attempt:
                await self._sleep(_PAUSE_S)
            try:
                return await self._history.settlements(symbol, known_ms + 1, until_ms + 1)
            except VenueUnavailable as error:
                logger.debug("{}: settlements cannot be read ({})", symbol, error)
        return None

    def _announcements(self, symbol: str, known_ms: int, until_ms: int) -> list[FundingRate]:
        return [
            FundingRate(symbol, ts_ms, rate)
            for (name, ts_ms), rate in self._announced.items()
            if name == symbol and known_ms < ts_ms <= until_ms
        ]
