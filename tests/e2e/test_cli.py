"""The program as people and scripts run it: real processes on real folders, and against a real gateway."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from tenantry.cli.main import run as run_program

PROGRAM = [sys.executable, "-m", "tenantry"]
RECORDS = [{"id": f"r{i}", "values": [1, i, 0], "metadata": {"even": i % 2 == 0}} for i in range(5)]
LINES = "".join(json.dumps(one) + "\n" for one in RECORDS)


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TENANTRY_")}
    return {**kept, "NO_COLOR": "1"}


@pytest.fixture
def spawn(tmp_path: Path, environment: dict[str, str]) -> Run:
    """Run the program in an empty folder, as a process of its own."""

    def call(*arguments: str, stdin: str = "", **settings: str) -> Done:
        process = subprocess.run(
            [*PROGRAM, *arguments],
            input=stdin,
            cwd=tmp_path,
            env=environment | settings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in process.stderr
        return Done(process.returncode, process.stdout, process.stderr)

    return call


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run the program in an empty folder, in this process: the same, but for a second of imports each time."""
    for name in [name for name in os.environ if name.startswith("TENANTRY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, stdin: str = "", **settings: str) -> Done:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
            for name, value in settings.items():
                patch.setenv(name, value)
            code = run_program(list(arguments))
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Done(code, said.out, said.err)

    yield call
    structlog.reset_defaults()


@pytest.fixture
def data(run: Run) -> str:
    done = run("init", "--data", "data", "--shards", "3", "--dimension", "3", "--metric", "cosine", "--json")
    assert done.code == 0
    assert done.json["shard_names"] == ["shard-0", "shard-1", "shard-2"]
    return "data"


@dataclass
class Served:
    url: str
    process: subprocess.Popen[str]


@pytest.fixture
def served(data: str, tmp_path: Path, environment: dict[str, str]) -> Iterator[Served]:
    """The folder, served by another process with an admin key."""
    program = [*PROGRAM, "serve", "--data", data, "--host", "127.0.0.1", "--port", "0", "--json"]
    with subprocess.Popen(
        program,
        cwd=tmp_path,
        env=environment | {"TENANTRY_ADMIN_KEY": "sesame"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said, process.stderr.read() if process.stderr else ""
            yield Served(json.loads(said)["url"], process)
        finally:
            if process.poll() is None:
                process.kill()


def test_the_main_job_by_the_forms_that_scripts_use(spawn):
    made = spawn("init", "--data", "data", "--shards", "2", "--dimension", "3", "--metric", "cosine")
    assert (made.code, made.out) == (0, "made a cluster in data: 3 dimensions, cosine, 2 shards\n")
    assert spawn("tenant", "create", "acme", "--data", "data").out.startswith("created tenant acme on shard-")
    assert spawn("upsert", "acme", "-", "--data", "data", stdin=LINES).out == "upserted 5 records into acme\n"
    assert len(spawn("query", "acme", "--vector", "[1, 2, 0]", "--data", "data").out.splitlines()) == 6
    assert [one["name"] for one in spawn("shard", "list", "--data", "data", "--json").json] == ["shard-0", "shard-1"]
    shown = spawn("tenant", "show", "acme", "--json", TENANTRY_DATA="data").json
    assert (shown["vectors"], shown["epoch"], shown["shard"].startswith("shard-")) == (5, 2, True)
    assert spawn("tenant", "delete", "acme", "--data", "data").code == 2
    assert spawn("tenant", "delete", "acme", "--data", "data", "--yes", "--now").code == 0
    assert spawn("stats", "--data", "data", "--json").json["vectors"] == 0


def test_the_main_job_on_a_folder(run, data):
    at = ("--data", data, "--json")
    assert [one["name"] for one in run("shard", "list", *at).json] == ["shard-0", "shard-1", "shard-2"]
    assert run("tenant", "create", "acme/ünï", *at).json["state"] == "active"
    assert run("upsert", "acme/ünï", "-", *at, stdin=LINES).json == {"upserted": 5, "tenant": "acme/ünï"}
    shown = run("tenant", "show", "acme/ünï", *at).json
    assert (shown["vectors"], shown["epoch"]) == (5, 2)
    assert shown["shard"] in ("shard-0", "shard-1", "shard-2")
    hits = run("query", "acme/ünï", "--like", "r1", "--top-k", "2", "--filter", '{"even": false}', *at).json["hits"]
    assert [hit["id"] for hit in hits] == ["r1", "r3"]
    assert run("ids", "acme/ünï", *at).json == ["r0", "r1", "r2", "r3", "r4"]
    assert run("update", "acme/ünï", "r3", "--set", '{"kind": "x"}', *at).json["found"] is True
    [changed] = run("fetch", "acme/ünï", "r3", *at).json
    assert changed["metadata"] == {"even": False, "kind": "x"}
    assert run("update", "acme/ünï", "nobody", "--set", "{}", *at).code == 1
    assert run("update", "acme/ünï", "r3", *at).code == 2
    assert run("delete", "acme/ünï", "r0", "nobody", *at).code == 0
    assert [one["id"] for one in run("fetch", "acme/ünï", "r0", "r1", *at).json] == ["r1"]
    assert run("delete", "acme/ünï", "--filter", '{"even": true}', *at).code == 0
    stats = run("stats", *at).json
    assert (stats["tenants"], stats["vectors"], len(stats["shard_stats"])) == (1, 2, 3)
    assert run("verify-routing", *at).json["consistent"] is True
    assert run("tenant", "suspend", "acme/ünï", *at).json["state"] == "suspended"
    refused = run("query", "acme/ünï", "--like", "r1", *at)
    assert (refused.code, refused.out) == (1, "")
    assert run("tenant", "resume", "acme/ünï", *at).json["state"] == "active"
    assert run("tenant", "rename", "acme/ünï", "b", *at).code == 1
    assert run("tenant", "delete", "acme/ünï", "--data", data).code == 2
    assert run("tenant", "delete", "acme/ünï", "--yes", *at).json["deleted"] == "acme/ünï"
    assert run("tenant", "list", *at).json == []


def test_init_may_be_repeated_but_not_with_another_shape(run, data):
    again = run("init", "--data", data, "--shards", "3", "--dimension", "3", "--metric", "cosine", "--json")
    assert (again.code, again.json["created"]) == (0, False)
    assert "nothing changed" in run("init", "--data", data).out
    other = run("init", "--data", data, "--shards", "4", "--dimension", "8")
    assert other.code == 1
    assert "it has shards 3, not 4; dimension 3, not 8" in other.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--dimension", "0"), "dimension"),
        (("--dimension", "3", "--shards", "-1"), "shards"),
        (("--dimension", "3", "--metric", "manhattan"), "metric"),
        (("--dimension", "3", "--embedder", "magic"), "embedder"),
    ],
)
def test_bad_options_of_init_change_nothing(run, options, said):
    done = run("init", "--data", "data", *options)
    assert done.code == 1
    assert said in done.err
    assert run("init", "--data", "data", "--dimension", "3", "--json").json["created"] is True


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": "a", "values": [1, 2]}', "stdin:2: values: got '2 numbers'; allowed: exactly 3"),
        ('{"id": "a", "values": [0, 0, 0]}', "stdin:2: values: got 'a zero vector'"),
        ('{"id": "", "values": [1, 0, 0]}', "stdin:2: id: got ''"),
        ('{"id": "a", "values": [1, 0, 0], "metadata": {"x": {"y": 1}}}', "stdin:2: metadata.x"),
        ('{"id": "a", "values": [1, 0, 1e999]}', "stdin:2: "),
    ],
)
def test_bad_records_are_named_and_nothing_of_their_batch_is_written(run, data, line, said):
    first = json.dumps(RECORDS[0])
    done = run("upsert", "acme", "-", "--data", data, stdin=f"{first}\n{line}\n")
    assert (done.code, done.out) == (1, "")
    assert said in done.err
    assert "no records were written" in done.err
    assert [one["vectors"] for one in run("tenant", "list", "--data", data, "--json").json] in ([], [0])


