"""Adopting an existing index: its namespaces, or the values of a field of its records' metadata, become tenants on a
shard that is that index. Nothing is copied."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

from tenantry.cluster.advice import AdviceAdmin
from tenantry.cluster.plans import PlanAdmin
from tenantry.cluster.recording import recorded
from tenantry.cluster.shards import ShardAdmin
from tenantry.control.advisor.sizing import share_of_largest
from tenantry.errors import AlreadyExists, Conflict, InvalidArgument, NotFound, Refused, TenantryError
from tenantry.model.adoption import FOREIGN, FOREIGN_KINDS, TENANT_FIELD, Adoption, LeftAlone
from tenantry.model.limits import Limits, check_index_name, check_tenant_name
from tenantry.model.topology import DEFAULT_INDEX, Place, Shard, ShardState, TenantSpec, TenantState
from tenantry.ports import Catalog, Clock, VectorBackend
from tenantry.router.listing import every_tenant
from tenantry.router.shards import ShardPool

PAGE = 1_000
#: Namespaces of one index that are adopted.
MOST = 100_000
#: Namespaces that are measured at once.
AT_ONCE = 16
#: Times that a tenant's placement is tried again when others change the shard meanwhile.
TRIES = 16


class AdoptAdmin:
    """Repeatable: what was adopted is known, what is new is adopted, whatever ended an earlier run."""

    def __init__(
        self,
        catalog: Catalog,
        pool: ShardPool,
        shards: ShardAdmin,
        advice: AdviceAdmin,
        plans: PlanAdmin,
        clock: Clock,
        limits: Limits,
    ) -> None:
        self._catalog = catalog
        self._pool = pool
        self._shards = shards
        self._advice = advice
        self._plans = plans
        self._clock = clock
        self._limits = limits

    @recorded("index.adopt", index="index", shard="shard")
    async def adopt(
        self,
        backend: str,
        *,
        index: str = DEFAULT_INDEX,
        shard: str = "adopted",
        options: Mapping[str, str] | None = None,
        dry_run: bool = False,
    ) -> Adoption:
        """Register an existing index as a shard, and each of its namespaces (or values of the option ``tenant_field``)
        as a tenant there, under its own name.

        Nothing on the index is changed. A namespace stays as it is, and is left alone with the reason, when its name
        cannot be a tenant's, or when a tenant of that name is elsewhere.

        Args:
            backend: kind; its namespaces must be readable as they are (see docs/how-to/adopt.md).
            shard: name of the shard; one that is there must be of this kind with these options.
            options: what the backend needs to reach the index, and ``tenant_field`` where tenants share a collection.
                It is taken to be laid out by others, unless ``adopted`` says ``false``: then as Tenantry does it.
            dry_run: only look.

        Raises:
            NotFound: no such logical index.
            InvalidArgument: the kind, an option or the name.
            AlreadyExists: the shard is there and is something else.
            Refused: the index is of another dimension or metric than the logical index; or has over 100,000 namespaces.
            Unavailable: it cannot be reached.
        """
        check_index_name(shard)
        logical = await self._catalog.indexes.get(index)
        chosen = (FOREIGN if backend in FOREIGN_KINDS else {}) | dict(options or {})
        known = next((each for each in await self._catalog.shards.list(index) if each.name == shard), None)
        if known is not None and (known.backend != backend or known.options != chosen):
            raise AlreadyExists("shard", shard, f"it is of kind {known.backend} with other options; name another shard")
        made = known is None
        if made and not dry_run:
            await self._shards.add(shard, index=index, backend=backend, options=chosen)
        opened = not made or not dry_run
        store = (
            await self._pool.backend(index, shard)
            if opened
            else await self._shards.tried(Shard(index, shard, backend, chosen))
        )
        try:
            names = await _namespaces(store)
            adopted, count, left = await self._each(index, shard, names, dry_run)
            sizes = await _sizes(store, names)
            if TENANT_FIELD in chosen:
                left += await _of_nobody(store, chosen[TENANT_FIELD], sum(sizes))
        finally:
            if not opened:
                await store.aclose()
        return Adoption(
            index=index,
            shard=shard,
            backend=backend,
            dimension=logical.dimension,
            metric=logical.metric.value,
            made_shard=made and not dry_run,
            dry_run=dry_run,
            found=len(names),
            adopted=adopted,
            known=count,
            left_alone=left,
            vectors=sum(sizes),
            top_share=share_of_largest(sizes, -(-len(sizes) // 10)),
            advice=None if dry_run else await self._advice.advise(index),
            plan=None if dry_run else await self._plans.plan(index),
        )

    async def _each(
        self, index: str, shard: str, names: list[str], dry_run: bool
    ) -> tuple[list[str], int, list[LeftAlone]]:
        adopted: list[str] = []
        left: list[LeftAlone] = []
        known = 0
        mine = await self._places(index)
        taken = {place.namespace for place in mine.values() if place.shard == shard}
        retired = {copy.place.namespace for copy in await self._catalog.copies.list(index, shard=shard)}
        for name in names:
            if name in taken:
                known += 1
            elif name in retired:
                left.append(LeftAlone(name, "an old copy of a tenant that was moved away"))
            elif name in mine:
                left.append(LeftAlone(name, f"a tenant of that name is on shard {mine[name].shard!r}"))
            else:
                try:
                    check_tenant_name(name, self._limits)
                    if not dry_run:
                        await self._place(index, shard, name)
                except (InvalidArgument, Refused, AlreadyExists) as odd:
                    left.append(LeftAlone(name, _reason(odd)))
                else:
                    adopted.append(name)
        return adopted, known, left

    async def _place(self, index: str, shard: str, name: str) -> None:
        """Record a tenant whose namespace is there already. A crash in between leaves it in state ``creating``, which
        its first request finishes."""
        for _ in range(TRIES):
            try:
                placed = await self._catalog.tenants.place(index, name, TenantSpec(), shard, self._clock.now())
            except Conflict:
                await self._check_takes(index, shard)
                continue
            if placed.route.place.namespace != name:  # one of that name was deleted once; its generation counts on
                await self._catalog.tenants.set_state(index, name, TenantState.DELETING, placed.route.epoch)
                await self._catalog.tenants.set_state(index, name, TenantState.DELETED, placed.route.epoch + 1)
                raise Refused("a tenant of that name was deleted here, so the name cannot stand for this namespace")
            await self._catalog.tenants.set_state(index, name, TenantState.ACTIVE, placed.route.epoch)
            return
        raise Conflict(f"tenant {name!r} lost {TRIES} races for its place; repeat the command")

    async def _check_takes(self, index: str, shard: str) -> None:
        """Raises Refused for a reason that stays."""
        for each in await self._catalog.shards.list(index):
            if each.name == shard and each.state is not ShardState.ACTIVE:
                raise Refused(f"shard {shard!r} is {each.state}; set it active while it is adopted")
            full = each.max_tenants is not None and each.tenants + each.copies >= each.max_tenants
            if each.name == shard and full:
                raise Refused(f"shard {shard!r} is at its limit of {each.max_tenants} tenants")

    async def _places(self, index: str) -> dict[str, Place]:
        """Where each tenant is, by its name."""
        return {tenant.name: tenant.route.place async for tenant in every_tenant(self._catalog.tenants, index)}


async def _namespaces(store: VectorBackend) -> list[str]:
    found: list[str] = []
    while page := await store.namespaces(found[-1] if found else None, PAGE):
        found += page
        if len(found) > MOST:
            raise Refused(f"the index has over {MOST:,} namespaces, which is more than can be adopted")
    return found


async def _sizes(store: VectorBackend, names: list[str]) -> list[int]:
    """Vectors of each namespace; 0 of one that went away meanwhile."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> int:
        async with turn:
            try:
                return (await store.stats(name)).vectors
            except NotFound:
                return 0

    return list(await asyncio.gather(*map(one, names)))


async def _of_nobody(store: VectorBackend, field: str, known: int) -> list[LeftAlone]:
    others = (await store.stats()).vectors - known
    if others <= 0:
        return []
    who = f"1 record without {field!r} belongs" if others == 1 else f"{others:,} records without {field!r} belong"
    return [LeftAlone("", f"{who} to no tenant")]


def _reason(odd: TenantryError) -> str:
    if isinstance(odd, InvalidArgument):
        mark = re.search(r"~\d+$", str(odd.given))
        return (
            "its name looks like a copy that Tenantry made" if mark else f"its name cannot be a tenant's: {odd.allowed}"
        )
    return str(odd)
