"""What a backend must do that claims ``many_namespace_query``; part of `BackendContract`."""

# ruff: noqa: S101  (assertions are what a contract suite is made of)

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from tenantry.model.filters import parse_filter
from tenantry.model.records import FoundIn, Query, Record
from tenantry.ports import ManyNamespaces, VectorBackend
from tenantry.testing.backend_expected import SCORE_TOLERANCE, same_values

NAMES = ("delta", "alpha", "echo~2", "bravo", "empty")
EACH = 30


class ManyContract:
    """Several namespaces of one backend."""

    @pytest.fixture
    async def many(self, backend: VectorBackend) -> ManyNamespaces:
        """`NAMES`, each but the last with `EACH` records; a part of the vectors is in all of them."""
        if not backend.features.many_namespace_query:
            pytest.skip("the backend does not claim many_namespace_query")
        sized: Any = backend
        shared = np.random.default_rng(99).standard_normal((6, sized.dimension)).astype(np.float32)
        for number, name in enumerate(NAMES):
            await backend.create(name)
            if name == "empty":
                continue
            made = np.random.default_rng(number).standard_normal((EACH, sized.dimension)).astype(np.float32)
            made[: len(shared)] = shared
            records = [Record(f"r{i:02}", row, {"g": i % 3, "of": name}) for i, row in enumerate(made)]
            await backend.index(name).upsert(records)
        return cast(ManyNamespaces, backend)

    async def one_by_one(
        self, backend: VectorBackend, names: list[str], query: Query, per_namespace: int | None
    ) -> list[FoundIn]:
        """What as many single queries come to."""
        found = []
        for place, name in enumerate(names):
            hits = await backend.index(name).query(query)
            found += [(-hit.score, place, hit.id, FoundIn(name, hit)) for hit in hits[:per_namespace]]
        found.sort(key=lambda one: one[:3])
        return [one[3] for one in found[: query.top_k]]

    @pytest.mark.parametrize("per_namespace", [None, 2])
    @pytest.mark.parametrize("top_k", [1, 7, 500])
    @pytest.mark.parametrize("raw", [None, {"g": 1}, {"of": {"$in": ["alpha", "bravo"]}}, {"g": 9}])
    async def test_many_are_searched_as_each_alone(
        self, backend: VectorBackend, many: ManyNamespaces, top_k: int, raw: Any, per_namespace: int | None
    ) -> None:
        """Hits, scores and order are those of single queries merged."""
        sized: Any = backend
        vector = np.random.default_rng(99).standard_normal((6, sized.dimension)).astype(np.float32)[2] * np.float32(1.5)
        query = Query(vector, top_k, parse_filter(raw), include_values=True, include_metadata=True)
        wanted = await self.one_by_one(backend, list(NAMES), query, per_namespace)
        found = await many.query_many(NAMES, query, per_namespace)
        assert found.missing == ()
        assert len(found.hits) == len(wanted)
        for got, want in zip(found.hits, wanted, strict=True):
            assert got.hit.score == pytest.approx(want.hit.score, abs=SCORE_TOLERANCE, rel=SCORE_TOLERANCE)
            assert (got.namespace, got.hit.id) == (want.namespace, want.hit.id)
            assert got.hit.values is not None
            assert want.hit.values is not None
            assert same_values(backend, got.hit.values, want.hit.values)
            assert got.hit.metadata == want.hit.metadata

    async def test_of_many_the_missing_ones_are_named(self, backend: VectorBackend, many: ManyNamespaces) -> None:
        """The others answer all the same, and what is not asked for does not come along."""
        sized: Any = backend
        query = Query(np.ones(sized.dimension, np.float32), 4)
        found = await many.query_many(["absent", "alpha", "gone~3"], query)
        assert set(found.missing) == {"absent", "gone~3"}
        assert {one.namespace for one in found.hits} == {"alpha"}
        assert all(one.hit.values is None and one.hit.metadata is None for one in found.hits)
        none = await many.query_many(["absent"], query)
        assert (none.hits, none.missing) == ([], ("absent",))
        assert (await many.query_many([], query)).hits == []
        await backend.drop("alpha")
        assert (await many.query_many(["alpha", "bravo"], query)).missing == ("alpha",)

    async def test_ties_among_many_go_by_their_order(self, backend: VectorBackend, many: ManyNamespaces) -> None:
        """The same vector in all of them: by place in the list, then by id."""
        sized: Any = backend
        vector = np.random.default_rng(99).standard_normal((6, sized.dimension)).astype(np.float32)[4]
        for order in (["bravo", "alpha", "delta"], ["delta", "echo~2", "alpha"]):
            found = await many.query_many(order, Query(vector, 3 * EACH))
            assert len(found.hits) == 3 * EACH
            assert [one.namespace for one in found.hits if one.hit.id == "r04"] == order
