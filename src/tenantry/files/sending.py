"""Sends records of one tenant in batches, without those that are refused one by one."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence

import msgspec

from tenantry.files.importer import Refusal
from tenantry.files.rows import Problem
from tenantry.model.records import Record

#: How requests name a record in their errors: the library, and the native API.
_ITEM = re.compile(r"^(?:vectors|records)\[(\d+)\](?:\.(.+?))?(?:\[\d+\])?$")


class Objection(msgspec.Struct, frozen=True):
    """A batch was refused: the field that is wrong, and the error."""

    field: str
    error: Exception


async def send_all(
    records: Sequence[Record],
    batches: Callable[[Sequence[Record]], Iterator[list[Record]]],
    send: Callable[[list[Record]], Awaitable[Objection | None]],
) -> list[Refusal]:
    """Send all in their order; which were refused. A batch with a record that is refused is sent again without it.

    Raises the error of a refused batch that names no record, and whatever ``send`` raises.
    """
    refused: list[Refusal] = []
    start = 0
    for batch in batches(records):
        places = list(range(start, start + len(batch)))
        start += len(batch)
        left = list(batch)
        while left and (objection := await send(left)) is not None:
            match = _ITEM.match(objection.field)
            if match is None or int(match[1]) >= len(left):
                raise objection.error
            place = int(match[1])
            field = match[2] or ""
            reason = str(objection.error).partition(f"[{place}]")[2].lstrip(".: ")
            refused.append(Refusal(places.pop(place), Problem(field, reason or str(objection.error))))
            del left[place]
    return refused
