"""Contracts, maintenance tiers and candles.

What belongs here: reading them into the domain's values. What does not: live prices.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.domain.time import MINUTE_MS, floor_to
from trading_engine.venues.bingx import codec, errors, facts
from trading_engine.venues.bingx.codec import CandleRow, ContractRow, FundingRow, LeverageRow, Listed, TierRow
from trading_engine.venues.bingx.rest import Rest, decoded
from trading_engine.venues.wire.assumed import LARGEST_NOTIONAL, LEVERAGE, MAINTENANCE_RATE
from trading_engine.venues.wire.outcome import Meaning
from trading_engine.venues.wire.settings import AccountSettings

_TRADABLE = (1, 25)  # 25: positions can only be closed, and an engine that holds one must be able to start
_MOST_STEPS = 10**9  # the largest order is not published; the venue refuses what is too large
_UNBOUNDED = Decimal(10_000_000_000)
_MOST_SETTLEMENTS = 1_000  # more than a month of the shortest interval, an hour
_CAUTIOUS_RATE = Decimal("0.01")  # maintenance where no tiers are offered: above those of the large contracts


async def read_instruments(rest: Rest, settings: AccountSettings) -> Sequence[Instrument]:
    """The configured symbols; ConfigInvalid for one that is not listed or is settled in another asset."""
    return [await _instrument(rest, settings, symbol, row) for symbol, row in (await _listed(rest, settings)).items()]


async def read_listed(rest: Rest, settings: AccountSettings) -> Sequence[Instrument]:
    """The configured symbols as anybody is told; leverage and tiers are assumed. Errors as `read_instruments`."""
    tiers = (MarginTier(LARGEST_NOTIONAL, MAINTENANCE_RATE, money.ZERO, LEVERAGE),)
    listed = await _listed(rest, settings)
    return [_with_facts(settings, symbol, row, LEVERAGE, tiers) for symbol, row in listed.items()]


async def _listed(rest: Rest, settings: AccountSettings) -> dict[str, ContractRow]:
    """The rows of the configured symbols, each tradable and of our asset."""
    # Only the rows that are traded must be whole: among a thousand there are strange ones.
    rows = await rest.read(facts.CONTRACTS, {}, list[msgspec.Raw])
    named = {facts.symbol_of(decoded(bytes(row), Listed).symbol): bytes(row) for row in rows}
    listed = {symbol: decoded(named[symbol], ContractRow) for symbol in settings.symbols if symbol in named}
    return {symbol: _checked(settings, symbol, listed.get(symbol)) for symbol in settings.symbols}


def _checked(settings: AccountSettings, symbol: str, row: ContractRow | None) -> ContractRow:
    if row is None or row.status not in _TRADABLE:
        raise ConfigInvalid(
            f"symbol {symbol} is not listed by bingx at {settings.hosts.rest_url}; remove it or correct its spelling"
        )
    expected = "USDT" if settings.asset == facts.DEMO_ASSET else settings.asset
    if row.currency not in (expected, settings.asset):
        raise ConfigInvalid(
            f"symbol {symbol} is settled in {row.currency}, and account {settings.account} holds {settings.asset}"
        )
    return row


async def _instrument(rest: Rest, settings: AccountSettings, symbol: str, row: ContractRow) -> Instrument:
    at = {"symbol": row.symbol}
    highest = await rest.read(facts.LEVERAGE, at, LeverageRow)
    max_leverage = min(
        codec.needed(highest.max_long_leverage, "the highest leverage"),
        codec.needed(highest.max_short_leverage, "the highest leverage"),
    )
    return _with_facts(settings, symbol, row, max_leverage, await _read_tiers(rest, row.symbol, max_leverage))


def _with_facts(
    settings: AccountSettings,
    symbol: str,
    row: ContractRow,
    max_leverage: Decimal,
    tiers: tuple[MarginTier, ...],
) -> Instrument:
    step = Decimal(1).scaleb(-row.quantity_precision)
    least = codec.needed(row.trade_min_quantity, "the smallest quantity")
    return Instrument(
        symbol=symbol,
        tick=Decimal(1).scaleb(-row.price_precision),
        step=step,
        min_quantity=money.from_units(max(money.ceil_units(least, step), 1), step),
        max_quantity=money.from_units(_MOST_STEPS, step),
        min_notional=codec.needed(row.trade_min_usdt, "the smallest value"),
        max_leverage=max_leverage,
        tiers=tiers,
        settle_asset=settings.asset,
    )


async def _read_tiers(rest: Rest, venue_symbol: str, max_leverage: Decimal) -> tuple[MarginTier, ...]:
    """The maintenance tiers; a cautious one where the venue says that it has none to offer."""
    answer = await rest.ask(facts.TIERS, {"symbol": venue_symbol})
    if not answer.is_success and answer.meaning is not Meaning.REFUSED:
        raise errors.TABLE.failure(answer.key, answer.text)
    rows = decoded(answer.data, list[TierRow]) if answer.is_success and answer.data != b"null" else []
    tiers = [
        MarginTier(
            notional_cap=codec.needed(row.max_position_val, "a tier's end"),
            maintenance_rate=codec.needed(row.maint_margin_ratio, "a tier's rate"),
            deduction=codec.amount(row.maint_amount),
            max_leverage=max_leverage,
        )
        for row in rows
    ]
    if not tiers:
        return (MarginTier(_UNBOUNDED, _CAUTIOUS_RATE, money.ZERO, max_leverage),)
    return tuple(sorted(tiers, key=lambda tier: tier.notional_cap))


async def read_candles(
    rest: Rest, instrument: Instrument, interval_ms: int, since_ms: int, until_ms: int
) -> Sequence[Candle]:
    """Candles that open in [since_ms, until_ms), oldest first; the caller leaves out those that are not closed.

    The venue answers newest first, and whether it includes the bounds is not documented: windows overlap.
    """
    if interval_ms not in facts.INTERVALS:
        known = ", ".join(facts.INTERVALS.values())
        raise ConfigInvalid(f"bingx has no candles of {interval_ms} ms; it has {known}")
    found: dict[int, CandleRow] = {}
    span_ms = facts.MOST_CANDLES * interval_ms
    for begin_ms in range(since_ms, until_ms, span_ms):
        params = {
            "symbol": facts.venue_symbol_of(instrument.symbol),
            "interval": facts.INTERVALS[interval_ms],
            "startTime": str(begin_ms - 1),
            "endTime": str(min(begin_ms + span_ms, until_ms)),
            "limit": str(facts.MOST_CANDLES + 2),
        }
        rows = await rest.read(facts.KLINES, params, list[CandleRow])
        found |= {row.time: row for row in rows if since_ms <= row.time < until_ms}
    return [_candle(instrument, interval_ms, found[time_ms]) for time_ms in sorted(found)]


async def read_settlements(rest: Rest, symbol: str, since_ms: int, until_ms: int) -> Sequence[FundingRate]:
    """Settlements in [since_ms, until_ms), oldest first, each at its minute. The venue answers newest first."""
    params = {
        "symbol": facts.venue_symbol_of(symbol),
        "startTime": str(since_ms),
        "endTime": str(until_ms - 1),
        "limit": str(_MOST_SETTLEMENTS),
    }
    rows = await rest.read(facts.FUNDING_RATES, params, list[FundingRow])
    found = {floor_to(row.time_ms, MINUTE_MS): row for row in rows if since_ms <= row.time_ms < until_ms}
    return [FundingRate(symbol, at_ms, codec.needed(found[at_ms].rate, "a rate")) for at_ms in sorted(found)]


def _candle(instrument: Instrument, interval_ms: int, row: CandleRow) -> Candle:
    low, high = codec.needed(row.low, "a low"), codec.needed(row.high, "a high")
    return Candle(
        symbol=instrument.symbol,
        open_time_ms=row.time,
        interval_ms=interval_ms,
        open=_ticks(instrument, codec.needed(row.open, "an open")),
        high=_ticks(instrument, high),
        low=_ticks(instrument, low),
        close=_ticks(instrument, codec.needed(row.close, "a close")),
        volume=money.floor_units(codec.needed(row.volume, "a volume"), instrument.step),
    )


def _ticks(instrument: Instrument, price: Decimal) -> int:
    """The nearest tick: a contract's tick may have been finer once. Monotonic, so a high stays one."""
    return money.floor_units(price + instrument.tick / 2, instrument.tick)
