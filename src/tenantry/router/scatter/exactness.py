"""How many hits to ask each part for, so that the best of all are among them with a given probability. Pure.

The ``k`` nearest records of all ``n`` are to be found; they are split over parts (tenants, or shards) of ``n_i``
records. A part that is asked for its ``k_i`` nearest hides something only if more than ``k_i`` of the ``k`` are in it.

Assumption: whose a record is says nothing about its nearness (of all ways to hand out the ``k`` ranks to the ``n``
records each is as likely). Then the number in part i is hypergeometric, X_i ~ H(n, n_i, k), and by the union bound

    P(something is hidden) <= sum over i of P(X_i > k_i).

Each part gets an equal share of ``1 - exactness``, and the least ``k_i`` that keeps within it. Sizes are rounded so
that the tail only grows: ``n_i`` up, ``n`` down. See docs/explanation/search.md for the derivation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

#: Sizes are rounded to powers of this, so that a few hundred computations serve all.
STEP = 1.15
#: Terms of a tail are added until they no longer count.
NEGLIGIBLE = 1e-12


def parts_of(top_k: int, sizes: Sequence[int], exactness: float) -> list[int]:
    """For each part of ``sizes`` records the hits to ask it for, 1 to ``top_k``.

    The best ``top_k`` of all are among them with a probability of at least ``exactness`` (0 to 1), under the
    assumption above. With ``exactness`` 1 it is ``top_k`` everywhere.
    """
    if exactness >= 1.0 or len(sizes) < 2:
        return [top_k] * len(sizes)
    total = sum(sizes)
    if total <= top_k:
        return [top_k] * len(sizes)
    held = sum(1 for size in sizes if size > 0)
    # The share of each is rounded down a little, so that it too takes few values.
    allowed = _rounded_down((1.0 - exactness) / max(1, held))
    return [_least(_floor(total), _ceiling(size), top_k, allowed) for size in sizes]


def tail(total: int, marked: int, drawn: int, most: int) -> float:
    """P(X > most) of X ~ H(total, marked, drawn): of ``drawn`` out of ``total``, those among the ``marked``.

    Relative error under 1e-9.
    """
    least = most + 1
    if least > min(marked, drawn):
        return 0.0
    if least <= max(0, drawn - (total - marked)):
        return 1.0
    mean = drawn * marked / total
    if least <= mean:  # sum the other side, whose terms fall away from here
        return 1.0 - _sum_down(total, marked, drawn, most)
    return min(1.0, _sum_up(total, marked, drawn, least))


@lru_cache(maxsize=16_384)
def _least(total: int, marked: int, drawn: int, allowed: float) -> int:
    """The least number that X exceeds with a probability of at most ``allowed``, at least 1."""
    marked = min(marked, total)
    low, high = 1, max(1, min(drawn, marked))
    while low < high:
        middle = (low + high) // 2
        if tail(total, marked, drawn, middle) <= allowed:
            high = middle
        else:
            low = middle + 1
    return low


def _sum_up(total: int, marked: int, drawn: int, start: int) -> float:
    term = probability = _mass(total, marked, drawn, start)
    for i in range(start, min(marked, drawn)):
        term *= (marked - i) * (drawn - i) / ((i + 1) * (total - marked - drawn + i + 1))
        probability += term
        if term < NEGLIGIBLE * probability:
            break
    return probability


def _sum_down(total: int, marked: int, drawn: int, start: int) -> float:
    term = probability = _mass(total, marked, drawn, start)
    for i in range(start, max(0, drawn - (total - marked)), -1):
        term *= i * (total - marked - drawn + i) / ((marked - i + 1) * (drawn - i + 1))
        probability += term
        if term < NEGLIGIBLE * probability:
            break
    return min(1.0, probability)


def _mass(total: int, marked: int, drawn: int, at: int) -> float:
    """P(X = at)."""
    logarithm = _choose(marked, at) + _choose(total - marked, drawn - at) - _choose(total, drawn)
    return math.exp(min(0.0, logarithm))


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _ceiling(size: int) -> int:
    """At least the size, and one of few values."""
    if size < 8:
        return size
    return max(size, math.ceil(STEP ** math.ceil(math.log(size, STEP))))


def _floor(size: int) -> int:
    """At most the size, and one of few values."""
    if size < 8:
        return size
    return min(size, math.floor(STEP ** math.floor(math.log(size, STEP))))


def _rounded_down(share: float) -> float:
    return float(2.0 ** math.floor(math.log2(share)))
