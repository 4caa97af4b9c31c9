"""A roll-up under writes and moves, with the serving process killed over and over: in the end it holds what the tenants
hold, and searches in it find that. Real processes, sockets and disks."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_moves_killed import BASE, TENANTS, WRITERS, World, move_forever, prepare, quiet, vector, write_forever

KILLS = 6
OLD_S = 1_000.0


async def search_forever(world: World, seen: dict[str, int]) -> None:
    """Whatever answers, it answers whole."""
    while not world.stopping:
        found = await searched(world, top_k=20)
        seen[found["source"]] = seen.get(found["source"], 0) + 1
        if found["partial"] or len(found["hits"]) < 20:
            world.problems.append(f"incomplete: {found}")
        await asyncio.sleep(0.02)


async def searched(world: World, top_k: int, max_lag_s: float = OLD_S) -> dict:
    body = {"vector": vector("q"), "top_k": top_k, "max_lag_s": max_lag_s, "deadline_s": 30}
    return await world.done("POST", f"{BASE}/search", json=body)


async def settled(world: World) -> None:
    """Until nothing is due."""
    async with asyncio.timeout(60):
        while True:
            status = await world.done("GET", f"{BASE}/rollup")
            if status["state"] == "on" and status["due"] == 0 and (status["lag_s"] or 1.0) < 0.2:
                return
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_no_kill_loses_a_copy(tmp_path: Path) -> None:
    world, seen = World(tmp_path / "data", seed=5), dict[str, int]()
    world.start()
    try:
        await prepare(world)
        await world.done("PUT", f"{BASE}/rollup", json={})  # it is filled while it is killed
        work = [write_forever(world, tenant, writer) for tenant in TENANTS for writer in range(WRITERS)]
        work += [move_forever(world, TENANTS[0]), search_forever(world, seen)]
        tasks = [asyncio.create_task(one) for one in work]
        for _ in range(KILLS):
            await asyncio.sleep(world.chance.uniform(0.3, 1.5))
            await world.kill()
            assert not world.problems, world.problems[:5]
        async with asyncio.timeout(60):
            while seen.get("roll-up", 0) <= 2 or world.writes <= 200:
                await asyncio.sleep(0.05)
        world.stopping = True
        await asyncio.gather(*tasks)
        await quiet(world)
        await settled(world)
        compared = await world.done("POST", f"{BASE}/rollup/verify", json={})
        assert compared["whole"], compared
        assert compared["tenants"] == len(TENANTS)
        rolled, there = await searched(world, 10_000), await searched(world, 10_000, 0)
        assert (rolled["source"], there["source"]) == ("roll-up", "shards")
        assert rolled["hits"] == there["hits"]
        assert compared["records"] == len(there["hits"])
        assert not world.problems, world.problems[:5]
    finally:
        await world.client.aclose()
        world.gateway.stop(signal.SIGKILL)
