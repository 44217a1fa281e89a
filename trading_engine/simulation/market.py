"""Prices and signals of a simulated world, drawn from its seed.

What belongs here: candles, settlements, and a brain that gives signals by chance. What does not: matching.

Each candle and each signal depends on the seed, the symbol and the minute alone, never on what was asked
before: a restarted engine meets the same market.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle, FundingRate, Side, Signal

MINUTE_MS = 60_000
FUNDING_EVERY_MS = 20 * MINUTE_MS
_EXIT_CHANCE = 0.02


@dataclass(frozen=True, slots=True)
class Weather:
    """How wild a market is: parts per million of the price, chances per candle.

    minute_ppm    typical move of a minute
    gap_chance    chance that a candle opens far from the last close, by up to `gap_ppm`
    entry_chance  chance of an entry signal per candle and symbol
    """

    minute_ppm: int = 1_500
    gap_chance: float = 0.01
    gap_ppm: int = 15_000
    entry_chance: float = 0.1


class SimulatedMarket:
    """A random walk a symbol, with gaps and thin minutes."""

    def __init__(
        self, seed: int, instruments: Mapping[str, Instrument], start: Mapping[str, int], weather: Weather
    ) -> None:
        self._seed = seed
        self._instruments = instruments
        self._weather = weather
        self._close = dict(start)
        self._made_ms = -1
        self._last: tuple[Candle, ...] = ()

    def candles(self, open_ms: int) -> tuple[Candle, ...]:
        """The candles of the minute that begins at `open_ms`; minutes are asked for in order."""
        if open_ms == self._made_ms:
            return self._last
        self._last = tuple(self._candle(symbol, open_ms) for symbol in sorted(self._instruments))
        self._made_ms = open_ms
        return self._last

    def _candle(self, symbol: str, open_ms: int) -> Candle:
        rng = random.Random(f"{self._seed}:{symbol}:{open_ms}")  # noqa: S311 - a game
        weather = self._weather
        price = self._close[symbol]
        if rng.random() < weather.gap_chance:
            price += price * rng.randint(-weather.gap_ppm, weather.gap_ppm) // 1_000_000
        move = max(price * weather.minute_ppm // 1_000_000, 2)
        close = max(price + rng.randint(-move, move), 100)
        high = max(price, close) + rng.randint(0, move)
        low = max(min(price, close) - rng.randint(0, move), 50)
        self._close[symbol] = close
        volume = 10 ** rng.uniform(2.0, 4.3)  # steps; thin minutes fill orders in slices
        return Candle(symbol, open_ms, MINUTE_MS, price, high, low, close, int(volume))

    def settlements(self, open_ms: int) -> tuple[FundingRate, ...]:
        """Funding at the given instant, where it falls due."""
        if open_ms % FUNDING_EVERY_MS:
            return ()
        rng = random.Random(f"{self._seed}:funding:{open_ms}")  # noqa: S311 - a game
        return tuple(
            FundingRate(symbol, open_ms, Decimal(rng.randint(-30, 30)).scaleb(-5))
            for symbol in sorted(self._instruments)
        )


STRATEGY = "simulated"


class ScriptedBrain:
    """One long entry and one exit signal, each on the candle of its minute: the same short story every time."""

    def __init__(self, start_ms: int, entry_minute: int, exit_minute: int) -> None:
        self._entry_ms = start_ms + entry_minute * MINUTE_MS
        self._exit_ms = start_ms + exit_minute * MINUTE_MS
        self.is_silent = False

    def signals(self, candles: Sequence[Candle]) -> tuple[Signal, ...]:
        """The signals on candles that closed at one instant."""
        candle = candles[0]
        at_ms = candle.open_time_ms
        if at_ms == self._entry_ms and not self.is_silent:
            stop = candle.close * 4_000 // 1_000_000
            return (Signal(STRATEGY, candle.symbol, Side.LONG, 1.0, candle.close, stop, 2 * stop, at_ms, "entry"),)
        if at_ms == self._exit_ms:
            return (Signal(STRATEGY, candle.symbol, None, 1.0, candle.close, 0, 0, at_ms, "exit", exit_side=Side.LONG),)
        return ()


class SimulatedBrain:
    """Signals by chance: entries of either side with a stop and mostly a target, now and then an exit."""

    def __init__(self, seed: int, weather: Weather) -> None:
        self._seed = seed
        self._weather = weather
        self.is_silent = False

    def signals(self, candles: Sequence[Candle]) -> tuple[Signal, ...]:
        """The signals on candles that closed at one instant."""
        if self.is_silent:
            return ()
        found = [self._signal(candle) for candle in candles]
        return tuple(signal for signal in found if signal is not None)

    def _signal(self, candle: Candle) -> Signal | None:
        rng = random.Random(f"{self._seed}:signal:{candle.symbol}:{candle.open_time_ms}")  # noqa: S311 - a game
        draw = rng.random()
        if draw >= self._weather.entry_chance + _EXIT_CHANCE:
            return None
        side = rng.choice((Side.LONG, Side.SHORT))
        if draw >= self._weather.entry_chance:
            return Signal(
                STRATEGY, candle.symbol, None, 1.0, candle.close, 0, 0, candle.open_time_ms, "exit", exit_side=side
            )
        stop = max(candle.close * rng.randint(2_000, 9_000) // 1_000_000, 4)
        target = stop * rng.choice((0, 1, 2, 3))
        return Signal(
            STRATEGY, candle.symbol, side, rng.random(), candle.close, stop, target, candle.open_time_ms, "entry"
        )
