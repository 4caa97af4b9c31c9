"""Names of tables and indexes."""

from __future__ import annotations

import hashlib


def table_of(namespace: str) -> str:
    """A table's name: of any namespace, within PostgreSQL's 63 bytes."""
    return "n_" + hashlib.sha256(namespace.encode()).hexdigest()[:40]


def index_of(namespace: str) -> str:
    """Its index's name."""
    return "i" + table_of(namespace)[1:]
