"""What every engine of the comparison must do, and how its calls are timed."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from bench.peers.workload import Plan, Rows

Timed = tuple[list[float], list[list[str]]]


class Engine(ABC):
    """One engine with its best reasonable settings, said in ``settings``. Tenants are named by their number.

    A query returns the ids of the nearest rows, best first, having brought id, score, text and fields of each.
    """

    settings: ClassVar[str]
    package: ClassVar[str]

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan

    @property
    def version(self) -> str:
        return metadata.version(self.package)

    def pids(self) -> list[int]:
        """Processes that it runs besides this one and its children."""
        return []

    def disk_folder(self) -> Path:
        return self.folder

    @abstractmethod
    def create(self, tenant: int) -> None: ...

    @abstractmethod
    def insert(self, tenant: int, rows: Rows) -> None:
        """New rows; may use the engine's quickest way for rows that are not there yet."""

    @abstractmethod
    def overwrite(self, tenant: int, rows: Rows) -> None: ...

    @abstractmethod
    def delete(self, tenant: int, ids: Sequence[str]) -> None: ...

    def settle(self) -> None:  # noqa: B027  most have something to do, but not all
        """Build what is to be built, and wait for it."""

    @abstractmethod
    def query(self, tenant: int, vector: Any, filtered: bool) -> list[str]: ...

    def timed(self, asked: Sequence[tuple[int, Any]], filtered: bool) -> Timed:
        clock = time.perf_counter
        seconds, answers = [], []
        for tenant, vector in asked:
            begun = clock()
            answer = self.query(tenant, vector, filtered)
            seconds.append(clock() - begun)
            answers.append(answer)
        return seconds, answers

    def close(self) -> None:  # noqa: B027
        """Close files and connections."""
