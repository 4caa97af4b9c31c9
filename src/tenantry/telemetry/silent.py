"""Telemetry that keeps nothing; for the library where nobody asks."""

from __future__ import annotations

from collections.abc import Sequence


class SilentTelemetry:
    """Implements `Telemetry`."""

    def operation(self, kind: str, index: str, shard: str, seconds: float, ok: bool, tenant: str | None = None) -> None:
        """Nothing."""

    def turned_away(self, index: str, shard: str, why: str) -> None:
        """Nothing."""

    def lookup(self, source: str) -> None:
        """Nothing."""

    def searched(self, index: str, outcome: str, seconds: float) -> None:
        """Nothing."""

    def shard_missing(self, index: str, shard: str, why: str) -> None:
        """Nothing."""

    def hedged(self, index: str, shard: str, won: bool) -> None:
        """Nothing."""

    def breaker(self, index: str, shard: str, state: str) -> None:
        """Nothing."""

    def search_source(self, index: str, source: str) -> None:
        """Nothing."""

    def rollup(self, index: str, lag_s: float | None, copied: int, removed: int) -> None:
        """Nothing."""

    def moved(self, index: str, outcome: str, pauses_s: Sequence[float], vectors: int) -> None:
        """Nothing."""
