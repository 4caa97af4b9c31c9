"""A walk through a migration over HTTP: planned, begun, paused, resumed, finished; another one rolled back."""

from __future__ import annotations

import time

from checked import Checked

TENANT = "/v1/indexes/{index}/tenants/{tenant}"
ALL = "/v1/migrations"
ONE = ALL + "/{id}"


def walk_migrations(ask: Checked) -> None:
    ask("POST", "/v1/indexes", status=201, json={"name": "waves", "dimension": 4, "shards": 1})
    at = {"index": "waves"}
    for number in range(4):
        records = [{"id": "a", "values": [1.0, 0.1, 0.5, number]}]
        ask("POST", TENANT + "/upsert", status=200, tenant=f"t{number}", json={"records": records}, **at)
    source = ask("GET", "/v1/indexes/{index}/shards", status=200, **at)["shards"][0]["name"]
    ask("POST", "/v1/indexes/{index}/shards", status=201, json={"name": "next"}, **at)

    wanted = {"index": "waves", "sources": [source], "every_s": 0, "soak_s": 0}
    plan = ask("POST", ALL + "/plan", status=200, json=wanted)
    assert [wave["tenants"] for wave in plan["waves"]] != []
    ask("POST", ALL + "/plan", status=404, json=wanted | {"sources": ["none"]})
    assert ask("POST", ALL + "/plan", status=400, json=wanted | {"share": 0})["error"]["field"] == "share"
    ask("POST", ALL, status=400, json={"index": "waves"})

    id = ask("POST", ALL, status=202, json=wanted)["id"]
    ask("POST", ONE + "/pause", status=200, id=id)
    assert ask("POST", ONE + "/resume", status=200, id=id, json={"now": True})["state"] == "running"
    for _ in range(600):
        found = ask("GET", ONE, status=200, id=id)
        if found["state"] == "done":
            break
        time.sleep(0.1)  # noqa: TID251  # the gateway's time, not ours
    assert found["state"] == "done", found["reason"]
    assert [event["state"] for event in ask.events(ONE + "/events", most=1, id=id)] == ["done"]
    assert [one["id"] for one in ask("GET", ALL, status=200, params={"index": "waves"})["migrations"]] == [id]
    assert ask("GET", ONE, status=200, id=id)["moved"] == 4
    assert {one["state"] for one in ask("GET", ONE + "/tenants", status=200, id=id)["tenants"]} == {"moved"}
    assert ask("GET", ONE + "/report", status=200, id=id)["moved"] == 4
    assert "# " in ask("GET", ONE + "/report/markdown", status=200, id=id)["markdown"]
    assert ask("POST", ONE + "/finish", status=200, id=id, json={})["state"] == "finished"
    ask("POST", ONE + "/rollback", status=409, id=id, json={})
    for verb, body in (("pause", None), ("resume", {}), ("rollback", {}), ("finish", {})):
        ask("POST", f"{ONE}/{verb}", status=404, id="none", json=body)
    ask("GET", ONE, status=404, id="none")
