"""Cuts tenants into waves: canaries first, then as even waves as the share allows, smallest risk first."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tenantry.errors import InvalidArgument

#: Without a number given, one tenant in so many is a canary: at least one, at most `MOST_CANARIES`.
ONE_IN = 50
MOST_CANARIES = 10
ROUNDING = 1e-9


def cut(risk: Mapping[str, float], share: float, canaries: int | None = None) -> list[list[str]]:
    """Names in waves, in the order in which they go. Every tenant is in exactly one wave, no tenant of a wave has a
    smaller risk than one of a wave before, and waves other than the first differ by one tenant at most.

    Args:
        risk: of each tenant.
        share: most of all tenants in one wave, over 0 to 1, rounded up.
        canaries: size of the first wave, at most that share; 0: there is no such wave; None: one in `ONE_IN`.

    Raises:
        InvalidArgument: of an argument.
    """
    if not 0 < share <= 1:
        raise InvalidArgument("share", share, "over 0, at most 1 (0.25 is 25%)")
    names = sorted(risk, key=lambda name: (risk[name], name))
    most = math.ceil(share * len(names) - ROUNDING)
    first = _canaries(len(names), most, canaries)
    waves = [names[:first]] if first else []
    rest = names[first:]
    if not rest:
        return waves
    many = -(-len(rest) // most)
    small, larger = divmod(len(rest), many)
    start = 0
    for number in range(many):
        size = small + (number < larger)
        waves.append(rest[start : start + size])
        start += size
    return waves


def _canaries(tenants: int, most: int, given: int | None) -> int:
    if given is None:
        return min(tenants, most, MOST_CANARIES, max(1, tenants // ONE_IN)) if tenants else 0
    if isinstance(given, bool) or given < 0:
        raise InvalidArgument("canaries", given, "0 or more")
    if given > most:
        raise InvalidArgument("canaries", given, f"at most {most}, the share of {tenants} tenants in one wave")
    return given
