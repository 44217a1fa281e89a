"""A seeded market for the demo: trends and ranges, clustered volatility, jumps on heavy volume.

What belongs here: generating candles and funding that look lively enough to trade on. What does not: any
claim that profits made on them mean something, and the interface of a market (replay).

Equal arguments give equal candles. What a symbol does depends on the seed and its own name only, and a
longer market begins with the shorter one: all chance is drawn a day at a time, from a generator seeded by
(seed, symbol, day), so neither other symbols nor the length shift it.

A market has a character: the usual mixture, or one that a strategy should be seen in by itself.
"""

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple

import numpy as np

from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import FundingRate
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, floor_to
from trading_engine.marketdata.block import CandleBlock, Float64, Int64, from_units, to_steps
from trading_engine.marketdata.replay import Replay

_BLOCK_ROWS = 8_192
_DAY_CANDLES = DAY_MS // MINUTE_MS
_FUNDING_MS = 8 * HOUR_MS

# Roughly what a coin costs, so that the demo's numbers look familiar; others begin at so many ticks.
_START_PRICES = {"BTC": 95_000.0, "ETH": 2_500.0, "BNB": 650.0, "SOL": 150.0, "XRP": 2.2, "DOGE": 0.2}
_START_TICKS = 20_000.0
_TURNOVER = 1_000_000.0  # quote currency that changes hands in a usual minute

# Per minute. Volatility is GARCH(1,1) around its usual level, which is 6 to 10 basis points by symbol.
_CALM_SIGMA, _WILD_SIGMA = 0.0006, 0.0010
_SHOCK_WEIGHT, _MEMORY_WEIGHT = 0.08, 0.90
_MAX_VARIANCE_RATIO = 12.0
_TREND_DRIFT = 0.12  # of the usual volatility: some 2 % in a trend of five hours
_RANGE_PULL = 0.01  # share of the way back to the middle of a range
_HOME_PULL = 0.00002  # share of the way back to the first price: keeps a long market in sight of it
_LEAVE_TREND, _LEAVE_RANGE = 1 / 300, 1 / 200
_TURN_OVER = 0.4  # of the trends that end, the share that turns round at once
_JUMP_CHANCE = 1 / 300
_JUMP_SIGMAS, _JUMP_TAIL_SIGMAS = 5.0, 2.0
_JUMP_WITH_TREND = 0.85

_USUAL_FUNDING, _MAX_FUNDING = 0.0001, 0.003

_MOST_GAPS = 4  # a day
_USUAL_GAP, _LONGEST_GAP = 12.0, 240  # minutes
_CRASH_EVERY_DAYS = 7
_CRASH_FALL = (0.15, 0.35)  # of the price's logarithm: 14 to 30 %
_CRASH_MINUTES = (15, 90)
_CRASH_RETURN = (0.3, 0.7)  # the share of the fall that comes back within the hours after it
_CRASH_RETURN_MINUTES = 240.0
_CRASH_WICKS = 4.0


class Character(StrEnum):
    """What kind of market it is.

    MIXED   trends and ranges in turn, jumps on heavy volume: the demo's
    TREND   trends that last for a day and more, hardly a pause between them
    RANGE   one range for ever, no jumps
    GAPS    as MIXED, with stretches of missing candles after which the price is elsewhere
    CRASH   as MIXED, and on the first day and once a week a fall of 14 to 30 % within an hour or so, half undone
            within hours
    """

    MIXED = "mixed"
    TREND = "trend"
    RANGE = "range"
    GAPS = "gaps"
    CRASH = "crash"


class _Habits(NamedTuple):
    """Chances of a minute, and the drift of a trend in shares of the usual volatility."""

    leave_trend: float = _LEAVE_TREND
    leave_range: float = _LEAVE_RANGE
    jump: float = _JUMP_CHANCE
    drift: float = _TREND_DRIFT


_HABITS: Mapping[Character, _Habits] = {
    Character.TREND: _Habits(leave_trend=1 / 2_000, leave_range=1 / 20, drift=0.05),
    Character.RANGE: _Habits(leave_range=0.0, jump=0.0),
}


class _Regime(IntEnum):
    """What the market does; the value is the sign of its drift."""

    DOWN = -1
    RANGE = 0
    UP = 1


class _Chance(NamedTuple):
    """One day's random numbers, one array a purpose: `shock` to `volume` normal, `turn` to `side` uniform."""

    shock: Float64
    upper_wick: Float64
    lower_wick: Float64
    volume: Float64
    turn: Float64
    direction: Float64
    jump: Float64
    side: Float64
    tail: Float64  # exponential


class _Path(NamedTuple):
    """What the recursion yields, a value a candle: log price at the close, volatility, whether it jumped."""

    log_close: Float64
    sigma: Float64
    jumped: Float64


