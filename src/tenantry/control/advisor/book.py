"""A price book from its text: the one that comes with the package, and one's own laid over it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tenantry.errors import InvalidArgument
from tenantry.model.cost import Offer, Price, PriceBook, Thresholds


def price_book(*layers: Mapping[str, Any]) -> PriceBook:
    """The book that several tables make, each laid over those before it: tables are merged, values replaced.

    Raises:
        InvalidArgument: a field is unknown, missing or of the wrong type, an amount is negative, or an offer is named
            that there is not.
    """
    whole: dict[str, Any] = {}
    for layer in layers:
        whole = _over(whole, layer)
    try:
        book = msgspec.convert(whole, PriceBook)
    except msgspec.ValidationError as error:
        raise InvalidArgument("prices", str(error), "a price book as docs/how-to/right-size.md describes it") from error
    for field, given in _amounts(book):
        if not math.isfinite(given) or given < 0:
            raise InvalidArgument(f"prices.{field}", given, "0 or more")
    for field, name in _names(book):
        if name not in book.offers:
            raise InvalidArgument(f"prices.{field}", name, "one of the offers " + ", ".join(book.offers))
    _check_thresholds(book.thresholds)
    return book


def offer_of(book: PriceBook, name: str) -> Offer:
    """Raises InvalidArgument, naming the offers that there are."""
    if name not in book.offers:
        raise InvalidArgument("offer", name, "one of " + ", ".join(book.offers))
    return book.offers[name]


def cited(price: Price) -> str:
    """Where a price comes from, in words."""
    return f"{price.source}, {price.date}" + (f" ({price.note})" if price.note else "")


def prices_of(offer: Offer) -> dict[str, Price]:
    """The prices of an offer by field."""
    fields = ("month", "storage", "queries", "reads", "writes", "minimum")
    found = {name: getattr(offer, name) for name in fields}
    return {name: price for name, price in found.items() if price is not None}


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        known = merged.get(name)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        merged[name] = _over(known, value) if both else value  # type: ignore[arg-type]
    return merged


def _amounts(book: PriceBook) -> Iterator[tuple[str, float]]:
    for name, offer in book.offers.items():
        for field, price in prices_of(offer).items():
            if price.amount is not None:
                yield f"offers.{name}.{field}.amount", price.amount
        yield f"offers.{name}.read_units_per_gb", offer.read_units_per_gb
        yield f"offers.{name}.read_units_least", offer.read_units_least
        yield f"offers.{name}.write_unit_bytes", offer.write_unit_bytes - 1
        if offer.capacity is not None:
            for field in ("vectors", "namespaces", "qps", "dimension"):
                limit = getattr(offer.capacity, field)
                if limit is not None:
                    yield f"offers.{name}.capacity.{field}", limit - (1 if field != "qps" else 0)
    for name, price in book.overhead.items():
        if price.amount is not None:
            yield f"overhead.{name}.amount", price.amount


def _names(book: PriceBook) -> Iterator[tuple[str, str]]:
    yield "hypothetical", book.hypothetical
    for backend, name in book.backends.items():
        yield f"backends.{backend}", name
    for name, offer in book.offers.items():
        if offer.serverless is not None:
            yield f"offers.{name}.serverless", offer.serverless


def _check_thresholds(given: Thresholds) -> None:
    shares = ("uneven_top", "uneven_ten", "cross_fine", "cross_high", "cross_heavy", "idle_below")
    for name in Thresholds.__struct_fields__:
        value = getattr(given, name)
        most = 1.0 if name in shares or name == "target" else math.inf
        least_ok = value > 0 if name == "target" else value >= 0
        if not (math.isfinite(value) and least_ok and value <= most):
            allowed = "over 0, at most 1" if name == "target" else "0 to 1" if most == 1.0 else "0 or more"
            raise InvalidArgument(f"prices.thresholds.{name}", value, allowed)
