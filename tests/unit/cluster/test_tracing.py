"""Spans of a running cluster: who is whose child, what they are called, what they say when something fails."""

import asyncio
import subprocess
import sys

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tenantry.catalogs.sql import open_catalog
from tenantry.clock import SystemClock
from tenantry.errors import NotFound, Unavailable
from tenantry.gateway.app import build_app
from tenantry.telemetry.opentelemetry import OtelTracer
from tenantry.telemetry.prometheus import PrometheusTelemetry

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
KEY = "key-of-the-test"
PARENT = f"00-{TRACE}-{CALLER}-01"


class Traced:
    """A cluster, and the spans that it made."""

    def __init__(self, lab, catalog, sampler=None):
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.telemetry = PrometheusTelemetry()
        self.lab = type(lab)(
            catalog, tracer=OtelTracer(provider), telemetry=self.telemetry, clock=SystemClock(), search_deadline_s=60.0
        )
        self.cluster = self.lab.cluster
        app = build_app(self.cluster, admin_key=KEY, telemetry=self.telemetry)
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://gateway", headers={"Api-Key": KEY}
        )

    def spans(self):
        """Finished ones by name, and forgets them."""
        found = {span.name: span for span in self.exporter.get_finished_spans()}
        self.exporter.clear()
        return found


@pytest.fixture
async def traced(lab, tmp_path):
    made = Traced(lab, await open_catalog(f"sqlite:///{tmp_path}/traced.db"))
    await made.cluster.indexes.create("default", 2, shards=2)
    await made.cluster.tenant("acme").upsert([("a", [1.0, 0.0]), ("b", [0.0, 1.0])])
    made.exporter.clear()
    async with made.http:
        yield made
    await made.cluster.aclose()


def parent_of(span):
    return None if span.parent is None else span.parent.span_id


async def test_a_request_is_one_trace_from_the_caller_to_the_backend(traced):
    body = {"vector": [1.0, 0.0], "top_k": 1}
    answer = await traced.http.post(
        "/v1/indexes/default/tenants/acme/query?secret=s", json=body, headers={"traceparent": PARENT}
    )
    assert answer.status_code == 200
    shard = (await traced.cluster.tenants.get("acme")).tenant.route.place.shard
    spans = traced.spans()
    server = spans["POST /v1/indexes/{index}/tenants/{tenant}/query"]
    routed, asked = spans["tenantry query"], spans[f"query {shard}"]
    assert {f"{span.context.trace_id:032x}" for span in (server, routed, asked)} == {TRACE}
    assert f"{server.parent.span_id:016x}" == CALLER
    assert parent_of(routed) == server.context.span_id
    assert parent_of(asked) == routed.context.span_id
    assert (server.kind, routed.kind, asked.kind) == (SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.CLIENT)
    told = dict(server.attributes)
    assert told["http.request.method"] == "POST"
    assert told["http.route"] == "/v1/indexes/{index}/tenants/{tenant}/query"
    assert told["url.path"] == "/v1/indexes/default/tenants/acme/query"
    assert told["http.response.status_code"] == 200
    assert "secret" not in str(told)
    assert dict(routed.attributes) == {"tenantry.index": "default", "tenantry.tenant": "acme"}
    told = dict(asked.attributes)
    assert told.pop("tenantry.namespace")
    assert told == {
        "db.system.name": "memory",
        "db.namespace": "default",
        "db.collection.name": shard,
        "db.operation.name": "query",
    }
    assert server.status.status_code is StatusCode.UNSET


async def test_batches_say_how_large_they_are(traced):
    await traced.cluster.tenant("acme").upsert([(f"r{n}", [1.0, n + 1.0]) for n in range(7)])
    [upsert] = [span for name, span in traced.spans().items() if name.startswith("upsert shard-")]
    assert upsert.attributes["db.operation.batch.size"] == 7


async def test_without_a_traceparent_or_with_a_broken_one_a_trace_begins(traced):
    for headers in ({}, {"traceparent": "00-nonsense-01"}):
        await traced.http.get("/v1/indexes", headers=headers)
        assert traced.spans()["GET /v1/indexes"].parent is None


async def test_failures_are_marked_where_they_are(traced):
    shard = (await traced.cluster.tenants.get("acme")).tenant.route.place.shard
    traced.exporter.clear()

    async def broken(call):
        raise Unavailable("the shard is away")

    traced.lab.backend(shard).enter = broken
    answer = await traced.http.post("/v1/indexes/default/tenants/acme/query", json={"vector": [1.0, 0.0], "top_k": 1})
    assert answer.status_code == 503
    spans = traced.spans()
    asked, server = spans[f"query {shard}"], spans["POST /v1/indexes/{index}/tenants/{tenant}/query"]
    assert (asked.status.status_code, asked.attributes["error.type"]) == (StatusCode.ERROR, "UNAVAILABLE")
    assert (server.status.status_code, server.attributes["error.type"]) == (StatusCode.ERROR, "503")
    missing = await traced.http.post("/v1/indexes/default/tenants/nobody/query", json={"vector": [1.0, 0.0]})
    assert missing.status_code == 404
    server = traced.spans()["POST /v1/indexes/{index}/tenants/{tenant}/query"]
    assert server.status.status_code is StatusCode.UNSET  # the caller's fault
    assert server.attributes["http.response.status_code"] == 404


