"""The embedded exchange: one matching kernel, fed with candles, with a durable memory of its own."""
