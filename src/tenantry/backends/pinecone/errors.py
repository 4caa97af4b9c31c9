"""Errors of Pinecone's SDK on a shard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pinecone.errors import (
    ApiError,
    ForbiddenError,
    NotFoundError,
    PayloadTooLargeError,
    PineconeConnectionError,
    PineconeError,
    PineconeTimeoutError,
    PineconeTypeError,
    PineconeValueError,
    RateLimitError,
    ServiceError,
    UnauthorizedError,
)

from tenantry.errors import (
    DeadlineExceeded,
    NotFound,
    RateLimited,
    Refused,
    TenantryError,
    TooLarge,
    Unavailable,
)

RETRY_AFTER_S = 1.0


@contextmanager
def translated(where: str, namespace: str = "") -> Iterator[None]:
    """Run the body; what the SDK raises there comes out as an error of Tenantry."""
    try:
        yield
    except TenantryError:
        raise
    except (PineconeError, TimeoutError, OSError) as error:
        raise _of(error, where, namespace) from error


def _of(error: Exception, where: str, namespace: str) -> TenantryError:
    match error:
        case RateLimitError():
            after = error.retry_after if error.retry_after is not None else RETRY_AFTER_S
            return RateLimited(f"{where} throttles: {error}", retry_after_s=after)
        case NotFoundError() if namespace:
            return NotFound("namespace", namespace)
        case NotFoundError():
            return Refused(f"{where} does not exist: {error}; make it, or give the shard the options cloud and region")
        case UnauthorizedError() | ForbiddenError():
            return Unavailable(f"{where} refuses the login: {error}; see the options api_key_env and api_key_file")
        case PayloadTooLargeError():
            return TooLarge("vectors", str(error), "less at once")
        case PineconeTimeoutError() | TimeoutError():
            return DeadlineExceeded(f"{where}: no answer within the shard's request_s and call_s")
        case ServiceError() | PineconeConnectionError() | OSError():
            return Unavailable(f"{where} is unavailable: {error}")
        case ApiError() | PineconeValueError() | PineconeTypeError():
            return Refused(f"{where} refused: {error}")
        case _:
            return Unavailable(f"{where}: {error}")
