"""Lets a namespace's plain writes run side by side, and a read-and-write-back alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Gate:
    """Shared by many or held alone; whoever waits to be alone is not overtaken. Of one event loop."""

    def __init__(self) -> None:
        self._entry = asyncio.Lock()
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Beside others who share it."""
        async with self._entry:
            self._inside += 1
            self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Beside nobody."""
        async with self._entry:
            await self._empty.wait()
            yield


class Gates:
    """A gate for each name, for as long as somebody holds it."""

    def __init__(self) -> None:
        self._gates: WeakValueDictionary[str, Gate] = WeakValueDictionary()

    def of(self, name: str) -> Gate:
        """The gate of a name; keep it."""
        gate = self._gates.get(name)
        if gate is None:
            gate = self._gates[name] = Gate()
        return gate
