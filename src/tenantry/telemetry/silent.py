"""Telemetry that keeps nothing; for the library where nobody asks."""

from __future__ import annotations


class SilentTelemetry:
    """Implements `Telemetry`."""

    def operation(self, kind: str, index: str, shard: str, seconds: float, ok: bool) -> None:
        """Nothing."""

    def lookup(self, source: str) -> None:
        """Nothing."""
