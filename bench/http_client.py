"""A raw HTTP/1.1 client that costs next to nothing, so that it is the server that is measured."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Sequence

BUFFER = 1 << 18
DONE = b"200"


def post(path: str, body: bytes, key: str) -> bytes:
    """A whole request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: */*\r\n"
        f"User-Agent: bench\r\nApi-Key: {key}\r\nX-Pinecone-Api-Version: 2025-10\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """One kept-alive connection, one request at a time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._have = b""
        self._wanted = -1

    def ask(self, request: bytes) -> bytes:
        """Send, and wait for the whole answer; its body."""
        self.socket.sendall(request)
        while (body := self.read()) is None:
            pass
        return body

    def read(self) -> bytes | None:
        """What came meanwhile; the body once it is whole. Raises RuntimeError for any status but 200."""
        got = self.socket.recv(BUFFER)
        if not got:
            raise RuntimeError("the server closed the connection")
        self._have = self._have + got if self._have else got
        if self._wanted < 0:
            head, separator, _ = self._have.partition(b"\r\n\r\n")
            if not separator:
                return None
            if head[9:12] != DONE:
                raise RuntimeError(f"the server answered {self._have[:2000]!r}")
            at = head.lower().index(b"content-length:") + 15
            self._wanted = len(head) + 4 + int(head[at:].split(b"\r\n", 1)[0])
        if len(self._have) < self._wanted:
            return None
        body = self._have[self._have.index(b"\r\n\r\n") + 4 : self._wanted]
        self._have, self._wanted = b"", -1
        return body

    def close(self) -> None:
        self.socket.close()


def throughput(ports: Sequence[int], requests: Sequence[bytes], connections: int, seconds: float) -> float:
    """Answers a second over so many connections, spread over the ports, each with one request in flight."""
    selector = selectors.DefaultSelector()
    opened = [Connection(ports[number % len(ports)]) for number in range(connections)]
    sent = done = 0
    for one in opened:
        selector.register(one.socket, selectors.EVENT_READ, one)
        one.socket.sendall(requests[sent % len(requests)])
        sent += 1
    begun = time.perf_counter()
    end = begun + seconds
    while (now := time.perf_counter()) < end:
        for key, _ in selector.select(1.0):
            connection: Connection = key.data
            if connection.read() is not None:
                done += 1
                connection.socket.sendall(requests[sent % len(requests)])
                sent += 1
    rate = done / (now - begun)
    for one in opened:
        one.close()
    selector.close()
    return rate


def query_body(vector: Sequence[float], tenant: str, top_k: int) -> bytes:
    """A query as Pinecone's SDK sends it; numbers as an embedding service gives them."""
    numbers = [round(float(value), 8) for value in vector]
    asked = {"topK": top_k, "includeValues": False, "includeMetadata": True, "namespace": tenant, "vector": numbers}
    return json.dumps(asked, separators=(",", ":")).encode()
