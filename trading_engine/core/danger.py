"""What a closed candle says of danger to one position: a liquidation price that comes near.

What belongs here: noticing it, and telling it once each time. What does not: the price itself (risk, rules.margin),
refusing an entry for it (risk).
"""

from trading_engine.core import risk
from trading_engine.core.draft import Draft
from trading_engine.core.state import Danger
from trading_engine.domain import money
from trading_engine.domain.market import Candle
from trading_engine.domain.position import Position
from trading_engine.domain.severity import Severity
from trading_engine.rules import limits


def watch_liquidation(draft: Draft, position: Position, candle: Candle) -> None:
    """Tell a person when the price has come near to where the venue takes the position over.

    The estimate is that of an isolated position; it is made once for each change of it.
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


def _remember(draft: Draft, position: Position, danger: Danger) -> None:
    """Keep it beside those of the other positions that still exist."""
    kept = {key: value for key, value in draft.market.dangers.items() if key in draft.book.positions}
    draft.see(dangers={**kept, position.position_id: danger})
