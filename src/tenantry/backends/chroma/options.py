"""What a shard on Chroma can be told."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tenantry.backends.common.adopted import check_adopted
from tenantry.backends.common.options import secret, secret_file
from tenantry.errors import InvalidArgument


class ChromaOptions(msgspec.Struct, frozen=True):
    """Options of a shard of kind ``chroma``.

    Attributes:
        url: of the server, such as ``http://chroma:8000``.
        tenant, database: Chroma's own, in which the shard's collections are.
        prefix: what the collections' names begin with; default: ``tenantry_INDEX_SHARD``.
        adopted: collections are as others laid them out, and keep their names; each is a namespace.
        collection: the one with the records of many tenants, where they share one.
        tenant_field: the field of its metadata that tells tenants apart; its values are the namespaces.
        token_env, token_file: an environment variable or a file with a token, where the server asks for one.
        token_header: the header that carries it; for ``Authorization`` it is sent as ``Bearer TOKEN``.
        connections: most connections of this process.
        request_s: longest wait for one answer, seconds.
        ef_search: candidates that a search of the HNSW index keeps.
        ef_construction, max_neighbors: how well new collections' indexes are built.
    """

    url: str = ""
    tenant: str = "default_tenant"
    database: str = "default_database"
    prefix: str = ""
    adopted: bool = False
    collection: str = ""
    tenant_field: str = ""
    token_env: str = ""
    token_file: str = ""
    token_header: str = "x-chroma-token"  # noqa: S105  # the name of a header
    connections: Annotated[int, msgspec.Meta(ge=1, le=500)] = 32
    request_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
    ef_search: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    ef_construction: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    max_neighbors: Annotated[int, msgspec.Meta(ge=2, le=200)] = 16

    def headers(self) -> dict[str, str]:
        """What each request carries. Raises InvalidArgument, as for all that does not go together."""
        check_adopted(self.adopted, self.collection, self.tenant_field)
        if self.token_env and self.token_file:
            raise InvalidArgument("options.token_file", self.token_file, "one of token_env and token_file")
        if self.token_env:
            token = secret("token_env", self.token_env)
        elif self.token_file:
            token = secret_file("token_file", self.token_file)
        else:
            return {}
        bearer = self.token_header.lower() == "authorization"
        return {self.token_header: f"Bearer {token}" if bearer else token}
