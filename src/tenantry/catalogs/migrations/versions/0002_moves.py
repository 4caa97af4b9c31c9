"""Moves: their rows, write logs, leases, barriers, retired copies, and the room that they take on shards."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: Ordered by code point on both databases.
NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.execute("ALTER TABLE tenantry_tenants ADD COLUMN log_head BIGINT DEFAULT '0' NOT NULL")
    # As text, for both databases take a check with a new column, and Alembic would copy the table on SQLite without it.
    op.execute(
        "ALTER TABLE tenantry_shards ADD COLUMN copies BIGINT DEFAULT '0' NOT NULL"
        " CONSTRAINT ck_tenantry_shards_copies CHECK (copies >= 0)"
    )
    op.execute(
        "UPDATE tenantry_shards SET copies = (SELECT count(*) FROM tenantry_tenants AS t"
        " WHERE t.index_name = tenantry_shards.index_name AND t.other_shard = tenantry_shards.name"
        " AND t.state <> 'deleted')"
    )
    op.create_table(
        "tenantry_moves",
        sa.Column("id", NAME, nullable=False),
        sa.Column("index_name", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("source_shard", NAME, nullable=False),
        sa.Column("target_shard", NAME, nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("wish", sa.Text(), nullable=False),
        sa.Column("source_mark", sa.BigInteger(), nullable=False),
        sa.Column("target_mark", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenantry_moves")),
    )
    op.create_index(op.f("ix_tenantry_moves_index_name_tenant"), "tenantry_moves", ["index_name", "tenant"])
    op.create_index(op.f("ix_tenantry_moves_created_at_id"), "tenantry_moves", ["created_at", "id"])
    op.create_index(op.f("ix_tenantry_moves_phase"), "tenantry_moves", ["phase"])
    op.create_table(
        "tenantry_log",
        sa.Column("index_name", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("index_name", "tenant", "seq", name=op.f("pk_tenantry_log")),
    )
    op.create_table(
        "tenantry_leases",
        sa.Column("name", NAME, nullable=False),
        sa.Column("owner", NAME),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tenantry_leases")),
    )
    op.create_index(op.f("ix_tenantry_leases_owner"), "tenantry_leases", ["owner"])
    op.create_table(
        "tenantry_barriers",
        sa.Column("index_name", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("router", NAME, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("index_name", "tenant", "router", name=op.f("pk_tenantry_barriers")),
    )
    op.create_table(
        "tenantry_copies",
        sa.Column("index_name", NAME, nullable=False),
        sa.Column("shard", NAME, nullable=False),
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("move", NAME, nullable=False),
        sa.Column("purge_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("index_name", "shard", "namespace", name=op.f("pk_tenantry_copies")),
    )
    op.create_index(op.f("ix_tenantry_copies_purge_at"), "tenantry_copies", ["purge_at"])
    op.create_index(op.f("ix_tenantry_copies_index_name_tenant"), "tenantry_copies", ["index_name", "tenant"])
