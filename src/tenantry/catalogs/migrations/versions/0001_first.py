"""The first schema: indexes, shards, tenants with their routes, keys, settings."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

#: Ordered by code point on both databases.
NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "tenantry_indexes",
        sa.Column("name", NAME, nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("auto_create", sa.Boolean(), nullable=False),
        sa.Column("embedder", sa.Text()),
        sa.Column("deletion_protection", sa.Boolean(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tenantry_indexes")),
    )
    op.create_table(
        "tenantry_keys",
        sa.Column("id", NAME, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("index_name", NAME),
        sa.Column("tenant", NAME),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double()),
        sa.Column("revoked_at", sa.Double()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenantry_keys")),
    )
    op.create_index(op.f("ix_tenantry_keys_index_name_tenant"), "tenantry_keys", ["index_name", "tenant"], unique=False)
    op.create_table(
        "tenantry_settings",
        sa.Column("name", NAME, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tenantry_settings")),
    )
    op.create_table(
        "tenantry_tenants",
        sa.Column("index_name", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("shard", NAME, nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("other_shard", NAME),
        sa.Column("other_namespace", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("expected_vectors", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("index_name", "name", name=op.f("pk_tenantry_tenants")),
    )
    op.create_index(
        op.f("ix_tenantry_tenants_index_name_shard_name"),
        "tenantry_tenants",
        ["index_name", "shard", "name"],
        unique=False,
    )
    op.create_table(
        "tenantry_shards",
        sa.Column("index_name", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("backend", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("max_tenants", sa.BigInteger()),
        sa.Column("max_vectors", sa.BigInteger()),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("region", sa.Text()),
        sa.Column("tier", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tenants", sa.BigInteger(), nullable=False),
        sa.Column("dedicated_to", NAME),
        sa.CheckConstraint("tenants >= 0", name=op.f("ck_tenantry_shards_tenants")),
        sa.CheckConstraint("weight > 0", name=op.f("ck_tenantry_shards_weight")),
        sa.ForeignKeyConstraint(["index_name"], ["tenantry_indexes.name"], name=op.f("fk_tenantry_shards_index_name")),
        sa.PrimaryKeyConstraint("index_name", "name", name=op.f("pk_tenantry_shards")),
    )
