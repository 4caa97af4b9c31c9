"""Which key took the place of a rotated one; the audit log and where it begins and ends."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

#: Ordered by code point on both databases.
NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("tenantry_keys", sa.Column("replaced_by", NAME, nullable=True))
    op.create_table(
        "tenantry_audit",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("actor", NAME, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("action", NAME, nullable=False),
        sa.Column("index_name", NAME, nullable=True),
        sa.Column("tenant", NAME, nullable=True),
        sa.Column("shard", NAME, nullable=True),
        sa.Column("subject", NAME, nullable=True),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_tenantry_audit")),
    )
    op.create_index(
        op.f("ix_tenantry_audit_index_name_tenant_seq"), "tenantry_audit", ["index_name", "tenant", "seq"], unique=False
    )
    op.create_table(
        "tenantry_audit_chain",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("base_seq", sa.BigInteger(), nullable=False),
        sa.Column("base_hash", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenantry_audit_chain")),
    )
