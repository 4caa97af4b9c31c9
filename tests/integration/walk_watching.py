"""A walk through what people who watch ask for, the auto-pilot, and the roll-up of an index."""

from __future__ import annotations

from checked import Checked

INDEX = "/v1/indexes/{index}"
TENANT = INDEX + "/tenants/{tenant}"
ROLLUP = INDEX + "/rollup"


def walk_watching(ask: Checked) -> None:
    ask("POST", "/v1/indexes", status=201, json={"name": "watched", "dimension": 4, "shards": 2})
    at = {"index": "watched"}
    for name in ("acme", "globex"):
        records = [{"id": "a", "values": [1.0, 0.1, 0.5, 0.5]}]
        ask("POST", TENANT + "/upsert", status=200, tenant=name, json={"records": records}, **at)
    assert ask("GET", "/v1/whoami", status=200)["scope"] == "admin"
    assert ask("GET", INDEX + "/overview", status=200, **at)["open_moves"] == 0
    ask("GET", INDEX + "/timeline", status=200, params={"shards": 1}, **at)
    ask("GET", INDEX + "/timeline", status=400, params={"shards": 0}, **at)
    found = ask("GET", INDEX + "/roster", status=200, params={"text": "lob", "sort": "vectors"}, **at)
    assert [one["name"] for one in found["tenants"]] == ["globex"]
    assert ask("GET", INDEX + "/roster", status=400, params={"sort": "mood"}, **at)["error"]["field"] == "sort"
    assert ask("GET", TENANT + "/readings", status=200, tenant="acme", **at)["name"] == "acme"
    assert ask.events(INDEX + "/live", most=1, index="watched")
    days = ask("GET", INDEX + "/cost/history", status=200, params={"days": 2}, **at)["days"]
    assert [one["tenant"] for one in days[-1]["tenants"]] == ["acme", "globex"]
    only = ask("GET", INDEX + "/cost/history", status=200, params={"tenant": "acme"}, **at)["days"]
    assert [one["tenant"] for one in only[-1]["tenants"]] == ["acme"]
    assert ask("GET", INDEX + "/cost/history", status=400, params={"days": 0}, **at)["error"]["field"] == "days"
    ask("GET", INDEX + "/cost/history", status=404, params={"tenant": "nobody"}, **at)
    for path in ("/overview", "/timeline", "/roster", "/live", "/cost/history"):
        ask("GET", INDEX + path, status=404, index="none")


def walk_autopilot(ask: Checked) -> None:
    assert ask("GET", "/v1/autopilot", status=200)["policy"]["stance"] == "off"
    set_to = ask("PUT", "/v1/autopilot", status=200, json={"stance": "observe", "moves_per_hour": 3})
    assert set_to["policy"]["moves_per_hour"] == 3
    assert ask("PUT", "/v1/autopilot", status=400, json={"stance": "asleep"})["error"]["field"] == "stance"
    ask("PUT", "/v1/autopilot", status=200, json={"stance": "off"})
    assert ask("GET", "/v1/autopilot/history", status=200, params={"limit": 10})["entries"] is not None
    ask("GET", "/v1/autopilot/history", status=400, params={"limit": 0})


def walk_rollup(ask: Checked) -> None:
    at = {"index": "watched"}
    assert ask("GET", ROLLUP, status=200, **at)["state"] == "off"
    ask("PUT", ROLLUP, status=404, json={"shard": "none"}, **at)
    assert ask("PUT", ROLLUP, status=200, json={"wait_s": 20}, **at)["state"] == "on"
    compared = ask("POST", ROLLUP + "/verify", status=200, json={"wait_s": 20}, **at)
    assert (compared["whole"], compared["records"]) == (True, 2)
    ask("DELETE", ROLLUP, status=200, **at)
    ask("GET", ROLLUP, status=404, index="none")
