"""What every `Catalog` must do, as a test class to subclass.

::

    class TestMyCatalog(CatalogContract):
        @pytest.fixture
        async def catalog(self):
            catalog = await MyCatalog.open(...)
            yield catalog
            await catalog.aclose()

The fixture gives an empty catalog. Needs pytest and pytest-asyncio in auto mode.
"""

# ruff: noqa: D102, S101  (a test says in its name what holds, and asserts it)

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tenantry.errors import AlreadyExists, InvalidArgument, NotFound, Refused
from tenantry.model.keys import ApiKey, Scope
from tenantry.model.records import Metric
from tenantry.model.topology import LogicalIndex, Place, Shard, ShardState
from tenantry.ports import Catalog
from tenantry.testing.catalog_audit_contract import AuditContract
from tenantry.testing.catalog_autopilot_contract import AutopilotContract
from tenantry.testing.catalog_kept_contract import KeptContract
from tenantry.testing.catalog_log_contract import LogsContract
from tenantry.testing.catalog_measures_contract import MeasuresContract
from tenantry.testing.catalog_migrations_contract import MigrationsContract
from tenantry.testing.catalog_moments_contract import MomentsContract
from tenantry.testing.catalog_moves_contract import MovesContract
from tenantry.testing.catalog_rollups_contract import RollupsContract
from tenantry.testing.catalog_samples import INDEX, buried, placed, prepared, rerouted
from tenantry.testing.catalog_tenants_contract import ListContract, PlaceContract, RouteContract
from tenantry.testing.catalog_usage_contract import PlanContract, UsageContract


class IndexContract:
    """Logical indexes."""

    async def test_index_comes_back_as_it_was_created(self, catalog: Catalog) -> None:
        made = LogicalIndex(
            "a", 1536, Metric.EUCLIDEAN, "ring", False, "local", True, {"team": "é", "%": ""}, created_at=1.25
        )
        await catalog.indexes.create(made)
        await catalog.indexes.create(LogicalIndex("B", 1))
        assert await catalog.indexes.get("a") == made
        assert [index.name for index in await catalog.indexes.list()] == ["B", "a"]
        with pytest.raises(AlreadyExists, match="index 'a'"):
            await catalog.indexes.create(made)
        with pytest.raises(NotFound):
            await catalog.indexes.get("A")

    async def test_index_update_replaces_what_is_mutable(self, catalog: Catalog) -> None:
        made = LogicalIndex("a", 3, Metric.DOTPRODUCT, created_at=7.0)
        await catalog.indexes.create(made)
        await catalog.indexes.update(
            LogicalIndex("a", 99, Metric.COSINE, "ring", False, "local", True, {"k": "v"}, created_at=9.0)
        )
        assert await catalog.indexes.get("a") == LogicalIndex(
            "a", 3, Metric.DOTPRODUCT, "ring", False, "local", True, {"k": "v"}, created_at=7.0
        )
        with pytest.raises(NotFound):
            await catalog.indexes.update(LogicalIndex("b", 3))

    async def test_index_goes_only_without_live_tenants_and_unprotected(self, catalog: Catalog) -> None:
        await prepared(catalog)
        tenant = await placed(catalog, "t", "s1")
        with pytest.raises(Refused, match="1 tenants"):
            await catalog.indexes.delete(INDEX)
        assert len(await catalog.shards.list(INDEX)) == 3
        await buried(catalog, tenant)
        await catalog.indexes.update(LogicalIndex(INDEX, 8, deletion_protection=True))
        with pytest.raises(Refused, match="protect"):
            await catalog.indexes.delete(INDEX)
        await catalog.indexes.update(LogicalIndex(INDEX, 8))
        await catalog.indexes.delete(INDEX)
        assert await catalog.indexes.list() == []
        assert await catalog.shards.list(INDEX) == []
        with pytest.raises(NotFound):
            await catalog.indexes.delete(INDEX)

    async def test_epochs_and_generations_outlive_the_index(self, catalog: Catalog) -> None:
        await prepared(catalog)
        gone = await buried(catalog, await placed(catalog, "t"))
        await catalog.indexes.delete(INDEX)
        await prepared(catalog)
        again = await placed(catalog, "t")
        assert again.route.epoch > gone.route.epoch
        assert again.route.place.namespace == "t~2"


