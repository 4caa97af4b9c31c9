"""The native API's cost, advice and adoption."""

from __future__ import annotations

import msgspec

from tenantry.gateway.native import wire_advice as wire
from tenantry.gateway.table import Call
from tenantry.model.adoption import Adoption
from tenantry.model.advice import Card, Imagined
from tenantry.model.cost import CostReport


async def advise(call: Call, asked: wire.Advise) -> Card:
    """The decision card of an index, measured now."""
    given = msgspec.structs.asdict(asked)
    return await call.cluster.advice.advise(call.index, **given)


async def imagine(call: Call, asked: wire.Imagine) -> Card:
    """The decision card of a cluster that does not exist."""
    given = msgspec.structs.asdict(asked)
    imagined = Imagined(**{name: given.pop(name) for name in Imagined.__struct_fields__})
    return await call.cluster.advice.imagine(imagined, **given)


async def cost(call: Call, asked: wire.Cost) -> CostReport:
    """A month's bill of an index, and whose cost it is."""
    return await call.cluster.advice.cost(call.index, **msgspec.structs.asdict(asked))


async def adopt(call: Call, asked: wire.Adopt) -> Adoption:
    """Make an existing index a shard, and its namespaces tenants."""
    given = msgspec.structs.asdict(asked)
    return await call.cluster.adoption.adopt(given.pop("backend"), index=call.index, **given)
