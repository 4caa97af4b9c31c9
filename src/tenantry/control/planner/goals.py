"""The soft goals and the one number that is made of them.

A shard's *fair share* of a goal is its weight's part of what all members hold; with the tolerance it may hold
``(1 + tolerance) * fair`` before it counts as over. With ``x[s, g]`` what shard ``s`` holds of goal ``g``, in parts of
the whole, and ``over[s, g] = max(0, x[s, g] - (1 + tolerance) * fair[s])``, the objective, to be made small, is::

      sum over goals g of  weight[g] * ( max over s of over[s, g] / fair[s]  +  sum over s of over[s, g] )
    + BYTES_WEIGHT * bytes moved / bytes of all tenants of the members
    + MOVES_WEIGHT * tenants moved / tenants of the members

The first term is the worst shard, counted in fair shares; the second is the part of the whole that lies too high, so
that it pays to relieve a shard although a worse one cannot be relieved. Both are linear with one more variable for each
maximum, so a solver of mixed-integer programs can find the exact optimum of the same number, and the tests let it.

The weights put the goals in order: an even spread of vectors before one of load, load before tenants, and tenants
before few moves of few bytes. They are not infinitely far apart: a whole plan is not turned round for a hair's breadth
of a more important goal. To spread tenants alone, only tenants of less than the average size are worth their bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tenantry.control.planner.picture import Numbers

GOALS = ("vectors", "load", "tenants")
GOAL_WEIGHTS = (9.0, 3.0, 1.0)
BYTES_WEIGHT = 0.5
MOVES_WEIGHT = 0.5
#: Less than that is no gain: it is the noise of floating-point sums.
NO_GAIN = 1e-9


@dataclass(frozen=True)
class Yardstick:
    """What shards are measured against.

    Attributes:
        whole: of each goal, what all members hold; 1 where they hold nothing.
        fair: of each member, its part of the whole; the sum is 1.
        limit: of each member, the part from which on it counts as over.
    """

    whole: Numbers
    fair: Numbers
    limit: Numbers


def yardstick(held: Numbers, weights: Numbers, tolerance: float) -> Yardstick:
    """Measure for members that together hold ``held`` (a row each)."""
    whole = held.sum(axis=0)
    fair = weights / weights.sum()
    return Yardstick(np.where(whole > 0, whole, 1.0), fair, (1 + tolerance) * fair)


def imbalance(x: Numbers, measure: Yardstick) -> float:
    """The first line of the objective, for parts of the whole ``x`` (a row for each member)."""
    over = np.maximum(0.0, x - measure.limit[:, None])
    peak = (over / measure.fair[:, None]).max(axis=0, initial=0.0)
    return float((np.array(GOAL_WEIGHTS) * (peak + over.sum(axis=0))).sum())


def skew(x: Numbers, measure: Yardstick) -> list[float]:
    """Of each goal, the fullest member over its fair share; 1 when there is nothing to share."""
    if not len(x):
        return [1.0] * len(GOALS)
    worst = (x / measure.fair[:, None]).max(axis=0)
    return [float(each) if each > 0 else 1.0 for each in worst]
