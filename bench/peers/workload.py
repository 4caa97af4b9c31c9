"""The workload of the peers: tenants, rows, edits and queries, written once and read by every engine's process.

Needs numpy alone, since most engines run in an environment without Tenantry.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import data

TOP_K = 10
BATCH = 500
EDITED_SHARE = 0.05

ANY, FIRST = "any", "first"


@dataclass(frozen=True)
class Tenant:
    """Rows ``start`` to ``start + count`` of the files are its own; ids are numbered from 0 within it."""

    name: str
    start: int
    count: int


@dataclass(frozen=True)
class Edit:
    """Delete these ids of a tenant, and overwrite those with rows ``start``... of the edit files."""

    tenant: int
    deleted: list[int]
    overwritten: list[int]
    start: int


@dataclass(frozen=True)
class Ask:
    """A query: of a tenant, with a row of the query file."""

    tenant: int
    vector: int


@dataclass(frozen=True)
class Plan:
    """What is done, in which order. ``asks`` go by size class (``"500"``), ``"any"``: tenants at
    random, and ``"first"``: each tenant once."""

    tenants: list[Tenant]
    edits: list[Edit]
    asks: dict[str, list[Ask]]
    rows: int
    large: int

    @classmethod
    def load(cls, folder: Path) -> Plan:
        raw = json.loads((folder / "plan.json").read_text())
        return cls(
            tenants=[Tenant(**one) for one in raw["tenants"]],
            edits=[Edit(**one) for one in raw["edits"]],
            asks={key: [Ask(**one) for one in asks] for key, asks in raw["asks"].items()},
            rows=raw["rows"],
            large=raw["large"],
        )

    def save(self, folder: Path) -> None:
        (folder / "plan.json").write_text(json.dumps(asdict(self)))


@dataclass(frozen=True)
class Rows:
    """A batch as every engine gets it."""

    ids: list[str]
    vectors: NDArray[np.float32]
    texts: list[str]
    langs: list[str]
    years: list[int]

    def metadata(self) -> list[dict[str, Any]]:
        fields = zip(self.texts, self.langs, self.years, strict=True)
        return [{"text": text, "lang": lang, "year": year} for text, lang, year in fields]


class Files:
    """The rows of one kind (``rows`` or ``edits``). Open it while it is read, so that no mapping stays in memory."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._vectors = np.load(folder / f"{kind}.npy", mmap_mode="r")
        fields = np.load(folder / f"{kind}-fields.npz")
        self._langs, self._years = fields["langs"], fields["years"]
        self._texts = (folder / f"{kind}.txt").read_text().split("\n")

    def batch(self, start: int, numbers: list[int]) -> Rows:
        """The rows from ``start`` on, under the ids of these numbers."""
        end = start + len(numbers)
        return Rows(
            [f"doc-{number:06d}" for number in numbers],
            np.array(self._vectors[start:end]),
            self._texts[start:end],
            [data.LANGUAGES[code] for code in self._langs[start:end].tolist()],
            self._years[start:end].tolist(),
        )

    @staticmethod
    def write(folder: Path, kind: str, vectors: NDArray[np.float32], seed: int) -> None:
        np.save(folder / f"{kind}.npy", vectors)
        fields = data.metadata(len(vectors), seed)
        langs = np.array([data.LANGUAGES.index(one["lang"]) for one in fields], np.int8)
        years = np.array([one["year"] for one in fields], np.int32)
        np.savez(folder / f"{kind}-fields.npz", langs=langs, years=years)
        (folder / f"{kind}.txt").write_text("\n".join(one["text"] for one in fields))


