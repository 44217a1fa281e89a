"""Zoomex V3, linear perpetuals in USDT, behind the port of a venue over a network."""
