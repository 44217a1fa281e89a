"""Candles and funding from files, and a seeded market for the demo: what a replay and a backtest run on.

What belongs here: reading, checking and merging market data in time order, and generating it. What does
not: the venues' live streams (venues), resampling and indicators (strategy), anything that trades.

    columns       Parquet or CSV -> blocks of NumPy columns, a few thousand rows at a time
    block         a stretch of candles as arrays; the one conversion from prices to ticks and steps
    candle_file   one symbol's candles: checked in full when opened, streamed afterwards
    funding_file  one symbol's funding rates
    replay        many symbols merged in time order; `CandleSource`, which every source satisfies
    synth         a seeded market with trends, ranges, clustered volatility and jumps

pyarrow (some 50 MB) is imported only when a file is read, so a demo never pays for it.
"""
