"""When a shard was registered; 0 for those that were before."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tenantry_shards", sa.Column("created_at", sa.Double(), nullable=False, server_default="0"))
