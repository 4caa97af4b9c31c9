"""The part of the catalog's contract about what processes counted; see `catalog_contract`."""

# ruff: noqa: D102, S101  (a test says in its name what holds, and asserts it)

from __future__ import annotations

import asyncio

from tenantry.ports import Catalog

BODY = bytes(range(256))


class MeasuresContract:
    """Slices of what processes counted."""

    async def test_slices_come_back_by_process_and_number(self, catalog: Catalog) -> None:
        await catalog.measures.put("b", {3: b"three", 2: BODY}, 2)
        await catalog.measures.put("a", {0: b""}, 0)
        found = await catalog.measures.read({})
        assert found == {"a": {0: b""}, "b": {2: BODY, 3: b"three"}}
        assert list(found) == ["a", "b"]
        assert list(found["b"]) == [2, 3]

    async def test_a_slice_is_replaced_and_older_ones_go(self, catalog: Catalog) -> None:
        await catalog.measures.put("a", {1: b"old", 2: b"begun"}, 1)
        await catalog.measures.put("b", {1: b"other"}, 1)
        await catalog.measures.put("a", {2: b"done", 3: b"new"}, 2)
        assert await catalog.measures.read({}) == {"a": {2: b"done", 3: b"new"}, "b": {1: b"other"}}
        await catalog.measures.put("a", {}, 3)
        assert (await catalog.measures.read({}))["a"] == {3: b"new"}

    async def test_what_is_known_is_not_read_again(self, catalog: Catalog) -> None:
        await catalog.measures.put("a", {1: b"1", 2: b"2"}, 1)
        await catalog.measures.put("b", {7: b"7"}, 7)
        assert await catalog.measures.read({"a": 1}) == {"a": {2: b"2"}, "b": {7: b"7"}}
        assert await catalog.measures.read({"a": 2**62, "b": 6}) == {"b": {7: b"7"}}
        assert await catalog.measures.read({"a": 2, "b": 7, "c": 0}) == {}

    async def test_a_process_is_forgotten_alone(self, catalog: Catalog) -> None:
        await catalog.measures.put("a", {1: b"1"}, 1)
        await catalog.measures.put("b", {1: b"1"}, 1)
        await catalog.measures.forget("a")
        await catalog.measures.forget("a")
        assert await catalog.measures.read({}) == {"b": {1: b"1"}}

    async def test_several_processes_put_at_once(self, catalog: Catalog) -> None:
        await asyncio.gather(*(catalog.measures.put(f"p{i}", {0: bytes([i])}, 0) for i in range(8)))
        assert await catalog.measures.read({}) == {f"p{i}": {0: bytes([i])} for i in range(8)}
