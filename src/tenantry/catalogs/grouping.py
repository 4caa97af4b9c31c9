"""What comes while a transaction is under way goes into the next one together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from tenantry.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")

#: In one transaction at most.
TOGETHER = 64


class Grouped(Generic[T, R]):
    """Commits items in groups, in the order in which they come. An item whose caller is cancelled may be written or
    not.

    Args:
        commit: writes items in one transaction, and gives an answer to each.
    """

    def __init__(self, commit: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
        self._commit = commit
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._committing: asyncio.Task[None] | None = None

    async def add(self, item: T) -> R:
        """The item's answer, when it is committed. Raises what ``commit`` raises."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())
        return await answer

    async def aclose(self) -> None:
        """Wait until all is written that was given."""
        if self._committing is not None:
            await asyncio.wait([self._committing])

    async def _commit_all(self) -> None:
        group: Sequence[tuple[T, asyncio.Future[R]]] = ()
        try:
            while self._waiting:
                taken = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
                group = [one for one in taken if not one[1].done()]  # the others were cancelled
                if group:
                    await self._settle(group)
        finally:
            self._committing = None
            for _, answer in (*group, *self._waiting):
                answer.cancel()  # of those that have none: this task was cancelled
            self._waiting.clear()

    async def _settle(self, group: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._commit([item for item, _ in group])
        except Exception as error:
            if len(group) > 1 and not isinstance(error, Unavailable):
                for one in group:  # what is wrong with one of them is no trouble of the others
                    await self._settle([one])
                return
            for _, answer in group:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), found in zip(group, answers, strict=True):
            if not answer.done():
                answer.set_result(found)
