"""The one table from error classes to HTTP statuses, and the native API's spelling of errors."""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.errors import (
    AlreadyExists,
    CapacityExceeded,
    Conflict,
    DeadlineExceeded,
    InvalidArgument,
    Locked,
    NotFound,
    PermissionDenied,
    RateLimited,
    Refused,
    RequestError,
    StorageFailed,
    TenantryError,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unsupported,
)


class BadRequest(RequestError):
    """The request cannot be read as what the operation takes; ``field`` says where, when that is known."""

    def __init__(self, message: str, field: str | None = None) -> None:
        self.field = field
        super().__init__(f"{field}: {message}" if field else message)


class BodyTooLarge(TooLarge):
    """The request body is over its limit."""

    def __init__(self, most: int) -> None:
        super().__init__("body", f"over {most:,} bytes", f"at most {most:,} bytes")


class UnsupportedMediaType(BadRequest):
    """The body is not JSON."""


class NoSuchRoute(RequestError):
    """No operation has this path."""

    code = "NOT_FOUND"


class MethodNotAllowed(RequestError):
    """The path exists, but not with this method."""

    code = "METHOD_NOT_ALLOWED"

    def __init__(self, method: str, allowed: list[str]) -> None:
        self.allowed = allowed
        super().__init__(f"method {method} is not allowed here; allowed: {', '.join(allowed)}")


#: First match wins, so subclasses stand before their parents.
STATUSES: tuple[tuple[type[TenantryError], int], ...] = (
    (BodyTooLarge, 413),
    (UnsupportedMediaType, 415),
    (MethodNotAllowed, 405),
    (NoSuchRoute, 404),
    (NotFound, 404),
    (AlreadyExists, 409),
    (CapacityExceeded, 409),
    (Refused, 409),
    (Unauthenticated, 401),
    (PermissionDenied, 403),
    (Unsupported, 501),
    (RequestError, 400),
    (RateLimited, 429),
    (DeadlineExceeded, 504),
    (Unavailable, 503),
    (Conflict, 409),
    (Locked, 503),
    (TenantryError, 500),
)

INTERNAL_MESSAGE = "internal error; the server's log has it under request id {}"
STORAGE_MESSAGE = "the store could not make the write durable (disk full?); nothing was acknowledged; request id {}"


def status_of(error: TenantryError, table: tuple[tuple[type[TenantryError], int], ...] = STATUSES) -> int:
    """The status of an error."""
    for kind, status in table:
        if isinstance(error, kind):
            return status
    return 500


def public_message(error: TenantryError, request_id: str) -> str:
    """What the client may read: everything about its own request, nothing about our files and invariants."""
    if isinstance(error, StorageFailed):
        return STORAGE_MESSAGE.format(request_id)
    if isinstance(error, RequestError | Unavailable | Conflict):
        return str(error)
    return INTERNAL_MESSAGE.format(request_id)


def respelled(error: TenantryError, fields: dict[str, str]) -> TenantryError:
    """The error with its field as this API's clients spell it."""
    if not isinstance(error, InvalidArgument) or isinstance(error, BodyTooLarge):
        return error
    for ours, theirs in fields.items():
        if error.field == ours or error.field.startswith((ours + ".", ours + "[")):
            return type(error)(theirs + error.field[len(ours) :], error.given, error.allowed)
    return error


def retry_after(error: TenantryError) -> bytes | None:
    """Seconds for the ``Retry-After`` header, rounded up; None when waiting would not help."""
    if not isinstance(error, Unavailable):
        return None
    return str(max(1, -int(-error.retry_after_s // 1))).encode()


def native_body(error: TenantryError, request_id: str) -> tuple[int, bytes]:
    """Status and body in the native API's shape."""
    detail: dict[str, Any] = {"code": error.code, "message": public_message(error, request_id)}
    field = getattr(error, "field", None)
    if field:
        detail["field"] = field
    return status_of(error), msgspec.json.encode({"error": detail})
