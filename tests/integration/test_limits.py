"""Limits over HTTP, through both faces and over several gateways; and usage that survives a kill within its bound."""

from __future__ import annotations

import asyncio
import csv
import io
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tenantry.catalogs import open_catalog
from tenantry.testing.redis_server import RedisServer
from tenantry.testing.servers import started
from tenantry.wiring import init_cluster

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, GatewayProcess, running_gateway

VECTOR = [1.0, *[0.5] * 7]
TENANT = "/v1/indexes/default/tenants/{}"
HEADERS = {"Api-Key": ADMIN_KEY}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path_factory.mktemp("limits") / "data") as running:
        yield running


#: What a gateway says when it goes on without Redis.
ALONE = "limits hold for each gateway alone"


@pytest.fixture(scope="module")
def http(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, headers=HEADERS, timeout=60) as client:
        yield client


def records(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"id": f"v{number}", "values": VECTOR} for number in range(start, start + count)]


def tenant_on(http: httpx.Client, name: str, **limits: Any) -> None:
    assert http.patch(f"/v1/plans/{name}", json=limits).status_code == 200
    made = http.post("/v1/indexes/default/tenants", json={"name": name, "plan": name})
    assert made.status_code == 201, made.text
    assert made.json()["spec"]["plan"] == name


def test_over_its_rate_a_tenant_gets_429_and_when_to_come_again_in_both_faces(http: httpx.Client) -> None:
    tenant_on(http, "slow", requests_per_s=1)
    assert http.post(TENANT.format("slow") + "/upsert", json={"records": records(1)}).status_code == 200

    def refused(path: str, **body: Any) -> httpx.Response:
        for _ in range(10):  # one that passes came a second after the one before
            if (answer := http.post(path, json=body)).status_code != 200:
                return answer
        raise AssertionError("nothing is refused")

    native = refused(TENANT.format("slow") + "/query", vector=VECTOR)
    assert native.status_code == 429
    assert native.headers["retry-after"] in ("1", "2")  # a second and up to two hundredths, in whole seconds
    assert native.json()["error"]["code"] == "RATE_LIMITED"
    assert "over the 1 requests a second of plan 'slow'" in native.json()["error"]["message"]
    pinecone = refused("/query", namespace="slow", vector=VECTOR, topK=1)
    assert pinecone.status_code == 429
    assert pinecone.headers["retry-after"] in ("1", "2")
    assert pinecone.json()["code"] == 8  # RESOURCE_EXHAUSTED
    time.sleep(1.1)  # noqa: TID251  # the gateway's time, not ours
    assert http.post("/query", json={"namespace": "slow", "vector": VECTOR, "topK": 1}).status_code == 200


def test_over_its_vectors_a_tenant_is_told_what_and_why_in_both_faces(http: httpx.Client) -> None:
    tenant_on(http, "small", vectors=3)
    native = http.post(TENANT.format("small") + "/upsert", json={"records": records(4)})
    assert native.status_code == 409
    assert native.json()["error"]["code"] == "QUOTA_EXCEEDED"
    assert native.json()["error"]["field"] == "vectors"
    for word in ("got 4 more", "stores 0", "allowed: 3 in all", "plan 'small'"):
        assert word in native.json()["error"]["message"]
    pinecone = http.post("/vectors/upsert", json={"namespace": "small", "vectors": records(4)})
    assert pinecone.status_code == 403
    assert "allowed: 3 in all" in pinecone.json()["message"]
    assert http.post(TENANT.format("small") + "/upsert", json={"records": records(3)}).status_code == 200
    limits = http.get(TENANT.format("small") + "/limits").json()
    assert (limits["vectors"], limits["plan"]["vectors"], limits["assigned"]) == (3, 3, "small")


def test_documents_are_slowed_down_not_refused(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path / "data", dimension=256) as gateway,
        httpx.Client(base_url=gateway.url, headers=HEADERS, timeout=60) as http,
    ):
        assert http.patch("/v1/indexes/default", json={"embedder": "local"}).status_code == 200
        tenant_on(http, "reader", requests_per_s=2)
        documents = [{"id": f"d{number}", "text": f"text number {number}"} for number in range(3)]
        for _ in range(2):
            added = http.post(TENANT.format("reader") + "/documents", json={"documents": documents})
            assert added.status_code == 200, added.text
        assert added.json()["unchanged"] == 3


def test_cross_tenant_searches_are_limited_by_key(http: httpx.Client) -> None:
    http.post(TENANT.format("free-one") + "/upsert", json={"records": records(1)})
    search = {"vector": VECTOR, "top_k": 1}
    codes = [http.post("/v1/indexes/default/search", json=search).status_code for _ in range(12)]
    assert codes == [200] * 10 + [429] * 2
    over = http.post("/v1/indexes/default/search", json=search)
    assert 50 <= int(over.headers["retry-after"]) <= 62
    key = http.post("/v1/keys", json={}).json()["secret"]
    other = httpx.post(f"{http.base_url}/v1/indexes/default/search", json=search, headers={"Api-Key": key})
    assert other.status_code == 200


