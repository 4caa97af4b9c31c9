"""Documents of tenants: text in, records out, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tenantry.model.filters import Filter
from tenantry.ports import Catalog, Embedder
from tenantry.router.router import Router
from tenantry.router.scatter import Scatter


class Document(msgspec.Struct, frozen=True):
    """A text with a name of its own within its tenant. ``metadata`` is flat, as a record's."""

    id: str
    text: str
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class AddReport(msgspec.Struct, frozen=True):
    """What adding documents did: documents by outcome, and chunks written and removed."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    chunks_written: int = 0
    chunks_deleted: int = 0


class TextHit(msgspec.Struct, frozen=True):
    """A chunk that answers a search."""

    document: str
    chunk: int
    text: str
    score: float
    metadata: dict[str, Any]
    tenant: str | None = None


class TextScatterResult(msgspec.Struct, frozen=True):
    """As `ScatterResult`, with texts."""

    hits: list[TextHit]
    partial: bool
    missing_shards: dict[str, str]
    shards_asked: int
    tenants_asked: int
    took_ms: float


class DocumentStore:
    """Works on any tenant."""

    def __init__(self, catalog: Catalog, router: Router, scatter: Scatter, embedder: Callable[[str], Embedder]) -> None:
        self._catalog = catalog
        self._router = router
        self._scatter = scatter
        self._embedder = embedder

    async def add(self, index: str, tenant: str, documents: Iterable[Document | Mapping[str, Any]]) -> AddReport: ...

    async def search(
        self, index: str, tenant: str, text: str, top_k: int = 10, filter: Filter | None = None
    ) -> list[TextHit]: ...

    async def search_all(
        self,
        index: str,
        text: str,
        top_k: int = 10,
        filter: Filter | None = None,
        tenants: Sequence[str] | None = None,
        deadline_s: float | None = None,
    ) -> TextScatterResult: ...

    async def delete(self, index: str, tenant: str, ids: Sequence[str]) -> None: ...

    async def aclose(self) -> None: ...