class ShardContract:
    """The shard registry."""

    async def test_shard_comes_back_as_it_was_added_but_empty(self, catalog: Catalog) -> None:
        await prepared(catalog, 0)
        full = Shard(
            INDEX,
            "b",
            "pgvector",
            {"url": "x", "é": "%"},
            5,
            2**40,
            2.5,
            "eu",
            "hot",
            ShardState.READ_ONLY,
            77,
            created_at=9.5,
        )
        await catalog.shards.add(full)
        await catalog.shards.add(Shard(INDEX, "B", "embedded"))
        plain, back = await catalog.shards.list(INDEX)
        assert plain == Shard(INDEX, "B", "embedded")
        assert back == msgspec.structs.replace(full, tenants=0)
        with pytest.raises(AlreadyExists, match="shard 'b'"):
            await catalog.shards.add(full)
        with pytest.raises(NotFound, match="index 'other'"):
            await catalog.shards.add(Shard("other", "b", "embedded"))

    @pytest.mark.parametrize(
        "wrong", [{"weight": 0.0}, {"weight": float("nan")}, {"max_tenants": -1}, {"max_vectors": 2**63}]
    )
    async def test_senseless_limits_are_refused(self, catalog: Catalog, wrong: dict[str, float]) -> None:
        await prepared(catalog, 1)
        (before,) = await catalog.shards.list(INDEX)
        with pytest.raises(InvalidArgument, match=next(iter(wrong))):
            await catalog.shards.add(msgspec.structs.replace(before, name="new", **wrong))
        with pytest.raises(InvalidArgument, match=next(iter(wrong))):
            await catalog.shards.update(msgspec.structs.replace(before, **wrong))
        assert await catalog.shards.list(INDEX) == [before]

    async def test_update_keeps_backend_options_and_count(self, catalog: Catalog) -> None:
        await prepared(catalog, 0)
        await catalog.shards.add(Shard(INDEX, "s0", "embedded", {"path": "p"}, created_at=7.0))
        await placed(catalog, "t")
        wanted = Shard(INDEX, "s0", "other", {}, 3, 4, 5.0, "eu", "hot", ShardState.DRAINING, tenants=9, created_at=8.0)
        await catalog.shards.update(wanted)
        kept = {"backend": "embedded", "options": {"path": "p"}, "created_at": 7.0}
        expected = msgspec.structs.replace(wanted, tenants=1, **kept)
        assert await catalog.shards.list(INDEX) == [expected]
        with pytest.raises(NotFound):
            await catalog.shards.update(Shard(INDEX, "s9", "embedded"))

    async def test_a_shard_with_tenants_is_neither_retired_nor_removed(self, catalog: Catalog) -> None:
        await prepared(catalog, 2)
        tenant = await placed(catalog, "t")
        retired = msgspec.structs.replace((await catalog.shards.list(INDEX))[0], state=ShardState.RETIRED)
        for change in (
            catalog.shards.set_state(INDEX, "s0", ShardState.RETIRED),
            catalog.shards.update(retired),
            catalog.shards.remove(INDEX, "s0"),
        ):
            with pytest.raises(Refused, match="1 tenants"):
                await change
        await buried(catalog, tenant)
        await catalog.shards.set_state(INDEX, "s0", ShardState.RETIRED)
        await catalog.shards.remove(INDEX, "s0")
        for missing in (
            catalog.shards.set_state(INDEX, "s0", ShardState.ACTIVE),
            catalog.shards.remove(INDEX, "s0"),
        ):
            with pytest.raises(NotFound):
                await missing

    async def test_a_shard_with_a_part_in_a_move_stays(self, catalog: Catalog) -> None:
        await prepared(catalog, 2)
        tenant = await placed(catalog, "t")
        moving = await rerouted(catalog, tenant, tenant.route.place, other=Place("s1", "t~2"))
        with pytest.raises(Refused, match="move of tenant 't'"):
            await catalog.shards.remove(INDEX, "s1")
        await rerouted(catalog, moving, tenant.route.place)
        await catalog.shards.remove(INDEX, "s1")


