"""Three gateway processes over a real PostgreSQL and a real Redis, with shards in another PostgreSQL: moves under load
while gateways are killed and suspended, the catalog is cut off, Redis comes and goes, clocks are wrong. Nothing
acknowledged is lost, nothing deleted comes back."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from pathlib import Path

from tenantry.testing.servers import PostgresServer

sys.path.insert(0, str(Path(__file__).parent))
from fleet import (
    BASE,
    GATEWAYS,
    LEASE_S,
    TENANTS,
    Fleet,
    loaded,
    preload,
    read_forever,
    settle_and_check,
    vector,
    write_forever,
)

CUT_OFF_S = 10.0


async def test_a_change_of_route_reaches_every_gateway_at_once(fleet: Fleet) -> None:
    """A suspended tenant moves nowhere, so no barrier tells of it: only the feed does."""
    await preload(fleet)
    ask = {"namespace": "acme", "vector": vector("q"), "topK": 1}
    for number in range(GATEWAYS):
        assert (await fleet.ask("POST", "/query", by=number, json=ask)).status_code == 200
    for action, status in (("suspend", 412), ("resume", 200), ("suspend", 412)):
        done = await fleet.ask("POST", f"{BASE}/tenants/acme/{action}", by=0)
        assert done.status_code == 200, done.text
        began = time.monotonic()
        for number in range(GATEWAYS):
            while (await fleet.ask("POST", "/query", by=number, json=ask)).status_code != status:
                assert time.monotonic() - began < 30, f"gateway {number} still answers as before {action}"
                await asyncio.sleep(0.01)


async def test_gateways_are_killed_while_tenants_move(fleet: Fleet) -> None:
    async def trouble() -> None:
        for number in (0, 1, 2, 0):
            await asyncio.sleep(fleet.chance.uniform(0.3, 1.2))
            await fleet.kill(number)
            await asyncio.sleep(fleet.chance.uniform(0.0, 0.5))
            await asyncio.to_thread(fleet.start, number)

    await loaded(fleet, trouble, 2.0)
    await settle_and_check(fleet)


async def test_gateways_stand_still_longer_than_their_leases(fleet: Fleet) -> None:
    async def trouble() -> None:
        for number in (1, 2, 0):
            await fleet.suspended(number, fleet.chance.uniform(2.0, 3.0) * LEASE_S)
            await asyncio.sleep(0.3)

    await loaded(fleet, trouble, 2.0)
    await settle_and_check(fleet)


async def test_the_catalog_is_cut_off_for_a_while(fleet: Fleet, servers: tuple[PostgresServer, PostgresServer]) -> None:
    """For far longer than the leases: nothing is served any more, and everything comes back by itself."""

    async def trouble() -> None:
        servers[0].stop_for_a_while()
        try:
            await asyncio.sleep(2 * LEASE_S)
            await control_is_refused(fleet)
            await asyncio.sleep(CUT_OFF_S - 2 * LEASE_S)
        finally:
            await asyncio.to_thread(servers[0].come_back)

    await loaded(fleet, trouble, 3.0)
    await settle_and_check(fleet)


async def test_the_catalog_stands_still_for_a_while(
    fleet: Fleet, servers: tuple[PostgresServer, PostgresServer]
) -> None:
    """As a lost network does it: connections stay open, and nothing comes back on them."""

    async def trouble() -> None:
        servers[0].stand_still()
        try:
            await asyncio.sleep(CUT_OFF_S)
        finally:
            servers[0].go_on()

    await loaded(fleet, trouble, 3.0)
    await settle_and_check(fleet)


async def test_reads_and_direct_writes_go_on_without_the_catalog_while_leases_hold(
    fleet: Fleet, servers: tuple[PostgresServer, PostgresServer]
) -> None:
    """With leases of a minute and no move going on, tenants notice nothing of a catalog that is away."""
    fleet.lease_s = 60.0
    for number in range(GATEWAYS):
        await fleet.kill(number)
        await asyncio.to_thread(fleet.start, number)
    # Each gateway knows the routes before; whoever was killed has left its lease behind, which no move waits for here.
    await preload(fleet)
    for number in range(GATEWAYS):
        for tenant in TENANTS:
            await fleet.done("GET", "/vectors/fetch", by=number, params={"namespace": tenant, "ids": "base-0000"})
    fleet.patient = False
    work = [write_forever(fleet, tenant, writer) for tenant in TENANTS for writer in range(2)]
    work += [read_forever(fleet, tenant) for tenant in TENANTS]
    tasks = [asyncio.create_task(one) for one in work]
    await asyncio.sleep(0.5)
    servers[0].stop_for_a_while()
    try:
        before = fleet.reads, fleet.writes
        await control_is_refused(fleet)
        await asyncio.sleep(CUT_OFF_S / 2)
        assert fleet.reads > before[0] + 50
        assert fleet.writes > before[1] + 50
        assert fleet.problems == []
    finally:
        await asyncio.to_thread(servers[0].come_back)
    async with asyncio.timeout(20):
        while (await fleet.ask("POST", f"{BASE}/tenants", json={"name": "new"})).status_code not in (200, 201, 409):
            await asyncio.sleep(0.1)
    fleet.stopping = True
    await asyncio.gather(*tasks)
    await settle_and_check(fleet)


async def test_clocks_are_wrong_and_jump(fleet: Fleet) -> None:
    """One gateway's wall clock is an hour ahead and one's a day behind, and both jump the other way: leases and
    barriers count on no wall clock."""
    fleet.wrong_by_s = [0.0, 3_600.0, -86_400.0]
    for number in range(GATEWAYS):
        await fleet.kill(number)
        await asyncio.to_thread(fleet.start, number)

    async def trouble() -> None:
        for number in (1, 2, 1, 2):
            gateway = fleet.gateways[number]
            assert gateway is not None
            gateway.process.send_signal(signal.SIGUSR1)
            await asyncio.sleep(1.0)

    await loaded(fleet, trouble, 2.0)
    await settle_and_check(fleet)


async def control_is_refused(fleet: Fleet) -> None:
    """At once or soon, and it says what is away."""
    began = time.monotonic()
    client = fleet.clients[0]
    assert client is not None
    refused = await client.post(f"{BASE}/tenants", json={"name": "new"})
    assert refused.status_code == 503, refused.text
    assert re.search("catalog|unavailable", refused.text)
    assert time.monotonic() - began < 20


async def test_redis_comes_and_goes(fleet: Fleet) -> None:
    """Killed, away for a while, and back without anything that it knew: everything works, and says so."""

    async def trouble() -> None:
        for away_s in (0.0, 2.0):
            fleet.redis.kill()
            await asyncio.sleep(away_s)
            await asyncio.to_thread(fleet.redis.come_back)
            await asyncio.sleep(1.0)

    await loaded(fleet, trouble, 1.0)
    await settle_and_check(fleet)
    gateway = fleet.gateways[0]
    assert gateway is not None
    assert "changes elsewhere are found out later" in gateway.errors()


async def test_gateways_are_restarted_one_after_the_other(fleet: Fleet) -> None:
    """Behind clients that go elsewhere when a connection breaks, no request fails: not even with "try again"."""
    fleet.patient = False
    fleet.request_s = 20.0

    async def trouble() -> None:
        for number in range(GATEWAYS):
            gateway, client = fleet.gateways[number], fleet.clients[number]
            assert gateway is not None
            assert client is not None
            code = await asyncio.to_thread(gateway.stop)
            assert code == 0, gateway.errors()
            fleet.clients[number] = None
            await client.aclose()
            await asyncio.to_thread(fleet.start, number)

    await loaded(fleet, trouble, 1.0)
    await settle_and_check(fleet)
