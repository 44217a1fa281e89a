"""Values, entities and state tables. Pure: no I/O, no clock, no randomness, no logging, no async."""
