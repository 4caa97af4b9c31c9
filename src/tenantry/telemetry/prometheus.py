"""Measurements for Prometheus, with labels of bounded number: routes, shards and statuses; tenants only by
`HealthMetrics`, the busiest ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from tenantry.telemetry.move_metrics import BUCKETS, MoveMetrics
from tenantry.version import __version__

MEDIA_TYPE = CONTENT_TYPE_LATEST.encode()


class PrometheusTelemetry:
    """Implements `Telemetry`, and counts the gateway's requests. One registry of its own per object.

    Attributes:
        exemplar: gives the trace that a measurement belongs to, where somebody traces.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.exemplar: Callable[[], dict[str, str] | None] | None = None
        self._shown: dict[type[Collector], Collector] = {}
        self._requests = Counter(
            "tenantry_http_requests",
            "HTTP requests answered.",
            ("api", "method", "route", "status"),
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "tenantry_http_request_duration_seconds",
            "Time from a request's headers to its answer.",
            ("api", "method", "route"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._in_flight = Gauge("tenantry_http_requests_in_flight", "HTTP requests in hand.", registry=self.registry)
        self._operations = Counter(
            "tenantry_shard_operations",
            "Data-plane operations on a shard.",
            ("kind", "index", "shard", "outcome"),
            registry=self.registry,
        )
        self._operation_seconds = Histogram(
            "tenantry_shard_operation_duration_seconds",
            "Time of a data-plane operation on a shard.",
            ("kind", "index", "shard"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._turned_away = Counter(
            "tenantry_turned_away",
            "Data-plane operations that were not begun, by why.",
            ("index", "shard", "why"),
            registry=self.registry,
        )
        lookups = Counter(
            "tenantry_route_lookups",
            "Route look-ups by where the route was found.",
            ("source",),
            registry=self.registry,
        )
        self._lookups = {source: lookups.labels(source) for source in ("cache", "shared", "catalog")}
        self._count_searches()
        # Finding a labelled child costs more than counting; there are few, so they are kept.
        self._request_children: dict[tuple[str, str, str, int], tuple[Counter, Histogram]] = {}
        self._operation_children: dict[tuple[str, str, str, bool], tuple[Counter, Histogram]] = {}

    def _count_searches(self) -> None:
        """Metrics of cross-tenant searches, and of roll-ups."""
        self._searches = Counter(
            "tenantry_searches", "Cross-tenant searches.", ("index", "outcome"), registry=self.registry
        )
        self._search_seconds = Histogram(
            "tenantry_search_duration_seconds",
            "Time of a cross-tenant search.",
            ("index",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._missing = Counter(
            "tenantry_search_missing_shards",
            "Shards that cross-tenant searches went without.",
            ("index", "shard", "why"),
            registry=self.registry,
        )
        self._hedges = Counter(
            "tenantry_search_hedges",
            "Second requests to a slow shard, by which answer came first.",
            ("index", "shard", "first"),
            registry=self.registry,
        )
        self._breakers = Gauge(
            "tenantry_search_breaker_open",
            "Whether cross-tenant searches leave a shard out: 0 no, 0.5 trying it again, 1 yes.",
            ("index", "shard"),
            registry=self.registry,
        )
        self._sources = Counter(
            "tenantry_search_sources",
            "Cross-tenant searches of an index with a roll-up, by what answered them.",
            ("index", "source"),
            registry=self.registry,
        )
        self._lags = Gauge(
            "tenantry_rollup_lag_seconds",
            "How old what the roll-up holds is at most; none where that is not known.",
            ("index",),
            registry=self.registry,
        )
        self._rolled = Counter(
            "tenantry_rollup_records",
            "Records that this process copied into the roll-up, or removed from it.",
            ("index", "change"),
            registry=self.registry,
        )
        self._moves = MoveMetrics(self.registry)
        Info("tenantry_build", "Version that runs.", registry=self.registry).info({"version": __version__})

    def operation(self, kind: str, index: str, shard: str, seconds: float, ok: bool, tenant: str | None = None) -> None:
        """One finished data-plane operation on a shard."""
        key = (kind, index, shard, ok)
        found = self._operation_children.get(key)
        if found is None:
            found = (
                self._operations.labels(kind, index, shard, "ok" if ok else "error"),
                self._operation_seconds.labels(kind, index, shard),
            )
            self._operation_children[key] = found
            self._moves.begin(index)
        found[0].inc()
        found[1].observe(seconds, None if self.exemplar is None else self.exemplar())

    def turned_away(self, index: str, shard: str, why: str) -> None:
        """One operation that was not begun."""
        self._turned_away.labels(index, shard, why).inc()

    def lookup(self, source: str) -> None:
        """One route look-up, by where the route was found."""
        self._lookups[source].inc()

    def show(self, collector: Collector) -> None:
        """Let it add series to every exposition; one of a kind takes the place of an earlier one."""
        known = self._shown.pop(type(collector), None)
        if known is not None:
            self.registry.unregister(known)
        self._shown[type(collector)] = collector
        self.registry.register(collector)

    def searched(self, index: str, outcome: str, seconds: float) -> None:
        """One finished cross-tenant search."""
        self._searches.labels(index, outcome).inc()
        self._search_seconds.labels(index).observe(seconds, None if self.exemplar is None else self.exemplar())

    def shard_missing(self, index: str, shard: str, why: str) -> None:
        """A cross-tenant search went without a shard."""
        self._missing.labels(index, shard, why).inc()

    def hedged(self, index: str, shard: str, won: bool) -> None:
        """A second request to a shard, and whether its answer came first."""
        self._hedges.labels(index, shard, "second" if won else "first").inc()

    def breaker(self, index: str, shard: str, state: str) -> None:
        """The state of a shard's breaker."""
        self._breakers.labels(index, shard).set({"closed": 0.0, "half-open": 0.5, "open": 1.0}[state])

    def search_source(self, index: str, source: str) -> None:
        """What answered a search of an index with a roll-up."""
        self._sources.labels(index, source).inc()

    def rollup(self, index: str, lag_s: float | None, copied: int, removed: int) -> None:
        """How far behind a roll-up is, and what was done for it."""
        if lag_s is None:
            self._lags.remove_by_labels({"index": index})
        else:
            self._lags.labels(index).set(lag_s)
        for change, records in (("copied", copied), ("removed", removed)):
            if records:
                self._rolled.labels(index, change).inc(records)

    def moved(self, index: str, outcome: str, pauses_s: Sequence[float], vectors: int) -> None:
        """The end of a move."""
        self._moves.moved(index, outcome, pauses_s, vectors)

    def request(self, api: str, method: str, route: str, status: int, seconds: float) -> None:
        """One answered HTTP request; ``route`` is the template, not the path."""
        key = (api, method, route, status)
        found = self._request_children.get(key)
        if found is None:
            found = (
                self._requests.labels(api, method, route, str(status)),
                self._request_seconds.labels(api, method, route),
            )
            self._request_children[key] = found
        found[0].inc()
        found[1].observe(seconds, None if self.exemplar is None else self.exemplar())

    def in_flight(self, requests: int) -> None:
        """How many HTTP requests are in hand."""
        self._in_flight.set(requests)

    @property
    def media_type(self) -> bytes:
        """Of `exposition`."""
        return MEDIA_TYPE if self.exemplar is None else openmetrics.CONTENT_TYPE_LATEST.encode()

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format; in that of OpenMetrics when there are exemplars, which only it has."""
        if self.exemplar is None:
            return generate_latest(self.registry)
        made: bytes = openmetrics.generate_latest(self.registry)  # type: ignore[no-untyped-call]
        return made
