"""Strategies: pure functions from candle arrays to signal arrays, and what feeds and ranks them.

What belongs here: the strategy interface, indicators, resampling, the trailing window of one symbol, the
evaluation of a window's last row, the choice among signals, the built-in strategies. What does not:
orders, positions, balances, sizing and risk (core, rules), fetching candles (marketdata), reading
configuration (config). No I/O, no clock, no randomness.
"""
