"""What the regular checks found, for Prometheus. A scrape measures nothing: it shows the last check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from tenantry.control.health_report import HealthReport

SHARD = ("index", "shard")
TENANT = ("index", "tenant", "shard")


class HealthMetrics(Collector):
    """One object for a registry. Series are bounded by the shards, the rules and the tenants that reports list.

    Args:
        reports: the last report of each index.
        routing: how many disagreements of the routing were told so far, by kind and whether they were healed.
    """

    def __init__(
        self, reports: Callable[[], Iterable[HealthReport]], routing: Callable[[], Mapping[tuple[str, bool], int]]
    ) -> None:
        self._reports = reports
        self._routing = routing

    def collect(self) -> Iterator[Metric]:
        """All families, each with the series that there are now."""
        reports = list(self._reports())
        yield from _indexes(reports)
        yield from _shards(reports)
        yield from _tenants(reports)
        found = CounterMetricFamily(
            "tenantry_routing_problems",
            "Disagreements that the check of the routing told of.",
            labels=("kind", "healed"),
        )
        for (kind, healed), count in self._routing().items():
            found.add_metric([kind, str(healed).lower()], count)
        yield found

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering does not collect."""
        return iter(())


def _indexes(reports: list[HealthReport]) -> Iterator[Metric]:
    at = GaugeMetricFamily(
        "tenantry_health_check_timestamp_seconds", "When the health was last checked.", labels=["index"]
    )
    warnings = GaugeMetricFamily(
        "tenantry_health_warnings", "Warnings that stand.", labels=("index", "kind", "severity")
    )
    tenants = GaugeMetricFamily("tenantry_index_tenants", "Tenants of an index.", labels=["index"])
    share = GaugeMetricFamily(
        "tenantry_cross_tenant_share_ratio", "Part of questions that went across tenants.", labels=["index"]
    )
    wrong = GaugeMetricFamily(
        "tenantry_routing_inconsistent", "Disagreements of the routing that stand.", labels=["index"]
    )
    moves = GaugeMetricFamily(
        "tenantry_moves", "The last moves by the phase that they are in.", labels=("index", "phase")
    )
    for one in reports:
        at.add_metric([one.index], one.at)
        counts: dict[tuple[str, str], int] = {}
        for warning in one.warnings:
            if warning.since is not None:
                key = (warning.kind, warning.severity.value)
                counts[key] = counts.get(key, 0) + 1
        for (kind, severity), count in counts.items():
            warnings.add_metric([one.index, kind, severity], count)
        tenants.add_metric([one.index], one.tenants)
        share.add_metric([one.index], one.cross_tenant_share)
        if one.routing_checked:
            wrong.add_metric([one.index], len(one.routing))
        for phase, count in one.moves.items():
            moves.add_metric([one.index, phase], count)
    yield from (at, warnings, tenants, share, wrong, moves)


def _shards(reports: list[HealthReport]) -> Iterator[Metric]:
    up = GaugeMetricFamily("tenantry_shard_up", "1 when the shard answered the check.", labels=SHARD)
    tenants = GaugeMetricFamily("tenantry_shard_tenants", "Tenants on a shard.", labels=SHARD)
    most = GaugeMetricFamily("tenantry_shard_max_tenants", "Tenants that a shard may hold, if limited.", labels=SHARD)
    vectors = GaugeMetricFamily("tenantry_shard_vectors", "Vectors on a shard.", labels=SHARD)
    size = GaugeMetricFamily("tenantry_shard_bytes", "Bytes on a shard.", labels=SHARD)
    used = GaugeMetricFamily("tenantry_shard_utilisation_ratio", "Used share of a shard.", labels=SHARD)
    latency = GaugeMetricFamily(
        "tenantry_shard_query_latency_seconds", "Quantiles of queries over the window.", labels=(*SHARD, "quantile")
    )
    for one in reports:
        for shard in one.shards:
            names = [one.index, shard.name]
            up.add_metric(names, float(shard.error is None))
            tenants.add_metric(names, shard.tenants)
            if shard.max_tenants is not None:
                most.add_metric(names, shard.max_tenants)
            if shard.error is None:
                vectors.add_metric(names, shard.vectors)
                size.add_metric(names, shard.bytes)
                used.add_metric(names, shard.utilisation)
            if shard.queries:
                for name, value in (("0.5", shard.p50_ms), ("0.95", shard.p95_ms), ("0.99", shard.p99_ms)):
                    latency.add_metric([*names, name], value / 1_000)
    yield from (up, tenants, most, vectors, size, used, latency)


def _tenants(reports: list[HealthReport]) -> Iterator[Metric]:
    rate = GaugeMetricFamily(
        "tenantry_tenant_operations_per_second", "Operations a second of the busiest tenants.", labels=TENANT
    )
    vectors = GaugeMetricFamily("tenantry_tenant_vectors", "Vectors of the busiest tenants.", labels=TENANT)
    for one in reports:
        for tenant in one.top_tenants:
            names = [one.index, tenant.name, tenant.shard]
            rate.add_metric(names, tenant.per_second)
            vectors.add_metric(names, tenant.vectors)
    yield from (rate, vectors)
