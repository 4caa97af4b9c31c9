"""A client that closes its connection ends the search that it asked for; over a real socket."""

import asyncio
import json

import pytest
import uvicorn

from tenantry.gateway.app import build_app
from tenantry.gateway.protocol import BoundedProtocol
from tenantry.gateway.serve import bind

SEARCH = "/v1/indexes/default/search"


@pytest.fixture
async def port(lab):
    app = build_app(lab.cluster, open_access=True)
    config = uvicorn.Config(app, http=BoundedProtocol, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    server.capture_signals = __import__("contextlib").nullcontext  # type: ignore[method-assign]
    listener = bind("127.0.0.1", 0, loopback_only=True)
    serving = asyncio.create_task(server.serve([listener]))
    yield listener.getsockname()[1]
    server.should_exit = True
    await serving
    listener.close()


async def ask(port, path, body):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    raw = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(raw)}\r\n\r\n"
    writer.write(head.encode() + raw)
    await writer.drain()
    return reader, writer


async def test_a_search_ends_with_its_client(lab, port):
    for i in range(12):
        await lab.cluster.tenant(f"t{i}").upsert([("a", [1.0, i])])
    for backend in lab.backends.values():
        backend.gate.clear()
        backend.calls.clear()
    _, writer = await ask(port, SEARCH, {"vector": [1, 0], "deadline_s": 50})
    async with asyncio.timeout(10):
        while not all("query" in backend.calls for backend in lab.backends.values()):
            await asyncio.sleep(0.001)
    assert lab.cluster.router.inflight._held
    writer.close()
    async with asyncio.timeout(5):
        while lab.cluster.router.inflight._held:
            await asyncio.sleep(0.001)
    asked = sum(len(backend.calls) for backend in lab.backends.values())
    for backend in lab.backends.values():
        backend.gate.set()
    await lab.cluster.scatter.aclose()
    assert sum(len(backend.calls) for backend in lab.backends.values()) == asked  # no tenant was asked after that
    assert set(lab.cluster.scatter.breakers("default").values()) == {"closed"}


async def test_one_who_stays_is_answered(lab, port):
    await lab.cluster.tenant("acme").upsert([("a", [1.0, 0.5], {"k": 1}), ("b", [0.5, 1.0])])
    for body, ids in (({"top_k": 1}, ["a"]), ({"top_k": 1, "cursor": None}, ["b"])):
        if "cursor" in body:
            body["cursor"] = answer["cursor"]  # noqa: F821 - of the round before
        reader, writer = await ask(port, SEARCH, {"vector": [1, 0], **body})
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert " 200 " in head
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        answer = json.loads(await reader.readexactly(length))
        assert [hit["id"] for hit in answer["hits"]] == ids
        assert answer["exact"]
        assert answer["shards"][0]["outcome"] == "ok"
        writer.close()