async def test_a_search_across_tenants_has_its_parts_under_it(traced):
    await traced.cluster.tenant("globex").upsert([("c", [1.0, 1.0])])
    traced.exporter.clear()
    await traced.cluster.search_all([1.0, 0.2], top_k=2)
    spans = list(traced.exporter.get_finished_spans())
    [search] = [span for span in spans if span.name == "tenantry search"]
    asked = [span for span in spans if span.kind is SpanKind.CLIENT and span.name.startswith("query")]
    assert asked
    assert {span.context.trace_id for span in asked} == {search.context.trace_id}


async def test_the_phases_of_a_move_are_traces_of_their_own(traced):
    shard = (await traced.cluster.tenants.get("acme")).tenant.route.place.shard
    target = "shard-1" if shard == "shard-0" else "shard-0"
    answer = await traced.http.post(
        "/v1/indexes/default/tenants/acme/move",
        json={"target": target, "soak_s": 0, "retention_s": 0},
        headers={"traceparent": PARENT},
    )
    move = answer.json()["id"]
    async with asyncio.timeout(20):
        ended = await traced.cluster.moves.wait(move)
    assert ended.phase.value == "done"
    spans = list(traced.exporter.get_finished_spans())
    phases = {span.name: span for span in spans if span.name.startswith("move ")}
    assert {"move prepare", "move copy", "move verify", "move flip", "move settle"} <= phases.keys()
    copy = phases["move copy"]
    assert copy.parent is None
    assert copy.attributes["tenantry.move.id"] == move
    assert (copy.attributes["tenantry.move.source"], copy.attributes["tenantry.move.target"]) == (shard, target)
    inside = {span.name for span in spans if parent_of(span) == copy.context.span_id}
    assert f"scan {shard}" in inside or f"copy_page {target}" in inside
    assert not copy.links  # nor is it tied to the request, which ended long ago
    mine = [span for span in spans if f"{span.context.trace_id:032x}" == TRACE]
    assert {span.name.split()[0] for span in mine} & {"move", "scan", "drop"} == set()


async def test_measurements_carry_the_trace_that_they_belong_to(traced):
    await traced.http.post(
        "/v1/indexes/default/tenants/acme/query",
        json={"vector": [1.0, 0.0], "top_k": 1},
        headers={"traceparent": PARENT},
    )
    page = await traced.http.get("/metrics")
    assert page.headers["content-type"].startswith("application/openmetrics-text")
    families = {one.name: one for one in text_string_to_metric_families(page.text)}
    for name in ("tenantry_shard_operation_duration_seconds", "tenantry_http_request_duration_seconds"):
        found = [one.exemplar for one in families[name].samples if one.exemplar is not None]
        assert TRACE in {one.labels["trace_id"] for one in found}, name


async def test_what_is_not_kept_is_no_exemplar(lab, tmp_path):
    made = Traced(lab, await open_catalog(f"sqlite:///{tmp_path}/off.db"), sampler=ALWAYS_OFF)
    async with made.cluster as cluster:
        await cluster.indexes.create("default", 2, shards=1)
        await cluster.tenant("acme").upsert([("a", [1.0, 0.0])])
        assert made.spans() == {}
        assert b"trace_id" not in made.telemetry.exposition()


async def test_errors_come_through_as_they_are(traced):
    with pytest.raises(NotFound):
        await traced.cluster.tenant("nobody").query([1.0, 0.0])


async def test_where_nobody_traces_nothing_is_in_the_way(lab):
    cluster = lab.cluster
    assert cluster.tracer is None
    assert "query" not in vars(cluster.router)
    await cluster.tenant("acme").upsert([("a", [1.0, 0.0])])
    shard = (await cluster.tenants.get("acme")).tenant.route.place.shard
    assert await cluster.router.pool.backend("default", shard) is lab.backend(shard)
    app = build_app(cluster, open_access=True, telemetry=PrometheusTelemetry())
    assert {type(one).__name__ for found in app._exact.values() for one in found._by_method.values()} == {"Runner"}


def test_the_package_does_without_opentelemetry():
    code = "import sys, tenantry, tenantry.wiring, tenantry.gateway.app; sys.exit('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
