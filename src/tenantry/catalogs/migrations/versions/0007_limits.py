"""What tenants used by the hour, and which parts of it were added."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

#: Ordered by code point on both databases.
NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "tenantry_usage",
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("index_name", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("queries", sa.BigInteger(), nullable=False),
        sa.Column("reads", sa.BigInteger(), nullable=False),
        sa.Column("writes", sa.BigInteger(), nullable=False),
        sa.Column("vectors", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("vectors_stored", sa.BigInteger()),
        sa.Column("bytes_stored", sa.BigInteger()),
        sa.PrimaryKeyConstraint("start", "index_name", "tenant", name=op.f("pk_tenantry_usage")),
    )
    op.create_table(
        "tenantry_usage_sources",
        sa.Column("source", NAME, nullable=False),
        sa.Column("part", sa.BigInteger(), nullable=False),
        sa.Column("added_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_tenantry_usage_sources")),
    )
