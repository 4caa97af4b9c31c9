"""Serve a data folder for tests: prints the URL when ready, settings come from TENANTRY_* variables.

Usage: serve_gateway.py DIMENSION METRIC
"""

import asyncio
import sys

import structlog

from tenantry.errors import AlreadyExists, TenantryError
from tenantry.gateway.serve import loop_factory, serve
from tenantry.settings import Settings
from tenantry.telemetry.prometheus import PrometheusTelemetry
from tenantry.wiring import init_cluster, open_cluster


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
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(main())
    except TenantryError as refused:
        print(f"{type(refused).__name__}: {refused}", file=sys.stderr)
        sys.exit(1)
    print("stopped", flush=True)
