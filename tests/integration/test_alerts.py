"""The alert rules, by promtool; `test_dashboards` evaluates them on a running gateway."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tenantry.control.health.rules import RULES as HEALTH_RULES

sys.path.insert(0, str(Path(__file__).parent))
from prometheus_server import tool

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
ALERTS = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]


@pytest.mark.parametrize("words", [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]])
def test_the_alerts_fire_when_they_should(words: list[str]) -> None:
    done = subprocess.run([tool("promtool"), *words], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_runbook_is_there() -> None:
    for rule in ALERTS:
        assert (ROOT / rule["annotations"]["runbook"]).is_file()


def test_every_warning_of_the_health_has_an_alert() -> None:
    kinds = set(
        re.findall(r"^\| \[`([a-z-]+)`\]", (ROOT / "docs" / "reference" / "health.md").read_text(), re.MULTILINE)
    )
    assert len(kinds) == len(HEALTH_RULES)
    assert kinds <= {Path(rule["annotations"]["runbook"]).stem for rule in ALERTS}
