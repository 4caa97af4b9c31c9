"""Clients that do not take their answers are cut off, and those that take them slowly are not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from tenantry.gateway import protocol
from tenantry.gateway.protocol import BoundedProtocol

SIZE = 64 * 2**20


class Served:
    """A server of one large answer. `ended` is set when the application is done with it."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % SIZE)]})
            for _ in range(SIZE // 2**16):
                await send({"type": "http.response.body", "body": b"x" * 2**16, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.ended.set()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    app = Served()
    config = uvicorn.Config(app, http=BoundedProtocol, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve([app.listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield app
    server.should_exit = True
    await running


async def test_a_client_that_takes_nothing_is_cut_off(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "TAKEN_WITHIN_S", 0.3)
    _, writer = await asyncio.open_connection(*served.listener.getsockname(), limit=2**12)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        await served.ended.wait()
    writer.close()


async def test_a_client_that_takes_its_time_gets_everything(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time that it takes something, the timer that would cut it off is taken back."""
    timers: list[asyncio.TimerHandle] = []
    pause = BoundedProtocol.pause_writing

    def paused(self: BoundedProtocol) -> None:
        pause(self)
        assert self._taken_timer is not None
        timers.append(self._taken_timer)

    monkeypatch.setattr(BoundedProtocol, "pause_writing", paused)
    reader, writer = await asyncio.open_connection(*served.listener.getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    got = 0
    async with asyncio.timeout(60):
        await reader.readuntil(b"\r\n\r\n")
        while got < SIZE:
            chunk = await reader.read(2**20)
            assert chunk
            got += len(chunk)
            if got % 7 == 0:
                await asyncio.sleep(0.01)
    assert got == SIZE
    assert len(timers) > 1
    assert all(timer.cancelled() for timer in timers)
    writer.close()
