"""The demo as people run it: a process, its output, and the folder that it leaves."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tenantry.cli.corpus import SHOWCASE, load_corpus, plain_text
from tenantry.cli.demo_isolation import Check

TENANTRY = str(Path(sys.executable).parent / "tenantry")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("TENANTRY_")},
    "PYTHONWARNINGS": "error",
    # A cluster of one's own, which the demo must not write to.
    "TENANTRY_CATALOG_URL": "sqlite:////nowhere/at/all.db",
    "TENANTRY_ADMIN_KEY": "somebody-elses",
    # What is asked here is which shards answer, not how quickly.
    "TENANTRY_SEARCH_DEADLINE_S": "60",
}


def run(*arguments, cwd):
    return subprocess.run(
        [TENANTRY, *arguments], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=110, check=False
    )


@contextmanager
def ended(process):
    """Ends the process politely, also when the test fails."""
    try:
        yield
    finally:
        process.terminate()
        code = process.wait(30)
    assert code == 0


def number(pattern, text):
    return float(re.search(pattern, text)[1].replace(",", ""))


def section(title, text):
    """The lines under a heading, as lists of cells."""
    body = re.search(rf"^{re.escape(title)}.*?\n(.*?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)[1]
    return [re.split(r"\s{2,}", line.strip()) for line in body.splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def shown(place):
    """A first run is killed while it loads; the second completes what it left."""
    begun = subprocess.Popen(
        [TENANTRY, "demo", "--small", "--data", "here"], cwd=place, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    for line in begun.stdout:
        if line.startswith("Embedding"):
            break
    begun.send_signal(signal.SIGKILL)
    begun.communicate()
    started = time.monotonic()
    done = run("demo", "--small", "--data", "here", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - started < 120
    return done.stdout


def test_an_interrupted_run_is_completed(shown):
    assert "left unfinished" in shown
    added, replaced, unchanged = (number(rf"([\d,]+) {what}", shown) for what in ("added", "replaced", "unchanged"))
    assert added > 0
    assert unchanged > 0
    assert added + replaced + unchanged == load_corpus(small=True).documents


def test_it_is_the_real_corpus_with_its_licence(shown):
    corpus = load_corpus(small=True)
    assert len(corpus.services) >= 60
    assert corpus.documents > 4_000
    assert f"{corpus.documents:,} descriptions" in shown
    assert f"{corpus.source} (Apache-2.0, Copyright Amazon.com, Inc. or its affiliates)" in " ".join(shown.split())
    assert f"{len(corpus.services)}: one for each AWS service" in shown


def test_the_shards_hold_all_tenants_and_vectors(shown):
    _, *shards, total = section("Shards", shown)
    assert [row[0] for row in shards] == [f"shard-{n}" for n in range(5)]
    for column in (2, 3):
        parts = [int(row[column].replace(",", "")) for row in shards]
        assert all(parts)
    assert sum(int(row[2]) for row in shards) == len(load_corpus(small=True).services) == int(total[1])
    assert sum(int(row[3].replace(",", "")) for row in shards) == int(total[2].replace(",", ""))


def test_routes_and_searches_are_shown(shown):
    assert [row[0] for row in section("Routes", shown)[1:]] == list(SHOWCASE)
    assert section("Search in tenant s3", shown)[1][1].startswith("DeleteObject")
    assert section("Search in tenant lambda", shown)[1][1] == "Invoke"
    across = section("Search across all tenants", shown)
    assert len({row[1] for row in across[1:-1]}) > 1
    assert "shards missing: none" in across[-1][-1]


def test_isolation_was_tried_and_holds(shown):
    rows = section("Isolation", shown)[1:]
    assert len(rows) >= 10
    assert {row[-1] for row in rows} == {"holds"}
    refused = [row[0] for row in rows if row[1:3] == ["403", "403"]]
    assert [row[1:3] for row in rows if "foreign answers" in row[0]] == [["0 of 200", "0 of 200"]]
    assert len(refused) == 5


def test_latencies_time_and_memory_are_real_figures(shown):
    rows = section("Latency", shown)[1:]
    assert [int(row[1].replace(",", "")) >= 60 for row in rows] == [True] * 4
    assert float(rows[0][2].split()[0]) <= 1.0
    assert rows[0][2].endswith("us")
    assert 0 < number(r"Done in ([\d.]+) s", shown) < 120
    assert 50 < number(r"at most ([\d,]+) MiB", shown) < 1_536


def test_a_second_run_uses_the_folder_and_embeds_nothing(place, shown):
    again = run("demo", "--small", "--data", "here", cwd=place)
    assert (again.returncode, again.stderr) == (0, "")
    assert f"0 added, 0 replaced, {load_corpus(small=True).documents:,} unchanged" in again.stdout
    assert "it is used again" in again.stdout
    assert section("Shards", again.stdout)[-1][1:3] == section("Shards", shown)[-1][1:3]
    assert section("Search across all tenants", again.stdout)[1] == section("Search across all tenants", shown)[1]


def test_the_folder_is_served_and_the_next_steps_work(place, shown):
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("TENANTRY_")}
    command = [TENANTRY, "serve", "--data", "here", "--port", "0", "--json"]
    null = subprocess.DEVNULL
    with (
        subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=null, text=True) as server,
        ended(server),
    ):
        url = json.loads(server.stdout.readline())["url"]
        assert httpx.get(f"{url}/readyz").status_code == 200
        answer = httpx.post(f"{url}/v1/indexes/default/tenants/s3/search", json={"text": "remove many objects"})
        assert answer.json()["hits"][0]["metadata"]["service"] == "s3"
        snippet = shown[shown.index("  from pinecone import") :]
        script = "\n".join(line[2:] for line in snippet.splitlines()).replace("http://127.0.0.1:8080", url)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "CreateBucket#000000" in done.stdout
        before = {path: path.stat().st_mtime_ns for path in (place / "here").glob("*.db")}
        for options in ([], ["--rebuild"]):
            refused = run("demo", "--small", "--data", "here", *options, cwd=place)
            assert refused.returncode == 3
            assert url in refused.stderr
        assert {path: path.stat().st_mtime_ns for path in (place / "here").glob("*.db")} == before
    commands = [line.split("--data")[0].strip() for line in shown.splitlines() if line.startswith("  tenantry ")]
    assert len(commands) == 5
    shard = subprocess.run(
        [TENANTRY, "tenant", "show", "s3", "--json", "--data", "here"],
        cwd=place, env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert json.loads(shard.stdout)["shard"] == {row[0]: row[1] for row in section("Routes", shown)}["s3"]


def test_a_reader_that_goes_away_has_its_own_exit_code(place, shown):
    command = [TENANTRY, "demo", "--small", "--data", "here"]
    with subprocess.Popen(command, cwd=place, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as demo:
        demo.stdout.readline()
        demo.stdout.close()
        assert (demo.wait(60), demo.stderr.read()) == (141, b"")


@pytest.mark.parametrize("options", [[], ["--rebuild"], ["--no-keep"]])
def test_a_folder_that_is_not_a_demos_is_never_touched(tmp_path, options):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "catalog.db").write_text("precious")
    done = run("demo", "--small", "--data", "mine", *options, cwd=tmp_path)
    assert done.returncode == 1
    assert "not a demo's folder" in done.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["catalog.db"]
    assert (tmp_path / "mine" / "catalog.db").read_text() == "precious"


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "mine").write_text("precious")
    assert run("demo", "--small", "--data", "mine", cwd=tmp_path).returncode in (1, 2)
    assert (tmp_path / "mine").read_text() == "precious"


def test_rebuilding_removes_only_what_is_the_demos(place, shown):
    (place / "here" / "notes.txt").write_text("mine")
    done = run("demo", "--small", "--data", "here", "--rebuild", "--no-keep", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{load_corpus(small=True).documents:,} added" in done.stdout
    assert [path.name for path in (place / "here").iterdir()] == ["notes.txt"]


def test_a_check_that_does_not_hold_shows():
    assert not Check("tried", "403", "200").holds


def test_documentation_becomes_plain_text():
    html = (
        "<p>Creates a <b>bucket</b>.</p> <note> <p>See <a href='x'>this</a>&nbsp;&lt;page&gt;.</p> </note>\n"
        "<ul><li>a</li></ul>"
    )
    assert plain_text(html) == "Creates a bucket.\nSee this\xa0<page>.\na"
    assert plain_text("<p> </p>") == ""
