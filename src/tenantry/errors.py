"""Every error that Tenantry raises on purpose, as one tree.

::

    TenantryError
    ├── RequestError            the caller must change something; retrying as it is cannot help
    │   ├── InvalidArgument     a field is wrong: names the field, what was given, what is allowed
    │   ├── TooLarge            a batch, body, id or metadata is over its limit
    │   ├── NotFound            no such index, tenant, shard, key or record
    │   ├── AlreadyExists       the name is taken
    │   ├── Refused             the state of things forbids it (draining shard, suspended tenant, protected index)
    │   │   └── CapacityExceeded   no eligible shard has room
    │   │       └── QuotaExceeded      the tenant's plan has no room for what it would store
    │   ├── Unauthenticated     no key, or one that is unknown, expired or revoked
    │   ├── PermissionDenied    the key is good, but not for this
    │   └── Unsupported         the chosen backend cannot do this
    ├── Unavailable             try again later (``retry_after_s``)
    │   ├── RateLimited
    │   ├── DeadlineExceeded
    │   └── StorageFailed       the disk is full, or the store refused the write; nothing was acknowledged
    ├── Conflict                somebody else changed it first: reload, then decide again
    ├── Locked                  another process owns this data folder
    ├── Corrupt                 stored data fails its own checks
    ├── Diverged                two copies that must agree do not
    └── Bug                     an invariant of Tenantry itself is broken

Adapters raise only these, chained to the vendor's own error. HTTP codes live in the gateway alone.
"""

from __future__ import annotations

from typing import Any

GIVEN_SHOWN_CHARS = 80


class TenantryError(Exception):
    """Root of the tree. ``code`` is stable and machine-readable; ``str(error)`` is for people."""

    code = "INTERNAL"


class RequestError(TenantryError):
    """The request cannot succeed as it stands."""

    code = "INVALID_ARGUMENT"


class InvalidArgument(RequestError):
    """A field is wrong.

    Args:
        field: name of the offending field, as the caller spelled it (``vectors[3].values``).
        given: what was found there; shortened when shown.
        allowed: what would be accepted, in words.
    """

    def __init__(self, field: str, given: Any, allowed: str) -> None:
        self.field, self.given, self.allowed = field, given, allowed
        super().__init__(f"{field}: got {_shown(given)}; allowed: {allowed}")


class TooLarge(InvalidArgument):
    """Something is over its limit."""

    code = "TOO_LARGE"


class NotFound(RequestError):
    """``kind`` (``"index"``, ``"tenant"``, ``"shard"``, ...) called ``name`` does not exist."""

    code = "NOT_FOUND"

    def __init__(self, kind: str, name: str, hint: str = "") -> None:
        self.kind, self.name = kind, name
        super().__init__(f"{kind} {name!r} does not exist" + (f"; {hint}" if hint else ""))


class AlreadyExists(RequestError):
    """``kind`` called ``name`` is there already."""

    code = "ALREADY_EXISTS"

    def __init__(self, kind: str, name: str, hint: str = "") -> None:
        self.kind, self.name = kind, name
        super().__init__(f"{kind} {name!r} exists already" + (f"; {hint}" if hint else ""))


class Refused(RequestError):
    """The present state forbids it; the message names the state and the way out."""

    code = "FAILED_PRECONDITION"


class CapacityExceeded(Refused):
    """No eligible shard has room for this tenant or these vectors."""

    code = "RESOURCE_EXHAUSTED"


class QuotaExceeded(CapacityExceeded):
    """The write would take the tenant over what its plan allows it to store; nothing was written.

    Args:
        field: ``vectors`` or ``bytes``.
        held, given, allowed: what is stored, what the write would add, what the plan allows.
    """

    code = "QUOTA_EXCEEDED"

    def __init__(self, field: str, tenant: str, plan: str, held: int, given: int, allowed: int) -> None:
        self.field, self.tenant, self.plan = field, tenant, plan
        self.held, self.given, self.allowed = held, given, allowed
        super().__init__(
            f"{field}: got {given:,} more for tenant {tenant!r}, which stores {held:,}; allowed: {allowed:,} in all, "
            f"by plan {plan!r}; delete records, or give the tenant a larger plan (`tenantry tenant set-plan`)"
        )


class Unauthenticated(RequestError):
    """No usable API key came with the request."""

    code = "UNAUTHENTICATED"


class PermissionDenied(RequestError):
    """The API key is valid, but its scope does not reach this."""

    code = "PERMISSION_DENIED"


class Unsupported(RequestError):
    """The backend behind this tenant does not have the feature."""

    code = "UNIMPLEMENTED"


class Unavailable(TenantryError):
    """Passing trouble: the same request may succeed after ``retry_after_s`` seconds."""

    code = "UNAVAILABLE"

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class RateLimited(Unavailable):
    """Over a rate or concurrency limit."""

    code = "RATE_LIMITED"


class DeadlineExceeded(Unavailable):
    """The time limit passed; a write may or may not have taken effect and can be repeated."""

    code = "DEADLINE_EXCEEDED"


class StorageFailed(Unavailable):
    """The store could not make the write durable (full disk, I/O error); it was not acknowledged."""

    code = "STORAGE_FAILED"


class Conflict(TenantryError):
    """A compare-and-set found another epoch or state than the caller had read."""

    code = "ABORTED"


class Locked(TenantryError):
    """Another process owns the data folder; the message names its pid and, if it serves, its URL."""

    code = "LOCKED"


class Corrupt(TenantryError):
    """A stored file fails its checks; the message names the file and the way to recover."""

    code = "DATA_LOSS"


class Diverged(TenantryError):
    """Two copies that must agree do not."""

    code = "DIVERGED"


class Bug(TenantryError):
    """An invariant of Tenantry is broken; please report it."""

    code = "INTERNAL"


def _shown(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= GIVEN_SHOWN_CHARS else text[: GIVEN_SHOWN_CHARS - 3] + "..."
