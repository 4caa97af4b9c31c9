"""Limits of requests, and the checks that hold every request to them, before anything changes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from tenantry.errors import InvalidArgument, TooLarge
from tenantry.model.records import Metric, Record, Update, Vector

_encode = msgspec.json.Encoder().encode
_GENERATION = re.compile(r"~\d+$")
_INDEX_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?$")
MAX_DIMENSION = 20_000
#: Under cosine, squared lengths below this lose their digits in float32.
SMALLEST_SQUARE = 1e-30


class Limits(msgspec.Struct, frozen=True):
    """How large a request may be. The defaults are Pinecone's; every one can be set."""

    id_chars: int = 512
    tenant_chars: int = 512
    metadata_bytes: int = 40_960
    top_k: int = 10_000
    batch_records: int = 1_000
    batch_bytes: int = 2_097_152
    """Most bytes of one upsert: of its body as JSON at the gateway, of its vectors, ids and metadata in the library."""
    fetch_ids: int = 1_000
    list_page: int = 100
    """Most ids that one page of a Pinecone list shows."""
    scan_page: int = 1_000
    body_bytes: int = 4_194_304
    """Most bytes of one HTTP request body."""
    cross_tenant_tenants: int = 100_000


def check_index_name(name: Any) -> str:
    """A logical index's name: Pinecone's rule, 1 to 45 of a-z, 0-9 and -, not - at an end."""
    if not isinstance(name, str) or not _INDEX_NAME.match(name):
        raise InvalidArgument("index", name, "1 to 45 of a-z, 0-9 and '-', not starting or ending with '-'")
    return name


def check_tenant_name(name: Any, limits: Limits) -> str:
    """A tenant's name: printable, no generation mark (``~2``) at its end, which physical copies carry."""
    if not isinstance(name, str) or not name:
        raise InvalidArgument("tenant", name, "a non-empty string")
    if len(name) > limits.tenant_chars:
        raise TooLarge("tenant", f"{len(name)} characters", f"at most {limits.tenant_chars}")
    if not name.isprintable():
        raise InvalidArgument("tenant", name, "printable characters only")
    if _GENERATION.search(name):
        raise InvalidArgument("tenant", name, "a name that does not end with '~' and digits")
    return name


def check_id(given: Any, field: str, limits: Limits) -> str:
    """A record's id."""
    if not isinstance(given, str) or not given:
        raise InvalidArgument(field, given, f"a non-empty string of at most {limits.id_chars} characters")
    if len(given) > limits.id_chars:
        raise TooLarge(field, f"{len(given)} characters", f"at most {limits.id_chars}")
    if "\x00" in given:
        raise InvalidArgument(field, given, "no NUL character")
    if not given.isascii():
        try:
            given.encode()
        except UnicodeEncodeError:
            raise InvalidArgument(field, given, "valid Unicode, without lone surrogates") from None
    return given


def check_vector(given: Any, field: str, dimension: int, metric: Metric) -> Vector:
    """A vector as float32 of shape ``(dimension,)``: finite, and of a squared length that float32 can hold (under
    cosine also not zero), since the scores of any other are not numbers."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        try:
            vector: Vector = np.ascontiguousarray(given, dtype=np.float32)
        except (TypeError, ValueError, OverflowError):
            raise InvalidArgument(field, given, f"a list of {dimension} numbers") from None
        if vector.ndim != 1 or vector.shape[0] != dimension:
            found = f"{vector.shape[0]} numbers" if vector.ndim == 1 else f"shape {vector.shape}"
            raise InvalidArgument(field, found, f"exactly {dimension}, the dimension of the index")
        square = float(np.dot(vector, vector))
    if math.isfinite(square) and (square > SMALLEST_SQUARE or metric is not Metric.COSINE):
        return vector
    if not np.isfinite(vector).all():
        bad = int(np.flatnonzero(~np.isfinite(vector))[0])
        raise InvalidArgument(f"{field}[{bad}]", float(vector[bad]), "finite float32 numbers")
    if not math.isfinite(square):
        raise InvalidArgument(field, "too long a vector", "numbers whose squares sum to less than 3.4e38")
    if not vector.any():
        raise InvalidArgument(field, "a zero vector", "not all zero: cosine has no angle with it")
    raise InvalidArgument(field, "too short a vector", f"under cosine, squares that sum to over {SMALLEST_SQUARE:g}")


def check_metadata(given: Any, field: str, limits: Limits) -> dict[str, Any] | None:
    """Flat metadata within the size limit; null values are dropped, as Pinecone does."""
    return _sized_metadata(given, field, limits)[0]


def _sized_metadata(given: Any, field: str, limits: Limits) -> tuple[dict[str, Any] | None, int]:
    """The metadata and their bytes as JSON."""
    if given is None:
        return None, 0
    if type(given) is not dict and not isinstance(given, Mapping):
        raise InvalidArgument(field, given, "an object of strings, numbers, booleans and lists of strings")
    clean = {key: _metadata_value(key, value, field) for key, value in given.items() if value is not None}
    try:
        size = len(_encode(clean))
    except UnicodeEncodeError:
        raise InvalidArgument(field, clean, "valid Unicode, without lone surrogates") from None
    if size > limits.metadata_bytes:
        raise TooLarge(field, f"{size} bytes", f"at most {limits.metadata_bytes} bytes as JSON")
    return clean, size


def check_records(records: Iterable[Record], dimension: int, metric: Metric, limits: Limits) -> list[Record]:
    """A whole upsert batch, checked before any of it is written: ids, duplicates, vectors, metadata, size."""
    return check_batch(records, dimension, metric, limits)[0]


def check_batch(records: Iterable[Record], dimension: int, metric: Metric, limits: Limits) -> tuple[list[Record], int]:
    """As `check_records`, with the batch's bytes (`record_bytes`)."""
    batch = list(records)
    if not batch:
        raise InvalidArgument("vectors", "an empty batch", f"1 to {limits.batch_records} records")
    if len(batch) > limits.batch_records:
        raise TooLarge("vectors", f"{len(batch)} records", f"at most {limits.batch_records} in one batch")
    seen: set[str] = set()
    checked: list[Record] = []
    size = 0
    sound = _all_sound([record.values for record in batch], dimension, metric)
    for i, record in enumerate(batch):
        key = check_id(record.id, f"vectors[{i}].id", limits)
        if key in seen:
            raise InvalidArgument(f"vectors[{i}].id", key, "ids that are unique within the batch")
        seen.add(key)
        values = record.values
        if not sound:
            values = check_vector(values, f"vectors[{i}].values", dimension, metric)
        metadata, metadata_bytes = _sized_metadata(record.metadata, f"vectors[{i}].metadata", limits)
        size += record_bytes(key, values, metadata_bytes)
        checked.append(Record(key, values, metadata))
    if size > limits.batch_bytes:
        raise TooLarge("vectors", f"{size} bytes", f"at most {limits.batch_bytes} in one batch; write it in parts")
    return checked, size


