"""What moves came to, for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from tenantry.model.moves import ENDED

#: Of all histograms of time, seconds; the thresholds of slow shards are among them.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.8, 1.0, 2.5, 5.0, 10.0, 30.0)


class MoveMetrics:
    """Counted when a move has ended."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "tenantry_moves_ended", "Moves that ended, by how.", ("index", "outcome"), registry=registry
        )
        self._copied = Counter(
            "tenantry_move_copied_vectors", "Vectors that moves copied.", ("index",), registry=registry
        )
        self._pauses = Histogram(
            "tenantry_move_write_pause_seconds",
            "How long writes of a tenant waited at a switch of its move.",
            ("index",),
            buckets=BUCKETS,
            registry=registry,
        )

    def begin(self, index: str) -> None:
        """Have the series of an index begin at 0: of one that begins at 1 Prometheus sees no increase."""
        for outcome in ENDED:
            self._ended.labels(index, outcome.value)
        self._copied.labels(index)
        self._pauses.labels(index)

    def moved(self, index: str, outcome: str, pauses_s: Sequence[float], vectors: int) -> None:
        """The end of a move; see `tenantry.ports.Telemetry`."""
        self.begin(index)
        self._ended.labels(index, outcome).inc()
        self._copied.labels(index).inc(vectors)
        for pause_s in pauses_s:
            self._pauses.labels(index).observe(pause_s)
