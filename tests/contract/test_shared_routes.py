"""The contract of routes that processes share, on a real Redis (Valkey) and in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import redis.asyncio

from tenantry.caches.redis import RedisRoutes
from tenantry.errors import InvalidArgument, Unavailable
from tenantry.model.topology import DatedRoute, Mode, Place, Route, TenantState
from tenantry.ports import Damaged, SharedRoutes
from tenantry.testing.memory_shared import MemorySharedRoutes
from tenantry.testing.redis_server import RedisServer
from tenantry.testing.servers import free_port, started

NAMES = ["acme", "été 🙂", "a:b*[c]?", "x" * 512]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here tests how long Redis is waited for."""
    monkeypatch.setattr("tenantry.caches.redis.CALL_S", 30.0)


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


@pytest.fixture(params=["redis", "memory"])
async def shared(
    request: pytest.FixtureRequest, server: RedisServer, client: redis.asyncio.Redis
) -> AsyncIterator[SharedRoutes]:
    made: SharedRoutes = RedisRoutes(server.url, "test", 60) if request.param == "redis" else MemorySharedRoutes()
    yield made
    await made.aclose()
    await made.aclose()


def entry(moment: int, epoch: int = 1) -> DatedRoute:
    place = Place("shard-1", "acme~2")
    return DatedRoute(moment, Route(epoch, place, Mode.LOGGED, Place("shard-2", "acme"), TenantState.ACTIVE))


async def names_in(shared: SharedRoutes, index: str) -> set[str]:
    return {name async for some in shared.tenants(index) for name in some}


@pytest.mark.parametrize("name", NAMES)
async def test_an_entry_comes_back_as_it_was(shared: SharedRoutes, name: str) -> None:
    assert await shared.get("i", name) is None
    await shared.put("i", name, entry(2**60, 7))
    assert await shared.get("i", name) == entry(2**60, 7)
    assert await shared.get("j", name) is None
    assert await names_in(shared, "i") == {name}
    assert await names_in(shared, "j") == set()
    await shared.drop("i", [name, "absent"])
    await shared.drop("i", [])
    assert await shared.get("i", name) is None


async def test_one_of_a_higher_moment_stays(shared: SharedRoutes) -> None:
    await shared.put("i", "a", entry(300, 3))
    await shared.put("i", "a", entry(299, 2))
    assert await shared.get("i", "a") == entry(300, 3)
    await shared.put("i", "a", entry(300, 4))
    assert await shared.get("i", "a") == entry(300, 4)
    await shared.put("i", "a", entry(2**40, 5))
    assert await shared.get("i", "a") == entry(2**40, 5)
    await shared.put("i", "a", entry(301, 2))
    assert await shared.get("i", "a") == entry(2**40, 5)


async def test_many_are_checked_at_once_and_listed(shared: SharedRoutes) -> None:
    for number in range(0, 2_500, 2):
        await shared.put("i", f"t{number}", entry(number))
    found = await shared.check("i", [f"t{number}" for number in range(100)])
    assert found == [entry(number) if number % 2 == 0 else None for number in range(100)]
    assert await shared.check("i", []) == []
    assert await names_in(shared, "i") == {f"t{number}" for number in range(0, 2_500, 2)}


@pytest.mark.parametrize("value", [b"", b"x", b"\x00" * 40, b"garbage" * 20])
async def test_what_is_no_entry_counts_as_none(server: RedisServer, client: redis.asyncio.Redis, value: bytes) -> None:
    shared = RedisRoutes(server.url, "test", 60)
    await client.set("test:route:i:a", value)
    assert await shared.get("i", "a") is None
    assert await shared.check("i", ["a"]) == [Damaged.DAMAGED]
    await shared.put("i", "b", entry(1))
    whole = await client.get("test:route:i:b")
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        await client.set("test:route:i:b", bytes(changed))
        assert await shared.get("i", "b") is None
    await client.set("test:route:i:c", whole)  # another tenant's
    assert await shared.check("i", ["c"]) == [Damaged.DAMAGED]
    await client.delete("test:route:i:a")
    await client.lpush("test:route:i:a", "no string")
    with pytest.raises(Unavailable):
        await shared.get("i", "a")
    await shared.drop("i", ["a"])
    await shared.put("i", "a", entry(1))
    assert await shared.get("i", "a") == entry(1)
    await shared.aclose()


async def test_entries_do_not_stay_for_ever(server: RedisServer, client: redis.asyncio.Redis) -> None:
    shared = RedisRoutes(server.url, "test", 60)
    await shared.put("i", "a", entry(1))
    assert 50 < await client.ttl("test:route:i:a") <= 60
    await shared.aclose()


async def test_a_server_that_is_away_is_unavailable() -> None:
    shared = RedisRoutes(f"redis://127.0.0.1:{free_port()}/0", "test", 60)
    with pytest.raises(Unavailable):
        await shared.get("i", "a")
    with pytest.raises(Unavailable):
        await shared.put("i", "a", entry(1))
    with pytest.raises(Unavailable):
        await names_in(shared, "i")
    await shared.aclose()


def test_the_url_must_be_one() -> None:
    with pytest.raises(InvalidArgument) as caught:
        RedisRoutes("http://user:secret@h", "test", 60)
    assert "secret" not in str(caught.value)
