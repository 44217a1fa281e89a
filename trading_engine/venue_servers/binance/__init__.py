"""A local server that speaks Binance USDⓈ-M's own protocol."""

from trading_engine.venue_servers.binance.limits import Limits
from trading_engine.venue_servers.binance.protocol import BinanceProtocol

__all__ = ["BinanceProtocol", "Limits"]
