"""What each kind of operation asks of a shard, and counts as. Costs are in units of a small query."""

from __future__ import annotations

import msgspec

from tenantry.model.records import ByFilter, ByIds, Query, Selector, Update
from tenantry.model.usage import Load
from tenantry.router.fair import MOST_COST

#: Hits, ids of a page, or records to write that make one unit.
HITS, IDS, RECORDS = 256, 256, 64
#: Tenants of a request for many that make one more unit: small ones share its round trip and its threshold.
TENANTS = 32
#: Cost of a delete by filter, and of one of everything.
BY_FILTER, EVERYTHING = 4, 4

_encode = msgspec.json.Encoder().encode
_QUERIES = [Load(cost, queries=1) for cost in range(MOST_COST + 1)]
_PARTS = [Load(cost, own=False) for cost in range(MOST_COST + 1)]
_READS = [Load(cost, reads=1) for cost in range(MOST_COST + 1)]


def query(asked: Query) -> Load:
    """A nearest-neighbour query."""
    return _QUERIES[_cost(asked.top_k, HITS)]


def part(asked: Query, tenants: int) -> Load:
    """A part of a search across tenants, over so many of one shard: the caller's doing, not the tenants'."""
    return _PARTS[min(MOST_COST, _cost(asked.top_k, HITS) + tenants // TENANTS)]


def read(records: int) -> Load:
    """A fetch, or a page of a listing or scan, of so many records at most."""
    return _READS[_cost(records, IDS)]


def work(records: int) -> Load:
    """A read that Tenantry makes for itself, of so many records at most: no tenant's doing."""
    return _PARTS[_cost(records, IDS)]


def upsert(records: int, size: int) -> Load:
    """A batch of records with so many bytes."""
    return Load(_cost(records, RECORDS), write=True, writes=1, vectors=records, bytes=size)


def update(change: Update) -> Load:
    """A partial change of one record; counts with what it sets."""
    size = 0 if change.values is None else 4 * len(change.values)
    size += 0 if change.set_metadata is None else len(_encode(change.set_metadata))
    return Load(write=True, writes=1, bytes=size)


def delete(chosen: Selector) -> Load:
    """A delete."""
    if isinstance(chosen, ByIds):
        return Load(_cost(len(chosen.ids), IDS), write=True, writes=1)
    return Load(BY_FILTER if isinstance(chosen, ByFilter) else EVERYTHING, write=True, writes=1)


def _cost(count: int, unit: int) -> int:
    return min(MOST_COST, 1 + count // unit)
