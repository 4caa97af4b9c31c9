"""Regular checks: what stands, who decides in a fleet, what the others hear, and what people are told."""

import asyncio

import msgspec
import pytest

from tenantry.errors import InvalidArgument, Unavailable
from tenantry.telemetry.webhook import TRIES, Webhook
from tenantry.testing.clock import ManualClock
from tenantry.testing.stub_server import Answer, StubServer


async def full(ward):
    for shard in range(5):
        await ward.cluster.shards.update(f"shard-{shard}", max_tenants=10)
        await ward.tenants(f"shard-{shard}", 7)
    await ward.tenants("shard-0", 1, prefix="one-more")


def told(ward):
    return [
        (one["change"], one["warning"]["kind"])
        for body in ward.notes.told
        for one in msgspec.json.decode(body)["changes"]
    ]


async def test_a_warning_stands_after_two_checks_and_is_told_once(ward):
    await full(ward)
    checks = ward.cluster.health_checks
    assert (await ward.only()).since is None
    await checks.check()
    assert told(ward) == []
    ward.clock.advance(60)
    await checks.check()
    await checks.check()
    assert told(ward) == [("raised", "near-capacity")]
    assert (await ward.only()).since == ward.clock.now()
    await ward.cluster.shards.update("shard-0", max_tenants=11)
    for _ in range(3):
        assert told(ward) == [("raised", "near-capacity")]
        assert ward.cluster.health_checks.latest
        await checks.check()
    assert told(ward) == [("raised", "near-capacity")]  # 8 of 11 is within the band under 80%
    assert (await ward.only()).since is not None
    await ward.cluster.shards.update("shard-0", max_tenants=20)
    for _ in range(3):
        await checks.check()
    assert told(ward) == [("raised", "near-capacity"), ("cleared", "near-capacity")]
    assert await ward.kinds() == set()


async def test_what_could_not_be_told_is_told_later(ward):
    await full(ward)
    ward.notes.refuse = True
    for _ in range(4):
        await ward.cluster.health_checks.check()
    ward.notes.refuse = False
    await ward.cluster.health_checks.check()
    await ward.cluster.health_checks.check()
    assert told(ward) == [("raised", "near-capacity")]


async def test_one_of_a_fleet_decides_and_all_show_the_same(opened):
    async with opened(sole=False) as first:
        await full(first)
        second = type(first)(
            first.cluster._parts.thresholds,
            catalog=first.catalog,
            clock=first.clock,
            backends=first.backends,
            sole=False,
        )
        try:
            for _ in range(3):
                await first.cluster.health_checks.check()
                await second.cluster.health_checks.check()
            assert [one.warnings for one in first.cluster.health_checks.latest] == [
                one.warnings for one in second.cluster.health_checks.latest
            ]
            assert (told(first), told(second)) == ([("raised", "near-capacity")], [])
        finally:
            await second.cluster.aclose()


async def test_gateways_count_together_and_a_dead_one_no_more(opened):
    async with opened(sole=False) as first:
        await first.tenants("shard-0", 1)
        second = type(first)(catalog=first.catalog, clock=first.clock, backends=first.backends, sole=False)
        await second.query("shard-0-000", 30)
        await first.query("shard-0-000", 10)
        await second.cluster._sharing.put()
        found = await first.cluster.readings()
        assert (found.gateways, found.shards["shard-0"].queries) == (2, 40)
        assert sum(found.tenants["shard-0-000"].bins.values()) == 40
        await second.query("shard-0-000", 5)
        await second.cluster._sharing.put()
        assert (await first.cluster.readings()).shards["shard-0"].queries == 45
        second.cluster._member._beating.cancel()  # dies without a word
        first.clock.advance(6)
        await first.cluster.readings()
        first.clock.advance(6)
        found = await first.cluster.readings()
        assert (found.gateways, found.shards["shard-0"].queries) == (1, 10)
        assert await first.catalog.measures.read({}) == {}
        await second.cluster.aclose()


async def test_a_webhook_is_tried_again_and_gives_up():
    statuses = [500, 204, *[503] * TRIES]
    clock = ManualClock()

    async def ticks():
        while True:
            await asyncio.sleep(0.005)
            clock.advance(1)

    async with StubServer(lambda asked: Answer(status=statuses.pop(0))) as server:
        hook = Webhook(server.url + "/hook?token=verysecret", clock)
        ticking = asyncio.create_task(ticks())
        await hook.notify(b'{"a": 1}')
        assert [one.json() for one in server.asked] == [{"a": 1}] * 2
        with pytest.raises(Unavailable, match="3 tries: status 503") as refused:
            await hook.notify(b"{}")
        assert "verysecret" not in str(refused.value)
        assert statuses == []
        ticking.cancel()
        await hook.aclose()


@pytest.mark.parametrize("url", ["ftp://x/y", "nonsense", "http://"])
def test_a_webhook_needs_an_http_url(url):
    with pytest.raises(InvalidArgument, match="health_webhook_url"):
        Webhook(url, ManualClock())
