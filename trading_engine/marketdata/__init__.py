"""Candles and funding from files, a seeded market for the demo, and live candles from a venue's streams.

What belongs here: reading, checking and merging market data in time order, generating it, building candles and
books from streams, recording. What does not: the sockets and frames of venues (venues), resampling and indicators
(strategy), anything that trades.

    columns         Parquet or CSV -> blocks of NumPy columns, a few thousand rows at a time
    block           a stretch of candles as arrays; the one conversion from prices to ticks and steps
    candle_file     one symbol's candles: checked in full when opened, streamed afterwards
    funding_file    one symbol's funding rates
    replay          many symbols merged in time order; `CandleSource`, which every source satisfies
    synth           a seeded market with trends, ranges, clustered volatility and jumps
    book            a local order book: in sequence or not at all
    live_books      local books of a live market: the stream's changes, and snapshots from wherever they come
    candle_builder  closed candles from trades or from updates of forming ones
    assembly        which closed candles may be handed on, and which must be asked for first
    feed            live candles: a stream, checked and completed by the venue's history
    candle_store    candles and funding on disk, for research
    recorder        raw frames on disk; `recording` reads them back at any speed

pyarrow (some 50 MB) is imported only when a file is read, so a demo never pays for it.
"""
