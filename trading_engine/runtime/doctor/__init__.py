"""Is this machine, and this state, fit for an engine that nobody watches?

What belongs here: looking, and saying what to do. What does not: mending anything, the display (cli).
"""

from trading_engine.runtime.doctor.examine import examine
from trading_engine.runtime.doctor.machine import Ailment, Machine

__all__ = ["Ailment", "Machine", "examine"]
