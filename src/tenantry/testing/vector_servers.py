"""Vector engines that tests can start by themselves, from an environment of their own: no root, no containers.

Their packages weigh a gigabyte and pin much; so they are installed beside Tenantry's environment, not in it
(``make servers`` makes ``.venv-servers``). ``TENANTRY_TEST_SERVERS`` names another place.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from tenantry.testing.servers import ServerMissing, free_port, wait_until_listens

START_S = 60
STOP_S = 10
FOLDER_ENV = "TENANTRY_TEST_SERVERS"
FOLDER = ".venv-servers"


class VectorServer:
    """A server on a free port of 127.0.0.1, with data in a temporary folder.

    Use as a context manager, or `stop` it; when the interpreter exits it is stopped anyway.

    Args:
        program: name of its command.
        arguments: with ``{data}`` and ``{port}`` in them.
    """

    def __init__(self, program: str, *arguments: str) -> None:
        folder = Path(os.environ.get(FOLDER_ENV, FOLDER))
        self._program = folder.absolute() / "bin" / program
        if not self._program.exists():
            raise ServerMissing(f"no {program} to test with: run `make servers`, or set {FOLDER_ENV}")
        self._arguments = arguments
        self._folder = Path(tempfile.mkdtemp(prefix=f"tenantry-{program}-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @classmethod
    def chroma(cls) -> Self:
        """A Chroma server. Raises ServerMissing, RuntimeError."""
        return cls("chroma", "run", "--path", "{data}", "--host", "127.0.0.1", "--port", "{port}").started()

    @classmethod
    def milvus(cls) -> Self:
        """A Milvus Lite server. Raises ServerMissing, RuntimeError."""
        return cls("milvus-lite", "server", "--data-dir", "{data}", "--host", "127.0.0.1", "--port", "{port}").started()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:port``."""
        return f"http://127.0.0.1:{self.port}"

    def started(self) -> Self:
        """Itself, running."""
        atexit.register(self.stop)
        self.come_back()
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop_for_a_while(self) -> None:
        """Kill it; `come_back` brings it up again, on the same port with the same data."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)
            self._process = None

    def come_back(self) -> None:
        """Start it and wait until it listens."""
        log = self._folder / "log"
        values = {"data": str(self._folder / "data"), "port": str(self.port)}
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # our own arguments, no shell
                [self._program, *(each.format(**values) for each in self._arguments)],
                cwd=self._folder,
                env={**os.environ, "HOME": str(self._folder), "ANONYMIZED_TELEMETRY": "False"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_until_listens(self._process, self.port, START_S, log)

    def stop(self) -> None:
        """Stop it and remove its files; safe to call twice."""
        atexit.unregister(self.stop)
        self.stop_for_a_while()
        shutil.rmtree(self._folder, ignore_errors=True)
