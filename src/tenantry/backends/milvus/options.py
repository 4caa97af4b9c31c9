"""What a shard on Milvus can be told."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from tenantry.backends.common.adopted import check_adopted
from tenantry.backends.common.options import secret, secret_file
from tenantry.errors import InvalidArgument


class MilvusOptions(msgspec.Struct, frozen=True):
    """Options of a shard of kind ``milvus``.

    Attributes:
        url: of the server, such as ``http://milvus:19530``.
        database: Milvus' own, in which the shard's collections are.
        prefix: what the collections' names begin with; default: ``tenantry_INDEX_SHARD``.
        adopted: collections are as others laid them out, and keep their names; each is a namespace.
        collection: the one with the records of many tenants, where they share one.
        tenant_field: the field, of its schema or dynamic, that tells tenants apart; its values are the namespaces.
        vector: which field of adopted collections has the vectors; default: the only one of type FLOAT_VECTOR.
        token_env, token_file: an environment variable or a file with ``user:password`` or an API key.
        consistency: ``Strong`` (reads see every acknowledged write) or ``Bounded`` (they may be seconds behind; faster
            on a cluster).
        request_s: longest wait for one answer, seconds.
        m, ef_construction: how well new collections' HNSW indexes are built.
        ef_search: candidates that a search keeps.
    """

    url: str = ""
    database: str = ""
    prefix: str = ""
    adopted: bool = False
    collection: str = ""
    tenant_field: str = ""
    vector: str = ""
    token_env: str = ""
    token_file: str = ""
    consistency: Literal["Strong", "Bounded"] = "Strong"
    request_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
    m: Annotated[int, msgspec.Meta(ge=2, le=2048)] = 16
    ef_construction: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200
    ef_search: Annotated[int, msgspec.Meta(ge=1, le=32_768)] = 100

    def server(self) -> str:
        """The URL, checked. Raises InvalidArgument, as for all that does not go together."""
        check_adopted(self.adopted, self.collection, self.tenant_field)
        if self.vector and not self.adopted:
            raise InvalidArgument("options.vector", self.vector, "only with adopted=true")
        try:
            parts = urlsplit(self.url)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidArgument("options.url", self.url, "http://host:port or https://host:port")
        if parts.password or parts.username:
            raise InvalidArgument("options.url", "one with a login", "the option token_env or token_file")
        return self.url

    def token(self) -> str:
        """The login, or nothing. Raises InvalidArgument."""
        if self.token_env and self.token_file:
            raise InvalidArgument("options.token_file", self.token_file, "one of token_env and token_file")
        if self.token_env:
            return secret("token_env", self.token_env)
        return secret_file("token_file", self.token_file) if self.token_file else ""
