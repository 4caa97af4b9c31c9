"""A gateway sends its spans to a collector, over OTLP by HTTP."""

from __future__ import annotations

import asyncio
import gzip
import sys
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tenantry.testing.stub_server import Answer, StubServer

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, running_gateway

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_spans_arrive_with_the_name_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with StubServer(lambda asked: Answer()) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        await asyncio.to_thread(serve_one_request, tmp_path)
        spans = {}
        for asked in collector.asked:
            assert asked.path == "/v1/traces"
            sent = ExportTraceServiceRequest.FromString(gzip.decompress(asked.body))
            for resource in sent.resource_spans:
                named = {one.key: one.value.string_value for one in resource.resource.attributes}
                assert named["service.name"] == "tenantry"
                assert named["service.version"]
                spans |= {span.name: span for scope in resource.scope_spans for span in scope.spans}
    wanted = {"POST /v1/indexes/{index}/tenants/{tenant}/upsert", "tenantry upsert", "upsert shard-0"}
    assert wanted <= spans.keys()
    assert {spans[name].trace_id.hex() for name in wanted} == {TRACE}
    assert {one.key for one in spans["upsert shard-0"].attributes} >= {"db.system.name", "db.operation.name"}


def serve_one_request(folder: Path) -> None:
    with running_gateway(folder / "data", dimension=2, tracing="true") as gateway:
        headers = {"Api-Key": ADMIN_KEY, "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        body = {"records": [{"id": "a", "values": [1, 0]}]}
        answer = httpx.post(f"{gateway.url}/v1/indexes/default/tenants/acme/upsert", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        page = httpx.get(f"{gateway.url}/metrics", headers=headers)
        assert TRACE in page.text
