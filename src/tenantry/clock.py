"""Real time."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """Implements `Clock` with the machine's."""

    def __init__(self) -> None:
        self.now = time.time
        self.monotonic = time.perf_counter

    async def sleep(self, seconds: float) -> None:
        """Let others run for that long."""
        await asyncio.sleep(seconds)
