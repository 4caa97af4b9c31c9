"""Migrations from the command line, on a folder: a whole one, one that is killed on its way, and ways back."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

TENANTS = [f"t{number}" for number in range(8)]
RECORDS = 30
KILLED = """
import os, signal, sys
from tenantry.cli.main import main
from tenantry.control.mover.context import NoFaults

point, left = sys.argv.pop(1), int(sys.argv.pop(1))

async def reach(self, reached):
    global left
    left -= reached == point
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

NoFaults.reach = reach
main()
"""


class Program:
    """``tenantry`` on one folder."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.program = programs / "tenantry"

    def killed(self, point: str, times: int, *arguments: str) -> int:
        """The command as a process of its own, which kills itself at a point of its moves; how it ended."""
        command = [sys.executable, "-c", KILLED, point, str(times), *arguments, "--data", str(self.folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    def __call__(self, *arguments: str, code: int = 0, given: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [self.program, *arguments, "--data", self.folder]
        done = subprocess.run(command, capture_output=True, text=True, input=given, check=False)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str, code: int = 0):
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def homes(self) -> dict[str, str]:
        return {one["name"]: one["shard"] for one in self.json("tenant", "list")}


def moved_in(folder: Path) -> int:
    """Tenants that are elsewhere by now; the folder's own process holds it, so the catalog is read beside it."""
    with closing(sqlite3.connect(f"file:{folder / 'catalog.db'}?mode=ro", uri=True)) as catalog:
        return int(catalog.execute("SELECT count(*) FROM tenantry_tenants WHERE shard <> 'shard-0'").fetchone()[0])


@pytest.fixture
def tenantry(tmp_path: Path, programs: Path) -> Program:
    program = Program(tmp_path / "data", programs)
    program("init", "--shards", "1", "--dimension", "2")
    lines = "\n".join(json.dumps({"id": f"r{i}", "values": [1, i + 1]}) for i in range(RECORDS))
    for name in TENANTS:
        program("upsert", name, "-", given=lines)
    program("shard", "add", "new-0")
    program("shard", "add", "new-1")
    return program


@pytest.mark.timeout(240)
def test_a_migration_from_its_plan_to_its_end(tenantry: Program) -> None:
    plan = tenantry.json("migrate", "plan", "--from", "shard-0")
    assert [len(wave["tenants"]) for wave in plan["waves"]] == [1, 2, 2, 2, 1]
    assert plan["options"]["every_s"] == 86_400
    assert tenantry.homes() == dict.fromkeys(TENANTS, "shard-0")  # planning changes nothing
    refused = tenantry("migrate", "plan", "--from", "nowhere", code=1)
    assert "nowhere" in refused.stderr
    assert "--from" in tenantry("migrate", "plan", code=2).stderr
    tenantry("migrate", "start", "--from", "shard-0", "--now", code=2)  # wants a yes
    done = tenantry.json("migrate", "start", "--from", "shard-0", "--now", "--soak", "0s", "--wait", "--yes")
    assert (done["state"], done["moved"]) == ("done", len(TENANTS))
    assert set(tenantry.homes().values()) == {"new-0", "new-1"}
    assert "tenantry migrate finish" in tenantry("migrate", "status").stdout
    assert tenantry.json("migrate", "finish", "--yes")["state"] == "finished"
    assert done["id"] in tenantry("migrate", "rollback", done["id"], "--yes", code=1).stderr


@pytest.mark.timeout(240)
def test_one_that_is_killed_goes_on_when_the_folder_is_next_used(tenantry: Program) -> None:
    start = ("migrate", "start", "--from", "shard-0", "--now", "--soak", "0s", "--at-once", "1", "--wait", "--yes")
    assert tenantry.killed("flip.left", 3, *start) == -signal.SIGKILL
    assert moved_in(tenantry.folder) == 3
    held = tenantry.json("migrate", "status")
    assert held["state"] == "running"
    assert held["moved"] == 2  # the third was done, but not told yet
    again = tenantry.json("migrate", "start", "--from", "shard-0", "--now", "--soak", "0s", "--wait", "--yes")
    assert (again["id"], again["state"], again["moved"]) == (held["id"], "done", len(TENANTS))
    assert set(tenantry.homes().values()) == {"new-0", "new-1"}
    back = tenantry.json("migrate", "rollback", "--wait", "--yes")
    assert back["state"] == "rolled-back"
    assert tenantry.homes() == dict.fromkeys(TENANTS, "shard-0")
    for name in TENANTS:
        assert len(tenantry("ids", name).stdout.split()) == RECORDS
