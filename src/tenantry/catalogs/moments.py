"""Moments of a PostgreSQL catalog, and when routes last changed.

A moment is a transaction's number. A statement sees everything of the transactions below the lowest one that still
runs (``pg_snapshot_xmin``), so that number dates what it read. Each transaction that changes a route leaves its own
number in the row of the tenant's bucket; of several the highest stays. See
https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from tenantry.catalogs import schema
from tenantry.model.topology import Tenant, TenantState, bucket_of

_c = schema.route_changes
SEES = sa.cast(sa.cast(sa.func.pg_snapshot_xmin(sa.func.pg_current_snapshot()), sa.Text), sa.BigInteger).label("sees")
_OWN = sa.cast(sa.cast(sa.func.pg_current_xact_id(), sa.Text), sa.BigInteger)


async def note_change(connection: AsyncConnection, old: Tenant | None, new: Tenant) -> None:
    """Note that a route changed that may have been in use. The last lock that a transaction takes."""
    if old is None or old.state is TenantState.CREATING or old.route == new.route:
        return
    mine = insert(_c).values(bucket=bucket_of(new.index, new.name), moment=_OWN)
    highest = sa.func.greatest(_c.c.moment, mine.excluded.moment)
    await connection.execute(mine.on_conflict_do_update(index_elements=[_c.c.bucket], set_={"moment": highest}))


async def changes(connection: AsyncConnection) -> dict[int, int]:
    """Bucket to the moment of the last change in it."""
    return {row.bucket: row.moment for row in await connection.execute(sa.select(_c))}
