"""BingX perpetual swap as a local server: its REST paths, its gzip websocket, its error codes."""

from trading_engine.venue_servers.bingx.books import Habits
from trading_engine.venue_servers.bingx.protocol import BingxProtocol

__all__ = ["BingxProtocol", "Habits"]
