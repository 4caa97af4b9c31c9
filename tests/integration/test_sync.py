"""The library without async, on real data folders."""

from __future__ import annotations

import asyncio
import inspect
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tenantry
from tenantry.errors import AlreadyExists, InvalidArgument, NotFound, Refused
from tenantry.sync import SyncCluster


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with SyncCluster.init(tmp_path / "data", dimension=3, shards=2):
        pass
    return tmp_path / "data"


def test_everything_of_the_cluster_is_there_without_async(folder):
    with tenantry.connect(folder) as cluster:
        assert cluster.indexes.get("default").dimension == 3
        assert [one.shard.name for one in cluster.shards.list()] == ["shard-0", "shard-1"]
        assert cluster.tenants.create("acme").name == "acme"
        acme = cluster.tenant("acme")
        assert acme.name == "acme"
        assert acme.upsert([("a", [1, 0, 0], {"n": 1}), ("b", [0, 1, 0])]) == 2
        assert [hit.id for hit in acme.query([1, 0.1, 0], top_k=1)] == ["a"]
        assert acme.fetch(["b"])["b"].values.tolist() == [0, 1, 0]
        assert acme.stats().vectors == 2
        assert cluster.search_all([1, 0, 0]).hits[0].tenant == "acme"
        assert cluster.verify_routing().consistent
        key, secret = cluster.keys.create("acme")
        assert cluster.keys.authenticate(secret).id == key.id
        acme.delete(all=True)
        cluster.tenants.delete("acme")
    with tenantry.connect(folder) as cluster, pytest.raises(NotFound):
        cluster.tenants.get("acme")


def test_what_the_cluster_has_the_bridge_has(folder):
    with tenantry.connect(folder) as cluster:
        names = {name for name in dir(tenantry.Cluster) if not name.startswith("_")}
        assert names <= set(dir(cluster))
        assert "upsert" in dir(cluster.tenant("acme"))
        assert "add" in dir(cluster.tenant("acme").documents)
        assert cluster.tenant("acme").upsert.__doc__ == tenantry.TenantHandle.upsert.__doc__
        with pytest.raises(AttributeError):
            _ = cluster.tenant("acme").nothing_like_that
        with pytest.raises(AttributeError):
            _ = cluster._pool


def test_errors_are_the_cluster_s_own(folder):
    with tenantry.connect(folder) as cluster:
        with pytest.raises(NotFound):
            cluster.tenants.get("nobody")
        with pytest.raises(InvalidArgument):
            cluster.tenant("acme").upsert([("a", [1, 2])])
        assert cluster.tenant("acme").upsert([("a", [1, 2, 3])]) == 1


def test_opening_what_is_not_there_leaves_no_thread(tmp_path):
    before = set(threading.enumerate())
    with pytest.raises(NotFound):
        tenantry.connect(tmp_path / "nowhere")
    assert set(threading.enumerate()) <= before


def test_making_a_cluster_twice_is_refused(folder):
    with pytest.raises(AlreadyExists):
        SyncCluster.init(folder, dimension=3)


def test_a_scan_is_an_iterator(folder):
    with tenantry.connect(folder) as cluster:
        acme = cluster.tenant("acme")
        acme.upsert([(f"r{i:03}", [1, 0, i]) for i in range(300)])
        assert [record.id for record in acme.scan()] == [f"r{i:03}" for i in range(300)]
        some = acme.scan(prefix="r1")
        assert next(some).id == "r100"
        some.close()
        assert sum(1 for _ in acme.scan(prefix="zzz")) == 0


def test_an_error_in_the_middle_of_an_iterator_comes_after_the_items_before_it(folder):
    async def items():
        yield 1
        yield 2
        raise NotFound("record", "3")

    with tenantry.connect(folder) as cluster:
        seen = cluster._loop.iterate(items())
        assert [next(seen), next(seen)] == [1, 2]
        with pytest.raises(NotFound):
            next(seen)