def test_what_is_not_there(run, data):
    for arguments in (
        ("tenant", "show", "nobody"),
        ("shard", "show", "nothing"),
        ("index", "show", "nothing"),
        ("stats", "--index", "nothing"),
        ("keys", "revoke", "nothing", "--yes"),
        ("query", "nobody", "--like", "x"),
    ):
        done = run(*arguments, "--data", data)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("error: ")
    nowhere = run("stats")
    assert nowhere.code == 1
    assert "there is no cluster in tenantry-data" in nowhere.err
    assert "tenantry init" in nowhere.err


def test_indexes_and_shards(run, data):
    at = ("--data", data, "--json")
    assert run("index", "create", "notes", "--dimension", "2", "--shards", "2", *at).json["name"] == "notes"
    assert run("index", "set", "notes", "--protect", "--policy", "ring", *at).json["policy"] == "ring"
    assert run("index", "delete", "notes", "--yes", *at).code == 1
    assert run("index", "set", "notes", "--no-protect", *at).code == 0
    assert run("shard", "add", "big", "--index", "notes", "--max-tenants", "1", "--tier", "gold", *at).code == 0
    assert run("tenant", "create", "vip", "--index", "notes", "--tier", "gold", *at).json["shard"] == "big"
    full = run("tenant", "create", "late", "--index", "notes", "--tier", "gold", *at)
    assert full.code == 1
    assert run("shard", "remove", "big", "--index", "notes", "--yes", *at).code == 1
    assert run("shard", "set", "big", "--index", "notes", "--state", "draining", *at).json["state"] == "draining"
    assert run("tenant", "delete", "vip", "--index", "notes", "--yes", "--now", *at).code == 0
    assert run("shard", "remove", "big", "--index", "notes", "--yes", *at).json == {"removed": "big", "index": "notes"}
    assert run("index", "delete", "notes", "--yes", *at).code == 0
    assert [one["name"] for one in run("index", "list", *at).json] == ["default"]


