"""Files into tenants and back, through the library on the real engine: whole, interrupted, refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tenantry import init_cluster, open_cluster
from tenantry.cluster import Cluster
from tenantry.errors import AlreadyExists, Corrupt, InvalidArgument, NotFound, Refused
from tenantry.files.importer import WINDOW_ROWS

TENANTS, COUNT = 3, 3 * WINDOW_ROWS


def lines(count: int, bad: int = 1_000) -> list[str]:
    """A record a line over three tenants; each ``bad``-th has one number too many."""
    return [
        json.dumps({"id": f"r{n}", "values": [1, n] + [0] * (n % bad == bad - 1), "tenant": f"t{n % TENANTS}"})
        for n in range(count)
    ]


def written(path: Path, count: int, **options: Any) -> Path:
    path.write_text("\n".join(lines(count, **options)))
    return path


async def everything(cluster: Cluster) -> dict[tuple[str, str], list[float]]:
    found = {}
    for status in await cluster.tenants.list():
        async for record in cluster.tenant(status.tenant.name).scan():
            found[status.tenant.name, record.id] = record.values.tolist()
    return found


def wanted(count: int, bad: int = 1_000) -> dict[tuple[str, str], list[float]]:
    return {(f"t{n % TENANTS}", f"r{n}"): [1.0, float(n)] for n in range(count) if n % bad != bad - 1}


@pytest.fixture
async def cluster(tmp_path: Path) -> Any:
    async with await init_cluster(tmp_path / "data", dimension=2, shards=2, metric="euclidean") as cluster:
        yield cluster


async def test_an_import_reports_what_it_took_and_what_not(cluster: Cluster, tmp_path: Path) -> None:
    path, rejects = written(tmp_path / "a.jsonl", 2_500), tmp_path / "bad.jsonl"
    heard: list[int] = []
    dry = await cluster.files.read(path, rejects=rejects, dry_run=True)
    assert await cluster.tenants.list() == []
    assert not rejects.exists()
    report = await cluster.files.read(path, rejects=rejects, advance=heard.append)
    assert (report.rows, report.written, report.rejected) == (2_500, 2_498, 2)
    assert (dry.rows, dry.written, dry.rejected, dry.tenants) == (2_500, 2_498, 2, report.tenants)
    assert sum(heard) == path.stat().st_size
    assert await everything(cluster) == wanted(2_500)
    found = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [(one["row"], one["id"], one["field"]) for one in found] == [
        (1000, "r999", "values"),
        (2000, "r1999", "values"),
    ]
    assert found[0]["record"] == json.loads(lines(1_000)[999])
    assert not rejects.with_name("bad.jsonl.state").exists()


async def test_what_was_rejected_can_be_mended_and_imported(cluster: Cluster, tmp_path: Path) -> None:
    rejects = tmp_path / "bad.jsonl"
    await cluster.files.read(written(tmp_path / "a.jsonl", 1_000), rejects=rejects)
    mended = [json.loads(line)["record"] for line in rejects.read_text().splitlines()]
    for one in mended:
        one["values"] = one["values"][:2]
    (tmp_path / "mended.jsonl").write_text("\n".join(json.dumps(one) for one in mended))
    report = await cluster.files.read(tmp_path / "mended.jsonl", rejects=tmp_path / "worse.jsonl")
    assert (report.written, report.rejected, report.rejects) == (1, 0, None)
    assert await everything(cluster) == wanted(1_000, bad=10**9)


PROCESS = """
import asyncio, os, signal, sys
from tenantry import open_cluster

async def main(data, path, rejects, after):
    heard = 0
    def advance(size):
        nonlocal heard
        heard += size
        if heard > after:
            os.kill(os.getpid(), signal.SIGKILL)
    async with await open_cluster(data) as cluster:
        await cluster.files.read(path, rejects=rejects, advance=advance, resume=True)

