"""What a vector store must do: a shard, a namespace on it, and what some can do besides."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from tenantry.model.blocks import Block
from tenantry.model.records import (
    CopiedPage,
    Found,
    Hit,
    IdPage,
    NamespaceStats,
    Page,
    Query,
    Record,
    Selector,
    Update,
)


class Features(msgspec.Struct, frozen=True):
    """What a backend can do; code branches on these, never on a backend's type.

    Attributes:
        filters: queries and deletes take metadata filters.
        atomic_update: `Index.update` cannot lose a concurrent write of the same record.
        read_your_writes: a read that starts after a write's acknowledgement sees it.
        exact_counts: `VectorBackend.stats` is exact at any moment.
        many_namespace_query: one call can search several namespaces, and is quicker than as many calls: the backend is
            `ManyNamespaces`.
        sparse: sparse values are stored and searched.
        visible_s: longest time after the acknowledgement of a write until every kind of read (fetch, query, scan)
            shows it, seconds; 0 with `read_your_writes`.
        native_copy: backends where this is the same, and not empty, take records over from each other by their
            engine's own means: their handles are `NativeCopy`.
        exact_values: vectors come back bit for bit; else within `tenantry.model.records.CLOSE` of their length, as
            engines give them back that keep vectors at length 1.
        in_process: the engine computes in this process, so asking it a second time while it is busy helps nobody.
        tells_missing: a namespace that is not there is told from an empty one.
        reads_at_once: reads that are worth having in hand at once in one process; more only wait for each other.
        warms: queries are slower until the engine has loaded and indexed what was written: its handles are `Warming`.
        snapshots: a namespace can be read as it is at one moment: its handles are `Snapshotting`.
        loads: many records are written sooner in columns than one by one: its handles are `Loading`.
    """

    filters: bool = True
    atomic_update: bool = False
    read_your_writes: bool = False
    exact_counts: bool = False
    many_namespace_query: bool = False
    sparse: bool = False
    visible_s: float = 0.0
    native_copy: str = ""
    warms: bool = False
    exact_values: bool = True
    snapshots: bool = False
    loads: bool = False
    in_process: bool = False
    reads_at_once: int = 1_024
    tells_missing: bool = True


class Index(Protocol):
    """One physical namespace on one shard. All raise NotFound (kind ``namespace``) when it is not there."""

    async def upsert(self, records: Sequence[Record]) -> None:
        """Write the records, replacing those of the same id; durable when it returns. All or nothing
        where the engine has transactions. Ids within one call are unique (the router checks)."""

    async def update(self, update: Update) -> bool:
        """Apply a partial change; False (and no change) when no record has that id."""

    async def delete(self, selector: Selector) -> None:
        """Delete what the selector names; nothing to delete is success."""

    async def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """The records with these ids; absent ids are left out."""

    async def query(self, query: Query) -> list[Hit]:
        """At most ``top_k`` nearest records, best first, ties by id."""

    async def scan(self, cursor: str | None, limit: int, prefix: str = "") -> Page:
        """Records with ids after ``cursor`` (an id, exclusive; None: from the start), ascending by id.
        A record that exists throughout a whole scan is seen exactly once, whatever is written meanwhile."""

    async def list_ids(self, cursor: str | None, limit: int, prefix: str = "") -> IdPage:
        """As `scan`, ids only."""


class NativeCopy(Protocol):
    """What the handles of a backend with ``Features.native_copy`` can do besides."""

    async def copy_page(self, source: Index, cursor: str | None, limit: int, spared: Collection[str]) -> CopiedPage:
        """Write the next at most ``limit`` records of ``source`` after ``cursor``, ascending by id, over those of the
        same id here, but for the ids in ``spared``. One transaction; durable when it returns.

        Raises:
            InvalidArgument: ``source`` is of another engine or dimension.
        """


class Warming(Protocol):
    """What the handles of a backend with ``Features.warms`` can do besides. A move waits for it before the flip."""

    async def warm(self, like: Index | None = None) -> None:
        """Load what queries need, and start building what they would be faster with; or take it over from ``like``,
        a namespace of any backend that holds the same records, where that can be done."""

    async def is_warm(self) -> bool:
        """Whether there is nothing left to wait for; also when the engine has let it go again, or cannot build it."""


class Snapshot(Protocol):
    """A namespace as it was at one moment, which lies between the asking for it and its first page."""

    @property
    def version(self) -> str | None:
        """As `Snapshotting.version`, of that moment."""

    async def page(self, cursor: str | None, limit: int) -> Block:
        """As `Index.scan`, in columns."""


class Snapshotting(Protocol):
    """What the handles of a backend with ``Features.snapshots`` can do besides."""

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """Hold the namespace as it is now, for reading; writes go on beside it. Raises NotFound (namespace)."""

    async def version(self) -> str | None:
        """Words that are the same only when the records are the same as when they were said before, over restarts
        too; None where the engine cannot tell. Costs little. Raises NotFound (namespace)."""


class Loading(Protocol):
    """What the handles of a backend with ``Features.loads`` can do besides."""

    async def load(self, block: Block) -> None:
        """As `Index.upsert`, of any number of records. One transaction; durable when it returns."""


class ManyNamespaces(Protocol):
    """What a backend with ``Features.many_namespace_query`` can do besides."""

    async def query_many(self, namespaces: Sequence[str], query: Query, per_namespace: int | None = None) -> Found:
        """The ``top_k`` nearest records of all these namespaces together, of each at most its ``per_namespace``
        nearest; best first, ties by the namespace's place in the list, then by id. What `Index.query` finds in a
        namespace, this finds there too. Namespaces that are not there are named in the answer; they are no error.

        Args:
            namespaces: any number, each once.
        """


class VectorBackend(Protocol):
    """One shard's store."""

    @property
    def features(self) -> Features:
        """What it can do."""

    async def probe(self) -> Features:
        """Reach the store, and say what it can do; called before a shard is registered.

        Raises:
            Unavailable: it is not reached, or refuses the login.
            Refused, Unsupported, InvalidArgument: it is not as the shard needs it; the message says what to do.
        """

    async def create(self, namespace: str) -> None:
        """Make the namespace; one that exists already is success."""

    async def drop(self, namespace: str) -> None:
        """Remove the namespace and its data; one that does not exist is success."""

    def index(self, namespace: str) -> Index:
        """A handle; costs nothing and touches nothing. Handles are cached by callers."""

    async def namespaces(self, after: str | None, limit: int) -> list[str]:
        """Names in ascending order, after ``after``."""

    async def stats(self, namespace: str | None = None) -> NamespaceStats:
        """Vectors and bytes of one namespace, or of the whole shard. Raises NotFound (namespace)."""

    async def sizes(self) -> dict[str, NamespaceStats]:
        """Every namespace's own `stats`, by name, in as few requests as the engine can; a namespace that comes or goes
        meanwhile is there or not."""

    async def aclose(self) -> None:
        """Finish what runs, close files and connections; safe to call twice."""
