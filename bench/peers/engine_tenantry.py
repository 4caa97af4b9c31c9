"""Tenantry, embedded, through its library."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import DIMENSION, FILTER_FROM_YEAR, FILTER_LANGUAGE
from bench.peers.engine import Engine, Timed
from bench.peers.workload import TOP_K, Plan, Rows

FILTER = {"lang": FILTER_LANGUAGE, "year": {"$gte": FILTER_FROM_YEAR}}


class Tenantry(Engine):
    package = "tenantry"
    settings = "defaults; 4 embedded shards"

    def __init__(self, folder: Path, plan: Plan) -> None:
        super().__init__(folder, plan)
        from bench.clusters import new_cluster

        self._loop = asyncio.new_event_loop()
        self._cluster = self._loop.run_until_complete(new_cluster(folder / "cluster"))
        self._handles = [self._cluster.tenant(one.name) for one in plan.tenants]
        self._any = np.ones(DIMENSION, np.float32)

    def create(self, tenant: int) -> None:
        self._loop.run_until_complete(self._cluster.tenants.create(self.plan.tenants[tenant].name))

    def insert(self, tenant: int, rows: Rows) -> None:
        records = zip(rows.ids, rows.vectors, rows.metadata(), strict=True)
        self._loop.run_until_complete(self._handles[tenant].upsert(records))

    overwrite = insert

    def delete(self, tenant: int, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), 1000):
            self._loop.run_until_complete(self._handles[tenant].delete(ids[start : start + 1000]))

    def settle(self) -> None:
        """A large tenant's index is built in the background once the tenant is read; so each is read once."""
        from bench.clusters import settled

        for tenant, one in enumerate(self.plan.tenants):
            if one.count >= self.plan.large:
                self.query(tenant, self._any, filtered=False)
        self._loop.run_until_complete(settled(self._cluster))

    def query(self, tenant: int, vector: Any, filtered: bool) -> list[str]:
        return self.timed([(tenant, vector)], filtered)[1][0]

    def timed(self, asked: Sequence[tuple[int, Any]], filtered: bool) -> Timed:
        return self._loop.run_until_complete(self._timed(asked, filtered))

    async def _timed(self, asked: Sequence[tuple[int, Any]], filtered: bool) -> Timed:
        condition = FILTER if filtered else None
        clock = time.perf_counter
        seconds, answers = [], []
        for tenant, vector in asked:
            begun = clock()
            hits = await self._handles[tenant].query(vector, top_k=TOP_K, filter=condition)
            seconds.append(clock() - begun)
            answers.append([hit.id for hit in hits])
        return seconds, answers

    def close(self) -> None:
        self._loop.run_until_complete(self._cluster.aclose())
        self._loop.close()
