"""A gateway in a process of its own, over a real socket, for tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SERVER = HERE / "serve_gateway.py"
ADMIN_KEY = "admin-key-of-the-tests"
STOP_WITHIN_S = 30


class GatewayProcess:
    """A running gateway. ``url`` is where it serves."""

    def __init__(self, data: Path, *, dimension: int, metric: str, settings: dict[str, str]) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("TENANTRY_")}
        env |= {"TENANTRY_DATA": str(data), "TENANTRY_PORT": "0", "TENANTRY_SHUTDOWN_GRACE_S": "10", **settings}
        self.log = data.parent / f"{data.name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(SERVER), str(dimension), metric], env=env, stdout=subprocess.PIPE, stderr=log
            )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().decode().strip()

    def errors(self) -> str:
        """What it wrote to its standard error."""
        return self.log.read_text()

    def stop(self, sent: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sent)
        code = self.process.wait(STOP_WITHIN_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextmanager
def running_gateway(
    data: Path, *, dimension: int = 8, metric: str = "cosine", admin_key: str | None = ADMIN_KEY, **settings: str
) -> Iterator[GatewayProcess]:
    """A gateway on a folder; ``settings`` are TENANTRY_ variables in lower case."""
    chosen = {f"TENANTRY_{name.upper()}": value for name, value in settings.items()}
    if admin_key is not None:
        chosen["TENANTRY_ADMIN_KEY"] = admin_key
    gateway = GatewayProcess(data, dimension=dimension, metric=metric, settings=chosen)
    try:
        assert gateway.url.startswith("http://"), gateway.errors()
        yield gateway
    finally:
        code = gateway.stop()
    assert code == 0, gateway.errors()


def sdk_python(name: str) -> str:
    """The interpreter of an old SDK's environment; skips on a laptop without it, fails in CI."""
    python = ROOT / ".venv-sdk" / name / "bin" / "python"
    if python.exists():
        return str(python)
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{python} is missing (a missing environment fails in CI); make it with `make sdk-venvs`")
    pytest.skip(f"{python} is missing; make it with `make sdk-venvs`")
