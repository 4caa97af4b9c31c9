"""A walk through every operation over a socket, each answer held to the OpenAPI document that the gateway serves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
sys.path.insert(0, str(Path(__file__).parent))
from checked import Checked
from gateway_process import ADMIN_KEY, GatewayProcess, running_gateway
from walk_backups import walk_backups
from walk_migrations import walk_migrations
from walk_service import walk_service
from walk_watching import walk_autopilot, walk_rollup, walk_watching

DIMENSION = 256  # that of the local embedding model
ODD_NAME = "a/b c?d&ü%2F"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path_factory.mktemp("native") / "data", dimension=DIMENSION) as running:
        yield running


@pytest.fixture(scope="module")
def ask(gateway: GatewayProcess) -> Iterator[Checked]:
    with httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=60) as http:
        yield Checked(http)


Ask = Callable[..., Any]
INDEX, SHARD, TENANT = (
    "/v1/indexes/{index}",
    "/v1/indexes/{index}/shards/{shard}",
    "/v1/indexes/{index}/tenants/{tenant}",
)


def vector(i: int, size: int = 4) -> list[float]:
    return [1.0, i / 10, *[0.5] * (size - 2)]


def test_the_document_is_valid_openapi(ask: Checked) -> None:
    validate(ask.document)
    operations = [one["operationId"] for path in ask.document["paths"].values() for one in path.values()]
    assert len(operations) == len(set(operations))


def test_indexes(ask: Ask) -> None:
    assert ask("GET", "/v1/version", status=200)["version"]
    made = ask(
        "POST", "/v1/indexes", status=201, json={"name": "walk", "dimension": 4, "shards": 2, "tags": {"a": "b"}}
    )
    assert (made["name"], made["dimension"], made["metric"], made["tags"]) == ("walk", 4, "cosine", {"a": "b"})
    taken = ask("POST", "/v1/indexes", status=409, json={"name": "walk", "dimension": 4})
    assert taken["error"]["code"] == "ALREADY_EXISTS"
    assert [one["name"] for one in ask("GET", "/v1/indexes", status=200)["indexes"]] == ["default", "walk"]
    assert ask("PATCH", INDEX, status=200, index="walk", json={"deletion_protection": True})["deletion_protection"]
    assert ask("DELETE", INDEX, status=409, index="walk")["error"]["code"] == "FAILED_PRECONDITION"
    ask("PATCH", INDEX, status=200, index="walk", json={"deletion_protection": False})
    assert ask("GET", INDEX, status=200, index="walk")["deletion_protection"] is False
    assert ask("GET", INDEX, status=404, index="none")["error"]["code"] == "NOT_FOUND"
    typo = ask("POST", "/v1/indexes", status=400, json={"name": "x", "dimenson": 4})
    assert typo["error"] == {
        "code": "INVALID_ARGUMENT",
        "message": "dimenson: there is no such field",
        "field": "dimenson",
    }


def test_shards(ask: Ask) -> None:
    assert [one["name"] for one in ask("GET", INDEX + "/shards", status=200, index="walk")["shards"]] == [
        "shard-0",
        "shard-1",
    ]
    made = ask(
        "POST", INDEX + "/shards", status=201, index="walk", json={"name": "extra", "max_tenants": 5, "weight": 2}
    )
    assert (made["max_tenants"], made["weight"], made["state"], made["tenants"]) == (5, 2.0, "active", 0)
    ask("PATCH", SHARD, status=200, index="walk", shard="extra", json={"max_tenants": None, "state": "draining"})
    shown = ask("GET", SHARD, status=200, index="walk", shard="extra")
    assert (shown["max_tenants"], shown["state"]) == (None, "draining")
    wrong = ask("PATCH", SHARD, status=400, index="walk", shard="extra", json={"state": "asleep"})
    assert wrong["error"]["field"] == "state"
    ask("DELETE", SHARD, status=204, index="walk", shard="extra")
    ask("GET", SHARD, status=404, index="walk", shard="extra")


def test_tenants(ask: Ask) -> None:
    made = ask("POST", INDEX + "/tenants", status=201, index="walk", json={"name": ODD_NAME, "shard": "shard-1"})
    assert (made["name"], made["shard"], made["state"], made["spec"]["shard"]) == (
        ODD_NAME,
        "shard-1",
        "active",
        "shard-1",
    )
    ask("POST", INDEX + "/tenants", status=409, index="walk", json={"name": ODD_NAME})
    for name in ("t1", "t2", "t3"):
        ask("POST", INDEX + "/tenants", status=201, index="walk", json={"name": name})
    page = ask("GET", INDEX + "/tenants", status=200, index="walk", params={"limit": 2, "prefix": "t"})
    assert ([one["name"] for one in page["tenants"]], page["next"]) == (["t1", "t2"], "t2")
    rest = ask("GET", INDEX + "/tenants", status=200, index="walk", params={"after": "t2", "prefix": "t"})
    assert ([one["name"] for one in rest["tenants"]], rest["next"]) == (["t3"], None)
    there = ask("GET", INDEX + "/tenants", status=200, index="walk", params={"shard": "shard-1"})
    assert ODD_NAME in [one["name"] for one in there["tenants"]]
    refused = ask("PATCH", TENANT, status=409, index="walk", tenant="t1", json={"name": "t9"})
    assert "cannot be renamed" in refused["error"]["message"]
    assert ask("POST", TENANT + "/suspend", status=200, index="walk", tenant="t1")["state"] == "suspended"
    stopped = ask("POST", TENANT + "/query", status=409, index="walk", tenant="t1", json={"vector": vector(1)})
    assert "suspended" in stopped["error"]["message"]
    assert ask("POST", TENANT + "/resume", status=200, index="walk", tenant="t1")["state"] == "active"
    ask("DELETE", TENANT, status=204, index="walk", tenant="t3")
    ask("GET", TENANT, status=404, index="walk", tenant="t3")


@pytest.mark.parametrize("tenant", ["t1", ODD_NAME])
def test_records(ask: Ask, tenant: str) -> None:
    at: dict[str, Any] = {"index": "walk", "tenant": tenant}
    records = [{"id": f"r{i}", "values": vector(i), "metadata": {"n": i}} for i in range(10)]
    assert ask("POST", TENANT + "/upsert", status=200, **at, json={"records": records}) == {"upserted": 10}
    found = ask(
        "POST", TENANT + "/query", status=200, **at, json={"vector": vector(4), "top_k": 2, "include_values": True}
    )
    assert found["hits"][0]["id"] == "r4"
    assert found["hits"][0]["metadata"] == {"n": 4}
    assert len(found["hits"][0]["values"]) == 4
    by_id = ask("POST", TENANT + "/query", status=200, **at, json={"id": "r4", "filter": {"n": {"$gt": 4}}})
    assert by_id["hits"][0]["id"] == "r5"
    ask("POST", TENANT + "/query", status=404, **at, json={"id": "nobody"})
    fetched = ask("POST", TENANT + "/fetch", status=200, **at, json={"ids": ["r2", "nobody", "r1"]})
    assert [(one["id"], one["metadata"]) for one in fetched["records"]] == [("r2", {"n": 2}), ("r1", {"n": 1})]
    assert ask("POST", TENANT + "/update", status=200, **at, json={"id": "r1", "set_metadata": {"x": True}})["found"]
    assert not ask("POST", TENANT + "/update", status=200, **at, json={"id": "no", "values": vector(1)})["found"]
    ask("POST", TENANT + "/delete", status=200, **at, json={"ids": ["r0"]})
    ask("POST", TENANT + "/delete", status=200, **at, json={"filter": {"n": 9}})
    ask("POST", TENANT + "/delete", status=400, **at, json={"ids": ["r1"], "all": True})
    page = ask("GET", TENANT + "/ids", status=200, **at, params={"limit": 5})
    assert page["ids"] == [f"r{i}" for i in range(1, 6)]
    rest = ask("GET", TENANT + "/ids", status=200, **at, params={"cursor": page["cursor"]})
    assert (rest["ids"], rest["cursor"]) == (["r6", "r7", "r8"], None)
    shown = ask("GET", TENANT, status=200, **at)
    assert (shown["name"], shown["vectors"]) == (tenant, 8)


def test_searching_all_tenants(ask: Ask) -> None:
    found = ask("POST", INDEX + "/search", status=200, index="walk", json={"vector": vector(4), "top_k": 2})
    assert {hit["tenant"] for hit in found["hits"]} == {"t1", ODD_NAME}
    assert (found["partial"], found["missing_shards"]) == (False, {})
    chosen = ask("POST", INDEX + "/search", status=200, index="walk", json={"vector": vector(4), "tenants": ["t1"]})
    assert {hit["tenant"] for hit in chosen["hits"]} == {"t1"}
    ask("POST", INDEX + "/search", status=400, index="walk", json={})
    ask("POST", INDEX + "/search", status=400, index="walk", json={"vector": vector(4), "deadline_s": 0})
    stats = ask("GET", INDEX + "/stats", status=200, index="walk")
    assert (stats["tenants"], stats["vectors"], stats["shards"]) == (3, 16, 2)
    report = ask("POST", INDEX + "/verify-routing", status=200, index="walk", json={"heal": False})
    assert (report["consistent"], report["tenants"], report["problems"]) == (True, 3, [])
    ask("POST", INDEX + "/verify-routing", status=200, index="walk")
    ask("DELETE", INDEX, status=204, index="walk")


def test_documents(ask: Ask) -> None:
    made = ask("POST", "/v1/indexes", status=201, json={"name": "texts", "dimension": DIMENSION, "embedder": "local"})
    assert made["embedder"] == "local"
    at = {"index": "texts", "tenant": "docs"}
    texts = [
        {"id": "cats", "text": "Cats sleep most of the day.", "metadata": {"kind": "pet"}},
        {"id": "money", "text": "The central bank raised interest rates."},
    ]
    added = ask("POST", TENANT + "/documents", status=200, **at, json={"documents": texts})
    assert (added["added"], added["unchanged"]) == (2, 0)
    assert ask("POST", TENANT + "/documents", status=200, **at, json={"documents": texts})["unchanged"] == 2
    found = ask("POST", TENANT + "/search", status=200, **at, json={"text": "a sleeping kitten", "top_k": 1})
    assert found["hits"][0]["document"] == "cats"
    assert "Cats sleep" in found["hits"][0]["text"]
    everywhere = ask("POST", INDEX + "/search", status=200, index="texts", json={"text": "monetary policy", "top_k": 1})
    assert (everywhere["hits"][0]["tenant"], everywhere["hits"][0]["document"]) == ("docs", "money")
    ask("POST", TENANT + "/documents/delete", status=200, **at, json={"ids": ["cats"]})
    left = ask("POST", TENANT + "/search", status=200, **at, json={"text": "cats"})
    assert {hit["document"] for hit in left["hits"]} == {"money"}
    ask("DELETE", INDEX, status=204, index="texts")


def test_keys(ask: Ask) -> None:
    made = ask("POST", "/v1/keys", status=201, json={"tenant": "keyed", "label": "ci", "expires_in_s": 60})
    assert made["secret"].startswith("tnk_")
    assert (made["key"]["scope"], made["key"]["tenant"], made["key"]["label"]) == ("tenant", "keyed", "ci")
    listed = ask("GET", "/v1/keys", status=200, params={"index": "default", "tenant": "keyed"})
    assert [one["id"] for one in listed["keys"]] == [made["key"]["id"]]
    assert made["secret"] not in str(listed)
    ask("DELETE", "/v1/keys/{id}", status=204, id=made["key"]["id"])
    ask("DELETE", "/v1/keys/{id}", status=404, id="none")
    assert ask("GET", "/v1/keys", status=200, params={"tenant": "keyed"})["keys"][0]["revoked_at"]
    ask("POST", "/v1/keys", status=400, json={"expires_in_s": -1})
    for wrong in ({"scope": "god"}, {"scope": "tenant"}, {"scope": "admin", "tenant": "a"}, {"index": "default"}):
        ask("POST", "/v1/keys", status=400, json=wrong)


def test_rotation(ask: Ask) -> None:
    old = ask("POST", "/v1/keys", status=201, json={"tenant": "keyed", "scope": "tenant-read", "label": "ci"})
    new = ask("POST", "/v1/keys/{id}/rotate", status=201, id=old["key"]["id"], json={"overlap_s": 3600})
    assert new["secret"].startswith(new["key"]["prefix"] + "_")
    assert (new["key"]["scope"], new["key"]["label"], new["key"]["expires_at"]) == ("tenant-read", "ci", None)
    listed = {one["id"]: one for one in ask("GET", "/v1/keys", status=200, params={"tenant": "keyed"})["keys"]}
    assert listed[old["key"]["id"]]["replaced_by"] == new["key"]["id"]
    assert 3500 < listed[old["key"]["id"]]["expires_at"] - new["key"]["created_at"] <= 3600
    ask("POST", "/v1/keys/{id}/rotate", status=409, id=old["key"]["id"], json={})
    ask("POST", "/v1/keys/{id}/rotate", status=400, id=new["key"]["id"], json={"overlap_s": -1})


def test_the_audit_log(ask: Ask) -> None:
    page = ask("GET", "/v1/audit", status=200, params={"action": "key.rotate", "limit": 10})
    assert [one["result"] for one in page["entries"]] == [
        *("INVALID_ARGUMENT", "begun", "FAILED_PRECONDITION", "begun", "ok", "begun")
    ]
    assert {one["actor"] for one in page["entries"]} == {"admin-key"}
    assert page["entries"][4]["detail"]["new_key"]
    first = ask("GET", "/v1/audit", status=200, params={"after": 0, "limit": 2})
    assert [one["seq"] for one in first["entries"]] == [1, 2]
    assert first["next"] == 2
    proof = ask("POST", "/v1/audit/verify", status=200, json={})
    assert (proof["whole"], proof["flaws"]) == (True, [])
    again = ask("POST", "/v1/audit/verify", status=200, json={"seq": proof["last"], "hash": proof["head"]})
    assert again["whole"]
    assert not ask("POST", "/v1/audit/verify", status=200, json={"seq": 1, "hash": "0" * 64})["whole"]
    ask("POST", "/v1/audit/verify", status=400, json={"seq": 1})
    assert ask("POST", "/v1/audit/prune", status=200, json={"before": 1.0}) == {"entry": None}
    ask("POST", "/v1/audit/prune", status=400, json={"before": 1e10})
    ask("GET", "/v1/audit", status=400, params={"limit": 0})
    ask("GET", "/v1/audit", status=400, params={"before": 2, "after": 1})


@pytest.mark.parametrize("prefix", ["", "/i/{index}"])
def test_pinecones_data_plane_answers_as_described(ask: Ask, prefix: str) -> None:
    at = {"index": "default"} if prefix else {}
    question = [1.0, *[0.5] * (DIMENSION - 1)]
    made = {"vectors": [{"id": f"r{i}", "values": question, "metadata": {"n": i}} for i in range(3)], "namespace": "p"}
    assert ask("POST", prefix + "/vectors/upsert", status=200, **at, json=made) == {"upsertedCount": 3}
    body = {"topK": 2, "vector": question, "namespace": "p", "includeValues": True, "includeMetadata": True}
    assert len(ask("POST", prefix + "/query", status=200, **at, json=body)["matches"]) == 2
    ask("POST", prefix + "/query", status=400, **at, json={"topK": 0, "vector": question})
    ask("GET", prefix + "/vectors/fetch", status=200, **at, params={"ids": ["r0", "r1"], "namespace": "p"})
    page = ask("GET", prefix + "/vectors/list", status=200, **at, params={"limit": 2, "namespace": "p"})
    assert page["pagination"]["next"]
    found = {"filter": {"n": {"$gt": 0}}, "namespace": "p", "limit": 1}
    assert ask("POST", prefix + "/vectors/fetch_by_metadata", status=200, **at, json=found)["pagination"]
    change = {"filter": {"n": 0}, "setMetadata": {"seen": True}, "namespace": "p"}
    assert ask("POST", prefix + "/vectors/update", status=200, **at, json=change) == {"matchedRecords": 1}
    ask("POST", prefix + "/vectors/delete", status=200, **at, json={"ids": ["r0"], "namespace": "p"})
    for method in ("GET", "POST"):
        assert ask(method, prefix + "/describe_index_stats", status=200, **at)["namespaces"]["p"] == {"vectorCount": 2}
    ask("POST", prefix + "/namespaces", status=200, **at, json={"name": "q"})
    assert ask("GET", prefix + "/namespaces", status=200, **at, params={"limit": 1})["pagination"]
    assert ask("GET", prefix + "/namespaces/{namespace}", status=200, **at, namespace="p")["record_count"] == "2"
    for name in ("p", "q"):
        ask("DELETE", prefix + "/namespaces/{namespace}", status=200, **at, namespace=name)
    ask("GET", prefix + "/namespaces/{namespace}", status=404, **at, namespace="p")


MOVE = INDEX + "/moves/{id}"
RUN = INDEX + "/rebalance/{id}"
AT = {"index": "moving"}


@pytest.fixture(scope="module")
def moving(ask: Checked) -> str:
    """An index with three shards and a tenant; the shard that the tenant is on."""
    ask("POST", "/v1/indexes", status=201, json={"name": "moving", "dimension": 4, "shards": 3})
    records = [{"id": f"r{i:03}", "values": vector(i)} for i in range(300)]
    ask("POST", TENANT + "/upsert", status=200, tenant="acme", json={"records": records}, **AT)
    return str(ask("GET", TENANT, status=200, tenant="acme", **AT)["shard"])


def test_a_move_from_beginning_to_end(ask: Checked, moving: str) -> None:
    target = next(name for name in ("shard-0", "shard-1", "shard-2") if name != moving)
    begun = ask("POST", TENANT + "/move", status=202, tenant="acme", json={"target": target, "soak_s": 600}, **AT)
    assert (begun["tenant"], begun["source"], begun["target"]) == ("acme", moving, target)
    (state,) = ask.events(INDEX + "/moves/events", 1, **AT)
    assert state["id"] == begun["id"]
    while (soaking := ask("GET", MOVE, status=200, id=begun["id"], **AT))["phase"] != "soak":
        ask.http.get("/healthz")
    assert soaking["proof"]["records"] == 300
    assert soaking["soak_until"] > soaking["created_at"] + 500
    assert soaking["progress"]["share"] == 1.0
    assert ask("GET", TENANT, status=200, tenant="acme", **AT)["shard"] == target
    again = ask("POST", TENANT + "/move", status=409, tenant="acme", json={"target": moving}, **AT)
    assert begun["id"] in again["error"]["message"]
    assert "rollback" in ask("POST", MOVE + "/cancel", status=409, id=begun["id"], **AT)["error"]["message"]
    assert ask("POST", MOVE + "/pause", status=202, id=begun["id"], **AT)["wish"] == "pause"
    assert ask("POST", MOVE + "/resume", status=202, id=begun["id"], **AT)["wish"] == "run"
    ask(
        "POST",
        TENANT + "/upsert",
        status=200,
        tenant="acme",
        json={"records": [{"id": "new", "values": vector(1)}]},
        **AT,
    )
    ask("POST", MOVE + "/rollback", status=202, id=begun["id"], **AT)
    ended = ask.events(MOVE + "/events", **AT, id=begun["id"])
    assert ended[-1]["phase"] == "rolled-back"
    assert ask("GET", TENANT, status=200, tenant="acme", **AT)["shard"] == moving
    fetched = ask("POST", TENANT + "/fetch", status=200, tenant="acme", json={"ids": ["new", "r000"]}, **AT)
    assert len(fetched["records"]) == 2
    for verb in ("rollback", "finalise", "cancel", "pause"):
        ask("POST", f"{MOVE}/{verb}", status=409, id=begun["id"], **AT)


def test_a_finished_move_leaves_an_old_copy_until_it_is_purged(ask: Checked, moving: str) -> None:
    target = next(name for name in ("shard-0", "shard-1", "shard-2") if name != moving)
    begun = ask("POST", TENANT + "/move", status=202, tenant="acme", json={"target": target}, **AT)
    while ask("GET", MOVE, status=200, id=begun["id"], **AT)["phase"] != "soak":
        ask.http.get("/healthz")
    ask("POST", MOVE + "/finalise", status=202, id=begun["id"], **AT)
    assert ask.events(MOVE + "/events", **AT, id=begun["id"])[-1]["phase"] == "done"
    (copy,) = ask("GET", INDEX + "/copies", status=200, **AT)["copies"]
    assert (copy["tenant"], copy["shard"], copy["move"]) == ("acme", moving, begun["id"])
    refused = ask("DELETE", SHARD, status=409, shard=moving, **AT)
    assert "purge" in refused["error"]["message"]
    assert ask("POST", INDEX + "/copies/purge", status=200, json={"tenant": "nobody"}, **AT)["purged"] == []
    assert ask("POST", INDEX + "/copies/purge", status=200, json={}, **AT)["purged"] == [copy]
    listed = ask("GET", INDEX + "/moves", status=200, params={"limit": 1}, **AT)
    assert [one["id"] for one in listed["moves"]] == [begun["id"]]
    older = ask("GET", INDEX + "/moves", status=200, params={"before": listed["next"]}, **AT)
    assert [one["phase"] for one in older["moves"]] == ["rolled-back"]
    assert ask("GET", INDEX + "/moves", status=200, params={"open": "true"}, **AT)["moves"] == []


@pytest.mark.parametrize(
    ("tenant", "body", "status", "word"),
    [
        ("nobody", {"target": "shard-0"}, 404, "nobody"),
        ("acme", {"target": "shard-9"}, 404, "shard-9"),
        ("acme", {"target": "full"}, 409, "full"),
        ("acme", {"target": "leaving"}, 409, "draining"),
        ("acme", {"target": "shard-0", "soak_s": -1}, 400, "soak_s"),
        ("acme", {"target": "shard-0", "retention_s": 1e12}, 400, "retention_s"),
        ("acme", {"target": "shard-0", "rate": 0}, 400, "rate"),
        ("acme", {"target": "shard-0", "page": 0}, 400, "page"),
        ("acme", {"target": "shard-0", "speed": 1}, 400, "speed"),
        ("acme", {}, 400, "target"),
    ],
)
def test_moves_that_cannot_be(ask: Checked, moving: str, tenant: str, body: Any, status: int, word: str) -> None:
    for name, given in (("full", {"max_tenants": 0}), ("leaving", {})):
        if ask.http.get(f"/v1/indexes/moving/shards/{name}").status_code == 404:
            ask("POST", INDEX + "/shards", status=201, json={"name": name, **given}, **AT)
    ask("PATCH", SHARD, status=200, shard="leaving", json={"state": "draining"}, **AT)
    before = ask("GET", TENANT, status=200, tenant="acme", **AT)
    refused = ask("POST", TENANT + "/move", status=status, tenant=tenant, json=body, **AT)
    assert word in refused["error"]["message"]
    assert ask("GET", TENANT, status=200, tenant="acme", **AT) == before
    ask("GET", MOVE, status=404, id="0123456789ab", **AT)


def test_plans_and_carrying_them_out(ask: Checked, moving: str) -> None:
    ask("POST", "/v1/indexes", status=201, json={"name": "skewed", "dimension": 4, "shards": 1})
    at = {"index": "skewed"}
    for number in range(6):
        records = [{"id": f"r{i}", "values": vector(i)} for i in range(20 + 10 * number)]
        ask("POST", TENANT + "/upsert", status=200, tenant=f"t{number}", json={"records": records}, **at)
    ask("POST", INDEX + "/shards", status=201, json={"name": "shard-1"}, **at)
    made = ask("POST", INDEX + "/plan", status=200, json={}, **at)
    assert made["moves"]
    assert made["goals"][0]["goal"] == "vectors"
    assert made["goals"][0]["after"] < made["goals"][0]["before"]
    assert ask("POST", INDEX + "/plan", status=200, json={"aim": "drain", "subject": "shard-0"}, **at)["moves"]
    assert ask("POST", INDEX + "/plan", status=400, json={"aim": "dance"}, **at)["error"]["field"] == "aim"
    ask("POST", INDEX + "/plan", status=404, json={"aim": "drain", "subject": "nowhere"}, **at)
    ask("POST", INDEX + "/plan", status=400, json={"max_moves": 0}, **at)
    run = ask("POST", INDEX + "/rebalance", status=202, json={"soak_s": 0}, **at)
    last = ask.events(RUN + "/events", **at, id=run["id"])[-1]
    assert (last["state"], last["failed"], last["moved"]) == ("done", 0, len(made["moves"]))
    assert ask("GET", RUN, status=200, id=run["id"], **at)["moved"] == last["moved"]
    ask("GET", RUN, status=404, id="0123456789ab", **at)
    shards = {one["name"]: one["vectors"] for one in ask("GET", INDEX + "/shards", status=200, **at)["shards"]}
    assert max(shards.values()) < 0.75 * sum(shards.values())


def test_backups_and_restores(ask: Checked, tmp_path: Path) -> None:
    walk_backups(ask, tmp_path)


def test_cost_and_advice(ask: Checked) -> None:
    ask("POST", "/v1/indexes", status=201, json={"name": "costly", "dimension": 4, "shards": 2})
    at = {"index": "costly"}
    for name, many in (("big", 90), ("small", 30)):
        records = [{"id": f"r{i}", "values": vector(i)} for i in range(many)]
        ask("POST", TENANT + "/upsert", status=200, tenant=name, json={"records": records}, **at)
    body = {"offer": "reference", "overhead": ["redis", "postgresql"], "shards": [1, 2]}
    bill = ask("POST", INDEX + "/cost", status=200, json=body, **at)
    assert (bill["monthly"], bill["per_tenant"], bill["budget"]["state"]) == (550, 275, "over")
    assert sum(one["cost"] for one in bill["tenants"]) == pytest.approx(550)
    assert [one["monthly"] for one in bill["what_if"]] == [350, 550]
    mine = {"offer": "reference", "prices": {"offers": {"reference": {"month": {"amount": 7}}}}}
    assert ask("POST", INDEX + "/cost", status=200, json=mine, **at)["monthly"] == 14
    card = ask("POST", INDEX + "/advice", status=200, json={"offer": "reference", "budget": 100}, **at)
    assert (card["shard"], card["architecture"], card["workload"]["shards"]) == (False, "single", 2)
    asked = {"backend": "embedded", "shard": "shard-0", "dry_run": True}
    adoption = ask("POST", INDEX + "/adopt", status=200, json=asked, **at)
    assert (adoption["adopted"], adoption["made_shard"], adoption["advice"]) == ([], False, None)
    imagined = {"tenants": 90, "vectors": 1_200_000, "cross_tenant": 0.05, "budget": 500}
    card = ask("POST", "/v1/advice", status=200, json=imagined)
    assert (card["shard"], card["sizing"]["shards"], card["choices"][0]["monthly"]) == (True, 2, 550)


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        (INDEX + "/cost", {"offer": "nothing"}, "offer"),
        (INDEX + "/cost", {"overhead": ["nothing"]}, "overhead"),
        (INDEX + "/cost", {"budget": -1}, "budget"),
        (INDEX + "/cost", {"shards": [0]}, "shards"),
        (INDEX + "/cost", {"prices": {"offers": 1}}, "prices"),
        (INDEX + "/advice", {"months": 1_000}, "months"),
        (INDEX + "/advice", {"policy": "dice"}, "policy"),
        (INDEX + "/advice", {"unknown": 1}, "unknown"),
        ("/v1/advice", {"tenants": 1, "vectors": -1}, "vectors"),
        ("/v1/advice", {"tenants": 1, "vectors": 1, "sigma": 9}, "sigma"),
        ("/v1/advice", {"vectors": 1}, "tenants"),
    ],
)
def test_cost_and_advice_that_cannot_be(ask: Checked, path: str, body: Any, word: str) -> None:
    at = {"index": "default"} if "{" in path else {}
    growth = {"growth": 0.1} if "months" in body else {}
    assert word in ask("POST", path, status=400, json=body | growth, **at)["error"]["message"]


def test_migrations_in_waves(ask: Checked) -> None:
    walk_migrations(ask)


def test_watching_the_autopilot_and_the_rollup(ask: Checked) -> None:
    walk_watching(ask)
    walk_autopilot(ask)
    walk_rollup(ask)


def test_plans_of_tenants_limits_and_usage(ask: Checked) -> None:
    walk_service(ask)


@pytest.mark.parametrize("version", ["", "2025-10", "2026-07"])
def test_pinecones_control_plane_answers_as_described(ask: Checked, version: str) -> None:
    ask.http.headers["X-Pinecone-Api-Version"] = version
    made = ask("POST", "/indexes", status=201, json={"name": "control", "dimension": 4, "tags": {"a": "b"}})
    assert ("schema" in made, "spec" in made) == (version == "2026-07", version != "2026-07")
    ask("POST", "/indexes", status=409, json={"name": "control", "dimension": 4})
    ask("GET", "/indexes", status=200)
    ask("GET", "/indexes/{index}", status=200, index="control")
    ask("PATCH", "/indexes/{index}", status=202, index="control", json={"deletion_protection": "enabled"})
    ask("DELETE", "/indexes/{index}", status=403, index="control")
    ask("PATCH", "/indexes/{index}", status=202, index="control", json={"deletion_protection": "disabled"})
    ask("DELETE", "/indexes/{index}", status=202, index="control")
    ask("DELETE", "/indexes/{index}", status=404, index="control")
    del ask.http.headers["X-Pinecone-Api-Version"]


def test_health_and_metrics(ask: Checked) -> None:
    assert ask("GET", "/healthz", status=200) == {"status": "ok"}
    assert ask("GET", "/readyz", status=200) == {"status": "ok"}
    ask("GET", "/metrics", status=200)
    text = ask.http.get("/metrics").text
    assert 'tenantry_http_requests_total{api="native",method="GET",route="/healthz",status="200"}' in text
    assert 'tenantry_shard_operations_total{index="walk",kind="query",outcome="ok"' in text
    assert "tenantry_route_lookups_total" in text
    assert ODD_NAME not in text
    assert ask.http.head("/healthz").status_code == 200


def test_health_and_readings(ask: Ask) -> None:
    found = ask("GET", INDEX + "/health", status=200, index="default")
    assert found["health"] in ("ok", "warning", "critical")
    assert [shard["name"] for shard in found["shards"]]
    load = ask("GET", INDEX + "/readings", status=200, index="default", params={"tenants": 1})
    assert len(load["tenants"]) <= 1
    wrong = ask("GET", INDEX + "/readings", status=400, index="default", params={"tenants": -1})
    assert wrong["error"]["field"] == "tenants"
    ask("GET", INDEX + "/health", status=404, index="none")


def test_every_operation_was_walked(ask: Checked) -> None:
    documented = {(method.upper(), path) for path, operations in ask.document["paths"].items() for method in operations}
    walked = {(method, path) for method, path, _ in ask.seen}
    assert documented - walked == {("GET", "/v1/openapi.json")}
