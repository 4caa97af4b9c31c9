"""When a namespace gets an approximate index, and when it gets a newer one; the work itself is in `ann`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tenantry.backends.embedded import checkpoint
from tenantry.backends.embedded.ann import AnnIndex, Attached, NotWanted, Source, adopt, build, extend
from tenantry.backends.embedded.resident import ALIVE, Resident

if TYPE_CHECKING:
    from tenantry.backends.embedded.engine import Engine
    from tenantry.backends.embedded.namespace import Namespace

log = logging.getLogger(__name__)

INDEX_FROM_ROWS = 10_000
"""Below, exact search takes no longer than two milliseconds at 768 dimensions, and an index gains too little."""
TAIL_ROWS = 2048
TAIL_SHARE = 1 / 32
"""The tail is searched exactly: it may be as long as the greater of these before the index is extended."""
REBUILD_OVER_GONE = 0.3
SAVE_OVER_GROWN = 1 / 8
RETRY_UNFIT_GROWN = 2.0


class Need(Enum):
    """What a namespace's index is in need of."""

    NOTHING = "nothing"
    BUILD = "build"
    EXTEND = "extend"


class Indexer:
    """Keeps the index of one namespace; at most one build runs in the whole engine."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.path = path
        self._engine = engine
        self._running = False
        self._unfit_at = 0
        self._saved_nodes = 0
        self._gone_at: tuple[int, float] = (-1, 0.0)
        self._twin: Namespace | None = None

    def expect(self, twin: Namespace) -> None:
        """The next index that is to be built may be had from this namespace, which holds the same records."""
        self._twin = twin

    def consider(self, namespace: Namespace) -> None:
        """Start background work if there is need; event loop's thread."""
        resident = namespace.resident
        if self._running or resident is None or self.need(resident) is Need.NOTHING:
            return
        self._running = True
        self._engine.spawn(self._work(namespace))

    def need(self, resident: Resident) -> Need:
        """What the index of these rows is in need of."""
        if resident.wild or resident.live < max(self._engine.index_from_rows, RETRY_UNFIT_GROWN * self._unfit_at):
            return Need.NOTHING
        if resident.ann is None:
            return Need.BUILD
        if self._gone(resident, resident.ann) > REBUILD_OVER_GONE:
            return Need.BUILD
        if resident.n - resident.ann.tail > max(TAIL_ROWS, TAIL_SHARE * resident.ann.index.nodes):
            return Need.EXTEND
        return Need.NOTHING

    def is_settled(self, resident: Resident) -> bool:
        """Whether nothing is being built, nor to be."""
        return not self._running and self.need(resident) is Need.NOTHING

    def load(self, resident: Resident) -> None:
        """Worker: take the checkpoint up, if it is there, sound and made from these rows."""
        if resident.live < self._engine.index_from_rows or resident.wild:
            return
        index = checkpoint.load(self.path, resident.dimension, resident.metric)
        if index is None:
            return
        attached = Attached(index, resident.seqs[: resident.n])
        alive = np.ones(resident.n, np.bool_)
        if attached.covers(alive) and attached.gone(alive) <= REBUILD_OVER_GONE:
            self._saved_nodes = index.nodes
            if index.width:
                resident.ann = attached
            else:
                self._unfit_at = index.nodes

    def _gone(self, resident: Resident, attached: Attached) -> float:
        """Counted anew only after a hundredth of the nodes died: it reads all rows."""
        dead, share = self._gone_at
        if abs(resident.dead - dead) > attached.index.nodes / 100 or dead < 0:
            share = attached.gone(resident.died_at[: resident.n] == ALIVE)
            self._gone_at = (resident.dead, share)
        return share

    async def _work(self, namespace: Namespace) -> None:
        try:
            async with self._engine.build_slot:
                await self._make(namespace)
        except NotWanted:
            return
        except Exception:
            log.warning("the index of %s could not be built; it is searched exactly", namespace.name, exc_info=True)
            self._unfit_at = namespace.vectors or self._engine.index_from_rows
            return
        finally:
            self._running = False
        self.consider(namespace)

    async def _make(self, namespace: Namespace) -> None:
        resident = namespace.resident
        need = self.need(resident) if resident is not None else Need.NOTHING
        if resident is None or need is Need.NOTHING:
            return
        old = resident.ann if need is Need.EXTEND else None
        n, seqs = resident.n, resident.seqs
        make = self._maker(namespace, resident, old)

        def work() -> tuple[AnnIndex, Attached]:
            index = make()
            return index, Attached(index, seqs[:n])

        index, attached = await self._engine.in_background(work)
        current = namespace.resident
        if index.width == 0:
            self._unfit_at = index.nodes
        if current is not None:
            if current is not resident:
                attached = Attached(index, current.seqs[: current.n])
            current.ann = attached if index.width else None
            self._gone_at = (-1, 0.0)
            self._engine.note_resident(namespace)
        if old is None or index.nodes > (1 + SAVE_OVER_GROWN) * self._saved_nodes:
            await self._save(namespace, index)

    def _maker(self, namespace: Namespace, resident: Resident, old: Attached | None) -> Callable[[], AnnIndex]:
        """What makes the index of the rows that are there now, in a worker."""
        living = np.flatnonzero(resident.died_at[: resident.n] == ALIVE)
        source = Source(resident.matrix, resident.scale, resident.seqs, living, resident.metric)
        threads = self._engine.build_threads
        twin, self._twin = self._twin.resident if self._twin else None, None
        origin = twin.ann if twin is not None and twin.dimension == resident.dimension else None

        def wanted() -> bool:
            return namespace.resident is not None and not self._engine.closing

        def make() -> AnnIndex:
            if old is not None:
                return extend(old, source, wanted, threads)
            if twin is not None and origin is not None:
                adopted = adopt(origin, twin.ids, twin.matrix, source, resident.row_of, wanted)
                if adopted is not None:
                    return adopted
            return build(source, wanted, threads)

        return make

    async def _save(self, namespace: Namespace, index: AnnIndex) -> None:
        def work() -> None:
            if checkpoint.save(index, self.path):
                self._saved_nodes = index.nodes
            if namespace.dropped:
                self.path.unlink(missing_ok=True)

        await self._engine.in_background(work)
