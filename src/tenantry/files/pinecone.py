"""Pinecone's forms of records.

- Parquet for its import: see `tenantry.files.parquet`;
  https://docs.pinecone.io/guides/index-data/import-data has the columns and the folders.
- JSON of a fetch (``vectors`` by id), of a query (``matches``), of an upsert's body (``vectors``, a list), and a list
  or lines of such vectors: ``id``, ``values``, ``sparseValues`` (``sparse_values`` in Python), ``metadata``.
"""

from __future__ import annotations

from typing import Any

from tenantry.files.rows import Row, broken

PATHS = ((), ("vectors",), ("matches",))
NAMESPACE = ("namespace",)
#: Its default namespace is given as the empty string; see `tenantry.model.topology.DEFAULT_TENANT`.
_DEFAULT = "__default__"
SPARSE = ("sparseValues", "sparse_values")
_FIELDS = {"id", "values", "metadata", "namespace", "score", *SPARSE}


def row(number: int, value: Any, key: str | None = None, namespace: Any = None) -> Row:
    """A vector; ``key``: the id under which a fetch has it."""
    if not isinstance(value, dict):
        return broken(number, "", "not an object", value)
    if unknown := sorted(set(value) - _FIELDS):
        return broken(number, unknown[0], f"{unknown[0]}: not a field of a vector of Pinecone", value)
    if (problem := sparse_problem(*(value.get(name) for name in SPARSE))) is not None:
        return broken(number, "sparse_values", problem, value)
    named = value.get("namespace", namespace)
    tenant = _DEFAULT if named == "" else named
    if tenant is not None and not isinstance(tenant, str):
        return broken(number, "namespace", f"namespace: got {tenant!r}; allowed: a string", value)
    return Row(number, value.get("id", key), value.get("values"), value.get("metadata"), tenant, raw=value)


def sparse_problem(*found: Any) -> str | None:
    """What to say of sparse values, if there are any."""
    for one in found:
        if isinstance(one, dict) and one.get("indices"):
            return "sparse_values: not stored here; dense values only"
    return None


def expanded(number: int, value: Any) -> list[Row]:
    """The rows of one line: a vector, or a whole answer."""
    if not isinstance(value, dict) or not ({"vectors", "matches"} & set(value)):
        return [row(number, value)]
    namespace = value.get("namespace")
    found = value.get("vectors", value.get("matches"))
    if isinstance(found, dict):
        return [row(number, one, key, namespace) for key, one in found.items()]
    return [row(number, one, None, namespace) for one in found or []]
