"""A roll-up of a fleet, in PostgreSQL, while gateways are killed, stand still, and tenants move: in the end it holds
what the tenants hold, and every gateway finds that in it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from fleet import BASE, GATEWAYS, LEASE_S, TENANTS, Fleet, loaded, settle_and_check, vector

OLD_S = 1_000.0


async def searched(fleet: Fleet, by: int, max_lag_s: float) -> dict:
    body = {"vector": vector("q"), "top_k": 10_000, "max_lag_s": max_lag_s, "deadline_s": 20}
    return await fleet.done("POST", f"{BASE}/search", by=by, json=body)


async def test_it_is_right_whatever_became_of_the_gateways(fleet: Fleet) -> None:
    async def trouble() -> None:
        shard = {"name": "copies", "backend": "pgvector", "options": {"url_env": "VECTORS_URL"}}
        await fleet.done("POST", f"{BASE}/shards", json=shard)
        begun = await fleet.done("PUT", f"{BASE}/rollup", json={"shard": "copies"})
        assert begun["state"] in ("starting", "filling", "on"), begun
        for number in (0, 1, 2):
            await asyncio.sleep(fleet.chance.uniform(0.5, 1.5))
            await fleet.kill(number)
            await asyncio.to_thread(fleet.start, number)
        await fleet.suspended(1, 2.5 * LEASE_S)

    await loaded(fleet, trouble, 2.0)
    async with asyncio.timeout(60):
        while (await fleet.done("GET", f"{BASE}/rollup"))["state"] != "on":
            await asyncio.sleep(0.2)
    await settle_and_check(fleet)
    compared = await fleet.done("POST", f"{BASE}/rollup/verify", json={})
    assert compared["whole"], compared
    assert compared["tenants"] == len(TENANTS)
    there = await searched(fleet, 0, 0)
    assert (there["source"], len(there["hits"])) == ("shards", compared["records"])
    for number in range(GATEWAYS):
        async with asyncio.timeout(20):
            while (found := await searched(fleet, number, OLD_S))["source"] != "roll-up":
                await asyncio.sleep(0.2)
        assert [(one["tenant"], one["id"]) for one in found["hits"]] == [
            (one["tenant"], one["id"]) for one in there["hits"]
        ]
    assert not fleet.problems, fleet.problems[:5]
