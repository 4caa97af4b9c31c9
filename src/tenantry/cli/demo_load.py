"""Load the demo's documents: several tenants at a time, so that one is embedded while another is written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import msgspec

from tenantry.documents.store import AddReport
from tenantry.model.topology import DEFAULT_INDEX

if TYPE_CHECKING:
    from tenantry.cli.corpus import Corpus
    from tenantry.cluster import Cluster

TENANTS_AT_ONCE = 4


class Loaded(msgspec.Struct, frozen=True):
    """What loading did and how long it took."""

    total: AddReport
    seconds: float


async def load(
    cluster: Cluster,
    corpus: Corpus,
    progress: Callable[[str, int], AbstractContextManager[Callable[[int], None]]],
) -> Loaded:
    """Add every service's documents to its tenant. Documents that are there already are passed over.

    Args:
        progress: opens a bar with a title and a total; what it gives is called with how much more is done.
    """
    started = time.perf_counter()
    waiting = iter(corpus.services)
    reports: list[AddReport] = []
    with progress("Embedding and storing documents", corpus.documents) as advance:

        async def worker() -> None:
            for service in waiting:
                added = await cluster.documents.add(DEFAULT_INDEX, service.name, service.documents, progress=advance)
                reports.append(added)

        workers = [asyncio.create_task(worker()) for _ in range(TENANTS_AT_ONCE)]
        try:
            await asyncio.gather(*workers)
        finally:
            for one in workers:
                one.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
    names = AddReport.__struct_fields__
    total = AddReport(**{name: sum(getattr(one, name) for one in reports) for name in names})
    return Loaded(total, time.perf_counter() - started)
