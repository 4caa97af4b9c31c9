"""What a backend must do with text that would be something else than text in SQL, in a filter expression, in a path or
in the name of a collection; part of `BackendContract`."""

# ruff: noqa: S101  (assertions are what a contract suite is made of)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tenantry.errors import NotFound
from tenantry.model.filters import parse_filter
from tenantry.model.records import ByFilter, ByIds, Query, Record
from tenantry.ports import Index, VectorBackend

#: Each ends a literal, a statement, a path or an expression somewhere.
HOSTILE = [
    "'; DROP TABLE records; --",
    "' OR '1'='1",
    '" or true or "',
    '") or (1 == 1) or ("',
    "\\",
    "\\' OR 1=1 --",
    'a\\"b',
    "%' OR id LIKE '%",
    "*",
    "_%",
    "$1",
    ":id",
    "{0}",
    "%s %(id)s ?",
    "../../etc/passwd",
    "..%2f..%2f",
    "a\tb\nc",
    "${jndi:ldap://x}",
    "<script>alert(1)</script>",
    "null",
    "true) /* ",
    "x' UNION SELECT * FROM tenantry_keys --",
]
#: Names of fields likewise; none begins with ``$``, which no field does.
FIELDS = [
    "a'b",
    'a"]["b',
    "a or 1==1",
    "a`b",
    "a.b",
    "a[0]",
    "a) --",
    "meta['x']",
    "a%sb",
    "a:b",
    "__proto__",
    "id",
    "rowid",
]
#: Names of tenants as `namespace_of` makes namespaces of them.
NAMES = [
    *("..", ".", "../main", "a/b", "a\\b", "a'; DROP TABLE x; --", 'a"b', "a%2Fb", "a b", "CON", "a:b", "*", "main "),
    *("Main", "main~2", "sqlite_master", "pg_catalog", "default", "_default", "null", "é", "e\u0301"),
]


class InjectionContract:
    """Text stays text.

    Attributes:
        fields, names: that are tried; a subclass leaves those out which its engine refuses.
        exists: whether filters may ask for ``$exists``; where they may not, they are refused.
    """

    exists = True
    fields = tuple(FIELDS)
    names = tuple(NAMES)

    @pytest.fixture
    async def keeper(self, backend: VectorBackend, index: Index) -> Record:
        """A record beside, which nothing here is about."""
        record = Record("keeper", _vector(backend, 1.0), {"kept": True, "v": "plain"})
        await index.upsert([record])
        return record

    @pytest.mark.usefixtures("keeper")
    async def test_an_id_is_nothing_but_an_id(self, backend: VectorBackend, index: Index) -> None:
        """It finds, and deletes, its own record."""
        await index.upsert([Record(id, _vector(backend, 2.0 + i), {"n": i}) for i, id in enumerate(HOSTILE)])
        for i, id in enumerate(HOSTILE):
            found = await index.fetch([id])
            assert {key: (record.metadata or {})["n"] for key, record in found.items()} == {id: i}
        for i, id in enumerate(HOSTILE):
            await index.delete(ByIds((id,)))
            left = await index.fetch([*HOSTILE, "keeper"])
            assert set(left) == {*HOSTILE[i + 1 :], "keeper"}, id

    @pytest.mark.usefixtures("keeper")
    async def test_a_value_in_a_filter_is_nothing_but_a_value(self, backend: VectorBackend, index: Index) -> None:
        """It finds the records that have it, and deletes only those."""
        await index.upsert([Record(f"r{i}", _vector(backend, 2.0 + i), {"v": text}) for i, text in enumerate(HOSTILE)])
        for i, text in enumerate(HOSTILE):
            for condition in ({"v": text}, {"v": {"$in": [text]}}, {"$and": [{"v": text}, {"v": {"$ne": "plain"}}]}):
                assert await _ids(backend, index, condition) == {f"r{i}"}, condition
        every = {f"r{i}" for i in range(len(HOSTILE))}
        assert await _ids(backend, index, {"v": {"$nin": HOSTILE}}) == {"keeper"}
        for i, text in enumerate(HOSTILE):
            await index.delete(ByFilter(_parsed({"v": text})))
            every.discard(f"r{i}")
            assert set(await index.fetch([*every, f"r{i}", "keeper"])) == every | {"keeper"}, text

    @pytest.mark.usefixtures("keeper")
    async def test_a_field_in_a_filter_is_nothing_but_a_field(self, backend: VectorBackend, index: Index) -> None:
        """Whatever it is called."""
        await index.upsert(
            [Record(f"r{i}", _vector(backend, 2.0 + i), {name: 7}) for i, name in enumerate(self.fields)]
        )
        for i, name in enumerate(self.fields):
            assert await _ids(backend, index, {name: 7}) == {f"r{i}"}, name
            assert await _ids(backend, index, {name: {"$gt": 7}}) == set(), name
            if self.exists:
                assert await _ids(backend, index, {name: {"$exists": True}}) == {f"r{i}"}, name

    @pytest.mark.usefixtures("keeper")
    async def test_a_namespace_is_nothing_but_a_namespace(self, backend: VectorBackend, index: Index) -> None:
        """Each is one of its own, and its end is nobody else's."""
        for i, name in enumerate(self.names):
            await backend.create(name)
            await backend.index(name).upsert([Record("own", _vector(backend, 1.0), {"n": i})])
        for i, name in enumerate(self.names):
            found = await backend.index(name).fetch(["own", "keeper"])
            assert {key: (record.metadata or {})["n"] for key, record in found.items()} == {"own": i}, name
        listed = [name for name in await backend.namespaces(None, 1_000) if name != "main"]
        assert sorted(listed) == sorted(self.names)
        for i, name in enumerate(self.names):
            await backend.drop(name)
            if backend.features.tells_missing:
                with pytest.raises(NotFound):
                    await backend.index(name).fetch(["own"])
            else:
                assert await backend.index(name).fetch(["own"]) == {}
            for other in self.names[i + 1 : i + 3]:
                assert set(await backend.index(other).fetch(["own"])) == {"own"}, (name, other)
        assert set(await index.fetch(["keeper", "own"])) == {"keeper"}


def _vector(backend: Any, seed: float) -> Any:
    return np.asarray([seed, 1.0, *[0.5] * (backend.dimension - 2)], dtype=np.float32)


def _parsed(raw: dict[str, Any]) -> Any:
    condition = parse_filter(raw)
    assert condition is not None
    return condition


async def _ids(backend: Any, index: Index, raw: dict[str, Any]) -> set[str]:
    hits = await index.query(Query(_vector(backend, 1.0), 100, _parsed(raw)))
    return {hit.id for hit in hits}
