"""How the auto-pilot stands, for Prometheus, as of the last look of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tenantry.control.autopilot.record import Orders
from tenantry.model.autopilot import Halt, Stance


class PilotMetrics(Collector):
    """One object for a registry. Args: ``seen`` gives what is in force, and why it stopped if it did."""

    def __init__(self, seen: Callable[[], tuple[Orders, Halt | None]]) -> None:
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        """Two families."""
        orders, halt = self._seen()
        stance = GaugeMetricFamily("tenantry_autopilot_stance", "1 for what it is allowed.", labels=["stance"])
        for one in Stance:
            stance.add_metric([one.value], float(orders.policy.stance is one))
        stopped = GaugeMetricFamily(
            "tenantry_autopilot_stopped", "1 when it has stopped until somebody sets it going again."
        )
        stopped.add_metric([], float(halt is not None))
        yield from (stance, stopped)

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering does not collect."""
        return iter(())
