"""The one schema of the catalog, for SQLite and PostgreSQL alike; `migrations` builds exactly this.

All names begin with ``tenantry_``, so the catalog can share a PostgreSQL database with an application.
Names are compared by code point on both databases (SQLite's BINARY, PostgreSQL's ``COLLATE "C"``), so a
listing has the same order everywhere and a page can continue after any name.
"""

from __future__ import annotations

import sqlalchemy as sa

#: The newest migration. A catalog that says otherwise is upgraded, or refused when it is newer.
VERSION = "0011"
VERSION_TABLE = "tenantry_version"

#: Text ordered by code point.
Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

indexes = sa.Table(
    "tenantry_indexes",
    metadata,
    sa.Column("name", Name, primary_key=True),
    sa.Column("dimension", sa.Integer, nullable=False),
    sa.Column("metric", sa.Text, nullable=False),
    sa.Column("policy", sa.Text, nullable=False),
    sa.Column("auto_create", sa.Boolean, nullable=False),
    sa.Column("embedder", sa.Text),
    sa.Column("deletion_protection", sa.Boolean, nullable=False),
    sa.Column("tags", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)

#: ``tenants`` counts the live tenants whose authoritative place is here, ``copies`` those whose other place is
#: (while they move): room is kept for both. ``dedicated_to`` names the tenant
#: that has the shard for itself, for as long as its route names the shard, as ``place`` or as ``other``.
shards = sa.Table(
    "tenantry_shards",
    metadata,
    sa.Column("index_name", Name, sa.ForeignKey("tenantry_indexes.name"), primary_key=True),
    sa.Column("name", Name, primary_key=True),
    sa.Column("backend", sa.Text, nullable=False),
    sa.Column("options", sa.Text, nullable=False),
    sa.Column("max_tenants", sa.BigInteger),
    sa.Column("max_vectors", sa.BigInteger),
    sa.Column("weight", sa.Double, nullable=False),
    sa.Column("region", sa.Text),
    sa.Column("tier", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("tenants", sa.BigInteger, nullable=False),
    sa.Column("dedicated_to", Name),
    sa.Column("copies", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("created_at", sa.Double, nullable=False, server_default="0"),
    sa.CheckConstraint("tenants >= 0", name="tenants"),
    sa.CheckConstraint("copies >= 0", name="copies"),
    sa.CheckConstraint("weight > 0", name="weight"),
)

#: Tombstones (state ``deleted``) stay, through the deletion of their shard and index too: hence no foreign key.
#: ``log_head`` is the last place given out in the tenant's write log; it never goes back either.
tenants = sa.Table(
    "tenantry_tenants",
    metadata,
    sa.Column("index_name", Name, primary_key=True),
    sa.Column("name", Name, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("shard", Name, nullable=False),
    sa.Column("namespace", sa.Text, nullable=False),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("other_shard", Name),
    sa.Column("other_namespace", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("expected_vectors", sa.BigInteger, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("log_head", sa.BigInteger, nullable=False, server_default="0"),
    sa.Index(None, "index_name", "shard", "name"),
)

keys = sa.Table(
    "tenantry_keys",
    metadata,
    sa.Column("id", Name, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("index_name", Name),
    sa.Column("tenant", Name),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double),
    sa.Column("revoked_at", sa.Double),
    sa.Column("replaced_by", Name),
    sa.Index(None, "index_name", "tenant"),
)

settings = sa.Table(
    "tenantry_settings",
    metadata,
    sa.Column("name", Name, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

#: The columns are what is asked for or changed by itself; ``body`` is the rest of the move as JSON.
moves = sa.Table(
    "tenantry_moves",
    metadata,
    sa.Column("id", Name, primary_key=True),
    sa.Column("index_name", Name, nullable=False),
    sa.Column("tenant", Name, nullable=False),
    sa.Column("source_shard", Name, nullable=False),
    sa.Column("target_shard", Name, nullable=False),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("wish", sa.Text, nullable=False),
    sa.Column("source_mark", sa.BigInteger, nullable=False),
    sa.Column("target_mark", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index(None, "index_name", "tenant"),
    sa.Index(None, "created_at", "id"),
    sa.Index(None, "phase"),
)

log = sa.Table(
    "tenantry_log",
    metadata,
    sa.Column("index_name", Name, primary_key=True),
    sa.Column("tenant", Name, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

#: Rows stay when a lease is given up (without an owner), so that its fence goes on growing.
leases = sa.Table(
    "tenantry_leases",
    metadata,
    sa.Column("name", Name, primary_key=True),
    sa.Column("owner", Name),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("beat", sa.BigInteger, nullable=False),
    sa.Index(None, "owner"),
)

barriers = sa.Table(
    "tenantry_barriers",
    metadata,
    sa.Column("index_name", Name, primary_key=True),
    sa.Column("tenant", Name, primary_key=True),
    sa.Column("router", Name, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
)

copies = sa.Table(
    "tenantry_copies",
    metadata,
    sa.Column("index_name", Name, primary_key=True),
    sa.Column("shard", Name, primary_key=True),
    sa.Column("namespace", Name, primary_key=True),
    sa.Column("tenant", Name, nullable=False),
    sa.Column("move", Name, nullable=False),
    sa.Column("purge_at", sa.Double, nullable=False),
    sa.Index(None, "purge_at"),
    sa.Index(None, "index_name", "tenant"),
)

#: When a route of a tenant in that bucket last changed (`moments`); PostgreSQL only.
route_changes = sa.Table(
    "tenantry_route_changes",
    metadata,
    sa.Column("bucket", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("moment", sa.BigInteger, nullable=False),
)

#: What each process counted of late (`tenantry.control.measure`); ``number`` grows from slice to slice.
measures = sa.Table(
    "tenantry_measures",
    metadata,
    sa.Column("owner", Name, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

#: Migrations of tenants between shards; ``body`` is the migration as JSON, the other columns are what is asked for by
#: itself. ``revision`` grows by one with each change.
tenant_migrations = sa.Table(
    "tenantry_migrations",
    metadata,
    sa.Column("id", Name, primary_key=True),
    sa.Column("index_name", Name, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index(None, "index_name"),
    sa.Index(None, "created_at", "id"),
)

#: Their tenants.
migration_items = sa.Table(
    "tenantry_migration_items",
    metadata,
    sa.Column("migration", Name, primary_key=True),
    sa.Column("tenant", Name, primary_key=True),
    sa.Column("wave", sa.Integer, nullable=False),
    sa.Column("risk", sa.Double, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

#: Roll-ups, and what is outstanding of them (`tenantry.model.rollup`).
rollups = sa.Table(
    "tenantry_rollups",
    metadata,
    sa.Column("index_name", Name, primary_key=True),
    sa.Column("shard", Name, nullable=False),
    sa.Column("namespace", sa.Text, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("round", sa.BigInteger, nullable=False),
    sa.Column("complete", sa.BigInteger, nullable=False),
    sa.Column("head", sa.BigInteger, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
)

rollup_marks = sa.Table(
    "tenantry_rollup_marks",
    metadata,
    sa.Column("index_name", Name, primary_key=True),
    sa.Column("tenant", Name, primary_key=True),
    sa.Column("owner", Name, primary_key=True),
    sa.Column("round", sa.BigInteger, nullable=False),
    sa.Column("stamp", sa.BigInteger, nullable=False),
    sa.Index(None, "index_name", "owner"),
)

#: ``body``: a JSON list of ids, or null for all.
rollup_due = sa.Table(
    "tenantry_rollup_due",
    metadata,
    sa.Column("index_name", Name, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("tenant", Name, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

#: What the auto-pilot did or would do (`tenantry.model.autopilot`); ``body`` is the rest of the entry as JSON.
autopilot = sa.Table(
    "tenantry_autopilot",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("index_name", Name, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index(None, "at"),
)

#: The audit log, each row's ``hash`` over its content and ``previous``, the hash of the row before (`model.audit`).
#: ``at_us``: microseconds since the Unix epoch.
audit = sa.Table(
    "tenantry_audit",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("actor", Name, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("action", Name, nullable=False),
    sa.Column("index_name", Name),
    sa.Column("tenant", Name),
    sa.Column("shard", Name),
    sa.Column("subject", Name),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Index(None, "index_name", "tenant", "seq"),
)

#: One row (``id`` 1): where the kept part of the audit log begins and ends. Whoever appends holds it.
audit_chain = sa.Table(
    "tenantry_audit_chain",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("base_seq", sa.BigInteger, nullable=False),
    sa.Column("base_hash", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)

#: One row an hour for each tenant that did something in it. Tenants may be gone: hence no foreign key.
usage = sa.Table(
    "tenantry_usage",
    metadata,
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("index_name", Name, primary_key=True),
    sa.Column("tenant", Name, primary_key=True),
    sa.Column("queries", sa.BigInteger, nullable=False),
    sa.Column("reads", sa.BigInteger, nullable=False),
    sa.Column("writes", sa.BigInteger, nullable=False),
    sa.Column("vectors", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("vectors_stored", sa.BigInteger),
    sa.Column("bytes_stored", sa.BigInteger),
)

#: The last part of each process that was added, so that none is added twice.
usage_sources = sa.Table(
    "tenantry_usage_sources",
    metadata,
    sa.Column("source", Name, primary_key=True),
    sa.Column("part", sa.BigInteger, nullable=False),
    sa.Column("added_at", sa.Double, nullable=False),
)
