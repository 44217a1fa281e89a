"""What a closed candle says of danger: a market that is too wild, a liquidation price that comes near.

What belongs here: noticing it, telling it once each time, and closing where that was asked for. What does not: the
measures (rules.turbulence, rules.margin), what they forbid (risk, gates).

Candles are what there is to judge by, so the range "within 60 seconds" is that of one candle of a minute.
"""

from collections.abc import Sequence

from trading_engine.core import protect, risk
from trading_engine.core.draft import Draft
from trading_engine.core.state import Danger
from trading_engine.domain import money
from trading_engine.domain.lifecycle import CloseReason
from trading_engine.domain.market import Candle
from trading_engine.domain.position import Position
from trading_engine.domain.records import MarketShocked
from trading_engine.domain.reports import VenuePosition
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import MINUTE_MS
from trading_engine.rules import limits, turbulence


def watch_market(draft: Draft, candle: Candle) -> None:
    """Write down a candle that is too wild: no entries on its symbol for a while, and its position may be closed."""
    limit = draft.settings.limits
    if turbulence.is_wide(candle.high, candle.low, limit.shock_range_ppm):
        share = (candle.high - candle.low) * 100 / candle.low
        _shock(draft, candle, "range", f"{share:.2f} %", f"{limit.shock_range_ppm / 10_000:g} %")
    if not limit.shock_atr_milli:
        return
    before = draft.market.turbulence.get(candle.symbol) or turbulence.calm()
    seen = turbulence.measured(before, candle.close_time_ms, candle.high, candle.low, candle.close)
    draft.see(turbulence={**draft.market.turbulence, candle.symbol: seen})
    if turbulence.is_wild(seen, limit.shock_atr_milli):
        times = seen.atr_mticks / seen.usual_mticks
        _shock(draft, candle, "average range", f"{times:.2f} × usual", f"{limit.shock_atr_milli / 1_000:g} ×")


def _shock(draft: Draft, candle: Candle, measure: str, value: str, threshold: str) -> None:
    limit, symbol, at_ms = draft.settings.limits, candle.symbol, candle.close_time_ms
    is_known = at_ms < draft.book.shocks.get(symbol, -limit.shock_pause_ms) + limit.shock_pause_ms
    draft.record(MarketShocked(symbol, measure, value, threshold, at_ms))
    if not is_known:
        minutes = limit.shock_pause_ms // MINUTE_MS
        text = f"{symbol}: {measure} {value}, above {threshold}; no entries for {minutes} min"
        draft.alert(Severity.WARNING, f"shock:{symbol}", text)
    position = draft.book.position_on(symbol)
    if limit.flatten_on_shock and position is not None:
        protect.begin_close(draft, position.position_id, CloseReason.RISK, f"{measure} {value}, above {threshold}")


def watch_liquidation(draft: Draft, position: Position, candle: Candle) -> None:
    """Tell a person when the price has come near to where the venue takes the position over.

    Where the venue has told its price for the position as it is, that counts. Otherwise it is estimated as for an
    isolated position, once for each change of it.
    """
    share_ppm = draft.settings.limits.liquidation_near_ppm
    if not share_ppm:
        return
    known = draft.market.dangers.get(position.position_id)
    instrument = draft.instrument(position.symbol)
    if known is None or (known.quantity, known.cost) != (position.quantity, position.cost):
        ticks = risk.liquidation_ticks(position, instrument)
        known = Danger(position.quantity, position.cost, ticks, is_near=known is not None and known.is_near)
        _remember(draft, position, known)
    if not known.liquidation_ticks and not known.is_near:
        return
    is_near = limits.is_near(candle.close, known.liquidation_ticks, share_ppm)
    if is_near == known.is_near:
        return
    _remember(draft, position, Danger(known.quantity, known.cost, known.liquidation_ticks, is_near=is_near))
    if is_near:
        away = abs(candle.close - known.liquidation_ticks) * 100 / candle.close
        where = money.text(instrument.ticks_to_price(known.liquidation_ticks))
        stop = money.text(position.stop_price)
        text = f"{position.symbol} {position.side} {position.position_id} is {away:.1f} % from liquidation at {where}"
        draft.alert(Severity.CRITICAL, f"liquidation:{position.position_id}", f"{text}; its stop is at {stop}")


def on_positions(draft: Draft, held: Sequence[VenuePosition]) -> None:
    """The venue tells where positions are liquidated; what it holds in another size than we know is not heard."""
    if not draft.settings.limits.liquidation_near_ppm:
        return
    for item in held:
        position = draft.book.position_on(item.symbol)
        if position is None or item.liquidation_price is None or item.symbol not in draft.settings.instruments:
            continue
        if (position.side, position.quantity) == (item.side, item.quantity):
            ticks = money.floor_units(item.liquidation_price, draft.instrument(item.symbol).tick)
            known = draft.market.dangers.get(position.position_id)
            is_near = known is not None and known.is_near
            told = Danger(position.quantity, position.cost, ticks, is_near=is_near)
            if told != known:
                _remember(draft, position, told)


def _remember(draft: Draft, position: Position, danger: Danger) -> None:
    """Keep it beside those of the other positions that still exist."""
    kept = {key: value for key, value in draft.market.dangers.items() if key in draft.book.positions}
    draft.see(dangers={**kept, position.position_id: danger})
