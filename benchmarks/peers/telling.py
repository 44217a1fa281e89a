"""What every engine of the comparison says at its end: one line of JSON.

What belongs here: laps of wall and processor time, and the shape of that line. What does not: running anything.
"""

import json
import resource
import time


class Laps:
    """Named laps: `imports`, `load`, `setup`, `run`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def lap(self, name: str) -> None:
        """End a lap."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.seconds[f"{name}_s"] = wall - self._wall
        self.seconds[f"{name}_cpu_s"] = cpu - self._cpu
        self._wall, self._cpu = time.perf_counter(), time.process_time()


def tell(name: str, version: str, laps: Laps, entered_ms: list[int], equity: float) -> None:
    """Print the line; `entered_ms` the open times of the candles in which positions were entered."""
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {"engine": name, "version": version, "peak_mb": peak_mb, "equity": equity, "entered_ms": entered_ms}
    print(json.dumps(told | laps.seconds), flush=True)
