"""What a shard on Qdrant can be told."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from tenantry.backends.common.adopted import check_adopted
from tenantry.backends.common.options import secret, secret_file
from tenantry.errors import InvalidArgument

MEMORY = ":memory:"


class QdrantOptions(msgspec.Struct, frozen=True):
    """Options of a shard of kind ``qdrant``.

    Attributes:
        url: of the server, such as ``http://qdrant:6333``.
        path: in place of a server: a folder for the engine in the client's own process, or ``:memory:``. For trying
            things out with up to some 20,000 vectors.
        prefix: what the collections' names begin with; default: ``tenantry_INDEX_SHARD``.
        api_key_env, api_key_file: an environment variable or a file with the server's API key.
        layout: ``tenants`` (one collection, with the namespace as its tenant key) or ``collections`` (one for each
            namespace).
        adopted: collections are as others laid them out, and keep their names; each is a namespace.
        collection: the one with the records of many tenants, where they share one.
        tenant_field: the field of its payload that tells tenants apart; its values are the namespaces.
        vector: which of the named vectors counts, in adopted collections that name theirs.
        consistency: how many replicas a read asks: ``majority``, ``quorum`` or ``all``, or a number.
        connections: most connections of this process.
        request_s: longest wait for one answer, whole seconds.
        m, ef_construct: how well new collections' HNSW indexes are built; with the layout ``tenants`` there is one
            for each namespace (``payload_m``).
        ef_search: candidates that a search keeps (``hnsw_ef``).
    """

    url: str = ""
    path: str = ""
    prefix: str = ""
    api_key_env: str = ""
    api_key_file: str = ""
    layout: Literal["tenants", "collections"] = "tenants"
    adopted: bool = False
    collection: str = ""
    tenant_field: str = ""
    vector: str = ""
    consistency: str = "majority"
    connections: Annotated[int, msgspec.Meta(ge=1, le=500)] = 32
    request_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 30
    m: Annotated[int, msgspec.Meta(ge=2, le=512)] = 16
    ef_construct: Annotated[int, msgspec.Meta(ge=4, le=10_000)] = 100
    ef_search: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100

    def check(self) -> None:
        """Raises InvalidArgument."""
        check_adopted(self.adopted, self.collection, self.tenant_field)
        if bool(self.url) == bool(self.path):
            raise InvalidArgument("options.url", self.url, "one of url and path")
        if self.consistency not in ("majority", "quorum", "all") and not self.consistency.isdigit():
            raise InvalidArgument("options.consistency", self.consistency, "majority, quorum, all, or a number")
        if not self.url:
            return
        try:
            parts = urlsplit(self.url)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidArgument("options.url", self.url, "http://host:port or https://host:port")
        if parts.username or parts.password:
            raise InvalidArgument("options.url", "one with a login", "the option api_key_env or api_key_file")

    def api_key(self) -> str | None:
        """The key, if one is named. Raises InvalidArgument."""
        if self.api_key_env and self.api_key_file:
            raise InvalidArgument("options.api_key_file", self.api_key_file, "one of api_key_env and api_key_file")
        if self.api_key_env:
            return secret("api_key_env", self.api_key_env)
        return secret_file("api_key_file", self.api_key_file) if self.api_key_file else None

    def read_consistency(self) -> str | int:
        """As the client takes it."""
        return int(self.consistency) if self.consistency.isdigit() else self.consistency