def _all_sound(vectors: Sequence[Any], dimension: int, metric: Metric) -> bool:
    """Whether `check_vector` would give back each of these as it is: asked of the whole batch in half the time."""
    for vector in vectors:
        if type(vector) is not np.ndarray or vector.dtype != np.float32 or vector.shape != (dimension,):
            return False
        if not vector.flags.c_contiguous:
            return False
    matrix = np.stack(vectors)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        squares = np.vecdot(matrix, matrix)
    if not np.isfinite(squares).all():
        return False
    return metric is not Metric.COSINE or bool((squares > SMALLEST_SQUARE).all())


def record_bytes(id: str, values: Vector, metadata_bytes: int) -> int:
    """What a record counts towards ``batch_bytes``."""
    return 4 * len(values) + len(id) + metadata_bytes


def batches(records: Iterable[Record], limits: Limits) -> Iterator[list[Record]]:
    """The records in their order, in batches within the limits; a record that alone is over them comes alone."""
    batch: list[Record] = []
    size = 0
    for record in records:
        more = record_bytes(record.id, record.values, len(msgspec.json.encode(record.metadata)))
        if batch and (len(batch) == limits.batch_records or size + more > limits.batch_bytes):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += more
    if batch:
        yield batch


def check_update(update: Update, dimension: int, metric: Metric, limits: Limits) -> Update:
    """A partial update: it must change something, and what it sets must be valid."""
    key = check_id(update.id, "id", limits)
    if update.values is None and update.set_metadata is None:
        raise InvalidArgument("update", "neither values nor setMetadata", "at least one of them")
    values = None if update.values is None else check_vector(update.values, "values", dimension, metric)
    return Update(key, values, check_metadata(update.set_metadata, "setMetadata", limits))


def check_ids(ids: Any, field: str, most: int, limits: Limits) -> tuple[str, ...]:
    """A list of ids for fetch or delete; repeated ids are folded."""
    if not isinstance(ids, Sequence) or isinstance(ids, str | bytes) or not ids:
        raise InvalidArgument(field, ids, f"a list of 1 to {most} ids")
    if len(ids) > most:
        raise TooLarge(field, f"{len(ids)} ids", f"at most {most}")
    return tuple(dict.fromkeys(check_id(one, f"{field}[{i}]", limits) for i, one in enumerate(ids)))


def check_count(given: Any, field: str, least: int, most: int) -> int:
    """A whole number in a closed range."""
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise InvalidArgument(field, given, f"a whole number from {least:,} to {most:,}")
    return given


def check_deadline(given: Any) -> float:
    """A number of seconds over 0."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < math.inf:
        raise InvalidArgument("deadline_s", given, "a number of seconds over 0")
    return float(given)


def check_lag(given: Any) -> float:
    """A number of seconds, 0 or more."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < math.inf:
        raise InvalidArgument("max_lag_s", given, "a number of seconds, 0 or more")
    return float(given)


def _metadata_value(key: Any, value: Any, field: str) -> Any:
    if not isinstance(key, str) or not key or key.startswith("$"):
        raise InvalidArgument(field, key, "field names that are non-empty strings and do not start with '$'")
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return list(value)
    raise InvalidArgument(
        f"{field}.{key}", value, "a string, a finite number of at most 64 bits, a boolean or a list of strings"
    )
