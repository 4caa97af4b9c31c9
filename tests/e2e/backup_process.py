"""Makes a backup, or restores a cluster, and kills itself at a point: ``FOLDER ARCHIVE POINT TIMES [restore]``."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from tenantry.backup.service import BackupService
from tenantry.settings import Settings
from tenantry.wiring import open_cluster, restoring_cluster


class Killer:
    def __init__(self, point: str, times: int) -> None:
        self.point, self.times = point, times

    async def reach(self, point: str) -> None:
        if point == self.point:
            self.times -= 1
            if self.times == 0:
                os.kill(os.getpid(), signal.SIGKILL)


async def main(folder: str, archive: str, point: str, times: str, restore: bool) -> None:
    opened = restoring_cluster(Settings(data=Path(folder))) if restore else await open_cluster(folder)
    async with opened as cluster:
        service: BackupService = cluster._backup
        object.__setattr__(service._context, "faults", Killer(point, int(times)))
        if restore:
            await cluster.backups.restore_cluster(archive)
        else:
            await cluster.backups.create(archive)
    print("not killed")


asyncio.run(main(*sys.argv[1:5], len(sys.argv) > 5))
