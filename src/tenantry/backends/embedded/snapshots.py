"""A namespace as it is at one moment: a read transaction of SQLite, held over all pages."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable
from contextlib import ExitStack, asynccontextmanager
from typing import TypeVar

from tenantry.backends.embedded.connections import Role
from tenantry.backends.embedded.engine import Engine
from tenantry.backends.embedded.namespace import Namespace
from tenantry.backends.embedded.stretches import STRETCH_ROWS, read_stretch
from tenantry.errors import NotFound, TenantryError
from tenantry.model.blocks import Block, block_of, joined

T = TypeVar("T")

#: The version of a namespace that was never written to.
EMPTY = "empty"


class HeldNamespace:
    """Implements `tenantry.ports.Snapshot`. Pages are read in workers that give way to others."""

    def __init__(
        self,
        engine: Engine,
        namespace: Namespace,
        dimension: int,
        connection: sqlite3.Connection | None,
        version: str | None,
    ) -> None:
        self.version = version
        self._engine = engine
        self._namespace = namespace
        self._dimension = dimension
        self._connection = connection

    async def page(self, cursor: str | None, limit: int) -> Block:
        """The next records."""
        if self._connection is None:
            return block_of([], self._dimension)
        reading = self._engine.in_background(self._read, self._connection, cursor, limit)
        return await _guarded(_to_the_end(reading), self._namespace)

    def _read(self, connection: sqlite3.Connection, cursor: str | None, limit: int) -> Block:
        parts: list[Block] = []
        count = 0
        while count <= limit:
            where, values = ("", []) if cursor is None else ("WHERE id > ?", [cursor])
            wanted = min(STRETCH_ROWS, limit + 1 - count)
            part = read_stretch(connection, where, values, "id", wanted, self._dimension)
            parts.append(Block(part.ids, part.matrix, part.metadata))
            count += len(part.ids)
            if len(part.ids) < wanted:
                return joined(parts)
            cursor = part.ids[-1]
        whole = joined(parts).part(0, limit)
        return Block(whole.ids, whole.matrix, whole.metadata, whole.ids[-1])


@asynccontextmanager
async def held(engine: Engine, namespace: Namespace, dimension: int) -> AsyncIterator[HeldNamespace]:
    """Hold a namespace as it is now."""
    if not namespace.written:
        yield HeldNamespace(engine, namespace, dimension, None, EMPTY)
        return
    stack = ExitStack()

    def begin() -> tuple[sqlite3.Connection, str | None]:
        connection = stack.enter_context(namespace.store.pool.use(namespace.store.path, Role.READER))
        connection.execute("BEGIN")
        return connection, namespace.store.version(connection)

    def end(connection: sqlite3.Connection) -> None:
        connection.execute("COMMIT")
        stack.close()

    try:
        before = namespace.changes
        connection, version = await _guarded(_to_the_end(engine.in_io(begin)), namespace)
        namespace.note_version(before, version)
        yield HeldNamespace(engine, namespace, dimension, connection, version)
        await _to_the_end(engine.in_io(end, connection))
    except BaseException as error:
        stack.__exit__(type(error), error, error.__traceback__)  # closes the connection, and with it the transaction
        raise


async def version_of(engine: Engine, namespace: Namespace) -> str | None:
    """Words for what the namespace holds: from memory, unless it was written since they were last said."""
    if not namespace.written:
        return EMPTY
    if (known := namespace.known_version()) is not None:
        return known

    def read() -> str | None:
        with namespace.store.pool.use(namespace.store.path, Role.READER) as connection:
            connection.execute("BEGIN")
            found = namespace.store.version(connection)
            connection.execute("COMMIT")
            return found

    before = namespace.changes
    version = await _guarded(engine.in_io(read), namespace)
    namespace.note_version(before, version)
    return version


async def _to_the_end(work: Awaitable[T]) -> T:
    """Wait for what a worker does, also when cancelled, and only then be cancelled: SQLite crashes the process when a
    connection is closed that is in use in another thread."""
    running = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not running.cancelled():
            running.exception()
        raise cancelled
    return running.result()


async def _guarded(reading: Awaitable[T], namespace: Namespace) -> T:
    """Whatever a drop beside it does to the file means that the namespace is gone."""
    try:
        return await reading
    except TenantryError:
        if namespace.dropped:
            raise NotFound("namespace", namespace.name) from None
        raise
