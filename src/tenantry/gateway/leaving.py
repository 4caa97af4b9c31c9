"""Work that ends when the client who waits for it goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Receive

from tenantry.gateway.body import Disconnected

T = TypeVar("T")


async def while_there(work: Awaitable[T], receive: Receive) -> T:
    """The result of ``work``. The request's body must have been read.

    Raises Disconnected, with the work cancelled and ended, when the client closes its connection first.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(gone(receive))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Disconnected
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def gone(receive: Receive) -> None:
    """Returns when the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        continue
