"""What the regular checks found, for Prometheus. A scrape measures nothing: it shows the last check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from tenantry.control.health.subjects import fair_parts
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
        yield from _costs(reports)
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
    largest = GaugeMetricFamily(
        "tenantry_largest_tenth_vectors_ratio",
        "Part of all vectors in the largest tenth of the tenants that share their shards.",
        labels=["index"],
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
        largest.add_metric([one.index], one.largest_tenth_share)
        if one.routing_checked:
            wrong.add_metric([one.index], len(one.routing))
        for phase, count in one.moves.items():
            moves.add_metric([one.index, phase], count)
    yield from (at, warnings, tenants, share, largest, wrong, moves)


def _shards(reports: list[HealthReport]) -> Iterator[Metric]:
    up = GaugeMetricFamily("tenantry_shard_up", "1 when the shard answered the check.", labels=SHARD)
    tenants = GaugeMetricFamily("tenantry_shard_tenants", "Tenants on a shard.", labels=SHARD)
    most = GaugeMetricFamily("tenantry_shard_max_tenants", "Tenants that a shard may hold, if limited.", labels=SHARD)
    most_vectors = GaugeMetricFamily(
        "tenantry_shard_max_vectors", "Vectors that a shard may hold, if limited.", labels=SHARD
    )
    fair = GaugeMetricFamily(
        "tenantry_shard_fair_share_ratio", "Part of all tenants and vectors that is fair by weight.", labels=SHARD
    )
    created = GaugeMetricFamily(
        "tenantry_shard_created_timestamp_seconds", "When a shard was registered.", labels=SHARD
    )
    vectors = GaugeMetricFamily("tenantry_shard_vectors", "Vectors on a shard.", labels=SHARD)
    size = GaugeMetricFamily("tenantry_shard_bytes", "Bytes on a shard.", labels=SHARD)
    used = GaugeMetricFamily("tenantry_shard_utilisation_ratio", "Used share of a shard.", labels=SHARD)
    latency = GaugeMetricFamily(
        "tenantry_shard_query_latency_seconds", "Quantiles of queries over the window.", labels=(*SHARD, "quantile")
    )
    for one in reports:
        parts = fair_parts(one.shards)
        for shard in one.shards:
            names = [one.index, shard.name]
            if shard.name in parts:
                fair.add_metric(names, parts[shard.name])
            if shard.created_at:
                created.add_metric(names, shard.created_at)
            up.add_metric(names, float(shard.error is None))
            tenants.add_metric(names, shard.tenants)
            if shard.max_tenants is not None:
                most.add_metric(names, shard.max_tenants)
            if shard.max_vectors is not None:
                most_vectors.add_metric(names, shard.max_vectors)
            if shard.error is None:
                vectors.add_metric(names, shard.vectors)
                size.add_metric(names, shard.bytes)
                used.add_metric(names, shard.utilisation)
            if shard.queries:
                for name, value in (("0.5", shard.p50_ms), ("0.95", shard.p95_ms), ("0.99", shard.p99_ms)):
                    latency.add_metric([*names, name], value / 1_000)
    yield from (up, tenants, most, most_vectors, fair, created, vectors, size, used, latency)


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


def _costs(reports: list[HealthReport]) -> Iterator[Metric]:
    money = ("index", "currency")
    whole = GaugeMetricFamily("tenantry_index_cost_per_month", "A month's bill of an index.", labels=money)
    wasted = GaugeMetricFamily("tenantry_index_wasted_cost_per_month", "What of it is unused.", labels=money)
    budget = GaugeMetricFamily("tenantry_index_budget_per_month", "What it is held against.", labels=money)
    shards = GaugeMetricFamily(
        "tenantry_shard_cost_per_month", "A shard's part of the bill.", labels=(*SHARD, "currency")
    )
    tenants = GaugeMetricFamily(
        "tenantry_tenant_cost_per_month", "Parts of the dearest tenants.", labels=("index", "tenant", "currency")
    )
    for one in reports:
        bill = one.costs
        if bill is None:
            continue
        for family, amount in ((whole, bill.monthly), (wasted, bill.wasted), (budget, bill.budget)):
            family.add_metric([one.index, bill.currency], amount)
        for name, amount in bill.shards.items():
            shards.add_metric([one.index, name, bill.currency], amount)
        for name, amount in bill.tenants.items():
            tenants.add_metric([one.index, name, bill.currency], amount)
    yield from (whole, wasted, budget, shards, tenants)
