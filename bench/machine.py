"""The machine and the versions that a result holds for."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("tenantry", "numpy", "faiss-cpu", "msgspec", "uvicorn", "uvloop", "httptools", "starlette", "sqlalchemy")


#: Additions of a loop in plain Python that tells how quick the machine is at the moment: 0.25 s is usual.
LOOP = 5_000_000


def described() -> dict[str, Any]:
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu(),
        "memory_gib": round(_memory_bytes() / 2**30),
        "system": _system(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "loop_s": round(_loop_s(), 2),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
    }


def in_words(machine: dict[str, Any]) -> str:
    return (
        f"{machine['cores']} cores, {machine['memory_gib']} GiB, Python {machine['python']}, {machine['system']}, "
        f"{machine['cpu']}; {LOOP:,} additions in {machine['loop_s']} s"
    )


def resident_bytes(pid: int | str = "self") -> int:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def tree_resident_bytes(pid: int) -> int:
    """Private memory of a process and its descendants, with what they share counted once (proportional set size)."""
    total = _proportional_bytes(pid)
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            listed = children.read_text().split()
        except FileNotFoundError:
            continue
        total += sum(tree_resident_bytes(int(child)) for child in listed)
    return total


def folder_bytes(folder: Path) -> int:
    """Space that the files of a folder take on disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def load_average() -> float:
    return os.getloadavg()[0]


def _proportional_bytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return 0


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _loop_s() -> float:
    total, begun = 0, time.perf_counter()
    for number in range(LOOP):
        total += number
    return time.perf_counter() - begun


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    release = Path("/etc/os-release")
    if release.exists():
        for line in release.read_text().splitlines():
            if line.startswith("PRETTY_NAME="):
                return line.partition("=")[2].strip('"')
    return platform.platform()
