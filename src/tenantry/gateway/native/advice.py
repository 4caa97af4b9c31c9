"""The native API's cost, advice and adoption."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from tenantry.gateway.native import wire_advice as wire
from tenantry.gateway.table import Call, Endpoint
from tenantry.model.adoption import Adoption
from tenantry.model.advice import Card, Imagined
from tenantry.model.cost import CostHistory, CostReport
from tenantry.model.limits import check_count

_INDEX = "/v1/indexes/{index}"

TOP_MOST = 1_000_000


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
    given = msgspec.structs.asdict(asked)
    top = given.pop("top")
    if top is not None:
        check_count(top, "top", 0, TOP_MOST)
    report = await call.cluster.advice.cost(call.index, **given)
    return report if top is None else msgspec.structs.replace(report, tenants=report.tenants[:top])


async def cost_history(call: Call, asked: wire.AskCostHistory) -> CostHistory:
    """The bill of each of the last days, and whose cost it was."""
    return await call.cluster.advice.cost_history(call.index, **msgspec.structs.asdict(asked))


async def adopt(call: Call, asked: wire.Adopt) -> Adoption:
    """Make an existing index a shard, and its namespaces tenants."""
    given = msgspec.structs.asdict(asked)
    return await call.cluster.adoption.adopt(given.pop("backend"), index=call.index, **given)


def routes(see: Callable[..., Endpoint], admin: Callable[..., Endpoint]) -> list[Endpoint]:
    """Cost, advice and adoption; ``see`` and ``admin`` make endpoints for who may look, and for admins."""
    post = partial(see, method="POST", patient=True)
    return [
        post(
            path="/v1/advice",
            handle=imagine,
            request=wire.Imagine,
            response=Card,
            summary="Advise on a cluster that does not exist yet",
        ),
        post(
            path=_INDEX + "/advice",
            handle=advise,
            request=wire.Advise,
            response=Card,
            summary="Advise on an index: shard or not, how, at what cost",
        ),
        post(
            path=_INDEX + "/cost",
            handle=cost,
            request=wire.Cost,
            response=CostReport,
            summary="Make up a month's bill, and split it over the tenants",
        ),
        see(
            method="GET",
            path=_INDEX + "/cost/history",
            handle=cost_history,
            patient=True,
            query=wire.AskCostHistory,
            response=CostHistory,
            summary="Tell what each of the last days cost, and whose cost it was",
        ),
        admin(
            method="POST",
            path=_INDEX + "/adopt",
            handle=adopt,
            action="index.adopt",
            patient=True,
            request=wire.Adopt,
            response=Adoption,
            summary="Make an existing index a shard, and its namespaces tenants",
        ),
    ]
