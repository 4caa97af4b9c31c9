"""Backup and restore: dumps of tenants as Parquet segments, and a manifest that says what belongs together."""
