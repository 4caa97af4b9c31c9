"""Which embedder a tenant's documents have, and the record that keeps a second model out.

A vector means something only among vectors of the same model. So the model is recorded where all processes see
it, before the first document is written, and never changes afterwards:

* once for all tenants of an index that use the index's embedder, and
* once for each tenant that has an embedder of its own.

The records are a handful, not one per tenant. They carry the time of creation of the index (and tenant), so one
that is deleted and made again starts afresh.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from tenantry.errors import NotFound, Refused, TooLarge
from tenantry.model.topology import LogicalIndex, Tenant, TenantState
from tenantry.ports import Catalog, Embedder
from tenantry.router.listing import every_tenant
from tenantry.router.router import Router

CACHE_MOST = 100_000
NAMED_IN_MESSAGES = 3


class Binding(msgspec.Struct, frozen=True, eq=False):
    """A tenant's embedder, checked against its index and against the record.

    Attributes:
        setting: where the model is recorded.
        recorded: the record is there, so it need not be looked for again.
        own: the tenant has an embedder of its own.
    """

    embedder: Embedder
    setting: str
    recorded: bool
    own: bool


class _Cached(msgspec.Struct, frozen=True, eq=False):
    epoch: int
    logical: LogicalIndex
    binding: Binding


class Models:
    """Finds embedders; after the first time without a catalog round trip, until the tenant's route changes."""

    def __init__(self, catalog: Catalog, router: Router, embedder: Callable[[str], Embedder]) -> None:
        self._catalog = catalog
        self._router = router
        self._embedder = embedder
        self._cache: OrderedDict[tuple[str, str], _Cached] = OrderedDict()
        self._index_models: dict[str, str] = {}

    async def of(self, index: str, tenant: str) -> Binding:
        """The binding of a tenant; of its index when the tenant does not exist yet.

        Raises:
            Refused: there is no embedder, its dimension is not the index's, or the documents that are there
                were embedded with another model.
            NotFound: no such index.
        """
        logical = await self._router.pool.index(index)
        try:
            route = await self._router.resolver.route(index, tenant)
        except NotFound as missing:
            if missing.kind != "tenant":
                raise
            return await self._bind(logical, None)
        known = self._cache.get((index, tenant))
        if known is not None and known.epoch == route.epoch and known.logical is logical:
            self._cache.move_to_end((index, tenant))
            return known.binding
        binding = await self._bind(logical, await self._catalog.tenants.get(index, tenant))
        if binding.recorded:
            self._cache[(index, tenant)] = _Cached(route.epoch, logical, binding)
            if len(self._cache) > CACHE_MOST:
                self._cache.popitem(last=False)
        return binding

    async def record(self, index: str, binding: Binding) -> None:
        """Record the model before the first write. Raises Refused when another one was recorded meanwhile."""
        if binding.recorded:
            return
        if binding.own:
            await self._catalog.settings.put_if_absent(_own_setting(await self._router.pool.index(index)), True)
        stored = await self._catalog.settings.put_if_absent(binding.setting, binding.embedder.model)
        _check_model(stored, binding.embedder.model, f"index {index!r}")

    async def groups(
        self, index: str, tenants: Sequence[str] | None
    ) -> dict[str, tuple[Embedder, Sequence[str] | None]]:
        """The embedder of each model among these tenants (None: all active ones) by the model's name, with the tenants
        that have it. Tenants without an embedder have no texts and are left out. Raises as `of`."""
        logical = await self._router.pool.index(index)
        if tenants is None and not await self._catalog.settings.get(_own_setting(logical)):
            embedder = (await self._bind(logical, None)).embedder
            return {embedder.model: (embedder, None)}
        named = tenants if tenants is not None else [name async for name in self._active(logical)]
        found: dict[str, tuple[Embedder, list[str]]] = {}
        for tenant in dict.fromkeys(named):
            await self._router.resolver.route(index, tenant)
            binding = await self.of(index, tenant)
            found.setdefault(binding.embedder.model, (binding.embedder, []))[1].append(tenant)
        if not found:
            embedder = (await self._bind(logical, None)).embedder
            return {embedder.model: (embedder, [])}
        return {model: found[model] for model in sorted(found)}

    async def _active(self, logical: LogicalIndex) -> AsyncIterator[str]:
        """Active tenants that have an embedder."""
        async for tenant in every_tenant(self._catalog.tenants, logical.name):
            if tenant.state is TenantState.ACTIVE and (tenant.spec.embedder or logical.embedder):
                yield tenant.name

    async def of_many(self, index: str, tenants: Sequence[str] | None) -> Embedder:
        """The one embedder of these tenants (None: of all active ones).

        Raises Refused when they have different models, since scores of different models cannot be merged.
        """
        found: dict[str, list[str]] = {}
        embedders: dict[str, Embedder] = {}
        if tenants is None:
            return await self._of_all(index)
        most = self._router.limits.cross_tenant_tenants
        if len(tenants) > most:
            raise TooLarge("tenants", f"{len(tenants)} names", f"at most {most}")
        for tenant in dict.fromkeys(tenants):
            await self._router.resolver.route(index, tenant)
            binding = await self.of(index, tenant)
            found.setdefault(binding.embedder.model, []).append(tenant)
            embedders[binding.embedder.model] = binding.embedder
        if not found:
            return (await self._bind(await self._router.pool.index(index), None)).embedder
        return embedders[_only(found)]

    async def _of_all(self, index: str) -> Embedder:
        logical = await self._router.pool.index(index)
        if not await self._catalog.settings.get(_own_setting(logical)):
            return (await self._bind(logical, None)).embedder
        found: dict[str, list[str]] = {}
        embedders: dict[str, Embedder] = {}
        async for tenant in every_tenant(self._catalog.tenants, index):
            name = tenant.spec.embedder or logical.embedder
            if tenant.state is TenantState.ACTIVE and name is not None:
                made = self._embedder(name)
                found.setdefault(made.model, []).append(tenant.name)
                embedders[made.model] = made
        if not found:
            return (await self._bind(logical, None)).embedder
        return embedders[_only(found)]

    async def _bind(self, logical: LogicalIndex, tenant: Tenant | None) -> Binding:
        own = tenant is not None and tenant.spec.embedder is not None
        name = tenant.spec.embedder if tenant is not None and own else logical.embedder
        if name is None:
            raise Refused(
                f"index {logical.name!r} has no embedder, so it takes vectors, not text; give it one whose vectors "
                f"have {logical.dimension} dimensions with `tenantry index set {logical.name} --embedder NAME`, "
                "where NAME is local or openai:MODEL@DIMENSIONS"
            )
        embedder = self._embedder(name)
        if embedder.dimension != logical.dimension:
            raise Refused(
                f"embedder {name!r} gives {embedder.dimension} dimensions and index {logical.name!r} holds "
                f"{logical.dimension}; name an embedder with that dimension"
            )
        setting = _setting(logical) if tenant is None or not own else _tenant_setting(logical, tenant)
        stored = await self._recorded(setting, own)
        if stored is not None:
            what = f"tenant {tenant.name!r}" if tenant is not None and own else f"index {logical.name!r}"
            _check_model(stored, embedder.model, what)
        return Binding(embedder, setting, stored is not None, own)

    async def _recorded(self, setting: str, own: bool) -> str | None:
        """The model that was recorded, if one was. That of an index is kept: it never changes, and all of its
        tenants ask for it."""
        known = self._index_models.get(setting)
        if known is None:
            known = await self._catalog.settings.get(setting)
            if known is not None and not own:
                self._index_models[setting] = known
        return known


