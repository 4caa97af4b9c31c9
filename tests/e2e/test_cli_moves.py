"""Moves and plans from the command line, on a folder: the commands as people and scripts call them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

FOLDER_OPTION = "--data"


class Program:
    """``tenantry`` on one folder."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.program = programs / "tenantry"

    def __call__(self, *arguments: str, code: int = 0, given: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [self.program, *arguments, FOLDER_OPTION, self.folder]
        done = subprocess.run(command, capture_output=True, text=True, input=given, check=False)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str, code: int = 0):
        return json.loads(self(*arguments, "--json", code=code).stdout)


@pytest.fixture(scope="module")
def tenantry(tmp_path_factory, programs) -> Program:
    program = Program(tmp_path_factory.mktemp("cli") / "data", programs)
    program("init", "--shards", "1", "--dimension", "2")
    for number in range(4):
        lines = "\n".join(json.dumps({"id": f"r{i}", "values": [1, i + 1]}) for i in range(20))
        program("upsert", f"t{number}", "-", given=lines)
    program("shard", "add", "shard-1")
    return program


@pytest.mark.timeout(240)
def test_a_move_its_list_its_proof_and_the_way_back(tenantry: Program) -> None:
    moved = tenantry.json("move", "t0", "--to", "shard-1")
    assert (moved["tenant"], moved["source"], moved["target"]) == ("t0", "shard-0", "shard-1")
    listed = tenantry.json("moves", "list")
    assert [{"id", "tenant", "source", "target", "phase"} <= one.keys() for one in listed] == [True]
    shown = tenantry("moves", "show", moved["id"]).stdout
    assert "20 records the same on both sides" in shown
    assert f"tenantry moves rollback {moved['id']}" in shown
    again = tenantry("move", "t0", "--to", "shard-0", code=1)
    assert again.stdout == ""
    assert moved["id"] in again.stderr
    tenantry("moves", "cancel", moved["id"], code=1)
    tenantry("moves", "rollback", moved["id"], code=2)  # wants a yes
    assert tenantry.json("moves", "rollback", moved["id"], "--yes")["phase"] == "rolled-back"
    assert tenantry.json("tenant", "show", "t0")["shard"] == "shard-0"
    tenantry("moves", "finalise", moved["id"], "--yes", code=1)


@pytest.mark.timeout(240)
def test_what_cannot_be_moved_says_why(tenantry: Program) -> None:
    for arguments, word in (
        (("move", "nobody", "--to", "shard-1"), "nobody"),
        (("move", "t1", "--to", "shard-9"), "shard-9"),
        (("moves", "show", "0123456789ab"), "0123456789ab"),
    ):
        assert word in tenantry(*arguments, code=1).stderr
    assert "soak" in tenantry("move", "t1", "--to", "shard-1", "--soak", "long", code=2).stderr
    assert "detach" in tenantry("move", "t1", "--to", "shard-1", "--detach", code=2).stderr


@pytest.mark.timeout(240)
def test_plans_change_nothing_until_they_are_carried_out(tenantry: Program) -> None:
    if not tenantry.json("moves", "list"):  # the tests before may have been played elsewhere
        moved = tenantry.json("move", "t0", "--to", "shard-1")
        tenantry("moves", "rollback", moved["id"], "--yes")
    assert tenantry.json("shard", "drain", "shard-1")["moves"] == []
    drain = tenantry.json("shard", "drain", "shard-0")
    assert sorted(move["tenant"] for move in drain["moves"]) == ["t1", "t2", "t3"]
    assert any("t0" in note for note in drain["notes"])  # it was moved a moment ago
    assert [move["tenant"] for move in tenantry.json("tenant", "isolate", "t1")["moves"]] == ["t1"]
    planned = tenantry("plan", "--cool-down", "0").stdout
    assert "shard-0 -> " not in planned
    assert "2 moves" in planned
    assert tenantry.json("shard", "show", "shard-0")["tenants"] == 4
    tenantry("rebalance", "--execute", "--cool-down", "0", code=2)  # wants a yes
    assert tenantry.json("shard", "show", "shard-0")["tenants"] == 4
    run = tenantry.json("rebalance", "--execute", "--cool-down", "0", "--soak", "0", "--yes")
    assert (run["state"], run["moved"], run["failed"]) == ("done", 2, 0)
    assert tenantry.json("shard", "show", "shard-0")["tenants"] == 2
    assert {move["why"] for move in tenantry.json("moves", "list")[:2]} == {"balance"}
    copies = tenantry.json("moves", "copies")
    gone = tenantry.json("moves", "purge", "--yes")
    assert gone == copies
    assert len(copies) == 2
    assert tenantry.json("verify-routing")["consistent"]
