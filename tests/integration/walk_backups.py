"""A walk through the operations of backup and restore."""

from __future__ import annotations

from pathlib import Path

from checked import Checked

INDEX = "/v1/indexes/{index}"
TENANT = INDEX + "/tenants/{tenant}"
SHARD = INDEX + "/shards/{shard}"
JOB = "/v1/jobs/{id}"


def walk_backups(ask: Checked, tmp_path: Path) -> None:
    there = {"archive": str(tmp_path / "archive")}
    at = {"index": "kept"}
    ask("POST", "/v1/indexes", status=201, json={"name": "kept", "dimension": 4, "shards": 2})
    ask(
        "POST",
        TENANT + "/upsert",
        status=200,
        tenant="acme",
        json={"records": [{"id": "a", "values": [1.0, 0.1, 0.5, 0.5]}]},
        **at,
    )
    job = ask("POST", "/v1/backups", status=202, json=there)
    made = ask.events(JOB + "/events", id=job["id"])[-1]
    assert (made["state"], made["result"]["totals"]["fuzzy"]) == ("done", 0)
    id = made["result"]["id"]
    assert [one["id"] for one in ask("GET", "/v1/backups", status=200, params=there)["backups"]] == [id]
    assert ask("GET", "/v1/backups/{id}", status=200, id=id, params=there)["scope"] == "all"
    tested = ask("POST", "/v1/backups/{id}/verify", status=202, id=id, json=there)
    assert ask.events(JOB + "/events", id=tested["id"])[-1]["result"]["faults"] == []
    ask("DELETE", TENANT, status=204, tenant="acme", **at)
    assert [one["tenant"] for one in ask("GET", INDEX + "/deleted", status=200, **at)["deleted"]] == ["acme"]
    assert ask("POST", TENANT + "/undelete", status=200, tenant="acme", **at)["vectors"] == 1
    ask("POST", TENANT + "/undelete", status=404, tenant="nobody", **at)
    ask("DELETE", TENANT, status=204, tenant="acme", params={"now": "true"}, **at)
    ask("POST", TENANT + "/undelete", status=404, tenant="acme", **at)
    for asked, path in (("tenant", TENANT), ("shard", SHARD)):
        name = "acme" if asked == "tenant" else "shard-0"
        job = ask("POST", path + "/restore", status=202, json={**there, "dry_run": True}, **{asked: name}, **at)
        assert ask.events(JOB + "/events", id=job["id"])[-1]["state"] == "done"
    job = ask("POST", TENANT + "/restore", status=202, tenant="acme", json=there, **at)
    assert ask.events(JOB + "/events", id=job["id"])[-1]["result"]["tenants"][0]["action"] == "create"
    again = ask("POST", TENANT + "/restore", status=202, tenant="acme", json=there, **at)
    last = ask.events(JOB + "/events", id=again["id"])[-1]
    assert (last["state"], last["code"]) == ("failed", "ALREADY_EXISTS")
    assert ask("POST", JOB + "/cancel", status=200, id=again["id"])["state"] == "failed"
    assert ask("GET", JOB, status=200, id=again["id"])["error"] == last["error"]
    assert ask("GET", "/v1/jobs", status=200)["jobs"][0]["id"] == again["id"]
    ask("GET", JOB, status=404, id="0123456789ab")
    pruned = ask("POST", "/v1/backups/prune", status=202, json={**there, "hourly": 1})
    assert ask.events(JOB + "/events", id=pruned["id"])[-1]["result"]["kept"] == [id]
    assert ask("GET", "/v1/backups/schedule", status=200)["every_s"] is None
    assert ask("PUT", "/v1/backups/schedule", status=400, json={"every_s": 1, **there})["error"]["field"] == "every_s"
    assert ask("PUT", "/v1/backups/schedule", status=200, json={"every_s": 3600, **there})["daily"] == 7
    assert ask("PUT", "/v1/backups/schedule", status=200, json={"every_s": None})["every_s"] is None
    ask("DELETE", "/v1/backups/{id}", status=204, id=id, params=there)
    ask("GET", "/v1/backups/{id}", status=404, id=id, params=there)
    ask("GET", "/v1/backups", status=400, params={"archive": "ftp://somewhere"})
