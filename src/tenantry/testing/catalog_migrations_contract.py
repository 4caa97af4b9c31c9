"""The part of the catalog's contract about migrations of tenants; see `catalog_contract`."""

# ruff: noqa: D102, S101  (a test says in its name what holds, and asserts it)

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tenantry.errors import AlreadyExists, Conflict, InvalidArgument, NotFound
from tenantry.model.migration import (
    Bill,
    Event,
    Item,
    ItemState,
    Migration,
    Options,
    Sample,
    State,
    Verdict,
    Wave,
)
from tenantry.model.topology import LogicalIndex, ShardState
from tenantry.ports import Catalog
from tenantry.testing.catalog_samples import INDEX, prepared


def migration_of(id: str = "m1", index: str = INDEX, **fields: Any) -> Migration:
    """A migration, with everything set."""
    verdict = Verdict(8.0, 3, 2, 0.5, 1.5, None, 2.0, ["r"], [])
    given: dict[str, Any] = {
        "created_at": 5.25,
        "options": Options(share=0.5, canaries=1, rate=2.5),
        "targets": ["s1", "s2"],
        "waves": [
            Wave(1, True, 1, 5.25, 6.0, 7.0, 8.0, Sample(3, 2, 1, {-5: 2}), verdict),
            Wave(2, False, 2),
        ],
        "sources": {"s0": ShardState.ACTIVE},
        "events": [Event(5.25, "begun é")],
        "before": Bill(None, None, "no price"),
    }
    return Migration(id=id, index=index, **(given | fields))


ITEMS = [
    Item("b", 1, "s0", "s1", 10, 100, 0.5, 0.1),
    Item("é", 2, "s0", "s2", 20, 200, 1.5, 0.2, ItemState.FAILED, "m", "n", 1.5, 2.5, 20, 3, 0.75, "why"),
    Item("a", 2, "s0", "s1", 20, 200, 1.5, 0.2),
]


class MigrationsContract:
    """Migrations, each saved only by who has seen it as it is."""

    async def test_migration_comes_back_with_its_tenants_in_order(self, catalog: Catalog) -> None:
        await prepared(catalog)
        made = migration_of()
        await catalog.migrations.begin(made, ITEMS)
        assert await catalog.migrations.get("m1") == made
        assert await catalog.migrations.items("m1") == [ITEMS[0], ITEMS[2], ITEMS[1]]
        assert await catalog.migrations.items("m2") == []
        with pytest.raises(NotFound):
            await catalog.migrations.get("m2")

    async def test_an_index_has_one_migration_at_a_time(self, catalog: Catalog) -> None:
        await prepared(catalog)
        await catalog.indexes.create(LogicalIndex("other", 3))
        await catalog.migrations.begin(migration_of(), ITEMS)
        with pytest.raises(AlreadyExists, match="m1"):
            await catalog.migrations.begin(migration_of("m2"), ITEMS)
        with pytest.raises(AlreadyExists):
            await catalog.migrations.begin(migration_of("m1", "other"), [])
        with pytest.raises(NotFound, match="nowhere"):
            await catalog.migrations.begin(migration_of("m3", "nowhere"), [])
        await catalog.migrations.begin(migration_of("m4", "other"), [])
        ended = migration_of(state=State.FINISHED, revision=1)
        await catalog.migrations.save(ended, [])
        await catalog.migrations.begin(migration_of("m2", created_at=9.0), ITEMS[:1])
        assert [each.id for each in await catalog.migrations.list(INDEX)] == ["m2", "m1"]
        assert [each.id for each in await catalog.migrations.list(open_only=True)] == ["m2", "m4"]
        assert [each.id for each in await catalog.migrations.list(limit=1)] == ["m2"]
        with pytest.raises(InvalidArgument):
            await catalog.migrations.list(limit=0)

    async def test_a_migration_is_saved_only_over_the_revision_before(self, catalog: Catalog) -> None:
        await prepared(catalog)
        await catalog.migrations.begin(migration_of(), ITEMS)
        moved = msgspec.structs.replace(ITEMS[0], state=ItemState.MOVED, pause_ms=2.0)
        paused = migration_of(state=State.PAUSED, reason="why", revision=1)
        await catalog.migrations.save(paused, [moved])
        assert await catalog.migrations.get("m1") == paused
        assert (await catalog.migrations.items("m1"))[0] == moved
        for revision in (1, 3):
            with pytest.raises(Conflict):
                await catalog.migrations.save(migration_of(revision=revision), [ITEMS[0]])
        assert (await catalog.migrations.items("m1"))[0] == moved
        assert await catalog.migrations.get("m1") == paused
        with pytest.raises(NotFound):
            await catalog.migrations.save(migration_of("m9", revision=1), [])

    async def test_of_many_savers_at_once_one_wins(self, catalog: Catalog) -> None:
        await prepared(catalog)
        await catalog.migrations.begin(migration_of(), ITEMS)
        saves = [catalog.migrations.save(migration_of(revision=1, reason=f"{n}"), []) for n in range(5)]
        found = await asyncio.gather(*saves, return_exceptions=True)
        assert sorted(type(each).__name__ for each in found) == ["Conflict"] * 4 + ["NoneType"]

    async def test_of_many_that_begin_at_once_one_wins(self, catalog: Catalog) -> None:
        await prepared(catalog)
        begun = [catalog.migrations.begin(migration_of(f"m{n}"), ITEMS) for n in range(5)]
        found = await asyncio.gather(*begun, return_exceptions=True)
        assert sorted(type(each).__name__ for each in found) == ["AlreadyExists"] * 4 + ["NoneType"]
        assert len(await catalog.migrations.list(INDEX)) == 1

    async def test_a_deleted_index_takes_its_migrations_along(self, catalog: Catalog) -> None:
        await prepared(catalog)
        await catalog.migrations.begin(migration_of(), ITEMS)
        await catalog.indexes.delete(INDEX)
        assert await catalog.migrations.list() == []
        assert await catalog.migrations.items("m1") == []
