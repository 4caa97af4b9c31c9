"""``tenantry serve`` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

STOP_S = 30


@contextmanager
def served(folder: Path, key: str, settings: Mapping[str, str] | None = None, core: int | None = None) -> Iterator[str]:
    """The URL of a gateway on a data folder. ``settings``: further variables; ``core``: the only one it runs on."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})  # processes that are started here inherit it for good
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "tenantry.cli.main", "serve", "--data", str(folder), "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | dict(settings or {}) | {"TENANTRY_ADMIN_KEY": key},
        )
    finally:
        os.sched_setaffinity(0, before)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("`tenantry serve` ended without serving")
        yield json.loads(line)["url"]
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and make it."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
