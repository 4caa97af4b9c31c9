"""API keys and what they reach."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Scope(StrEnum):
    """What a key may do."""

    ADMIN = "admin"
    """Everything, every tenant."""
    TENANT = "tenant"
    """Reads and writes of one tenant's data, nothing else."""


class ApiKey(msgspec.Struct, frozen=True):
    """A stored key. The secret itself is never stored.

    Attributes:
        id: public, first part of the key, by which people recognise it.
        digest: keyed hash of the secret, hexadecimal.
        index, tenant: what a ``TENANT`` key is bound to; None for ``ADMIN``.
        expires_at, revoked_at: seconds since the Unix epoch, None for never.
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
