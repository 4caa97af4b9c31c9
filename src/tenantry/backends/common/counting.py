"""Sizes of all namespaces, of engines that count one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from tenantry.errors import NotFound
from tenantry.model.records import NamespaceStats

#: Namespaces that are counted at once.
ABREAST = 16


async def counted(names: Iterable[str], count: Callable[[str], Awaitable[int]]) -> dict[str, NamespaceStats]:
    """Namespace to its size; one that is dropped meanwhile is left out. Raises what ``count`` raises."""
    turn = asyncio.Semaphore(ABREAST)

    async def one(name: str) -> tuple[str, NamespaceStats] | None:
        async with turn:
            try:
                return name, NamespaceStats(await count(name))
            except NotFound:
                return None

    return dict(each for each in await asyncio.gather(*map(one, names)) if each is not None)


def total(sizes: dict[str, NamespaceStats]) -> NamespaceStats:
    """All of them together."""
    return NamespaceStats(sum(one.vectors for one in sizes.values()), sum(one.bytes for one in sizes.values()))
