"""The environment of the other engines: made from `peers.lock` with plain pip, once."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LOCK = ROOT / "bench" / "peers.lock"
VENV = ROOT / ".venv-bench"


def python(say: Callable[[str], None]) -> Path:
    """Its interpreter; made or brought up to date first if need be.

    Raises:
        RuntimeError: pip failed; the message holds what it said.
    """
    found = VENV / "bin" / "python"
    stamp, wanted = VENV / ".locked", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return found
    say(f"setting up {VENV.name} from {LOCK.name} (a few minutes the first time)")
    if not found.exists():
        _run(sys.executable, "-m", "venv", str(VENV))
    _run(
        str(found),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "-r",
        str(LOCK),
    )
    stamp.write_text(wanted)
    return found


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
