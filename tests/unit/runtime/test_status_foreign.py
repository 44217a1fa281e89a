"""What somebody else holds survives a restart by way of the checkpoint."""

from dataclasses import replace

from builders import BTC, dec, make_book, make_settings

from trading_engine.core.state import EngineState, ForeignHolding, Market
from trading_engine.runtime import status
from trading_engine.store import codec


def test_the_view_of_strangers_comes_back_as_it_was_written() -> None:
    """Through the text that is stored; it counts for the limits that are shown."""
    held = ForeignHolding(BTC, dec("-0.50"), dec("61240.1"), dec(2))
    order = ForeignHolding(BTC, dec(1), dec(60_000), dec(1))
    market = Market(marks={BTC: dec(61_000)}, closed_ms=5, decided_ms=4, reconciled_ms=3)
    seen = replace(market, foreign={BTC: held}, foreign_orders={f"{BTC}:v9": order})
    written = status.checkpoint(EngineState(make_book(), seen), make_settings(), 6)
    assert seen == status.view_of(codec.decode_checkpoint(codec.encode_checkpoint(written)))
    limits = {item.limit: dict(item.computed_from) for item in written.limits}
    assert ("90620.05", "1") == (limits["leverage"]["notional"], limits["max_positions"]["open_and_pending"])
