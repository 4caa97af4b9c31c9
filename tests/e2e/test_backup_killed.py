"""Real processes, killed at each named point of a backup and of a restore."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from backup_lab import SIZES, everything, filled, restoring

from tenantry.errors import Refused
from tenantry.wiring import open_cluster

PROCESS = Path(__file__).with_name("backup_process.py")


def killed(*arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, PROCESS, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("point", "times"),
    [
        ("backup.segment-stored", 1),
        ("backup.segment-stored", 3),
        ("backup.tenant-done", 2),
        ("backup.dumped", 1),
        ("backup.before-manifest", 1),
        ("backup.published", 1),
    ],
)
async def test_a_backup_that_is_killed(tmp_path: Path, point: str, times: int) -> None:
    data, archive = tmp_path / "data", str(tmp_path / "archive")
    async with await filled(data) as cluster:
        first = await cluster.backups.create(archive)
        for number, name in enumerate(SIZES):
            await cluster.tenant(name).upsert([("new", [1.0 + number] * 8, None)])
    killed(data, archive, point, times)
    async with await open_cluster(data) as cluster:
        listed = await cluster.backups.list(archive)
        assert len(listed) == (2 if point == "backup.published" else 1)
        assert listed[-1].id == first.id
        assert all(one.error is None for one in listed)
        for one in listed:
            assert (await cluster.backups.verify(archive, one.id)).whole
        made = await cluster.backups.create(archive)
        assert (await cluster.backups.verify(archive, made.id)).whole
        assert made.totals.records == sum(SIZES.values()) + len(SIZES)
        assert (await cluster.backups.prune(archive)).damaged == []
        assert (await cluster.backups.verify(archive, made.id)).whole


@pytest.mark.parametrize("times", [1, 3])
async def test_a_restore_that_is_killed(tmp_path: Path, times: int) -> None:
    data, new, archive = tmp_path / "data", tmp_path / "new", str(tmp_path / "archive")
    async with await filled(data) as cluster:
        await cluster.backups.create(archive)
        wanted = await everything(cluster)
    killed(new, archive, "restore.segment-written", times, "restore")
    with pytest.raises(Refused, match="was cut off"):
        await open_cluster(new)
    async with restoring(new) as cluster:
        await cluster.backups.restore_cluster(archive)
    async with await open_cluster(new) as cluster:
        assert await everything(cluster) == wanted
        assert (await cluster.verify_routing()).problems == []