def test_health_tells_cron_by_its_exit_code(run, tmp_path):
    assert run("health", "--data", tmp_path / "nothing").code == 3
    assert run("health", "--url", "http://127.0.0.1:1").code == 3
    for name, shards, code, health in (("one", "1", 0, "ok"), ("idle", "3", 1, "warning")):
        at = ("--data", tmp_path / name, "--json")
        assert run("init", "--shards", shards, "--dimension", "2", *at).code == 0
        assert run("health", *at).code == 0  # nothing is called a waste on its first day
        found = run("health", *at, TENANTRY_HEALTH_WASTEFUL_GRACE_S="0")
        assert (found.code, found.json["health"]) == (code, health)


def test_a_served_folder_is_reached_by_its_url_only(run, data, served):
    locked = run("shard", "list", "--data", data, "--json")
    assert (locked.code, locked.out) == (3, "")
    assert f"process {served.process.pid}" in locked.err
    assert f"--url {served.url}" in locked.err
    assert run("tenant", "create", "sneaky", "--data", data).code == 3
    assert run("serve", "--data", data, "--port", "0").code == 3

    assert run("shard", "list", "--url", served.url).code == 1  # no key
    key = {"TENANTRY_ADMIN_KEY": "sesame", "TENANTRY_URL": served.url}
    assert len(run("shard", "list", "--json", **key).json) == 3
    assert run("tenant", "list", "--json", **key).json == []
    assert run("upsert", "acme", "-", stdin=LINES, **key).code == 0
    assert run("tenant", "show", "acme", "--json", **key).json["vectors"] == 5

    secret = run("keys", "create", "--tenant", "acme", **key).out.strip()
    own = ("--url", served.url, "--key", secret)
    assert len(run("query", "acme", "--like", "r1", "--json", *own).json["hits"]) == 5
    for foreign in (("query", "other", "--like", "r1"), ("tenant", "list"), ("search-all", "x"), ("keys", "list")):
        assert run(*foreign, *own).code == 1
    id = secret.split("_")[1]
    assert run("keys", "revoke", id, "--yes", **key).code == 0
    assert run("query", "acme", "--like", "r1", *own).code == 1

    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait() == 0
    assert run("tenant", "show", "acme", "--data", data, "--json").json["vectors"] == 5
    assert run("shard", "list", **key).code == 3


