"""The native API's roll-ups."""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.cluster.rollups import RollupStatus
from tenantry.errors import InvalidArgument
from tenantry.gateway.native.wire import Body
from tenantry.gateway.table import Access, Call, Endpoint, Face

_PATH = "/v1/indexes/{index}/rollup"
#: Longest wait of one request, seconds.
WAIT_MOST_S = 600.0


class RollupOn(Body):
    """``shard``: an empty one; null: the one named rollup, made if need be. ``rebuild``: fill it anew. ``wait_s``: how
    long to wait until it is filled, at most 600."""

    shard: str | None = None
    rebuild: bool = False
    wait_s: float = 0.0


class RollupOff(msgspec.Struct, forbid_unknown_fields=True):
    """Query parameters: whether its shard goes from the registry too."""

    remove_shard: bool = False


class VerifyRollup(Body):
    """``heal``: copy tenants again in which something is wrong. ``wait_s``: how long to wait for what is written
    meanwhile, at most 600."""

    heal: bool = False
    wait_s: float = 60.0


class Compared(msgspec.Struct):
    """What a comparison found: counts of records; every tenant in which something is wrong, and some records."""

    index: str
    whole: bool
    tenants: int
    records: int
    missing: int
    extra: int
    different: int
    tenants_wrong: list[str]
    examples: list[str]


async def status(call: Call, _: None) -> RollupStatus:
    """How the roll-up is."""
    return await call.cluster.rollups.status(call.index)


async def switch_on(call: Call, asked: RollupOn) -> RollupStatus:
    """Begin to copy."""
    wait_s = _wait(asked.wait_s)
    return await call.cluster.rollups.on(call.index, asked.shard, rebuild=asked.rebuild, wait_s=wait_s)


async def switch_off(call: Call, asked: RollupOff) -> RollupStatus:
    """Drop the copies."""
    return await call.cluster.rollups.off(call.index, remove_shard=asked.remove_shard)


async def verify(call: Call, asked: VerifyRollup) -> Compared:
    """Compare every record with its copy."""
    found = await call.cluster.rollups.verify(call.index, heal=asked.heal, wait_s=_wait(asked.wait_s))
    values: dict[str, Any] = msgspec.structs.asdict(found)
    values |= {name: list(values[name]) for name in ("tenants_wrong", "examples")}
    return Compared(whole=found.whole, **values)


def routes(face: Face) -> list[Endpoint]:
    """The table."""
    return [
        Endpoint(
            face=face,
            method="GET",
            path=_PATH,
            handle=status,
            access=Access.SEE,
            response=RollupStatus,
            summary="Tell how the roll-up is",
        ),
        Endpoint(
            face=face,
            method="PUT",
            path=_PATH,
            handle=switch_on,
            access=Access.ADMIN,
            request=RollupOn,
            response=RollupStatus,
            patient=True,
            action="rollup.on",
            about={"shard": "shard"},
            summary="Switch the roll-up on",
        ),
        Endpoint(
            face=face,
            method="DELETE",
            path=_PATH,
            handle=switch_off,
            access=Access.ADMIN,
            query=RollupOff,
            response=RollupStatus,
            patient=True,
            action="rollup.off",
            summary="Switch the roll-up off, and drop its copies",
        ),
        Endpoint(
            face=face,
            method="POST",
            path=_PATH + "/verify",
            handle=verify,
            access=Access.CONTROL,
            request=VerifyRollup,
            response=Compared,
            patient=True,
            action="rollup.verify",
            summary="Compare the roll-up with the tenants' shards",
        ),
    ]


def _wait(given: float) -> float:
    if not 0 <= given <= WAIT_MOST_S:
        raise InvalidArgument("wait_s", given, f"a number of seconds from 0 to {WAIT_MOST_S:g}")
    return given
