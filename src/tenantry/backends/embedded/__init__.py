"""The embedded engine: SQLite as the store of record, a derived in-memory index for search.

From the outside: an `Engine` for the data folder, an `EmbeddedBackend` for each shard in it.

Inside, from the disk upwards: `lock`, `connections`, `manifest` and `store` block on files; `writes` are what happens
inside a transaction; `resident`, `columns`, `ann` and `search` are pure work on arrays; `namespace` and `shard` order
it all on the event loop; `engine` holds what they share, `backend` is the port.
"""

from tenantry.backends.embedded.backend import EmbeddedBackend, EmbeddedIndex
from tenantry.backends.embedded.engine import Engine

__all__ = ["EmbeddedBackend", "EmbeddedIndex", "Engine"]
