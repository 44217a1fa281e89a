"""Trading over recorded candles: a full engine that runs the live code, a fast one that runs the rules over arrays."""
