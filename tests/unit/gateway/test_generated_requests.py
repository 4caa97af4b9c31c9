"""Requests that were made up, by the thousand: from the OpenAPI document, and beside it. Whatever comes, the gateway
answers as documented, never with a server error, and nothing of it is a crash."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tenantry.clock import SystemClock

BOUNDED = settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
#: Streams without an end, and what would refuse everything after it.
SLOW = ("/events", "/live", "/suspend")
#: 501 is what says that something is not supported here; 504 answers a wait that the request itself bounds.
ALLOWED = {501}
WAITS = ("/rollup", "/rollup/verify")
#: Every other request is about something that exists.
THERE = {"index": "default", "tenant": "acme", "namespace": "acme", "shard": "shard-0"}


class Stage:
    """A gateway and a loop of its own, so that hypothesis can drive it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.loop = asyncio.new_event_loop()
        self.turn = False
        self.house = self.run(self._made(make))

    async def _made(self, make: Callable[[], Any]) -> Any:
        house = make(clock=SystemClock())  # what waits for a while is to find that time passes
        await house.cluster.indexes.create("default", 4, shards=2)
        await house.cluster.tenant("acme").upsert([(f"r{i}", [1, i, 0, 0], {"n": i}) for i in range(5)])
        return house

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def ask(self, method: str, url: str, **given: Any) -> httpx.Response:
        headers = {"Api-Key": self.house.admin_key, **given.pop("headers", {})}
        with capture_logs() as logs:
            answer: httpx.Response = self.run(self.house.http.request(method, url, headers=headers, **given))
        allowed = ALLOWED | {504} if url.endswith(WAITS) else ALLOWED
        assert answer.status_code < 500 or answer.status_code in allowed, (method, url, given, answer.text)
        assert not logs, logs
        if answer.status_code >= 400 and method != "HEAD":
            shown = msgspec.json.decode(answer.content)
            assert "error" in shown or {"code", "message", "details"} == set(shown), shown
        return answer

    def close(self) -> None:
        self.run(self.house.http.aclose())
        self.run(self.house.cluster.aclose())
        self.loop.close()


@pytest.fixture(scope="module")
def stage(make_house: Callable[[], Any]) -> Any:
    made = Stage(make_house)
    yield made
    made.close()


@pytest.fixture(scope="module")
def document(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.ask("GET", "/v1/openapi.json").json()
    return found


@pytest.mark.timeout(400)
def test_requests_made_from_the_openapi_document(stage: Stage, document: dict[str, Any]) -> None:
    logging.getLogger("schemathesis").setLevel(logging.ERROR)
    seen: dict[str, set[int]] = {}
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = result.ok()
        name = f"{operation.method.upper()} {operation.path}"
        if operation.path.endswith(SLOW):
            continue

        statuses = seen.setdefault(name, set())
        BOUNDED(given(case=operation.as_strategy())(driver(stage, statuses)))()
    assert len(seen) > 50
    assert sum(bool({200, 201, 202} & statuses) for statuses in seen.values()) > 35
    assert sum(400 in statuses for statuses in seen.values()) > 35


def driver(stage: Stage, statuses: set[int]) -> Callable[[Any], None]:
    def drive(case: Any) -> None:
        _drive(stage, statuses, case)

    return drive


def _drive(stage: Stage, statuses: set[int], case: Any) -> None:
    stage.turn = not stage.turn
    if stage.turn and case.method.upper() != "DELETE" and isinstance(case.path_parameters, dict):
        case.path_parameters |= {name: THERE[name] for name in case.path_parameters if name in THERE}
    made = case.as_transport_kwargs(base_url="http://house.test")
    request = {key: made[key] for key in ("params", "json", "data") if made.get(key) is not None}
    if "data" in request and not isinstance(request["data"], dict):
        request["content"] = request.pop("data")
    try:
        answer = stage.ask(made["method"], made["url"], **request)
    except (httpx.InvalidURL, UnicodeEncodeError, TypeError):
        return  # the client itself cannot send it
    statuses.add(answer.status_code)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["acme", "", "..", "../..", "%2e%2e", "a/b", "'; DROP TABLE x; --", "a\x00b", "x" * 600, "__default__"]
    ),
)
NUMBERS = st.lists(st.floats(width=32, allow_nan=False) | st.integers(-(10**40), 10**40), max_size=6)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "namespace": NAMES | JSON,
        "vector": NUMBERS | JSON,
        "topK": st.integers(-2, 20_000) | JSON,
        "id": NAMES | JSON,
        "ids": st.lists(NAMES, max_size=4) | JSON,
        "filter": JSON | st.dictionaries(st.sampled_from(["$and", "$or", "$not", "a", "$in", "$"]), JSON, max_size=3),
        "vectors": st.lists(
            st.fixed_dictionaries({"id": NAMES, "values": NUMBERS}, optional={"metadata": JSON}), max_size=3
        )
        | JSON,
        "values": NUMBERS | JSON,
        "setMetadata": JSON,
        "deleteAll": st.booleans() | JSON,
        "limit": st.integers(-2, 2**70) | JSON,
        "paginationToken": NAMES | JSON,
        "includeValues": st.booleans() | JSON,
        "prefix": NAMES | JSON,
        "name": NAMES | JSON,
    },
)
PINECONE = ("/query", "/vectors/upsert", "/vectors/update", "/vectors/delete", "/vectors/fetch_by_metadata")
MORE = ("/describe_index_stats", "/namespaces", "/indexes")


