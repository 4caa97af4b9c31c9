"""The approximate index of a large namespace: FAISS HNSW over 8-bit codes, as a guide to the exact rows.

The graph proposes rows, the matrix of original values decides (see `search`), so scores are exact and coarse codes
cost only a few more proposals. An `AnnIndex` never changes once made: more rows go into a clone that then takes its
place, so readers need no lock. Its nodes are named by ``seq``; `Attached` ties them to the rows of one `Resident`.

How wide a search must be depends on the data, so it is measured and not hoped for: some vectors are held out while
the rest is built, serve as queries nobody has seen, and the least width that finds what exact search finds is kept.
An index that cannot reach `UNFIT_BELOW` is not used, and the namespace is searched exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from tenantry.model.records import Metric, Vector

faiss: Any = _faiss  # its stubs do not know what its Python layer adds

LINKS = 32
BUILD_WIDTH = 64
"""At 40, the graph of 100,000 vectors in 400 clusters had clusters that a search did not reach."""
CHUNK_ROWS = 500
"""Rows added between two looks at whether the index is still wanted."""
TRAIN_ROWS = 10_000
HELD_OUT = 256
"""Enough that the measured share is within about half a percent of the truth."""
MEASURED_TOP = 10
WIDTHS = (48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
WANTED_RECALL = 0.995
UNFIT_BELOW = 0.98
MEASURE_ROWS = 4096
TIE = 1e-6
ADOPT_UNKNOWN_MOST = 0.1
"""Rows, as a share of the nodes, that may be added to an adopted index: its width was measured without them."""


class NotWanted(Exception):
    """The work was given up because nobody waits for the index any more."""


class Source:
    """The arrays of a `Resident` as they were when the work began; only rows that were there then are read.

    Args:
        matrix: float32, the caller's values.
        scale: 1 / norm of each row under cosine; unused otherwise.
        seqs: ascending.
        living: rows that were alive, ascending.
    """

    def __init__(
        self,
        matrix: NDArray[np.float32],
        scale: NDArray[np.float32],
        seqs: NDArray[np.int64],
        living: NDArray[np.int64],
        metric: Metric,
    ) -> None:
        self.matrix, self.scale, self.seqs, self.living, self.metric = matrix, scale, seqs, living, metric

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """What the index stores for these rows."""
        picked: NDArray[np.float32] = self.matrix[rows]
        if self.metric is Metric.COSINE:
            picked *= self.scale[rows][:, None]
        return picked


class AnnIndex:
    """An HNSW graph whose node ``i`` stands for the record of ``seqs[i]``.

    Attributes:
        seqs: shape ``(nodes,)``, in the order in which nodes were added.
        watermark: records of a ``seq`` up to this were considered; later ones are not in it.
        width: candidates a search must keep to find what exact search finds (efSearch); 0: unfit for use.
    """

    def __init__(self, graph: Any, seqs: NDArray[np.int64], watermark: int, width: int, metric: Metric) -> None:
        self.graph, self.seqs, self.watermark, self.width, self.metric = graph, seqs, watermark, width, metric

    @property
    def nodes(self) -> int:
        """Vectors in the graph, also those deleted since."""
        return len(self.seqs)

    @property
    def nbytes(self) -> int:
        """Bytes of memory, nearly: codes, links, seqs and the rows they are tied to."""
        return self.nodes * (int(self.graph.d) + 8 * LINKS + 24)

    def width_for(self, count: int) -> int:
        """How wide to search for that many nodes: in proportion to what was measured for few."""
        return max(count, self.width * count // proposals(MEASURED_TOP))

    def search(self, vector: NDArray[np.float32], count: int, width: int) -> NDArray[np.int64]:
        """At most ``count`` nodes near ``vector``, best first by their codes."""
        parameters = faiss.SearchParametersHNSW(efSearch=width)
        _, nodes = self.graph.search(vector.reshape(1, -1), count, params=parameters)
        found: NDArray[np.int64] = nodes[0]
        return found[found >= 0]


class Attached:
    """An index tied to the rows of one `Resident`.

    Attributes:
        rows: row of each node, -1 where the record is gone; shape ``(nodes,)``.
        tail: first row that is not in the index.
    """

    def __init__(self, index: AnnIndex, seqs: NDArray[np.int64]) -> None:
        self.index = index
        places = np.searchsorted(seqs, index.seqs)
        within = np.minimum(places, max(len(seqs) - 1, 0))
        there = (places < len(seqs)) & (seqs[within] == index.seqs) if len(seqs) else np.zeros(index.nodes, np.bool_)
        self.rows: NDArray[np.int64] = np.where(there, places, -1)
        self.tail = int(np.searchsorted(seqs, index.watermark, side="right"))

    def covers(self, alive: NDArray[np.bool_]) -> bool:
        """Whether every living row before the tail is in the index; if not, it was made from other data."""
        known = np.zeros(self.tail, np.bool_)
        known[self.rows[self.rows >= 0]] = True
        return bool((known | ~alive[: self.tail]).all())

    def gone(self, alive: NDArray[np.bool_]) -> float:
        """Share of the nodes whose records are deleted or overwritten."""
        living = int(np.count_nonzero(alive[: self.tail]))
        return 1.0 - living / max(self.index.nodes, 1)


def build(source: Source, wanted: Callable[[], bool], threads: int) -> AnnIndex:
    """Build an index over the living rows of ``source``. Worker; lets go of the GIL while it adds.

    Raises:
        NotWanted: ``wanted`` said no between two chunks.
    """
    faiss.omp_set_num_threads(threads)
    rows = source.living
    kind = faiss.METRIC_L2 if source.metric is Metric.EUCLIDEAN else faiss.METRIC_INNER_PRODUCT
    graph = faiss.IndexHNSWSQ(source.matrix.shape[1], faiss.ScalarQuantizer.QT_8bit, LINKS, kind)
    graph.hnsw.efConstruction = BUILD_WIDTH
    graph.train(source.vectors(np.sort(np.random.default_rng(0).permutation(rows)[:TRAIN_ROWS])))
    nothing = np.empty(0, np.int64)
    return _grown(graph, nothing, nothing, source, rows, wanted)


def extend(attached: Attached, source: Source, wanted: Callable[[], bool], threads: int) -> AnnIndex:
    """A clone of the index with the living rows of the tail. Worker, as `build`."""
    faiss.omp_set_num_threads(threads)
    rows = source.living[source.living >= attached.tail]
    index = attached.index
    return _grown(faiss.clone_index(index.graph), index.seqs, attached.rows, source, rows, wanted, index.width)


def adopt(
    origin: Attached,
    ids: Sequence[str],
    matrix: NDArray[np.float32],
    source: Source,
    row_of: Mapping[str, int],
    wanted: Callable[[], bool],
) -> AnnIndex | None:
    """The index of a namespace that holds the same vectors, for those of ``source``: a node is taken over when the
    record of its id has the same vector here, and what is left is added. Worker, as `build`.

    Args:
        origin: the other namespace's index, tied to its rows, of which ``ids`` and ``matrix`` are the arrays.
        row_of: rows of ``source`` by id.

    Returns:
        None when the two have too little in common.
    """
    twin = np.full(origin.index.nodes, -1, np.int64)
    living = np.zeros(int(source.living[-1]) + 1, np.bool_)
    living[source.living] = True
    for start in range(0, len(twin), CHUNK_ROWS):
        if not wanted():
            raise NotWanted
        nodes = start + np.flatnonzero(origin.rows[start : start + CHUNK_ROWS] >= 0)
        there = origin.rows[nodes]
        here = np.array([row_of.get(ids[row], -1) for row in there.tolist()], np.int64)
        known = (here >= 0) & (here < len(living))
        known[known] = living[here[known]]
        known[known] = (matrix[there[known]] == source.matrix[here[known]]).all(axis=1)
        twin[nodes[known]] = here[known]
    nodes = np.flatnonzero(twin >= 0)[::-1]
    _, last = np.unique(twin[nodes], return_index=True)  # an overwrite with the same vector has two nodes
    twin[np.setdiff1d(nodes, nodes[last])] = -1
    living[twin[twin >= 0]] = False
    left = np.flatnonzero(living)
    if len(left) > ADOPT_UNKNOWN_MOST * len(twin):
        return None
    graph = faiss.clone_index(origin.index.graph)
    for start in range(0, len(left), CHUNK_ROWS):
        graph.add(source.vectors(left[start : start + CHUNK_ROWS]))
    seqs = np.concatenate([np.where(twin >= 0, source.seqs[twin], -1), source.seqs[left]])
    return AnnIndex(graph, seqs, int(source.seqs[source.living[-1]]), origin.index.width, source.metric)


def _grown(
    graph: Any,
    seqs: NDArray[np.int64],
    node_rows: NDArray[np.int64],
    source: Source,
    rows: NDArray[np.int64],
    wanted: Callable[[], bool],
    least_width: int = 0,
) -> AnnIndex:
    """Add ``rows`` to the graph, whose nodes so far have ``seqs`` and ``node_rows``.

    Those held out to measure with are added last.
    """
    order = np.random.default_rng(len(rows)).permutation(rows)
    held, rest = order[:HELD_OUT], np.sort(order[HELD_OUT:])
    for start in range(0, len(rest), CHUNK_ROWS):
        if not wanted():
            raise NotWanted
        graph.add(source.vectors(rest[start : start + CHUNK_ROWS]))
    width = _measured_width(graph, np.concatenate([node_rows, rest]), source, held, least_width)
    graph.add(source.vectors(held))
    watermark = int(source.seqs[source.living[-1]])
    return AnnIndex(
        graph, np.concatenate([seqs, source.seqs[rest], source.seqs[held]]), watermark, width, source.metric
    )


def _measured_width(
    graph: Any, node_rows: NDArray[np.int64], source: Source, held: NDArray[np.int64], least_width: int
) -> int:
    """The least of `WIDTHS`, from ``least_width``, at which held-out queries find their true neighbours among the
    living; 0 when none does."""
    queries = source.vectors(held)
    living = np.zeros(int(source.living[-1]) + 1, np.bool_)
    living[source.living] = True
    living[held] = False
    floors = _floors(source, np.flatnonzero(living), queries)
    count = proposals(MEASURED_TOP)
    share = 0.0
    for width in (width for width in WIDTHS if width >= least_width):
        _, nodes = graph.search(queries, count, params=faiss.SearchParametersHNSW(efSearch=max(width, count)))
        found = 0
        for query, proposed, floor in zip(queries, nodes, floors, strict=True):
            rows = node_rows[proposed[proposed >= 0]]
            rows = rows[rows >= 0]
            found += _found(source, query, rows[living[rows]], float(floor))
        share = found / (len(held) * MEASURED_TOP)
        if share >= WANTED_RECALL:
            return width
    return WIDTHS[-1] if share >= UNFIT_BELOW else 0


def proposals(top_k: int) -> int:
    """How many nodes to ask the graph for, so that rounding of the codes loses none of the best ``top_k``."""
    return 2 * top_k + 16


def _floors(source: Source, rows: NDArray[np.intp], queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """For each query the score of its `MEASURED_TOP`-th best of ``rows``, exactly searched; shape ``(queries,)``."""
    best = np.full((len(queries), MEASURED_TOP), -np.inf, np.float32)
    for start in range(0, len(rows), MEASURE_ROWS):
        scores = _scores(source, queries, source.vectors(rows[start : start + MEASURE_ROWS]))
        both = np.concatenate([best, scores], axis=1)
        best = np.partition(both, both.shape[1] - MEASURED_TOP, axis=1)[:, -MEASURED_TOP:]
    floors: NDArray[np.float32] = best.min(axis=1)
    return floors


def _found(source: Source, query: NDArray[np.float32], rows: NDArray[np.int64], floor: float) -> int:
    scores = _scores(source, query.reshape(1, -1), source.vectors(rows))[0]
    slack = TIE * max(1.0, abs(floor))
    return min(MEASURED_TOP, int(np.count_nonzero(scores >= floor - slack)))


def _scores(source: Source, queries: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    products: NDArray[np.float32] = queries @ rows.T
    if source.metric is Metric.EUCLIDEAN:
        products *= 2.0
        products -= np.vecdot(rows, rows)
    return products


def query_form(vector: Vector, metric: Metric) -> NDArray[np.float32]:
    """The query as the graph wants it: of unit length under cosine."""
    if metric is not Metric.COSINE:
        return vector
    unit: NDArray[np.float32] = vector / np.float32(np.sqrt(np.dot(vector, vector)))
    return unit
