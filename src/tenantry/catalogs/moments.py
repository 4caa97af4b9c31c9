"""Moments of a PostgreSQL catalog, and when routes last changed.

A moment is a transaction's number. A statement sees everything of the transactions below the lowest one that still
runs (``pg_snapshot_xmin``), so that number dates what it read. Each transaction that changes a route leaves its own
number in the row of the tenant's bucket; of several the highest stays. See
https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
"""

from __future__ import annotations

import hashlib
import secrets

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from tenantry.catalogs import schema
from tenantry.catalogs.settings import SqlSettings
from tenantry.catalogs.store import Store
from tenantry.model.topology import HISTORY, Tenant, TenantState, bucket_of

_c = schema.route_changes
#: Of a new server, a new database and a new timeline after a fail-over or a recovery each: one that was not there.
_LIFE = """
SELECT (SELECT oid FROM pg_database WHERE datname = current_database()),
       CASE WHEN has_function_privilege('pg_control_system()', 'execute')
            THEN (SELECT system_identifier FROM pg_control_system()) END,
       CASE WHEN has_function_privilege('pg_control_checkpoint()', 'execute')
            THEN (SELECT timeline_id FROM pg_control_checkpoint()) END
"""
SEES = sa.cast(sa.cast(sa.func.pg_snapshot_xmin(sa.func.pg_current_snapshot()), sa.Text), sa.BigInteger).label("sees")
_OWN = sa.cast(sa.cast(sa.func.pg_current_xact_id(), sa.Text), sa.BigInteger)


async def note_change(connection: AsyncConnection, old: Tenant | None, new: Tenant) -> None:
    """Note that a route changed that may have been in use. The last lock that a transaction takes."""
    if old is None or old.state is TenantState.CREATING or old.route == new.route:
        return
    mine = insert(_c).values(bucket=bucket_of(new.index, new.name), moment=_OWN)
    highest = sa.func.greatest(_c.c.moment, mine.excluded.moment)
    await connection.execute(mine.on_conflict_do_update(index_elements=[_c.c.bucket], set_={"moment": highest}))


async def history_of(store: Store) -> str:
    """Names the catalog and the history to which its moments belong: those of another one mean nothing here, and a
    restored or failed-over database goes through some of its numbers again. 16 hexadecimal digits; the part before
    the dash is the catalog's for good."""
    own = await SqlSettings(store).put_if_absent(HISTORY, secrets.token_hex(4))
    if store.file:
        return f"{own}-"
    async with store.read() as connection:
        row = (await connection.execute(sa.text(_LIFE))).one()
    life = "/".join(str(value) for value in row)
    return f"{own}-{hashlib.blake2b(life.encode(), digest_size=4).hexdigest()}"


async def changes(connection: AsyncConnection) -> dict[int, int]:
    """Bucket to the moment of the last change in it."""
    return {row.bucket: row.moment for row in await connection.execute(sa.select(_c))}
