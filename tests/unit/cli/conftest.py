"""A gateway that says what a test tells it to say, and the program in this process."""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog

from tenantry.cli.main import run


@dataclass
class Asked:
    """A request as it came in; ``path`` is still percent-encoded."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class FakeApi:
    """Answers in the order in which they were told; then 404 for everything."""

    asked: list[Asked] = field(default_factory=list)
    _answers: deque[tuple[int, Any, str]] = field(default_factory=deque)

    def answer(self, body: Any = None, status: int = 200, kind: str = "application/json") -> FakeApi:
        """The next answer."""
        self._answers.append((status, body, kind))
        return self

    def fail(self, status: int, code: str, message: str, field: str | None = None) -> FakeApi:
        """The next answer is an error, as the API shapes it."""
        error = {"code": code, "message": message} | ({"field": field} if field else {})
        return self.answer({"error": error}, status)

    @property
    def paths(self) -> list[str]:
        """Method and path of each request."""
        return [f"{one.method} {one.path}" for one in self.asked]

    def __enter__(self) -> FakeApi:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length") or 0))
                body = json.loads(raw) if raw else None
                headers = {name.lower(): value for name, value in self.headers.items()}
                fake.asked.append(Asked(self.command, self.path, headers, body))
                missing = (
                    404,
                    {"error": {"code": "NOT_FOUND", "message": "the fake has no answer"}},
                    "application/json",
                )
                status, said, kind = fake._answers.popleft() if fake._answers else missing
                content = b"" if said is None else said.encode() if isinstance(said, str) else json.dumps(said).encode()
                self.send_response(status)
                if status != 204:
                    self.send_header("content-type", kind)
                    self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the tests' output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Done]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No setting of the machine, nor a ``.env``, reaches a test, and no test's log settings reach another."""
    for name in list(os.environ):
        if name.startswith("TENANTRY_") or name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield
    structlog.reset_defaults()


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process."""

    def call(*arguments: str | Path) -> Done:
        capsys.readouterr()
        code = run([str(one) for one in arguments])
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return call


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """A gateway that answers what the test says."""
    with FakeApi() as fake:
        yield fake


@pytest.fixture
def ask(cli: Cli, api: FakeApi) -> Cli:
    """Run a command against the fake gateway."""
    return lambda *arguments: cli(*arguments, "--url", api.url)
