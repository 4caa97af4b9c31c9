"""The alert rules: by promtool, and against what a running gateway shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, running_gateway

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = [
    rule for group in yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail("promtool is missing (a missing tool fails in CI); it is in Debian's package prometheus")
        pytest.skip("promtool is missing; it is in Debian's package prometheus")
    return found


@pytest.mark.parametrize("words", [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]])
def test_the_alerts_fire_when_they_should(words: list[str]) -> None:
    done = subprocess.run([promtool(), *words], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_runbook_is_there() -> None:
    for rule in RULES:
        assert (ROOT / rule["annotations"]["runbook"]).is_file()


def test_every_metric_of_the_alerts_is_in_the_scrape_of_a_running_gateway(tmp_path: Path) -> None:
    used = {name for rule in RULES for name in re.findall(r"tenantry_[a-z_]+", rule["expr"])}
    with (
        running_gateway(tmp_path / "data", dimension=2) as gateway,
        httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as http,
    ):
        tenant = "/v1/indexes/default/tenants/acme"
        http.post(tenant + "/upsert", json={"records": [{"id": "a", "values": [1, 0]}]}).raise_for_status()
        http.post(tenant + "/query", json={"vector": [1, 0], "top_k": 1}).raise_for_status()
        scraped = http.get("/metrics").raise_for_status().text
    families = set(re.findall(r"^# TYPE (\w+)", scraped, re.MULTILINE))
    assert {name.removesuffix("_bucket") for name in used} <= families
    for name in ("tenantry_shard_tenants", "tenantry_shard_utilisation_ratio", "tenantry_shard_up"):
        assert re.search(rf'^{name}{{index="default",shard="', scraped, re.MULTILINE), name
