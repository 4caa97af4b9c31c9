"""Collections of Milvus that others laid out, as the server describes them: which field is what of a record.

A record's fields are those of the schema that hold a text, a number, a boolean, a list or JSON, and the dynamic ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from pymilvus import DataType

from tenantry.backends.common.columns import Columns
from tenantry.errors import Refused

#: To the first number that does not fit.
WHOLE = {DataType.INT8: 2**7, DataType.INT16: 2**15, DataType.INT32: 2**31, DataType.INT64: 2**63}
NUMBERS = frozenset({*WHOLE, DataType.FLOAT, DataType.DOUBLE})
SIMPLE = NUMBERS | {DataType.VARCHAR, DataType.BOOL, DataType.ARRAY, DataType.JSON}
#: What our own collections are known by.
OURS = (frozenset({"id", "vector", "metadata", "terms", "numbers"}), frozenset({"id", "name", "vector"}))
_ALLOWED = {
    DataType.VARCHAR: "a text, no longer than the field",
    DataType.BOOL: "true or false",
    DataType.ARRAY: "a list of texts, as many and as long as the field holds",
    DataType.JSON: "a list",
    DataType.FLOAT: "a number that float32 holds as it is",
    DataType.DOUBLE: "a number that float64 holds as it is",
    **dict.fromkeys(WHOLE, "a whole number that it holds"),
}


class Field(msgspec.Struct, frozen=True):
    """One field of the schema.

    Attributes:
        longest: bytes of a text, or of each of a list; dimension of a vector; 0: the server does not say.
        most: elements of a list, likewise.
        element: what a list is of.
        required: it is never null: what is not given is refused, or the default.
        filled: it has a default.
    """

    name: str
    kind: DataType
    longest: int
    most: int
    element: DataType
    required: bool
    filled: bool


class Layout(msgspec.Struct, frozen=True):
    """A collection as records are kept in it.

    Attributes:
        dynamic: whether it takes fields that are not in the schema.
        apart: names that are no record's fields.
        closed: why nothing can be written; empty: it can.
    """

    name: str
    id: Field
    vector: Field
    fields: tuple[Field, ...]
    dynamic: bool
    apart: frozenset[str]
    closed: str

    @property
    def columns(self) -> Columns:
        """How it keeps metadata."""
        return Columns(f"collection {self.name}", held, allowed, rest=self.dynamic, aside=False)

    def field(self, name: str) -> Field | None:
        """A field of the schema."""
        return next((field for field in self.fields if field.name == name), None)


def fitted(described: Mapping[str, Any], vector: str, dimension: int) -> Layout:
    """Which field is what. Raises Refused: it cannot be told, or the vectors are of another dimension."""
    name = str(described["collection_name"])
    given = described["fields"]
    fields = {each["name"]: _field_of(each) for each in given}
    key = fields[next(each["name"] for each in given if each.get("is_primary"))]
    chosen = _vector_of(fields, vector, f"collection {name!r}")
    if chosen.longest != dimension:
        raise Refused(
            f"collection {name!r}: {chosen.name!r} has {chosen.longest} dimensions, and the index has {dimension}"
        )
    plain = tuple(each for each in fields.values() if each.kind in SIMPLE and each is not key)
    others = [each for each in fields.values() if each not in plain and each not in (key, chosen)]
    made = {each["name"] for each in given if each.get("is_function_output")}
    needed = [each.name for each in others if each.required and not each.filled and each.name not in made]
    closed = f"its field {needed[0]!r} has to be given and is of no kind that records have" if needed else ""
    if described.get("auto_id") or any(each.get("auto_id") for each in given):
        closed = "it gives ids itself (auto_id), so that no record keeps its id when it is written"
    apart = frozenset({key.name, chosen.name, *(each.name for each in others)})
    return Layout(name, key, chosen, plain, bool(described.get("enable_dynamic_field")), apart, closed)


def is_ours(described: Mapping[str, Any]) -> bool:
    """Whether Tenantry made the collection, for a shard of its own layout."""
    return frozenset(each["name"] for each in described["fields"]) in OURS


def held(field: Field, value: Any) -> Any:
    """The value as the field takes it, if it comes back equal; else None."""
    kind = field.kind
    if kind in NUMBERS:
        return _number(field, value)
    if kind == DataType.VARCHAR:
        return value if _text(field, value) else None
    if kind == DataType.BOOL:
        return value if isinstance(value, bool) else None
    if kind == DataType.JSON:  # pymilvus takes a text to be JSON already, and Milvus Lite no number
        return value if isinstance(value, list | dict) else None
    good = (
        isinstance(value, list)
        and (not field.most or len(value) <= field.most)
        and all(_text(field, item) for item in value)
    )
    return value if good and field.element == DataType.VARCHAR else None


def allowed(field: Field) -> str:
    """What it holds, in words."""
    return f"{_ALLOWED[field.kind]} (field {field.name!r} is {field.kind.name})"


def _field_of(each: Mapping[str, Any]) -> Field:
    params = each.get("params") or {}
    filled = each.get("default_value") is not None
    return Field(
        each["name"],
        DataType(each["type"]),
        int(params.get("dim") or params.get("max_length") or 0),
        int(params.get("max_capacity") or 0),
        DataType(each.get("element_type") or DataType.NONE),
        # A default takes the place of null, too.
        filled or not each.get("nullable"),
        filled,
    )


def _vector_of(fields: Mapping[str, Field], wanted: str, where: str) -> Field:
    vectors = [each for each in fields.values() if each.kind == DataType.FLOAT_VECTOR]
    names = ", ".join(each.name for each in vectors) or "none"
    if wanted:
        for each in vectors:
            if each.name == wanted:
                return each
        raise Refused(f"{where} has no field {wanted!r} of type FLOAT_VECTOR, which the option vector names: {names}")
    if len(vectors) != 1:
        raise Refused(f"{where} has not one field of type FLOAT_VECTOR, name one by the option vector: {names}")
    return vectors[0]


def _text(field: Field, value: Any) -> bool:
    return isinstance(value, str) and (not field.longest or len(value.encode()) <= field.longest)


def _number(field: Field, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if field.kind in WHOLE:
        most = WHOLE[field.kind]
        whole = int(value) if isinstance(value, int) or value.is_integer() else None
        return whole if whole is not None and -most <= whole < most else None
    with np.errstate(over="ignore"):
        near = float(np.float32(value)) if field.kind == DataType.FLOAT else float(value)
    return near if near == value else None
