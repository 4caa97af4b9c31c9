"""What an index and a tenant ask of the embedder that they name."""

from __future__ import annotations

from collections.abc import Callable

from tenantry.errors import InvalidArgument
from tenantry.ports import Embedder


def check_embedder(embedder: Callable[[str], Embedder], name: str, dimension: int) -> None:
    """Raises InvalidArgument when there is no such embedder, or its vectors have another dimension."""
    made = embedder(name)
    if made.dimension != dimension:
        raise InvalidArgument(
            "embedder", name, f"one that gives {dimension} dimensions; {made.model} gives {made.dimension}"
        )
