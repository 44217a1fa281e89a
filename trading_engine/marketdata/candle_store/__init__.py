"""Candles and funding rates on disk, for research: exact, checksummed, and never half written.

What belongs here: the files of the store, writing, reading and checking them. What does not: asking venues for what
goes in (runtime.market_download), generating it (synth), trading on what comes out.

    name       which dataset, and where it lies: DIR/venue/symbol/interval, DIR/venue/symbol/funding
    rows       rows as integers with a number of decimals: merging, digest; exact throughout
    parts      rows in Parquet files, a month of candles or a year of funding in each
    manifest   what a dataset consists of: the one file whose replacement makes a change true
    holes      which candles a stretch of time lacks
    writing    the one writer of a dataset: all of a change or nothing
    dataset    reading: `open_dataset`
    checking   whether what lies there is what was written
    intake     files of candles and funding, with every digit
    soundness  what a row must look like to be stored
"""
