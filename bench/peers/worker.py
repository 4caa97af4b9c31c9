"""One engine in a process of its own: ``python -m bench.peers.worker NAME WORKLOAD FOLDER``.

Reads commands as lines of JSON, answers each with one. What the engine prints goes to standard error.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine
from bench.peers.engine import Engine
from bench.peers.workload import BATCH, Files, Plan

ENGINES = {
    "tenantry": "bench.peers.engine_tenantry:Tenantry",
    "chroma": "bench.peers.engine_chroma:Chroma",
    "lancedb": "bench.peers.engine_lancedb:LanceDB",
    "milvus": "bench.peers.engine_milvus:Milvus",
    "pgvector": "bench.peers.engine_pgvector:PgVector",
}


class Worker:
    """The commands."""

    def __init__(self, engine: Engine, workload: Path) -> None:
        self._engine = engine
        self._workload = workload
        self._plan = engine.plan
        self._queries = np.load(workload / "queries.npy")

    def about(self) -> dict[str, Any]:
        return {"version": self._engine.version, "settings": self._engine.settings}

    def create(self) -> dict[str, Any]:
        begun = time.perf_counter()
        for tenant in range(len(self._plan.tenants)):
            self._engine.create(tenant)
        return {"seconds": time.perf_counter() - begun}

    def ingest(self, tenants: list[int]) -> dict[str, Any]:
        """Seconds in the engine; reading the files is not counted."""
        files = Files(self._workload, "rows")
        seconds, rows = 0.0, 0
        for number in tenants:
            tenant = self._plan.tenants[number]
            for first in range(0, tenant.count, BATCH):
                batch = files.batch(tenant.start + first, list(range(first, min(first + BATCH, tenant.count))))
                begun = time.perf_counter()
                self._engine.insert(number, batch)
                seconds += time.perf_counter() - begun
                rows += len(batch.ids)
        return {"seconds": seconds, "rows": rows}

    def settle(self) -> dict[str, Any]:
        begun = time.perf_counter()
        self._engine.settle()
        return {"seconds": time.perf_counter() - begun}

    def edit(self) -> dict[str, Any]:
        files = Files(self._workload, "edits")
        overwriting = deleting = 0.0
        rows = 0
        for edit in self._plan.edits:
            for first in range(0, len(edit.overwritten), BATCH):
                numbers = edit.overwritten[first : first + BATCH]
                batch = files.batch(edit.start + first, numbers)
                begun = time.perf_counter()
                self._engine.overwrite(edit.tenant, batch)
                overwriting += time.perf_counter() - begun
            begun = time.perf_counter()
            self._engine.delete(edit.tenant, [f"doc-{number:06d}" for number in edit.deleted])
            deleting += time.perf_counter() - begun
            rows += len(edit.overwritten)
        return {"overwrite_seconds": overwriting, "delete_seconds": deleting, "rows": rows}

    def singles(self, count: int) -> dict[str, Any]:
        """Overwrite rows one at a time, with what they hold already."""
        files = Files(self._workload, "edits")
        edit = self._plan.edits[len(self._plan.edits) // 2]
        seconds = []
        for i in range(count):
            at = i % len(edit.overwritten)
            row = files.batch(edit.start + at, [edit.overwritten[at]])
            begun = time.perf_counter()
            self._engine.overwrite(edit.tenant, row)
            seconds.append(time.perf_counter() - begun)
        return {"seconds": seconds}

    def ask(self, key: str, first: int, count: int, filtered: bool) -> dict[str, Any]:
        asks = self._plan.asks[key][first : first + count]
        gc.collect()
        seconds, answers = self._engine.timed([(ask.tenant, self._queries[ask.vector]) for ask in asks], filtered)
        return {"seconds": seconds, "answers": answers}

    def measure(self) -> dict[str, Any]:
        gc.collect()
        memory = machine.tree_resident_bytes(os.getpid())
        memory += sum(machine.tree_resident_bytes(pid) for pid in self._engine.pids())
        return {"memory": memory, "disk": machine.folder_bytes(self._engine.disk_folder())}


def main(name: str, workload: Path, folder: Path) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    module, _, attribute = ENGINES[name].partition(":")
    folder.mkdir(parents=True, exist_ok=True)
    engine: Engine = getattr(import_module(module), attribute)(folder, Plan.load(workload))
    try:
        worker = Worker(engine, workload)
        print(json.dumps(worker.about()), file=answers)
        for line in sys.stdin:
            command = json.loads(line)
            print(json.dumps(getattr(worker, command.pop("do"))(**command)), file=answers)
    finally:  # also when whoever asks is gone
        engine.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