class KeyContract:
    """API keys."""

    async def test_keys_come_back_newest_first(self, catalog: Catalog) -> None:
        admin = ApiKey("k1", "d1", Scope.ADMIN, label="é", created_at=1.0)
        bound = ApiKey("k2", "d2", Scope.TENANT, INDEX, "a", "app", 3.0, 99.5)
        later = ApiKey("k3", "d3", Scope.TENANT, INDEX, "b", "", 4.0)
        elsewhere = ApiKey("k4", "d4", Scope.TENANT, "other", "a", "", 2.0)
        for key in (admin, bound, later, elsewhere):
            await catalog.keys.add(key)
        assert await catalog.keys.get("k2") == bound
        assert await catalog.keys.list() == [later, bound, elsewhere, admin]
        assert await catalog.keys.list(INDEX) == [later, bound]
        assert await catalog.keys.list(INDEX, "a") == [bound]
        assert await catalog.keys.list(tenant="a") == [bound, elsewhere]
        with pytest.raises(AlreadyExists, match="key 'k1'"):
            await catalog.keys.add(admin)
        with pytest.raises(NotFound, match="key 'K1'"):
            await catalog.keys.get("K1")

    async def test_a_revoked_key_stays_revoked_as_of_the_first_time(self, catalog: Catalog) -> None:
        key = ApiKey("k", "d", Scope.ADMIN)
        await catalog.keys.add(key)
        await catalog.keys.revoke("k", 5.0)
        await catalog.keys.revoke("k", 9.0)
        assert await catalog.keys.get("k") == msgspec.structs.replace(key, revoked_at=5.0)
        with pytest.raises(NotFound):
            await catalog.keys.revoke("x", 1.0)

    async def test_a_key_takes_the_place_of_another(self, catalog: Catalog) -> None:
        old = ApiKey("k1", "d1", Scope.TENANT_READ, INDEX, "a", "app", 3.0, 99.5)
        new = ApiKey("k2", "d2", Scope.TENANT_READ, INDEX, "a", "app", 10.0, 200.0)
        await catalog.keys.add(old)
        ended = await catalog.keys.replace("k1", new, 12.0)
        assert ended == msgspec.structs.replace(old, expires_at=12.0, replaced_by="k2")
        assert await catalog.keys.get("k1") == ended
        assert await catalog.keys.get("k2") == new
        later = msgspec.structs.replace(new, id="k3", created_at=11.0)
        with pytest.raises(Refused, match="replaced already, by 'k2'"):
            await catalog.keys.replace("k1", later, 12.0)
        ended = await catalog.keys.replace("k2", later, 1_000.0)
        assert ended.expires_at == 200.0, "a rotation never prolongs a key"
        with pytest.raises(NotFound):
            await catalog.keys.replace("none", msgspec.structs.replace(new, id="k4"), 12.0)

    async def test_a_key_is_replaced_whole_or_not_at_all(self, catalog: Catalog) -> None:
        for id, revoked, ends in (("gone", 1.0, None), ("over", None, 5.0), ("taken", None, None)):
            await catalog.keys.add(ApiKey(id, "d", Scope.OPERATOR, created_at=0.5, expires_at=ends))
            if revoked is not None:
                await catalog.keys.revoke(id, revoked)
        before = await catalog.keys.list()
        new = ApiKey("new", "d", Scope.OPERATOR, created_at=6.0)
        for id in ("gone", "over"):
            with pytest.raises(Refused, match="cannot be rotated"):
                await catalog.keys.replace(id, new, 9.0)
        with pytest.raises(AlreadyExists):
            await catalog.keys.replace("taken", msgspec.structs.replace(new, id="gone"), 9.0)
        assert await catalog.keys.list() == before

    async def test_of_two_rotations_at_once_one_wins(self, catalog: Catalog) -> None:
        await catalog.keys.add(ApiKey("old", "d", Scope.ADMIN))
        new = [ApiKey(f"new{i}", "d", Scope.ADMIN, created_at=1.0) for i in range(4)]
        done = await asyncio.gather(*(catalog.keys.replace("old", one, 2.0) for one in new), return_exceptions=True)
        assert sum(isinstance(one, ApiKey) for one in done) == 1
        assert sum(isinstance(one, Refused) for one in done) == 3
        assert len(await catalog.keys.list()) == 2


class SettingContract:
    """Shared settings."""

    async def test_settings_hold_any_json(self, catalog: Catalog) -> None:
        assert await catalog.settings.get("a") is None
        values = {"n": None, "z": False, "s": "é\x00😀", "l": [1, 2.5, {"k": []}], "i": 2**53}
        for name, value in values.items():
            await catalog.settings.put(name, "before")
            await catalog.settings.put(name, value)
            assert await catalog.settings.get(name) == value
        assert await catalog.settings.all() == values

    async def test_put_if_absent_has_one_winner(self, catalog: Catalog) -> None:
        given = await asyncio.gather(*(catalog.settings.put_if_absent("secret", i) for i in range(12)))
        assert set(given) == {await catalog.settings.get("secret")}
        assert await catalog.settings.put_if_absent("secret", "late") == given[0]


class CatalogContract(
    IndexContract,
    ShardContract,
    PlaceContract,
    MomentsContract,
    RouteContract,
    ListContract,
    KeyContract,
    AuditContract,
    SettingContract,
    MovesContract,
    LogsContract,
    MeasuresContract,
    RollupsContract,
    AutopilotContract,
    PlanContract,
    UsageContract,
    MigrationsContract,
    KeptContract,
):
    """All of it. Subclass it with a fixture ``catalog``."""

    @pytest.mark.parametrize("name", ["a\x00b", "\ud800"], ids=["nul", "surrogate"])
    async def test_names_that_no_database_holds_are_refused(self, catalog: Catalog, name: str) -> None:
        await prepared(catalog, 1)
        for call in (
            catalog.indexes.create(LogicalIndex(name, 3)),
            catalog.shards.add(Shard(INDEX, name, "embedded")),
            placed(catalog, name),
            catalog.keys.add(ApiKey(name, "d", Scope.ADMIN)),
            catalog.settings.put(name, 1),
        ):
            with pytest.raises(InvalidArgument):
                await call
        for look in (
            catalog.tenants.get(INDEX, name),
            catalog.indexes.get(name),
            catalog.keys.get(name),
            catalog.shards.remove(INDEX, name),
        ):
            with pytest.raises((NotFound, InvalidArgument)):
                await look
        assert await catalog.tenants.list(INDEX) == []

    async def test_closing_twice_is_fine(self, catalog: Catalog) -> None:
        await catalog.settings.put("a", 1)
        await catalog.aclose()
        await catalog.aclose()
