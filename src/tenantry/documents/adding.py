"""One call that adds documents: look, embed what is missing, write it, then remove what is stale."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from tenantry.documents import ids
from tenantry.documents.check import TEXT_FIELD, Checked, check_document, chunk_metadata
from tenantry.documents.chunk import chunk_text
from tenantry.documents.models import Binding, Models
from tenantry.documents.shapes import AddReport, Document
from tenantry.documents.turns import Turn, Turns
from tenantry.errors import Conflict, InvalidArgument, NotFound
from tenantry.model.limits import batches
from tenantry.model.records import ByIds, Record, Vector
from tenantry.router.router import Router

T = TypeVar("T")
R = TypeVar("R")
Progress = Callable[[int], None]

#: How much is held in memory at once, whatever the length of the input.
WINDOW_DOCUMENTS = 256
WINDOW_CHARS = 2_000_000
BATCH_CHUNKS = 512
VECTOR_CACHE_BYTES = 16 * 2**20
#: Texts above this are cut into chunks in a thread, so that the event loop stays free.
CHARS_ON_LOOP = 200_000
LISTINGS_AT_ONCE = 8
#: Times that a document is begun anew because other writers of it finished in between.
MAX_TRIES = 5


class Job:
    """One document on its way: the chunks that it should have, and those that are there."""

    def __init__(self, document: Checked, turn: Turn, tries: int) -> None:
        self.document = document
        self.turn = turn
        self.tries = tries
        pieces = [(n, text) for n, text in enumerate(chunk_text(document.text)) if text.strip()]
        hashed = ids.metadata_hash(document.metadata)
        self.chunks = {ids.chunk_id(document.key, n, ids.text_hash(text), hashed): (n, text) for n, text in pieces}
        self.present: set[str] = set()
        self.unwritten = 0
        self._by_text: dict[str, str] | None = None

    @property
    def missing(self) -> list[str]:
        """Ids of chunks that are to be written."""
        return [id for id in self.chunks if id not in self.present]

    def former(self, text: str) -> str | None:
        """Id of a chunk that is there with the same text, under other metadata or in another place."""
        if self._by_text is None:
            named = ((ids.parse_chunk_id(id), id) for id in self.present)
            self._by_text = {name.text_hash: id for name, id in named if name is not None}
        return self._by_text.get(ids.text_hash(text)) if self._by_text else None


class Adding:
    """The work of one call. Memory is bounded by the window, not by the number of documents."""

    def __init__(
        self,
        router: Router,
        models: Models,
        turns: Turns,
        place: tuple[str, str],
        binding: Binding,
        progress: Progress | None = None,
    ) -> None:
        self._router = router
        self._models = models
        self._turns = turns
        self._index, self._tenant = place
        self._binding = binding
        self._progress = progress or (lambda _: None)
        self._may_be_small = True
        self._recorded = binding.recorded
        self._open: set[Job] = set()
        self._again: list[Job] = []
        self._vectors: OrderedDict[str, Vector] = OrderedDict()
        self._counts = dict.fromkeys(AddReport.__struct_fields__, 0)

    async def run(self, documents: Iterable[Checked]) -> AddReport:
        """Add them all. What an error interrupts is repaired by adding the same documents again."""
        writing: asyncio.Task[None] | None = None
        try:
            waiting: list[tuple[Job, str]] = []
            for window in _windows(documents):
                for job in await self._plan(window, 1):
                    waiting += [(job, id) for id in job.missing]
                while len(waiting) >= BATCH_CHUNKS:
                    writing = await self._step(waiting[:BATCH_CHUNKS], writing)
                    waiting = waiting[BATCH_CHUNKS:]
            while waiting or writing or self._again:
                if waiting:
                    writing = await self._step(waiting[:BATCH_CHUNKS], writing)
                    waiting = waiting[BATCH_CHUNKS:]
                elif writing is not None:
                    task, writing = writing, None
                    await task
                else:
                    waiting = await self._begin_anew()
        except BaseException:
            if writing is not None:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)
            raise
        finally:
            for job in self._open:
                job.turn.leave()
        return AddReport(**self._counts)

    async def _step(self, batch: list[tuple[Job, str]], writing: asyncio.Task[None] | None) -> asyncio.Task[None]:
        """Embed a batch while the one before it is written, then begin to write it."""
        try:
            records = await self._records(batch)
        except Exception:
            if writing is not None:
                await writing  # what was embedded is kept; its own failure would be the earlier one
            raise
        if writing is not None:
            await writing
        return asyncio.create_task(self._write(batch, records))

    async def _plan(self, documents: Sequence[Checked], tries: int) -> list[Job]:
        """Look which chunks are there; documents that are unchanged are done with this."""
        turns = [self._turns.take(self._index, self._tenant, one.key) for one in documents]
        try:
            chars = sum(len(one.text) for one in documents)
            args = (documents, turns, tries)
            jobs = await asyncio.to_thread(_jobs, *args) if chars > CHARS_ON_LOOP else _jobs(*args)
        except BaseException:
            for turn in turns:
                turn.leave()
            raise
        self._open.update(jobs)
        await self._look(jobs)
        for job in jobs:
            job.unwritten = len(job.missing)
            if job.present == job.chunks.keys():
                self._done(job, "unchanged")
            elif job.unwritten == 0:
                await self._finish(job)
        return [job for job in jobs if job in self._open and job.unwritten]

    async def _look(self, jobs: list[Job]) -> None:
        """Fill in the chunks that are there: from one listing while the tenant is small, else by document."""
        by_key = {job.document.key: job for job in jobs}
        if self._may_be_small:
            try:
                page = await self._router.list_ids(self._index, self._tenant, None, self._router.limits.scan_page)
            except NotFound as missing:
                logical = await self._router.pool.index(self._index)
                if missing.kind != "tenant" or not logical.auto_create:
                    raise
                return
            if page.cursor is None:
                for id in page.ids:
                    name = ids.parse_chunk_id(id)
                    if name is not None and name.key in by_key:
                        by_key[name.key].present.add(id)
                return
            self._may_be_small = False

        async def look(job: Job) -> None:
            job.present = await list_chunks(self._router, self._index, self._tenant, job.document.key)

        await at_most(LISTINGS_AT_ONCE, look, jobs)

    async def _records(self, batch: list[tuple[Job, str]]) -> list[Record]:
        """The batch with its vectors: known ones of this call, stored ones of the same document, the rest embedded."""
        texts = {job.chunks[id][1] for job, id in batch}
        vectors = {text: self._vectors[text] for text in texts if text in self._vectors}
        vectors.update(await self._stored(batch, texts - vectors.keys()))
        wanted = [text for text in dict.fromkeys(job.chunks[id][1] for job, id in batch) if text not in vectors]
        if wanted:
            made = await self._binding.embedder.embed(wanted)
            vectors.update(zip(wanted, made, strict=True))
        self._keep(vectors)
        return [Record(id, vectors[text], chunk_metadata(job.document, n, text)) for job, id, n, text in _rows(batch)]

    async def _stored(self, batch: list[tuple[Job, str]], texts: set[str]) -> dict[str, Vector]:
        """Vectors of what is there with the same text, so that changed metadata cost no embedding."""
        former = {id: text for job, _, _, text in _rows(batch) if text in texts and (id := job.former(text))}
        found: dict[str, Vector] = {}
        for part in _parts(list(former), self._router.limits.fetch_ids):
            for id, record in (await self._router.fetch(self._index, self._tenant, part)).items():
                if (record.metadata or {}).get(TEXT_FIELD) == former[id]:
                    found[former[id]] = record.values
        return found

    def _keep(self, vectors: Mapping[str, Vector]) -> None:
        """Remember vectors for texts that come again later in the call, within a bound."""
        most = max(BATCH_CHUNKS, VECTOR_CACHE_BYTES // (4 * self._binding.embedder.dimension))
        for text, vector in vectors.items():
            self._vectors[text] = vector
            self._vectors.move_to_end(text)
        while len(self._vectors) > most:
            self._vectors.popitem(last=False)

    async def _write(self, batch: list[tuple[Job, str]], records: list[Record]) -> None:
        if not self._recorded:
            await self._models.record(self._index, self._binding)
            self._recorded = True
        for part in batches(records, self._router.limits):
            self._counts["chunks_written"] += await self._router.upsert(self._index, self._tenant, part)
        for job, _ in batch:
            job.unwritten -= 1
        for job in dict.fromkeys(job for job, _ in batch):
            if job.unwritten == 0:
                await self._finish(job)

    async def _finish(self, job: Job) -> None:
        """All of the document's chunks are written: remove what is there besides them."""
        async with job.turn.lock:
            if not job.turn.alone:
                after = await list_chunks(self._router, self._index, self._tenant, job.document.key)
                if not job.chunks.keys() <= after:
                    self._again.append(job)  # another writer removed some of them
                    return
                job.present = after
            stale = sorted(job.present - job.chunks.keys())
            try:
                await delete_chunks(self._router, self._index, self._tenant, stale)
            finally:
                job.turn.finished()
        self._counts["chunks_deleted"] += len(stale)
        self._done(job, "replaced" if job.present else "added")

    def _done(self, job: Job, outcome: str) -> None:
        job.turn.leave()
        self._open.discard(job)
        self._counts[outcome] += 1
        self._progress(1)

    async def _begin_anew(self) -> list[tuple[Job, str]]:
        """Plan the documents again that other writers changed in between."""
        former, self._again = self._again, []
        waiting: list[tuple[Job, str]] = []
        for job in former:
            if job.tries >= MAX_TRIES:
                raise Conflict(
                    f"document {job.document.id!r} of tenant {self._tenant!r} is being written by others at the same "
                    f"time; gave up after {MAX_TRIES} tries, add it again"
                )
            for planned in await self._plan([job.document], job.tries + 1):
                waiting += [(planned, id) for id in planned.missing]
            job.turn.leave()
            self._open.discard(job)
        return waiting


