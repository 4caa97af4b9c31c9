"""What a shard on PostgreSQL can be told."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from tenantry.backends.common.adopted import check_adopted
from tenantry.backends.common.options import secret, secret_file
from tenantry.errors import InvalidArgument

_SCHEMA = re.compile(r"^[a-z_][a-z0-9_]{0,62}$")


class PgvectorOptions(msgspec.Struct, frozen=True):
    """Options of a shard of kind ``pgvector``.

    Attributes:
        url: ``postgresql://user@host:port/database``, without a password: libpq takes that from ``PGPASSWORD``,
            ``PGPASSFILE`` or ``~/.pgpass``.
        url_env: name of an environment variable that holds the URL, with its password; in place of ``url``.
        url_file: a file that holds it, likewise.
        schema: where the shard's tables are; default: ``tenantry_INDEX_SHARD``, of adopted ones ``public``.
        layout: ``tables`` (a table for each namespace) or ``partitions`` (of one table of the shard).
        adopted: tables are as others laid them out, and keep their names; each is a namespace.
        collection: the one with the records of many tenants, where they share one; with its schema (``sales.items``)
            unless ``schema`` names that.
        tenant_field: the column, or else the key of its jsonb, that tells tenants apart; its values are the namespaces.
        vector: which column of adopted tables has the vectors; default: the only one of type ``vector``.
        id: which has the ids; default: the primary key.
        metadata: which, of type jsonb or json, has the fields that are no columns; default: the only one.
        connections: most connections of this process.
        statement_s: longest run of one statement, seconds; builds of indexes are not held to it.
        index_from: vectors from which a namespace gets an HNSW index; below it is searched exactly.
        ef_search: candidates that a search of that index keeps (``hnsw.ef_search``).
    """

    url: str = ""
    url_env: str = ""
    url_file: str = ""
    schema: str = ""
    layout: Literal["tables", "partitions"] = "tables"
    adopted: bool = False
    collection: str = ""
    tenant_field: str = ""
    vector: str = ""
    id: str = ""
    metadata: str = ""
    connections: Annotated[int, msgspec.Meta(ge=2, le=200)] = 8
    statement_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
    index_from: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    ef_search: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100

    def check(self) -> None:
        """That options go together. Raises InvalidArgument."""
        check_adopted(self.adopted, self.collection, self.tenant_field)
        for name in ("vector", "id", "metadata"):
            if getattr(self, name) and not self.adopted:
                raise InvalidArgument(f"options.{name}", getattr(self, name), "only with adopted=true")

    def connection_url(self) -> str:
        """Where to connect to. Raises InvalidArgument."""
        if sum(map(bool, (self.url, self.url_env, self.url_file))) != 1:
            raise InvalidArgument("options.url", self.url, "one of url (without a password), url_env and url_file")
        if self.url_env:
            return secret("url_env", self.url_env)
        if self.url_file:
            return secret_file("url_file", self.url_file)
        try:
            parts = urlsplit(self.url)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("postgresql", "postgres"):
            raise InvalidArgument("options.url", parts.scheme, "postgresql://user@host:port/database")
        if parts.password:
            raise InvalidArgument(
                "options.url", "one with a password", "PGPASSWORD, PGPASSFILE, or the option url_env or url_file"
            )
        return self.url

    def schema_of(self, index: str, shard: str) -> str:
        """The schema of a shard. Raises InvalidArgument."""
        name = self.schema or f"tenantry_{index}_{shard}".replace("-", "_")[:63]
        if not _SCHEMA.match(name):
            raise InvalidArgument("options.schema", name, "1 to 63 of a-z, 0-9 and _, not starting with a digit")
        return name
