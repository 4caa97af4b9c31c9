"""Server-sent events: answers that go on until they end, the client goes away, or the gateway stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from starlette.types import Receive, Send

from tenantry.errors import RequestError, TenantryError, Unavailable
from tenantry.gateway.leaving import gone

#: Streams at once; each holds a connection.
MOST = 64
#: A comment is sent that often when nothing happens, so that proxies keep the connection, seconds.
KEEP_ALIVE_S = 15.0
#: How often it is looked whether the key of a stream is still good, seconds.
ADMIT_S = 1.0
MEDIA_TYPE = b"text/event-stream"
_COMMENT = b": still here\n\n"


def event(name: str, number: int, data: Any) -> bytes:
    """One event: its name, its place in the stream, a struct as JSON."""
    return b"event: %s\nid: %d\ndata: %s\n\n" % (name.encode(), number, msgspec.json.encode(data))


class Streams:
    """The streams of one gateway."""

    def __init__(self) -> None:
        self._open: set[asyncio.Task[None]] = set()
        self._closed = False

    def close(self) -> None:
        """End every stream, and begin no other."""
        self._closed = True
        for task in self._open:
            task.cancel()

    def check(self) -> None:
        """Raises Unavailable when there are as many as may be, or the gateway stops."""
        if self._closed or len(self._open) >= MOST:
            raise Unavailable(f"the gateway has {len(self._open)} event streams open already; try again")

    async def send(
        self,
        events: AsyncIterator[bytes],
        headers: list[tuple[bytes, bytes]],
        receive: Receive,
        send: Send,
        admit: Callable[[], Awaitable[None]],
    ) -> None:
        """Send the head, then event after event. Returns when they end, the client goes away, `close` is called, or
        ``admit``, asked every second, raises: the key was revoked, or has ended."""
        head = [(b"content-type", MEDIA_TYPE), (b"cache-control", b"no-store"), *headers]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        sending = asyncio.create_task(_send_all(events, send))
        leaving = asyncio.create_task(gone(receive))
        ousting = asyncio.create_task(_refused(admit))
        self._open.add(sending)
        try:
            await asyncio.wait([sending, leaving, ousting], return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and not sending.cancelled():
                sending.result()
        finally:
            self._open.discard(sending)
            for task in (sending, leaving, ousting):
                task.cancel()
            await asyncio.gather(sending, leaving, ousting, return_exceptions=True)
        if not leaving.done() or leaving.cancelled():
            await send({"type": "http.response.body", "body": b""})


async def _send_all(events: AsyncIterator[bytes], send: Send) -> None:
    following = asyncio.ensure_future(anext(events, b""))
    try:
        while True:
            done, _ = await asyncio.wait([following], timeout=KEEP_ALIVE_S)
            chunk = following.result() if done else _COMMENT
            if not chunk:
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if done:
                following = asyncio.ensure_future(anext(events, b""))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await events.aclose()  # type: ignore[attr-defined]


async def _refused(admit: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(ADMIT_S)
        try:
            await admit()
        except RequestError:
            return
        except TenantryError:
            continue  # whether it was revoked cannot be found out now
