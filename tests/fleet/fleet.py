"""A fleet of gateway processes, the load upon it, and what clients know of the data."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from pathlib import Path

import httpx

from tenantry.testing.redis_server import RedisServer

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
        self.lease_s = LEASE_S
        #: How wrong each gateway's wall clock is, seconds; upon SIGUSR1 it is as wrong in the other direction.
        self.wrong_by_s = [0.0] * GATEWAYS
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
        self.request_s = 5.0

    def start(self, number: int) -> None:
        settings = {
            "TENANTRY_ADMIN_KEY": ADMIN_KEY,
            "TENANTRY_CATALOG_URL": self.catalog,
            "TENANTRY_LEASE_S": str(self.lease_s),
            "CLOCK_WRONG_BY_S": str(self.wrong_by_s[number]),
            "TENANTRY_REQUEST_TIMEOUT_S": str(self.request_s),
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
    assert not fleet.problems, fleet.problems
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
    assert not fleet.problems, fleet.problems
    work = [write_forever(fleet, tenant, writer) for tenant in TENANTS for writer in range(2)]
    work += [read_forever(fleet, tenant) for tenant in TENANTS]
    work += [move_forever(fleet, tenant) for tenant in TENANTS]
    tasks = [asyncio.create_task(one) for one in work]
    await asyncio.sleep(1.0)
    await trouble()
    await asyncio.sleep(seconds)
    async with asyncio.timeout(60):
        while fleet.writes <= 10 or fleet.reads <= 10:
            await asyncio.sleep(0.05)
    fleet.stopping = True
    await asyncio.gather(*tasks)
