"""A walk through plans of tenants, their limits and their usage."""

from __future__ import annotations

from checked import Checked

TENANT = "/v1/indexes/{index}/tenants/{tenant}"


def walk_service(ask: Checked) -> None:
    ask("POST", "/v1/indexes", status=201, json={"name": "billed", "dimension": 4})
    at = {"index": "billed"}
    plans = ask("GET", "/v1/plans", status=200)
    assert [one["name"] for one in plans["plans"]] == ["enterprise", "free", "pro"]
    assert plans["default"] is None
    made = ask("PATCH", "/v1/plans/{plan}", status=200, plan="trial", json={"vectors": 9, "default": True})
    assert (made["vectors"], made["bytes"], made["weight"]) == (9, None, 1)
    wrong = ask("PATCH", "/v1/plans/{plan}", status=400, plan="trial", json={"vectors": -1})
    assert wrong["error"]["field"] == "vectors"
    ask("PATCH", "/v1/plans/{plan}", status=400, plan="Trial", json={})
    assert ask("GET", "/v1/plans", status=200)["default"] == "trial"
    assert ask("PATCH", "/v1/plans", status=200, json={"plan": None})["default"] is None
    ask("PATCH", "/v1/plans", status=404, json={"plan": "gold"})
    ask(
        "POST",
        TENANT + "/upsert",
        status=200,
        tenant="paying",
        json={"records": [{"id": "a", "values": [1.0, 0.1, 0.5, 0.5]}]},
        **at,
    )
    assert (
        ask("POST", TENANT + "/plan", status=200, tenant="paying", json={"plan": "pro"}, **at)["spec"]["plan"] == "pro"
    )
    ask("POST", TENANT + "/plan", status=404, tenant="paying", json={"plan": "gold"}, **at)
    ask("POST", TENANT + "/plan", status=404, tenant="nobody", json={"plan": "pro"}, **at)
    limits = ask("GET", TENANT + "/limits", status=200, tenant="paying", **at)
    assert (limits["assigned"], limits["plan"]["weight"], limits["vectors"]) == ("pro", 4, 1)
    ask("GET", TENANT + "/limits", status=404, tenant="nobody", **at)
    found = ask("GET", "/v1/usage", status=200, params={"by": "day", "index": "billed", "tenant": "paying"})
    assert [one["vectors_upserted"] for one in found["usage"]] == [1]
    ask("GET", "/v1/usage", status=400, params={"by": "year"})
