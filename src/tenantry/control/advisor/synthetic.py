"""Tenants that do not exist, of sizes as they are in life: few large ones, many small ones."""

from __future__ import annotations

import numpy as np

from tenantry.errors import InvalidArgument
from tenantry.model.cost import TenantUse

MOST_TENANTS = 100_000
#: Spread of the logarithm of sizes: with 1.0 the largest tenth of tenants holds about 40% of the vectors, with 2.0
#: about 75%.
SIGMA = 1.0


def synthetic(
    tenants: int, vectors: int, *, qps: float = 0.0, sigma: float = SIGMA, seed: int = 0
) -> tuple[TenantUse, ...]:
    """Tenants whose sizes are lognormal and add up to exactly ``vectors``; their requests go with their sizes. The same
    arguments give the same tenants.

    Raises:
        InvalidArgument: ``tenants`` is not 1 to 100,000, ``vectors`` or ``qps`` is below 0, ``sigma`` is not 0 to 5.
    """
    for field, given, fits, allowed in (
        ("tenants", tenants, 1 <= tenants <= MOST_TENANTS, f"1 to {MOST_TENANTS:,}"),
        ("vectors", vectors, vectors >= 0, "0 or more"),
        ("qps", qps, 0 <= qps < float("inf"), "0 or more"),
        ("sigma", sigma, 0 <= sigma <= 5, "0 to 5"),
    ):
        if not fits:
            raise InvalidArgument(field, given, allowed)
    weights = np.exp(sigma * np.random.default_rng(seed).standard_normal(tenants))
    shares = weights / weights.sum()
    sizes = np.floor(shares * vectors).astype(np.int64)
    left = vectors - int(sizes.sum())
    sizes[np.argsort(-shares, kind="stable")[:left]] += 1
    digits = len(str(tenants - 1))
    return tuple(TenantUse(f"tenant-{n:0{digits}}", int(sizes[n]), qps=float(shares[n]) * qps) for n in range(tenants))
