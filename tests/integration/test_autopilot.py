"""Two gateways in processes of their own: the auto-pilot observes, then acts, and one of them does it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tenantry.catalogs import open_catalog
from tenantry.settings import Settings
from tenantry.testing.servers import PostgresServer, started
from tenantry.wiring import init_cluster

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, GatewayProcess, running_gateway

DIMENSION, TENANTS = 4, 20
BASE = "/v1/indexes/default"
HEADERS = {"Api-Key": ADMIN_KEY}


class Pair:
    """Two gateways on one catalog, one shard that is full of tenants and one that is empty."""

    def __init__(self, folder: Path, catalog: str, vectors: str) -> None:
        self.folder, self.catalog, self.vectors = folder, catalog, vectors
        self.gateways: list[GatewayProcess] = []
        self.clients: list[httpx.AsyncClient] = []

    async def fill(self) -> None:
        settings = Settings(data=self.folder / "init", catalog_url=self.catalog)
        async with await init_cluster(settings, dimension=DIMENSION, shards=0) as cluster:
            await cluster.shards.add("pg-0", backend="pgvector", options={"url_env": "VECTORS_URL"})
            for number in range(TENANTS):
                await cluster.tenant(f"t{number:02}").upsert([("a", [1.0, 2.0, 3.0, float(number)])])
            await cluster.shards.add("pg-1", backend="pgvector", options={"url_env": "VECTORS_URL"})

    def start(self) -> None:
        settings = {
            "TENANTRY_ADMIN_KEY": ADMIN_KEY,
            "TENANTRY_CATALOG_URL": self.catalog,
            "TENANTRY_LEASE_S": "1",
            "TENANTRY_HEALTH_CHECK_S": "0.5",
            "TENANTRY_HEALTH_RAISE_AFTER": "1",
            "TENANTRY_AUTOPILOT_CHECK_S": "0.2",
            "VECTORS_URL": self.vectors,
        }
        folder = self.folder / f"gateway-{len(self.gateways)}"
        gateway = GatewayProcess(folder, dimension=DIMENSION, metric="cosine", settings=settings)
        assert gateway.url.startswith("http://"), gateway.errors()
        self.gateways.append(gateway)
        self.clients.append(httpx.AsyncClient(base_url=gateway.url, headers=HEADERS, timeout=60))

    async def stop(self) -> None:
        for client in self.clients:
            await client.aclose()
        for gateway in self.gateways:
            gateway.stop(signal.SIGKILL)

    async def get(self, path: str, by: int = 0, **params: Any) -> Any:
        return (await self.clients[by].get(path, params=params)).raise_for_status().json()

    async def order(self, stance: str, by: int = 0, **policy: Any) -> Any:
        answer = await self.clients[by].put("/v1/autopilot", json={"stance": stance, **policy})
        return answer.raise_for_status().json()

    async def record(self, by: int = 0) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = (await self.get("/v1/autopilot/history", by))["entries"]
        return list(reversed(entries))

    async def moved(self, by: int = 0) -> list[dict[str, Any]]:
        return [one for one in await self.record(by) if one["outcome"] == "moved"]

    async def acting(self) -> str | None:
        """The owner of the lease; the name of a process."""
        async with await open_catalog(self.catalog) as catalog:
            lease = await catalog.leases.get("autopilot")
        return None if lease is None else lease.owner


@pytest.fixture
async def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    with started(PostgresServer.start) as server:
        made = Pair(tmp_path, server.create_database(), server.create_database())
        monkeypatch.setenv("VECTORS_URL", made.vectors)
        await made.fill()
        try:
            await asyncio.to_thread(made.start)
            yield made
        finally:
            await made.stop()


async def until(found: Callable[[], Awaitable[Any]], what: str) -> Any:
    try:
        async with asyncio.timeout(60):
            while not (done := await found()):
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None
    return done


async def test_it_observes_then_acts_and_when_its_gateway_dies_the_other_goes_on(pair: Pair) -> None:
    await pair.order("observe", moves_per_hour=3, periods=1, shard_cool_down_s=0)

    async def would() -> list[dict[str, Any]]:
        return [one for one in await pair.record() if one["kind"] == "would"]

    [said] = await until(would, "what it would do")
    assert (said["source"], said["target"]) == ("pg-0", "pg-1")
    assert (await pair.get(f"{BASE}/moves"))["moves"] == []
    first = await pair.acting()
    assert first is not None

    await asyncio.to_thread(pair.start)  # finds that another one does it
    status = await pair.order("on", by=1, windows=["always"])
    assert (status["policy"]["moves_per_hour"], status["policy"]["periods"]) == (3, 1)  # as said before

    async def waits() -> bool:
        last = (await pair.record())[-1]
        return bool(last["why"] == "the budget of moves per hour is used")

    await until(waits, "the end of its budget")
    moved = await pair.moved()
    moves = (await pair.get(f"{BASE}/moves"))["moves"]
    assert len(moves) == len(moved) == 3
    assert {one["move"] for one in moved} == {one["id"] for one in moves}
    assert await pair.record(0) == await pair.record(1)
    for one in moved:
        assert (await pair.get(f"{BASE}/tenants/{one['tenant']}"))["shard"] == "pg-1"
    deeds = [one for one in (await pair.get("/v1/audit", limit=100))["entries"] if one["actor"] == "autopilot"]
    assert [(one["action"], one["result"]) for one in reversed(deeds)] == [
        ("autopilot.moves", "begun"),
        ("autopilot.moves", "ok"),
    ] * 3

    acting = await pair.acting()  # the first, unless it stood still for longer than a lease
    dies, lives = (0, 1) if acting == first else (1, 0)
    pair.gateways[dies].stop(signal.SIGKILL)
    await pair.order("on", by=lives, moves_per_hour=4)

    async def fourth() -> bool:
        return len(await pair.moved(lives)) == 4

    await until(fourth, "a fourth move")
    assert len((await pair.get(f"{BASE}/moves", lives))["moves"]) == 4
    assert (await pair.get("/v1/autopilot", lives))["cost_last_day"] < 1.0
    assert await pair.acting() != acting


def test_over_http_what_is_wrong_is_refused_and_a_tenants_key_sees_nothing(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path / "data") as gateway,
        httpx.Client(base_url=gateway.url, headers=HEADERS, timeout=60) as http,
    ):
        for body, field in (
            ({"stance": "maybe"}, "stance"),
            ({"stance": "on"}, "windows"),
            ({"stance": "on", "windows": ["always"], "moves_per_hour": 0}, "moves_per_hour"),
            ({"stance": "observe", "colour": "red"}, "colour"),
            ({}, "stance"),
        ):
            refused = http.put("/v1/autopilot", json=body)
            assert refused.status_code == 400, refused.text
            assert field in refused.text
        assert http.get("/v1/autopilot").json()["policy"]["stance"] == "off"
        assert http.get("/v1/autopilot/history", params={"limit": 0}).status_code == 400
        assert http.put("/v1/autopilot", json={"stance": "observe", "bytes_per_hour": None}).json()["since"] > 0
        assert http.get("/v1/autopilot").json()["policy"]["bytes_per_hour"] is None
        http.post(f"{BASE}/tenants", json={"name": "t"}).raise_for_status()
        own = {"Api-Key": http.post("/v1/keys", json={"tenant": "t"}).json()["secret"]}
        assert http.get("/v1/autopilot", headers=own).status_code == 403
        assert http.put("/v1/autopilot", json={"stance": "off"}, headers=own).status_code == 403
