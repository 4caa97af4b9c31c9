"""What tracing adds to a query through the library: spans that are kept, and spans of a request that is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from bench import clusters
from bench.measure import Context, Report, median_us

VECTORS, TENANT = 500, "tenant"
TOGETHER = 20


class _Nowhere(SpanExporter):
    """Takes batches as a collector's client does, without sending them."""

    def export(self, spans: Any) -> SpanExportResult:
        del spans
        return SpanExportResult.SUCCESS


def run(context: Context) -> Report:
    report = Report("tracing", "a query through the library with tracing and without")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Nowhere()))
    trace.set_tracer_provider(provider)
    try:
        asyncio.run(_run(context, report))
    finally:
        provider.shutdown()
    report.notes.append(
        f"{VECTORS} vectors; the same query in turn to a cluster without tracing and to one with it, twice: as a trace "
        "of its own, and below a caller's span that is not sampled. A query has two spans. They are handed over in "
        "batches, to an exporter that sends nothing; sending goes on in a thread of its own, and takes of the cores."
    )
    return report


async def _run(context: Context, report: Report) -> None:
    plain = await clusters.new_cluster(context.folder / "plain", shards=1)
    traced = await clusters.new_cluster(context.folder / "traced", shards=1, tracing=True)
    async with plain, traced:
        for cluster in (plain, traced):
            await clusters.fill(cluster, {TENANT: VECTORS})
            await clusters.settled(cluster)
        found = [await _round(context, plain, traced) for _ in range(context.rounds + 1)][1:]
    report.info("without tracing", [one["plain"] for one in found], "us")
    for key, title in (("kept", "spans that are kept add"), ("left", "a request that is not sampled")):
        report.info(title, [one[key] - one["plain"] for one in found], "us")
        report.info(f"{title}: with / without", [one[key] / one["plain"] for one in found], "x")


async def _round(context: Context, plain: Any, traced: Any) -> dict[str, float]:
    unsampled = NonRecordingSpan(SpanContext(1, 1, is_remote=True, trace_flags=TraceFlags(0)))
    ways: dict[str, tuple[Any, Callable[[], AbstractContextManager[Any]]]] = {
        "plain": (plain, nullcontext),
        "kept": (traced, nullcontext),
        "left": (traced, lambda: trace.use_span(unsampled)),
    }
    vectors = clusters.queries(0, TOGETHER)
    seconds: dict[str, list[float]] = {key: [] for key in ways}
    for _ in range(context.pick(60, 20)):
        for key, (cluster, around) in ways.items():
            with around():
                handle = cluster.tenant(TENANT)
                for vector in vectors:
                    begun = time.perf_counter()
                    await handle.query(vector)
                    seconds[key].append(time.perf_counter() - begun)
    return {key: median_us(values) for key, values in seconds.items()}
