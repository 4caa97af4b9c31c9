"""What is due to be copied into roll-ups: appended within the transaction of whoever changes a tenant."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tenantry.catalogs import schema

_t = schema.rollups
_due = schema.rollup_due


async def append_due(
    connection: AsyncConnection,
    index: str,
    changed: Mapping[str, Collection[str] | None],
    generation: int | None = None,
) -> bool:
    """Make records (None: all) of these tenants due; False, and nothing done, when there is no roll-up, or not of that
    generation. Its row stays locked until the transaction ends, so places become visible in their order."""
    this = [_t.c.index_name == index]
    if generation is not None:
        this.append(_t.c.generation == generation)
    step = sa.update(_t).where(*this).values(head=_t.c.head + len(changed)).returning(_t.c.head)
    head: int | None = await connection.scalar(step)
    if head is None:
        return False
    rows = [
        {"index_name": index, "seq": seq, "tenant": tenant, "body": _body(ids)}
        for seq, (tenant, ids) in enumerate(changed.items(), start=head - len(changed) + 1)
    ]
    if rows:
        await connection.execute(sa.insert(_due), rows)
    return True


async def rollup_on(connection: AsyncConnection, index: str, shard: str) -> bool:
    """Whether a shard holds a roll-up."""
    query = sa.select(_t.c.generation).where(_t.c.index_name == index, _t.c.shard == shard)
    return await connection.scalar(query) is not None


def _body(ids: Collection[str] | None) -> bytes:
    return msgspec.json.encode(None if ids is None else list(ids))
