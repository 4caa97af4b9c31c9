"""Sending many things: batch after batch, with a bar, and an account of what was done when one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from tenantry.cli.command import Session
from tenantry.cli.failures import ExitCode, Failure
from tenantry.cli.jsonl import Bad, Batch, Item, batches, blamed
from tenantry.cli.output import Progress, many
from tenantry.clock import SystemClock

T = TypeVar("T")

RETRIES = 4
FIRST_PAUSE_S = 0.5
BAD_SHOWN = 20


class Sender:
    """Sends batches to one path and counts.

    Args:
        name: field of the request that holds the items.
        noun: what they are called to people.
        answered: told of each batch's answer.
        keep_going: pass over bad lines instead of stopping at the first.
    """

    def __init__(
        self,
        session: Session,
        path: tuple[str, ...],
        *,
        name: str,
        noun: str,
        keep_going: bool,
        answered: Callable[[dict[str, Any]], None] = lambda answer: None,
    ) -> None:
        self._session = session
        self._path = path
        self._name = name
        self._noun = noun
        self._keep_going = keep_going
        self._answered = answered
        self._clock = SystemClock()
        self.sent = 0
        self.bad: list[Bad] = []

    async def send(self, found: Iterable[Item[Any] | Bad], bar: Progress, most: int, most_bytes: int) -> None:
        """Send everything. Raises Failure, which says how many were written before it."""
        try:
            for batch in batches(self._good(found), most, most_bytes):
                self._answered(await self._one(batch))
                self.sent += len(batch.items)
                bar.advance(0, f"{self.sent:,} {self._noun}")
        except Failure as failure:
            raise self._with_account(failure) from failure
        if self.bad:
            raise self._with_account(Failure(f"passed over {many(len(self.bad), 'bad line')}"))

    def _good(self, found: Iterable[Item[T] | Bad]) -> Iterator[Item[T]]:
        for one in found:
            if isinstance(one, Item):
                yield one
                continue
            if not self._keep_going:
                raise Failure(f"{one.source}: {one.reason}")
            self.bad.append(one)
            if len(self.bad) <= BAD_SHOWN:
                self._session.out.warn(f"{one.source}: {one.reason}")

    async def _one(self, batch: Batch[Any]) -> dict[str, Any]:
        pause_s = FIRST_PAUSE_S
        body = batch.body(self._name)
        for attempt in range(RETRIES):
            try:
                answer: dict[str, Any] = await self._session.api.post(*self._path, body=body)
                return answer
            except Failure as failure:
                if not _passing(failure) or attempt == RETRIES - 1:
                    raise self._located(failure, batch) from failure
            await self._clock.sleep(pause_s)
            pause_s *= 2
        raise AssertionError("the last attempt returns or raises")

    def _located(self, failure: Failure, batch: Batch[Any]) -> Failure:
        source, field = blamed(failure, batch)
        if source:
            _, _, said = failure.message.partition(": ")
            message = f"{source}: {field + ': ' if field else ''}{said or failure.message}"
        else:
            first, last = batch.items[0].source, batch.items[-1].source
            span = first if first == last else f"{first} to {last}"
            message = f"{failure.message} ({span})"
        return Failure(message, failure.hint, failure.exit_code, code=failure.code, field=failure.field)

    def _with_account(self, failure: Failure) -> Failure:
        done = f"{self.sent:,} {self._noun} before it are written" if not self._keep_going else ""
        if self._keep_going:
            done = f"{self.sent:,} {self._noun} are written"
        hint = f"{done}; repeating the command is safe" if self.sent else f"no {self._noun} were written"
        return Failure(
            failure.message,
            f"{failure.hint}; {hint}" if failure.hint else hint,
            failure.exit_code,
            code=failure.code,
            field=failure.field,
        )


def _passing(failure: Failure) -> bool:
    """Overload passes; a connection that cannot be made, a lock or a full disk does not pass within seconds."""
    return failure.exit_code is ExitCode.UNAVAILABLE and failure.code in ("UNAVAILABLE", "RATE_LIMITED")