class SyntheticMarket(Replay):
    """A generated market with the interface of `Replay` (a `CandleSource`): 1-minute candles, no gaps but in GAPS.

    Everything is generated at construction, some 50 bytes and 2 µs a candle.
    """

    def __init__(
        self,
        seed: int,
        symbols: Mapping[str, Instrument],
        start_ts_ms: int,
        candles: int,
        character: Character = Character.MIXED,
    ) -> None:
        """Generate `candles` minutes of every symbol from the minute of `start_ts_ms` on.

        seed        0 or more; equal seeds give equal markets
        symbols     the instruments by name; prices lie on their ticks and volumes on their steps
        character   what kind of market it is

        Raises ConfigInvalid where the seed is negative or there is nothing to generate.
        """
        if seed < 0:
            raise ConfigInvalid(f"seed = {seed} cannot seed a market; expected 0 or more")
        if candles < 1:
            raise ConfigInvalid(f"a market of {candles} candles cannot be traded; expected at least 1")
        start_ts = floor_to(start_ts_ms, MINUTE_MS)
        whole = [_generate(seed, name, symbols[name], start_ts, candles, character) for name in symbols]
        rates = [rate for one in whole for rate in _funding(seed, one)]
        super().__init__([_thinned(seed, one) for one in whole] if character is Character.GAPS else whole, rates)


@dataclass(frozen=True, slots=True)
class _Series:
    """One symbol's candles as integers; floats are made a block at a time."""

    symbol: str
    instrument: Instrument
    ts: Int64
    ticks: tuple[Int64, ...]
    steps: Int64

    @property
    def interval_ms(self) -> int:
        return MINUTE_MS

    @property
    def first_ts(self) -> int:
        return int(self.ts[0])

    @property
    def last_ts(self) -> int:
        return int(self.ts[-1])

    def blocks(self, from_ts: int = 0) -> Iterator[CandleBlock]:
        for start in range(int(np.searchsorted(self.ts, from_ts)), self.ts.size, _BLOCK_ROWS):
            part = slice(start, start + _BLOCK_ROWS)
            ticks = [column[part] for column in self.ticks]
            yield from_units(self.instrument, self.ts[part], ticks, self.steps[part])


def _generator(seed: int, symbol: str, purpose: int, number: int) -> np.random.Generator:
    """A generator of its own for the n-th of a purpose; crc32, since hash() differs between processes."""
    entropy = (seed, zlib.crc32(symbol.encode()), purpose, number)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def _generate(
    seed: int, symbol: str, instrument: Instrument, start_ts: int, candles: int, character: Character
) -> _Series:
    usual_sigma = float(_generator(seed, symbol, 0, 0).uniform(_CALM_SIGMA, _WILD_SIGMA))
    chance = _draw(seed, symbol, candles)
    path = _walk(chance, usual_sigma, _HABITS.get(character, _Habits()))
    if character is Character.CRASH:
        path = _crashed(seed, symbol, path)
    ts = start_ts + MINUTE_MS * np.arange(candles, dtype=np.int64)
    first_price = _first_price(instrument)
    ticks = _ticks(path, chance, first_price / float(instrument.tick))
    steps = to_steps(_volumes(path, chance, ts, usual_sigma) * (_TURNOVER / first_price), instrument)
    return _Series(symbol, instrument, ts, ticks, steps)


