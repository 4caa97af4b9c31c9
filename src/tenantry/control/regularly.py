"""Doing something again and again, as long as a process serves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tenantry.errors import TenantryError
from tenantry.ports import Clock


class Regularly:
    """Rounds of some work with pauses between them. A round that fails is told of, and the next one comes all the same.

    Args:
        every_s: pause between rounds, seconds; 0: there are none.
        work: one round.
        failed: is told what a round failed with.
        at_once: the first round comes before the first pause.
    """

    def __init__(
        self,
        clock: Clock,
        every_s: float,
        work: Callable[[], Awaitable[object]],
        failed: Callable[[TenantryError], None],
        *,
        at_once: bool = False,
    ) -> None:
        self._clock = clock
        self._every_s = every_s
        self._work = work
        self._failed = failed
        self._at_once = at_once
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on. Needs a running event loop; safe to call twice."""
        if self._task is None and self._every_s > 0:
            self._task = asyncio.create_task(self._run())

    async def aclose(self) -> bool:
        """Stop, in the middle of a round too; safe to call twice. Whether it was running."""
        task, self._task = self._task, None
        if task is None:
            return False
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return True

    async def _run(self) -> None:
        if not self._at_once:
            await self._clock.sleep(self._every_s)
        while True:
            try:
                await self._work()
            except TenantryError as error:
                self._failed(error)
            await self._clock.sleep(self._every_s)
