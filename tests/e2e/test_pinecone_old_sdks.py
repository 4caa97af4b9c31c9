"""Older SDKs and langchain-pinecone, each in an environment of its own, against a gateway."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, HERE, GatewayProcess, running_gateway, sdk_python

RUN_WITHIN_S = 60


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path_factory.mktemp("old") / "data") as running:
        yield running


def run(environment: str, script: str, gateway: GatewayProcess) -> None:
    """Run a script with an old SDK's interpreter; a tenant key for `own` is on its standard input."""
    python = sdk_python(environment)
    made = httpx.post(f"{gateway.url}/v1/keys", json={"tenant": "own"}, headers={"Api-Key": ADMIN_KEY})
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PINECONE_", "LANG"))}
    done = subprocess.run(
        [python, str(HERE / script), gateway.url, ADMIN_KEY],
        input=made.json()["secret"] + "\n",
        env=env,
        capture_output=True,
        text=True,
        timeout=RUN_WITHIN_S,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["ok"]), done.stdout + done.stderr


def test_pinecone_client_3(gateway: GatewayProcess) -> None:
    run("pinecone3", "run_pinecone3.py", gateway)


def test_pinecone_7(gateway: GatewayProcess) -> None:
    run("pinecone7", "run_pinecone7.py", gateway)


def test_langchain(gateway: GatewayProcess) -> None:
    run("pinecone7", "run_langchain.py", gateway)
