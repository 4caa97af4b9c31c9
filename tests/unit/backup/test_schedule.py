"""Backups that make themselves: hours of them in virtual time, into a real folder."""

import asyncio
import itertools

import pytest

from tenantry.archives.directory import DirectoryArchive
from tenantry.backup.retention import Retention
from tenantry.backup.schedule import LOOK_S, Schedule
from tenantry.cluster import Cluster
from tenantry.errors import InvalidArgument, Unavailable
from tenantry.testing.memory_backend import MemoryBackend
from tenantry.testing.memory_catalog import MemoryCatalog
from tenantry.testing.parts import parts_in_memory
from tenantry.testing.virtual_loop import VirtualClock, run_virtual

HOUR_S = 3_600.0


class ShakyArchive(DirectoryArchive):
    """A folder that cannot be written while ``away``."""

    away = False

    async def put(self, *given, **named):
        if self.away:
            raise Unavailable("the archive is away")
        return await super().put(*given, **named)


@pytest.fixture
def served(tmp_path):
    """Runs a course with a cluster that has a tenant and makes its backups, and with its archive, in virtual time."""

    def run(course):
        async def whole():
            archive, stores = ShakyArchive(tmp_path), {}
            cluster = Cluster(
                parts_in_memory(
                    MemoryCatalog(),
                    lambda index, shard: stores.setdefault(shard.name, MemoryBackend(index.metric)),
                    VirtualClock(asyncio.get_running_loop()),
                    open_archive=lambda url: archive,
                )
            )
            async with cluster:
                await cluster.indexes.create("default", 2, shards=1)
                await cluster.tenant("acme").upsert([("a", [1.0, 0.5])])
                cluster.backups.run_schedule()
                await course(cluster, archive)

        run_virtual(whole(), 100 * HOUR_S)

    return run


async def times(cluster):
    """When the listed backups were made, oldest first."""
    return sorted(one.manifest.finished_at for one in await cluster.backups.list())


def test_one_is_made_each_hour_and_old_ones_go(served):
    async def course(cluster, _):
        await asyncio.sleep(3 * HOUR_S)
        assert await times(cluster) == []  # nobody asked for any
        await cluster.backups.set_schedule(Schedule(HOUR_S, retention=Retention(hourly=3, daily=0, weekly=0)))
        await asyncio.sleep(2.5 * HOUR_S)
        first = await times(cluster)
        await asyncio.sleep(4 * HOUR_S)
        found = await times(cluster)
        assert len(found) == 3
        assert set(first[:-1]).isdisjoint(found)
        for before, after in itertools.pairwise(found):
            assert HOUR_S <= after - before <= HOUR_S + 2 * LOOK_S
        await cluster.backups.set_schedule(None)
        await asyncio.sleep(3 * HOUR_S)
        assert await times(cluster) == found

    served(course)


def test_one_that_could_not_be_made_is_made_when_the_archive_is_back(served, caplog):
    async def course(cluster, archive):
        archive.away = True
        await cluster.backups.set_schedule(Schedule(HOUR_S))
        await asyncio.sleep(HOUR_S / 2)
        assert await times(cluster) == []
        assert "the archive is away" in caplog.text
        archive.away = False
        back_at = cluster.clock.now()
        await asyncio.sleep(10 * LOOK_S)
        found = await times(cluster)
        assert len(found) == 1
        assert found[0] - back_at <= 2 * LOOK_S

    served(course)


def test_a_schedule_that_cannot_be_is_refused_and_the_old_one_stays(served):
    async def course(cluster, _):
        good = Schedule(2 * HOUR_S)
        await cluster.backups.set_schedule(good)
        for wrong in (Schedule(59.0), Schedule(float("nan")), Schedule(HOUR_S, retention=Retention(hourly=-1))):
            with pytest.raises(InvalidArgument):
                await cluster.backups.set_schedule(wrong)
        assert await cluster.backups.schedule() == good

    served(course)
