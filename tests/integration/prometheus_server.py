"""A real Prometheus that scrapes a gateway, for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from tenantry.testing.servers import free_port

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yaml"
WITHIN_S = 60.0


def tool(name: str) -> str:
    """A program of Debian's package prometheus; skips on a laptop without it, fails in CI."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{name} is missing (a missing tool fails in CI); it is in Debian's package prometheus")
        pytest.skip(f"{name} is missing; it is in Debian's package prometheus")
    return found


def until(found: Callable[[], Any], what: str) -> Any:
    """What the function returns, once it is true."""
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        try:
            if done := found():
                return done
        except httpx.TransportError:
            pass
        threading.Event().wait(0.1)
    raise AssertionError(f"not within {WITHIN_S:g} s: {what}")


class Prometheus:
    """Questions to its API."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=10)

    def get(self, path: str, **params: str) -> Any:
        """The data of an answer."""
        answer = self._http.get(f"/api/v1/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def is_ready(self) -> bool:
        """Whether it has read its storage: until then it listens, and answers questions with 503."""
        return self._http.get("/-/ready").status_code == 200

    def ask(self, expression: str) -> list[Any]:
        """The series that an expression comes to now."""
        found: list[Any] = self.get("query", query=expression)["result"]
        return found

    def scrapes(self) -> int:
        """How many were stored so far."""
        found = self.ask("sum_over_time(up[1h])")  # those that succeeded
        return int(found[0]["value"][1]) if found else 0

    def close(self) -> None:
        """Close connections."""
        self._http.close()


@contextmanager
def prometheus_of(gateway: str, key: str, folder: Path) -> Iterator[Prometheus]:
    """Scrapes a gateway every second, under the rules of ``deploy``."""
    binary = tool("prometheus")
    folder.mkdir()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": "tenantry",
                "authorization": {"credentials": key},
                "static_configs": [{"targets": [urlsplit(gateway).netloc]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        binary,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    made = Prometheus(f"http://127.0.0.1:{port}")
    try:
        until(lambda: process.poll() is not None or (made.is_ready() and made.scrapes() > 0), "a first scrape")
        assert process.poll() is None, (folder / "log").read_text()
        yield made
    finally:
        made.close()
        process.terminate()
        process.wait(30)
