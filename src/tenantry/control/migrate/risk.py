"""How much is at stake when a tenant moves: the order of a migration.

::

    risk = 0.5 * size + 0.3 * load + 0.2 * recency

- ``size`` = ln(1 + vectors) / ln(1 + most vectors of a tenant): what is copied, and how long it takes.
- ``load`` = ln(1 + operations a second) / ln(1 + most operations a second): who would notice.
- ``recency`` = 2 ** (-age / 30 days), the age since the tenant was made or last moved, whichever is later: what is new
  is still changing, and least is known of it.

Each part is 0 to 1, and so is the sum; sizes and loads of tenants differ by orders of magnitude, hence the logarithms.
A part in which all tenants have nothing is 0 for each of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tenantry.model.plan import TenantLoad

SIZE, LOAD, RECENCY = 0.5, 0.3, 0.2
HALF_LIFE_S = 30 * 86_400.0


def risks(tenants: Sequence[TenantLoad], created: Mapping[str, float], at: float) -> dict[str, float]:
    """Tenant to its risk, 0 to 1.

    Args:
        created: when each was made, seconds since the Unix epoch; one that is not named is taken to be old.
        at: now, likewise.
    """
    most_vectors = max((each.vectors for each in tenants), default=0)
    most_load = max((each.load for each in tenants), default=0.0)
    return {
        each.name: SIZE * _part(each.vectors, most_vectors)
        + LOAD * _part(each.load, most_load)
        + RECENCY * _recency(at - max(created.get(each.name, -math.inf), each.moved_at or -math.inf))
        for each in tenants
    }


def _part(amount: float, most: float) -> float:
    return math.log1p(amount) / math.log1p(most) if most > 0 else 0.0


def _recency(age_s: float) -> float:
    return math.exp2(-max(0.0, age_s) / HALF_LIFE_S)