asyncio.run(main(*sys.argv[1:4], int(sys.argv[4])))
"""


async def test_an_import_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    async with await init_cluster(tmp_path / "data", dimension=2, shards=2, metric="euclidean"):
        pass
    path, rejects = written(tmp_path / "a.jsonl", COUNT), tmp_path / "bad.jsonl"
    passed: list[int] = []
    for share in (0.1, 0.85, 0.99):
        after = int(path.stat().st_size * share)
        arguments = [tmp_path / "data", path, rejects, after]
        done = subprocess.run([sys.executable, "-c", PROCESS, *map(str, arguments)], timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL
        state = json.loads(rejects.with_name("bad.jsonl.state").read_bytes())
        passed.append(state["row"])
    assert passed[0] == 0
    assert 0 < passed[1] <= passed[2] < COUNT
    async with await open_cluster(tmp_path / "data") as cluster:
        with pytest.raises(Refused, match=r"was interrupted after .* --resume"):
            await cluster.files.read(path, rejects=rejects)
        with pytest.raises(Refused, match="asked for otherwise"):
            await cluster.files.read(path, rejects=rejects, tenant="other", resume=True)
        report = await cluster.files.read(path, rejects=rejects, resume=True)
        assert report.resumed_after == passed[-1]
        assert (report.rows, report.written, report.rejected) == (COUNT, COUNT - COUNT // 1_000, COUNT // 1_000)
        assert await everything(cluster) == wanted(COUNT)
        rows = [json.loads(line)["row"] for line in rejects.read_text().splitlines()]
        assert rows == list(range(1_000, COUNT + 1, 1_000))


async def test_a_file_that_has_changed_is_not_gone_on_with(cluster: Cluster, tmp_path: Path) -> None:
    path, rejects = written(tmp_path / "a.jsonl", 100, bad=2), tmp_path / "bad.jsonl"
    with pytest.raises(Refused, match="over the limit of 10"):
        await cluster.files.read(path, rejects=rejects, max_rejects=10)
    path.write_text(path.read_text().replace("r7", "x7"))
    with pytest.raises(Refused, match="has changed since"):
        await cluster.files.read(path, rejects=rejects, resume=True)


async def test_a_file_that_was_cut_off_gives_what_is_before_that(cluster: Cluster, tmp_path: Path) -> None:
    points = json.dumps({"points": [{"id": n, "vector": [1, n]} for n in range(100)]})
    (tmp_path / "a.json").write_text(points[: len(points) // 2])
    with pytest.raises(Corrupt, match="cut off"):
        await cluster.files.read(tmp_path / "a.json", rejects=tmp_path / "bad.jsonl", tenant="t")
    assert 40 < (await cluster.tenant("t").stats()).vectors < 60


@pytest.mark.parametrize("format", ["parquet", "jsonl", "pinecone", "qdrant", "chroma"])
async def test_an_export_can_be_imported(cluster: Cluster, tmp_path: Path, format: str) -> None:
    random = np.random.default_rng(1)
    for name in ("a", "b"):
        records = [(f"r{n}", random.normal(size=2), {"n": n, "document": "text"}) for n in range(700)]
        await cluster.tenant(name).upsert(records)
    before = await everything(cluster)
    to = tmp_path / ("out" if format in ("pinecone", "qdrant", "chroma") else f"out.{format}")
    report = await cluster.files.write(to, format=format)
    assert report.tenants == {"a": 700, "b": 700}
    with pytest.raises(AlreadyExists, match="--replace"):
        await cluster.files.write(to, format=format)
    assert (await cluster.files.write(to, format=format, replace=True)).records == 1_400
    async with await init_cluster(tmp_path / "other", dimension=2, metric="euclidean") as other:
        assert (await other.files.read(to, rejects=tmp_path / "bad")).written == 1_400
        assert await everything(other) == before
        [record] = (await other.tenant("a").fetch(["r5"])).values()
        assert record.metadata == {"n": 5, "document": "text"}


async def test_a_failed_export_leaves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    await cluster.tenant("a").upsert([("x", [1, 2])])
    with pytest.raises(NotFound):
        await cluster.files.write(tmp_path / "out.parquet", tenants=["a", "nobody"])
    with pytest.raises(InvalidArgument, match="format"):
        await cluster.files.write(tmp_path / "out.xlsx")
    with pytest.raises(InvalidArgument, match="tenants"):
        await cluster.files.write(tmp_path / "out.jsonl", tenants=[])
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
