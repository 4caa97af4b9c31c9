"""Measures what the planner wants to know: sizes on the backends, load on all gateways, history in the catalog."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from statistics import median

from tenantry.control.measure.readings import Reading, Readings
from tenantry.control.sizes import UNFINISHED, sizes_of
from tenantry.model.moves import Move, Phase
from tenantry.model.plan import PlanView, TenantLoad
from tenantry.model.topology import Claim, ClusterView, ShardView, Tenant
from tenantry.ports import Catalog, Clock
from tenantry.router.listing import every_tenant
from tenantry.router.shards import ShardPool

#: A shard that does not answer for that long is not measured, seconds.
ANSWER_S = 30.0
#: Moves that are looked at for the speed of copying and the cool-down.
MOST_MOVES = 1_000
#: A shorter copy says little about speed.
LEAST_COPIED = 100


class Monitor:
    """Args: ``readings`` gives what was counted of an index of late."""

    def __init__(
        self, catalog: Catalog, pool: ShardPool, clock: Clock, readings: Callable[[str], Awaitable[Readings]]
    ) -> None:
        self._catalog = catalog
        self._pool = pool
        self._clock = clock
        self._readings = readings

    async def view(self, index: str) -> PlanView:
        """All shards and tenants of an index at this moment. A tenant that cannot be measured stays where it is, with
        the reason. Raises NotFound (index)."""
        await self._catalog.indexes.get(index)
        tenants = [tenant async for tenant in every_tenant(self._catalog.tenants, index)]
        moves = await self._catalog.moves.list(index, limit=MOST_MOVES)
        moving = {move.tenant: move for move in moves if not move.ended}
        moved_at = _moved_at(moves)
        tenants_read = (await self._readings(index)).tenants
        shards = await self._catalog.shards.list(index)
        sizes = await sizes_of(self._pool, shards, ANSWER_S)

        def measured(tenant: Tenant) -> TenantLoad:
            stats, unknown = sizes.of(tenant)
            trouble = f"it cannot be measured ({unknown})" if unknown is not None else None
            return TenantLoad(
                name=tenant.name,
                shard=tenant.route.place.shard,
                vectors=stats.vectors,
                bytes=stats.bytes,
                load=load_of(tenants_read.get(tenant.name)),
                spec=tenant.spec,
                moved_at=moved_at.get(tenant.name),
                fixed=trouble or _fixed(tenant, moving.get(tenant.name)),
            )

        claims = await self._catalog.tenants.claims(index)
        return PlanView(
            cluster=ClusterView(
                index,
                tuple(
                    ShardView(shard, sizes.shards[shard.name].whole.vectors, claims.get(shard.name, Claim()))
                    for shard in shards
                ),
            ),
            tenants=tuple(map(measured, tenants)),
            at=self._clock.now(),
            copy_vectors_per_s=_copy_speed(moves),
        )


def load_of(reading: Reading | None) -> float:
    """Operations a second; an idle tenant has no reading."""
    return 0.0 if reading is None else reading.own_per_second


def _fixed(tenant: Tenant, move: Move | None) -> str | None:
    if move is not None:
        return f"a move of it is running ({move.id})"
    if tenant.state in UNFINISHED:
        return f"it is {tenant.state}"
    return None


def _moved_at(moves: list[Move]) -> dict[str, float]:
    """Tenant to the end of its last move that was carried out."""
    ends: dict[str, float] = {}
    for move in moves:
        for phase in (Phase.DONE, Phase.ROLLED_BACK):
            at = move.started.get(phase.value)
            if at is not None:
                ends[move.tenant] = max(at, ends.get(move.tenant, at))
    return ends


def _copy_speed(moves: list[Move]) -> float | None:
    """Median speed of the copies so far, vectors a second."""
    speeds = [
        move.progress.copied / move.progress.copy_s
        for move in moves
        if move.progress.copied >= LEAST_COPIED and move.progress.copy_s > 0
    ]
    return median(speeds) if speeds else None
