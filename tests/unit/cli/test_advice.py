"""Cost and advice on the command line; a cluster that does not exist needs no folder."""

from __future__ import annotations

import csv
import io

import pytest

from tenantry.cli.advice import numbers, part, quantity
from tenantry.cli.failures import Failure

PLANNED = ("advise", "--tenants", "90", "--vectors", "1.2M")


def test_a_cluster_that_does_not_exist_needs_no_folder(cli, tmp_path):
    done = cli(*PLANNED, "--qps", "50", "--cross-tenant", "5%", "--budget", "500", "--json")
    assert done.code == 0
    assert (done.json["shard"], done.json["sizing"]["shards"]) == (True, 2)
    assert done.json["choices"][0]["monthly"] == 550
    assert done.json["workload"]["cross_tenant"] == 0.05
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("columns", [80, 120])
def test_the_card_fits_the_terminal(cli, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    done = cli(*PLANNED, "--qps", "50", "--growth", "10%", "--budget", "500", "--shards", "1..4", "--top-share", "85%")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= columns
    assert done.out.startswith("Shard: 2 shards, $550 a month ($6.11 a tenant)")
    for word in ("Signals", "Shards needed", "Compared", "What if", "Forecast", "against", "budget: $550 of $500"):
        assert word in done.out


def test_without_redis_and_postgresql_it_is_400(cli):
    assert cli(*PLANNED, "--overhead", "none", "--json").json["choices"][0]["monthly"] == 400


def test_prices_of_ones_own(cli, tmp_path, monkeypatch):
    file = tmp_path / "prices.toml"
    file.write_text("[offers.reference.month]\namount = 70\n")
    given = cli(*PLANNED, "--prices", file, "--overhead", "none", "--json")
    assert given.json["choices"][0]["monthly"] == 140
    monkeypatch.setenv("TENANTRY_PRICES", str(file))
    assert cli(*PLANNED, "--overhead", "none", "--json").json == given.json


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--tenants", "90"), 2, "--vectors is missing"),
        (("--vectors", "90"), 2, "--tenants is missing"),
        (("--tenants", "many", "--vectors", "1"), 2, "--tenants 'many' is not a number"),
        (("--tenants", "1.5", "--vectors", "1"), 2, "not a whole number"),
        (("--tenants", "1", "--vectors", "1", "--cross-tenant", "x"), 2, "--cross-tenant 'x' is not a share"),
        (("--tenants", "1", "--vectors", "1", "--cross-tenant", "5"), 1, "cross_tenant: got 5.0"),
        (("--tenants", "1", "--vectors", "1", "--shards", "8..1"), 2, "--shards '8..1' is not a range"),
        (("--tenants", "1", "--vectors", "1", "--shards", "0"), 1, "shards: got 0"),
        (("--tenants", "1", "--vectors", "1", "--offer", "x"), 1, "offer: got 'x'"),
        (("--tenants", "1", "--vectors", "1", "--prices", "none.toml"), 1, "none.toml"),
        (("--tenants", "1", "--vectors", "1", "--pinecone", "x"), 2, "cannot be given together"),
        (("--pinecone", "x"), 1, "PINECONE_API_KEY"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(cli, monkeypatch, arguments, code, said):
    monkeypatch.delenv("PINECONE_API_KEY", raising=False)
    done = cli("advise", *arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err.splitlines()[0]


def test_numbers_as_people_write_them():
    assert [quantity(text, "--x") for text in ("90", "1.2M", "500k", "1_000_000", "1,000", "$5", "2b")] == [
        90, 1_200_000, 500_000, 1_000_000, 1_000, 5, 2_000_000_000,
    ]  # fmt: skip
    assert [part(text, "--x") for text in ("5%", "0.05", "100 %")] == [0.05, 0.05, 1.0]
    assert [numbers(text) for text in ("1..3", "2,4", "7")] == [[1, 2, 3], [2, 4], [7]]
    for bad in ("1..99", "a", "", "1.."):
        with pytest.raises(Failure):
            numbers(bad)


@pytest.fixture
def folder(cli, tmp_path):
    data = tmp_path / "data"
    cli("init", "--data", data, "--shards", "2", "--dimension", "2")
    for name, many in (("big", 30), ("small", 10)):
        lines = tmp_path / f"{name}.jsonl"
        lines.write_text("".join(f'{{"id":"r{n}","values":[1,{n}]}}\n' for n in range(many)))
        assert cli("upsert", name, lines, "--data", data).code == 0
    return data


def test_the_bill_of_a_folder(cli, monkeypatch, folder):
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("cost", "--data", folder, "--offer", "reference", "--shards", "1..2")
    assert done.code == 0
    assert done.out.startswith("$400.00 a month, $200.00 a tenant on average")
    assert "shards needed: 1 of 2, $200 a month less" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    over = cli("cost", "--data", folder, "--offer", "reference", "--budget", "100")
    assert "$300.00 over the budget of $100" in over.err


def test_tenants_as_csv_and_json(cli, folder):
    rows = list(csv.DictReader(io.StringIO(cli("cost", "--data", folder, "--csv").out)))
    as_json = cli("cost", "--data", folder, "--json").json
    assert {row["tenant"] for row in rows} == {"big", "small"}
    assert sum(float(row["cost"]) for row in rows) == pytest.approx(as_json["monthly"])
    assert cli("cost", "--data", folder, "--csv", "--json").code == 2


def test_advice_about_a_folder(cli, folder):
    done = cli("advise", "--data", folder, "--offer", "reference", "--json")
    assert (done.json["shard"], done.json["workload"]["tenants"], done.json["workload"]["shards"]) == (False, 2, 2)
    assert "Do not shard" in cli("advise", "--data", folder).out
