"""Documents of tenants: text in, records out, and back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tenantry.documents.adding import Adding, Progress, check_all, delete_chunks, list_chunks
from tenantry.documents.check import (
    DOCUMENT_FIELD,
    NUMBER_FIELD,
    RESERVED,
    TEXT_FIELD,
    check_query_text,
    is_chunk,
)
from tenantry.documents.ids import document_key
from tenantry.documents.models import Models
from tenantry.documents.shapes import AddReport, Document, TextHit, TextScatterResult
from tenantry.documents.turns import Turns
from tenantry.errors import DeadlineExceeded, InvalidArgument, NotFound
from tenantry.model.filters import And, Compare, Filter, Op
from tenantry.model.limits import check_count, check_ids, check_tenant_name
from tenantry.model.records import Hit, Query, Vector
from tenantry.ports import Catalog, Embedder
from tenantry.router.admission import patient
from tenantry.router.router import Router
from tenantry.router.scatter import Options, Scatter, ScatterResult

__all__ = ["AddReport", "Document", "DocumentStore", "TextHit", "TextScatterResult"]

#: A search whose time is nearly over gets that much all the same, seconds.
LEAST_S = 0.001
_IS_CHUNK = And((Compare(TEXT_FIELD, Op.EXISTS, True), Compare(DOCUMENT_FIELD, Op.EXISTS, True)))


class DocumentStore:
    """Works on any tenant, through the router alone, so on any backend.

    All methods raise what `Router` raises, and Refused when the index (or tenant) has no embedder, or one whose
    model or dimension is not that of the vectors that are there. Errors of the embedder come as they are.
    """

    def __init__(self, catalog: Catalog, router: Router, scatter: Scatter, embedder: Callable[[str], Embedder]) -> None:
        self._router = router
        self._scatter = scatter
        self._models = Models(catalog, router, embedder)
        self._turns = Turns()

    async def add(
        self,
        index: str,
        tenant: str,
        documents: Iterable[Document | Mapping[str, Any]],
        progress: Progress | None = None,
    ) -> AddReport:
        """Chunk, embed and store. Unchanged documents cost neither an embedding nor a write; changed ones (text or
        metadata) get their new chunks first and lose the stale ones then, so that a search always finds them.

        A list is checked whole before anything changes; an iterator of any length is taken in windows of bounded
        memory. Repeatable: after an error or a crash, adding the same documents again completes them. Of writers of
        the same document in this process, the one that finishes last stays; in several processes, chunks of two
        versions may stay until the document is added again.

        Args:
            progress: called with the number of documents that were finished since the last call.

        The tenant's requests per second slow it down, and do not refuse it.

        Raises:
            InvalidArgument, TooLarge: a document is wrong; the message names its place and field.
            QuotaExceeded: the tenant's plan has no room for the next batch; what was written before stays.
            Conflict: others changed the document over and over meanwhile.
        """
        check_tenant_name(tenant, self._router.limits)
        binding = await self._models.of(index, tenant)
        checked = await check_all(documents, self._router)
        await self._check_writable(index, tenant)
        adding = Adding(self._router, self._models, self._turns, (index, tenant), binding, progress)
        slowed = patient.set(True)
        try:
            return await adding.run(checked)
        finally:
            patient.reset(slowed)

    async def search(
        self, index: str, tenant: str, text: str, top_k: int = 10, filter: Filter | None = None
    ) -> list[TextHit]:
        """The chunks nearest in meaning, best first. Vectors that are no chunks of documents are passed over."""
        check_query_text(text)
        check_count(top_k, "top_k", 1, self._router.limits.top_k)
        await self._router.resolver.route(index, tenant)
        binding = await self._models.of(index, tenant)
        vector = await _embed_one(binding.embedder, text)
        hits = await self._router.query(index, tenant, _query(vector, top_k, filter))
        if not all(is_chunk(hit) for hit in hits):
            hits = await self._router.query(index, tenant, _query(vector, top_k, _chunks_only(filter)))
        return [_text_hit(hit) for hit in hits if is_chunk(hit)]

    async def search_all(
        self,
        index: str,
        text: str,
        top_k: int = 10,
        filter: Filter | None = None,
        tenants: Sequence[str] | None = None,
        deadline_s: float | None = None,
        options: Options = Options(),
    ) -> TextScatterResult:
        """As `search`, over chosen tenants or all active ones; see `Scatter.search`.

        The deadline covers the embedding of the text too. Raises Refused when the tenants have different models, unless
        ``options.by_model``: then the text is embedded with each, and each has hits of its own.
        """
        check_query_text(text)
        check_count(top_k, "top_k", 1, self._router.limits.top_k)
        loop = asyncio.get_running_loop()
        started = loop.time()
        if options.by_model:
            chosen = await self._models.groups(index, tenants)
        else:
            chosen = {"": (await self._models.of_many(index, tenants), tenants)}
        until = None if deadline_s is None else started + deadline_s
        plain = msgspec.structs.replace(options, by_model=False, bound=repr((text, filter)))
        if options.by_model:
            plain = msgspec.structs.replace(plain, max_lag_s=0.0)
        if options.by_model and options.cursor is not None:
            raise InvalidArgument("cursor", options.cursor, "no cursor with by_model: its groups have no common order")
        passes = await asyncio.gather(
            *(
                self._search_all(index, embedder, text, (top_k, filter), of, (until, deadline_s), plain)
                for embedder, of in chosen.values()
            )
        )
        took_ms = (loop.time() - started) * 1_000
        if not options.by_model:
            return _text_result(passes[0], took_ms)
        missing = {shard: reason for one in passes for shard, reason in one.missing_shards.items()}
        return TextScatterResult(
            hits=[],
            partial=bool(missing),
            missing_shards=missing,
            shards_asked=len({timing.shard for one in passes for timing in one.shards}),
            tenants_asked=sum(one.tenants_asked for one in passes),
            took_ms=took_ms,
            exact=all(one.exact for one in passes),
            shards=tuple(timing for one in passes for timing in one.shards),
            groups=tuple((model, _texts(one)) for model, one in zip(chosen, passes, strict=True)),
            cached=all(one.cached for one in passes),
            why_shards="each model is to be searched for itself" if any(one.why_shards for one in passes) else "",
        )

    async def _search_all(
        self,
        index: str,
        embedder: Embedder,
        text: str,
        what: tuple[int, Filter | None],
        tenants: Sequence[str] | None,
        limit: tuple[float | None, float | None],
        options: Options,
    ) -> ScatterResult:
        """Over tenants of one model. Pages after the first look at chunks only, so that their depth counts the same."""
        (top_k, filter), (until, deadline_s) = what, limit
        try:
            async with asyncio.timeout_at(until):
                vector = await _embed_one(embedder, text)
        except TimeoutError as late:
            raise DeadlineExceeded(f"embedding the text took over {deadline_s:g} s") from late
        if options.cursor is None:
            found = await self._scatter.search(index, _query(vector, top_k, filter), tenants, _left(until), options)
            if all(is_chunk(one.hit) for one in found.hits):
                return found
        query = _query(vector, top_k, _chunks_only(filter))
        return await self._scatter.search(index, query, tenants, _left(until), options)

    async def delete(self, index: str, tenant: str, ids: Sequence[str]) -> None:
        """Delete documents with all of their chunks; ids that name none are passed over. Up to 1,000 at once."""
        limits = self._router.limits
        wanted = check_ids(ids, "ids", limits.batch_records, limits)
        await self._check_writable(index, tenant, must_exist=True)
        for id in wanted:
            key = document_key(id)
            turn = self._turns.take(index, tenant, key)
            try:
                async with turn.lock:
                    present = await list_chunks(self._router, index, tenant, key)
                    try:
                        await delete_chunks(self._router, index, tenant, sorted(present))
                    finally:
                        turn.finished()
            finally:
                turn.leave()

    async def aclose(self) -> None:
        """Nothing to close: embedders belong to whoever made them."""

    async def _check_writable(self, index: str, tenant: str, must_exist: bool = False) -> None:
        """Refuse before anything is embedded what the first write would refuse."""
        try:
            route = await self._router.resolver.route(index, tenant)
        except NotFound as missing:
            logical = await self._router.pool.index(index)
            if must_exist or missing.kind != "tenant" or not logical.auto_create:
                raise
            return
        self._router.pool.check_writable(index, route.place.shard)


async def _embed_one(embedder: Embedder, text: str) -> Vector:
    [vector] = await embedder.embed([text])
    return vector


def _left(until: float | None) -> float | None:
    """Seconds until then, a little at least."""
    return None if until is None else max(LEAST_S, until - asyncio.get_running_loop().time())


def _texts(found: ScatterResult) -> list[TextHit]:
    return [_text_hit(one.hit, one.tenant) for one in found.hits if is_chunk(one.hit)]


def _text_result(found: ScatterResult, took_ms: float) -> TextScatterResult:
    return TextScatterResult(
        hits=_texts(found),
        partial=found.partial,
        missing_shards=found.missing_shards,
        shards_asked=found.shards_asked,
        tenants_asked=found.tenants_asked,
        took_ms=took_ms,
        exact=found.exact,
        cursor=found.cursor,
        shards=found.shards,
        cached=found.cached,
        source=found.source,
        lag_s=found.lag_s,
        why_shards=found.why_shards,
    )


def _query(vector: Vector, top_k: int, filter: Filter | None) -> Query:
    return Query(vector, top_k, filter, include_metadata=True)


def _chunks_only(filter: Filter | None) -> Filter:
    return _IS_CHUNK if filter is None else And((filter, _IS_CHUNK))


def _text_hit(hit: Hit, tenant: str | None = None) -> TextHit:
    stored: dict[str, Any] = dict(hit.metadata or {})
    return TextHit(
        document=stored[DOCUMENT_FIELD],
        chunk=int(stored[NUMBER_FIELD]),
        text=stored[TEXT_FIELD],
        score=hit.score,
        metadata={name: value for name, value in stored.items() if not name.startswith(RESERVED)},
        tenant=tenant,
    )
