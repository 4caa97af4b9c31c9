"""Real processes that are killed: what was acknowledged is there, what was deleted stays deleted, and one owns it."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from tenantry.backends.embedded import EmbeddedBackend, Engine, checkpoint
from tenantry.errors import Locked
from tenantry.model.records import Metric, Query

DIMENSION = 16
WRITERS = 4
PRELOADED = 1500

# What writer ``w`` does in its n-th step; the child does it, the parent computes what must have come of it.
PLAN = """
import random

def step(w, n):
    chance = random.Random(w * 100_003 + n)
    ids = [f"w{w}-{chance.randrange(40)}" for _ in range(chance.choice([1, 1, 3, 20]))]
    return ("delete" if chance.random() < 0.3 else "upsert", sorted(set(ids)))
"""

WRITER = (
    PLAN
    + """
import asyncio, json, sys
from pathlib import Path
import numpy as np
from tenantry.backends.embedded import EmbeddedBackend, Engine
from tenantry.model.records import ByIds, Metric, Query, Record

root, dimension, writers, preloaded = Path(sys.argv[1]), *map(int, sys.argv[2:5])

def say(**fact):
    sys.stdout.write(json.dumps(fact) + "\\n")
    sys.stdout.flush()

async def write(index, w):
    n = 0
    while True:
        kind, ids = step(w, n)
        if kind == "delete":
            await index.delete(ByIds(tuple(ids)))
        else:
            values = np.full(dimension, n + 1, np.float32)
            await index.upsert([Record(id, values, {"n": n}) for id in ids])
        say(w=w, n=n)
        n += 1

async def main():
    engine = Engine(root, index_from_rows=1000)
    backend = EmbeddedBackend(engine, "shard", dimension, Metric.COSINE)
    await backend.create("main")
    index = backend.index("main")
    matrix = np.random.default_rng(7).standard_normal((preloaded, dimension)).astype(np.float32)
    for start in range(0, preloaded, 500):
        part = range(start, start + 500)
        await index.upsert([Record(f"base-{i}", matrix[i], {"base": i}) for i in part])
    await index.query(Query(matrix[0], 1))
    say(ready=True)
    await asyncio.gather(*(write(index, w) for w in range(writers)))

asyncio.run(main())
"""
)

scope: dict = {}
exec(PLAN, scope)


def expected(w, acknowledged):
    """id -> n of the writer's records after that many steps."""
    state = {}
    for n in range(acknowledged):
        kind, ids = scope["step"](w, n)
        for id in ids:
            state.pop(id, None)
            if kind == "upsert":
                state[id] = n
    return state


