"""Moves in SQL, each saved with its tenant's route.

Locks are taken in the order that `tenantry.catalogs.occupancy` names: the lease, the tenant, the move, then shards by
name. A lease is locked for sharing: a claim of it waits until the step is saved, other steps do not.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tenantry.catalogs import rows, schema
from tenantry.catalogs.leases import hold
from tenantry.catalogs.occupancy import Occupancy
from tenantry.catalogs.rules import begun, check_wished, merged, retired, saved, stepped
from tenantry.catalogs.store import Store
from tenantry.errors import AlreadyExists, Conflict, InvalidArgument, NotFound
from tenantry.model.moves import NEXT, Move, Wish, check_wish
from tenantry.model.topology import Tenant, TenantState

_t = schema.moves
#: Phases of moves that have not ended, as the column says them.
_OPEN = _t.c.phase.in_([phase.value for phase, following in NEXT.items() if following])


class SqlMoves:
    """`tenantry.ports.MoveCatalog` in SQL."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tenants = Occupancy(store)

    async def begin(self, move: Move, expected_epoch: int) -> Tenant:
        """Record a new move (phase PREPARE) with its route; of any number at once, only as many succeed as the target
        has room for. Returns the tenant as it is now.

        Raises:
            InvalidArgument: the move is not in phase PREPARE.
            AlreadyExists: a move of this tenant is running, or one has this id.
            NotFound: no such tenant.
            Refused: the tenant is neither active nor suspended.
            Conflict: the tenant has another epoch or place; or the target is gone, not active, full (of tenants, or of
                what they are expected to hold) or dedicated to another.
        """
        async with self._store.write() as connection:
            tenant = await self._tenants.find(connection, move.index, move.tenant)
            if tenant is None or tenant.state is TenantState.DELETED:
                raise NotFound("tenant", move.tenant)
            running = await connection.scalar(
                sa.select(_t.c.id).where(_t.c.index_name == move.index, _t.c.tenant == move.tenant, _OPEN).limit(1)
            )
            if running is not None:
                raise AlreadyExists("move of tenant", move.tenant, f"see `tenantry moves show {running}`")
            new = begun(tenant, move, expected_epoch)
            await self._tenants.save(connection, new)
            if not await self._store.insert_if_absent(connection, _t, rows.move_values(move)):
                raise AlreadyExists("move", move.id)
            await self._tenants.follow(connection, tenant, new, room_on=move.target.shard)
        return new

    async def get(self, id: str) -> Move:
        """Raises NotFound."""
        async with self._store.read() as connection:
            row = (await connection.execute(sa.select(_t).where(_t.c.id == id))).one_or_none()
        if row is None:
            raise NotFound("move", id)
        return self._move_of(row)

    async def list(
        self,
        index: str | None = None,
        *,
        open_only: bool = False,
        tenant: str | None = None,
        limit: int = 100,
        before: Move | None = None,
    ) -> list[Move]:
        """Newest first (created_at, then id, both descending); go on with ``before`` = the last one seen.
        Raises InvalidArgument (limit)."""
        if limit < 1:
            raise InvalidArgument("limit", limit, "1 or more")
        query = sa.select(_t).order_by(_t.c.created_at.desc(), _t.c.id.desc()).limit(limit)
        if index is not None:
            query = query.where(_t.c.index_name == index)
        if tenant is not None:
            query = query.where(_t.c.tenant == tenant)
        if open_only:
            query = query.where(_OPEN)
        if before is not None:
            same = sa.and_(_t.c.created_at == before.created_at, _t.c.id < before.id)
            query = query.where(_t.c.created_at <= before.created_at, sa.or_(_t.c.created_at < before.created_at, same))
        async with self._store.read() as connection:
            found = (await connection.execute(query)).all()
        return [self._move_of(row) for row in found]

    async def set_wish(self, id: str, wish: Wish) -> Move:
        """Change what is wanted. The same wish again is harmless. Raises NotFound, Refused."""
        async with self._store.write() as connection:
            move = await self._locked(connection, id)
            check_wish(move, wish)
            await connection.execute(sa.update(_t).where(_t.c.id == id).values(wish=wish.value))
        return msgspec.structs.replace(move, wish=wish)

    async def advance(self, move: Move, fence: int, *, head: int | None = None) -> tuple[Move, Tenant]:
        """Save a move in its new phase, and the tenant's route for it, in one transaction. The route is written only
        when it differs from the present one in more than the epoch. See `tenantry.ports.MoveCatalog.advance`.

        Raises:
            Conflict: the fence is not the lease's, the log went on, the wish forbids this step, or the tenant's route
                is not of this move.
            NotFound: no such move; or the tenant was deleted, and the phase is not an ended one.
        """
        async with self._store.write() as connection:
            await hold(connection, move.lease, fence)
            row = await self._tenants.row(connection, move.index, move.tenant)
            stored = await self._locked(connection, move.id)
            if row is None:
                raise NotFound("tenant", move.tenant)
            tenant = self._tenants.tenant_of(row)
            move = merged(stored, move)
            check_wished(move)
            new = stepped(tenant, move)
            if new is not None and head is not None and row.log_head != head:
                raise Conflict(f"the log of tenant {move.tenant!r} went on: it ends at {row.log_head}, not at {head}")
            await self._write(connection, move)
            if new is None:
                return move, tenant
            if new is not tenant:
                await self._tenants.save(connection, new)
                await self._tenants.follow(connection, tenant, new)
            if (copy := retired(stored, move)) is not None:
                await self._store.insert_if_absent(connection, schema.copies, rows.copy_values(copy))
        return move, new

    async def save(self, move: Move, fence: int) -> None:
        """Save marks, progress, proof and error within a phase; marks never go back. A save that comes after a step
        brings its marks only. Raises Conflict (fence), NotFound."""
        async with self._store.write() as connection:
            await hold(connection, move.lease, fence)
            await self._write(connection, saved(await self._locked(connection, move.id), move))

    # ---------------------------------------------------------------------- inside a transaction

    async def _locked(self, connection: AsyncConnection, id: str) -> Move:
        row = (await connection.execute(sa.select(_t).where(_t.c.id == id).with_for_update())).one_or_none()
        if row is None:
            raise NotFound("move", id)
        return self._move_of(row)

    async def _write(self, connection: AsyncConnection, move: Move) -> None:
        await connection.execute(sa.update(_t).where(_t.c.id == move.id).values(**rows.move_values(move)))

    def _move_of(self, row: rows.Row) -> Move:
        with rows.checked(self._store.where, self._store.recovery, f"move {row.id!r}"):
            return rows.move_of(row)


async def open_on(connection: AsyncConnection, index: str, shard: str | None = None) -> str | None:
    """A tenant of the index whose move has not ended, with a side on the shard if one is given; None when there
    is none."""
    query = sa.select(_t.c.tenant).where(_t.c.index_name == index, _OPEN).limit(1)
    if shard is not None:
        query = query.where(sa.or_(_t.c.source_shard == shard, _t.c.target_shard == shard))
    found: str | None = await connection.scalar(query)
    return found
