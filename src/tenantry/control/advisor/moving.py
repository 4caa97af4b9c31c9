"""What moving a tenant costs where use is paid for. Pure."""

from __future__ import annotations

import math

from tenantry.control.advisor.book import offer_of
from tenantry.control.advisor.pricing import amount, query_units, record_bytes, write_units
from tenantry.model.cost import BYTES_PER_GB, SECONDS_PER_MONTH, Offer, PriceBook

#: A move reads its source to copy it and once more to compare; a page is paid as a query of the whole namespace.
PASSES = 2
PAGE = 500


def price_of_move(book: PriceBook, source: str, target: str, vectors: int, dimension: int, retention_s: float) -> float:
    """An upper estimate, in the book's currency: reading the source twice, writing the target once, and storing the old
    copy for as long as it is kept. What is of fixed price costs nothing more.

    Args:
        source, target: kinds of the shards' backends.
        retention_s: how long the old copy is kept, seconds.

    Raises:
        Unpriced: something that is used has no published price.
    """
    gb = vectors * record_bytes(dimension) / BYTES_PER_GB
    pages = math.ceil(vectors / PAGE)
    name, offer = _offer(book, source)
    whole = 0.0
    if offer.reads is not None:
        whole += PASSES * pages * query_units(offer, gb) / 1e6 * amount(offer.reads, f"{name}.reads")
    if offer.queries is not None:
        whole += PASSES * pages / 1e3 * amount(offer.queries, f"{name}.queries")
    if offer.storage is not None:
        whole += gb * amount(offer.storage, f"{name}.storage") * retention_s / SECONDS_PER_MONTH
    name, offer = _offer(book, target)
    if offer.writes is not None:
        whole += vectors * write_units(offer, dimension) / 1e6 * amount(offer.writes, f"{name}.writes")
    return whole


def _offer(book: PriceBook, backend: str) -> tuple[str, Offer]:
    name = book.backends.get(backend, book.hypothetical)
    return name, offer_of(book, name)
