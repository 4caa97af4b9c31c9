"""What the gateway has recorded, and what it withholds when it cannot."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tenantry.errors import StorageFailed
from tenantry.gateway.recording import is_recorded
from tenantry.gateway.table import Access
from tenantry.model.audit import Wanted
from tenantry.router.service import ServiceOptions

V = [0.5, 0.5, 0.5, 0.5]


async def recorded(house: Any, **wanted: Any) -> list[tuple[Any, ...]]:
    entries = await house.cluster.audit.list(msgspec.structs.replace(Wanted(after=0, limit=1_000), **wanted))
    return [(one.action, one.result, one.index, one.tenant, one.shard, one.subject) for one in entries]


def test_whatever_changes_the_cluster_is_recorded_under_a_name(house: Any) -> None:
    for endpoint in house.app.endpoints:
        where = f"{endpoint.method} {endpoint.path}"
        if endpoint.access in (Access.CONTROL, Access.ADMIN, Access.SEARCH) and endpoint.documented:
            assert is_recorded(endpoint) == (endpoint.method != "GET"), where
        assert bool(endpoint.action) == is_recorded(endpoint), where


async def test_what_is_done_by_whom_to_what(house: Any) -> None:
    key, secret = await house.cluster.keys.create(scope="operator")
    before = len(await recorded(house))
    call = house.http.request
    operator = {"Api-Key": secret, "X-Request-Id": "req-1"}
    made = await call("POST", "/v1/indexes/second/tenants", json={"name": "acme", "tier": "hot"}, headers=operator)
    assert made.status_code == 409, made.text
    await call("POST", "/v1/indexes/second/tenants", json={"name": "acme"}, headers=operator)
    await call("PATCH", "/v1/indexes/second/shards/shard-0", json={"weight": 2}, headers=operator)
    await call("POST", "/namespaces", json={"name": "globex"}, headers=operator)
    await call("DELETE", "/namespaces/globex", headers={"Api-Key": house.admin_key})
    await call("POST", "/v1/keys", json={"tenant": "acme", "index": "second"}, headers={"Api-Key": house.admin_key})
    new = (await house.cluster.keys.list("second", "acme"))[0]
    assert (await recorded(house))[before:] == [
        ("tenant.create", "begun", "second", "acme", None, None),
        ("tenant.create", "RESOURCE_EXHAUSTED", "second", "acme", None, None),
        ("tenant.create", "begun", "second", "acme", None, None),
        ("tenant.create", "ok", "second", "acme", None, None),
        ("shard.change", "begun", "second", None, "shard-0", None),
        ("shard.change", "ok", "second", None, "shard-0", None),
        ("tenant.create", "begun", "default", "globex", None, None),
        ("tenant.create", "ok", "default", "globex", None, None),
        ("tenant.delete", "begun", "default", "globex", None, None),
        ("tenant.delete", "ok", "default", "globex", None, None),
        ("key.create", "begun", "second", "acme", None, None),
        ("key.create", "ok", "second", "acme", None, new.id),
    ]
    entries = await house.cluster.audit.list(Wanted(after=before, limit=100))
    assert {one.actor for one in entries} == {f"key:{key.id}", "admin-key"}
    assert {one.request_id for one in entries if one.scope == "operator"} == {"req-1"}
    assert msgspec.json.decode(entries[4].detail) == {"weight": 2.0}


async def test_plans_are_recorded_with_what_was_changed(house: Any) -> None:
    await house.cluster.tenants.create("acme", "second")
    _, secret = await house.cluster.keys.create(scope="operator")
    before = len(await recorded(house))
    call, operator = house.http.request, {"Api-Key": secret}
    for method, path, body, status in (
        ("PATCH", "/v1/plans/trial", {"vectors": 5, "bytes": None, "default": True}, 200),
        ("PATCH", "/v1/plans", {"plan": "gold"}, 404),
        ("PATCH", "/v1/plans", {"plan": "pro"}, 200),
        ("POST", "/v1/indexes/second/tenants/acme/plan", {"plan": "trial"}, 200),
    ):
        assert (await call(method, path, json=body, headers=operator)).status_code == status, path
    assert [one for one in (await recorded(house))[before:] if one[1] != "begun"] == [
        ("service-plan.set", "ok", None, None, None, "trial"),
        ("service-plan.default", "NOT_FOUND", None, None, None, "gold"),
        ("service-plan.default", "ok", None, None, None, "pro"),
        ("tenant.set-plan", "ok", "second", "acme", None, None),
    ]
    entries = await house.cluster.audit.list(Wanted(after=before, limit=100))
    detail = [msgspec.json.decode(one.detail) for one in entries if one.result == "ok"]
    assert detail[0]["changes"] == "vectors 5, bytes none"
    assert detail[2]["plan"] == "trial"
    await house.cluster.service_plans.set("trial", weight=3)
    assert (await recorded(house))[-1] == ("service-plan.set", "ok", None, None, None, "trial")


async def test_searches_over_the_limit_are_refused_by_key_and_recorded_once_a_minute(make_house: Any) -> None:
    house = make_house(service=ServiceOptions(searches_per_minute=2))
    await house.cluster.indexes.create("default", 4, shards=2)
    await house.cluster.tenant("acme").upsert([("a", V)])
    key, secret = await house.cluster.keys.create(scope="reader")
    asked, headers = {"vector": V}, {"Api-Key": secret}
    path = "/v1/indexes/default/search"
    async with house.http:
        codes = [(await house.http.post(path, json=asked, headers=headers)).status_code for _ in range(5)]
        assert codes == [200, 200, 429, 429, 429]
        over = await house.http.post(path, content=b"{not read", headers=headers)
        assert (over.status_code, over.json()["error"]["code"]) == (429, "RATE_LIMITED")
        assert 59 <= int(over.headers["retry-after"]) <= 62  # a minute, up to two grains of it more, whole seconds
        assert (await house.http.post(path, json=asked, headers={"Api-Key": house.admin_key})).status_code == 200
        results = [one[1] for one in await recorded(house, actor=f"key:{key.id}")]
        assert results == ["ok", "ok", "RATE_LIMITED"]
        house.clock.advance(61)
        assert (await house.http.post(path, json=asked, headers=headers)).status_code == 200
    await house.cluster.aclose()


async def test_a_search_is_recorded_without_what_was_sought(house: Any) -> None:
    await house.cluster.tenant("acme").upsert([("a", V, {"x": "confidential"})])
    _, secret = await house.cluster.keys.create(scope="reader")
    asked = {"vector": V, "tenants": ["acme"], "top_k": 7, "filter": {"x": "confidential"}}
    found = await house.http.post("/v1/indexes/default/search", json=asked, headers={"Api-Key": secret})
    assert found.json()["hits"][0]["id"] == "a"
    (entry,) = await house.cluster.audit.list(Wanted(action="search"))
    assert (entry.result, entry.index, entry.scope) == ("ok", "default", "reader")
    detail = msgspec.json.decode(entry.detail)
    assert (detail.pop("exactness"), detail.pop("by_model"), detail.pop("include_metadata")) == (1.0, False, True)
    assert detail == {"top_k": 7, "tenants": "acme", "tenants_named": 1}


async def test_data_of_tenants_is_not_what_is_recorded(house: Any) -> None:
    before = await recorded(house)
    body = {"namespace": "acme", "vectors": [{"id": "a", "values": V}]}
    headers = {"Api-Key": house.admin_key}
    assert (await house.http.post("/vectors/upsert", json=body, headers=headers)).status_code == 200
    body = {"namespace": "acme", "vector": V, "topK": 1}
    assert (await house.http.post("/query", json=body, headers=headers)).status_code == 200
    assert await recorded(house) == before


async def test_a_refusal_is_recorded_once_a_minute_for_each_caller(house: Any) -> None:
    key, secret = await house.cluster.keys.create("acme")
    for _ in range(5):
        for path in ("/v1/indexes/default/search", "/v1/keys"):
            assert (await house.http.post(path, json={}, headers={"Api-Key": secret})).status_code == 403
    assert await recorded(house, actor=f"key:{key.id}") == [
        ("search", "PERMISSION_DENIED", "default", None, None, None),
        ("key.create", "PERMISSION_DENIED", None, None, None, None),
    ]
    house.clock.advance(60)
    await house.http.post("/v1/keys", json={}, headers={"Api-Key": secret})
    assert len(await recorded(house, actor=f"key:{key.id}")) == 3
    count = len(await recorded(house))
    for _ in range(3):  # nobody in particular fills the log
        assert (await house.http.post("/v1/keys", json={}, headers={"Api-Key": "tnk_a_b"})).status_code == 401
    assert len(await recorded(house)) == count


async def test_without_a_record_nothing_is_changed_and_nothing_shown(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.cluster.tenant("acme").upsert([("a", V, {"x": 1})])
    headers = {"Api-Key": house.admin_key}

    async def full(deed: Any) -> None:
        raise StorageFailed("/srv/catalog.db: disk full")

    monkeypatch.setattr(house.cluster.audit, "record", full)
    asked = {"vector": V, "top_k": 3}
    shown = await house.http.post("/v1/indexes/default/search", json=asked, headers=headers)
    assert (shown.status_code, shown.json()["error"]["code"]) == (503, "STORAGE_FAILED")
    assert "hits" not in shown.text
    assert "/srv" not in shown.text
    gone = await house.http.request("DELETE", "/v1/indexes/default/tenants/acme", headers=headers)
    assert gone.status_code == 503
    assert await house.cluster.tenant("acme").fetch(["a"])
    assert (
        await house.http.post("/query", json={"namespace": "acme", "vector": V, "topK": 1}, headers=headers)
    ).json()["matches"], "what is not recorded goes on"
