"""Migrations of tenants between shards, in waves."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    def name() -> sa.Text:
        return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

    op.create_table(
        "tenantry_migrations",
        sa.Column("id", name(), nullable=False),
        sa.Column("index_name", name(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenantry_migrations")),
    )
    op.create_index(op.f("ix_tenantry_migrations_index_name"), "tenantry_migrations", ["index_name"])
    op.create_index(op.f("ix_tenantry_migrations_created_at_id"), "tenantry_migrations", ["created_at", "id"])
    op.create_table(
        "tenantry_migration_items",
        sa.Column("migration", name(), nullable=False),
        sa.Column("tenant", name(), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("risk", sa.Double(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("migration", "tenant", name=op.f("pk_tenantry_migration_items")),
    )
