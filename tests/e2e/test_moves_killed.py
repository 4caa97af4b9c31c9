"""Moves under load, with the serving process killed over and over: nothing acknowledged is lost, nothing deleted comes
back, both sides agree at the end. Real processes, sockets and disks."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from pathlib import Path

import httpx
import pytest

from tenantry.control.mover.digest import NamespaceDigest, digest_of
from tenantry.wiring import open_cluster

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, GatewayProcess

#: Kills, at least and at most; and moves that are to come through between them.
KILLS, MOST_KILLS, MOVES = 22, 66, 8
TENANTS = ("acme", "globex", "initech")
WRITERS = 2
IDS = 30
PRELOADED = 600
DIMENSION = 8
SHARDS = ("shard-0", "shard-1", "shard-2")
BASE = "/v1/indexes/default"


class World:
    """The gateway, whichever life it is in, and what clients know of the data.

    Each id has one writer, which goes on only when a write is acknowledged; so its states are numbered, and a reader
    may see any from the last acknowledged to the last begun.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.life = 0
        self.stopping = False
        self.states: dict[tuple[str, str], list[int | None]] = {}
        self.acknowledged: dict[tuple[str, str], int] = {}
        self.problems: list[str] = []
        self.reads = self.writes = 0
        self.moves: dict[str, str] = {}

    def start(self) -> None:
        settings = {
            "TENANTRY_ADMIN_KEY": ADMIN_KEY,
            "TENANTRY_REQUEST_TIMEOUT_S": "20",
            "TENANTRY_SEARCHES_PER_MINUTE": "0",
        }
        self.gateway = GatewayProcess(self.folder, dimension=DIMENSION, metric="cosine", settings=settings)
        assert self.gateway.url.startswith("http://"), self.gateway.errors()
        self.client = httpx.AsyncClient(base_url=self.gateway.url, headers={"Api-Key": ADMIN_KEY}, timeout=30)

    async def kill(self) -> None:
        self.life += 1
        self.gateway.stop(signal.SIGKILL)
        old = self.client
        await asyncio.to_thread(self.start)
        self.life += 1
        await old.aclose()

    async def ask(self, method: str, path: str, **given) -> httpx.Response:
        """An answer from whichever life; connections may break when it is killed, and only then."""
        while True:
            life = self.life
            try:
                answer = await self.client.request(method, path, **given)
            except (httpx.TransportError, RuntimeError) as error:  # RuntimeError: the client was closed meanwhile
                if life == self.life and life % 2 == 0 and self.gateway.process.poll() is None:
                    self.problems.append(f"{method} {path}: {error!r} in the middle of a life")
                await asyncio.sleep(0.02)
                continue
            return answer

    async def done(self, method: str, path: str, **given) -> dict:
        answer = await self.ask(method, path, **given)
        if answer.status_code >= 300:
            self.problems.append(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else {}


def vector(key: str) -> list[float]:
    chance = random.Random(key)
    return [chance.uniform(0.1, 1.0) for _ in range(DIMENSION)]


async def write_forever(world: World, tenant: str, writer: int) -> None:
    chance = random.Random(f"{tenant}{writer}")
    number = 0
    while not world.stopping:
        number += 1
        ids = sorted({f"w{writer}-{chance.randrange(IDS)}" for _ in range(chance.choice([1, 1, 2, 6]))})
        kind = chance.choice(["upsert", "upsert", "update", "delete"])
        if kind == "update":
            ids = ids[:1]
        before = {key: world.states.setdefault((tenant, key), [None]) for key in ids}
        for states in before.values():
            gone = kind == "delete" or (kind == "update" and states[-1] is None)
            states.append(None if gone else number)
        if kind == "upsert":
            records = [{"id": key, "values": vector(key), "metadata": {"v": number}} for key in ids]
            await world.done("POST", "/vectors/upsert", json={"namespace": tenant, "vectors": records})
        elif kind == "delete":
            await world.done("POST", "/vectors/delete", json={"namespace": tenant, "ids": ids})
        else:
            body = {"namespace": tenant, "id": ids[0], "setMetadata": {"v": number}}
            await world.done("POST", "/vectors/update", json=body)
        for key, states in before.items():
            world.acknowledged[tenant, key] = len(states) - 1
        world.writes += 1
        await asyncio.sleep(0.004)


async def read_forever(world: World, tenant: str, number: int) -> None:
    chance = random.Random(f"reader{tenant}{number}")
    while not world.stopping:
        key = f"w{chance.randrange(WRITERS)}-{chance.randrange(IDS)}"
        life, least = world.life, world.acknowledged.get((tenant, key), 0)
        found = await world.done("GET", "/vectors/fetch", params={"namespace": tenant, "ids": key})
        states = world.states.get((tenant, key), [None])
        seen = found["vectors"].get(key)
        value = None if seen is None else int(seen["metadata"]["v"])
        if value not in states[least:]:
            world.problems.append(
                f"{tenant}/{key}: read {value}, allowed {states[least:]}, lives {life}-{world.life}, all {states[-6:]}"
            )
        world.reads += 1
        await asyncio.sleep(0.003)


async def move_forever(world: World, tenant: str) -> None:
    chance = random.Random(f"mover{tenant}")
    while not world.stopping:
        here = (await world.done("GET", f"{BASE}/tenants/{tenant}"))["shard"]
        target = chance.choice([shard for shard in SHARDS if shard != here])
        body = {"target": target, "soak_s": chance.choice([0, 0.2, 0.5]), "page": 50}
        answer = await world.ask("POST", f"{BASE}/tenants/{tenant}/move", json=body)
        if answer.status_code == 202:
            world.moves[answer.json()["id"]] = tenant
        elif answer.status_code not in (400, 409):  # already begun, or already there: the answer was lost in a kill
            world.problems.append(f"move: {answer.status_code} {answer.text}")
        open_moves = [True]
        while open_moves and not world.stopping:
            await asyncio.sleep(0.05)
            params = {"tenant": tenant, "open": "true"}
            open_moves = (await world.done("GET", f"{BASE}/moves", params=params)).get("moves", [])
            if open_moves and chance.random() < 0.05:
                wish = chance.choice(["rollback", "cancel"])
                await world.ask("POST", f"{BASE}/moves/{open_moves[0]['id']}/{wish}")


async def prepare(world: World) -> None:
    present = {one["name"] for one in (await world.done("GET", f"{BASE}/shards"))["shards"]}
    for shard in SHARDS:
        if shard not in present:
            await world.done("POST", f"{BASE}/shards", json={"name": shard})
    for tenant in TENANTS:
        for start in range(0, PRELOADED, 200):
            records = [{"id": f"base-{i:04}", "values": vector(f"base-{i}")} for i in range(start, start + 200)]
            await world.done("POST", "/vectors/upsert", json={"namespace": tenant, "vectors": records})


async def quiet(world: World) -> None:
    """Until no move is open."""
    async with asyncio.timeout(90):
        while (await world.done("GET", f"{BASE}/moves", params={"open": "true"}))["moves"]:
            await asyncio.sleep(0.05)


async def check_everything(world: World) -> None:
    for tenant in TENANTS:
        wanted = {f"base-{i:04}" for i in range(PRELOADED)}
        wanted |= {key for (of, key), states in world.states.items() if of == tenant and states[-1] is not None}
        body = {"namespace": tenant, "vector": vector("q"), "topK": 10_000, "includeMetadata": True}
        matches = (await world.done("POST", "/query", json=body))["matches"]
        found = {match["id"]: match.get("metadata") for match in matches}
        assert found.keys() == wanted, (tenant, found.keys() ^ wanted)
        for (of, key), states in world.states.items():
            if of == tenant and states[-1] is not None:
                assert found[key]["v"] == states[-1]
                got = await world.done("GET", "/vectors/fetch", params={"namespace": tenant, "ids": key})
                assert got["vectors"][key]["metadata"]["v"] == states[-1]
    report = await world.done("POST", f"{BASE}/verify-routing", json={"heal": False})
    assert report["consistent"], report


async def digest(cluster, place) -> str:
    namespace = (await cluster._pool.backend("default", place.shard)).index(place.namespace)
    whole, cursor = NamespaceDigest(), None
    while True:
        page = await namespace.scan(cursor, 500)
        for record in page.records:
            whole.add(digest_of(record))
        if page.cursor is None:
            return whole.hex()
        cursor = page.cursor


async def check_both_sides(world: World) -> None:
    """A last move of each tenant, stopped in its soak: both sides hold the same."""
    for tenant in TENANTS:
        here = (await world.done("GET", f"{BASE}/tenants/{tenant}"))["shard"]
        target = next(shard for shard in SHARDS if shard != here)
        await world.done("POST", f"{BASE}/tenants/{tenant}/move", json={"target": target, "soak_s": 600})
    async with asyncio.timeout(60):
        while True:
            moves = (await world.done("GET", f"{BASE}/moves", params={"open": "true"}))["moves"]
            if len(moves) == len(TENANTS) and all(move["phase"] == "soak" for move in moves):
                break
            await asyncio.sleep(0.05)
    await world.done(
        "POST", "/vectors/upsert", json={"namespace": TENANTS[0], "vectors": [{"id": "last", "values": vector("last")}]}
    )
    async with asyncio.timeout(60):  # the side that is not read gets it a little later
        for move in moves:
            while (await world.done("GET", f"{BASE}/moves/{move['id']}"))["lag"]:
                await asyncio.sleep(0.05)
    world.gateway.stop()
    async with await open_cluster(world.folder) as cluster:
        for tenant in TENANTS:
            route = (await cluster.tenants.get(tenant)).tenant.route
            assert route.other is not None
            assert await digest(cluster, route.place) == await digest(cluster, route.other), tenant


@pytest.mark.timeout(900)
async def test_no_kill_loses_an_acknowledged_write(tmp_path: Path) -> None:
    world = World(tmp_path / "data", seed=11)
    world.start()
    try:
        await prepare(world)
        work = [write_forever(world, tenant, writer) for tenant in TENANTS for writer in range(WRITERS)]
        work += [read_forever(world, tenant, number) for tenant in TENANTS for number in range(2)]
        work += [move_forever(world, tenant) for tenant in TENANTS]
        tasks = [asyncio.create_task(one) for one in work]
        for number in range(MOST_KILLS):
            if number >= KILLS and len(world.moves) >= MOVES:
                break  # a slow machine needs more of them until so many moves have come through
            await asyncio.sleep(world.chance.uniform(0.05, 1.2))
            await world.kill()
            assert not world.problems, world.problems[:5]
        await asyncio.sleep(1.0)
        world.stopping = True
        await asyncio.gather(*tasks)
        await quiet(world)
        assert not world.problems, world.problems[:5]
        await check_everything(world)
        assert len(world.moves) >= MOVES // 2, world.moves
        assert world.reads > 200
        assert world.writes > 100
        await check_both_sides(world)
        assert not world.problems, world.problems[:5]
    finally:
        await world.client.aclose()
        world.gateway.stop(signal.SIGKILL)
