"""How much was traded at which price.

What belongs here: the profile of a stretch of candles, its point of control and value area. What does not: the
order book, single trades.
"""

from dataclasses import dataclass

import numpy as np

from trading_engine.strategy.api import FloatArray, Series

_VALUE_SHARE = 0.7


@dataclass(frozen=True, slots=True, eq=False)
class VolumeProfile:
    """Volume by price.

    edges              borders of the bins, ascending, one more than there are bins
    volumes            volume of each bin
    point_of_control   middle of the bin with the most volume; of equal ones the lowest
    value_low, value_high   the borders of the value area: the bins around the point of control with the wanted share
    """

    edges: FloatArray
    volumes: FloatArray
    point_of_control: float
    value_low: float
    value_high: float


def volume_profile(series: Series, bins: int, value_share: float = _VALUE_SHARE) -> VolumeProfile | None:
    """The profile of all candles of a series in `bins` ≥ 1 bins from the lowest low to the highest high.

    A candle's volume is spread evenly over its range. The value area grows from the point of control by the
    neighbour with more volume, by the lower one of equal ones, until it holds `value_share` (in (0, 1]) of the volume.
    None for a series without volume.
    """
    if not series.volume.any():
        return None
    edges = np.linspace(series.low.min(), series.high.max(), bins + 1)
    volumes = _spread(series, edges)
    peak = int(volumes.argmax())
    low, high = _value_area(volumes, peak, value_share)
    middle = float(edges[peak] + edges[peak + 1]) / 2
    return VolumeProfile(edges, volumes, middle, float(edges[low]), float(edges[high + 1]))


def _spread(series: Series, edges: FloatArray) -> FloatArray:
    """The volume of each bin, from the share of every candle's range that lies below each edge."""
    span = series.high - series.low
    has_range = span > 0
    ranged = np.flatnonzero(has_range)
    shares = (edges[:, None] - series.low[ranged]) / span[ranged]
    below = np.clip(shares, 0.0, 1.0) @ series.volume[ranged]
    volumes: FloatArray = np.diff(below)
    flat = np.flatnonzero(~has_range)
    places = np.clip(edges.searchsorted(series.low[flat], side="right") - 1, 0, len(volumes) - 1)
    np.add.at(volumes, places, series.volume[flat])
    return volumes


def _value_area(volumes: FloatArray, peak: int, share: float) -> tuple[int, int]:
    """First and last bin of the value area."""
    wanted = float(volumes.sum()) * share * (1 - 1e-9)  # a sum that misses its share by rounding is enough
    low = high = peak
    held = float(volumes[peak])
    while held < wanted:
        under = float(volumes[low - 1]) if low > 0 else -1.0
        above = float(volumes[high + 1]) if high + 1 < len(volumes) else -1.0
        if under >= above:
            low -= 1
            held += under
        else:
            high += 1
            held += above
    return low, high