def make(folder: Path, tenants: int, total: int, classes: dict[int, int], queries: int, large: int) -> Plan:
    """Write the files and the plan. Tenants of the classes are edited: 5% deleted, 5% overwritten."""
    folder.mkdir(parents=True)
    sizes = data.lognormal_sizes(tenants, total, classes).tolist()
    starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    names = [f"t{i:03d}-{name}" for i, name in enumerate(data.tenant_names(tenants))]
    listed = [Tenant(name, start, size) for name, start, size in zip(names, starts, sizes, strict=False)]
    Files.write(folder, "rows", np.concatenate([data.vectors(one.count, i << 8) for i, one in enumerate(listed)]), 21)
    random = np.random.default_rng(22)
    by_class = {
        size: [i for i, one in enumerate(listed) if one.count == size][:count] for size, count in classes.items()
    }
    edits, changed, start = [], [], 0
    for i in [i for members in by_class.values() for i in members]:
        many = max(1, int(listed[i].count * EDITED_SHARE))
        chosen = random.choice(listed[i].count, 2 * many, replace=False).tolist()
        edits.append(Edit(i, chosen[:many], chosen[many:], start))
        changed.append(data.vectors(many, (i << 8) + 2))
        start += many
    Files.write(folder, "edits", np.concatenate(changed), 23)
    asks: dict[str, list[Ask]] = {}
    vectors: list[NDArray[np.float32]] = []
    groups = {str(size): members for size, members in by_class.items()}
    groups |= {ANY: random.integers(0, tenants, queries).tolist(), FIRST: random.permutation(tenants).tolist()}
    for kind, (key, members) in enumerate(groups.items()):
        of = members if key == FIRST else [members[j % len(members)] for j in range(queries)]
        # Near the tenant's topics, which the upper part of the seed chooses; none of them is one of its rows.
        drawn = {tenant: iter(data.vectors(of.count(tenant), (tenant << 8) + 3 + kind)) for tenant in sorted(set(of))}
        asks[key] = [Ask(tenant, len(vectors) + j) for j, tenant in enumerate(of)]
        vectors += [next(drawn[tenant]) for tenant in of]
    np.save(folder / "queries.npy", np.stack(vectors))
    plan = Plan(listed, edits, asks, sum(sizes), large)
    plan.save(folder)
    return plan


class Truth:
    """The exact answers, computed with numpy over the state after all edits."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._plan = plan
        self._vectors = np.load(folder / "rows.npy", mmap_mode="r")
        self._fields = np.load(folder / "rows-fields.npz")
        self._changes = np.load(folder / "edits.npy")
        self._changed_fields = np.load(folder / "edits-fields.npz")
        self._queries = np.load(folder / "queries.npy")
        self._edits = {edit.tenant: edit for edit in plan.edits}
        self._cache: dict[int, Any] = {}

    def answer(self, ask: Ask, filtered: bool) -> set[str]:
        vectors, numbers, matching = self._state(ask.tenant)
        scores = vectors @ self._queries[ask.vector]
        if filtered:
            scores = np.where(matching, scores, -np.inf)
        best = np.argsort(-scores)[:TOP_K]
        return {f"doc-{numbers[i]:06d}" for i in best if np.isfinite(scores[i])}

    def _state(self, tenant: int) -> Any:
        if tenant not in self._cache:
            one = self._plan.tenants[tenant]
            part = slice(one.start, one.start + one.count)
            vectors = np.array(self._vectors[part])
            langs, years = self._fields["langs"][part].copy(), self._fields["years"][part].copy()
            alive = np.ones(one.count, np.bool_)
            if edit := self._edits.get(tenant):
                end = edit.start + len(edit.overwritten)
                vectors[edit.overwritten] = self._changes[edit.start : end]
                langs[edit.overwritten] = self._changed_fields["langs"][edit.start : end]
                years[edit.overwritten] = self._changed_fields["years"][edit.start : end]
                alive[edit.deleted] = False
            matching = (langs == data.LANGUAGES.index(data.FILTER_LANGUAGE)) & (years >= data.FILTER_FROM_YEAR)
            if len(self._cache) > 40:
                self._cache.clear()
            self._cache[tenant] = (vectors[alive], np.flatnonzero(alive), matching[alive])
        return self._cache[tenant]