def test_usage_comes_as_json_and_csv_page_by_page(http: httpx.Client) -> None:
    for name in ("=cmd()", "u1", "u2"):
        path = TENANT.format(name.replace("=", "%3D").replace("(", "%28").replace(")", "%29"))
        assert http.post(path + "/upsert", json={"records": records(2)}).status_code == 200
    http.post(TENANT.format("u1") + "/query", json={"vector": VECTOR})
    page = http.get("/v1/usage", params={"by": "day", "limit": 2}).json()
    assert len(page["usage"]) == 2
    rows = list(page["usage"])
    while page["next"]:
        page = http.get("/v1/usage", params={"by": "day", "limit": 2, "after": page["next"]}).json()
        rows += page["usage"]
    [one] = [row for row in rows if row["tenant"] == "u1"]
    assert (one["queries"], one["writes"], one["vectors_upserted"], one["vectors_stored"]) == (1, 1, 2, 2)
    answer = http.get("/v1/usage", params={"by": "day", "format": "csv", "limit": 10_000})
    assert answer.headers["content-type"].startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["tenant"].lstrip("'") for row in table] == [row["tenant"] for row in rows]
    assert "'=cmd()" in answer.text
    for wrong in (
        {"by": "year"},
        {"format": "xml"},
        {"after": "%%%"},
        {"from": -1},
        {"from": 5, "to": 4},
        {"limit": 0},
    ):
        refused = http.get("/v1/usage", params=wrong)
        assert refused.status_code == 400, wrong
        assert refused.json()["error"]["field"] in wrong


def test_a_tenants_key_sees_its_own_limits_and_changes_none(http: httpx.Client, gateway: GatewayProcess) -> None:
    tenant_on(http, "own", vectors=5)
    key = http.post("/v1/keys", json={"tenant": "own"}).json()["secret"]
    with httpx.Client(base_url=gateway.url, headers={"Api-Key": key}, timeout=60) as own:
        assert own.get(TENANT.format("own") + "/limits").status_code == 200
        assert own.get(TENANT.format("other") + "/limits").status_code == 403
        assert own.post(TENANT.format("own") + "/plan", json={"plan": "pro"}).status_code == 403
        assert own.get("/v1/usage").status_code == 403
        assert own.patch("/v1/plans/own", json={"vectors": None}).status_code == 403


def test_gateways_together_let_through_exactly_the_searches_of_a_minute(tmp_path: Path) -> None:
    with started(RedisServer.start) as redis:
        settings = {"redis_url": redis.url, "searches_per_minute": "25"}
        with (
            running_gateway(tmp_path / "a", **settings) as one,
            running_gateway(tmp_path / "b", **settings) as two,
        ):
            codes = asyncio.run(ask_all([one.url, two.url], 40))
            # Whoever stood still for half a second took Redis to be away, and said so.
            alone = any(ALONE in each.errors() for each in (one, two))
            assert 25 <= codes.count(200) <= (75 if alone else 25)
            assert codes.count(200) + codes.count(429) == 80
            redis.kill()
            after = set(asyncio.run(ask_all([one.url, two.url], 30)))
            assert after == {200, 429} or (alone and after == {429})  # each goes on alone
            assert one.errors().count(ALONE) == 1 or alone


async def ask_all(urls: list[str], each: int) -> list[int]:
    async def ask(client: httpx.AsyncClient) -> int:
        answer = await client.post("/v1/indexes/default/search", json={"vector": VECTOR, "top_k": 1})
        return answer.status_code

    clients = [httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=60) for url in urls]
    codes = await asyncio.gather(*(ask(client) for client in clients for _ in range(each)))
    for client in clients:
        await client.aclose()
    return list(codes)


FLUSH_S, RUN_S = 0.3, 2.5
#: Longest time of one flush: measuring, and one transaction.
ONE_FLUSH_S = 1.0
#: Writes and queries one after another, and tells of each that was answered, and when.
WORK = """
import asyncio, sys, time
from tenantry.wiring import open_cluster

async def main(folder, flush_s):
    async with await open_cluster(folder, usage_flush_s=float(flush_s)) as cluster:
        acme = cluster.tenant("acme")
        for number in range(1_000_000):
            await acme.upsert([(f"v{number % 50}", [1.0] * 8), (f"w{number % 50}", [2.0] * 8)])
            await acme.query([1.0] * 8)
            print(number + 1, time.monotonic(), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_killed_process_loses_only_its_last_moments_of_usage(tmp_path: Path) -> None:
    await (await init_cluster(tmp_path / "data", dimension=8)).aclose()
    total_least = total_most = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", WORK, str(tmp_path / "data"), str(FLUSH_S)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        answered: list[tuple[int, float]] = []
        while not answered or answered[-1][1] - answered[0][1] < RUN_S:
            number, at = process.stdout.readline().split()
            answered.append((int(number), float(at)))
        process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        rest = [line.split() for line in process.communicate()[0].splitlines() if len(line.split()) == 2]
        answered += [(int(number), float(at)) for number, at in rest]
        # The bound: what was counted in the time of one pause and of one flush.
        total_least += max(number for number, at in answered if at < killed - FLUSH_S - ONE_FLUSH_S)
        total_most += answered[-1][0] + 1  # one was under way
    async with await open_catalog(f"sqlite:///{tmp_path}/data/catalog.db") as catalog:
        rows = await catalog.usage.list(0, 2**40)
    queries, writes, vectors = (sum(getattr(row, name) for row in rows) for name in ("queries", "writes", "vectors"))
    assert total_least <= queries <= total_most
    assert total_least <= writes <= total_most
    assert vectors == 2 * writes
