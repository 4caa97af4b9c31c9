"""Qdrant's points, as its scroll gives them.

See https://api.qdrant.tech/api-reference/points/scroll-points:
``{"result": {"points": [{"id", "vector", "payload"}], "next_page_offset"}}``, several such pages one after the other, a
list of points, or a point a line. Ids are whole numbers or UUIDs there. An id that is neither is written as the UUID
version 5 of it, and the payload keeps the id itself in `ID_KEY`; reading knows one from another by making that UUID
again.
"""

from __future__ import annotations

import uuid
from typing import Any

from tenantry.errors import InvalidArgument
from tenantry.files.rows import Row, broken
from tenantry.model.records import Metadata, Record

PATHS = ((), ("points",), ("result", "points"), ("result",))
ID_KEY = "tenantry:id"
_MOST = 2**64
_NAMESPACE = uuid.UUID("5f0fae51-4c0c-5c4b-9d0f-3d1f2a7b8c11")
_FIELDS = {"id", "vector", "payload", "version", "score", "shard_key", "order_value"}


def row(number: int, value: Any, vector: str | None) -> Row:
    """A point. ``vector``: which of its named vectors."""
    if not isinstance(value, dict):
        return broken(number, "", "not an object", value)
    if unknown := sorted(set(value) - _FIELDS):
        return broken(number, unknown[0], f"{unknown[0]}: not a field of a point of Qdrant", value)
    id, payload = value.get("id"), value.get("payload")
    if isinstance(id, int) and not isinstance(id, bool):
        id = str(id)
    if isinstance(payload, dict) and isinstance(payload.get(ID_KEY), str) and point_id(payload[ID_KEY]) == id:
        id = payload[ID_KEY]
        payload = {key: one for key, one in payload.items() if key != ID_KEY}
    found, problem = _dense(value.get("vector"), vector)
    if problem:
        return broken(number, "vector", problem, value)
    return Row(number, id, found, payload or None, raw=value)


def _dense(found: Any, name: str | None) -> tuple[Any, str]:
    """The one dense vector of a point, or what is wrong."""
    if isinstance(found, dict) and not {"indices", "values"} <= set(found):
        if name is None and len(found) > 1:
            return None, f"vector: {len(found)} named vectors ({', '.join(sorted(found))}); choose one with --vector"
        name = next(iter(found), None) if name is None else name
        if name not in found:
            return None, f"vector: no vector {name!r} among {', '.join(sorted(found)) or 'none'}"
        found = found[name]
    if isinstance(found, dict):
        return None, "vector: sparse; dense vectors only are stored here"
    if isinstance(found, list) and found and isinstance(found[0], list):
        return None, "vector: a list of vectors; one vector a record is stored here"
    if found is None:
        return None, "vector: none; scroll with with_vectors=true"
    return found, ""


def expanded(number: int, value: Any, vector: str | None) -> list[Row]:
    """The rows of one line: a point, or a page of them."""
    page = value.get("result", value) if isinstance(value, dict) else value
    points = page.get("points") if isinstance(page, dict) else page
    if isinstance(points, list):
        return [row(number, one, vector) for one in points]
    return [row(number, value, vector)]


def point_id(id: str) -> str | int:
    """What a point of that id is called in Qdrant: the id, if it is a whole number or a UUID as written there."""
    if id.isascii() and id.isdigit() and str(int(id)) == id and int(id) < _MOST:
        return int(id)
    try:
        if str(uuid.UUID(id)) == id:
            return id
    except ValueError:
        pass
    return str(uuid.uuid5(_NAMESPACE, id))


def point(record: Record) -> dict[str, Any]:
    """A record as a point. Raises InvalidArgument: it has a field of the name that keeps ids."""
    id = point_id(record.id)
    payload: Metadata = dict(record.metadata or {})
    if ID_KEY in payload:
        raise InvalidArgument(
            f"metadata.{ID_KEY}", record.id, "a name that is not taken by what keeps ids in this format"
        )
    if str(id) != record.id:
        payload[ID_KEY] = record.id
    return {"id": id, "vector": record.values.tolist(), "payload": payload}
