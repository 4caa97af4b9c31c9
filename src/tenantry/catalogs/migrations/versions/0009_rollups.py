"""Roll-ups, and what is outstanding of them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

#: Ordered by code point on both databases.
NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "tenantry_rollups",
        sa.Column("index_name", NAME, nullable=False),
        sa.Column("shard", NAME, nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("complete", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("index_name", name=op.f("pk_tenantry_rollups")),
    )
    op.create_table(
        "tenantry_rollup_marks",
        sa.Column("index_name", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("index_name", "tenant", "owner", name=op.f("pk_tenantry_rollup_marks")),
    )
    op.create_index(
        op.f("ix_tenantry_rollup_marks_index_name_owner"),
        "tenantry_rollup_marks",
        ["index_name", "owner"],
        unique=False,
    )
    op.create_table(
        "tenantry_rollup_due",
        sa.Column("index_name", NAME, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("index_name", "seq", name=op.f("pk_tenantry_rollup_due")),
    )
