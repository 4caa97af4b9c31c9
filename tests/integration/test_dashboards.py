"""A real Prometheus scrapes a real gateway, and evaluates every panel of the dashboard and every rule."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, running_gateway
from house_grafana import expressions, grafana_dashboard
from prometheus_server import RULES, Prometheus, prometheus_of, until

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"\btenantry_[a-z0-9_]+")
RULE_LIST = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
#: Without a series in a cluster where all is well; what is made of them has no series then either.
ONLY_IN_TROUBLE = {
    "tenantry_routing_problems_total",
    "tenantry_search_missing_shards_total",
    "tenantry_search_hedges_total",
    "tenantry_search_breaker_open",
    "tenantry_turned_away_total",
}
#: Of these there is nothing without a roll-up.
ONLY_ROLLED_UP = {
    "tenantry_search_sources_total",
    "tenantry_rollup_lag_seconds",
    "tenantry_rollup_records_total",
}
SOMETIMES = ONLY_IN_TROUBLE | ONLY_ROLLED_UP
#: What a panel picks that does not happen here.
ONLY_THEN = ('outcome="error"', 'status=~"429|503"')


def as_sent(expression: str) -> str:
    """What Grafana makes of it for all indexes."""
    filled = expression.replace("$index", ".+").replace("$__rate_interval", "1m").replace("$__interval", "1h")
    assert "$" not in filled
    return filled


class Scene:
    """A gateway with two shards where everything happens that metrics tell of."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def post(self, path: str, **body: Any) -> Any:
        return self.http.post(f"/v1/indexes/default{path}", json=body).raise_for_status().json()

    def build(self) -> None:
        self.post("/shards", name="shard-1", max_tenants=50, max_vectors=1_000)
        for n in range(4):
            self.post("/tenants", name=f"t{n}", shard=None)
            self.post(f"/tenants/t{n}/upsert", records=[{"id": "a", "values": [1, n]}])

    def act(self) -> None:
        for n in range(4):
            self.post(f"/tenants/t{n}/query", vector=[1, 0], top_k=1)
        self.post("/search", vector=[1, 0], top_k=1)
        move = self.post("/tenants/t0/move", target=self._elsewhere(), soak_s=0, retention_s=0)["id"]
        until(lambda: self._phase(move) == "done", "the end of a move")

    def _elsewhere(self) -> str:
        here = self.http.get("/v1/indexes/default/tenants/t0").json()["shard"]
        return "shard-1" if here == "shard-0" else "shard-0"

    def _phase(self, move: str) -> str:
        phase: str = self.http.get(f"/v1/indexes/default/moves/{move}").json()["phase"]
        return phase


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("watched")
    settings = {"health_check_s": "1", "health_wasteful_grace_s": "0", "health_raise_after": "1"}
    with (
        running_gateway(folder / "data", dimension=2, **settings) as gateway,
        httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=30) as http,
    ):
        scene = Scene(http)
        scene.build()
        scene.act()
        with prometheus_of(gateway.url, ADMIN_KEY, folder / "prometheus") as watching:
            for _ in range(2):
                seen = watching.scrapes()
                scene.act()
                until(lambda seen=seen: watching.scrapes() >= seen + 2, "scrapes of what was done")  # type: ignore[misc]
            until(lambda: watching.ask("tenantry_health_warnings"), "a warning that stands")
            yield watching


def rare(expression: str) -> bool:
    return bool(SOMETIMES & set(NAME.findall(expression))) or any(one in expression for one in ONLY_THEN)


@pytest.mark.parametrize("expression", expressions(), ids=lambda one: one[:60])
def test_a_panel_shows_something(prometheus: Prometheus, expression: str) -> None:
    if rare(expression):
        prometheus.ask(as_sent(expression))
    else:  # after a scrape that was late there is nothing until the next
        until(lambda: prometheus.ask(as_sent(expression)), "a series")


def test_every_rule_can_be_evaluated(prometheus: Prometheus) -> None:
    def all_done() -> Any:
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else None

    rules = until(all_done, "an evaluation of all rules")
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}
    assert {rule["name"] for rule in rules} == {rule.get("alert") or rule["record"] for rule in RULE_LIST}


def test_every_metric_of_rules_and_panels_is_there(prometheus: Prometheus) -> None:
    used = {name for one in [*expressions(), *(rule["expr"] for rule in RULE_LIST)] for name in NAME.findall(one)}
    known = {one["metric"] for one in prometheus.get("targets/metadata")}
    families = known | {f"{name}{suffix}" for name in known for suffix in ("_bucket", "_count", "_sum", "_total")}
    assert used - families == set()
    with_series = set(prometheus.get("label/__name__/values"))
    assert used - with_series <= SOMETIMES


def test_every_documented_metric_is_shown_or_alerted_on(prometheus: Prometheus) -> None:
    """What nobody looks at has no place in a scrape."""
    looked_at = " ".join([*expressions(), *(rule["expr"] for rule in RULE_LIST)])
    known = {one["metric"] for one in prometheus.get("targets/metadata")}
    own = {name for name in known if name.startswith("tenantry_") and not name.endswith("_created")}
    assert {name for name in own if name not in looked_at} == set()


def test_the_dashboard_is_whole() -> None:
    made = json.loads(grafana_dashboard())
    panels = [one for one in made["panels"] if one["type"] != "row"]
    ids = [one["id"] for one in made["panels"]]
    assert len(ids) == len(set(ids))
    assert [one["expr"] for panel in panels for one in panel["targets"]] == expressions()
    titles = {panel["title"] for panel in panels}
    assert {"Tenants by shard", "P95 of queries by shard", "Moves a week", "Cost of tenants"} <= titles
    taken = {
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    }
    assert len(taken) == sum(panel["gridPos"]["w"] * panel["gridPos"]["h"] for panel in panels), "panels overlap"
