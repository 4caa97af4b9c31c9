"""What a shard on Pinecone can be told."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tenantry.backends.common.options import secret, secret_file
from tenantry.errors import InvalidArgument


class PineconeOptions(msgspec.Struct, frozen=True):
    """Options of a shard of kind ``pinecone``.

    Attributes:
        index: name of the Pinecone index; default: ``INDEX-SHARD``.
        host: the index's host, where the name need not be looked up.
        api_key_env, api_key_file: an environment variable or a file with the API key; default: ``PINECONE_API_KEY``.
        controller: the control plane, where it is not Pinecone's own.
        cloud, region: where to make the index when there is none of the name (``aws`` and ``us-east-1``).
        adopted: the index was filled by others: namespaces and ids are taken as they are, and new ones must be ASCII.
        tenant_field: the field of metadata that tells tenants apart, where they share one namespace.
        namespace: which one; default: the index's default namespace.
        namespaces: how many the index may have: by Pinecone's plan 100, 1,000 or 100,000.
        visible_s: longest time until an acknowledged write shows in every read, seconds; a move waits that long.
        fresh_within_s: how long a query may wait until the index has caught up with this process's last write to the
            namespace, seconds (by the positions in the headers of answers); 0: it does not wait.
        connections: most connections of this process.
        request_s: longest wait for one answer, seconds.
        call_s: longest time that a call may take, seconds: the SDK repeats what is throttled or fails up to three
            times, after pauses as the server asks for.
    """

    index: str = ""
    host: str = ""
    api_key_env: str = ""
    api_key_file: str = ""
    controller: str = ""
    cloud: str = ""
    region: str = ""
    adopted: bool = False
    tenant_field: str = ""
    namespace: str = ""
    namespaces: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    visible_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 60.0
    fresh_within_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0
    connections: Annotated[int, msgspec.Meta(ge=1, le=500)] = 32
    request_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
    call_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0

    def check(self) -> None:
        """Raises InvalidArgument."""
        if self.api_key_env and self.api_key_file:
            raise InvalidArgument("options.api_key_file", self.api_key_file, "one of api_key_env and api_key_file")
        if bool(self.cloud) != bool(self.region):
            raise InvalidArgument("options.region", self.region, "cloud and region, or neither")
        if self.tenant_field and not self.adopted:
            raise InvalidArgument("options.tenant_field", self.tenant_field, "only with adopted=true")
        if self.namespace and not self.tenant_field:
            raise InvalidArgument("options.namespace", self.namespace, "only with tenant_field")

    def api_key(self) -> str:
        """The key. Raises InvalidArgument."""
        if self.api_key_file:
            return secret_file("api_key_file", self.api_key_file)
        return secret("api_key_env", self.api_key_env or "PINECONE_API_KEY")
