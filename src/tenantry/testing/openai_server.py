"""A small server that speaks OpenAI's embeddings API, with faults on demand; for tests, offline.

It checks what OpenAI checks (key, model, number and size of inputs, ``dimensions``) and answers with vectors made
from a hash of the text, as floats or base64, whichever the client asks for.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
import time
from collections import deque
from hashlib import blake2b
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tenantry.model.records import Vector

#: Model to its native dimension.
MODELS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536, "tiny": 8}
MOST_INPUTS = 2_048
MOST_TOKENS = 300_000
BACKLOG = 128


class Fault(msgspec.Struct, frozen=True):
    """What goes wrong with one request.

    ``kind`` is ``status`` (answers ``status``, with Retry-After if given), ``hang`` (never answers),
    ``missing`` (one vector too few), ``shuffled`` (right, but in reverse order), ``short`` (one number too few in
    each vector), ``nan``, ``garbage`` (not JSON) or ``hangup`` (the connection breaks).
    """

    kind: str
    status: int = 500
    retry_after: str | None = None
    code: str | None = None


class Seen(msgspec.Struct, frozen=True):
    """One request as it came: when (monotonic seconds), its JSON body and its Authorization header."""

    at: float
    body: dict[str, Any]
    authorization: str

    @property
    def inputs(self) -> list[str]:
        """The texts."""
        given = self.body["input"]
        return [given] if isinstance(given, str) else given


class OpenAIServer:
    """Use as a context manager: it listens on a free port of the loopback, in a thread of its own.

    Attributes:
        key: the one that is accepted; None accepts any.
        faults: one is taken for each request, first first; an empty queue means no fault.
        seen: every request, in order.
        always: the fault of every request while it is set, before any of ``faults``.
        send_floats: answer with lists of numbers even when base64 is asked for, as many servers do.
    """

    def __init__(self, key: str | None = "sk-test") -> None:
        self.faults: deque[Fault] = deque()
        self.seen: list[Seen] = []
        self.key = key
        self.always: Fault | None = None
        self.send_floats = False
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        # Listening from here on: a client that connects before the thread has started waits in the backlog.
        self._socket.listen(BACKLOG)
        app = Starlette(routes=[Route("/v1/embeddings", self._embeddings, methods=["POST"])])
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", lifespan="off", access_log=False, timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(target=self._serve, name="openai-server", daemon=True)

    def reset(self, key: str | None) -> None:
        """Forget what was seen and scripted."""
        self.key, self.always, self.send_floats = key, None, False
        self.faults.clear()
        self.seen.clear()

    @property
    def url(self) -> str:
        """For ``base_url``."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    async def _embeddings(self, request: Request) -> Response:
        body = await request.json()
        authorization = request.headers.get("authorization", "")
        self.seen.append(Seen(time.monotonic(), body, authorization))
        fault = self.always or (self.faults.popleft() if self.faults else None)
        if self.key is not None and authorization != f"Bearer {self.key}":
            # The real one shows the key, shortened; this one is worse on purpose.
            return _error(401, f"Incorrect API key provided: {authorization}", "invalid_api_key")
        refused = _refused(body)
        if refused is not None:
            return refused
        if fault is not None and fault.kind == "status":
            headers = {} if fault.retry_after is None else {"retry-after": fault.retry_after}
            return _error(fault.status, "as scripted", fault.code, headers)
        if fault is not None and fault.kind == "hang":
            await _client_gone(request)
        if fault is not None and fault.kind == "hangup":
            raise ConnectionAbortedError("as scripted")
        if fault is not None and fault.kind == "garbage":
            return Response("<html>not an API</html>", media_type="application/json")
        return JSONResponse(self._answer(body, fault.kind if fault is not None else ""))

    def _answer(self, body: dict[str, Any], fault: str) -> dict[str, Any]:
        given = body["input"]
        texts = [given] if isinstance(given, str) else given
        dimension = body.get("dimensions") or MODELS[body["model"]]
        data: list[dict[str, Any]] = []
        for place, text in enumerate(texts):
            vector = vector_of(text, dimension)
            if fault == "short":
                vector = vector[:-1]
            if fault == "nan":
                vector[0] = np.nan
            encoded: Any = vector.tolist()
            if body.get("encoding_format") == "base64" and not self.send_floats:
                encoded = base64.b64encode(vector.astype("<f4").tobytes()).decode()
            data.append({"object": "embedding", "index": place, "embedding": encoded})
        if fault == "missing":
            data.pop()
        if fault == "shuffled":
            data.reverse()
        tokens = sum(map(_tokens, texts))
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "model": body["model"], "data": data, "usage": usage}


def vector_of(text: str, dimension: int) -> Vector:
    """The vector that this server gives a text: of length 1, the same every time."""
    seed = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
    vector = np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def _refused(body: dict[str, Any]) -> Response | None:
    """What OpenAI refuses."""
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    native = MODELS.get(body.get("model", ""))
    if native is None:
        return _error(404, f"The model `{body.get('model')}` does not exist", "model_not_found")
    if not isinstance(texts, list) or not texts or not all(isinstance(one, str) and one for one in texts):
        return _error(400, "'$.input' is invalid", None)
    if len(texts) > MOST_INPUTS:
        return _error(400, f"'$.input' is too long: at most {MOST_INPUTS}", None)
    if sum(map(_tokens, texts)) > MOST_TOKENS:
        return _error(400, f"Requested more than {MOST_TOKENS} tokens", "max_tokens_per_request")
    asked = body.get("dimensions")
    if asked is not None and (not str(body["model"]).startswith("text-embedding-3") or not 1 <= asked <= native):
        return _error(400, "This model does not support specifying dimensions", None)
    return None


def _tokens(text: str) -> int:
    """A token per byte: the worst that a tokeniser can do."""
    return len(text.encode())


def _error(status: int, message: str, code: str | None, headers: dict[str, str] | None = None) -> Response:
    content = json.dumps({"error": {"message": message, "type": "error", "param": None, "code": code}})
    return Response(content, status, headers, "application/json")


async def _client_gone(request: Request) -> None:
    """Wait until the client hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
