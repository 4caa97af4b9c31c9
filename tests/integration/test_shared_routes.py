"""Routes that gateways share in a real Redis, over a real PostgreSQL: when they are used, and how they are healed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psycopg
import pytest
import redis.asyncio

from tenantry.caches.redis import RedisRoutes
from tenantry.catalogs import open_catalog
from tenantry.cluster import Cluster
from tenantry.errors import Refused
from tenantry.model.topology import DatedRoute, Place, TenantState, bucket_of
from tenantry.settings import Settings
from tenantry.testing.catalog_samples import INDEX, placed, prepared
from tenantry.testing.redis_server import RedisServer
from tenantry.testing.servers import PostgresServer, started
from tenantry.wiring import init_cluster, open_cluster

DIMENSION = 8
ONE = np.ones(DIMENSION, np.float32)


class Count:
    """Telemetry that counts look-ups."""

    def __init__(self) -> None:
        self.sources: dict[str, int] = {}

    def operation(self, kind: str, index: str, shard: str, seconds: float, ok: bool, tenant: str | None = None) -> None:
        pass

    def lookup(self, source: str) -> None:
        self.sources[source] = self.sources.get(source, 0) + 1


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with started(RedisServer.start) as server:
        yield server


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(server.url)
    await client.flushall()
    yield client
    await client.aclose()


class Fleet:
    """Processes of one cluster, in this one; shards on PostgreSQL."""

    def __init__(self, stack: AsyncExitStack, settings: dict[str, Any]) -> None:
        self._stack = stack
        self._settings = settings
        self.counts: list[Count] = []

    async def first(self) -> Cluster:
        cluster = await init_cluster(Settings(**self._settings), dimension=DIMENSION, shards=0)
        await self._stack.enter_async_context(cluster)
        for name in ("pg-0", "pg-1"):
            await cluster.shards.add(name, backend="pgvector", options={"url_env": "SHARDS_URL"})
        return cluster

    async def close(self) -> None:
        """All processes end."""
        await self._stack.pop_all().aclose()

    async def another(self) -> tuple[Cluster, Count]:
        count = Count()
        cluster = await open_cluster(Settings(**self._settings), telemetry=count)
        await self._stack.enter_async_context(cluster)
        return cluster, count


@pytest.fixture
async def fleet(
    tmp_path: Path, postgres_url: str, server: RedisServer, client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Fleet]:
    monkeypatch.setenv("SHARDS_URL", postgres_url)
    monkeypatch.setattr("tenantry.caches.redis.CALL_S", 10.0)  # no test here has a Redis that is late
    settings = {
        "data": tmp_path,
        "catalog_url": postgres_url,
        "redis_url": server.url,
        "lease_s": 30.0,
        "route_cache_size": 1_000,
    }
    async with AsyncExitStack() as stack:
        yield Fleet(stack, settings)


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


async def filled(cluster: Cluster, *names: str) -> None:
    for name in names:
        await cluster.tenant(name).upsert([("a", ONE, {"of": name})])


async def kept(client: redis.asyncio.Redis, name: str) -> bool:
    return bool(await client.keys(f"tenantry:*:route:default:{name}"))


def prefix_of(cluster: Cluster) -> str:
    store = cluster._shared.store
    assert isinstance(store, RedisRoutes)
    return store.prefix


async def test_a_route_that_one_gateway_read_serves_the_next(fleet: Fleet, client: redis.asyncio.Redis) -> None:
    first = await fleet.first()
    await filled(first, "acme")
    second, counted = await fleet.another()
    assert len(await second.tenant("acme").fetch(["a"])) == 1
    assert counted.sources == {"catalog": 1}
    await until(lambda: kept(client, "acme"))
    third, counted = await fleet.another()
    assert len(await third.tenant("acme").fetch(["a"])) == 1
    assert len(await third.tenant("acme").fetch(["a"])) == 1
    assert counted.sources == {"shared": 1, "cache": 1}


async def test_one_that_was_read_before_the_route_changed_is_not_used(
    fleet: Fleet, client: redis.asyncio.Redis
) -> None:
    first = await fleet.first()
    await filled(first, "acme")
    second, _ = await fleet.another()
    await second.tenant("acme").fetch(["a"])
    await until(lambda: kept(client, "acme"))
    key = f"{prefix_of(first)}:route:default:acme"
    old = await client.get(key)
    await first.tenants.suspend("acme")
    await until(lambda: _gone(client, "acme"))
    await client.set(key, old)  # a replica that was behind, a writer that stood still
    for _ in range(2):
        late, counted = await fleet.another()
        with pytest.raises(Refused, match="suspended"):
            await late.tenant("acme").fetch(["a"])
        assert counted.sources == {"catalog": 1}
    with pytest.raises(Refused, match="suspended"):
        await second.tenant("acme").fetch(["a"])


async def _gone(client: redis.asyncio.Redis, name: str) -> bool:
    return not await kept(client, name)


async def _waits_for_a_lock(url: str) -> bool:
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(url) as looking:
        return looking.execute(query).fetchone() is not None


async def test_a_reading_beside_a_change_that_commits_late_is_not_used(postgres_url: str) -> None:
    """The change has a lower number than one that committed before the reading."""
    async with await open_catalog(postgres_url) as catalog:
        await prepared(catalog)
        tenant = await placed(catalog, "t")
        for state in (TenantState.SUSPENDED, TenantState.ACTIVE):  # so that the bucket has a row
            tenant = await catalog.tenants.set_state(INDEX, "t", state, tenant.route.epoch)
        with psycopg.connect(postgres_url) as holding:
            holding.execute("SELECT * FROM tenantry_route_changes FOR UPDATE")
            changing = asyncio.create_task(
                catalog.tenants.set_state(INDEX, "t", TenantState.SUSPENDED, tenant.route.epoch)
            )
            await until(lambda: _waits_for_a_lock(postgres_url))  # it has written the tenant, not yet the bucket
            for number in range(5):
                await catalog.settings.put(f"s{number}", number)
            dated = await catalog.tenants.get_dated(INDEX, "t")
            moment = await catalog.tenants.moment()
            assert dated.tenant.state is TenantState.ACTIVE
        await changing
        changes = await catalog.tenants.changes()
        assert changes is not None
        assert dated.moment is not None
        assert moment is not None
        assert dated.moment <= changes[bucket_of(INDEX, "t")]
        assert moment <= changes[bucket_of(INDEX, "t")]


async def test_a_copy_of_the_catalog_uses_no_routes_of_the_original(
    fleet: Fleet, client: redis.asyncio.Redis, postgres_server: PostgresServer, postgres_url: str
) -> None:
    """As after a restore from a dump: the numbers that date routes begin at another place, the names are the same."""
    first = await fleet.first()
    await filled(first, "acme", "other")
    await (await fleet.another())[0].tenant("acme").fetch(["a"])
    await until(lambda: kept(client, "acme"))
    await fleet.close()
    copy = postgres_server.create_database(template=postgres_url)
    try:
        fleet._settings["catalog_url"] = copy
        restored, counted = await fleet.another()
        assert len(await restored.tenant("acme").fetch(["a"])) == 1
        assert counted.sources == {"catalog": 1}
        await fleet.close()
    finally:
        postgres_server.drop_database(copy)


async def test_verify_routing_finds_and_heals_every_kind(
    fleet: Fleet, client: redis.asyncio.Redis, server: RedisServer
) -> None:
    cluster = await fleet.first()
    names = [f"t{i}" for i in range(6)]
    await filled(cluster, *names)
    reading = RedisRoutes(server.url, prefix_of(cluster), 60)
    await cluster.verify_routing()
    assert all(await reading.check("default", names))
    whole = {name: await reading.get("default", name) for name in names}
    key = f"{prefix_of(cluster)}:route:default:{{}}".format

    def forged(name: str, **changes: Any) -> DatedRoute:
        entry = whole[name]
        assert entry is not None
        return DatedRoute(entry.moment + 1_000_000, msgspec.structs.replace(entry.route, **changes))

    await client.set(key("t0"), b"garbage")
    await client.set(key("t1"), (await client.get(key("t1")))[:-1])
    await client.delete(key("t2"))
    await reading.put("default", "t3", forged("t3", epoch=1))
    await reading.put("default", "t4", forged("t4", place=Place("pg-1", "t4")))
    await reading.put("default", "t5", forged("t5", epoch=99, place=Place("nowhere", "t5")))
    await reading.put("default", "stranger", forged("t5"))
    seen = await cluster.verify_routing(heal=False)
    kinds = sorted((problem.kind, problem.name) for problem in seen.problems)
    assert kinds == [
        ("damaged-shared-route", "t0"),
        ("damaged-shared-route", "t1"),
        ("missing-shared-routes", ""),
        ("orphan-shared-routes", ""),
        ("wrong-shared-route", "t3"),
        ("wrong-shared-route", "t4"),
        ("wrong-shared-route", "t5"),
    ]
    assert not seen.consistent
    healed = await cluster.verify_routing()
    assert sorted((problem.kind, problem.name) for problem in healed.problems) == kinds
    assert healed.consistent
    assert (await cluster.verify_routing()).problems == []
    for name in names:
        entry = await reading.get("default", name)
        assert entry is not None
        assert entry.route == whole[name].route  # type: ignore[union-attr]
    assert await reading.get("default", "stranger") is None
    await reading.aclose()


async def test_an_old_entry_is_told_of_and_is_harmless(fleet: Fleet, client: redis.asyncio.Redis) -> None:
    """Written by somebody who was behind, or left over from when Redis was away: its date keeps it from being used."""
    cluster = await fleet.first()
    await filled(cluster, "acme")
    await cluster.verify_routing()
    key = f"{prefix_of(cluster)}:route:default:acme"
    old = await client.get(key)
    for change in (cluster.tenants.suspend, cluster.tenants.resume):
        await change("acme")
    await until(lambda: _gone(client, "acme"))
    await client.set(key, old)
    for heal in (False, True):
        seen = await cluster.verify_routing(heal=heal)
        assert [(problem.kind, problem.name, problem.healed) for problem in seen.problems] == [
            ("old-shared-route", "acme", heal)
        ]
        assert seen.consistent
    assert (await cluster.verify_routing()).problems == []


async def test_a_wrong_entry_does_no_harm_before_it_is_healed(fleet: Fleet, server: RedisServer) -> None:
    """A namespace that is not there sends the router to the catalog; so does an empty answer, once."""
    first = await fleet.first()
    await filled(first, "acme", "other")
    place = (await first.tenants.get("acme")).tenant.route.place
    wrong = next(shard for shard in ("pg-0", "pg-1") if shard != place.shard)
    route = (await first.tenants.get("acme")).tenant.route
    reading = RedisRoutes(server.url, prefix_of(first), 60)
    backend = await first._pool.backend("default", wrong)
    for namespace in ("nothing-there", "empty"):
        if namespace == "empty":
            await backend.create("empty")
        bad = DatedRoute(2**50, msgspec.structs.replace(route, place=Place(wrong, namespace)))
        await reading.drop("default", ["acme"])
        await reading.put("default", "acme", bad)
        late, counted = await fleet.another()
        assert len(await late.tenant("acme").query(ONE, top_k=1)) == 1
        assert counted.sources["shared"] == 1
        assert len(await late.tenant("acme").fetch(["a"])) == 1
    await reading.aclose()


async def test_an_empty_answer_looks_at_the_catalog_once(fleet: Fleet, postgres_url: str) -> None:
    first = await fleet.first()
    await first.tenants.create("empty")
    second, _ = await fleet.another()
    calls = 0
    get_dated = second._parts.catalog.tenants.get_dated

    async def counting(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        return await get_dated(*given)

    second._parts.catalog.tenants.get_dated = counting  # type: ignore[method-assign]
    for _ in range(20):
        assert await second.tenant("empty").query(ONE, top_k=3) == []
        assert await second.tenant("empty").fetch(["a"]) == {}
    assert calls == 2  # the route, and once more


async def test_the_check_runs_by_itself_and_heals(
    fleet: Fleet, client: redis.asyncio.Redis, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    fleet._settings["routing_check_s"] = 0.3
    first = await fleet.first()
    await filled(first, "acme", "other")
    second, _ = await fleet.another()
    await second.tenant("acme").fetch(["a"])
    with caplog.at_level(logging.WARNING, "tenantry.control.checks"):
        for cluster in (first, second):
            cluster.check_routing_regularly()
        await until(lambda: kept(client, "other"))
        await client.set(f"{prefix_of(first)}:route:default:acme", b"garbage")
        route = (await first.tenants.get("acme")).tenant.route
        second._parts.cache.put("default", "acme", msgspec.structs.replace(route, epoch=77, place=Place("pg-9", "x")))
        reading = RedisRoutes(server.url, prefix_of(first), 60)

        async def healed() -> bool:
            entry = await reading.get("default", "acme")
            cached = second._parts.cache.get("default", "acme")
            told = all(f"{kind} acme was mended" in caplog.text for kind in ("damaged-shared-route", "stale-cache"))
            return told and entry is not None and entry.route == route and (cached is None or cached == route)

        await until(healed)
        await reading.aclose()
    leases = [await first._parts.catalog.leases.get("routing-check")]
    assert leases[0] is not None


async def test_redis_may_be_away(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """Everything works, a little slower, and it is said once."""
    with started(RedisServer.start) as server:
        fleet._settings["redis_url"] = server.url
        first = await fleet.first()
        await filled(first, "acme")
        second, _ = await fleet.another()
        await second.tenant("acme").fetch(["a"])
        server.kill()
        with caplog.at_level(logging.WARNING, "tenantry.router.shared"):
            began = time.monotonic()
            for number in range(20):
                await first.tenants.create(f"n{number}")
                await second.tenant(f"n{number}").upsert([("a", ONE)])
            assert time.monotonic() - began < 20
            server.come_back()

            async def shared_again() -> bool:
                second._parts.cache.clear()
                await second.tenant("n1").fetch(["a"])
                return "routes are shared again" in caplog.text

            await until(shared_again)
        assert 1 <= caplog.text.count("routes are read from the catalog meanwhile") <= 3
