"""The embedded engine: SQLite as the store of record, a derived in-memory index for search."""
