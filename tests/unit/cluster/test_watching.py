"""What people who watch are shown: searched, sorted and paged right, and measured once however many ask."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tenantry.control.measure.history import MOST_PAUSE_S, SAMPLES
from tenantry.control.measure.readings import Readings
from tenantry.control.roster import FRESH_S, STALE_S, Roster, RosterRow, Rosters, RosterSort, page_of
from tenantry.errors import InvalidArgument, NotFound
from tenantry.model.records import Record

ROOT = Path(__file__).parents[3]


def row(name, shard="s0", vectors=0):
    return RosterRow(name, "active", shard, vectors, vectors * 10, 0.0, 0.0, 1.0, False)


ROSTER = Roster(5.0, tuple(row(f"t{n:02}", f"s{n % 3}", n * 7 % 5) for n in range(20)))


def page(**asked):
    base = {"text": "", "shard": None, "sort": RosterSort.NAME, "descending": False, "offset": 0, "limit": 100}
    return page_of("default", ROSTER, **(base | asked))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", list(RosterSort))
def test_a_page_is_part_of_the_sorted_whole(sort, descending):
    whole = page(sort=sort, descending=descending).tenants
    values = [getattr(one, sort) for one in whole]
    assert values == sorted(values, reverse=descending)
    pages = [page(sort=sort, descending=descending, offset=n, limit=6).tenants for n in range(0, 20, 6)]
    assert [one for each in pages for one in each] == whole


def test_search_is_by_part_of_the_name_and_by_shard():
    assert [one.name for one in page(text="T1").tenants] == [f"t1{n}" for n in range(10)]
    found = page(shard="s1", text="0", limit=2)
    assert (found.total, found.found, [one.name for one in found.tenants]) == (20, 4, ["t01", "t04"])
    assert page(offset=100).tenants == []


async def test_the_list_of_tenants_is_measured_once_for_all_who_ask(lab):
    await lab.cluster.tenant("acme").upsert([Record("a", [1.0, 0.0]), Record("b", [0.0, 1.0])])
    asked = []

    def readings(index):
        asked.append(index)
        return Readings(300.0, 1, {}, {}, 0, 0, {})

    rosters = Rosters(lab.catalog, lab.cluster.router.pool, readings, lab.clock)
    first, second = await asyncio.gather(rosters.roster("default"), rosters.roster("default"))
    assert first is second
    assert [(one.name, one.vectors) for one in first.rows] == [("acme", 2)]
    await lab.cluster.tenants.create("later")
    lab.clock.advance(FRESH_S - 1)
    assert await rosters.roster("default") is first
    lab.clock.advance(STALE_S)
    assert [one.name for one in (await rosters.roster("default")).rows] == ["acme", "later"]
    assert len(asked) == 2
    with pytest.raises(NotFound):
        await rosters.roster("no-such-index")
    await rosters.aclose()


async def test_who_asks_at_the_same_time_and_is_slow_does_not_measure_again(lab, monkeypatch):
    rosters = Rosters(lab.catalog, lab.cluster.router.pool, lambda _: Readings(300.0, 1, {}, {}, 0, 0, {}), lab.clock)
    get, made = lab.catalog.indexes.get, asyncio.Event()

    async def slow(index):
        await made.wait()
        return await get(index)

    with monkeypatch.context() as patch:
        patch.setattr(lab.catalog.indexes, "get", slow)
        late = asyncio.create_task(rosters.roster("default"))
        await asyncio.sleep(0)
    first = await rosters.roster("default")
    made.set()
    assert await late is first
    await rosters.aclose()


async def test_latencies_are_kept_for_an_hour_and_no_longer(lab):
    watching, tenant = lab.cluster.watching, lab.cluster.tenant("acme")
    await tenant.upsert([Record("a", [1.0, 0.0])])
    assert (await watching.timeline()).at == []
    assert (await watching.overview()).sampled_at is None
    for number in range(SAMPLES + 5):
        lab.clock.advance(MOST_PAUSE_S)
        if number >= SAMPLES // 2:
            await tenant.query([1.0, 0.0], top_k=1)
        await watching._history.sample()  # what a gateway does by itself
    found = await watching.timeline()
    assert found.at[-1] - found.at[0] == pytest.approx(3_600 - MOST_PAUSE_S)
    (shard,) = found.shards
    assert shard.p95_ms[0] is None
    assert shard.p95_ms[-1] is not None
    assert shard.queries_per_second[-1] > 0
    assert (await watching.timeline(shard="nobody")).shards == []
    overview = await watching.overview()
    assert [one.name for one in overview.shards] == [shard.name]
    assert overview.sampled_at == found.at[-1]


async def test_wrong_questions_are_refused(lab):
    cluster = lab.cluster
    for asked in ({"sort": "colour"}, {"limit": 0}, {"limit": 201}, {"offset": -1}):
        with pytest.raises(InvalidArgument):
            await cluster.watching.tenants(**asked)
    with pytest.raises(InvalidArgument):
        await cluster.watching.timeline(shards=0)
    for work in (cluster.watching.overview, cluster.watching.timeline, cluster.watching.tenants):
        with pytest.raises(NotFound):
            await work("no-such-index")
    with pytest.raises(NotFound):
        await cluster.watching.reading("nobody")


def test_the_vendored_files_are_those_of_the_lock():
    command = [sys.executable, "tools/vendor.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