@settings(BOUNDED, max_examples=400)
@given(path=st.sampled_from(PINECONE + MORE), body=FIELDS | JSON)
def test_bodies_of_pinecones_operations(stage: Stage, path: str, body: Any) -> None:
    try:
        content = msgspec.json.encode(body)
    except (UnicodeEncodeError, OverflowError):
        return
    stage.ask("POST", path, content=content, headers={"Content-Type": "application/json"})


@settings(BOUNDED, max_examples=150)
@given(
    path=st.sampled_from(PINECONE), raw=st.binary(max_size=200) | st.just(b"[" * 100_000) | st.just(b'{"a":' * 50_000)
)
def test_bytes_that_are_no_json(stage: Stage, path: str, raw: bytes) -> None:
    stage.ask("POST", path, content=raw, headers={"Content-Type": "application/json"})


@settings(BOUNDED, max_examples=200)
@given(
    path=st.sampled_from(["/vectors/fetch", "/vectors/list", "/namespaces"]),
    fields=st.lists(st.tuples(st.sampled_from(["ids", "namespace", "limit", "prefix", "paginationToken", "x"]), NAMES)),
)
def test_query_strings(stage: Stage, path: str, fields: list[tuple[str, str]]) -> None:
    try:
        stage.ask("GET", path, params=fields)
    except (UnicodeEncodeError, httpx.InvalidURL):
        return


@settings(BOUNDED, max_examples=150)
@given(raw=st.binary(min_size=1, max_size=40).map(lambda raw: "".join(f"%{byte:02x}" for byte in raw)))
def test_paths_of_any_bytes(stage: Stage, raw: str) -> None:
    for path in (f"/namespaces/{raw}", f"/i/{raw}/query", f"/v1/indexes/default/tenants/{raw}", f"/v1/keys/{raw}"):
        stage.ask("GET" if not path.endswith("query") else "POST", path)


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "identity, gzip", "GZIP"])
def test_compressed_bodies_are_refused_unread(stage: Stage, coding: str) -> None:
    """A bomb of a kilobyte would be a gigabyte; nothing here unpacks."""
    answer = stage.ask("POST", "/query", content=b"\x1f\x8b" + b"x" * 1_000, headers={"Content-Encoding": coding})
    assert answer.status_code == 415
    assert "Content-Encoding" in answer.text
