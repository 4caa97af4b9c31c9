"""The part of the catalog's contract about the record of the auto-pilot; see `catalog_contract`."""

# ruff: noqa: D102, S101  (a test says in its name what holds, and asserts it)

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tenantry.errors import Conflict, InvalidArgument, NotFound
from tenantry.model.autopilot import Kind, Outcome, PilotEntry
from tenantry.ports import Catalog

WHOLE = PilotEntry(
    seq=1,
    at=10.5,
    index="a",
    kind=Kind.MOVE,
    why="é",
    warning="uneven-vectors/s",
    tenant="t",
    source="s",
    target="u",
    vectors=3,
    bytes=2**40,
    cost=0.25,
    move="m",
    outcome=Outcome.BEGUN,
    error_rate=0.01,
    p95_ms=12.5,
)


def entry(seq: int, at: float = 0.0, index: str = "a") -> PilotEntry:
    """A short one."""
    return PilotEntry(seq=seq, at=at, index=index, kind=Kind.WAIT, why=f"number {seq}")


class AutopilotContract:
    """The record of the auto-pilot."""

    async def test_entries_come_back_the_newest_first(self, catalog: Catalog) -> None:
        assert await catalog.autopilot.list(limit=1) == []
        await catalog.autopilot.append(WHOLE)
        for seq in (2, 3, 4):
            await catalog.autopilot.append(entry(seq, 20.0 + seq, "b" if seq == 3 else "a"))
        assert await catalog.autopilot.list(limit=9) == [
            entry(4, 24.0), entry(3, 23.0, "b"), entry(2, 22.0), WHOLE
        ]  # fmt: skip
        assert [one.seq for one in await catalog.autopilot.list(limit=2)] == [4, 3]
        assert [one.seq for one in await catalog.autopilot.list(limit=2, before=3)] == [2, 1]
        assert [one.seq for one in await catalog.autopilot.list(limit=9, index="a")] == [4, 2, 1]
        assert [one.seq for one in await catalog.autopilot.list(limit=9, since=22.0)] == [4, 3, 2]
        with pytest.raises(InvalidArgument, match="limit"):
            await catalog.autopilot.list(limit=0)

    async def test_an_entry_goes_on_from_the_last_or_fails(self, catalog: Catalog) -> None:
        with pytest.raises(Conflict):
            await catalog.autopilot.append(entry(2))
        await catalog.autopilot.append(entry(1))
        for seq in (0, 1, 3):
            with pytest.raises(Conflict):
                await catalog.autopilot.append(entry(seq))
        await catalog.autopilot.append(entry(2))
        assert [one.seq for one in await catalog.autopilot.list(limit=9)] == [2, 1]

    async def test_of_several_at_once_one_goes_on(self, catalog: Catalog) -> None:
        await catalog.autopilot.append(entry(1))
        tried = [catalog.autopilot.append(entry(2, float(n))) for n in range(6)]
        done = await asyncio.gather(*tried, return_exceptions=True)
        assert [one for one in done if one is not None and not isinstance(one, Conflict)] == []
        assert sum(one is None for one in done) == 1
        assert len(await catalog.autopilot.list(limit=9)) == 2

    async def test_an_entry_is_settled_in_its_place(self, catalog: Catalog) -> None:
        await catalog.autopilot.append(WHOLE)
        await catalog.autopilot.append(entry(2))
        moved = msgspec.structs.replace(WHOLE, outcome=Outcome.MOVED)
        await catalog.autopilot.settle(moved)
        assert await catalog.autopilot.list(limit=9) == [entry(2), moved]
        with pytest.raises(NotFound, match="entry of the auto-pilot"):
            await catalog.autopilot.settle(entry(3))

    async def test_old_entries_go_and_numbers_go_on(self, catalog: Catalog) -> None:
        for seq in range(1, 7):
            await catalog.autopilot.append(entry(seq, 10.0 * seq))
        assert await catalog.autopilot.prune(4, 0.0) == 2
        assert await catalog.autopilot.prune(4, 0.0) == 0
        assert [one.seq for one in await catalog.autopilot.list(limit=9)] == [6, 5, 4, 3]
        assert await catalog.autopilot.prune(9, 1e9) == 3
        assert [one.seq for one in await catalog.autopilot.list(limit=9)] == [6]
        await catalog.autopilot.append(entry(7))
