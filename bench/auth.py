"""What it costs a request to have its key recognised and held to its scope: in process, nothing else done."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bench import clusters
from bench.measure import Context, Report, median_us, quantile
from tenantry.gateway.auth import Authenticator
from tenantry.gateway.frame import check_access
from tenantry.gateway.table import Access

MAX_US = 30.0
ADMIN_KEY = "the admin key of the settings, some forty characters"
KEYS = 200


def run(context: Context) -> Report:
    report = Report("auth", "recognising a key and holding it to its scope, per request")
    asyncio.run(_run(context, report))
    report.notes.append(
        "`Authenticator.principal` and `check_access` on the headers of a request, one after another on the event "
        f"loop, {KEYS} keys in turn. Once a second a key is read from the catalog anew: that is the last row."
    )
    return report


async def _run(context: Context, report: Report) -> None:
    cluster = await clusters.new_cluster(context.folder / "cluster", key_pepper="a pepper of the settings")
    async with cluster:
        authenticator = Authenticator(cluster.keys, ADMIN_KEY, False)
        made = [await cluster.keys.create(f"tenant-{number}") for number in range(KEYS)]
        path = [{"index": "default", "tenant": f"tenant-{number}"} for number in range(KEYS)]
        stored = [_headers(secret.encode()) for _, secret in made]
        settings = [_headers(ADMIN_KEY.encode())] * KEYS
        count = context.pick(20_000, 5_000)
        rounds: dict[str, list[float]] = {"stored": [], "settings": [], "p99": [], "fresh": []}
        for _ in range(context.rounds):
            for headers in stored:  # into memory
                await authenticator.principal(headers)
            own = await _round(authenticator, stored, path, count)
            rounds["stored"].append(median_us(own))
            rounds["p99"].append(quantile(own, 0.99) * 1e6)
            rounds["settings"].append(median_us(await _round(authenticator, settings, path, count)))
            cluster.keys.missed()
            rounds["fresh"].append(median_us(await _round(authenticator, stored, path, KEYS)))
        report.at_most("a tenant's key, median", rounds["stored"], "us", MAX_US)
        report.info("a tenant's key, P99", rounds["p99"], "us")
        report.at_most("the admin key of the settings, median", rounds["settings"], "us", MAX_US)
        report.info("a tenant's key that is read from SQLite", rounds["fresh"], "us")


async def _round(authenticator: Authenticator, headers: list[dict[bytes, bytes]], path: Any, count: int) -> list[float]:
    clock, many = time.perf_counter, len(headers)
    seconds = []
    for number in range(count):
        mine, where = headers[number % many], path[number % many]
        begun = clock()
        check_access(Access.WRITE, await authenticator.principal(mine), where)
        seconds.append(clock() - begun)
    return seconds


def _headers(key: bytes) -> dict[bytes, bytes]:
    return {b"host": b"gateway:8080", b"content-type": b"application/json", b"api-key": key}