async def list_chunks(router: Router, index: str, tenant: str, key: str) -> set[str]:
    """Ids of the chunks of one document. Raises NotFound."""
    found: set[str] = set()
    cursor: str | None = None
    while True:
        page = await router.list_ids(index, tenant, cursor, router.limits.scan_page, key)
        found.update(id for id in page.ids if ids.parse_chunk_id(id) is not None)
        if page.cursor is None:
            return found
        cursor = page.cursor


async def delete_chunks(router: Router, index: str, tenant: str, chunk_ids: Sequence[str]) -> None:
    """Delete chunks by id, however many."""
    for part in _parts(chunk_ids, router.limits.batch_records):
        await router.delete(index, tenant, ByIds(tuple(part)))


async def at_most(count: int, act: Callable[[T], Awaitable[None]], items: Iterable[T]) -> None:
    """Do it for every item, ``count`` at a time; the first error ends it all."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await act(item)

    workers = [asyncio.ensure_future(worker()) for _ in range(count)]
    try:
        await asyncio.gather(*workers)
    finally:
        for one in workers:
            one.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def check_all(given: Iterable[Document | Mapping[str, Any]], router: Router) -> Iterable[Checked]:
    """The documents, checked: a list as a whole before anything changes, an iterator as it goes.

    An iterator may be endless for all we know; its documents are checked a window at a time, and an error names
    the one at which it stopped, with those before it added.
    """
    if isinstance(given, str | bytes | Mapping | Document) or not isinstance(given, Iterable):
        raise InvalidArgument("documents", given, "a list or another iterable of documents")
    if not isinstance(given, Sequence):
        return _checked(given, router)
    done: list[Checked] = []
    for one in _checked(given, router):
        done.append(one)
        if len(done) % WINDOW_DOCUMENTS == 0:
            await asyncio.sleep(0)  # lets others run; waits for nothing
    return done


def _checked(given: Iterable[Document | Mapping[str, Any]], router: Router) -> Iterator[Checked]:
    seen: set[str] = set()
    for number, one in enumerate(given):
        document = check_document(one, f"documents[{number}]", router.limits)
        if document.id in seen:
            raise InvalidArgument(f"documents[{number}].id", document.id, "ids that are unique within one call")
        seen.add(document.id)
        yield document


def _windows(documents: Iterable[Checked]) -> Iterator[list[Checked]]:
    window: list[Checked] = []
    chars = 0
    for document in documents:
        window.append(document)
        chars += len(document.text)
        if len(window) >= WINDOW_DOCUMENTS or chars >= WINDOW_CHARS:
            yield window
            window, chars = [], 0
    if window:
        yield window


def _jobs(documents: Sequence[Checked], turns: Sequence[Turn], tries: int) -> list[Job]:
    return [Job(one, turn, tries) for one, turn in zip(documents, turns, strict=True)]


def _rows(batch: list[tuple[Job, str]]) -> Iterator[tuple[Job, str, int, str]]:
    for job, id in batch:
        yield (job, id, *job.chunks[id])


def _parts(items: Sequence[R], size: int) -> Iterator[Sequence[R]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
