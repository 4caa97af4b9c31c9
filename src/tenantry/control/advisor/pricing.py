"""What an architecture costs a month."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tenantry.control.advisor.book import cited, offer_of
from tenantry.control.advisor.sizing import NO_CAPACITY, size
from tenantry.errors import InvalidArgument
from tenantry.model.advice import Architecture, Choice, Sizing, Workload
from tenantry.model.cost import BYTES_PER_GB, SECONDS_PER_MONTH, CostLine, Offer, Price, PriceBook

#: Bytes of a record besides its vector: id and metadata. Pinecone's own examples reckon with 8 and 500.
RECORD_BYTES = 508
FLOAT_BYTES = 4
#: Part of a budget from which a bill is near it.
NEAR = 0.8


class Unpriced(Exception):
    """There is no price for it; the message says which and where to put one."""


def record_bytes(dimension: int) -> int:
    """Size of a record as it is billed, estimated."""
    return FLOAT_BYTES * dimension + RECORD_BYTES


def amount(price: Price | None, what: str) -> float:
    """Raises Unpriced."""
    if price is None or price.amount is None:
        why = "" if price is None else f" ({price.source}, {price.date})"
        raise Unpriced(f"no price is published for {what}{why}; put yours into a price file")
    return price.amount


def fixed_lines(offer: Offer, name: str, indexes: int, vectors: int, dimension: int, what: str) -> list[CostLine]:
    """The bill of so many indexes (or of the hosts that they share). Raises Unpriced."""
    count, noun = indexes, what
    if offer.kind == "host":
        count, noun = hosts(offer, vectors, dimension), "host"
    each = amount(offer.month, f"{name}.month")
    lines = [CostLine(f"{_plural(count, noun)} at {each:,.2f}", count * each, _source(offer.month))]
    if offer.storage is not None:
        gb = vectors * record_bytes(dimension) / BYTES_PER_GB
        price = amount(offer.storage, f"{name}.storage")
        lines.append(CostLine(f"{gb:,.2f} GB at {price:g}", gb * price, _source(offer.storage)))
    return lines


def hosts(offer: Offer, vectors: int, dimension: int) -> int:
    """Machines that hold so many vectors: at least one."""
    most = (offer.capacity or NO_CAPACITY).vectors_of(dimension)
    return 1 if most is None else max(1, -(-vectors // most))


def usage_lines(
    offer: Offer, name: str, *, vectors: int, dimension: int, queries: float | None, writes: float, namespaces: int
) -> list[CostLine]:
    """The bill of what is stored, asked and written.

    Args:
        queries, writes: of a month; queries None: unknown.
        namespaces: among which the vectors are taken to be even, for the size that a query asks.

    Raises:
        Unpriced: there is no price, or the number of queries is needed and unknown.
    """
    lines: list[CostLine] = []
    if queries is None:
        raise Unpriced(f"{name} is paid by query: say how many there are")
    gb = vectors * record_bytes(dimension) / BYTES_PER_GB
    if offer.storage is not None:
        price = amount(offer.storage, f"{name}.storage")
        lines.append(CostLine(f"{gb:,.2f} GB at {price:g}", gb * price, _source(offer.storage)))
    if offer.queries is not None:
        price = amount(offer.queries, f"{name}.queries")
        lines.append(
            CostLine(f"{queries:,.0f} queries at {price:g} a thousand", queries / 1e3 * price, _source(offer.queries))
        )
    if offer.reads is not None:
        units = queries * query_units(offer, gb / max(1, namespaces))
        price = amount(offer.reads, f"{name}.reads")
        lines.append(
            CostLine(f"{units:,.0f} read units at {price:g} a million", units / 1e6 * price, _source(offer.reads))
        )
    if offer.writes is not None:
        units = writes * write_units(offer, dimension)
        price = amount(offer.writes, f"{name}.writes")
        lines.append(
            CostLine(f"{units:,.0f} write units at {price:g} a million", units / 1e6 * price, _source(offer.writes))
        )
    return with_minimum(offer, name, lines)


def with_minimum(offer: Offer, name: str, lines: list[CostLine]) -> list[CostLine]:
    """A bill with what is missing to the least that is charged."""
    if offer.minimum is not None:
        missing = amount(offer.minimum, f"{name}.minimum") - sum(line.amount for line in lines)
        if missing > 0:
            lines.append(CostLine("up to the minimum of a month", missing, _source(offer.minimum)))
    return lines


def query_units(offer: Offer, namespace_gb: float) -> float:
    """Read units of one query of a namespace of that size."""
    return max(offer.read_units_least, namespace_gb * offer.read_units_per_gb)


def write_units(offer: Offer, dimension: int) -> int:
    """Write units of one record."""
    return math.ceil(record_bytes(dimension) / offer.write_unit_bytes)


def overhead_lines(book: PriceBook, names: Sequence[str]) -> list[CostLine]:
    """What a sharded cluster needs besides. Raises InvalidArgument (unknown name), Unpriced."""
    for name in names:
        if name not in book.overhead:
            raise InvalidArgument("overhead", name, "none, or of " + ", ".join(book.overhead))
    return [
        CostLine(name, amount(book.overhead[name], f"overhead.{name}"), cited(book.overhead[name])) for name in names
    ]


def choices(
    workload: Workload, sizing: Sizing, book: PriceBook, offer_name: str, overhead: Sequence[str]
) -> dict[Architecture, Choice]:
    """Every architecture for a workload, priced where prices are known."""
    offer = offer_of(book, offer_name)
    made = [
        _single(workload, book, offer_name),
        _per_tenant(workload, book, offer_name),
        _sharded(workload, sizing, book, offer_name, overhead),
        _hybrid(workload, book, offer_name, overhead),
    ]
    if offer.serverless is not None or offer.kind == "usage":
        made.append(_serverless(workload, book, offer.serverless or offer_name))
    return {each.architecture: each for each in made}


def limits_broken(workload: Workload, offer: Offer) -> str:
    """Why one index cannot hold the workload; empty when it can."""
    held = offer.capacity or NO_CAPACITY
    vectors = held.vectors_of(workload.dimension)
    if held.namespaces is not None and workload.tenants > held.namespaces:
        return f"over its {held.namespaces:,} namespaces"
    if offer.kind != "usage" and vectors is not None and workload.vectors > vectors:
        return f"over its {vectors:,} vectors"
    if offer.kind == "index" and held.qps is not None and workload.qps is not None and workload.qps > held.qps:
        return f"over its {held.qps:,.0f} queries a second"
    return ""


def _single(workload: Workload, book: PriceBook, name: str) -> Choice:
    broken = limits_broken(workload, book.offers[name])
    return _choice(workload, Architecture.SINGLE, book, name, 1, (), broken)


def _per_tenant(workload: Workload, book: PriceBook, name: str) -> Choice:
    held = (book.offers[name].capacity or NO_CAPACITY).vectors_of(workload.dimension)
    broken = "the largest tenant is over an index's vectors" if held and (workload.largest or 0) > held else ""
    return _choice(workload, Architecture.PER_TENANT, book, name, max(1, workload.tenants), (), broken)


def _sharded(workload: Workload, sizing: Sizing, book: PriceBook, name: str, overhead: Sequence[str]) -> Choice:
    thresholds = book.thresholds
    many = workload.tenants > thresholds.advanced_tenants or workload.vectors > thresholds.advanced_vectors
    architecture = Architecture.ADVANCED if many else Architecture.SHARDED
    return _choice(workload, architecture, book, name, sizing.shards, overhead, "")


def _hybrid(workload: Workload, book: PriceBook, name: str, overhead: Sequence[str]) -> Choice:
    """The large tenants alone, the others by `size`."""
    rest = Workload(
        tenants=max(0, workload.tenants - workload.large),
        vectors=max(0, workload.vectors - workload.large_vectors),
        dimension=workload.dimension,
    )
    shared = size(rest, book.offers[name].capacity, book.thresholds.target).shards if rest.tenants else 0
    broken = "" if workload.large else "no tenant is known to be large"
    return _choice(workload, Architecture.HYBRID, book, name, max(1, workload.large + shared), overhead, broken)


def _serverless(workload: Workload, book: PriceBook, name: str) -> Choice:
    broken = limits_broken(workload, book.offers[name])
    return _choice(workload, Architecture.SERVERLESS, book, name, 1, (), broken)


def _choice(
    workload: Workload,
    architecture: Architecture,
    book: PriceBook,
    name: str,
    indexes: int,
    overhead: Sequence[str],
    broken: str,
) -> Choice:
    offer = book.offers[name]
    try:
        if offer.kind == "usage":
            lines = _by_use(workload, offer, name, indexes if architecture is Architecture.PER_TENANT else 1)
        else:
            lines = fixed_lines(offer, name, indexes, workload.vectors, workload.dimension, _noun(architecture))
        lines += overhead_lines(book, overhead)
    except Unpriced as why:
        note = "; ".join(each for each in (broken, str(why)) if each)
        return Choice(architecture, name, indexes, None, None, not broken, [], note)
    monthly = sum(line.amount for line in lines)
    each = monthly / workload.tenants if workload.tenants else None
    return Choice(architecture, name, indexes, monthly, each, not broken, lines, broken)


def _by_use(workload: Workload, offer: Offer, name: str, indexes: int) -> list[CostLine]:
    queries = None if workload.qps is None else workload.qps * SECONDS_PER_MONTH
    return usage_lines(
        offer,
        name,
        vectors=workload.vectors,
        dimension=workload.dimension,
        queries=queries,
        writes=workload.writes * SECONDS_PER_MONTH,
        namespaces=max(workload.tenants, indexes),
    )


def _noun(architecture: Architecture) -> str:
    sharded = (Architecture.SHARDED, Architecture.ADVANCED, Architecture.HYBRID)
    return "shard" if architecture in sharded else "index"


def _source(price: Price | None) -> str:
    return "" if price is None else cited(price)


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {'indexes' if noun == 'index' else noun + 's'}"
