"""Names of collections for namespaces of any name."""

from __future__ import annotations

import hashlib
import re

from tenantry.errors import InvalidArgument

HASH_CHARS = 40
_PREFIX = re.compile(r"^[a-z][a-z0-9_]{0,62}$")


def hashed(namespace: str) -> str:
    """40 hexadecimal digits that stand for a name: it may be long, and of characters that an engine does not allow."""
    return hashlib.sha256(namespace.encode()).hexdigest()[:HASH_CHARS]


def prefix_of(given: str, index: str, shard: str) -> str:
    """What a shard's names begin with: as given, or ``tenantry_INDEX_SHARD``. Raises InvalidArgument."""
    name = given or f"tenantry_{index}_{shard}".replace("-", "_")[:63]
    if not _PREFIX.match(name):
        raise InvalidArgument("options.prefix", name, "1 to 63 of a-z, 0-9 and _, starting with a letter")
    return name
