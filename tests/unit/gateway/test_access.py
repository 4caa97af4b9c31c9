"""Every operation of every API with every kind of key: exactly what docs/reference/access.md says, and nothing of one
tenant in what another gets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from structlog.testing import capture_logs

from tenantry.gateway.table import Endpoint

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "access.md"
OWN, OTHER, ABSENT = "own/tenant", "zebra-tenant", "absent-tenant"
#: Stands in everything that belongs to the other tenant, its name included.
MARK = "zebra"
V = [0.5, 0.5, 0.5, 0.5]
BODIES: dict[str, Any] = {
    "/query": {"topK": 5, "vector": V, "includeMetadata": True, "includeValues": True},
    "/vectors/upsert": {"vectors": [{"id": "a", "values": V}]},
    "/vectors/update": {"id": "a", "setMetadata": {"x": 1}},
    "/vectors/delete": {"ids": ["gone"]},
    "/vectors/fetch_by_metadata": {"filter": {"x": {"$exists": True}}},
}
NATIVE: dict[str, Any] = {
    "/query": {"top_k": 5, "vector": V, "include_values": True},
    "/upsert": {"records": [{"id": "a", "values": V}]},
    "/fetch": {"ids": ["a", "b", "o"]},
    "/update": {"id": "a", "set_metadata": {"x": 1}},
    "/delete": {"ids": ["gone"]},
    "/documents": {"documents": [{"id": "d", "text": "t"}]},
    "/documents/delete": {"ids": ["gone"]},
    "/search": {"text": "x"},
}


def documented() -> dict[str, dict[str, str]]:
    """Operation to what the page promises each kind of key."""
    found: dict[str, dict[str, str]] = {}
    columns: list[str] = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "operation":
            columns = cells[2:]
        elif match := re.fullmatch(r"`([A-Z]+ /\S*)`", cells[0]):
            found[match[1]] = dict(zip(columns, cells[2:], strict=True))
    return found


PROMISED = documented()


def name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path.removeprefix('/i/{index}') or '/'}"


def guarded(house: Any) -> list[Endpoint]:
    """All operations but the files of the dashboard, which are open to everybody."""
    return [one for one in house.app.endpoints if not is_file(one)]


def is_file(endpoint: Endpoint) -> bool:
    return endpoint.path == "/" or endpoint.path.startswith("/dashboard/")


async def send(
    house: Any, endpoint: Endpoint, key: str | None, *, index: str = "default", tenant: str = OWN, **more: Any
) -> httpx.Response:
    """One request of an operation, for a tenant of an index."""
    path = endpoint.path
    for name, value in {"index": index, "tenant": tenant, "namespace": tenant, "shard": "none", "id": "none"}.items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    pinecone = endpoint.face.name == "pinecone-data"
    json: Any = None
    params: dict[str, Any] | None = None
    if endpoint.request is not None:
        table = BODIES if pinecone else NATIVE
        tail = max((one for one in table if endpoint.path.endswith(one)), key=len, default="")
        json = {**table.get(tail, {}), **more}
        if pinecone and tail:
            json["namespace"] = tenant
    elif endpoint.query is not None and pinecone:
        params = {"namespace": tenant, **more}
        if endpoint.path.endswith("/fetch"):
            params["ids"] = ["a", "b", f"{MARK}-record"]
    headers = {} if key is None else {"Api-Key": key}
    return await house.http.request(endpoint.method, path, json=json, params=params, headers=headers)


@pytest.fixture
async def keys(house: Any) -> dict[str, str]:
    """Every kind of key, good and bad; and records of two tenants in two indexes."""
    for index in ("default", "second"):
        for tenant, mark in ((OWN, "own"), (OTHER, MARK)):
            records = [(id, V, {"x": 1, "mark": mark}) for id in ("a", "b")]
            await house.cluster.tenant(tenant, index).upsert([*records, (f"{mark}-record", V, {"x": 1})])

    async def made(*given: Any, **more: Any) -> tuple[str, str]:
        key, secret = await house.cluster.keys.create(*given, **more)
        return key.id, secret

    found = {
        "admin": (await made())[1],
        "settings": house.admin_key,
        "operator": (await made(scope="operator"))[1],
        "tenant": (await made(OWN))[1],
        "tenant-read": (await made(OWN, scope="tenant-read"))[1],
        "reader": (await made(scope="reader"))[1],
        "reader-of-second": (await made(None, "second", scope="reader"))[1],
        "tenant-of-second": (await made(OWN, "second"))[1],
        "other-tenant": (await made(OTHER))[1],
        "empty": "",
        "garbage": "tnk_abc_def",
        "unknown": "tnk_000000000000_" + "0" * 64,
        "expired": (await made(expires_in_s=5))[1],
    }
    found["wrong-secret"] = found["admin"][:-1] + ("0" if found["admin"][-1] != "0" else "1")
    id, found["revoked"] = await made()
    await house.cluster.keys.revoke(id)
    id, found["rotated"] = await made()
    await house.cluster.keys.rotate(id, overlap_s=5)
    house.clock.advance(5.0)
    return found


BAD = ("empty", "garbage", "unknown", "wrong-secret", "expired", "revoked", "rotated")


def test_the_page_names_every_operation(house: Any) -> None:
    served = {name_of(one) for one in house.app.endpoints if one.documented}
    assert served == set(PROMISED)
    assert {frozenset(row) for row in PROMISED.values()} == {
        frozenset({"none", "admin", "operator", "tenant", "tenant-read", "reader"})
    }


def test_what_must_never_change_by_accident() -> None:
    """Written down by hand: a wrong declaration would change the page as well."""
    for name, row in PROMISED.items():
        method, path = name.split(" ")
        if "/keys" in path or path == "/v1/audit/prune" or (method == "DELETE" and "/shards/" not in path):
            assert {row[one] for one in ("operator", "tenant", "tenant-read", "reader")} == {"-"}, name
        data = re.search(r"/(query|upsert|fetch\w*|update|ids|documents|documents/delete|list)$", path)
        data = data or path.endswith(("/vectors/delete", "{tenant}/delete", "{tenant}/search", "{index}/search"))
        if data:
            assert row["operator"] == "-", name
        if re.search(r"/(upsert|update|delete|documents)$", path):
            assert (row["tenant-read"], row["reader"]) == ("-", "-"), name
        if path.startswith("/v1/") and "{tenant}" not in path and path not in ("/v1/openapi.json", "/v1/whoami"):
            assert (row["tenant"], row["tenant-read"]) == ("-", "-"), name
    assert {name for name, row in PROMISED.items() if row["none"] == "yes"} == {
        *("GET /healthz", "GET /readyz", "GET /v1/openapi.json")
    }


async def test_the_files_of_the_dashboard_are_open_and_all_that_is(house: Any) -> None:
    files = [one for one in house.app.endpoints if is_file(one)]
    assert len(files) > 30
    for endpoint in files:
        assert (endpoint.method, endpoint.access.right, endpoint.documented) == ("GET", None, False)
        answer = await house.http.get(endpoint.path)
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    for path in ("/dashboard/", "/dashboard/../settings.py", files[-1].path + ".map", "/index.html"):
        assert (await house.http.get(path)).status_code in (401, 404), path


async def test_a_bad_key_opens_nothing(house: Any, keys: dict[str, str]) -> None:
    for endpoint in guarded(house):
        for kind in (None, *BAD):
            answer = await send(house, endpoint, None if kind is None else keys[kind])
            public = PROMISED.get(name_of(endpoint), {}).get("none") == "yes"
            assert answer.status_code == (200 if public else 401), (name_of(endpoint), kind, answer.text)
            if not public and kind in BAD[1:]:
                assert "the API key is not valid" in answer.text, "the same words whatever is wrong"


#: Key to the column of the page, the index that it is held to, the tenant that it is held to.
GOOD = {
    "admin": ("admin", None, None),
    "settings": ("admin", None, None),
    "operator": ("operator", None, None),
    "reader": ("reader", None, None),
    "reader-of-second": ("reader", "second", None),
    "tenant": ("tenant", "default", OWN),
    "tenant-read": ("tenant-read", "default", OWN),
    "tenant-of-second": ("tenant", "second", OWN),
    "other-tenant": ("tenant", "default", OTHER),
}


@pytest.mark.parametrize("kind", GOOD)
async def test_each_key_may_do_what_the_page_says(house: Any, keys: dict[str, str], kind: str) -> None:
    column, bound_index, bound_tenant = GOOD[kind]
    for endpoint in guarded(house):
        promise = PROMISED.get(name_of(endpoint), {}).get(column, "yes" if column == "admin" else "-")
        control = endpoint.access.right is not None and endpoint.access.right.value in ("control", "admin", "see")
        indexes = ("absent",) if control else ("default", "second", "absent")
        for index in indexes if "{index}" in endpoint.path else ("default",):
            bodies = set()
            for tenant in (OWN, OTHER, ABSENT, "own"):
                answer = await send(house, endpoint, keys[kind], index=index, tenant=tenant)
                where = (name_of(endpoint), kind, index, tenant, answer.status_code, answer.text)
                own = bound_index in (None, index) or endpoint.access.reach.value == "own"
                if endpoint.access.reach.value in ("tenant", "namespace"):
                    own = own and bound_tenant in (None, tenant)
                if promise == "-" or not (own or endpoint.access.right is None):
                    assert answer.status_code == 403, where
                    bodies.add(answer.content)
                else:
                    assert answer.status_code not in (401, 403, 500), where
                    if bound_tenant == OWN:
                        assert MARK not in answer.text, where
            assert len(bodies) <= 1, "a refusal does not tell what exists"


async def test_a_cursor_is_good_for_the_tenant_that_it_was_given_to(house: Any, keys: dict[str, str]) -> None:
    own, other = {"Api-Key": keys["tenant"]}, {"Api-Key": keys["other-tenant"]}
    get, post = house.http.get, house.http.post

    async def check(mine: httpx.Response, theirs: httpx.Response) -> None:
        assert mine.status_code == 200, mine.text
        assert theirs.status_code == 400, theirs.text
        assert "for the same index, tenant and parameters; or none, to begin anew" in theirs.text

    page = (await get("/vectors/list", params={"namespace": OWN, "limit": 1}, headers=own)).json()
    token = {"limit": 1, "paginationToken": page["pagination"]["next"]}
    await check(
        await get("/vectors/list", params={"namespace": OWN, **token}, headers=own),
        await get("/vectors/list", params={"namespace": OTHER, **token}, headers=other),
    )
    asked = {"filter": {"x": 1}, "limit": 1}
    page = (await post("/vectors/fetch_by_metadata", json={"namespace": OWN, **asked}, headers=own)).json()
    asked["paginationToken"] = page["pagination"]["next"]
    await check(
        await post("/vectors/fetch_by_metadata", json={"namespace": OWN, **asked}, headers=own),
        await post("/vectors/fetch_by_metadata", json={"namespace": OTHER, **asked}, headers=other),
    )
    path = "/v1/indexes/{}/tenants/{}/ids"
    mine = path.format("default", quote(OWN, safe=""))
    cursor = {"limit": 1, "cursor": (await get(mine, params={"limit": 1}, headers=own)).json()["cursor"]}
    await check(
        await get(mine, params=cursor, headers=own),
        await get(path.format("default", OTHER), params=cursor, headers=other),
    )
    second = {"Api-Key": keys["tenant-of-second"]}
    await check(
        await get(mine, params=cursor, headers=own),
        await get(path.format("second", quote(OWN, safe="")), params=cursor, headers=second),
    )
    page = (await get("/namespaces", params={"limit": 1}, headers={"Api-Key": house.admin_key})).json()
    stolen = {"limit": 1, "paginationToken": page["pagination"]["next"]}
    assert (await get("/namespaces", params=stolen, headers=own)).status_code == 400
    assert (await get(mine, params={"cursor": OTHER}, headers=own)).status_code == 400, "nor is a name a cursor"


WIDE = [
    {"mark": MARK},
    {"mark": {"$ne": "own"}},
    {"$or": [{"mark": MARK}, {"mark": {"$exists": False}}]},
    {"namespace": OTHER},
    {"tenant": OTHER},
    {"_tenant": {"$ne": OWN}},
    {"__tenant__": OTHER},
    {"$and": [{"x": 1}, {"namespace": {"$in": [OTHER]}}]},
    {"x": {"$gte": -1e308}},
]


@pytest.mark.parametrize("condition", WIDE, ids=str)
async def test_no_filter_widens_what_a_key_reaches(house: Any, keys: dict[str, str], condition: dict[str, Any]) -> None:
    headers = {"Api-Key": keys["tenant"]}
    base = f"/v1/indexes/default/tenants/{quote(OWN, safe='')}"
    for path, body in (
        ("/query", {"namespace": OWN, "topK": 100, "vector": V, "includeMetadata": True, "filter": condition}),
        ("/vectors/fetch_by_metadata", {"namespace": OWN, "filter": condition}),
        (f"{base}/query", {"vector": V, "top_k": 100, "filter": condition}),
    ):
        answer = await house.http.post(path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        assert MARK not in answer.text
    for path, body in (
        ("/vectors/update", {"namespace": OWN, "filter": condition, "setMetadata": {"x": 2}}),
        ("/vectors/delete", {"namespace": OWN, "filter": condition}),
        (f"{base}/delete", {"filter": condition}),
    ):
        assert (await house.http.post(path, json=body, headers=headers)).status_code == 200
    theirs = await house.cluster.tenant(OTHER).fetch(["a", "b", f"{MARK}-record"])
    assert {id: record.metadata["x"] for id, record in theirs.items()} == {"a": 1, "b": 1, f"{MARK}-record": 1}


async def test_errors_of_one_tenant_name_no_other(house: Any, keys: dict[str, str]) -> None:
    """Full and dedicated shards, suspended tenants, broken shards: what a tenant's own key is told."""
    await house.cluster.tenants.create("zebra-too")
    for shard in ("shard-0", "shard-1"):
        await house.cluster.shards.update(shard, max_tenants=0)
    _, fresh = await house.cluster.keys.create("fresh")
    body = {"namespace": "fresh", "vectors": [{"id": "a", "values": V}]}
    full = await house.http.post("/vectors/upsert", json=body, headers={"Api-Key": fresh})
    assert full.status_code == 403, full.text
    assert MARK not in full.text
    await house.cluster.tenants.suspend(OWN)
    shut = await house.http.post(
        "/query", json={"namespace": OWN, "topK": 1, "vector": V}, headers={"Api-Key": keys["tenant"]}
    )
    assert shut.status_code == 412, shut.text
    assert MARK not in shut.text


async def test_measurements_and_logs_name_no_tenant_and_no_secret(
    house: Any, keys: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as events:
        for kind in ("tenant", "tenant-read", "reader", "expired", "wrong-secret"):
            for endpoint in guarded(house):
                if endpoint.access.right is not None and endpoint.access.right.value in ("read", "write", "count"):
                    await send(house, endpoint, keys[kind])
    shown = house.telemetry.exposition().decode()
    logged = caplog.text + msgspec.json.encode(events).decode()
    recorded = msgspec.json.encode(list(house.catalog.tables.audit.values())).decode()
    for tenant in (OWN, OTHER):
        assert tenant not in shown
        assert tenant not in logged
    for kind in GOOD:
        assert keys[kind].split("_")[-1] not in shown + logged + recorded
