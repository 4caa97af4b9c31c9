"""Whom a finding is about: peers of a shard, the tenants behind it, and the command that helps."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import ceil

from tenantry.control.health.values import HealthView, ShardHealth, TenantHealth
from tenantry.model.topology import DEFAULT_INDEX, ShardState

#: Tenants that a finding names.
MOST_NAMED = 5
#: A tenant with that share of its shard's load or vectors is the reason.
ITS_OWN_FAULT = 0.5


def peers(shards: Sequence[ShardHealth]) -> list[ShardHealth]:
    """Shards that share the tenants: in use, not one tenant's own, and measured."""
    used = (ShardState.ACTIVE.value, ShardState.READ_ONLY.value)
    return [one for one in shards if one.state in used and one.dedicated_to is None and one.error is None]


def fair_parts(shards: Sequence[ShardHealth]) -> dict[str, float]:
    """Of each of the peers the part of the whole that is fair by its weight, 0 to 1."""
    shared = peers(shards)
    weights = sum(shard.weight for shard in shared)
    return {shard.name: shard.weight / weights for shard in shared}


def named(names: Iterable[str]) -> list[str]:
    """The first few, each once."""
    return list(dict.fromkeys(names))[:MOST_NAMED]


def behind_by(view: HealthView, shard: str, amount: Callable[[TenantHealth], float]) -> list[str]:
    """The tenants of a shard that have most of something; those with nothing of it are left out."""
    there = [one for one in view.tenants if one.shard == shard and amount(one) > 0]
    return named(one.name for one in sorted(there, key=lambda one: (-amount(one), one.name)))


def big(view: HealthView, shard: str) -> list[str]:
    """Its largest tenants."""
    return behind_by(view, shard, lambda one: one.vectors)


def heaviest(view: HealthView, shard: str) -> list[str]:
    """Its tenants with the most operations a second; the largest where nothing happens."""
    return behind_by(view, shard, lambda one: one.per_second) or big(view, shard) or _first(view, shard)


def sharing(view: HealthView) -> list[TenantHealth]:
    """The tenants that share their shard with others."""
    count = Counter(one.shard for one in view.tenants)
    return [one for one in view.tenants if count[one.shard] > 1]


def largest_tenth(tenants: Sequence[TenantHealth]) -> list[TenantHealth]:
    """A tenth of them, the largest, at least one."""
    ordered = sorted(tenants, key=lambda one: (-one.vectors, one.name))
    return ordered[: max(1, ceil(len(ordered) / 10))]


def share_of(tenants: Sequence[TenantHealth], total: int) -> float:
    """Their part of all vectors."""
    return sum(one.vectors for one in tenants) / total if total else 0.0


def counted(number: int, noun: str) -> str:
    """``1 tenant``, ``1,200 tenants``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def command(view: HealthView, verb: str, *words: str) -> str:
    """A command line about the view's index."""
    parts = ["tenantry", *verb.split(), *words]
    if view.index != DEFAULT_INDEX:
        parts += ["--index", view.index]
    return shlex.join(parts)


def relieve(view: HealthView, shard: ShardHealth) -> str:
    """Isolate the tenant that makes most of the shard, or else even the shards out."""
    there = [one for one in view.tenants if one.shard == shard.name]
    if len(there) > 1:
        for total, amount in (
            (sum(one.per_second for one in there), lambda one: one.per_second),
            (float(sum(one.vectors for one in there)), lambda one: float(one.vectors)),
        ):
            most = max(there, key=amount)
            if total > 0 and amount(most) > ITS_OWN_FAULT * total:
                return command(view, "tenant isolate", most.name)
    return command(view, "rebalance")


def _first(view: HealthView, shard: str) -> list[str]:
    return named(one.name for one in view.tenants if one.shard == shard)