def run_and_kill(root, after_lines):
    """Start the writer, kill it after so many acknowledgements; how many steps of each writer were acknowledged."""
    command = [sys.executable, "-c", WRITER, str(root), str(DIMENSION), str(WRITERS), str(PRELOADED)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        lines = []
        for line in child.stdout:
            lines.append(json.loads(line))
            if len(lines) > after_lines:
                child.send_signal(signal.SIGKILL)
                break
        # What was acknowledged between our decision and its death counts too; a line may be cut off.
        lines += [json.loads(line) for line in child.stdout if line.endswith("}\n")]
    assert child.returncode == -signal.SIGKILL
    assert lines[0] == {"ready": True}
    return [1 + max((line["n"] for line in lines[1:] if line["w"] == w), default=-1) for w in range(WRITERS)]


@pytest.mark.parametrize("after_lines", [1, 7, 60, 400, 1500])
async def test_nothing_acknowledged_is_lost(tmp_path, after_lines):
    root = tmp_path / "data"
    acknowledged = run_and_kill(root, after_lines)
    engine = Engine(root, index_from_rows=1000)
    backend = EmbeddedBackend(engine, "shard", DIMENSION, Metric.COSINE)
    index = backend.index("main")
    counted = (await backend.stats("main")).vectors

    found, cursor = {}, None
    while True:
        page = await index.scan(cursor, 1000)
        found.update((record.id, record) for record in page.records)
        cursor = page.cursor
        if cursor is None:
            break
    matrix = np.random.default_rng(7).standard_normal((PRELOADED, DIMENSION)).astype(np.float32)
    for i in range(PRELOADED):
        assert np.array_equal(found[f"base-{i}"].values, matrix[i])
    for w in range(WRITERS):
        mine = {id: record.metadata["n"] for id, record in found.items() if id.startswith(f"w{w}-")}
        # The step under way when it died took place or did not, as a whole.
        assert mine in (expected(w, acknowledged[w]), expected(w, acknowledged[w] + 1))
        for id, n in mine.items():
            assert found[id].values.tolist() == [n + 1] * DIMENSION
    assert counted == len(found)

    hits = await index.query(Query(matrix[3], 2000))
    assert {hit.id for hit in hits} == set(found)
    path = root / "shard" / "ns-1.hnsw"
    if path.exists():
        assert checkpoint.load(path, DIMENSION, Metric.COSINE) is not None
    await backend.settled()
    assert path.exists()
    assert (await index.query(Query(matrix[3], 3)))[0].id == "base-3"
    await engine.aclose()


OWNER = """
import asyncio, sys
from pathlib import Path
from tenantry.backends.embedded import EmbeddedBackend, Engine
from tenantry.model.records import Metric

async def main():
    engine = Engine(Path(sys.argv[1]))
    backend = EmbeddedBackend(engine, "shard", 4, Metric.COSINE)
    await backend.create("main")
    if len(sys.argv) > 2:
        engine.announce(sys.argv[2])
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:8080"])
async def test_a_second_process_is_told_who_has_the_folder(tmp_path, url):
    command = [sys.executable, "-c", OWNER, str(tmp_path), *([url] if url else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline() == "ready\n"
        engine = Engine(tmp_path)
        backend = EmbeddedBackend(engine, "shard", 4, Metric.COSINE)
        with pytest.raises(Locked) as caught:
            await backend.namespaces(None, 10)
        assert str(owner.pid) in str(caught.value)
        assert str(tmp_path) in str(caught.value)
        if url:
            assert f"--url {url}" in str(caught.value)
        owner.send_signal(signal.SIGKILL)
    # The kernel freed the lock; the note that the dead process left behind does not matter.
    assert await backend.namespaces(None, 10) == ["main"]
    await engine.aclose()


FULL = """
import asyncio, resource, sys
from pathlib import Path
import numpy as np
from tenantry.backends.embedded import EmbeddedBackend, Engine
from tenantry.errors import StorageFailed
from tenantry.model.records import Metric, Query, Record

async def main():
    engine = Engine(Path(sys.argv[1]))
    backend = EmbeddedBackend(engine, "shard", 512, Metric.COSINE)
    await backend.create("main")
    index = backend.index("main")
    def batch(name): return [Record(f"{name}-{i}", np.full(512, i + 1, np.float32)) for i in range(100)]
    await index.upsert(batch("a"))
    await index.query(Query(np.ones(512, np.float32), 1))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    failed = 0
    outcomes = await asyncio.gather(*(index.upsert(batch(name)) for name in "bcd"), return_exceptions=True)
    assert (await backend.stats("main")).vectors == 100
    assert len(await index.query(Query(np.ones(512, np.float32), 1000))) == 100
    for name, outcome in zip("bcd", outcomes):
        failed += isinstance(outcome, StorageFailed) and "acknowledged" in str(outcome)
        assert await index.fetch([f"{name}-1"]) == {}
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await index.upsert(batch("e"))
    assert len((await index.list_ids(None, 1000)).ids) == (await backend.stats("main")).vectors == 200
    await engine.aclose()
    print("failed", failed)

asyncio.run(main())
"""


def test_a_full_disk_refuses_writes_and_nothing_else(tmp_path):
    """The system itself refuses to let the files grow, then has space again."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "failed 3\n"


async def test_a_lock_is_free_after_closing(tmp_path):
    for _ in range(2):
        engine = Engine(tmp_path)
        backend = EmbeddedBackend(engine, "shard", 4, Metric.COSINE)
        await backend.create("main")
        with pytest.raises(Locked, match="another engine of this process"):
            Engine(tmp_path).start()
        await engine.aclose()
        await engine.aclose()
    assert os.path.exists(tmp_path / "engine.lock")
    await asyncio.sleep(0)
