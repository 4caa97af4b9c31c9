"""Chroma's HTTP interface (``/api/v2``), as far as a shard needs it.

Not by Chroma's own Python client: all its asynchronous clients of one event loop share one HTTP session, with the
headers of the first, so that one server would be sent the token of another; it does not check certificates unless told
to; and it waits without limit.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import numpy as np

from tenantry.errors import (
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    RateLimited,
    Refused,
    TooLarge,
    Unavailable,
)
from tenantry.model.records import Vector

RETRY_AFTER_S = 1.0


class Answer(msgspec.Struct):
    """Of ``get``: columns of equal length; those that were not asked for are None."""

    ids: list[str]
    embeddings: list[list[float]] | None = None
    metadatas: list[dict[str, Any] | None] | None = None
    documents: list[str | None] | None = None
    uris: list[str | None] | None = None


class Answers(msgspec.Struct):
    """Of ``query``: an `Answer` for each question, of which there is one."""

    ids: list[list[str]]
    distances: list[list[float]]
    embeddings: list[list[list[float]]] | None = None
    metadatas: list[list[dict[str, Any] | None]] | None = None
    documents: list[list[str | None]] | None = None
    uris: list[list[str | None]] | None = None


class CollectionInfo(msgspec.Struct):
    """One collection."""

    id: str
    name: str
    metadata: dict[str, Any] | None = None
    dimension: int | None = None
    configuration_json: Any = None

    @property
    def space(self) -> str | None:
        """Of its index: ``l2``, ``cosine`` or ``ip``."""
        kinds = self.configuration_json if isinstance(self.configuration_json, dict) else {}
        return next((kind["space"] for kind in kinds.values() if isinstance(kind, dict) and "space" in kind), None)


_encode = msgspec.json.encode
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def packed(vector: Vector) -> str:
    """A vector as Chroma takes it: float32, little-endian, in base64."""
    return base64.b64encode(np.ascontiguousarray(vector, dtype="<f4").tobytes()).decode()


class Client:
    """Sends requests and reads answers; what goes wrong comes out as an error of Tenantry."""

    def __init__(
        self, url: str, tenant: str, database: str, headers: dict[str, str], connections: int, request_s: float
    ) -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL("")
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise InvalidArgument("options.url", url, "http://host:port or https://host:port")
        if parsed.userinfo:
            raise InvalidArgument("options.url", "one with a password", "the option token_env or token_file")
        self.where = f"Chroma at {parsed.host}:{parsed.port or {'http': 80, 'https': 443}[parsed.scheme]}"
        self._base = f"/api/v2/tenants/{quote(tenant, safe='')}/databases/{quote(database, safe='')}"
        self._http = httpx.AsyncClient(
            base_url=parsed,
            headers={"content-type": "application/json", **headers},
            timeout=request_s,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    async def aclose(self) -> None:
        """Close connections; safe to call twice."""
        await self._http.aclose()

    async def call(self, method: str, path: str, kind: Any, body: Any = None, namespace: str = "") -> Any:
        """One request below the database, its answer as ``kind``."""
        content = None if body is None else _encode(body)
        try:
            answer = await self._http.request(method, self._base + path, content=content)
        except httpx.TimeoutException as error:
            raise DeadlineExceeded(f"{self.where}: no answer within the shard's request_s") from error
        except (httpx.HTTPError, OSError) as error:
            raise Unavailable(f"{self.where} is unavailable: {error or type(error).__name__}") from error
        except RuntimeError as error:  # httpx says so of a closed client
            raise Unavailable(f"{self.where}: closed") from error
        if answer.status_code >= 300:
            raise self._error_of(answer, namespace)
        if kind not in _decoders:
            _decoders[kind] = msgspec.json.Decoder(kind)
        try:
            return _decoders[kind].decode(answer.content)
        except msgspec.DecodeError as error:
            raise Unavailable(f"{self.where} does not answer as Chroma 1.0 or newer does: {error}") from error

    def _error_of(self, answer: httpx.Response, namespace: str) -> Exception:
        status = answer.status_code
        try:
            said = str(msgspec.json.decode(answer.content).get("message", ""))[:500]
        except (msgspec.DecodeError, AttributeError):
            said = answer.text[:200]
        message = f"{self.where} answered {status}: {said}"
        if status == 404:
            return NotFound("namespace", namespace) if namespace else Refused(message)
        if status == 429:
            return RateLimited(message, retry_after_s=_seconds(answer.headers.get("retry-after")))
        if status in (401, 403):
            return Unavailable(f"{message}; the login is refused: see the options token_env and token_file")
        if status == 413:
            return TooLarge("vectors", said, "less at once")
        if status >= 500:
            return Unavailable(message)
        return Refused(message)


def _seconds(given: str | None) -> float:
    try:
        return max(0.0, float(given)) if given else RETRY_AFTER_S
    except ValueError:
        return RETRY_AFTER_S