def test_serve_tells_people_where(run, data, tmp_path, environment):
    program = [*PROGRAM, "serve", "--data", data]
    settings = environment | {"TENANTRY_PORT": "0"}
    with subprocess.Popen(program, cwd=tmp_path, env=settings, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first.startswith("serving data at http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert "Pinecone SDK" in process.stderr.read()
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("settings", "options", "code", "said"),
    [
        ({"TENANTRY_PORT": "http"}, (), 2, "TENANTRY_PORT"),
        ({"TENANTRY_LOG_LEVEL": "loud"}, (), 2, "TENANTRY_LOG_LEVEL"),
        ({}, ("--port", "99999"), 2, "--port"),
        ({}, ("--host", "0.0.0.0", "--port", "0"), 1, "TENANTRY_ADMIN_KEY"),
    ],
)
def test_serve_refuses_bad_settings(run, data, settings, options, code, said):
    done = run("serve", "--data", data, *options, **settings)
    assert done.code == code
    assert said in done.err


def test_a_reader_that_goes_away_is_no_error_to_shout_about(run, data, tmp_path, environment):
    lines = "".join(
        json.dumps({"id": f"a-rather-long-name-for-a-record-{i:06}", "values": [1, i, 0]}) + "\n" for i in range(9_000)
    )
    assert run("upsert", "acme", "-", "--data", data, stdin=lines).code == 0
    program = [*PROGRAM, "ids", "acme", "--data", data]
    with subprocess.Popen(
        program, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "a-rather-long-name-for-a-record-000000\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
    assert len(run("ids", "acme", "--data", data).out.splitlines()) == 9_000


def test_a_full_disk_under_stdout_is_an_error(data, tmp_path, environment):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, "shard", "list", "--data", data],
            cwd=tmp_path,
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "error: No space left on device\n"


def test_ctrl_c_ends_a_command_that_waits_for_input(data, tmp_path, environment):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = [*PROGRAM, "upsert", "acme", str(pipe), "--data", data]
    with subprocess.Popen(program, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        with open(pipe, "w"):  # waits until the program reads
            process.send_signal(signal.SIGINT)
            assert process.stderr.read() == "interrupted: stopped before it was done; it may be repeated\n"
    assert process.returncode == 130


def test_files_go_in_and_come_out(run, data, tmp_path):
    bad = '{"id":"bad","values":[1,2]}\nnonsense\n'
    (tmp_path / "a.jsonl").write_text(LINES + bad)
    dry = run("import", "a.jsonl", "--tenant", "acme", "--dry-run", "--json", "--data", data)
    assert (dry.code, dry.json["written"], dry.json["rejected"], dry.json["dry_run"]) == (4, 5, 2, True)
    assert run("ids", "acme", "--data", data).code == 1
    done = run("import", "a.jsonl", "--tenant", "acme", "--json", "--data", data)
    assert (done.code, done.json["tenants"], done.json["rejects"]) == (4, {"acme": 5}, "a.jsonl.rejects.jsonl")
    assert "allowed: exactly 3, the dimension of the index" in done.err
    rows = [json.loads(line)["row"] for line in (tmp_path / "a.jsonl.rejects.jsonl").read_text().splitlines()]
    assert rows == [6, 7]
    assert run("export", "--tenant", "acme", "--to", "out.parquet", "--data", data).code == 0
    assert "--replace" in run("export", "--tenant", "acme", "--to", "out.parquet", "--data", data).err
    assert run("export", "--to", "out.parquet", "--data", data).code == 2
    assert run("export", "--tenant", "nobody", "--to", "x.jsonl", "--data", data).code == 1
    assert run("import", "out.parquet", "--tenant", "copy", "--data", data).code == 0
    assert len(run("ids", "copy", "--json", "--data", data).json) == 5


def test_a_broken_off_import_says_how_to_go_on(run, data, tmp_path):
    points = json.dumps([{"id": n, "vector": [1, n, 0]} for n in range(9)])
    (tmp_path / "a.json").write_text(points[:-40])
    broken = run("import", "a.json", "--tenant", "acme", "--data", data)
    assert broken.code == 1
    assert "cut off" in broken.err
    assert "records are written; the same command with --resume goes on" in broken.err
    (tmp_path / "a.json").write_text(points)
    again = run("import", "a.json", "--tenant", "acme", "--data", data)
    assert (again.code, "interrupted" in again.err) == (1, True)
    assert "has changed since" in run("import", "a.json", "--tenant", "acme", "--resume", "--data", data).err


def test_files_go_through_a_gateway(run, served, tmp_path):
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps({"id": f"r{n}", "values": [1, n, 0]}) + "\n" for n in range(2_500))
    )
    environment = {"TENANTRY_ADMIN_KEY": "sesame", "TENANTRY_URL": served.url, "TENANTRY_API_KEY": "sesame"}
    done = run("import", "a.jsonl", "--tenant", "acme", "--json", **environment)
    assert (done.code, done.json["tenants"]) == (0, {"acme": 2_500}), done.err
    out = run("export", "--all", "--to", "out", "--format", "qdrant", "--json", **environment)
    assert (out.code, out.json["tenants"]) == (0, {"acme": 2_500})
    again = run("import", "out", "--dry-run", "--json", **environment)
    assert (again.code, again.json["tenants"]) == (0, {"acme": 2_500})
