"""A server that answers as it is told: for what a real one does not do on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

import msgspec

from tenantry.testing.servers import free_port


class Asked(msgspec.Struct):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


class Answer(msgspec.Struct):
    """One answer: JSON, or text as it is; None as status: none, ever."""

    status: int | None = 200
    body: Any = msgspec.field(default_factory=dict)
    headers: dict[str, str] = msgspec.field(default_factory=dict)


class StubServer:
    """HTTP/1.1 on a free port of 127.0.0.1, of this event loop. An asynchronous context manager.

    Attributes:
        asked: the requests so far.
    """

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()
        self.asked: list[Asked] = []
        self.port = free_port()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:port``."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  this is one
        self._running.add(task)
        try:
            while asked := await self._read(reader):
                self.asked.append(asked)
                answer = self._answer(asked)
                if answer.status is None:
                    await asyncio.Event().wait()
                writer.write(self._written(answer))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._running.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Asked | None:
        line = await reader.readline()
        if not line.strip():
            return None
        method, path, _ = line.decode().split()
        headers: dict[str, str] = {}
        while (line := await reader.readline()).strip():
            name, _, value = line.decode().partition(":")
            headers[name.strip().lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Asked(method, path, headers, body)

    def _written(self, answer: Answer) -> bytes:
        body = answer.body.encode() if isinstance(answer.body, str) else msgspec.json.encode(answer.body)
        headers = {"content-type": "application/json", **answer.headers, "content-length": str(len(body))}
        head = f"HTTP/1.1 {answer.status} -\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return head.encode() + b"\r\n" + body
