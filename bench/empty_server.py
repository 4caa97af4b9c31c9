"""The least that a server of queries must do: parse the same body, answer as many bytes.

``python -m bench.empty_server FD BYTES`` serves on the listening socket FD, with answers of BYTES.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import msgspec
import uvicorn

from tenantry.gateway.pinecone.wire import QueryRequest
from tenantry.gateway.protocol import BoundedProtocol
from tenantry.gateway.serve import BACKLOG, KEEP_ALIVE_S, loop_factory


def app(size: int) -> Any:
    decode = msgspec.json.Decoder(QueryRequest).decode
    answer = b"x" * size
    head = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(size).encode())],
    }
    whole = {"type": "http.response.body", "body": answer}

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        chunks = []
        more = True
        while more:
            message = await receive()
            chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
        asked = decode(b"".join(chunks))
        assert asked.vector
        await send(head)
        await send(whole)

    return handle


def main(descriptor: int, size: int) -> None:
    listener = socket.socket(fileno=descriptor)
    config = uvicorn.Config(
        app(size),
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(uvicorn.Server(config).serve([listener]))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
