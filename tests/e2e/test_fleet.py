"""Three gateway processes over a real PostgreSQL and a real Redis, with shards in another PostgreSQL: moves under load
while gateways are killed and suspended, the catalog is cut off, Redis comes and goes. Nothing acknowledged is lost,
nothing deleted comes back."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tenantry.settings import Settings
from tenantry.testing.redis_server import RedisServer
from tenantry.testing.servers import PostgresServer
from tenantry.wiring import init_cluster

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, GatewayProcess

GATEWAYS = 3
DIMENSION = 8
SHARDS = ("pg-0", "pg-1")
BASE = "/v1/indexes/default"
LEASE_S = 1.0
TENANTS = ("acme", "globex")
IDS = 20
PRELOADED = 400


class Fleet:
    """The gateways, in whichever lives they are, and what clients know of the data.

    Each id has one writer, which goes on only when a write is acknowledged; so its states are numbered, and a reader
    may see any from the last acknowledged to the last begun.
    """

    def __init__(self, folder: Path, catalog: str, vectors: str, redis: RedisServer) -> None:
        self.folder, self.catalog, self.vectors, self.redis = folder, catalog, vectors, redis
        self.gateways: list[GatewayProcess | None] = [None] * GATEWAYS
        self.clients: list[httpx.AsyncClient | None] = [None] * GATEWAYS
        self.chance = random.Random(7)
        self.states: dict[tuple[str, str], list[int | None]] = {}
        self.acknowledged: dict[tuple[str, str], int] = {}
        self.problems: list[str] = []
        self.stopping = False
        #: Whether 503 and 504 are asked again, as while something is away; else they are failures.
        self.patient = True
        self.reads = self.writes = 0

    def start(self, number: int) -> None:
        settings = {
            "TENANTRY_ADMIN_KEY": ADMIN_KEY,
            "TENANTRY_CATALOG_URL": self.catalog,
            "TENANTRY_LEASE_S": str(LEASE_S),
            "TENANTRY_REQUEST_TIMEOUT_S": "5",
            "TENANTRY_MOVE_CALL_TIMEOUT_S": "2",
            "TENANTRY_REDIS_URL": self.redis.url,
            "VECTORS_URL": self.vectors,
        }
        folder = self.folder / f"gateway-{number}"
        gateway = GatewayProcess(folder, dimension=DIMENSION, metric="cosine", settings=settings)
        assert gateway.url.startswith("http://"), gateway.errors()
        self.gateways[number] = gateway
        self.clients[number] = httpx.AsyncClient(
            base_url=gateway.url, headers={"Api-Key": ADMIN_KEY}, timeout=httpx.Timeout(20)
        )

    async def stop(self) -> None:
        for number, gateway in enumerate(self.gateways):
            client = self.clients[number]
            if client is not None:
                await client.aclose()
            if gateway is not None:
                gateway.process.send_signal(signal.SIGCONT)
                gateway.stop(signal.SIGKILL)

    async def kill(self, number: int) -> None:
        gateway, client = self.gateways[number], self.clients[number]
        self.gateways[number] = self.clients[number] = None
        assert gateway is not None
        assert client is not None
        gateway.stop(signal.SIGKILL)
        await client.aclose()

    async def suspended(self, number: int, seconds: float) -> None:
        """It stands still, and does not know."""
        gateway = self.gateways[number]
        assert gateway is not None
        gateway.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        gateway.process.send_signal(signal.SIGCONT)

    async def ask(self, method: str, path: str, by: int | None = None, **given) -> httpx.Response:
        """An answer from any gateway; one that is gone or busy with its own trouble (503, 504) is no answer."""
        async with asyncio.timeout(60):
            while True:
                number = self.chance.randrange(GATEWAYS) if by is None else by
                client = self.clients[number]
                if client is not None:
                    try:
                        answer = await client.request(method, path, **given)
                    except (httpx.TransportError, RuntimeError):  # killed meanwhile
                        pass
                    else:
                        if not self.patient or answer.status_code not in (503, 504):
                            return answer
                await asyncio.sleep(0.05)

    async def done(self, method: str, path: str, by: int | None = None, **given) -> dict:
        answer = await self.ask(method, path, by, **given)
        if answer.status_code >= 300:
            self.problems.append(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else {}


def vector(key: str) -> list[float]:
    chance = random.Random(key)
    return [chance.uniform(0.1, 1.0) for _ in range(DIMENSION)]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    with PostgresServer.start() as catalog, PostgresServer.start() as vectors:
        yield catalog, vectors


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer.start() as redis:
        yield redis


@pytest.fixture
async def fleet(
    tmp_path: Path,
    servers: tuple[PostgresServer, PostgresServer],
    redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Fleet]:
    catalog, vectors = (server.create_database() for server in servers)
    monkeypatch.setenv("VECTORS_URL", vectors)
    async with await init_cluster(
        Settings(data=tmp_path / "init", catalog_url=catalog), dimension=DIMENSION, shards=0
    ) as cluster:
        for shard in SHARDS:
            await cluster.shards.add(shard, backend="pgvector", options={"url_env": "VECTORS_URL"})
    fleet = Fleet(tmp_path, catalog, vectors, redis)
    try:
        for number in range(GATEWAYS):
            await asyncio.to_thread(fleet.start, number)
        yield fleet
    finally:
        await fleet.stop()


async def preload(fleet: Fleet) -> None:
    for tenant in TENANTS:
        for start in range(0, PRELOADED, 200):
            records = [{"id": f"base-{i:04}", "values": vector(f"base-{i}")} for i in range(start, start + 200)]
            await fleet.done("POST", "/vectors/upsert", json={"namespace": tenant, "vectors": records})


async def write_forever(fleet: Fleet, tenant: str, writer: int) -> None:
    chance = random.Random(f"{tenant}{writer}")
    number = 0
    while not fleet.stopping:
        number += 1
        ids = sorted({f"w{writer}-{chance.randrange(IDS)}" for _ in range(chance.choice([1, 1, 2, 6]))})
        delete = chance.random() < 0.2
        before = {key: fleet.states.setdefault((tenant, key), [None]) for key in ids}
        for states in before.values():
            states.append(None if delete else number)
        if delete:
            await fleet.done("POST", "/vectors/delete", json={"namespace": tenant, "ids": ids})
        else:
            records = [{"id": key, "values": vector(key), "metadata": {"v": number}} for key in ids]
            await fleet.done("POST", "/vectors/upsert", json={"namespace": tenant, "vectors": records})
        for key, states in before.items():
            fleet.acknowledged[tenant, key] = len(states) - 1
        fleet.writes += 1
        await asyncio.sleep(0.01)


async def read_forever(fleet: Fleet, tenant: str) -> None:
    chance = random.Random(f"reader{tenant}")
    while not fleet.stopping:
        key = f"w{chance.randrange(2)}-{chance.randrange(IDS)}"
        least = fleet.acknowledged.get((tenant, key), 0)
        found = await fleet.done("GET", "/vectors/fetch", params={"namespace": tenant, "ids": key})
        states = fleet.states.get((tenant, key), [None])
        seen = found["vectors"].get(key)
        value = None if seen is None else int(seen["metadata"]["v"])
        if value not in states[least:]:
            fleet.problems.append(f"{tenant}/{key}: read {value}, allowed {states[least:]}")
        fleet.reads += 1
        await asyncio.sleep(0.01)


async def move_forever(fleet: Fleet, tenant: str) -> None:
    while not fleet.stopping:
        found = await fleet.ask("GET", f"{BASE}/tenants/{tenant}")
        assert found.status_code == 200, found.text
        here = found.json()["shard"]
        target = next(shard for shard in SHARDS if shard != here)
        answer = await fleet.ask("POST", f"{BASE}/tenants/{tenant}/move", json={"target": target, "soak_s": 0.2})
        if answer.status_code not in (202, 400, 409):  # already begun, or already there: the answer was lost
            fleet.problems.append(f"move: {answer.status_code} {answer.text}")
        while not fleet.stopping and await open_moves(fleet, tenant):
            await asyncio.sleep(0.1)


async def open_moves(fleet: Fleet, tenant: str | None = None) -> list[dict]:
    params = {"open": "true"} | ({"tenant": tenant} if tenant else {})
    return (await fleet.done("GET", f"{BASE}/moves", params=params)).get("moves", [])


async def settle_and_check(fleet: Fleet) -> None:
    """Moves end; then every gateway shows exactly what was acknowledged last."""
    async with asyncio.timeout(90):
        while await open_moves(fleet):
            await asyncio.sleep(0.1)
    assert fleet.problems == []
    for gateway in fleet.gateways:
        assert gateway is not None
        for secret in (fleet.catalog.split(":")[2].split("@")[0], fleet.vectors.split(":")[2].split("@")[0], ADMIN_KEY):
            assert secret not in gateway.errors()
    for number in range(GATEWAYS):
        for tenant in TENANTS:
            wanted = {f"base-{i:04}" for i in range(PRELOADED)}
            wanted |= {key for (of, key), states in fleet.states.items() if of == tenant and states[-1] is not None}
            body = {"namespace": tenant, "vector": vector("q"), "topK": 10_000, "includeMetadata": True}
            matches = (await fleet.done("POST", "/query", by=number, json=body))["matches"]
            found = {match["id"]: match.get("metadata") for match in matches}
            assert found.keys() == wanted, (number, tenant, found.keys() ^ wanted)
            for (of, key), states in fleet.states.items():
                if of == tenant and states[-1] is not None:
                    assert found[key]["v"] == states[-1], (number, tenant, key)
    report = await fleet.done("POST", f"{BASE}/verify-routing", json={"heal": False})
    assert report["consistent"], report


async def loaded(fleet: Fleet, trouble, seconds: float = 0.0) -> None:
    """Writers, readers and moves, while ``trouble`` happens."""
    await preload(fleet)
    work = [write_forever(fleet, tenant, writer) for tenant in TENANTS for writer in range(2)]
    work += [read_forever(fleet, tenant) for tenant in TENANTS]
    work += [move_forever(fleet, tenant) for tenant in TENANTS]
    tasks = [asyncio.create_task(one) for one in work]
    await asyncio.sleep(1.0)
    await trouble()
    await asyncio.sleep(seconds)
    fleet.stopping = True
    await asyncio.gather(*tasks)
    assert fleet.writes > 50
    assert fleet.reads > 50


async def test_a_change_of_route_reaches_every_gateway_at_once(fleet: Fleet) -> None:
    """A suspended tenant moves nowhere, so no barrier tells of it: only the feed does."""
    await preload(fleet)
    ask = {"namespace": "acme", "vector": vector("q"), "topK": 1}
    for number in range(GATEWAYS):
        assert (await fleet.ask("POST", "/query", by=number, json=ask)).status_code == 200
    for action, status in (("suspend", 412), ("resume", 200), ("suspend", 412)):
        done = await fleet.ask("POST", f"{BASE}/tenants/acme/{action}", by=0)
        assert done.status_code == 200, done.text
        began = time.monotonic()
        for number in range(GATEWAYS):
            while (await fleet.ask("POST", "/query", by=number, json=ask)).status_code != status:
                assert time.monotonic() - began < 5, f"gateway {number} still answers as before {action}"
                await asyncio.sleep(0.01)


async def test_gateways_are_killed_while_tenants_move(fleet: Fleet) -> None:
    async def trouble() -> None:
        for number in (0, 1, 2, 0):
            await asyncio.sleep(fleet.chance.uniform(0.3, 1.2))
            await fleet.kill(number)
            await asyncio.sleep(fleet.chance.uniform(0.0, 0.5))
            await asyncio.to_thread(fleet.start, number)

    await loaded(fleet, trouble, 2.0)
    await settle_and_check(fleet)


async def test_gateways_stand_still_longer_than_their_leases(fleet: Fleet) -> None:
    async def trouble() -> None:
        for number in (1, 2, 0):
            await fleet.suspended(number, fleet.chance.uniform(2.0, 3.0) * LEASE_S)
            await asyncio.sleep(0.3)

    await loaded(fleet, trouble, 2.0)
    await settle_and_check(fleet)


async def test_the_catalog_is_cut_off_for_a_while(fleet: Fleet, servers: tuple[PostgresServer, PostgresServer]) -> None:
    async def trouble() -> None:
        servers[0].stop_for_a_while()
        await asyncio.sleep(3 * LEASE_S)
        began = time.monotonic()
        client = fleet.clients[0]
        assert client is not None
        refused = await client.post(f"{BASE}/tenants", json={"name": "new"})
        assert refused.status_code == 503, refused.text
        assert re.search("catalog|unavailable", refused.text)
        assert time.monotonic() - began < 20
        await asyncio.to_thread(servers[0].come_back)

    await loaded(fleet, trouble, 3.0)
    await settle_and_check(fleet)


async def test_redis_comes_and_goes(fleet: Fleet) -> None:
    """Killed, away for a while, and back without anything that it knew: everything works, and says so."""

    async def trouble() -> None:
        for away_s in (0.0, 2.0):
            fleet.redis.kill()
            await asyncio.sleep(away_s)
            await asyncio.to_thread(fleet.redis.come_back)
            await asyncio.sleep(1.0)

    await loaded(fleet, trouble, 1.0)
    await settle_and_check(fleet)
    gateway = fleet.gateways[0]
    assert gateway is not None
    assert "changes elsewhere are found out later" in gateway.errors()


async def test_gateways_are_restarted_one_after_the_other(fleet: Fleet) -> None:
    """Behind clients that go elsewhere when a connection breaks, no request fails: not even with "try again"."""
    fleet.patient = False

    async def trouble() -> None:
        for number in range(GATEWAYS):
            gateway, client = fleet.gateways[number], fleet.clients[number]
            assert gateway is not None
            assert client is not None
            code = await asyncio.to_thread(gateway.stop)
            assert code == 0, gateway.errors()
            fleet.clients[number] = None
            await client.aclose()
            await asyncio.to_thread(fleet.start, number)

    await loaded(fleet, trouble, 1.0)
    await settle_and_check(fleet)
