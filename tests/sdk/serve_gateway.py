"""Serve a data folder for tests: prints the URL when ready, settings come from TENANTRY_* variables.

Usage: serve_gateway.py DIMENSION METRIC

With CLOCK_WRONG_BY_S the wall clock of this process is wrong by so many seconds; SIGUSR1 turns the sign around.
"""

import asyncio
import os
import signal
import sys
import time

import structlog

from tenantry.errors import AlreadyExists, TenantryError
from tenantry.gateway.serve import loop_factory, serve
from tenantry.settings import Settings
from tenantry.telemetry.prometheus import PrometheusTelemetry
from tenantry.wiring import init_cluster, open_cluster


def have_wrong_clock(seconds: float) -> None:
    right = time.time
    off = [seconds]
    time.time = lambda: right() + off[0]
    signal.signal(signal.SIGUSR1, lambda *_: off.__setitem__(0, -off[0]))


async def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    settings = Settings()
    try:
        cluster = await init_cluster(settings, dimension=int(sys.argv[1]), metric=sys.argv[2])
    except AlreadyExists:
        pass
    else:
        await cluster.aclose()
    async with await open_cluster(settings, telemetry=PrometheusTelemetry()) as cluster:
        await serve(cluster, settings, on_ready=lambda url: print(url, flush=True))


if __name__ == "__main__":
    have_wrong_clock(float(os.environ.get("CLOCK_WRONG_BY_S", "0")))
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(main())
    except TenantryError as refused:
        print(f"{type(refused).__name__}: {refused}", file=sys.stderr)
        sys.exit(1)
    print("stopped", flush=True)
