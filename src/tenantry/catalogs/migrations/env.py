"""Alembic's entry: runs the migrations on the connection that `tenantry.catalogs.upgrade` hands over."""

from alembic import context

from tenantry.catalogs.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    render_as_batch=True,  # SQLite alters tables by copying them
)
context.run_migrations()