def test_after_the_end_every_call_says_so(folder):
    cluster = tenantry.connect(folder)
    acme = cluster.tenant("acme")
    acme.upsert([("a", [1, 0, 0])])
    running = acme.scan()
    next(running)
    cluster.close()
    cluster.close()
    for call in (acme.stats, cluster.tenants.list, lambda: cluster.tenant("b"), cluster.__enter__):
        with pytest.raises(Refused, match="closed"):
            call()
    assert not [thread for thread in threading.enumerate() if thread.name == "tenantry-loop"]


def test_several_threads_share_a_cluster(folder):
    with tenantry.connect(folder) as cluster, ThreadPoolExecutor(8) as pool:

        def work(number: int) -> int:
            tenant = cluster.tenant(f"t{number % 4}")
            tenant.upsert([(f"r{number}-{i}", [1, number, i]) for i in range(20)])
            return len(tenant.query([1, 1, 1], top_k=5))

        assert list(pool.map(work, range(40))) == [5] * 40
        assert sum(cluster.tenant(f"t{i}").stats().vectors for i in range(4)) == 800


async def test_it_works_where_a_loop_is_running(folder):
    with tenantry.connect(folder) as cluster:
        assert cluster.tenant("acme").upsert([("a", [1, 0, 0])]) == 1
        assert await asyncio.to_thread(cluster.tenant("acme").stats)


def test_one_s_own_coroutine_runs_beside_the_cluster(folder):
    async def steps(cluster: tenantry.Cluster) -> int:
        await cluster.tenants.create("acme")
        return await cluster.tenant("acme").upsert([("a", [1, 0, 0])])

    with tenantry.connect(folder) as cluster:
        assert cluster.run(steps(cluster.asynchronous)) == 1


def test_a_call_from_inside_the_loop_is_refused_not_deadlocked(folder):
    with tenantry.connect(folder) as cluster:

        async def wrong() -> None:
            cluster.tenants.list()

        with pytest.raises(Refused, match="own event loop"):
            cluster.run(wrong())


def test_closing_from_another_thread_ends_a_call_that_waits(folder):
    cluster = tenantry.connect(folder)
    waiting = threading.Event()

    async def forever() -> None:
        waiting.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(cluster.run, forever())
        waiting.wait()
        cluster.close()
        with pytest.raises(Refused, match="cancelled"):
            call.result(timeout=10)


INTERRUPTED = """
    import asyncio, signal, sys, tenantry

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to it
    with tenantry.connect(sys.argv[1]) as cluster:
        async def forever():
            print("waiting", flush=True)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                print("cancelled", flush=True)
                raise
        try:
            cluster.run(forever())
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        print(cluster.tenant("acme").upsert([("a", [1, 0, 0])]), flush=True)
"""


def test_ctrl_c_cancels_the_call_and_leaves_the_cluster_usable(folder):
    program = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), str(folder)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read().split() == ["cancelled", "interrupted", "1"]
    assert process.returncode == 0


@pytest.mark.parametrize("handed_over", [False, True])
def test_an_interrupt_while_a_call_is_handed_over_leaves_nothing_running(folder, monkeypatch, handed_over):
    async def forever() -> None:
        await asyncio.Event().wait()

    with tenantry.connect(folder) as cluster:
        loop = cluster._loop._loop
        hand_over = loop.call_soon_threadsafe

        def interrupted(callback, *args, **options):
            monkeypatch.setattr(loop, "call_soon_threadsafe", hand_over)
            if handed_over:
                hand_over(callback, *args, **options)
            raise KeyboardInterrupt

        monkeypatch.setattr(loop, "call_soon_threadsafe", interrupted)
        work = forever()
        with pytest.raises(KeyboardInterrupt):
            cluster.run(work)
        assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED
        assert cluster.tenant("acme").upsert([("a", [1, 0, 0])]) == 1


def test_a_program_that_never_closes_ends_all_the_same(folder):
    script = "import sys, tenantry; print(tenantry.connect(sys.argv[1]).tenant('acme').upsert([('a', [1, 0, 0])]))"
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("1\n", 0)
    with tenantry.connect(folder) as cluster:
        assert cluster.tenant("acme").stats().vectors == 1
