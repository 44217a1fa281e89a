"""A local server that speaks Zoomex V3: USDT perpetuals of one account, REST below /cloud/trade/v3 and websockets."""

from trading_engine.venue_servers.zoomex.protocol import ZoomexProtocol
from trading_engine.venue_servers.zoomex.words import AccountKind

__all__ = ["AccountKind", "ZoomexProtocol"]
