"""Bad input over a socket, on both APIs: the right status, a message that names the field, and nothing changed."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, running_gateway

V = [0.1, 0.2, 0.3, 0.4]
ADMIN = {"Api-Key": ADMIN_KEY}


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        running_gateway(tmp_path_factory.mktemp("bad") / "data", dimension=4) as gateway,
        httpx.Client(base_url=gateway.url, headers=ADMIN, timeout=60) as client,
    ):
        body = {"namespace": "kept", "vectors": [{"id": "a", "values": V, "metadata": {"k": 1}}]}
        assert client.post("/vectors/upsert", json=body).status_code == 200
        yield client


@pytest.fixture(autouse=True)
def nothing_changed(http: httpx.Client) -> Iterator[None]:
    yield
    stats = http.post("/describe_index_stats", json={}).json()
    assert stats["namespaces"] == {"kept": {"vectorCount": 1}}
    assert http.get("/vectors/fetch", params={"ids": "a", "namespace": "kept"}).json()["vectors"] == {
        "a": {"id": "a", "values": pytest.approx(V), "metadata": {"k": 1}}
    }
    assert [one["name"] for one in http.get("/indexes").json()["indexes"]] == ["default"]


def record(**changes: Any) -> dict[str, Any]:
    return {"id": "new", "values": V, **changes}


BAD_RECORDS = {
    "too-short": ([record(), record(id="b", values=[1.0])], "[1].values", "exactly 4"),
    "too-long": ([record(values=[1.0] * 5)], "[0].values", "exactly 4"),
    "no-values": ([record(values=[])], "[0].values", "exactly 4"),
    "beyond-float32": ([record(values=[1e39, 0, 0, 0])], "[0].values[0]", "finite"),
    "zero-vector": ([record(values=[0, 0, 0, 0])], "[0].values", "not all zero"),
    "text-in-vector": ([record(values=["1", 0, 0, 0])], "[0].values[0]", "Expected float"),
    "null-in-vector": ([record(values=[None, 0, 0, 0])], "[0].values[0]", "Expected float"),
    "bool-in-vector": ([record(values=[True, 0, 0, 0])], "[0].values[0]", "Expected float"),
    "empty-id": ([record(id="")], "[0].id", "non-empty"),
    "long-id": ([record(id="x" * 513)], "[0].id", "at most 512"),
    "numeric-id": ([record(id=7)], "[0].id", "Expected str"),
    "duplicate-ids": ([record(), record()], "[1].id", "unique"),
    "big-metadata": ([record(metadata={"t": "x" * 41_000})], "[0].metadata", "40960"),
    "nested-metadata": ([record(metadata={"a": {"b": 1}})], "[0].metadata.a", "list of strings"),
    "mixed-list": ([record(metadata={"a": ["x", 1]})], "[0].metadata.a", "list of strings"),
    "dollar-field": ([record(metadata={"$a": 1})], "[0].metadata", "start with '$'"),
    "no-records": ([], "", "1 to 1000"),
    "too-many": ([record(id=f"{i}") for i in range(1_001)], "", "at most 1000"),
    "not-a-list": ({"id": "a"}, "", "Expected array"),
    "no-id": ([{"values": V}], "[0].id", "required"),
}


@pytest.mark.parametrize("case", BAD_RECORDS)
def test_bad_records(http: httpx.Client, case: str) -> None:
    records, where, reason = BAD_RECORDS[case]
    answer = http.post("/vectors/upsert", json={"vectors": records, "namespace": "kept"})
    assert answer.status_code == 400, answer.text
    shape = answer.json()
    assert (shape["code"], shape["details"]) == (3, [])
    assert shape["message"].startswith(f"vectors{where}:"), shape["message"]
    assert reason in shape["message"]
    answer = http.post("/v1/indexes/default/tenants/kept/upsert", json={"records": records})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["field"] == f"records{where}", error
    assert reason in error["message"]


@pytest.mark.parametrize("namespace", ["x" * 513, "a\x00b", "line\nbreak", "late~2"])
def test_bad_namespaces(http: httpx.Client, namespace: str) -> None:
    answer = http.post("/vectors/upsert", json={"vectors": [record()], "namespace": namespace})
    assert answer.status_code == 400, answer.text
    assert answer.json()["message"].startswith("namespace:")


BAD_QUERIES = {
    "dimension": ({"vector": [1.0]}, "vector:", "exactly 4"),
    "zero": ({"vector": [0, 0, 0, 0]}, "vector:", "not all zero"),
    "no-question": ({}, "vector:", "exactly one"),
    "two-questions": ({"vector": V, "id": "a"}, "vector:", "exactly one"),
    "k-0": ({"vector": V, "topK": 0}, "topK:", "1 to 10,000"),
    "k-10001": ({"vector": V, "topK": 10_001}, "topK:", "1 to 10,000"),
    "k-by-id": ({"id": "a", "topK": 10_001}, "topK:", "1 to 10,000"),
    "k-text": ({"vector": V, "topK": "3"}, "topK:", "Expected int"),
    "operator": ({"vector": V, "filter": {"a": {"$like": "x"}}}, "filter.a:", "$eq"),
    "group": ({"vector": V, "filter": {"$and": []}}, "filter.$and:", "non-empty list"),
    "top-level": ({"vector": V, "filter": {"$not": {}}}, "filter:", "$and or $or"),
    "in": ({"vector": V, "filter": {"a": {"$in": "x"}}}, "filter.a.$in:", "a list"),
    "range": ({"vector": V, "filter": {"a": {"$gt": "x"}}}, "filter.a.$gt:", "a number"),
    "filter-list": ({"vector": V, "filter": [1]}, "filter:", "Expected object"),
    "several": ({"queries": []}, "queries:", "not supported"),
}


@pytest.mark.parametrize("case", BAD_QUERIES)
def test_bad_queries(http: httpx.Client, case: str) -> None:
    body, where, reason = BAD_QUERIES[case]
    answer = http.post("/query", json={"topK": 3, "namespace": "kept", **body})
    assert answer.status_code == 400, answer.text
    assert answer.json()["message"].startswith(where), answer.text
    assert reason in answer.json()["message"]


OTHERS = {
    "delete-nothing": ("POST", "/vectors/delete", {"namespace": "kept"}, "ids:"),
    "delete-two": ("POST", "/vectors/delete", {"namespace": "kept", "ids": ["a"], "deleteAll": True}, "ids:"),
    "delete-empty-filter": ("POST", "/vectors/delete", {"namespace": "kept", "filter": {}}, "ids:"),
    "delete-no-ids": ("POST", "/vectors/delete", {"namespace": "kept", "ids": []}, "ids:"),
    "delete-many": ("POST", "/vectors/delete", {"namespace": "kept", "ids": [str(i) for i in range(1_001)]}, "ids:"),
    "update-nothing": ("POST", "/vectors/update", {"namespace": "kept", "id": "a"}, "update:"),
    "update-two": ("POST", "/vectors/update", {"namespace": "kept", "id": "a", "filter": {"k": 1}}, "id:"),
    "update-dimension": ("POST", "/vectors/update", {"namespace": "kept", "id": "a", "values": [1.0]}, "values:"),
    "update-nested": (
        "POST", "/vectors/update", {"namespace": "kept", "id": "a", "setMetadata": {"a": {}}}, "setMetadata.a:"
    ),
    "update-filter-values": (
        "POST", "/vectors/update", {"namespace": "kept", "filter": {"k": 1}, "values": V}, "values:"
    ),
    "update-filter-nested": (
        "POST", "/vectors/update", {"namespace": "kept", "filter": {"k": 1}, "setMetadata": {"a": {}}}, "setMetadata.a:"
    ),
    "fetch-by-empty": ("POST", "/vectors/fetch_by_metadata", {"namespace": "kept", "filter": {}}, "filter:"),
    "fetch-no-ids": ("GET", "/vectors/fetch?namespace=kept", None, "ids:"),
    "fetch-many": ("GET", "/vectors/fetch?namespace=kept&" + "&".join(f"ids={i}" for i in range(1_001)), None, "ids:"),
    "list-limit": ("GET", "/vectors/list?namespace=kept&limit=101", None, "limit:"),
    "list-limit-text": ("GET", "/vectors/list?namespace=kept&limit=ten", None, "limit:"),
    "list-token": ("GET", "/vectors/list?namespace=kept&paginationToken=%21%21", None, "paginationToken:"),
    "list-token-random": ("GET", "/vectors/list?namespace=kept&paginationToken=AAAAAAAAAAAA", None, "paginationToken:"),
    "list-twice": ("GET", "/vectors/list?namespace=kept&namespace=other", None, "namespace:"),
    "namespaces-limit": ("GET", "/namespaces?limit=0", None, "limit:"),
    "not-utf-8-query": ("GET", "/vectors/list?prefix=%ff", None, "the query string"),
    "not-utf-8-path": ("GET", "/namespaces/%ff", None, "namespace:"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_other_bad_requests(http: httpx.Client, case: str) -> None:
    method, path, body, where = OTHERS[case]
    answer = http.request(method, path, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["message"].startswith(where), answer.text


def test_a_token_is_bound_to_its_listing(http: httpx.Client) -> None:
    made = {"namespace": "paged", "vectors": [record(id=f"{i}") for i in range(3)]}
    assert http.post("/vectors/upsert", json=made).status_code == 200
    token = http.get("/vectors/list?namespace=paged&limit=1").json()["pagination"]["next"]
    following = http.get(f"/vectors/list?namespace=paged&limit=1&paginationToken={token}")
    assert following.json()["vectors"] == [{"id": "1"}]
    for other in ("namespace=kept", "namespace=paged&prefix=1"):
        answer = http.get(f"/vectors/list?{other}&paginationToken={token}")
        assert answer.status_code == 400
    assert http.delete("/namespaces/paged").status_code == 200


CONTROL = {
    "name": ({"name": "Upper_Case", "dimension": 4}, 400, "name:"),
    "dimension": ({"name": "x", "dimension": 0}, 400, "dimension:"),
    "dimension-text": ({"name": "x", "dimension": "4"}, 400, "dimension:"),
    "no-dimension": ({"name": "x", "metric": "cosine"}, 400, "dimension:"),
    "metric": ({"name": "x", "dimension": 4, "metric": "manhattan"}, 400, "metric:"),
    "taken": ({"name": "default", "dimension": 4}, 409, "index 'default'"),
    "sparse": ({"name": "x", "vector_type": "sparse", "metric": "dotproduct"}, 501, "vector_type:"),
    "protection": ({"name": "x", "dimension": 4, "deletion_protection": "on"}, 400, "deletion_protection:"),
    "tags": ({"name": "x", "dimension": 4, "tags": {"a b": "c"}}, 400, "tags:"),
    "byoc": ({"name": "x", "dimension": 4, "spec": {"byoc": {"environment": "e"}}}, 501, "spec:"),
    "collection": ({"name": "x", "dimension": 4, "source_collection": "c"}, 501, "source_collection:"),
    "capacity": ({"name": "x", "dimension": 4, "read_capacity": {"mode": "Dedicated"}}, 501, "read_capacity.mode:"),
    "schema": ({"name": "x", "schema": {"fields": {}}}, 400, "schema.fields:"),
    "both": ({"name": "x", "dimension": 4, "schema": {"fields": {"_values": {}}}}, 400, "schema:"),
}


@pytest.mark.parametrize("case", CONTROL)
def test_bad_indexes(http: httpx.Client, case: str) -> None:
    body, status, where = CONTROL[case]
    answer = http.post("/indexes", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["status"] == status
    assert answer.json()["error"]["message"].startswith(where), answer.text
    assert answer.json()["error"]["code"] in ("INVALID_ARGUMENT", "ALREADY_EXISTS", "UNIMPLEMENTED")


RAW = {
    "cut-short": (b'{"vectors": [', 400, "not valid JSON"),
    "nan": (b'{"topK": 1, "vector": [NaN, 1, 1, 1]}', 400, "not valid JSON"),
    "infinity": (b'{"topK": 1, "vector": [1e999, 1, 1, 1]}', 400, "vector[0]"),
    "not-utf-8": (b'{"topK": 1, "namespace": "\xff\xfe"}', 400, "UTF-8"),
    "an-array": (b"[1, 2]", 400, "Expected object"),
    "two-documents": (b'{"topK": 1, "vector": [1, 1, 1, 1]}{}', 400, "not valid JSON"),
    "empty": (b"", 400, "topK"),
    "deep": (b'{"topK": 1, "filter": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", 400, "nested too deeply"),
    "deep-filter": (
        b'{"topK": 1, "vector": [1, 1, 1, 1], "filter": ' + b'{"$and": [' * 30 + b'{"a": 1}' + b"]}" * 30 + b"}",
        400,
        "nesting",
    ),
}


@pytest.mark.parametrize("case", RAW)
def test_bodies_that_are_not_what_they_should_be(http: httpx.Client, case: str) -> None:
    content, status, reason = RAW[case]
    answer = http.post("/query", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert reason in answer.json()["message"]


def test_a_wrong_content_type(http: httpx.Client) -> None:
    answer = http.post("/vectors/upsert", data={"a": "b"})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["message"]


def test_a_body_over_its_limit(http: httpx.Client) -> None:
    big = json.dumps({"vectors": [record(id="x" * 100)] * 40_000}).encode()
    assert len(big) > 4_194_304
    for path in ("/vectors/upsert", "/query"):
        for content in (big, (big[i : i + 65_536] for i in range(0, len(big), 65_536))):  # with a length, and chunked
            answer = http.post(path, content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == 413, answer.text
            assert answer.json()["code"] == 11
    native = http.post("/v1/indexes", content=big, headers={"Content-Type": "application/json"})
    assert (native.status_code, native.json()["error"]["code"]) == (413, "TOO_LARGE")


def test_paths_and_methods_that_do_not_exist(http: httpx.Client) -> None:
    assert http.get("/nothing").json()["code"] == 5
    assert http.get("/v1/nothing").json()["error"]["code"] == "NOT_FOUND"
    for path in ("/nothing", "/v1/nothing", "/i/default", "/query/", "//query"):
        whole = httpx.URL(http.base_url, raw_path=path.encode())  # joined by httpx, //query would be a host
        assert http.get(whole).status_code == 404, path
    wrong = http.get("/query")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert http.put("/v1/indexes/default").headers["allow"] == "DELETE, GET, HEAD, PATCH"


def test_an_unknown_index_and_tenant(http: httpx.Client) -> None:
    assert http.post("/i/none/query", json={"topK": 1, "vector": V}).status_code == 404
    assert http.post("/i/none/vectors/upsert", json={"vectors": [record()]}).status_code == 404
    missing = http.post("/v1/indexes/default/tenants/none/query", json={"vector": V})
    assert (missing.status_code, missing.json()["error"]["message"][:13]) == (404, "tenant 'none'")


def test_the_clients_request_id_comes_back(http: httpx.Client) -> None:
    assert http.get("/healthz", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    for bad in ("a b", "x" * 65):
        assert http.get("/healthz", headers={"X-Request-Id": bad}).headers["x-request-id"] != bad


def test_garbage_on_the_socket(http: httpx.Client) -> None:
    at = urlsplit(str(http.base_url))
    for sent in (b"\x16\x03\x01garbage\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"):
        with socket.create_connection((at.hostname or "", at.port or 0), timeout=5) as connection:
            connection.sendall(sent)
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
    with socket.create_connection((at.hostname or "", at.port or 0), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 600_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
