"""When Python looks for objects that hold each other.

What belongs here: a process that is soon over, or works in short turns. What does not: the engine, which runs for
months and collects as Python does by itself.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def rare_collection() -> Iterator[None]:
    """What is left in circles is collected now and then (measured: 10 % of a simulated seed, 2 % of a backtest)."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
