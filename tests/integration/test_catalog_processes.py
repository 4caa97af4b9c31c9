"""Several real processes on one catalog: first opening, placing at once, and dying in the middle of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tenantry.catalogs import open_catalog
from tenantry.model.topology import LogicalIndex, Shard

PROCESSES, TENANTS, ROOM = 5, 50, 30

#: Says that it is ready, waits for a line, and then runs ``work(catalog_url)``.
FRAME = """
import asyncio, json, sys
from tenantry.catalogs import open_catalog
from tenantry.errors import CapacityExceeded, Conflict
from tenantry.model.topology import ClusterView, ShardView, TenantSpec
from tenantry.placement import policy

{work}
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(asyncio.run(work(*sys.argv[1:]))), flush=True)
"""

PLACE = """
async def place(catalog, choose, name):
    for _ in range(100):
        view = ClusterView("docs", tuple(map(ShardView, await catalog.shards.list("docs"))))
        try:
            return (await catalog.tenants.place("docs", name, TenantSpec(), choose(name, TenantSpec(), view), 0.0)).name
        except CapacityExceeded:
            return "full"
        except Conflict:
            continue  # another process was quicker: look again
    return "lost every race"

async def work(url, who):
    async with await open_catalog(url) as catalog:
        choose = policy(["rendezvous", "ring", "least-loaded"][int(who) % 3]).choose
        names = [f"t{who}-{i}" for i in range(10)]
        return await asyncio.gather(*(place(catalog, choose, name) for name in names))
"""

OPEN = """
async def work(url, who):
    async with await open_catalog(url) as catalog:
        return await catalog.settings.put_if_absent("first", who)
"""

WRITE = """
async def work(url, who):
    async with await open_catalog(url) as catalog:
        for i in range(100_000):
            await catalog.tenants.place("docs", f"t{i:06d}", TenantSpec(), "s0", 0.0)
            print(i, flush=True)
"""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


def started(work: str, *arguments: str) -> subprocess.Popen[str]:
    program = FRAME.format(work=textwrap.dedent(work))
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def at_once(work: str, url: str, count: int = PROCESSES) -> list[Any]:
    """What the processes answer when all of them are let go at the same moment."""
    processes = [started(work, url, str(i)) for i in range(count)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert [process.returncode for process in processes] == [0] * count
    return [json.loads(answer) for answer in answers]


async def test_capacity_holds_when_tenants_are_placed_from_several_processes_at_once(url: str) -> None:
    async with await open_catalog(url) as catalog:
        await catalog.indexes.create(LogicalIndex("docs", 8))
        for i in range(3):
            await catalog.shards.add(Shard("docs", f"s{i}", "embedded", max_tenants=ROOM // 3))
    answers = [name for names in at_once(PLACE, url) for name in names]
    assert len(answers) == TENANTS
    assert Counter(answers)["full"] == TENANTS - ROOM
    async with await open_catalog(url) as catalog:
        tenants = await catalog.tenants.list("docs", limit=1_000)
        assert sorted(answer for answer in answers if answer != "full") == [tenant.name for tenant in tenants]
        assert [shard.tenants for shard in await catalog.shards.list("docs")] == [ROOM // 3] * 3
        assert Counter(tenant.route.place.shard for tenant in tenants) == {f"s{i}": ROOM // 3 for i in range(3)}


def test_a_fresh_catalog_may_be_opened_by_several_processes_at_once(url: str) -> None:
    assert len(set(at_once(OPEN, url, 3))) == 1


async def test_what_was_acknowledged_survives_a_kill(url: str) -> None:
    async with await open_catalog(url) as catalog:
        await catalog.indexes.create(LogicalIndex("docs", 8))
        await catalog.shards.add(Shard("docs", "s0", "embedded"))
    process = started(WRITE, url, "0")
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    while int(process.stdout.readline()) < 40:
        pass
    process.send_signal(signal.SIGKILL)
    rest = process.communicate()[0].split()
    acknowledged = int(rest[-1]) if rest else 40
    async with await open_catalog(url) as catalog:
        names = [tenant.name for tenant in await catalog.tenants.list("docs", limit=100_000)]
        assert names[: acknowledged + 1] == [f"t{i:06d}" for i in range(acknowledged + 1)]
        assert len(names) <= acknowledged + 2
        assert (await catalog.shards.list("docs"))[0].tenants == len(names)
