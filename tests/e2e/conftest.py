"""The program, quick to start."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import forking


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the program ``tenantry``, for the PATH: forked from a process that has imported everything."""
    with forking.running(tmp_path_factory.mktemp("programs")) as folder:
        yield folder