def _draw(seed: int, symbol: str, candles: int) -> _Chance:
    days = [_draw_day(_generator(seed, symbol, 1, day)) for day in range(-(-candles // _DAY_CANDLES))]
    return _Chance._make(np.concatenate(columns)[:candles] for columns in zip(*days, strict=True))


def _draw_day(generator: np.random.Generator) -> _Chance:
    normal = generator.standard_normal((4, _DAY_CANDLES))
    uniform = generator.random((4, _DAY_CANDLES))
    return _Chance._make((*normal, *uniform, generator.standard_exponential(_DAY_CANDLES)))


def _first_price(instrument: Instrument) -> float:
    coin = instrument.symbol.replace("-", "").removesuffix(instrument.settle_asset)
    return _START_PRICES.get(coin, _START_TICKS * float(instrument.tick))


def _crashed(seed: int, symbol: str, path: _Path) -> _Path:
    """The path with its crashes; each is over when the next one comes."""
    log_close, sigma = path.log_close.copy(), path.sigma.copy()
    every = _CRASH_EVERY_DAYS * _DAY_CANDLES
    for number in range(-(-log_close.size // every)):
        generator = _generator(seed, symbol, 3, number)
        depth, returned = generator.uniform(*_CRASH_FALL), generator.uniform(*_CRASH_RETURN)
        length, begin = int(generator.integers(*_CRASH_MINUTES)), number * every + int(generator.integers(360, 1_080))
        after = np.arange(log_close[begin : begin + every].size, dtype=np.float64)
        fallen = depth * np.minimum(after / length, 1.0) ** 1.5
        quickly = 1 - returned * (1 - np.exp(-np.maximum(after - length, 0) / _CRASH_RETURN_MINUTES))
        log_close[begin : begin + every] -= fallen * quickly * (1 - after / every)
        sigma[begin : begin + 2 * length] *= _CRASH_WICKS
    return _Path(log_close, sigma, path.jumped)


def _thinned(seed: int, series: _Series) -> _Series:
    """Without some stretches; the first candle stays."""
    kept = np.ones(series.ts.size, np.bool_)
    for day in range(-(-series.ts.size // _DAY_CANDLES)):
        generator = _generator(seed, series.symbol, 4, day)
        for _ in range(int(generator.integers(1, _MOST_GAPS + 1))):
            begin = day * _DAY_CANDLES + int(generator.integers(1, _DAY_CANDLES))
            kept[begin : begin + 1 + min(int(generator.exponential(_USUAL_GAP)), _LONGEST_GAP)] = False
    ticks = tuple(column[kept] for column in series.ticks)
    return _Series(series.symbol, series.instrument, series.ts[kept], ticks, series.steps[kept])


def _walk(chance: _Chance, usual_sigma: float, habits: _Habits) -> _Path:
    """Follow regimes, volatility and price candle by candle, beginning with a range at log price 0."""
    usual_variance = usual_sigma**2
    regime, variance, middle, price = _Regime.RANGE, usual_variance, 0.0, 0.0
    closes, sigmas, jumped = [], [], []
    draws = (chance.shock, chance.turn, chance.direction, chance.jump, chance.side, chance.tail)
    for shock, turn, direction, jump, side, tail in zip(*(draw.tolist() for draw in draws), strict=True):
        turned = _next_regime(regime, turn, direction, habits)
        if turned is not regime:
            regime, middle = turned, price
        sigma = math.sqrt(variance)
        change = sigma * shock + _drift(regime, price, middle, habits.drift * usual_sigma)
        jumps = jump < habits.jump
        if jumps:
            change = sigma * (_JUMP_SIGMAS + _JUMP_TAIL_SIGMAS * tail) * _jump_sign(regime, side)
        variance = min(
            (1 - _SHOCK_WEIGHT - _MEMORY_WEIGHT) * usual_variance
            + _SHOCK_WEIGHT * change * change
            + _MEMORY_WEIGHT * variance,
            _MAX_VARIANCE_RATIO * usual_variance,
        )
        price += change
        closes.append(price)
        sigmas.append(sigma)
        jumped.append(float(jumps))
    return _Path(np.array(closes), np.array(sigmas), np.array(jumped))


def _next_regime(regime: _Regime, turn: float, direction: float, habits: _Habits) -> _Regime:
    if regime is _Regime.RANGE:
        if turn >= habits.leave_range:
            return regime
        return _Regime.UP if direction < 0.5 else _Regime.DOWN
    if turn >= habits.leave_trend:
        return regime
    return _Regime(-regime) if direction < _TURN_OVER else _Regime.RANGE


def _drift(regime: _Regime, price: float, middle: float, trend: float) -> float:
    home = -_HOME_PULL * price
    if regime is _Regime.RANGE:
        return home - _RANGE_PULL * (price - middle)
    return home + regime * trend


def _jump_sign(regime: _Regime, side: float) -> int:
    if regime is _Regime.RANGE:
        return 1 if side < 0.5 else -1
    return int(regime) if side < _JUMP_WITH_TREND else -int(regime)


def _ticks(path: _Path, chance: _Chance, first_ticks: float) -> tuple[Int64, ...]:
    """Open, high, low and close; each candle opens where the last one closed."""
    prices = first_ticks * np.exp(path.log_close)
    close = np.maximum(np.rint(prices), 1.0)
    opens = np.concatenate(([max(float(np.rint(first_ticks)), 1.0)], close[:-1]))
    wick = 0.35 * path.sigma * prices
    high = np.maximum(opens, close) + np.rint(np.abs(chance.upper_wick) * wick)
    low = np.maximum(np.minimum(opens, close) - np.rint(np.abs(chance.lower_wick) * wick), 1.0)
    return tuple(column.astype(np.int64) for column in (opens, high, low, close))


def _volumes(path: _Path, chance: _Chance, ts: Int64, usual_sigma: float) -> Float64:
    """Volume as a multiple of the usual minute: more at the ends of the UTC day and when prices move."""
    from_noon = np.abs((ts % DAY_MS) / DAY_MS - 0.5) * 2
    change = np.abs(np.diff(path.log_close, prepend=0.0))
    noise = np.exp(0.35 * chance.volume)
    volumes: Float64 = (0.6 + from_noon**2) * noise * (0.6 + 0.5 * change / usual_sigma) * (1 + 0.8 * path.jumped)
    return volumes


def _funding(seed: int, series: _Series) -> Sequence[FundingRate]:
    """A settlement every eight hours: longs pay more after a rise."""
    end_ts = series.last_ts + MINUTE_MS
    first = series.first_ts // _FUNDING_MS + 1
    closes = series.ticks[-1]
    rates = []
    for number in range(first, end_ts // _FUNDING_MS + 1):
        ts = number * _FUNDING_MS
        at = (ts - series.first_ts) // MINUTE_MS - 1  # the candle that closes at the settlement
        rise = math.log(closes[at] / closes[max(0, at - _FUNDING_MS // MINUTE_MS)])
        noise = float(_generator(seed, series.symbol, 2, number).normal(0.0, 0.00005))
        rate = min(max(_USUAL_FUNDING + 0.01 * rise + noise, -_MAX_FUNDING), _MAX_FUNDING)
        rates.append(FundingRate(series.symbol, ts, money.round_money(money.from_float(rate))))
    return rates