def _check_model(stored: str, current: str, what: str) -> None:
    if stored != current:
        raise Refused(
            f"the documents of {what} were embedded with {stored!r} and its embedder is {current!r} now, whose "
            "vectors cannot be compared with theirs; set the former embedder again, or add the documents to a new "
            "index"
        )


def _only(found: dict[str, list[str]]) -> str:
    """The one model of these tenants."""
    if len(found) > 1:
        parts = "; ".join(f"{model}: {_named(names)}" for model, names in sorted(found.items()))
        raise Refused(
            "these tenants have different embedding models, whose scores cannot be compared: "
            f"{parts}; search tenants of one model at a time"
        )
    return next(iter(found))


def _named(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:NAMED_IN_MESSAGES])
    more = len(names) - NAMED_IN_MESSAGES
    return f"{shown} and {more} more" if more > 0 else shown


def _setting(logical: LogicalIndex) -> str:
    return f"documents.model/{logical.name}@{logical.created_at:.6f}"


def _own_setting(logical: LogicalIndex) -> str:
    """Set when some tenant of the index has written with an embedder of its own."""
    return f"documents.own-models/{logical.name}@{logical.created_at:.6f}"


def _tenant_setting(logical: LogicalIndex, tenant: Tenant) -> str:
    return f"{_setting(logical)}/{tenant.name}@{tenant.created_at:.6f}"
