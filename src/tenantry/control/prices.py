"""Price books from files: the one of the package, and one's own laid over it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from tenantry.control.advisor.book import price_book
from tenantry.errors import InvalidArgument
from tenantry.model.cost import PriceBook

MOST_BYTES = 2**20


@cache
def own_prices() -> Mapping[str, Any]:
    """The tables of the book that comes with the package."""
    text = files("tenantry.control.advisor").joinpath("prices.toml").read_text(encoding="utf-8")
    found: dict[str, Any] = msgspec.toml.decode(text)
    return found


def read_prices(path: Path) -> dict[str, Any]:
    """The tables of a file, TOML or JSON by the end of its name. Raises InvalidArgument: it cannot be read, is over
    1 MiB, or is not what its name says."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InvalidArgument("prices", str(path), f"a file of at most {MOST_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8")
        found = msgspec.json.decode(text) if path.suffix == ".json" else msgspec.toml.decode(text)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise InvalidArgument("prices", str(path), f"a readable TOML or JSON file; {error}") from error
    if not isinstance(found, dict):
        raise InvalidArgument("prices", str(path), "a table of prices")
    return found


def prices(*layers: Mapping[str, Any] | None) -> PriceBook:
    """The package's book with tables of one's own over it. Raises InvalidArgument; see `price_book`."""
    return price_book(own_prices(), *(layer for layer in layers if layer))
