"""Who reaches what: every operation of every API with every kind of key."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tenantry.gateway.native import routes as native
from tenantry.gateway.pinecone import routes as pinecone
from tenantry.gateway.table import Endpoint, Reach
from tenantry.model.keys import Scope

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, GatewayProcess, running_gateway

OWN, OTHER, ABSENT = "own/tenant", "other", "absent"
VECTOR = [0.5] * 8
TABLE = [*pinecone.routes(), *native.routes()]
#: What each operation is sent, beside its path; `{tenant}` is replaced.
BODIES: dict[str, Any] = {
    "/query": {"topK": 1, "top_k": 1, "vector": VECTOR},
    "/upsert": {"records": [{"id": "a", "values": VECTOR}]},
    "/vectors/upsert": {"vectors": [{"id": "a", "values": VECTOR}]},
    "/vectors/update": {"id": "a", "setMetadata": {"x": 1}},
    "/vectors/delete": {"ids": ["gone"]},
    "/vectors/fetch_by_metadata": {"filter": {"x": 1}},
    "/fetch": {"ids": ["a"]},
    "/update": {"id": "a", "set_metadata": {"x": 1}},
    "/delete": {"ids": ["gone"]},
    "/documents": {"documents": []},
    "/documents/delete": {"ids": ["gone"]},
    "/search": {"text": "x"},
}


@dataclass(frozen=True)
class Served:
    url: str
    own_key: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with running_gateway(tmp_path_factory.mktemp("auth") / "data", search_cache_s="60") as gateway:
        with httpx.Client(base_url=gateway.url, headers={"Api-Key": ADMIN_KEY}, timeout=60) as http:
            for tenant in (OWN, OTHER):
                body = {"namespace": tenant, "vectors": [{"id": "a", "values": VECTOR, "metadata": {"who": tenant}}]}
                assert http.post("/vectors/upsert", json=body).status_code == 200
            assert http.post("/v1/indexes", json={"name": "second", "dimension": 8}).status_code == 201
            body = {"namespace": OWN, "vectors": [{"id": "secret", "values": VECTOR}]}
            assert http.post("/i/second/vectors/upsert", json=body).status_code == 200
            key = http.post("/v1/keys", json={"tenant": OWN}).json()["secret"]
        yield Served(gateway.url, key)


@pytest.fixture(scope="module")
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=60) as client:
        yield client


#: Everything that a tenant key may call, for its own tenant or to be shown its own part.
FOR_TENANTS = {
    *(
        f"{method} {prefix}{path}"
        for prefix in ("", "/i/{index}")
        for method, path in (
            ("POST", "/query"),
            ("POST", "/vectors/upsert"),
            ("GET", "/vectors/fetch"),
            ("POST", "/vectors/update"),
            ("POST", "/vectors/delete"),
            ("POST", "/vectors/fetch_by_metadata"),
            ("GET", "/vectors/list"),
            ("POST", "/describe_index_stats"),
            ("GET", "/describe_index_stats"),
            ("GET", "/namespaces"),
            ("GET", "/namespaces/{namespace}"),
        )
    ),
    "GET /indexes",
    "GET /indexes/{index}",
    "GET /v1/indexes/{index}/tenants/{tenant}",
    "GET /v1/indexes/{index}/tenants/{tenant}/ids",
    "GET /v1/indexes/{index}/tenants/{tenant}/limits",
    "GET /v1/indexes/{index}/tenants/{tenant}/readings",
    "GET /v1/whoami",
    *(
        f"POST /v1/indexes/{{index}}/tenants/{{tenant}}/{one}"
        for one in ("upsert", "query", "fetch", "update", "delete", "documents", "documents/delete", "search")
    ),
}


def name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


def send(
    http: httpx.Client, endpoint: Endpoint, key: str | None, *, tenant: str = OWN, index: str = "default"
) -> httpx.Response:
    """One request of an operation for a tenant of an index."""
    path = endpoint.path
    for name, value in {"index": index, "tenant": tenant, "namespace": tenant}.items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    path = path.replace("{shard}", "shard-0").replace("{id}", "none").replace("{name}", "none")
    json, params = None, None
    if endpoint.request is not None:
        tail = max((one for one in BODIES if endpoint.path.endswith(one)), key=len, default="")
        json = dict(BODIES.get(tail, {}))
        if endpoint.face.name == "pinecone-data":
            json["namespace"] = tenant
        elif tail == "/query":
            json.pop("topK")
    elif endpoint.query is not None and endpoint.face.name == "pinecone-data":
        params = {"namespace": tenant, "ids": "a"}
    headers = {"Api-Key": key} if key is not None else {}
    with http.stream(endpoint.method, path, json=json, params=params, headers=headers) as answer:
        if not endpoint.streams or answer.status_code != 200:  # a stream of events has no end to wait for
            answer.read()
        return answer


def test_what_tenant_keys_may_call_is_written_down_here_too() -> None:
    assert {name_of(one) for one in TABLE if Scope.TENANT in one.access.scopes()} == FOR_TENANTS


@pytest.mark.parametrize("endpoint", TABLE, ids=name_of)
@pytest.mark.parametrize("key", [None, "", "wrong", "tnk_abc_def", "tnk_000000000000_" + "0" * 64])
def test_without_a_good_key_nothing_is_reached(http: httpx.Client, endpoint: Endpoint, key: str | None) -> None:
    answer = send(http, endpoint, key)
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("endpoint", [one for one in TABLE if Scope.TENANT not in one.access.scopes()], ids=name_of)
def test_a_tenant_key_administers_nothing(http: httpx.Client, served: Served, endpoint: Endpoint) -> None:
    answer = send(http, endpoint, served.own_key)
    assert answer.status_code == 403, answer.text


@pytest.mark.parametrize("endpoint", [one for one in TABLE if Scope.TENANT in one.access.scopes()], ids=name_of)
def test_a_tenant_key_reaches_its_own_tenant_only(http: httpx.Client, served: Served, endpoint: Endpoint) -> None:
    own = send(http, endpoint, served.own_key)
    assert own.status_code not in (401, 403), own.text
    assert OTHER not in own.text
    assert "second" not in own.text.replace("per_second", "")
    if endpoint.access.reach in (Reach.TENANT, Reach.NAMESPACE):
        there, absent, inside = (send(http, endpoint, served.own_key, tenant=one) for one in (OTHER, ABSENT, "own"))
        assert {there.status_code, absent.status_code, inside.status_code} == {403}
        assert there.content == absent.content, "the answer does not tell whether a tenant exists"
    if "{index}" in endpoint.path:
        second, nowhere = (send(http, endpoint, served.own_key, index=one) for one in ("second", "nowhere"))
        assert (second.status_code, nowhere.status_code) == (403, 403)
        assert second.content == nowhere.content, "the answer does not tell whether an index exists"


def test_the_default_namespace_is_not_everybodys(http: httpx.Client, served: Served) -> None:
    for body in ({}, {"namespace": ""}, {"namespace": "__default__"}, {"namespace": None}):
        answer = http.post("/query", json={"topK": 1, "vector": VECTOR, **body}, headers={"Api-Key": served.own_key})
        assert answer.status_code == 403


def test_a_tenant_key_sees_only_itself_in_lists(http: httpx.Client, served: Served) -> None:
    headers = {"Authorization": f"Bearer {served.own_key}", "X-Pinecone-Api-Version": "2026-07"}
    stats = http.post("/describe_index_stats", json={}, headers=headers).json()
    assert set(stats["namespaces"]) == {OWN}
    assert stats["totalVectorCount"] == stats["namespaces"][OWN]["vectorCount"]
    spaces = http.get("/namespaces", headers=headers).json()
    assert ([one["name"] for one in spaces["namespaces"]], spaces["total_count"]) == ([OWN], 1)
    assert http.get("/namespaces", params={"prefix": "oth"}, headers=headers).json()["namespaces"] == []
    assert [one["name"] for one in http.get("/indexes", headers=headers).json()["indexes"]] == ["default"]
    assert http.get("/indexes/default", headers=headers).json()["host"] == f"{served.url}/i/default"


def test_the_admin_key_reaches_every_operation(http: httpx.Client) -> None:
    for endpoint in TABLE:
        if endpoint.method not in ("DELETE", "PATCH"):
            assert send(http, endpoint, ADMIN_KEY, tenant=OTHER).status_code not in (401, 403), name_of(endpoint)


def test_a_revoked_key_is_useless_at_once(http: httpx.Client) -> None:
    admin = {"Api-Key": ADMIN_KEY}
    made = http.post("/v1/keys", json={"tenant": OTHER}, headers=admin).json()
    mine = {"Api-Key": made["secret"]}
    question = {"topK": 1, "vector": VECTOR, "namespace": OTHER}
    assert http.post("/query", json=question, headers=mine).status_code == 200
    assert http.delete(f"/v1/keys/{made['key']['id']}", headers=admin).status_code == 204
    assert http.post("/query", json=question, headers=mine).status_code == 401


def test_a_stored_admin_key_is_admin(http: httpx.Client) -> None:
    made = http.post("/v1/keys", json={"label": "ops"}, headers={"Api-Key": ADMIN_KEY}).json()
    assert http.get("/v1/keys", headers={"Api-Key": made["secret"]}).status_code == 200


def test_an_answer_is_given_again_to_the_key_that_asked_only(http: httpx.Client) -> None:
    admin = {"Api-Key": ADMIN_KEY}
    keys = [http.post("/v1/keys", json={"scope": "reader"}, headers=admin).json() for _ in range(2)]

    def ask(key: str) -> tuple[bool, list[str]]:
        body = {"vector": VECTOR, "top_k": 5, "include_metadata": True}
        found = http.post("/v1/indexes/default/search", json=body, headers={"Api-Key": key}).json()
        return found["cached"], sorted(hit["tenant"] for hit in found["hits"])

    one, other = (made["secret"] for made in keys)
    whole = sorted([OWN, OTHER])
    assert [ask(one), ask(one), ask(other), ask(other)] == [(False, whole), (True, whole)] * 2
    assert http.delete(f"/v1/keys/{keys[0]['key']['id']}", headers=admin).status_code == 204
    body = {"vector": VECTOR, "top_k": 5}
    assert http.post("/v1/indexes/default/search", json=body, headers={"Api-Key": one}).status_code == 401


def test_health_needs_no_key_and_metrics_do(http: httpx.Client, served: Served) -> None:
    assert http.get("/healthz").status_code == 200
    assert http.get("/readyz").status_code == 200
    assert http.get("/v1/openapi.json").status_code == 200
    assert http.get("/metrics").status_code == 401
    assert http.get("/metrics", headers={"Api-Key": served.own_key}).status_code == 403


def test_open_access_on_loopback(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path / "data", admin_key=None) as gateway,
        httpx.Client(base_url=gateway.url, timeout=60) as http,
    ):
        check_open(gateway, http)


def check_open(gateway: GatewayProcess, http: httpx.Client) -> None:
    assert http.get("/v1/indexes").status_code == 200
    assert http.get("/v1/indexes", headers={"Api-Key": "anything"}).status_code == 200
    mine = {"Api-Key": http.post("/v1/keys", json={"tenant": "a"}).json()["secret"]}
    body = {"vectors": [{"id": "1", "values": VECTOR}]}
    assert http.post("/vectors/upsert", json={**body, "namespace": "a"}, headers=mine).status_code == 200
    assert http.post("/vectors/upsert", json={**body, "namespace": "b"}, headers=mine).status_code == 403
    assert http.get("/v1/indexes", headers={"Api-Key": "tnk_a_b"}).status_code == 401
    page = {"Origin": "http://evil.example"}
    assert http.get("/v1/indexes", headers=page).status_code == 403
    assert http.get("/v1/indexes", headers={"Host": "evil.example"}).status_code == 403
    assert http.get("/v1/indexes", headers={"Origin": gateway.url}).status_code == 200
