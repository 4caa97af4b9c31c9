"""Telemetry that keeps nothing; for the library where nobody asks."""

from __future__ import annotations


class SilentTelemetry:
    """Implements `Telemetry`."""

    def operation(self, kind: str, index: str, shard: str, seconds: float, ok: bool, tenant: str | None = None) -> None:
        """Nothing."""

    def lookup(self, source: str) -> None:
        """Nothing."""

    def search(self, index: str, shards: int, seconds: float, partial: bool) -> None:
        """Nothing."""
