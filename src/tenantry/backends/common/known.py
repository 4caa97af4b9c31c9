"""Which namespaces are there, on engines where a missing one is like an empty one; without asking every time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from tenantry.errors import NotFound

#: How long a namespace is taken to be there without asking, seconds. A namespace that another process drops is one
#: that no route leads to any more, so this bounds what mistakes may do, not what moves do.
KNOWN_S = 10.0
MOST = 100_000


class Known:
    """Remembers what was found.

    Args:
        ask: whether a namespace is there.
    """

    def __init__(self, ask: Callable[[str], Awaitable[bool]]) -> None:
        self._ask = ask
        self._until: dict[str, float] = {}

    async def check(self, namespace: str) -> None:
        """Raises NotFound."""
        if self._until.get(namespace, 0.0) > time.monotonic():
            return
        if not await self._ask(namespace):
            self._until.pop(namespace, None)
            raise NotFound("namespace", namespace)
        self.add(namespace)

    def add(self, namespace: str) -> None:
        """It is there."""
        if len(self._until) >= MOST:
            self._until.clear()
        self._until[namespace] = time.monotonic() + KNOWN_S

    def forget(self, namespace: str) -> None:
        """It may be gone."""
        self._until.pop(namespace, None)
