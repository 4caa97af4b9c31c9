"""API keys, and what each kind of key may do: the one table of rights."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Scope(StrEnum):
    """What kind of key it is. The values are stored; ``tenant`` is from before there were read-only keys."""

    ADMIN = "admin"
    """Everything, every tenant."""
    OPERATOR = "operator"
    """Control: sees and steers indexes, shards, tenants and moves. No tenant's data, no keys, no deletion of data."""
    TENANT = "tenant"
    """Reads and writes of one tenant's data."""
    TENANT_READ = "tenant-read"
    """Reads of one tenant's data."""
    READER = "reader"
    """Reads of every tenant's data, of all indexes or of one, and searches across tenants. Writes nothing."""


class Right(StrEnum):
    """What an operation needs. A key is good for it when its scope has the right (`RIGHTS`) and it reaches there."""

    READ = "read"
    """A tenant's records and documents."""
    WRITE = "write"
    """Changing them."""
    COUNT = "count"
    """Names and counts, no content: what indexes and tenants there are, how much they hold."""
    SEARCH = "search"
    """Searching across tenants."""
    SEE = "see"
    """Seeing the state of the cluster: shards, moves, plans, measurements, the audit log."""
    CONTROL = "control"
    """Changing it, without deleting data or naming a new place for them."""
    ADMIN = "admin"
    """Whatever else: keys, deletion, new shards, pruning the audit log."""


RIGHTS: dict[Scope, frozenset[Right]] = {
    Scope.ADMIN: frozenset(Right),
    Scope.OPERATOR: frozenset({Right.COUNT, Right.SEE, Right.CONTROL}),
    Scope.TENANT: frozenset({Right.READ, Right.WRITE, Right.COUNT}),
    Scope.TENANT_READ: frozenset({Right.READ, Right.COUNT}),
    Scope.READER: frozenset({Right.READ, Right.COUNT, Right.SEARCH}),
}
#: Scopes of keys that are bound to one tenant of one index.
OF_A_TENANT = frozenset({Scope.TENANT, Scope.TENANT_READ})


class ApiKey(msgspec.Struct, frozen=True):
    """A stored key. The secret itself is never stored.

    Attributes:
        id: public, first part of the key, by which people recognise it.
        digest: keyed hash of the secret, see `tenantry.cluster.secrets`.
        index, tenant: what the key is bound to: both for the scopes `OF_A_TENANT`; a ``READER`` may have an index.
        expires_at, revoked_at: seconds since the Unix epoch, None for never.
        replaced_by: id of the key that a rotation put in its place.
    """

    id: str
    digest: str
    scope: Scope
    index: str | None = None
    tenant: str | None = None
    label: str = ""
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None
    replaced_by: str | None = None

    def usable(self, now: float) -> bool:
        """Whether it opens anything at that time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
