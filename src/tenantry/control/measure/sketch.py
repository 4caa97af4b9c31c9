"""Latencies as counts in bins, which merge exactly: a quantile comes out within 1% of the true value.

This is DDSketch (Masson, Rim, Lee: "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error
Guarantees", VLDB 2019), by the package ``ddsketch``: its mapping of values to bins, its stores and its quantiles. What
is kept between two readings is a plain dictionary of bins, for there is one for each tenant and most hold few values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from ddsketch.ddsketch import BaseDDSketch
from ddsketch.mapping import LogarithmicMapping
from ddsketch.store import DenseStore

#: A quantile is at most this share away from the value that it stands for.
ACCURACY = 0.01
#: Latencies outside are counted as these, seconds: so a sketch has at most 1,152 bins.
LEAST_S, MOST_S = 1e-6, 1e4

_mapping = LogarithmicMapping(ACCURACY)
#: That of the package: the bin of a value is the logarithm to the base gamma, rounded up.
_PER_LOG = 1.0 / math.log(_mapping.gamma)
_log, _ceil = math.log, math.ceil


def bin_of(seconds: float) -> int:
    """The bin of a latency; the same as the package's mapping, at a third of its time."""
    if seconds < LEAST_S:
        seconds = LEAST_S
    elif seconds > MOST_S:
        seconds = MOST_S
    return _ceil(_log(seconds) * _PER_LOG)


def add_bins(total: dict[int, int], bins: Mapping[int, int]) -> None:
    """Merge one sketch into another."""
    for key, count in bins.items():
        total[key] = total.get(key, 0) + count


def quantiles_s(bins: Mapping[int, int], shares: Iterable[float]) -> list[float]:
    """The latencies below which these shares lie, seconds; 0 where nothing was measured."""
    store = DenseStore()
    for key, count in bins.items():
        store.add(key, count)
    sketch = BaseDDSketch(_mapping, store, DenseStore(), 0.0)
    return [sketch.get_quantile_value(share) or 0.0 for share in shares]
