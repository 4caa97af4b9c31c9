"""What a backend must do that claims ``native_copy`` or ``warms``; part of `BackendContract`."""

# ruff: noqa: S101  (assertions are what a contract suite is made of)

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, cast

import numpy as np
import pytest

from tenantry.errors import NotFound
from tenantry.model.records import Query, Record
from tenantry.ports import Index, NativeCopy, VectorBackend, Warming
from tenantry.testing.backend_samples import UNUSUAL_IDS

WARM_WITHIN_S = 60.0


def records_of(backend: Any, ids: Sequence[str], seed: int, label: str) -> list[Record]:
    """Random records; every third one has no metadata."""
    made = np.random.default_rng(seed).standard_normal((len(ids), backend.dimension)).astype(np.float32)
    return [
        Record(key, row, {"of": label} if i % 3 else None) for i, (key, row) in enumerate(zip(ids, made, strict=True))
    ]


async def held(index: Index) -> dict[str, tuple[bytes, Any]]:
    """All that a namespace holds, fit to be compared."""
    records = (await index.scan(None, 1_000)).records
    return {record.id: (record.values.tobytes(), record.metadata or None) for record in records}


def expected(records: Sequence[Record]) -> dict[str, tuple[bytes, Any]]:
    """As `held`, of records."""
    return {record.id: (record.values.tobytes(), record.metadata) for record in records}


class CopyContract:
    """Two namespaces of one backend."""

    @pytest.fixture
    async def pair(self, backend: VectorBackend) -> tuple[Index, Index]:
        """A source and a target, both empty."""
        if not backend.features.native_copy:
            pytest.skip("the backend does not claim native_copy")
        await backend.create("source")
        await backend.create("target")
        return backend.index("source"), backend.index("target")

    async def copied(self, pair: tuple[Index, Index], limit: int, spared: Collection[str] = ()) -> int:
        """Copy all pages; returns how many records the pages claim."""
        source, target = pair
        cursor, total = None, 0
        while True:
            page = await cast(NativeCopy, target).copy_page(source, cursor, limit, spared)
            assert page.records <= limit
            assert page.bytes >= 4 * page.records
            total += page.records
            if page.cursor is None:
                return total
            assert cursor is None or page.cursor > cursor
            cursor = page.cursor

    @pytest.mark.parametrize("limit", [1, 7, 25, 100])
    async def test_a_copy_takes_over_every_record(self, backend: Any, pair: tuple[Index, Index], limit: int) -> None:
        """Exact values and metadata, in pages of any size."""
        records = records_of(backend, [f"r{i:02}" for i in range(25)], 1, "source")
        await pair[0].upsert(records)
        assert await self.copied(pair, limit) == 25
        assert await held(pair[1]) == expected(records) == await held(pair[0])

    @pytest.mark.parametrize("resident", [False, True])
    async def test_a_copy_replaces_what_is_there_but_for_what_is_spared(
        self, backend: Any, pair: tuple[Index, Index], resident: bool
    ) -> None:
        """And leaves alone what the source does not have; counts and queries agree with it, also when the target's
        rows were in memory."""
        source, target = pair
        old = records_of(backend, ["b", "c", "e", "x"], 2, "target")
        new = records_of(backend, ["a", "b", "c", "d"], 3, "source")
        await target.upsert(old)
        await source.upsert(new)
        if resident:
            await target.query(Query(old[0].values, 1))
        assert await self.copied(pair, 2, {"b", "d", "x", "absent"}) == 2
        wanted = expected([new[0], old[0], new[2], old[2], old[3]])
        assert await held(target) == wanted
        assert (await backend.stats("target")).vectors == len(wanted)
        hits = await target.query(Query(old[0].values, 100, include_values=True, include_metadata=True))
        assert all(hit.values is not None for hit in hits)
        assert {hit.id: (hit.values.tobytes(), hit.metadata or None) for hit in hits} == wanted  # type: ignore[union-attr]

    async def test_a_copy_may_be_repeated(self, backend: Any, pair: tuple[Index, Index]) -> None:
        """The second time changes nothing."""
        records = records_of(backend, [f"r{i:02}" for i in range(10)], 4, "source")
        await pair[0].upsert(records)
        for _ in range(2):
            await self.copied(pair, 4)
            assert await held(pair[1]) == expected(records)
            assert (await backend.stats("target")).vectors == 10

    async def test_unusual_ids_are_copied_and_spared(self, backend: Any, pair: tuple[Index, Index]) -> None:
        """Any id that can be stored."""
        records = records_of(backend, sorted(UNUSUAL_IDS), 5, "source")
        await pair[0].upsert(records)
        spared = {record.id for record in records[::2]}
        assert await self.copied(pair, 3, spared) == len(records) - len(spared)
        assert await held(pair[1]) == expected([record for record in records if record.id not in spared])

    async def test_of_an_empty_namespace_there_is_nothing_to_copy(self, pair: tuple[Index, Index]) -> None:
        """One page, without records."""
        assert await self.copied(pair, 10) == 0
        assert await held(pair[1]) == {}

    async def test_a_copy_of_a_dropped_namespace_says_so(self, backend: Any, pair: tuple[Index, Index]) -> None:
        """And the target stays as it is, fit for writes."""
        records = records_of(backend, ["a"], 6, "target")
        await pair[0].upsert(records_of(backend, ["b"], 7, "source"))
        await pair[1].upsert(records)
        await backend.drop("source")
        with pytest.raises(NotFound):
            await self.copied(pair, 10)
        assert await held(pair[1]) == expected(records)
        await pair[1].upsert(records)

    async def test_a_copy_beside_writes_holds_no_half_record(self, backend: Any, pair: tuple[Index, Index]) -> None:
        """Each record is as it was at one moment, and writes to both sides go on."""
        ids = [f"r{i:02}" for i in range(40)]
        versions = [records_of(backend, ids, seed, str(seed)) for seed in range(10)]
        await pair[0].upsert(versions[0])

        async def overwrite() -> None:
            for version in versions[1:]:
                await pair[0].upsert(version)
                await pair[1].upsert([Record("other", version[0].values)])

        _, copied = await asyncio.gather(overwrite(), self.copied(pair, 5))
        assert copied == 40
        found = await held(pair[1])
        del found["other"]
        known = [expected(version) for version in versions]
        assert set(found) == set(ids)
        assert all(any(version[key] == value for version in known) for key, value in found.items())

    async def test_warming_comes_to_an_end(self, backend: Any) -> None:
        """Of an empty namespace as of one with records, whose answers do not change by it."""
        if not backend.features.warms:
            pytest.skip("the backend does not claim warms")
        await backend.create("cold")
        await backend.create("like")
        index, like = backend.index("cold"), backend.index("like")
        records = records_of(backend, [f"r{i:03}" for i in range(500)], 8, "cold")
        for some in ([], records):
            if some:
                await index.upsert(some)
                await like.upsert(some[:300])
                await cast(Warming, like).warm()
            await cast(Warming, index).warm(like)
            async with asyncio.timeout(WARM_WITHIN_S):
                while not await cast(Warming, index).is_warm():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        assert len(await index.query(Query(records[7].values, 1_000))) == len(records)
