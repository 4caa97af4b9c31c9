"""Events by ``LISTEN`` and ``NOTIFY``, through the database of the catalog.

Needs connections of its own to the server: a pooler that gives a connection to another client after each transaction
(PgBouncer in transaction mode) loses what is listened for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
from psycopg.rows import TupleRow

from tenantry.errors import Unavailable
from tenantry.model.events import Event, decode_event, encode_event

CHANNEL = "tenantry"
CONNECT_S = 5
#: A connection that says nothing for so long is asked whether it is still there, seconds.
QUIET_S = 10.0
PUBLISH_S = 2.0
#: PostgreSQL takes payloads below 8,000 bytes.
MOST_BYTES = 7_999


class PostgresFeed:
    """Implements `EventFeed`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._speaking: psycopg.AsyncConnection[TupleRow] | None = None

    async def publish(self, event: Event) -> None:
        """Tell whoever listens. Raises Unavailable."""
        text = encode_event(event)
        if len(text.encode()) > MOST_BYTES:
            return
        try:
            async with asyncio.timeout(PUBLISH_S):
                if self._speaking is None:
                    self._speaking = await self._connect()
                await self._speaking.execute("SELECT pg_notify(%s, %s)", [CHANNEL, text])
        except (psycopg.Error, OSError, TimeoutError) as error:
            await self._hang_up()
            raise Unavailable(f"the catalog's database cannot pass events on: {error}") from error

    async def follow(self, heard: Callable[[Event], None], missed: Callable[[], None]) -> None:
        """Listen until the connection breaks. Raises Unavailable."""
        try:
            async with await self._connect() as connection:
                await connection.execute(f"LISTEN {CHANNEL}".encode())
                missed()
                while True:
                    async for told in connection.notifies(timeout=QUIET_S):
                        event = decode_event(told.payload)
                        if event is not None:
                            heard(event)
                    async with asyncio.timeout(CONNECT_S):
                        await connection.execute("SELECT 1")
        except (psycopg.Error, OSError, TimeoutError) as error:
            raise Unavailable(f"the catalog's database cannot be listened to: {error}") from error

    async def aclose(self) -> None:
        """Close the connection that speaks; safe to call twice."""
        await self._hang_up()

    async def _connect(self) -> psycopg.AsyncConnection[TupleRow]:
        return await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=CONNECT_S, application_name="tenantry-events"
        )

    async def _hang_up(self) -> None:
        connection, self._speaking = self._speaking, None
        if connection is not None:
            await connection.close()
